#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ports/roster_store.h"

namespace rookery::roster {

/// A store in memory; `meddle` runs before each change, as another caller would.
class MemoryRosterStore final : public RosterStore {
 public:
  Task<absl::StatusOr<StoredRoster>> Load(std::string owner) override {
    if (is_away) co_return absl::UnavailableError("away");
    StoredRoster roster = rosters[owner];
    FillSettings(roster, owner);
    co_return roster;
  }
  Task<absl::StatusOr<StoredRoster>> LoadPending(std::string owner) override {
    if (is_away) co_return absl::UnavailableError("away");
    StoredRoster roster = rosters[owner];
    std::erase_if(roster.contacts, [](const Contact& contact) { return !contact.state.pending_in; });
    FillSettings(roster, owner);
    co_return roster;
  }
  Task<absl::StatusOr<Snapshot>> Read(std::string owner, std::string jid, std::string request_id) override {
    if (is_away) co_return absl::UnavailableError("away");
    Snapshot snapshot;
    snapshot.read_at_ms = now_ms();
    for (const Contact& contact : rosters[owner].contacts) {
      if (contact.jid == jid) snapshot.contact = contact;
    }
    snapshot.totals = totals[owner];
    const auto answer = answers.find({owner, request_id});
    if (answer != answers.end()) snapshot.answer = answer->second;
    co_return snapshot;
  }
  Task<absl::StatusOr<std::uint64_t>> Apply(std::string owner, Change change) override {
    if (meddle) meddle();
    if (IsTooOld(change.read_at_ms)) co_return TooOld();
    if (answers.contains({owner, change.request_id})) co_return absl::AbortedError("answered");
    StoredRoster& roster = rosters[owner];
    if (change.kind != Change::Kind::kNone) {
      Contact& contact = change.contact;
      auto found = Place(roster, contact.jid);
      const std::int64_t stored = found == roster.contacts.end() ? 0 : found->revision;
      if (stored != contact.revision) co_return absl::AbortedError("changed");
      ++contact.revision;
      if (change.kind == Change::Kind::kRemove) {
        roster.contacts.erase(found);
      } else if (stored == 0) {
        roster.contacts.push_back(contact);
      } else {
        *found = contact;
      }
      Bump(roster, change.is_visible);
      Totals& held = totals[owner];
      held.items += change.added.items;
      held.item_bytes += change.added.item_bytes;
      held.requests += change.added.requests;
      held.request_bytes += change.added.request_bytes;
    }
    if (!change.request_id.empty()) answers[{owner, change.request_id}] = {change.response, roster.version};
    co_return roster.version;
  }
  Task<absl::StatusOr<SettingsSnapshot>> ReadSettings(std::string owner, std::string request_id) override {
    if (is_away) co_return absl::UnavailableError("away");
    ++settings_read;
    SettingsSnapshot snapshot{now_ms(), block_lists[owner], vcards[owner].mark, {}};
    const auto answer = answers.find({owner, request_id});
    if (answer != answers.end()) snapshot.answer = answer->second;
    co_return snapshot;
  }
  Task<absl::Status> SaveBlockList(std::string owner, BlockChange change) override {
    if (meddle) meddle();
    if (IsTooOld(change.read_at_ms)) co_return TooOld();
    if (answers.contains({owner, change.request_id})) co_return absl::AbortedError("answered");
    BlockList& list = block_lists[owner];
    if (list.revision != change.list.revision) co_return absl::AbortedError("changed");
    list = std::move(change.list);
    ++list.revision;
    if (!change.request_id.empty()) answers[{owner, change.request_id}] = {change.response, 0};
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<std::string>> LoadVcard(std::string owner) override {
    if (is_away) co_return absl::UnavailableError("away");
    co_return vcards[owner].vcard;
  }
  Task<absl::Status> SaveVcard(std::string owner, VcardChange change) override {
    if (meddle) meddle();
    if (IsTooOld(change.read_at_ms)) co_return TooOld();
    if (answers.contains({owner, change.request_id})) co_return absl::AbortedError("answered");
    StoredVcard& stored = vcards[owner];
    if (stored.mark.revision != change.revision) co_return absl::AbortedError("changed");
    stored = {std::move(change.vcard), {std::move(change.avatar_hash), change.revision + 1}};
    if (!change.request_id.empty()) answers[{owner, change.request_id}] = {change.response, 0};
    co_return absl::OkStatus();
  }
  Task<absl::Status> RemoveAll(std::string owner, Removal removal) override {
    if (is_away) co_return absl::UnavailableError("away");
    if (meddle) meddle();
    if (IsTooOld(removal.read_at_ms)) co_return TooOld();
    if (answers.contains({owner, removal.request_id})) co_return absl::AbortedError("answered");
    rosters.erase(owner);
    totals.erase(owner);
    block_lists.erase(owner);
    vcards.erase(owner);
    for (auto& [other, roster] : rosters) {
      const auto found = Place(roster, owner);
      if (found == roster.contacts.end() || !found->state.approved) continue;
      found->state.approved = false;
      ++found->revision;
      Bump(roster, /*is_visible=*/true);
    }
    if (!removal.request_id.empty()) answers[{owner, removal.request_id}] = {removal.response, 0};
    co_return absl::OkStatus();
  }
  Task<absl::Status> ForgetOldAnswers() override { co_return absl::OkStatus(); }

  bool is_away = false;
  /// How often settings were asked for.
  int settings_read = 0;
  std::function<void()> meddle;
  /// The store's clock, and for how long what is read may be acted on.
  std::function<std::int64_t()> now_ms = [] { return std::int64_t{0}; };
  std::int64_t fresh_for_ms = 300'000;
  std::map<std::string, StoredRoster> rosters;
  std::map<std::string, Totals> totals;
  std::map<std::string, BlockList> block_lists;
  struct StoredVcard {
    std::string vcard;
    VcardMark mark;
  };
  std::map<std::string, StoredVcard> vcards;
  std::map<std::pair<std::string, std::string>, Answer> answers;

 private:
  bool IsTooOld(std::int64_t read_at_ms) const { return now_ms() - read_at_ms > fresh_for_ms; }
  void FillSettings(StoredRoster& roster, const std::string& owner) {
    roster.has_blocked = !block_lists[owner].jids.empty();
    roster.avatar_hash = vcards[owner].mark.avatar_hash;
  }
  static absl::Status TooOld() { return absl::FailedPreconditionError("decided too long ago"); }
  static std::vector<Contact>::iterator Place(StoredRoster& roster, const std::string& jid) {
    return std::find_if(roster.contacts.begin(), roster.contacts.end(),
                        [&](const Contact& contact) { return contact.jid == jid; });
  }
  std::uint64_t Bump(StoredRoster& roster, bool is_visible) {
    now_ += 1'000;
    if (roster.version == 0) return roster.version = now_;
    return roster.version += is_visible ? 1 : 0;
  }
  std::uint64_t now_ = 1'000'000;
};

}  // namespace rookery::roster
