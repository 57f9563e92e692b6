#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/runtime/task.h"

namespace rookery::search {

/// As events.v1.MessageDirection has it. What an account sends to itself is received.
enum class Direction : std::uint8_t { kReceived = 1, kSent = 2 };

/// The type of a message (RFC 6121 section 5.2.2). Those of type error are in no archive. The numbers are
/// kept.
enum class MessageKind : std::uint8_t { kNormal = 0, kChat = 1, kGroupchat = 2, kHeadline = 3 };

/// The record that a message follows from, as events.v1.Origin has it.
struct ArchiveOrigin {
  /// An events.v1.Topic.
  std::int32_t topic = 0;
  std::uint32_t partition = 0;
  std::int64_t offset = 0;
  bool operator==(const ArchiveOrigin&) const = default;
};

/// A message of an archive (XEP-0313 section 3). `owner`, `id` and `received_at_ms` never change, and no
/// other message has the same: they name its event.
struct ArchivedMessage {
  /// Whose archive: the bare JID of an account or a room.
  std::string owner;
  /// Its place in the archive: pages are in this order, whatever the ids and times are. From 0 and below
  /// 2^62, and in an archive no two are the same. What is appended later has a higher one, so nothing appears
  /// in front of what somebody has already read.
  std::int64_t position = 0;
  /// Its name, which clients know (XEP-0359). From 1 and below 2^53. Says nothing about the order, and may be
  /// given again with another time once the log of accounts or rooms was made anew: then it means the later
  /// message, that with the highest position.
  std::uint64_t id = 0;
  /// Milliseconds since 1970, as the record has it. Times are taken to be in the order of positions to within
  /// kMaxDisorderMs.
  std::int64_t received_at_ms = 0;
  /// Which account of the owner's name, or which room. A later one has a higher number.
  std::uint64_t generation = 0;
  /// The other party, for `with`: whom it is from, or to if it was sent.
  std::string peer;
  std::string peer_resource;
  Direction direction = Direction::kReceived;
  MessageKind kind = MessageKind::kChat;
  ArchiveOrigin origin;
  /// A serialised common.v1.Stanza. The store does not look into it.
  std::string stanza;
  bool operator==(const ArchivedMessage&) const = default;
};

enum class Appended : std::uint8_t {
  kNew,
  /// Its event was there: nothing is changed, whatever else the row says, and its place is the first one.
  kKnown,
  /// It is older than what is kept (ForgetBefore), and was not stored.
  kTooOld,
  /// It cannot be stored: something of it is beyond a limit (IsStorable), another message of that time has
  /// its position, or the database will never take it. Who has asked logs and counts it.
  kRefused,
};

/// What takes the place of a message that was retracted or moderated (XEP-0424, XEP-0425).
struct Replacement {
  std::string owner;
  std::uint64_t id = 0;
  std::uint64_t generation = 0;
  std::string stanza;
};

/// What is to go of an archive: those rows for which all that is given holds.
struct Erasure {
  std::string owner;
  /// The account of this generation was removed: its rows, and those of earlier ones.
  std::optional<std::uint64_t> up_to_generation;
  /// What follows from this record or from one before it in its partition.
  std::optional<ArchiveOrigin> up_to_origin;
  std::optional<std::int64_t> received_before_ms;
};

struct Erased {
  std::size_t rows = 0;
  /// From which position on rows were not looked at; nothing: all were.
  std::optional<std::int64_t> next_position;
};

/// Which messages of one archive are asked for (XEP-0313 section 4.1): those for which all of it holds.
struct ArchiveFilter {
  static constexpr std::uint64_t kMaxId = (std::uint64_t{1} << 53) - 1;
  static constexpr std::int64_t kMaxPosition = (std::int64_t{1} << 62) - 1;
  static constexpr std::size_t kMaxIds = 256;
  static constexpr std::size_t kMaxCount = 10'000;
  /// How much later a message may have been received than one with a higher position. With `start` or `end`,
  /// messages of archives in which the clocks were further apart may be missing.
  static constexpr std::int64_t kMaxDisorderMs = 5 * 60 * 1000;

  std::string owner;
  /// Only this one's messages are seen.
  std::uint64_t generation = 0;
  /// Bounds of positions, both within. No message need be there.
  std::int64_t first_position = 0;
  std::int64_t last_position = kMaxPosition;
  /// The form's `after-id` and `before-id`, both not within. Nothing is behind or before an id that is not in
  /// the archive.
  std::optional<std::uint64_t> after_id;
  std::optional<std::uint64_t> before_id;
  /// The form's `ids`: nothing but these. At most kMaxIds.
  std::optional<std::vector<std::uint64_t>> ids;
  /// The form's `with`. Without a resource: any.
  std::optional<std::string> peer;
  std::optional<std::string> peer_resource;
  /// The form's `start` and `end`, both within.
  std::optional<std::int64_t> start_ms;
  std::optional<std::int64_t> end_ms;
  /// Messages of type groupchat, too.
  bool has_groupchat = true;
};

/// A page of them (XEP-0059).
struct PageRequest {
  static constexpr std::size_t kMaxRows = 1'000;

