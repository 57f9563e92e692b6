#include "domain/delivery/ghosts.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "domain/addresses.h"
#include "domain/delivery/deliverer.h"
#include "domain/metrics.h"
#include "domain/records/consequences.h"
#include "domain/records/shards.h"
#include "domain/sessions/outbox.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// Tells an occupant that they are out of the room (XEP-0045 section 7.14).
bool IsFarewell(const xmpp::Stanza& stanza) {
  return stanza.kind() == common::v1::STANZA_KIND_PRESENCE && stanza.type() == "unavailable" &&
         stanza.payload().find("<status code=\"110\"/>") != std::string::npos;
}

/// The same, for whom the room may still have in it: the service has lost touch with them (status 333).
xmpp::Stanza MakeFarewell(const std::string& occupant, std::string_view to) {
  xmpp::Stanza stanza = xmpp::MakePresence("unavailable", occupant, to);
  xmpp::Element x("x", xmpp::ns::kMucUser);
  x.Add("item").SetAttr("affiliation", "none").SetAttr("role", "none");
  for (const char* code : {"110", "333"}) x.Add("status").SetAttr("code", code);
  xmpp::SetPayload(stanza, x);
  return stanza;
}

}  // namespace

std::optional<xmpp::ErrorCondition> Ghosts::ConditionFor(const xmpp::Stanza& stanza) const {
  const bool is_message = stanza.kind() == common::v1::STANZA_KIND_MESSAGE && stanza.type() == "groupchat";
  const bool is_presence = stanza.kind() == common::v1::STANZA_KIND_PRESENCE && stanza.type().empty();
  if ((!is_message && !is_presence) || !addresses_.IsOfRooms(stanza.from())) return std::nullopt;
  return is_message ? xmpp::ErrorCondition::kServiceUnavailable : xmpp::ErrorCondition::kRecipientUnavailable;
}

void Ghosts::Tell(Shard& shard, Cause cause, const xmpp::Stanza& stanza, std::string_view ghost,
                  xmpp::ErrorCondition condition) {
  metrics_.bounced.Increment();
  xmpp::Stanza said;
  said.set_kind(stanza.kind());
  said.set_type(stanza.type());
  said.set_id(stanza.id());
  said.set_from(stanza.from());
  said.set_to(ghost.data(), ghost.size());
  consequences_.AppendDelivery(shard, cause, xmpp::MakeError(said, condition));
}

bool Ghosts::IsSpared(Session& session, const xmpp::Stanza& stanza, std::int64_t offset) {
  if (!addresses_.IsOfRooms(stanza.from())) return deliverer_.IsSpared(session, stanza, offset);
  return !IsFarewell(stanza) && deliverer_.HasTooMuch(session, offset);
}

std::optional<xmpp::ErrorCondition> Ghosts::ConditionForSpared(const xmpp::Stanza& stanza) const {
  if (stanza.kind() == common::v1::STANZA_KIND_PRESENCE && stanza.type() == "unavailable" &&
      addresses_.IsOfRooms(stanza.from()))
    return xmpp::ErrorCondition::kRecipientUnavailable;
  return ConditionFor(stanza);
}

void Ghosts::TakeOut(Session& session) {
  const auto& directed = session.state.directed();
  if (std::none_of(directed.begin(), directed.end(),
                   [this](const std::string& address) { return addresses_.IsOfRooms(address); }))
    return;
  session.state.set_rooms_missed(true);
  outbox_.Publish(session);
  Shard& shard = *session.user->shard;
  if (!shard.live()) return;  // OnShardLive comes
  for (const auto& shared : session.user->sessions)
    if (shared.get() == &session)
      shard.Spawn("rooms.take_out", TakeOutTask(shards_.Shared(shard.number), shared));
}

Task<void> Ghosts::TakeOutTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  // Never within the call that finds it out, which is not done with the session.
  co_await runtime::Yield();
  if (session->ended() || !session->state.rooms_missed()) co_return;
  auto& directed = *session->state.mutable_directed();
  std::vector<std::string> rooms, others;
  for (std::string& address : directed)
    (addresses_.IsOfRooms(address) ? rooms : others).push_back(std::move(address));
  directed.Assign(others.begin(), others.end());
  session->state.set_rooms_missed(false);
  for (const std::string& occupant : rooms)
    deliverer_.Reply(*session, MakeFarewell(occupant, session->jid.str()));
  if (session->ended()) co_return;
  outbox_.Publish(*session);
  Cause cause;
  consequences_.AppendBroadcast(*shard, cause, xmpp::MakePresence("unavailable", session->jid.str(), {}),
                                std::move(rooms));
}

void Ghosts::OnShardLive(Shard& shard) {
  for (const auto& [bare, user] : shard.users)
    for (const auto& session : user->sessions)
      if (session->state.rooms_missed())
        shard.Spawn("rooms.take_out", TakeOutTask(shards_.Shared(shard.number), session));
}

}  // namespace rookery::session_manager
