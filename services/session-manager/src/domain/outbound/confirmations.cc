#include "domain/outbound/confirmations.h"

#include <boost/asio/post.hpp>

#include "domain/outbound/link_actions.h"

namespace rookery::session_manager {

void Confirmations::Finish(const std::shared_ptr<Session>& session, std::uint64_t count) {
  if (!session->inbound.Close(count)) return;
  ConfirmLater(session);
  if (!session->inbound.is_all_confirmed()) return;
  const bool is_awaited = session->phase() == SessionPhase::kClosing || session->rare().resume_waits ||
                          (session->is_resumable() && IsAway(session->phase()));
  if (!is_awaited) return;
  // Not from within the handling of its last stanza.
  asio::post(executor_, [this, session] {
    if (!session->ended() && session->inbound.is_all_confirmed()) listener_->OnAllConfirmed(session);
  });
}

void Confirmations::ConfirmLater(const std::shared_ptr<Session>& session) {
  if (session->confirm_due) return;
  session->confirm_due = true;
  to_confirm_.push_back(session);
  if (is_posted_) return;
  is_posted_ = true;
  asio::post(executor_, [this] { SendConfirms(); });
}

void Confirmations::SendConfirms() {
  is_posted_ = false;
  for (const auto& session : std::exchange(to_confirm_, {})) {
    session->confirm_due = false;
    if (session->ended() || session->gateway == nullptr) continue;
    // It is said later (ConfirmLater): what the gateway drops when it is confirmed, the state has to say.
    session->awaits_state = session->is_state_due;
    if (session->row.misleads || session->is_state_due) continue;
    AddAction(*session).mutable_confirmed()->set_count(session->inbound.confirmed());
  }
}

}  // namespace rookery::session_manager
