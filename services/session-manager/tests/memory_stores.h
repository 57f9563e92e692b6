#pragma once

// PostgreSQL's part in memory, for tests and simulations. It passes the suite that PostgreSQL passes
// (store_scenarios.h). One MemoryDatabase is shared by all processes of a test; each store is a way
// into it. Tables are open: tests look into them and change them.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ports/account_store.h"
#include "ports/waiting_store.h"
#include "rookery/base/clock.h"
#include "rookery/pg/shard_claims.h"
#include "rookery/testing/memory_claims.h"

namespace rookery::session_manager {

class MemoryDatabase {
 public:
  using SessionKey = WaitingStore::SessionKey;

  // ---- faults ----

  /// While set every call fails, as when the server is away.
  bool down = false;
  /// While set, calls that change something are made and their answers are lost.
  bool ambiguous = false;
  /// While set nobody is parked: calls wait.
  bool held = false;
  /// Awaited at the start of each call: makes the server slow, by whatever clock there is.
  std::function<Task<void>(std::string_view call)> on_slow;
  /// Called at the start of each call that changes something (to act in between).
  std::function<void(std::string_view call)> on_call;
  bool refuses_marks = false;
  /// Messages of these users are refused for good (a row that the server cannot take).
  std::function<bool(const std::string& owner)> refuses;
  /// Somebody has locked the messages of these users: who writes one waits until the statement is given up.
  std::function<bool(const std::string& owner)> locks;
  /// The fate of rows that are asked for by their keys: so many, and so many bytes of them at most.
  std::function<absl::Status(std::size_t keys, std::size_t bytes)> on_load_rows;
  /// Called with the number of rows of each page that is loaded.
  std::function<void(std::size_t rows)> on_page;
  /// Marks, and sessions that are parked, are as old as this clock says.
  const Clock* clock = &Clock::System();

  // ---- tables ----

  std::map<std::string, AccountStore::Keys> accounts;
  /// For accounts that are not the first of their name.
  std::map<std::string, std::uint64_t> generations;
  /// Accounts that the server has an error for, whenever they are read.
  std::set<std::string> damaged;
  /// Accounts whose keys are no keys.
  std::set<std::string> unreadable;
  struct Removed {
    std::uint64_t generation = 0;
    std::int64_t at_ms = 0;
  };
  std::map<std::string, Removed> removed;
  std::map<std::string, AccountStore::LastActivity> last;

  struct OfflineRow {
    std::int64_t received_at_ms = 0;
    WaitingStore::SharedStanza stanza;
    std::optional<std::int64_t> given_at_ms;
  };
  std::map<std::string, std::map<std::uint64_t, OfflineRow>> offline;

  testing::MemoryClaims claims;
  testing::MemoryCursors cursors;

  struct PacketRow {
    WaitingStore::Writer writer;
    WaitingStore::SessionPacket packet;
  };
  std::map<SessionKey, std::map<std::uint64_t, PacketRow>> packets;

  struct ParkedRow {
    WaitingStore::Writer writer;
    WaitingStore::ParkedSession session;
    std::int64_t expires_at_ms = 0;
  };
  std::map<SessionKey, ParkedRow> parked;

  AccountStore::Account AccountOf(const std::string& user) const {
    const auto it = accounts.find(user);
    if (it == accounts.end()) return {};
    const auto generation = generations.find(user);
    return {it->second, generation == generations.end() ? 1 : generation->second};
  }

  // ---- what tests count ----

  /// Statements so far.
  int statements = 0;
  std::size_t Waiting(const std::string& user) const {
    const auto it = offline.find(user);
    if (it == offline.end()) return 0;
    return static_cast<std::size_t>(std::count_if(it->second.begin(), it->second.end(),
                                                  [](const auto& row) { return !row.second.given_at_ms; }));
  }
  std::size_t Packets(const std::string& user, const std::string& session) const {
    const auto it = packets.find({user, session});
    return it == packets.end() ? 0 : it->second.size();
  }

 private:
  friend class MemoryAccountStore;
  friend class MemoryWaitingStore;

