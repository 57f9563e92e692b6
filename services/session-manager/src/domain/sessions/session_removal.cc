#include "domain/sessions/session_removal.h"

#include <boost/asio/this_coro.hpp>
#include <functional>
#include <string>
#include <utility>

#include "domain/delivery/message_routes.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/session_closer.h"
#include "domain/delivery/session_rows.h"
#include "domain/features/feature_hooks.h"
#include "domain/metrics.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/presence/presence_tracker.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_parker.h"
#include "domain/state/shards.h"
#include "domain/users/users.h"
#include "rookery/runtime/event.h"

namespace rookery::session_manager {

void SessionRemoval::Remove(const std::shared_ptr<Session>& session, const events::v1::SessionEnded& ended,
                            Cause* cause) {
  User& user = *session->user;
  const std::shared_ptr<Shard> shard = shards_.Shared(user.shard->number);
  GatewayPeer* const gateway = session->gateway;
  session->end_record = cause != nullptr ? cause->offset : -1;
  // The one that its client has left must not bring it back.
  if (GatewayPeer* left = gateways_.Find(session->rare().left_gateway); left != nullptr && left != gateway)
    AddAction(*left, session->id, *shard).mutable_ended()->set_condition("conflict");
  live_.Enter(*session, SessionPhase::kEnded);
  gateways_.Assign(*session, nullptr);
  directory_.Ended(*session);
  metrics_.sessions_ended.Increment();
  live_.Remove(session);
  if (cause != nullptr) presence_.OnSessionEnd(user, *session, *cause);
  features_.Tell(&LifeHook::OnSessionEnded, *session);
  routes_.Abandon(user, *session);
  session->inbound_order.reset();
  marks_.MarkEnded(session);
  // Its gateway forgets it when its packets are gone from the store: nobody could tell those that its
  // client has had from those that it has not.
  if (session->has_rows) rows_.Remove(*session);
  if (gateway != nullptr) TellEnded(session, *gateway, ended);
  // The store forgets the session when it has what the session's rows may be the last trace of; the
  // record of the end is there until then, so that the next owner does the same.
  const std::int64_t offset = session->end_record;
  if (offset >= 0) {
    shard->window.Hold(offset);
    parker_.OnEndRead(*session);
  }
  shard->Spawn("session.finish_end",
               FinishEnd(shard, session, /*is_only_in_row=*/gateway == nullptr, offset));
  live_.RunSuccessors(*session);
  if (!user.HasAvailable()) user.contacts.reset();
  users_.MaybeForget(user);
}

Task<void> SessionRemoval::FinishEnd(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                     bool is_only_in_row, std::int64_t offset) {
  if (is_only_in_row) {
    // The row is all that tells what its client has had.
    const auto executor = co_await asio::this_coro::executor;
    const auto may_go = std::make_shared<runtime::Event>(executor);
    closer_.Close(session, /*gateway=*/{}, [may_go] { may_go->Set(); }, /*close=*/nullptr, /*holds=*/offset);
    co_await may_go->Wait();
  }
  co_await parker_.RemoveRows(shard, session);
  if (offset >= 0) shard->window.Release(offset);
  closer_.Check(*shard);
}

void SessionRemoval::TellEnded(const std::shared_ptr<Session>& session, GatewayPeer& gateway,
                               const events::v1::SessionEnded& ended) {
  const Shard& shard = *session->user->shard;
  const auto tell = [this, id = session->id, number = shard.number, epoch = shard.epoch,
                     instance = gateway.instance(), condition = ended.condition(),
                     text = ended.text()](bool keep) {
    const Shard* now = shards_.Find(number);
    GatewayPeer* peer = gateways_.Find(instance);
    if (peer == nullptr || now == nullptr || now->epoch != epoch) return;
    auto& told = *AddAction(*peer, id, *now).mutable_ended();
    told.set_condition(condition);
    told.set_text(text);
    told.set_keep(keep);
  };
  std::function<void()> close;
  if (!ended.condition().empty()) close = [tell] { tell(/*keep=*/true); };
  closer_.Close(session, gateway.instance(), [tell] { tell(/*keep=*/false); }, std::move(close));
}

}  // namespace rookery::session_manager
