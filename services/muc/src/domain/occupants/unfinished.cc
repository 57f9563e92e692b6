#include "domain/occupants/unfinished.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "domain/occupants/presence.h"
#include "rookery/xmpp/jid.h"

namespace rookery::muc {

namespace {

bool IsFull(const Turn& turn) { return turn.outcome.deliveries >= kMaxDeliveries; }

/// Whether the occupant leaves.
bool Goes(const Turn& turn, const v1::Unfinished& unfinished, const v1::Occupant& occupant) {
  const std::string_view account = Room::AccountOf(occupant);
  if (unfinished.kind() == v1::Unfinished::KIND_NON_MEMBERS)
    return turn.room.config().is_members_only() && turn.AffiliationOf(account) < v1::AFFILIATION_MEMBER;
  return xmpp::DomainOf(account) == unfinished.domain() &&
         turn.AffiliationOf(account) == v1::AFFILIATION_OUTCAST;
}

/// True: there are none any more, who go.
bool Remove(Turn& turn, const v1::Unfinished& unfinished) {
  const Room& room = turn.room;
  auto moderators = std::make_shared<Recipients>(), others = std::make_shared<Recipients>();
  std::vector<std::string> going;
  for (const auto& [nick, occupant] : room.occupants()) {
    if (Goes(turn, unfinished, occupant)) {
      going.push_back(nick);
      continue;
    }
    Recipients& staying = occupant.role() == v1::ROLE_MODERATOR ? *moderators : *others;
    for (const v1::OccupantSession& session : occupant.sessions()) staying.push_back(session.jid());
  }
  const std::size_t left = kMaxDeliveries - std::min(kMaxDeliveries, turn.outcome.deliveries);
  const std::size_t most = left / (1 + moderators->size() + others->size()) + 1;
  const bool is_all = going.size() <= most;
  if (!is_all) going.resize(most);
  Exit exit;
  if (unfinished.kind() == v1::Unfinished::KIND_NON_MEMBERS) {
    exit.statuses = {Status::kMembersOnly};
  } else {
    exit.statuses = {Status::kBanned};
    exit.affiliation = v1::AFFILIATION_OUTCAST;
    exit.deed = {unfinished.actor_nick(), unfinished.reason(), unfinished.extra()};
  }
  RemoveOccupants(turn, going, exit, {std::move(moderators), std::move(others)});
  return is_all;
}

/// True: each occupant has been looked at.
template <typename Tell>
bool TellOfEach(Turn& turn, std::string& done_to_nick, Tell tell) {
  const Room::Occupants& occupants = turn.room.occupants();
  auto it = done_to_nick.empty() ? occupants.begin() : occupants.upper_bound(done_to_nick);
  for (; it != occupants.end(); ++it) {
    if (IsFull(turn)) return false;
    tell(it->second);
    done_to_nick = it->first;
  }
  return true;
}

bool MakePart(Turn& turn, v1::Unfinished& unfinished) {
  switch (unfinished.kind()) {
    case v1::Unfinished::KIND_NEWS:
      return TellOfEach(turn, *unfinished.mutable_done_to_nick(), [&](const v1::Occupant& occupant) {
        if (!occupant.has_news()) return;
        turn.room.ChangeKnown(occupant.nick())->set_has_news(false);
        BroadcastAvailable(turn, occupant);
      });
    case v1::Unfinished::KIND_BROADCAST:
      return TellOfEach(turn, *unfinished.mutable_done_to_nick(), [&](const v1::Occupant& occupant) {
        if (IsShownWrongly(turn, occupant)) TellOthers(turn, occupant);
      });
    case v1::Unfinished::KIND_ADDRESSES:
      return TellOfEach(turn, *unfinished.mutable_done_to_nick(), [&](const v1::Occupant& occupant) {
        TellAddress(turn, occupant, unfinished.account());
      });
    case v1::Unfinished::KIND_NON_MEMBERS:
    case v1::Unfinished::KIND_BANNED_DOMAIN:
      return Remove(turn, unfinished);
    default:
      return true;
  }
}

}  // namespace

void Begin(Turn& turn, v1::Unfinished unfinished) {
  auto& all = *turn.room.ChangeState().mutable_unfinished();
  const auto known = std::find_if(all.begin(), all.end(), [&](const v1::Unfinished& one) {
    return one.kind() == unfinished.kind() && one.domain() == unfinished.domain() &&
           one.account() == unfinished.account();
  });
  if (known == all.end()) {
    *all.Add() = std::move(unfinished);
  } else {
    *known = std::move(unfinished);
  }
  GoOn(turn);
}

void GoOn(Turn& turn) {
  Room& room = turn.room;
  while (room.exists() && !room.state().unfinished().empty() && !IsFull(turn)) {
    v1::Unfinished first = room.state().unfinished(0);
    const bool is_done = MakePart(turn, first);
    if (!room.exists()) return;
    auto& all = *room.ChangeState().mutable_unfinished();
    if (is_done) {
      all.erase(all.begin());
    } else {
      all[0] = std::move(first);
    }
  }
}

}  // namespace rookery::muc
