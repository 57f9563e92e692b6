#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "domain/addresses.h"
#include "domain/metrics.h"
#include "domain/records/cause.h"
#include "domain/records/shards.h"
#include "google/protobuf/message_lite.h"
#include "rookery/base/clock.h"
#include "rookery/events/homes.h"
#include "rookery/events/v1/origin.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/sharding/fanout.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Confirmations;
class FeatureHooks;
class RefusedRecords;

/// Puts into the log what follows from a cause, with the origin that lets its reader tell a
/// repetition. The cause stays open until the log has it: a client's stanza is confirmed, a record
/// finished, only then. After its shard is released nothing is appended: the next owner does that.
///
/// What the log refuses is an error for the client whose stanza it was; what we say ourselves is said again
/// (RefusedRecords). I/O thread only.
class Consequences {
 public:
  /// Tells a client that the log does not take its stanza.
  class Refusals {
   public:
    virtual void OnRefused(const std::shared_ptr<Session>& session, const xmpp::Stanza& stanza,
                           xmpp::ErrorCondition condition, std::string_view text) = 0;

   protected:
    ~Refusals() = default;
  };

  Consequences(sharding::ShardOwner& owner, const Shards& shards, const Addresses& addresses,
               const Clock& clock, SessionManagerMetrics& metrics, const FeatureHooks& features,
               Confirmations& confirmations, RefusedRecords& refused)
      : owner_(owner),
        shards_(shards),
        addresses_(addresses),
        clock_(clock),
        metrics_(metrics),
        features_(features),
        confirmations_(confirmations),
        refused_(refused) {}
  /// Before anything is appended for a client.
  void SetRefusals(Refusals& refusals) { refusals_ = &refusals; }
  bool is_wired() const { return refusals_ != nullptr; }

  /// Appends a stanza where the home of `stanza.to` is: to the shard of a user, or to that of a room or of
  /// the service of rooms. Nothing where nobody reads: for a virtual host itself, or who is not ours.
  void AppendDelivery(Shard& from, Cause& cause, const xmpp::Stanza& stanza);
  /// Appends one stanza to many: one record for each shard that has users among them, and one for each
  /// address of rooms.
  void AppendFanout(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                    const std::vector<std::string>& recipients);
  /// The same on behalf of the stanza's sender, a user of `from`: without those whom a feature keeps from
  /// hearing it. While nobody has the user's entry, nothing is known of them, and all hear it.
  void AppendBroadcast(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                       std::vector<std::string> recipients);
  /// Sets the record's origin. `then`, of a client's stanza, and of what follows from nothing but a decision
  /// of ours: told the record's offset, or -1 when the log has refused it and we do not say it again.
  void AppendRecord(Shard& from, Cause& cause, std::uint32_t partition, std::string_view key,
                    events::v1::UserRecord& record, std::function<void(std::int64_t)> then = {});
  /// Of an event that follows from the record `offset` of the shard.
  void FillOrigin(Shard& from, std::int64_t offset, events::v1::Origin& origin) const {
    owner_.FillOrigin(from, offset, /*part=*/0, origin);
  }
  /// For the services that read `topic`. Holds the record `holds_offset`, if it is one (>= 0), until the
  /// log has it.
  void AppendEvent(Shard& from, events::Topic topic, std::string_view key,
                   const google::protobuf::MessageLite& event, std::int64_t holds_offset);

 private:
  /// Where a record goes.
  struct Place {
    events::Topic topic;
    std::uint32_t partition;
    /// Whether the log's refusal is ours to mend. Otherwise it is what a client has sent to somebody.
    bool is_ours;
  };
  /// A record of a topic whose records have an origin.
  struct Outgoing {
    Place place;
    std::string_view key;
    const google::protobuf::MessageLite& record;
    /// The record's.
    events::v1::Origin& origin;
  };
  template <typename Record>
  void Append(Shard& from, Cause& cause, const Place& place, std::string_view key, Record& record,
              std::function<void(std::int64_t)> then);
  void Append(Shard& from, Cause& cause, const Outgoing& outgoing, std::function<void(std::int64_t)> then);
  template <typename Record>
  void AppendStanza(Shard& from, Cause& cause, const Place& place, const xmpp::Stanza& stanza);
  /// Those of a fan-out that are no users. `part`: what came last before it.
  void AppendToRooms(Shard& from, Cause& cause, std::uint32_t part, const xmpp::Stanza& stanza,
                     std::vector<sharding::Recipient>& rooms);
  void FillOrigin(Shard& from, Cause& cause, events::v1::Origin& origin) const;
  /// The log does not take what follows from a client's stanza: is that ours to say again? Then the stanza is
  /// confirmed when the log has it.
  bool SayAgainForClient(const std::shared_ptr<Session>& session, std::uint64_t count, const Place& place,
                         const absl::Status& status);
  /// Otherwise the client is told.
  void Refuse(const std::shared_ptr<Session>& session, const Place& place, const absl::Status& status);

  sharding::ShardOwner& owner_;
  const Shards& shards_;
  const Addresses& addresses_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const FeatureHooks& features_;
  Confirmations& confirmations_;
  RefusedRecords& refused_;
  Refusals* refusals_ = nullptr;
};

}  // namespace rookery::session_manager