  /// The fate of a call before it is made; OK: it is made.
  Task<absl::Status> Begin(const char* call, bool changes) {
    ++statements;
    if (changes && on_call) on_call(call);
    if (on_slow) {
      // Named, so that the function lives as long as the coroutine that it makes.
      const std::function<Task<void>(std::string_view)> wait = on_slow;
      co_await wait(call);
    }
    co_return down ? absl::UnavailableError("the database is away") : absl::OkStatus();
  }
  /// The answer to a call that was made.
  absl::Status End() const { return ambiguous ? absl::DeadlineExceededError("no answer") : absl::OkStatus(); }
};

class MemoryAccountStore final : public AccountStore {
 public:
  explicit MemoryAccountStore(MemoryDatabase& database) : db_(database) {}

  Task<absl::StatusOr<Account>> Find(std::string user) override {
    const absl::Status begun = co_await db_.Begin("Find", false);
    if (!begun.ok()) co_return begun;
    if (db_.damaged.contains(user)) co_return absl::InternalError("could not read block");
    co_return Read(user);
  }
  Task<absl::StatusOr<Accounts>> FindAll(std::vector<std::string> users) override {
    const absl::Status begun = co_await db_.Begin("FindAll", false);
    if (!begun.ok()) co_return begun;
    Accounts found;
    for (const std::string& user : users)
      if (db_.damaged.contains(user)) co_return absl::InternalError("could not read block");
    for (const std::string& user : users)
      if (db_.accounts.contains(user)) found.emplace_back(user, Read(user));
    co_return found;
  }
  Task<absl::Status> Create(std::string user, Account account,
                            std::chrono::milliseconds reuse_after) override {
    const absl::Status begun = co_await db_.Begin("Create", true);
    if (!begun.ok()) co_return begun;
    const auto removed = db_.removed.find(user);
    const bool is_kept = removed != db_.removed.end() &&
                         removed->second.at_ms > db_.clock->UnixMillisNow() - reuse_after.count();
    if (is_kept || !db_.accounts.emplace(user, std::move(account.keys)).second)
      co_return absl::AlreadyExistsError("taken");
    db_.removed.erase(user);
    db_.generations[user] = account.generation;
    co_return db_.End();
  }
  Task<absl::Status> SetKeys(std::string user, Account before, Keys keys) override {
    const absl::Status begun = co_await db_.Begin("SetKeys", true);
    if (!begun.ok()) co_return begun;
    const Account now = db_.AccountOf(user);
    const auto is_same = [](const session::v1::ScramKey& a, const session::v1::ScramKey& b) {
      return a.SerializeAsString() == b.SerializeAsString();
    };
    if (!now.exists() || now.generation != before.generation ||
        !std::equal(now.keys.begin(), now.keys.end(), before.keys.begin(), before.keys.end(), is_same))
      co_return absl::AbortedError("the account has changed");
    db_.accounts[user] = std::move(keys);
    co_return db_.End();
  }
  Task<absl::Status> Remove(std::string user, std::uint64_t generation) override {
    const absl::Status begun = co_await db_.Begin("Remove", true);
    if (!begun.ok()) co_return begun;
    const Account now = db_.AccountOf(user);
    if (now.exists() && now.generation != generation) co_return db_.End();
    if (now.exists()) db_.removed[user] = {generation, db_.clock->UnixMillisNow()};
    db_.accounts.erase(user);
    db_.generations.erase(user);
    db_.offline.erase(user);
    db_.last.erase(user);
    std::erase_if(db_.packets, [&](const auto& entry) { return entry.first.owner == user; });
    std::erase_if(db_.parked, [&](const auto& entry) { return entry.first.owner == user; });
    co_return db_.End();
  }
  Task<absl::StatusOr<std::size_t>> ForgetRemoved(std::chrono::milliseconds age, std::size_t most) override {
    const absl::Status begun = co_await db_.Begin("ForgetRemoved", true);
    if (!begun.ok()) co_return begun;
    std::vector<std::pair<std::int64_t, std::string>> old;
    for (const auto& [user, removed] : db_.removed)
      if (removed.at_ms < db_.clock->UnixMillisNow() - age.count()) old.emplace_back(removed.at_ms, user);
    std::sort(old.begin(), old.end());
    if (old.size() > most) old.resize(most);
    for (const auto& [at_ms, user] : old) db_.removed.erase(user);
    if (const absl::Status end = db_.End(); !end.ok()) co_return end;
    co_return old.size();
  }
  Task<absl::StatusOr<bool>> Exists(std::string user) override {
    const absl::Status begun = co_await db_.Begin("Exists", false);
    if (!begun.ok()) co_return begun;
    co_return db_.accounts.contains(user);
  }
  Task<absl::Status> SetLastActivities(std::vector<UserActivity> activities) override {
    const absl::Status begun = co_await db_.Begin("SetLastActivities", true);
    if (!begun.ok()) co_return begun;
    for (UserActivity& activity : activities) {
      const Account now = db_.AccountOf(activity.user);
      if (!now.exists() || (activity.generation != 0 && activity.generation != now.generation)) continue;
      const auto [known, is_first] = db_.last.try_emplace(activity.user);
      if (is_first || known->second.unix_millis <= activity.last.unix_millis)
        known->second = std::move(activity.last);
    }
    co_return db_.End();
  }
  Task<absl::StatusOr<std::optional<LastActivity>>> GetLastActivity(std::string user) override {
    const absl::Status begun = co_await db_.Begin("GetLastActivity", false);
    if (!begun.ok()) co_return begun;
    const auto it = db_.last.find(user);
    co_return it == db_.last.end() ? std::nullopt : std::optional(it->second);
  }

