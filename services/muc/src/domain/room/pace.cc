#include "domain/room/pace.h"

#include <algorithm>
#include <string>

#include "domain/room/counts.h"

namespace rookery::muc {

namespace {

bool IsExempt(const Turn& turn, const v1::Occupant& occupant) {
  return occupant.role() == v1::ROLE_MODERATOR || turn.AffiliationOf(turn.sender()) >= v1::AFFILIATION_ADMIN;
}

/// True.
bool RefuseTooMuch(const Turn& turn) {
  turn.Refuse(xmpp::ErrorCondition::kPolicyViolation, "Too much at a time", xmpp::ErrorType::kWait);
  return true;
}

}  // namespace

bool RefuseIfTooSoon(Turn& turn, const v1::Occupant& occupant) {
  const std::uint32_t seconds = turn.room.config().slow_mode_seconds();
  if (seconds == 0 || !xmpp::Has(turn.stanza, common::v1::STANZA_TRAIT_BODY) || IsExempt(turn, occupant))
    return false;
  // Clocks of those who receive stanzas differ: nobody is refused for what was said in the future.
  const auto is_recent = [&](std::int64_t at_ms) {
    return at_ms > 0 && at_ms <= turn.now_ms && turn.now_ms - at_ms < std::int64_t{seconds} * 1000;
  };
  const auto& history = turn.room.history();
  const bool is_too_soon = is_recent(LastMessageOf(turn, turn.sender())) ||
                           std::any_of(history.begin(), history.end(), [&](const v1::PastMessage& past) {
                             return past.sender() == turn.sender() && is_recent(past.received_at_ms());
                           });
  if (!is_too_soon) {
    turn.room.ChangeOccupant(occupant.nick())->set_last_message_at_ms(turn.now_ms);
    return false;
  }
  turn.Refuse(xmpp::ErrorCondition::kPolicyViolation,
              "Slow mode: wait " + std::to_string(seconds) + " seconds between two messages",
              xmpp::ErrorType::kWait);
  return true;
}

bool RefuseIfTooFast(Turn& turn) {
  const std::int64_t most = turn.settings.max_stanzas;
  return most > 0 && !CountStanza(turn, turn.sender(), most) && RefuseTooMuch(turn);
}

bool RefuseIfTooManyStanzas(Turn& turn, std::size_t stanzas) {
  const std::int64_t most = turn.settings.max_stanzas;
  if (most <= 0) return false;
  const Count count(turn, turn.sender(), Counted::kStanzas);
  const auto more = static_cast<std::int64_t>(stanzas);
  if (!count.Fits(more, most)) return RefuseTooMuch(turn);
  count.Add(turn, more);
  return false;
}

bool CountReturn(Turn& turn, std::string_view recipient) {
  const std::int64_t most = turn.settings.max_stanzas;
  if (most <= 0 || !turn.is_from_client) return true;
  const Count count(turn, recipient, Counted::kReturns);
  if (!count.Fits(1, most)) return false;
  count.Add(turn);
  return true;
}

bool CountRequests(Turn& turn, std::int64_t requests) {
  const Count count(turn, turn.sender(), Counted::kRequests);
  if (!count.Fits(requests, turn.settings.max_requests)) return false;
  count.Add(turn, requests);
  return true;
}

bool RefuseIfTooMany(Turn& turn, std::int64_t requests) {
  if (CountRequests(turn, requests)) return false;
  turn.Refuse(xmpp::ErrorCondition::kPolicyViolation, "Too many requests", xmpp::ErrorType::kWait);
  return true;
}

}  // namespace rookery::muc
