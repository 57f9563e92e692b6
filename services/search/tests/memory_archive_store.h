#pragma once

// PostgreSQL's part in memory, for tests and simulations. It passes the suite that PostgreSQL passes
// (archive_store_scenarios.h). One MemoryArchiveDatabase is shared by all processes of a test; each store is
// one process's way into it. Tables are open: tests look into them.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "domain/archive_rules.h"
#include "ports/archive_store.h"
#include "rookery/pg/shard_claims.h"
#include "rookery/testing/memory_claims.h"
#include "rookery/xmpp/jid.h"

namespace rookery::search {

class MemoryArchiveDatabase {
 public:
  // ---- faults ----

  /// While set every call fails so and nothing is done: the server is away, its disk is full.
  absl::Status failure;
  /// While set, calls that change something are made and their answers are lost (DEADLINE_EXCEEDED).
  bool is_ambiguous = false;
  /// Awaited at the start of each call ("Append", "FindPage", …): makes the server slow, or acts in between.
  std::function<Task<void>(std::string_view call)> on_call;

  // ---- tables ----

  struct Archive {
    std::map<std::int64_t, ArchivedMessage> by_position;
    /// Where each event is, by its id and time.
    std::map<std::pair<std::uint64_t, std::int64_t>, std::int64_t> positions;

    using Row = std::map<std::int64_t, ArchivedMessage>::iterator;
    Row Remove(Row row) {
      positions.erase({row->second.id, row->second.received_at_ms});
      return by_position.erase(row);
    }
  };
  /// By owner.
  std::map<std::string, Archive> archives;
  std::int64_t kept_from_ms = 0;
  testing::MemoryClaims claims;
  testing::MemoryCursors cursors;

  // ---- what tests count ----

  std::map<std::string, int, std::less<>> calls;

 private:
  friend class MemoryArchiveStore;

  /// The fate of a call before it is made; OK: it is made.
  Task<absl::Status> Begin(std::string call) {
    ++calls[call];
    if (on_call) {
      // Named, so that the function lives as long as the coroutine that it makes.
      const std::function<Task<void>(std::string_view)> wait = on_call;
      co_await wait(call);
    }
    co_return failure;
  }
  /// The answer to a call that has changed something.
  absl::Status End() const {
    return is_ambiguous ? absl::DeadlineExceededError("no answer") : absl::OkStatus();
  }
};

class MemoryArchiveStore final : public ArchiveStore {
 public:
  explicit MemoryArchiveStore(MemoryArchiveDatabase& database)
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

  Task<absl::StatusOr<std::vector<Appended>>> Append(std::uint32_t shard, std::int64_t epoch,
                                                     std::vector<ArchivedMessage> messages) override {
    std::vector<Appended> answers;
    if (messages.empty()) co_return answers;
    std::size_t bytes = 0;
    for (const ArchivedMessage& message : messages) bytes += message.stanza.size();
    if (messages.size() > kMaxAppended || bytes > kMaxAppendedBytes)
      co_return absl::InvalidArgumentError("too much at a time");
    const absl::Status done = co_await Change("Append", shard, epoch, [&] {
      for (ArchivedMessage& message : messages) answers.push_back(Store(std::move(message)));
    });
    if (!done.ok()) co_return done;
    co_return answers;
  }

  Task<absl::StatusOr<std::vector<bool>>> Replace(std::uint32_t shard, std::int64_t epoch,
                                                  std::vector<Replacement> replacements) override {
    std::size_t bytes = 0;
    for (const Replacement& one : replacements) bytes += one.stanza.size();
    if (replacements.size() > kMaxAppended || bytes > kMaxAppendedBytes)
      co_return absl::InvalidArgumentError("too much at a time");
    std::vector<bool> answers;
    if (replacements.empty()) co_return answers;
    const absl::Status done = co_await Change("Replace", shard, epoch, [&] {
      for (Replacement& one : replacements) {
        ArchivedMessage* message = Find(one.owner, one.generation, one.id);
        answers.push_back(message != nullptr);
        if (message != nullptr) message->stanza = std::move(one.stanza);
      }
    });
    if (!done.ok()) co_return done;
    co_return answers;
  }

  Task<absl::StatusOr<Erased>> Erase(std::uint32_t shard, std::int64_t epoch, Erasure erasure,
                                     std::int64_t from_position, std::size_t max_rows) override {
    if (max_rows == 0) co_return absl::InvalidArgumentError("no rows at a time");
    Erased erased;
    const absl::Status done = co_await Change("Erase", shard, epoch, [&] {
      auto& archive = db_.archives[erasure.owner];
      auto it = archive.by_position.lower_bound(from_position);
      for (std::size_t i = 0; i < max_rows && it != archive.by_position.end(); ++i) {
        if (i + 1 == max_rows) erased.next_position = it->first + 1;
        if (IsMeant(erasure, it->second)) {
          it = archive.Remove(it);
          ++erased.rows;
        } else {
          ++it;
        }
      }
    });
    if (!done.ok()) co_return done;
    co_return erased;
  }

