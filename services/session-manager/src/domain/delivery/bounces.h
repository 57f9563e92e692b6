#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "domain/state/cause.h"
#include "domain/state/delivery.h"
#include "domain/state/shard.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Consequences;
struct SessionManagerMetrics;

/// Errors to the senders of what nobody gets; never to an error or a result. I/O thread only.
class Bounces {
 public:
  Bounces(SessionManagerMetrics& metrics, Consequences& consequences)
      : metrics_(metrics), consequences_(consequences) {}

  /// Whether the sender can be told at all.
  static bool CanTell(const Delivery& delivery);
  /// Bounces a stanza that came in a record that is not finished.
  void Bounce(Shard& shard, const Delivery& delivery, xmpp::ErrorCondition condition,
              std::string_view text = {});
  /// Bounces a stanza that a session left when it ended: the stanza's record may be finished.
  void BounceEnded(Shard& shard, const std::shared_ptr<EndWrites>& end, const Delivery& delivery,
                   xmpp::ErrorCondition condition, std::string_view text = {});
  /// Puts on record that the user's message is kept for nobody: where that is read its sender is told
  /// (README.md, S8). `then`: told whether the log has it; if it has not, and never will, nobody is told.
  void BounceByRecord(Shard& shard, std::string_view user, const Delivery& delivery,
                      xmpp::ErrorCondition condition, std::string_view text, std::function<void(bool)> then);

 private:
  void Append(Shard& shard, Cause cause, const Delivery& delivery, xmpp::ErrorCondition condition,
              std::string_view text);

  SessionManagerMetrics& metrics_;
  Consequences& consequences_;
};

}  // namespace rookery::session_manager
