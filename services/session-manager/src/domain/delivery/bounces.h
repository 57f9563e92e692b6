#pragma once

#include <memory>
#include <string_view>

#include "domain/delivery/delivery.h"
#include "domain/records/cause.h"
#include "domain/records/shard.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Consequences;
struct SessionManagerMetrics;

/// Errors to the senders of what nobody gets; never to an error or a result. I/O thread only.
class Bounces {
 public:
  Bounces(SessionManagerMetrics& metrics, Consequences& consequences)
      : metrics_(metrics), consequences_(consequences) {}

  /// Of what came in a record that is not finished.
  void Bounce(Shard& shard, const Delivery& delivery, xmpp::ErrorCondition condition,
              std::string_view text = {});
  /// Of what a session has left that has ended: its record may be finished.
  void BounceEnded(Shard& shard, const std::shared_ptr<EndWrites>& end, const Delivery& delivery,
                   xmpp::ErrorCondition condition, std::string_view text = {});

 private:
  void Append(Shard& shard, Cause cause, const Delivery& delivery, xmpp::ErrorCondition condition,
              std::string_view text);

  SessionManagerMetrics& metrics_;
  Consequences& consequences_;
};

}  // namespace rookery::session_manager
