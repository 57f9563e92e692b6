#pragma once

// PostgreSQL's part in memory, for tests and simulations. It passes the suite that PostgreSQL passes
// (room_store_scenarios.h). One MemoryRoomDatabase is shared by all processes of a test; each store is one
// process's way into it. Tables are open: tests look into them.

#include <algorithm>
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

#include "domain/room/room_listing.h"
#include "ports/room_store.h"
#include "rookery/pg/shard_claims.h"
#include "rookery/runtime/event.h"
#include "rookery/testing/memory_claims.h"
#include "rookery/xmpp/jid.h"

namespace rookery::muc {

class MemoryRoomDatabase {
 public:
  // ---- faults ----

  /// While set every call fails (UNAVAILABLE), as when the server is away.
  bool is_down = false;
  /// While set, calls that change something are made and their answers are lost (DEADLINE_EXCEEDED).
  bool is_ambiguous = false;
  /// Something of these rooms cannot be read (DATA_LOSS).
  std::set<std::string> unreadable;
  /// Awaited at the start of each call ("Claim", "Load", "Save", "List", "Reserve"): makes the server
  /// slow, or acts in between.
  std::function<Task<void>(std::string_view call)> on_call;
  /// From now on calls are made and their answers wait.
  void HoldAnswers() { is_held_ = true; }
  void ReleaseAnswers() {
    is_held_ = false;
    if (released_) released_->Notify();
  }
  /// How many answers wait.
  std::size_t held() const { return held_; }

  // ---- tables ----

  struct Room {
    std::int64_t applied = -1;
    std::int64_t epoch = -1;
    v1::RoomState state;
    std::int64_t bytes = 0;
    RoomListing listing;
    std::map<std::string, v1::Affiliated> affiliations;
    std::map<std::string, v1::Occupant> occupants;
    std::map<std::uint64_t, v1::PastMessage> history;
  };
  std::map<std::string, Room> rooms;
  struct Destroyed {
    std::uint32_t shard = 0;
    std::int64_t applied = -1;
    std::int64_t epoch = -1;
  };
  /// And not made again.
  std::map<std::string, Destroyed> destroyed;
  /// By creator: rooms that may be made and are not here yet.
  std::set<std::pair<std::string, std::string>> reserved;
  testing::MemoryClaims claims;
  testing::MemoryCursors cursors;

  // ---- what tests count ----

  /// Calls so far.
  std::map<std::string, int, std::less<>> calls;

 private:
  friend class MemoryRoomStore;

  /// The fate of a call before it is made; OK: it is made.
  Task<absl::Status> Begin(std::string call) {
    ++calls[call];
    if (on_call) {
      // Named, so that the function lives as long as the coroutine that it makes.
      const std::function<Task<void>(std::string_view)> wait = on_call;
      co_await wait(call);
    }
    co_return is_down ? absl::UnavailableError("the database is away") : absl::OkStatus();
  }
  /// The answer to a call that was made.
  Task<absl::Status> End(bool changes) {
    if (is_held_ && !released_) {
      const asio::any_io_executor executor = co_await asio::this_coro::executor;
      released_ = std::make_unique<runtime::Event>(executor);
    }
    ++held_;
    while (is_held_) co_await released_->Wait();
    --held_;
    co_return changes&& is_ambiguous ? absl::DeadlineExceededError("no answer") : absl::OkStatus();
  }