  ArchiveFilter filter;
  /// RSM's `after` and `before`, both not within.
  std::optional<std::uint64_t> after;
  std::optional<std::uint64_t> before;
  /// The last ones of those rather than the first.
  bool from_the_end = false;
  /// At most kMaxRows; 0: whether there are any.
  std::size_t max_rows = 50;
  /// Of stanzas. The first row is given, however long it is.
  std::size_t max_bytes = std::size_t{1} << 20;
};

struct ArchivePage {
  /// In the order of positions, whichever end they are from.
  std::vector<ArchivedMessage> messages;
  /// There are others beyond the page: behind it, or before it with `from_the_end`.
  bool has_more = false;
};

struct BoundedCount {
  std::size_t rows = 0;
  /// False: there are more than that.
  bool is_exact = true;
};

/// The first and the last message by position (XEP-0313 section 5).
struct ArchiveBounds {
  struct Place {
    std::uint64_t id = 0;
    std::int64_t received_at_ms = 0;
    bool operator==(const Place&) const = default;
  };
  Place first, last;
  bool operator==(const ArchiveBounds&) const = default;
};

struct OwnerPage {
  /// In the order of bytes.
  std::vector<std::string> owners;
  /// The last one that was looked at; empty: it was the last one of all.
  std::string next;
};

/// The archives of accounts and rooms on disk. What changes them is under the claim of the shard's owner;
/// what reads them is not. I/O thread only. Errors are those of pg::Pool, and those that are named. After one
/// of these nothing is lost: what was to be written may be written again.
class ArchiveStore {
 public:
  virtual ~ArchiveStore() = default;

  // ---- shards ----

  /// From now on nobody but the owner of this epoch changes the shard's archives, however late a statement of
  /// an older one is done. May be said again. FAILED_PRECONDITION: a newer one has claimed it.
  virtual Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch) = 0;
  /// The epoch that has claimed the shard, or -1.
  virtual Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) = 0;
  /// Up to which record the shard is finished. Changes nothing where a newer owner has said it.
  virtual Task<absl::Status> KeepCursor(std::uint32_t shard, std::int64_t epoch, std::int64_t cursor) = 0;
  /// As it was said last, or -1.
  virtual Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) = 0;

  // ---- what changes archives ----
  // FAILED_PRECONDITION: the shard is not claimed by this owner, or by a newer one since. UNAVAILABLE,
  // DEADLINE_EXCEEDED, ABORTED: it may have been done, and is to be said again.

  /// Stores messages of the shard's archives, of any number of owners in any order, and answers for each. At
  /// most kMaxAppended rows with kMaxAppendedBytes of stanzas (INVALID_ARGUMENT). One that the database will
  /// never take (pg::IsOfItsData) holds back none of the others; with any other error some may have been
  /// stored.
  static constexpr std::size_t kMaxAppended = 1'000;
  static constexpr std::size_t kMaxAppendedBytes = std::size_t{8} << 20;
  virtual Task<absl::StatusOr<std::vector<Appended>>> Append(std::uint32_t shard, std::int64_t epoch,
                                                             std::vector<ArchivedMessage> messages) = 0;
  /// Whether each message was there. Of two for the same one the last holds. As many at a time as Append
  /// takes.
  virtual Task<absl::StatusOr<std::vector<bool>>> Replace(std::uint32_t shard, std::int64_t epoch,
                                                          std::vector<Replacement> replacements) = 0;
  /// Looks at no more than `max_rows` rows of the archive from the position on, and erases those that are
  /// meant. To be asked for again from `next_position` on, until there is none. What is appended later is not
  /// erased.
  virtual Task<absl::StatusOr<Erased>> Erase(std::uint32_t shard, std::int64_t epoch, Erasure erasure,
                                             std::int64_t from_position, std::size_t max_rows) = 0;

  // ---- all archives ----
  // By any process, and by several.

  /// Nothing that was received before is seen or stored any more, for ever: an earlier time than one that was
  /// said before changes nothing. UNAVAILABLE: that holds, and some of what is not seen takes space yet,
  /// since it is being read; to be said again.
  virtual Task<absl::Status> ForgetBefore(std::int64_t at_ms) = 0;
  /// Has space made for what is received from the one time to the other, so that nobody who stores it waits
  /// for that. INVALID_ARGUMENT: for more than kMaxPeriodsAhead periods.
  static constexpr std::size_t kMaxPeriodsAhead = 400;
  virtual Task<absl::Status> MakeSpace(std::int64_t from_ms, std::int64_t to_ms) = 0;
  /// Those of the next `max` owners behind `after` who are of the domain. Costs as much as there are owners.
  virtual Task<absl::StatusOr<OwnerPage>> FindOwners(std::string domain, std::string after,
                                                     std::size_t max) = 0;

  // ---- questions ----
  // INVALID_ARGUMENT: more rows or ids than may be asked for at a time.

  /// NOT_FOUND: `ids`, `after_id`, `before_id`, `after` or `before` name a message that is not in the
  /// archive; one that is and does not match the rest is as good as any (XEP-0313 section 4.1.3).
  virtual Task<absl::StatusOr<ArchivePage>> FindPage(PageRequest request) = 0;
  /// How many match, as far as `at_most`; that ids are there is not looked at.
  virtual Task<absl::StatusOr<BoundedCount>> Count(ArchiveFilter filter, std::size_t at_most) = 0;
  /// The first and the last one from the position on; nothing: there is none.
  virtual Task<absl::StatusOr<std::optional<ArchiveBounds>>> FindBounds(std::string owner,
                                                                        std::uint64_t generation,
                                                                        std::int64_t first_position) = 0;
  virtual Task<absl::StatusOr<bool>> Has(std::string owner, std::uint64_t generation, std::uint64_t id) = 0;
};

}  // namespace rookery::search
