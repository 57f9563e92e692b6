#pragma once

#include <memory>
#include <string_view>

#include "domain/outbound/consequences.h"
#include "domain/state/cause.h"
#include "domain/state/sender.h"
#include "domain/state/user.h"
#include "rookery/base/clock.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Deliverer;
struct SessionManagerMetrics;

/// Tells a client about a stanza that it has sent. I/O thread only.
class ClientAnswers final : public Consequences::RefusalListener {
 public:
  ClientAnswers(const Clock& clock, SessionManagerMetrics& metrics, Deliverer& deliverer)
      : clock_(clock), metrics_(metrics), deliverer_(deliverer) {}

  /// Answers the sender with an error, unless the stanza is one.
  void Refuse(const Sender& sender, const Cause& cause, const xmpp::Stanza& stanza,
              xmpp::ErrorCondition condition, std::string_view text = {});
  /// Gives the sender's client an answer, once, whoever owns the shard when the cause is handled.
  void Answer(const Sender& sender, const Cause& cause, xmpp::Stanza answer);
  void OnRefused(const std::shared_ptr<Session>& session, const xmpp::Stanza& stanza,
                 xmpp::ErrorCondition condition, std::string_view text) override;

 private:
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  Deliverer& deliverer_;
};

}  // namespace rookery::session_manager
