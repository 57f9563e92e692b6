#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/runtime/task.h"
#include "rookery/session/v1/session_link_service.pb.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

/// Stanzas that wait longer than the delivery window holds them: for a user who is away (XEP-0160),
/// or for one session whose client does not answer (XEP-0198); and the sessions whose connection is
/// lost. A call is one statement with the rows of many users; the caller bounds it. Each is safe to
/// repeat, as a whole or row by row, and nobody relies on its being done for all of its users or for none.
/// Parameters by reference live until the call is over.
///
/// Sessions and their packets are fenced: those of a shard are changed by the writer that has claimed it
/// last, and by nobody else, however late a statement is done. One whose answer did not come may still be
/// done seconds later, but no more once another fenced one of this writer has been answered with OK. Offline
/// messages need no fence: a row's name is the record that it came from, so that every owner writes the same.
///
/// Errors: UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED: the store is away or too
/// busy, and the write was made or was not. FAILED_PRECONDITION: the writer has not claimed the shard, or a
/// newer one has since, and nothing was changed. Anything else comes again when it is tried again.
class WaitingStore {
 public:
  virtual ~WaitingStore() = default;

  /// The owner of a shard, as it writes.
  struct Writer {
    std::uint32_t shard = 0;
    std::int64_t epoch = -1;
    bool operator==(const Writer&) const = default;
  };
  struct SessionKey {
    std::string owner;
    std::string session;
    auto operator<=>(const SessionKey&) const = default;
  };
  struct PageLimit {
    std::size_t rows = 500;
    /// The size of the stanzas in it; one row is given whatever its size.
    std::size_t bytes = 2 * 1024 * 1024;
  };
  using SharedStanza = std::shared_ptr<const xmpp::Stanza>;

  // ---- messages for users who are away ----

  /// The offset of its record plus 1 names a message of a user. Storing one again changes nothing, even
  /// after it was given, since what was given stays as a mark for some minutes.
  struct RowKey {
    std::string owner;
    std::uint64_t id = 0;
    auto operator<=>(const RowKey&) const = default;
  };
  /// The most that may wait for a user. What a message's own sender has there counts twice: so each may take
  /// half of what others leave, and no stranger all of it.
  struct Quota {
    std::int64_t messages = 0;
    /// The size of the serialised stanzas.
    std::int64_t bytes = 0;
  };
  struct OfflineWrite {
    RowKey key;
    std::int64_t received_at_ms = 0;
    SharedStanza stanza;
    /// None: it is stored whatever waits already.
    std::optional<Quota> quota;
  };
  enum class Stored { kStored, kAlreadyThere, kNoSuchUser, kQuotaReached };
  /// An answer for each row, in their order.
  virtual Task<absl::StatusOr<std::vector<Stored>>> StoreOffline(const std::vector<OfflineWrite>& rows) = 0;
  /// They wait no more. A mark also keeps out a message that is on its way into the store.
  virtual Task<absl::Status> MarkGiven(const std::vector<RowKey>& rows) = 0;
  /// Forgets marks of these users that are older than `age` by the store's clock, up to that of row `up_to`.
  virtual Task<absl::Status> PurgeGiven(const std::vector<std::string>& owners, std::chrono::milliseconds age,
                                        std::uint64_t up_to) = 0;

  struct OfflineMessage {
    std::uint64_t id = 0;
    std::int64_t received_at_ms = 0;
    xmpp::Stanza stanza;
  };
  /// Those with ids above `after`, oldest first. Empty: there are no more.
  virtual Task<absl::StatusOr<std::vector<OfflineMessage>>> LoadOffline(std::string owner,
                                                                        std::uint64_t after,
                                                                        PageLimit limit) = 0;
  /// Those of the owners for whom something waits.
  virtual Task<absl::StatusOr<std::vector<std::string>>> OwnersWaiting(
      const std::vector<std::string>& owners) = 0;
  struct FoundRows {
    /// In the order of their keys, with their owners.
    std::vector<std::pair<std::string, OfflineMessage>> rows;
    /// So many of the keys are answered: what is not among the rows waits no more, or never did.
    std::size_t answered = 0;
  };
  /// Those of the rows that wait, as many as have together about `bytes`; one is given whatever its size.
  virtual Task<absl::StatusOr<FoundRows>> LoadRows(const std::vector<RowKey>& keys, std::size_t bytes) = 0;

  // ---- sessions and their packets ----

  /// From now on the shard's rows are this writer's to change. May be said again. FAILED_PRECONDITION: a
  /// newer one has claimed it.
  virtual Task<absl::Status> Claim(Writer writer) = 0;
  /// The epoch that has claimed the shard, or -1.
  virtual Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard) = 0;
  /// Up to which record the shard is finished. Changes nothing where a newer writer has said it.
  virtual Task<absl::Status> KeepCursor(Writer writer, std::int64_t cursor) = 0;
  /// As it was said last, or -1.
  virtual Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t shard) = 0;

  /// A packet of one session that was not acknowledged in time.
  struct SessionPacket {
    std::uint64_t seq = 0;
    std::int64_t offset = -1;
    /// The offline message that it is, or 0.
    std::uint64_t offline_id = 0;
    bool primary = false;
    bool to_each = false;
    /// The client of another session that it went to has it: it needs no way to anybody when this one ends.
    bool reached = false;
    std::int64_t received_at_ms = 0;
    /// The ids of the other sessions that it went to, one behind the other.
    std::string given_to;
    SharedStanza stanza;
  };
  struct PacketWrite {
    SessionKey session;
    SessionPacket packet;
  };
  virtual Task<absl::Status> StorePackets(Writer writer, const std::vector<PacketWrite>& packets) = 0;
  struct PacketsUpTo {
    SessionKey session;
    std::uint64_t seq = 0;
  };
  virtual Task<absl::Status> RemovePackets(Writer writer, const std::vector<PacketsUpTo>& packets) = 0;

  /// A session whose connection is lost, as its next owner needs it.
  struct ParkedSession {
    SessionKey key;
    session::v1::SessionAttach attach;
    /// How long its client may still come back, from when the store is asked; 0 or less: no longer. The store
    /// measures it: the clocks of two owners may be hours apart.
    std::chrono::milliseconds left{0};
  };
  virtual Task<absl::Status> Park(Writer writer, const std::vector<ParkedSession>& sessions) = 0;
  /// They were resumed. Their packets stay until acknowledged.
  virtual Task<absl::Status> Unpark(Writer writer, const std::vector<SessionKey>& sessions) = 0;
  /// They have ended: nothing of them stays.
  virtual Task<absl::Status> RemoveSessions(Writer writer, const std::vector<SessionKey>& sessions) = 0;

  // ---- a change of owner ----

  /// A place in the order of a shard's rows: a session, then its packets. Owners are compared byte
  /// by byte, so that who has read up to here knows whose rows are still to come.
  struct Place {
    SessionKey session;
    std::int64_t seq = -1;
    auto operator<=>(const Place&) const = default;
  };
  struct Page {
    std::vector<ParkedSession> sessions;
    std::vector<PacketWrite> packets;
    /// Where the next page begins; none: there are no more.
    std::optional<Place> next;
  };
  /// Loads what waits for sessions of the shard, after `after`.
  virtual Task<absl::StatusOr<Page>> LoadPage(std::uint32_t shard, Place after, PageLimit limit) = 0;
};

}  // namespace rookery::session_manager
