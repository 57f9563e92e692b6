#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/runtime/task.h"
#include "rookery/session/v1/session_link_service.pb.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

/// Stanzas that wait longer than the delivery window holds them: for a user who is
/// away (XEP-0160), or for one session whose client does not answer (XEP-0198); and
/// the sessions whose connection is lost. Every method: UNAVAILABLE or
/// DEADLINE_EXCEEDED when the store is away; each is safe to repeat.
class WaitingStore {
 public:
  virtual ~WaitingStore() = default;

  /// A message for the user's next session.
  struct OfflineMessage {
    /// The offset of its record plus 1: storing one again changes nothing, even after
    /// it was given, since what was given stays as a mark for some minutes.
    std::uint64_t id = 0;
    std::int64_t received_at_ms = 0;
    xmpp::Stanza stanza;
  };
  enum class Stored { kStored, kAlreadyThere, kNoSuchUser, kQuotaReached };
  virtual Task<absl::StatusOr<Stored>> StoreOffline(std::string owner, OfflineMessage message,
                                                    std::int64_t quota) = 0;
  /// Those with ids above `after`, oldest first.
  virtual Task<absl::StatusOr<std::vector<OfflineMessage>>> LoadOffline(std::string owner,
                                                                        std::uint64_t after,
                                                                        std::int64_t limit) = 0;
  /// Those of the owners for whom something waits.
  virtual Task<absl::StatusOr<std::vector<std::string>>> OwnersWaiting(std::vector<std::string> owners) = 0;
  struct RowKey {
    std::string owner;
    std::uint64_t id = 0;
  };
  /// Those of the rows that are there and not marked as given, in any order, with their owners.
  virtual Task<absl::StatusOr<std::vector<std::pair<std::string, OfflineMessage>>>> LoadRows(
      std::vector<RowKey> keys) = 0;
  virtual Task<absl::Status> MarkOfflineGiven(std::string owner, std::vector<std::uint64_t> ids) = 0;
  /// Forgets marks that are older than `before_ms`.
  virtual Task<absl::Status> PurgeOfflineGiven(std::string owner, std::int64_t before_ms) = 0;

  /// A packet of one session that was not acknowledged in time.
  struct SessionPacket {
    std::uint64_t seq = 0;
    std::int64_t offset = -1;
    /// The offline message that it is, or 0.
    std::uint64_t offline_id = 0;
    bool primary = false;
    bool to_each = false;
    std::int64_t received_at_ms = 0;
    xmpp::Stanza stanza;
  };
  virtual Task<absl::Status> StorePackets(std::uint32_t shard, std::string owner, std::string session,
                                          std::vector<SessionPacket> packets) = 0;
  virtual Task<absl::Status> RemovePackets(std::string owner, std::string session,
                                           std::uint64_t up_to_seq) = 0;

  /// A session whose connection is lost, as its next owner needs it.
  struct ParkedSession {
    std::string owner;
    std::string session;
    session::v1::SessionAttach attach;
    std::int64_t expires_at_ms = 0;
  };
  virtual Task<absl::Status> Park(std::uint32_t shard, ParkedSession session) = 0;
  /// Removes a parked session: it was resumed. Its packets stay until acknowledged.
  virtual Task<absl::Status> Unpark(std::string owner, std::string session) = 0;
  /// Removes a session and its packets: it has ended.
  virtual Task<absl::Status> RemoveSession(std::string owner, std::string session) = 0;

  /// Everything that waits for sessions of the shard.
  struct Shard {
    struct Packet {
      std::string owner;
      std::string session;
      SessionPacket packet;
    };
    std::vector<ParkedSession> sessions;
    std::vector<Packet> packets;  // by owner, session, seq
  };
  virtual Task<absl::StatusOr<Shard>> LoadShard(std::uint32_t shard) = 0;
};

}  // namespace rookery::session_manager
