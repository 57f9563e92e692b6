#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "domain/addresses.h"
#include "domain/metrics.h"
#include "domain/state/cause.h"
#include "domain/state/part_numbers.h"
#include "domain/state/shard.h"
#include "google/protobuf/repeated_field.h"
#include "rookery/base/clock.h"
#include "rookery/events/homes.h"
#include "rookery/events/v1/origin.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/sharding/fanout.h"
#include "rookery/sharding/follow_up_writer.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Confirmations;
class FeatureHooks;
struct Settings;

/// Puts into the log what follows from a cause, with the origin that lets its reader tell a
/// repetition. The cause stays open until the log has it: a client's stanza is confirmed, a record
/// finished, only then. After its shard is released nothing is appended: the next owner does that.
///
/// A stanza that the log refuses is an error for the client who has sent it to somebody. Whatever we say
/// ourselves (presence, answers, errors, copies, the archive's events) is said again
/// (sharding::FollowUpWriter), unless something newer was said since. I/O thread only.
class Consequences {
 public:
  /// Tells a client that the log does not take its stanza.
  class RefusalListener {
   public:
    virtual void OnRefused(const std::shared_ptr<Session>& session, const xmpp::Stanza& stanza,
                           xmpp::ErrorCondition condition, std::string_view text) = 0;

   protected:
    ~RefusalListener() = default;
  };
  /// Knows what was said since.
  class News {
   public:
    /// Takes out of a stanza that was refused some time ago the recipients to whom something newer was said
    /// since. `recipients` null: it is for `stanza.to`. True: nobody is left.
    virtual bool RemoveOutdated(Shard& shard, const xmpp::Stanza& stanza,
                                google::protobuf::RepeatedPtrField<std::string>* recipients) = 0;
    /// The session's presence is refused. What this returns, unless it is empty, is called when the log has
    /// it.
    virtual std::function<void()> OnRefused(const std::shared_ptr<Session>& session,
                                            const xmpp::Stanza& presence) = 0;

   protected:
    ~News() = default;
  };

  Consequences(const Settings& settings, sharding::FollowUpWriter& follow_ups, const Addresses& addresses,
               const Clock& clock, SessionManagerMetrics& metrics, const FeatureHooks& features,
               Confirmations& confirmations)
      : settings_(settings),
        follow_ups_(follow_ups),
        addresses_(addresses),
        clock_(clock),
        metrics_(metrics),
        features_(features),
        confirmations_(confirmations) {}
  /// Both before anything is appended.
  void SetRefusalListener(RefusalListener& listener) { refusals_ = &listener; }
  void SetNews(News& news) { news_ = &news; }
  bool is_wired() const { return refusals_ != nullptr && news_ != nullptr; }

  /// Appends a stanza where the home of `stanza.to` is: to the shard of a user, or to that of a room or of
  /// the service of rooms. Nothing where nobody reads: for a virtual host itself, or who is not ours. `then`:
  /// told the record's offset, or -1 when the log does not have it and we do not say it again.
  void AppendDelivery(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                      std::function<void(std::int64_t)> then = {});
  /// Appends one stanza to many: one record for each shard that has users among them, and one for each
  /// address of rooms.
  void AppendFanout(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                    const std::vector<std::string>& recipients);
  /// AppendFanout on behalf of the stanza's sender, a user of `from`, but for recipients whom a feature keeps
  /// from hearing it. While nobody has the user's entry, nothing is known of them, and all hear it.
  void AppendBroadcast(Shard& from, Cause& cause, const xmpp::Stanza& stanza,
                       std::vector<std::string> recipients);
  /// Returns a number for a stanza to one address of several, by what is said to whom: the next owner may
  /// know of fewer addresses that are to hear it, or of more.
  static std::uint32_t PartFor(const xmpp::Stanza& stanza, std::string_view address);
  /// Sets the record's origin. `then`: as above.
  void AppendRecord(Shard& from, Cause& cause, std::uint32_t partition, std::string_view key,
                    events::v1::UserRecord& record, std::function<void(std::int64_t)> then = {});
  /// For the services that read `topic`. Sets the event's origin, if its type has one: it follows from the
  /// record `offset`, which is not finished until the log has it; -1: from none.
  template <typename Event>
  void AppendEvent(Shard& from, events::Topic topic, std::string_view key, Event& event,
                   std::int64_t offset) {
    follow_ups_.Append(from, {offset, part_numbers::kEvent},
                       {topic, addresses_.topology().PartitionOf(topic, key), key}, event,
                       [](Shard&, std::int64_t) {});
  }

 private:
  /// Where a record goes.
  struct Place {
    events::Topic topic;
    std::uint32_t partition;
    /// True: we say it again when the log refuses it. False: a client sent it, and is told.
    bool is_ours;
  };
  /// Does what is due when the log has a record, or refuses it.
  struct FollowUp;
  template <typename Record>
  void Append(Shard& from, Cause& cause, const Place& place, std::string_view key, Record& record,
              std::function<void(std::int64_t)> then);
  /// Returns the cause that the record of `origin` follows from, which is open from now on.
  sharding::FollowUpWriter::Cause Open(Shard& from, Cause& cause, events::v1::Origin& origin);
  template <typename Record>
  void AppendStanza(Shard& from, Cause& cause, const Place& place, const xmpp::Stanza& stanza,
                    std::function<void(std::int64_t)> then = {});
  /// Those of a fan-out that are no users. `part`: what came last before it.
  void AppendToRooms(Shard& from, Cause& cause, std::uint32_t part, const xmpp::Stanza& stanza,
                     std::vector<sharding::Recipient>& rooms);

  const Settings& settings_;
  sharding::FollowUpWriter& follow_ups_;
  const Addresses& addresses_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const FeatureHooks& features_;
  Confirmations& confirmations_;
  RefusalListener* refusals_ = nullptr;
  News* news_ = nullptr;
};

}  // namespace rookery::session_manager