 private:
  absl::StatusOr<Account> Read(const std::string& user) const {
    if (db_.unreadable.contains(user)) return absl::DataLossError("the account's keys cannot be read");
    return db_.AccountOf(user);
  }

  MemoryDatabase& db_;
};

class MemoryWaitingStore : public WaitingStore {
 public:
  explicit MemoryWaitingStore(MemoryDatabase& database)
      : db_(database), held_([this](std::uint32_t shard, std::int64_t epoch, std::int64_t above) {
          return Ask(shard, epoch, above);
        }) {}

  /// The messages and bytes that wait for a user, in all and of each sender.
  struct Filled {
    WaitingStore::Quota all;
    std::map<std::string, WaitingStore::Quota> of;
    void Add(const xmpp::Stanza& stanza) {
      for (WaitingStore::Quota* part : {&all, &of[std::string(xmpp::BareOf(stanza.from()))]}) {
        ++part->messages;
        part->bytes += static_cast<std::int64_t>(stanza.ByteSizeLong());
      }
    }
    bool Fits(const xmpp::Stanza& stanza, const WaitingStore::Quota& most) {
      const WaitingStore::Quota& own = of[std::string(xmpp::BareOf(stanza.from()))];
      return all.messages + own.messages <= most.messages && all.bytes + own.bytes <= most.bytes;
    }
  };
  Task<absl::StatusOr<std::vector<Stored>>> StoreOffline(const std::vector<OfflineWrite>& rows) override {
    const absl::Status begun = co_await db_.Begin("StoreOffline", true);
    if (!begun.ok()) co_return begun;
    if (db_.refuses && std::any_of(rows.begin(), rows.end(),
                                   [&](const OfflineWrite& row) { return db_.refuses(row.key.owner); }))
      co_return absl::InternalError("refused");
    const auto is_locked = [&](const OfflineWrite& row) { return db_.locks && db_.locks(row.key.owner); };
    if (std::any_of(rows.begin(), rows.end(), is_locked)) {
      co_await runtime::Sleep(std::chrono::seconds(5));
      co_return absl::DeadlineExceededError("canceling statement due to statement timeout");
    }
    std::vector<Stored> answers;
    // As one statement: the rows of a user are placed behind what waited before it.
    std::map<std::string, Filled> filled;
    for (const OfflineWrite& row : rows) {
      const std::string& owner = row.key.owner;
      if (!db_.accounts.contains(owner)) {
        answers.push_back(Stored::kNoSuchUser);
        continue;
      }
      auto& kept = db_.offline[owner];
      if (kept.contains(row.key.id)) {
        answers.push_back(Stored::kAlreadyThere);
        continue;
      }
      const auto [found, is_first] = filled.try_emplace(owner);
      if (is_first)
        for (const auto& [id, other] : kept)
          if (other.stanza) found->second.Add(*other.stanza);
      if (row.quota) {
        found->second.Add(*row.stanza);
        if (!found->second.Fits(*row.stanza, *row.quota)) {
          answers.push_back(Stored::kQuotaReached);
          continue;
        }
      }
      kept[row.key.id] = {row.received_at_ms, std::make_shared<xmpp::Stanza>(*row.stanza), std::nullopt};
      answers.push_back(Stored::kStored);
    }
    if (const absl::Status end = db_.End(); !end.ok()) co_return end;
    co_return answers;
  }
  Task<absl::Status> MarkGiven(const std::vector<RowKey>& rows) override {
    const absl::Status begun = co_await db_.Begin("MarkGiven", true);
    if (!begun.ok()) co_return begun;
    if (db_.refuses_marks) co_return absl::InternalError("refused");
    for (const RowKey& key : rows) {
      if (!db_.accounts.contains(key.owner)) continue;
      auto& row = db_.offline[key.owner][key.id];
      row.given_at_ms = db_.clock->UnixMillisNow();
      row.stanza = nullptr;
    }
    co_return db_.End();
  }
  Task<absl::Status> PurgeGiven(const std::vector<std::string>& owners, std::chrono::milliseconds age,
                                std::uint64_t up_to) override {
    const absl::Status begun = co_await db_.Begin("PurgeGiven", true);
    if (!begun.ok()) co_return begun;
    const std::int64_t before_ms = db_.clock->UnixMillisNow() - age.count();
    for (const std::string& owner : owners)
      if (const auto it = db_.offline.find(owner); it != db_.offline.end())
        std::erase_if(it->second, [&](const auto& row) {
          return row.second.given_at_ms && *row.second.given_at_ms < before_ms && row.first <= up_to;
        });
    co_return db_.End();
  }
  Task<absl::StatusOr<std::vector<OfflineMessage>>> LoadOffline(std::string owner, std::uint64_t after,
                                                                PageLimit limit) override {
    const absl::Status begun = co_await db_.Begin("LoadOffline", false);
    if (!begun.ok()) co_return begun;
    std::vector<OfflineMessage> messages;
    std::size_t bytes = 0;
    for (const auto& [id, row] : db_.offline[owner]) {
      if (id <= after || row.given_at_ms) continue;
      if (messages.size() >= limit.rows || bytes >= limit.bytes) break;
      bytes += row.stanza->ByteSizeLong();
      messages.push_back({id, row.received_at_ms, *row.stanza});
    }
    co_return messages;
  }
  Task<absl::StatusOr<std::vector<std::string>>> OwnersWaiting(
      const std::vector<std::string>& owners) override {
    const absl::Status begun = co_await db_.Begin("OwnersWaiting", false);
    if (!begun.ok()) co_return begun;
    std::vector<std::string> waiting = owners;
    std::erase_if(waiting, [this](const std::string& owner) { return db_.Waiting(owner) == 0; });
    co_return waiting;
  }
  Task<absl::StatusOr<FoundRows>> LoadRows(const std::vector<RowKey>& keys, std::size_t bytes) override {
    const absl::Status begun = co_await db_.Begin("LoadRows", false);
    if (!begun.ok()) co_return begun;
    if (db_.on_load_rows)
      if (const absl::Status fate = db_.on_load_rows(keys.size(), bytes); !fate.ok()) co_return fate;
    FoundRows page;
    std::size_t loaded = 0;
    for (const RowKey& key : keys) {
      const auto& rows = db_.offline[key.owner];
      const auto row = rows.find(key.id);
      if (row != rows.end() && !row->second.given_at_ms) {
        if (loaded >= bytes) co_return page;
        loaded += row->second.stanza->ByteSizeLong();
        page.rows.emplace_back(key.owner,
                               OfflineMessage{key.id, row->second.received_at_ms, *row->second.stanza});
      }
      ++page.answered;
    }
    co_return page;
  }