  bool is_held_ = false;
  std::size_t held_ = 0;
  std::unique_ptr<runtime::Event> released_;
};

class MemoryRoomStore final : public RoomStore {
 public:
  explicit MemoryRoomStore(MemoryRoomDatabase& database)
      : db_(database), held_([this](std::uint32_t shard, std::int64_t epoch, std::int64_t above) {
          return Ask(shard, epoch, above);
        }) {}

  Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch) override {
    return held_.Claim(shard, epoch);
  }

  Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) override {
    const absl::Status status = co_await db_.Begin("ClaimedBy");
    if (!status.ok()) co_return status;
    co_return db_.claims.ClaimedBy(shard);
  }

  Task<absl::Status> KeepCursor(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override {
    const absl::Status status = co_await db_.Begin("KeepCursor");
    if (!status.ok()) co_return status;
    db_.cursors.Keep(shard, epoch, cursor);
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) override {
    const absl::Status status = co_await db_.Begin("FindCursor");
    if (!status.ok()) co_return status;
    co_return db_.cursors.Find(shard);
  }

  Task<absl::StatusOr<Loaded>> Load(std::uint32_t, std::vector<std::string> rooms,
                                    std::size_t max_bytes) override {
    absl::Status status = co_await db_.Begin("Load");
    if (!status.ok()) co_return status;
    if (rooms.size() > kMaxLoaded) co_return absl::InvalidArgumentError("too many rooms at a time");
    Loaded loaded;
    std::vector<StoredRoom>& found = loaded.rooms;
    std::size_t bytes = 0;
    for (const std::string& name : rooms) {
      const bool is_twice = std::any_of(found.begin(), found.end(),
                                        [&](const StoredRoom& known) { return known.room == name; });
      if (const auto known = db_.rooms.find(name); known != db_.rooms.end())
        bytes += static_cast<std::size_t>(known->second.bytes);
      if (loaded.looked_for > 0 && bytes > max_bytes) break;
      ++loaded.looked_for;
      if (is_twice) continue;
      if (db_.unreadable.contains(name)) co_return absl::DataLossError("a room cannot be read");
      if (const auto gone = db_.destroyed.find(name); gone != db_.destroyed.end()) {
        StoredRoom& stored = found.emplace_back();
        stored.room = name;
        stored.applied = gone->second.applied;
        stored.epoch = gone->second.epoch;
        stored.is_destroyed = true;
      }
      const auto it = db_.rooms.find(name);
      if (it == db_.rooms.end()) continue;
      const MemoryRoomDatabase::Room& room = it->second;
      StoredRoom& stored = found.emplace_back();
      stored.room = name;
      stored.applied = room.applied;
      stored.epoch = room.epoch;
      stored.state = room.state;
      for (const auto& [jid, entry] : room.affiliations) stored.affiliations.push_back(entry);
      for (const auto& [nick, occupant] : room.occupants) stored.occupants.push_back(occupant);
      for (const auto& [id, message] : room.history) stored.history.push_back(message);
    }
    status = co_await db_.End(false);
    if (!status.ok()) co_return status;
    co_return loaded;
  }

  Task<absl::Status> Save(std::uint32_t shard, std::int64_t epoch, RoomChanges changes) override {
    const absl::Status saved =
        co_await Change("Save", shard, epoch, [&] { MakeSave(shard, epoch, changes); });
    co_return saved;
  }

  Task<absl::Status> ForgetDestroyed(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) override {
    const absl::Status forgotten =
        co_await Change("ForgetDestroyed", shard, epoch, [&] { MakeForgetDestroyed(shard, cursor); });
    co_return forgotten;
  }

  Task<absl::StatusOr<RoomPage>> List(RoomQuery query) override {
    absl::Status status = co_await db_.Begin("List");
    if (!status.ok()) co_return status;
    absl::StatusOr<RoomPage> page = MakePage(query);
    status = co_await db_.End(false);
    if (!status.ok()) co_return status;
    co_return page;
  }

  Task<absl::StatusOr<std::string>> Secret() override { co_return std::string(32, 's'); }
  Task<absl::StatusOr<bool>> Reserve(std::string room, std::string creator, std::int64_t most) override {
    absl::Status status = co_await db_.Begin("Reserve");
    if (!status.ok()) co_return status;
    std::set<std::string> made{room};
    const std::string_view service = xmpp::DomainOf(room);
    for (const auto& [name, kept] : db_.rooms)
      if (kept.state.creator() == creator && xmpp::DomainOf(name) == service) made.insert(name);
    for (const auto& [account, name] : db_.reserved)
      if (account == creator && xmpp::DomainOf(name) == service) made.insert(name);
    const bool may_make = static_cast<std::int64_t>(made.size()) <= most;
    if (may_make) db_.reserved.emplace(creator, room);
    status = co_await db_.End(true);
    if (!status.ok()) co_return status;
    co_return may_make;
  }

  // ---- what changes do where the claim stands ----

  void MakeSave(std::uint32_t shard, std::int64_t epoch, const RoomChanges& changes) {
    if (changes.is_new || changes.is_destroyed) db_.rooms.erase(changes.room);
    if (changes.is_destroyed) {
      db_.destroyed[changes.room] = {shard, changes.applied, epoch};
    } else {
      Write(epoch, changes);
    }
  }
  void MakeForgetDestroyed(std::uint32_t shard, std::int64_t cursor) {
    std::erase_if(db_.destroyed, [&](const auto& entry) {
      return entry.second.shard == shard && entry.second.applied < cursor;
    });
  }

 private:
  Task<absl::StatusOr<std::optional<std::int64_t>>> Ask(std::uint32_t shard, std::int64_t epoch,
                                                        std::int64_t above) {
    absl::Status status = co_await db_.Begin("Claim");
    if (!status.ok()) co_return status;
    const std::optional<std::int64_t> turn = db_.claims.Claim(shard, epoch, above);
    status = co_await db_.End(true);
    if (!status.ok()) co_return status;
    co_return turn;
  }
  /// `change` is made if the claim stands.
  Task<absl::Status> Change(const char* call, std::uint32_t shard, std::int64_t epoch,
                            std::function<void()> change) {
    pg::HeldClaims::Statement statement = [&](std::int64_t turn) {
      return ChangeIn(call, shard, epoch, turn, change);
    };
    const absl::Status changed = co_await held_.Execute(shard, epoch, std::move(statement));
    co_return changed;
  }
  Task<absl::StatusOr<bool>> ChangeIn(const char* call, std::uint32_t shard, std::int64_t epoch,
                                      std::int64_t turn, std::function<void()> change) {
    absl::Status status = co_await db_.Begin(call);
    if (!status.ok()) co_return status;
    const bool stands = db_.claims.Stands(shard, epoch, turn);
    if (stands) change();
    status = co_await db_.End(true);
    if (!status.ok()) co_return status;
    co_return stands;
  }

  void Write(std::int64_t epoch, const RoomChanges& changes) {
    db_.destroyed.erase(changes.room);
    std::erase_if(db_.reserved, [&](const auto& entry) { return entry.second == changes.room; });
    MemoryRoomDatabase::Room& room = db_.rooms[changes.room];
    room.applied = changes.applied;
    room.epoch = epoch;
    room.state = changes.state;
    room.bytes = changes.bytes;
    room.listing = ListingOf(changes);
    for (const std::string& jid : changes.forgotten_affiliations) room.affiliations.erase(jid);
    for (const v1::Affiliated& entry : changes.affiliations) {
      room.affiliations.erase(entry.jid());
      if (entry.affiliation() != v1::AFFILIATION_NONE || !entry.nick().empty() || entry.version() != 0)
        room.affiliations[entry.jid()] = entry;
    }
    for (const std::string& nick : changes.gone_nicks) room.occupants.erase(nick);
    for (const v1::Occupant& occupant : changes.occupants) room.occupants[occupant.nick()] = occupant;
    for (const v1::PastMessage& message : changes.history) room.history[message.archive_id()] = message;
    std::erase_if(room.history, [&](const auto& entry) { return entry.first < changes.history_from; });
  }

  static bool HasAll(const RoomListing& listing, const RoomQuery& query,
                     const std::vector<std::string>& words) {
    return std::all_of(words.begin(), words.end(), [&](const std::string& word) {
      const auto is_in = [&](bool is_asked, const std::string& field) {
        return is_asked && field.find(word) != std::string::npos;
      };
      return is_in(query.in_name, listing.search_name) ||
             is_in(query.in_description, listing.search_description) ||
             is_in(query.in_address, listing.search_address);
    });
  }

  absl::StatusOr<RoomPage> MakePage(const RoomQuery& query) const {
    const absl::StatusOr<std::vector<std::string>> words = WordsOf(query);
    if (!words.ok()) return words.status();
    // In their order.
    using Key = std::pair<std::int64_t, std::string>;
    const auto key_of = [&](const ListedRoom& room) {
      return Key(query.sort_key == RoomQuery::SortKey::kAddress ? 0 : -room.occupants, room.room);
    };
    std::map<Key, ListedRoom> all;
    for (const auto& [name, room] : db_.rooms) {
      if (room.listing.is_listed && room.listing.service == query.service &&
          room.listing.shown.occupants >= query.min_occupants && HasAll(room.listing, query, *words))
        all.emplace(key_of(room.listing.shown), room.listing.shown);
    }
    const auto most = std::max<std::int64_t>(query.max, 0);
    const auto count = static_cast<std::int64_t>(all.size());
    std::int64_t first = std::max<std::int64_t>(query.index.value_or(0), 0);
    std::int64_t end = count;
    const std::string neighbour =
        query.index ? std::string() : query.before.value_or(query.after.value_or(std::string()));
    if (!neighbour.empty()) {
      Key key(0, neighbour);
      if (query.sort_key == RoomQuery::SortKey::kOccupants) {
        const auto room = db_.rooms.find(neighbour);
        if (room == db_.rooms.end() || !room->second.listing.is_listed ||
            room->second.listing.service != query.service)
          return absl::NotFoundError("the room is not listed");
        key.first = -room->second.listing.shown.occupants;
      }
      if (query.before) {
        end = std::distance(all.begin(), all.lower_bound(key));
      } else {
        first = std::distance(all.begin(), all.upper_bound(key));
      }
    }
    if (!query.index && query.before) first = std::max<std::int64_t>(end - most, 0);
    end = std::min(end, first + std::min(most, count));
    RoomPage page;
    page.count = count;
    if (first < end) page.first_index = first;
    for (std::int64_t i = first; i < end; ++i) page.rooms.push_back(std::next(all.begin(), i)->second);
    return page;
  }

  MemoryRoomDatabase& db_;
  pg::HeldClaims held_;
};

}  // namespace rookery::muc