  Task<absl::Status> ForgetBefore(std::int64_t at_ms) override {
    const absl::Status status = co_await db_.Begin("ForgetBefore");
    if (!status.ok()) co_return status;
    db_.kept_from_ms = std::max(db_.kept_from_ms, at_ms);
    for (auto& [owner, archive] : db_.archives)
      for (auto it = archive.by_position.begin(); it != archive.by_position.end();)
        it = it->second.received_at_ms < db_.kept_from_ms ? archive.Remove(it) : std::next(it);
    co_return db_.End();
  }
  Task<absl::Status> MakeSpace(std::int64_t from_ms, std::int64_t to_ms) override {
    std::size_t spans = 0;
    for (auto span = PeriodOf(std::max(from_ms, kFirstPeriodMs), ArchivePeriod::kMonth);
         span && span->from_ms <= to_ms; span = PeriodOf(span->to_ms, ArchivePeriod::kMonth))
      if (++spans > kMaxPeriodsAhead) co_return absl::InvalidArgumentError("too many periods ahead");
    co_return co_await db_.Begin("MakeSpace");
  }
  Task<absl::StatusOr<OwnerPage>> FindOwners(std::string domain, std::string after,
                                             std::size_t max) override {
    const absl::Status status = co_await db_.Begin("FindOwners");
    if (!status.ok()) co_return status;
    OwnerPage page;
    std::size_t looked_at = 0;
    for (auto it = db_.archives.upper_bound(after); it != db_.archives.end() && looked_at < max; ++it) {
      if (it->second.by_position.empty()) continue;
      ++looked_at;
      if (xmpp::DomainOf(it->first) == domain) page.owners.push_back(it->first);
      page.next = it->first;
    }
    if (looked_at < max) page.next.clear();
    co_return page;
  }

  Task<absl::StatusOr<ArchivePage>> FindPage(PageRequest request) override {
    const absl::Status status = co_await db_.Begin("FindPage");
    if (!status.ok()) co_return status;
    if (!IsAnswerable(request)) co_return absl::InvalidArgumentError("too much is asked for");
    const NamedIds named = NamedIdsOf(request);
    for (const std::uint64_t id : named.all)
      if (Find(request.filter.owner, request.filter.generation, id) == nullptr)
        co_return absl::NotFoundError("no such message in the archive");
    std::vector<ArchivedMessage> found = Matching(request.filter, named);
    if (request.from_the_end) std::ranges::reverse(found);
    ArchivePage page;
    std::size_t bytes = 0;
    for (ArchivedMessage& message : found) {
      bytes += message.stanza.size();
      page.has_more =
          page.messages.size() == request.max_rows || (!page.messages.empty() && bytes > request.max_bytes);
      if (page.has_more) break;
      page.messages.push_back(std::move(message));
    }
    if (request.from_the_end) std::ranges::reverse(page.messages);
    co_return page;
  }
  Task<absl::StatusOr<BoundedCount>> Count(ArchiveFilter filter, std::size_t at_most) override {
    const absl::Status status = co_await db_.Begin("Count");
    if (!status.ok()) co_return status;
    if (at_most > ArchiveFilter::kMaxCount || (filter.ids && filter.ids->size() > ArchiveFilter::kMaxIds))
      co_return absl::InvalidArgumentError("too much is asked for");
    const std::size_t found = Matching(filter, NamedIdsOf(filter)).size();
    const BoundedCount count{std::min(found, at_most), found <= at_most};
    co_return count;
  }
  Task<absl::StatusOr<std::optional<ArchiveBounds>>> FindBounds(std::string owner, std::uint64_t generation,
                                                                std::int64_t first_position) override {
    const absl::Status status = co_await db_.Begin("FindBounds");
    if (!status.ok()) co_return status;
    ArchiveFilter filter;
    filter.owner = owner;
    filter.generation = generation;
    filter.first_position = first_position;
    const std::vector<ArchivedMessage> found = Matching(filter, NamedIdsOf(filter));
    std::optional<ArchiveBounds> bounds;
    if (!found.empty())
      bounds = ArchiveBounds{{found.front().id, found.front().received_at_ms},
                             {found.back().id, found.back().received_at_ms}};
    co_return bounds;
  }
  Task<absl::StatusOr<bool>> Has(std::string owner, std::uint64_t generation, std::uint64_t id) override {
    const absl::Status status = co_await db_.Begin("Has");
    if (!status.ok()) co_return status;
    co_return Find(owner, generation, id) != nullptr;
  }

 private:
  using Archive = MemoryArchiveDatabase::Archive;