  Task<absl::Status> Claim(Writer writer) override { return held_.Claim(writer.shard, writer.epoch); }
  Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) override {
    return Send([shard](MemoryDatabase& db) { return SayWhoClaimed(db, shard); });
  }
  Task<absl::Status> KeepCursor(Writer writer, std::int64_t cursor) override {
    const absl::Status begun = co_await db_.Begin("KeepCursor", true);
    if (!begun.ok()) co_return begun;
    db_.cursors.Keep(writer.shard, writer.epoch, cursor);
    co_return db_.End();
  }
  Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) override {
    const absl::Status begun = co_await db_.Begin("FindCursor", false);
    if (!begun.ok()) co_return begun;
    co_return db_.cursors.Find(shard);
  }
  Task<absl::Status> StorePackets(Writer writer, const std::vector<PacketWrite>& packets) override {
    return Change("StorePackets", writer, [writer, packets](MemoryDatabase& db) {
      for (const PacketWrite& row : packets) {
        auto& packet = db.packets[row.session][row.packet.seq];
        packet = {writer, row.packet};
        packet.packet.stanza = std::make_shared<xmpp::Stanza>(*row.packet.stanza);
      }
    });
  }
  Task<absl::Status> RemovePackets(Writer writer, const std::vector<PacketsUpTo>& packets) override {
    return Change("RemovePackets", writer, [packets](MemoryDatabase& db) {
      for (const PacketsUpTo& upto : packets) RemoveRows(db, upto.session, upto.seq);
    });
  }
  Task<absl::Status> Park(Writer writer, const std::vector<ParkedSession>& sessions) override {
    return Change("Park", writer, [writer, sessions](MemoryDatabase& db) {
      for (const ParkedSession& session : sessions)
        db.parked[session.key] = {writer, session, db.clock->UnixMillisNow() + session.left.count()};
    });
  }
  Task<absl::Status> Unpark(Writer writer, const std::vector<SessionKey>& sessions) override {
    return Change("Unpark", writer, [sessions](MemoryDatabase& db) {
      for (const SessionKey& key : sessions) db.parked.erase(key);
    });
  }
  Task<absl::Status> RemoveSessions(Writer writer, const std::vector<SessionKey>& sessions) override {
    return Change("RemoveSessions", writer, [sessions](MemoryDatabase& db) {
      for (const SessionKey& key : sessions) {
        db.parked.erase(key);
        RemoveRows(db, key, ~std::uint64_t{0});
      }
    });
  }

  Task<absl::StatusOr<Page>> LoadPage(std::uint32_t shard, Place after, PageLimit limit) override {
    const absl::Status begun = co_await db_.Begin("LoadPage", false);
    if (!begun.ok()) co_return begun;
    co_return MakePage(shard, after, limit);
  }

 protected:
  /// Something to be done in the database, there and then; it owns what it needs. The answer is a number.
  using Statement = std::function<Task<absl::StatusOr<std::int64_t>>(MemoryDatabase&)>;
  /// Brings what concerns claims to the database, and its answer back.
  virtual Task<absl::StatusOr<std::int64_t>> Send(Statement statement) {
    return Make(db_, std::move(statement));
  }
  static Task<absl::StatusOr<std::int64_t>> Make(MemoryDatabase& db, Statement statement) {
    const absl::StatusOr<std::int64_t> answer = co_await statement(db);
    co_return answer;
  }

 private:
  Page MakePage(std::uint32_t shard, const Place& after, PageLimit limit) const {
    // The rows of both tables, in their common order.
    std::map<Place, std::pair<const MemoryDatabase::ParkedRow*, const MemoryDatabase::PacketRow*>> rows;
    for (const auto& [key, row] : db_.parked)
      if (row.writer.shard == shard && Place{key, -1} > after) rows[{key, -1}].first = &row;
    for (const auto& [key, packets] : db_.packets)
      for (const auto& [seq, row] : packets)
        if (const Place place{key, static_cast<std::int64_t>(seq)};
            row.writer.shard == shard && place > after)
          rows[place].second = &row;
    Page page;
    std::size_t bytes = 0, count = 0;
    for (const auto& [place, row] : rows) {
      if (count >= limit.rows || bytes >= limit.bytes) break;
      ++count;
      if (row.first != nullptr) {
        bytes += row.first->session.attach.ByteSizeLong();
        page.sessions.push_back(row.first->session);
        page.sessions.back().left =
            std::chrono::milliseconds(row.first->expires_at_ms - db_.clock->UnixMillisNow());
      } else {
        bytes += row.second->packet.stanza->ByteSizeLong();
        page.packets.push_back({place.session, row.second->packet});
      }
      page.next = place;
    }
    if (db_.on_page) db_.on_page(count);
    return page;
  }
  static void RemoveRows(MemoryDatabase& db, const SessionKey& key, std::uint64_t up_to) {
    const auto it = db.packets.find(key);
    if (it == db.packets.end()) return;
    std::erase_if(it->second, [&](const auto& row) { return row.first <= up_to; });
    if (it->second.empty()) db.packets.erase(it);
  }

  using Rows = std::function<void(MemoryDatabase&)>;
  /// Changes a shard's rows, under the claim of their writer.
  Task<absl::Status> Change(const char* call, Writer writer, Rows change) {
    pg::HeldClaims::Statement statement = [&](std::int64_t turn) {
      return ChangeIn(turn, call, writer, change);
    };
    const absl::Status changed = co_await held_.Execute(writer.shard, writer.epoch, std::move(statement));
    co_return changed;
  }
  Task<absl::StatusOr<bool>> ChangeIn(std::int64_t turn, const char* call, Writer writer, Rows change) {
    Statement statement = [=](MemoryDatabase& db) { return MakeChange(db, turn, call, writer, change); };
    const absl::StatusOr<std::int64_t> stood = co_await Send(std::move(statement));
    if (!stood.ok()) co_return stood.status();
    co_return *stood == 1;
  }
  static Task<absl::StatusOr<std::int64_t>> MakeChange(MemoryDatabase& db, std::int64_t turn,
                                                       const char* call, Writer writer, Rows change) {
    const absl::Status begun = co_await db.Begin(call, true);
    if (!begun.ok()) co_return begun;
    while (db.held && std::string_view(call) == "Park") co_await runtime::Sleep(std::chrono::milliseconds(1));
    const bool stands = db.claims.Stands(writer.shard, writer.epoch, turn);
    if (stands) change(db);
    if (const absl::Status end = db.End(); !end.ok()) co_return end;
    co_return stands ? 1 : 0;
  }
  Task<absl::StatusOr<std::optional<std::int64_t>>> Ask(std::uint32_t shard, std::int64_t epoch,
                                                        std::int64_t above) {
    Statement statement = [=](MemoryDatabase& db) { return MakeClaim(db, shard, epoch, above); };
    const absl::StatusOr<std::int64_t> turn = co_await Send(std::move(statement));
    if (!turn.ok()) co_return turn.status();
    co_return *turn < 0 ? std::nullopt : std::optional(*turn);
  }
  static Task<absl::StatusOr<std::int64_t>> MakeClaim(MemoryDatabase& db, std::uint32_t shard,
                                                      std::int64_t epoch, std::int64_t above) {
    const absl::Status begun = co_await db.Begin("Claim", true);
    if (!begun.ok()) co_return begun;
    const std::int64_t turn = db.claims.Claim(shard, epoch, above).value_or(-1);
    if (const absl::Status end = db.End(); !end.ok()) co_return end;
    co_return turn;
  }
  static Task<absl::StatusOr<std::int64_t>> SayWhoClaimed(MemoryDatabase& db, std::uint32_t shard) {
    const absl::Status begun = co_await db.Begin("ClaimedBy", false);
    if (!begun.ok()) co_return begun;
    co_return db.claims.ClaimedBy(shard);
  }

  MemoryDatabase& db_;
  pg::HeldClaims held_;
};

}  // namespace rookery::session_manager
