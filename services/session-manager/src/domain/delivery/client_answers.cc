#include "domain/delivery/client_answers.h"

#include "domain/delivery/deliverer.h"
#include "domain/metrics.h"
#include "domain/state/shard.h"

namespace rookery::session_manager {

using xmpp::ErrorCondition;

void ClientAnswers::Refuse(const Sender& sender, const Cause& cause, const xmpp::Stanza& stanza,
                           ErrorCondition condition, std::string_view text) {
  if (stanza.type() == "error" || (stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "result"))
    return;
  metrics_.bounced.Increment();
  Answer(sender, cause, xmpp::MakeError(stanza, condition, text));
}

void ClientAnswers::Answer(const Sender& sender, const Cause& cause, xmpp::Stanza answer) {
  if (!sender.session || sender.session->ended()) return;
  if (cause.offset < 0) {
    deliverer_.Reply(*sender.session, std::move(answer));
    return;
  }
  auto delivery = std::make_shared<Delivery>();
  // An error in the name of somebody else keeps its place among what comes from there.
  delivery->is_answer = answer.from().empty() || xmpp::BareOf(answer.from()) == sender.user.bare;
  delivery->stanza.Swap(&answer);
  delivery->offset = cause.offset;
  delivery->received_at_ms = clock_.UnixMillisNow();
  delivery->trace_id = cause.trace_id;
  deliverer_.SendRecord(*sender.session, delivery, /*primary=*/false,
                        sender.user.shard->IsBeforeFence(cause.offset));
}

void ClientAnswers::OnRefused(const std::shared_ptr<Session>& session, const xmpp::Stanza& stanza,
                              ErrorCondition condition, std::string_view text) {
  Refuse({*session->user, session}, {}, stanza, condition, text);
}

}  // namespace rookery::session_manager
