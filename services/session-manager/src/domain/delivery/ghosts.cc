#include "domain/delivery/ghosts.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "domain/addresses.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/message_routing.h"
#include "domain/metrics.h"
#include "domain/outbound/consequences.h"
#include "domain/outbound/outbox.h"
#include "domain/state/shards.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// Tells an occupant that they are out of the room (XEP-0045 section 7.14).
bool IsFarewell(const xmpp::Stanza& stanza) {
  return stanza.kind() == common::v1::STANZA_KIND_PRESENCE && stanza.type() == "unavailable" &&
         stanza.payload().find("<status code=\"110\"/>") != std::string::npos;
}

}  // namespace

bool Ghosts::IsPrivate(const xmpp::Stanza& stanza) const {
  if (stanza.kind() != common::v1::STANZA_KIND_MESSAGE || !addresses_.IsOfRooms(stanza.from())) return false;
  const MessageType type = ParseMessageType(stanza.type());
  return (type == MessageType::kChat || type == MessageType::kNormal) &&
         !xmpp::ResourceOf(stanza.from()).empty();
}

std::optional<xmpp::ErrorCondition> Ghosts::ConditionFor(const xmpp::Stanza& stanza) const {
  const bool is_message =
      (stanza.kind() == common::v1::STANZA_KIND_MESSAGE && stanza.type() == "groupchat") || IsPrivate(stanza);
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
  xmpp::Stanza error = xmpp::MakeError(said, condition);
  if (IsPrivate(stanza)) xmpp::AddPayload(error, xmpp::Element("x", xmpp::ns::kMucUser));
  consequences_.AppendDelivery(shard, cause, error);
}

bool Ghosts::SpareIfFull(Session& session, const xmpp::Stanza& stanza, std::int64_t offset) {
  if (!addresses_.IsOfRooms(stanza.from())) return deliverer_.SpareIfFull(session, stanza, offset);
  return !IsFarewell(stanza) && deliverer_.SpareForGoodIfFull(session, offset);
}

std::optional<xmpp::ErrorCondition> Ghosts::ConditionForSpared(const xmpp::Stanza& stanza) const {
  if (stanza.kind() == common::v1::STANZA_KIND_PRESENCE && stanza.type() == "unavailable" &&
      addresses_.IsOfRooms(stanza.from()))
    return xmpp::ErrorCondition::kRecipientUnavailable;
  return ConditionFor(stanza);
}

void Ghosts::ComeBack(Session& session) {
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
      shard.Spawn("rooms.come_back", ComeBackTask(shards_.Shared(shard.number), shared));
}

Task<void> Ghosts::ComeBackTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  // Never within the call that finds it out, which is not done with the session.
  co_await runtime::Yield();
  if (session->ended() || !session->state.rooms_missed()) co_return;
  const auto is_left = [&](const std::string& room) {
    const std::vector<Farewell>& farewells = session->rare().farewells;
    return std::any_of(farewells.begin(), farewells.end(), [&](const Farewell& farewell) {
      return xmpp::BareOf(farewell.address) == xmpp::BareOf(room);
    });
  };
  std::vector<std::string> rooms;
  for (const std::string& address : session->state.directed())
    if (addresses_.IsOfRooms(address) && !is_left(address)) rooms.push_back(address);
  const auto told = std::make_shared<EndWrites>();
  ++told->open;
  told->then.push_back([this, session] {
    if (session->ended()) return;
    session->state.set_rooms_missed(false);
    outbox_.Publish(*session);
  });
  Cause cause;
  cause.end = told;
  // No presence: what the session has said to others is not a room's to know, and what it has said to each
  // room nobody has kept.
  consequences_.AppendBroadcast(*shard, cause, xmpp::MakePresence("probe", session->jid.str(), {}),
                                std::move(rooms));
  told->Finish();
}

void Ghosts::OnShardLive(Shard& shard) {
  for (const auto& [bare, user] : shard.users)
    for (const auto& session : user->sessions)
      if (session->state.rooms_missed())
        shard.Spawn("rooms.come_back", ComeBackTask(shards_.Shared(shard.number), session));
}

}  // namespace rookery::session_manager