  Task<absl::StatusOr<std::optional<std::int64_t>>> Ask(std::uint32_t shard, std::int64_t epoch,
                                                        std::int64_t above) {
    const absl::Status status = co_await db_.Begin("Claim");
    if (!status.ok()) co_return status;
    co_return db_.claims.Claim(shard, epoch, above);
  }
  Task<absl::Status> Change(std::string call, std::uint32_t shard, std::int64_t epoch,
                            std::function<void()> change) {
    pg::HeldClaims::Statement statement = [&](std::int64_t turn) -> Task<absl::StatusOr<bool>> {
      const absl::Status status = co_await db_.Begin(call);
      if (!status.ok()) co_return status;
      const bool stands = db_.claims.Stands(shard, epoch, turn);
      if (stands) change();
      const absl::Status end = db_.End();
      if (!end.ok()) co_return end;
      co_return stands;
    };
    const absl::Status done = co_await held_.Execute(shard, epoch, std::move(statement));
    co_return done;
  }

  /// As far as tests go: what is not UTF-8 has a byte that UTF-8 never has.
  static bool IsText(std::string_view text) {
    return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0xF8; });
  }
  Appended Store(ArchivedMessage message) {
    message.received_at_ms = StorableTime(message.received_at_ms);
    if (!IsStorable(message) || !IsText(message.owner) || !IsText(message.peer) ||
        !IsText(message.peer_resource))
      return Appended::kRefused;
    if (message.received_at_ms < db_.kept_from_ms) return Appended::kTooOld;
    Archive& archive = db_.archives[message.owner];
    const std::pair event(message.id, message.received_at_ms);
    if (archive.positions.contains(event)) return Appended::kKnown;
    // Two at one place: whoever asks has counted wrongly.
    const std::int64_t position = message.position;
    if (!archive.by_position.emplace(position, std::move(message)).second) return Appended::kRefused;
    archive.positions.emplace(event, position);
    return Appended::kNew;
  }
  /// The newest message of that name.
  ArchivedMessage* Find(const std::string& owner, std::uint64_t generation, std::uint64_t id) {
    const auto found = db_.archives.find(owner);
    if (found == db_.archives.end()) return nullptr;
    Archive& archive = found->second;
    ArchivedMessage* newest = nullptr;
    for (auto it = archive.positions.lower_bound({id, 0});
         it != archive.positions.end() && it->first.first == id; ++it) {
      ArchivedMessage& message = archive.by_position.at(it->second);
      if (message.generation == generation && (newest == nullptr || newest->position < message.position))
        newest = &message;
    }
    return newest;
  }
  /// What the question's bounds and the ids that it names leave.
  PositionRange RangeOf(const ArchiveFilter& filter, const NamedIds& named) {
    PositionRange range = PositionRangeOf(filter);
    for (const std::uint64_t id : named.after) {
      const ArchivedMessage* found = Find(filter.owner, filter.generation, id);
      range.first = std::max(range.first, (found ? found->position : ArchiveFilter::kMaxPosition) + 1);
    }
    for (const std::uint64_t id : named.before) {
      const ArchivedMessage* found = Find(filter.owner, filter.generation, id);
      range.last = std::min(range.last, (found ? found->position : 0) - 1);
    }
    return range;
  }
  static bool IsMeant(const Erasure& erasure, const ArchivedMessage& message) {
    if (erasure.up_to_generation && message.generation > *erasure.up_to_generation) return false;
    if (erasure.up_to_origin && (message.origin.topic != erasure.up_to_origin->topic ||
                                 message.origin.partition != erasure.up_to_origin->partition ||
                                 message.origin.offset > erasure.up_to_origin->offset))
      return false;
    return !erasure.received_before_ms || message.received_at_ms < *erasure.received_before_ms;
  }
  bool Matches(const ArchiveFilter& filter, const PositionRange& range, const ArchivedMessage& message) {
    return message.generation == filter.generation && message.position >= range.first &&
           message.position <= range.last &&
           // Of several of one name only the newest is meant.
           (!filter.ids || (std::ranges::find(*filter.ids, message.id) != filter.ids->end() &&
                            Find(filter.owner, filter.generation, message.id) == &message)) &&
           (!filter.peer || message.peer == *filter.peer) &&
           (!filter.peer_resource || message.peer_resource == *filter.peer_resource) &&
           (!filter.start_ms || message.received_at_ms >= *filter.start_ms) &&
           (!filter.end_ms || message.received_at_ms <= *filter.end_ms) &&
           (filter.has_groupchat || message.kind != MessageKind::kGroupchat);
  }
  std::vector<ArchivedMessage> Matching(const ArchiveFilter& filter, const NamedIds& named) {
    const PositionRange range = RangeOf(filter, named);
    std::vector<ArchivedMessage> found;
    const auto archive = db_.archives.find(filter.owner);
    if (archive == db_.archives.end()) return found;
    for (const auto& [position, message] : archive->second.by_position)
      if (Matches(filter, range, message)) found.push_back(message);
    return found;
  }

  MemoryArchiveDatabase& db_;
  pg::HeldClaims held_;
};

}  // namespace rookery::search
