#include "domain/messages/history.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "domain/room/occupant_message.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using namespace common::v1;  // NOLINT: the trait names
namespace ns = xmpp::ns;

constexpr std::uint32_t kNotKept = STANZA_TRAIT_NO_STORE | STANZA_TRAIT_NO_PERMANENT_STORE;

struct Limits {
  std::size_t messages;
  std::uint64_t characters = std::numeric_limits<std::uint64_t>::max();
  std::int64_t since_ms = std::numeric_limits<std::int64_t>::min();
};

std::optional<std::uint64_t> NumberOf(const xmpp::Element& wanted, std::string_view name) {
  const std::string_view text = wanted.Attr(name);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// The narrowest of what the settings, the room and the client say.
Limits LimitsOf(const Turn& turn, const xmpp::Element* wanted) {
  const auto allowed = static_cast<std::uint64_t>(
      std::min<std::int64_t>(turn.room.config().max_history_fetch(), turn.settings.max_history_messages));
  Limits limits{.messages = allowed};
  if (wanted == nullptr) return limits;
  if (const auto most = NumberOf(*wanted, "maxstanzas")) limits.messages = std::min(allowed, *most);
  if (const auto most = NumberOf(*wanted, "maxchars")) limits.characters = *most;
  if (const auto seconds = NumberOf(*wanted, "seconds")) {
    const std::uint64_t since_1970 = static_cast<std::uint64_t>(turn.now_ms) / 1000;
    limits.since_ms = turn.now_ms - static_cast<std::int64_t>(std::min(*seconds, since_1970)) * 1000;
  }
  if (const auto since = xmpp::ParseDateTime(wanted->Attr("since")))
    limits.since_ms = std::max(limits.since_ms, *since);
  return limits;
}

/// Counts the characters of the whole stanza, as XEP-0045 section 7.2.14 does.
std::uint64_t CharactersOf(const xmpp::Stanza& stanza) {
  std::string xml;
  xmpp::AppendXml(xml, stanza, xmpp::Framing::kStream);
  return static_cast<std::uint64_t>(std::count_if(
      xml.begin(), xml.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

xmpp::Stanza FromHistory(const Turn& turn, const v1::PastMessage& past, std::string_view full_jid) {
  xmpp::Stanza message = past.stanza();
  message.set_to(std::string(full_jid));
  // XEP-0045 section 7.9: an owner who brings a conversation along has said when it was.
  const bool has_own_time =
      xmpp::Has(message, STANZA_TRAIT_DELAY) && turn.AffiliationOf(past.sender()) == v1::AFFILIATION_OWNER;
  if (!has_own_time) xmpp::AddPayload(message, xmpp::MakeDelay(turn.room.jid(), past.received_at_ms()));
  return message;
}

bool HasText(const xmpp::Stanza& message) {
  return (message.traits() & (STANZA_TRAIT_BODY | STANZA_TRAIT_ENCRYPTED)) != 0;
}

}  // namespace

bool BelongsInArchive(const xmpp::Stanza& message) {
  constexpr std::uint32_t kKept = STANZA_TRAIT_BODY | STANZA_TRAIT_STORE | STANZA_TRAIT_ENCRYPTED |
                                  STANZA_TRAIT_RECEIPT | STANZA_TRAIT_MUC_INVITE | STANZA_TRAIT_CALL;
  // XEP-0424 section 5: the archive is told, whatever the sender wishes.
  if (MayHold(message, ns::kRetract) || MayHold(message, ns::kRetractLegacy)) return true;
  if ((message.traits() & kNotKept) != 0) return false;
  if ((message.traits() & kKept) != 0) return true;
  return MayHold(message, ns::kReactions) || MayHold(message, ns::kCorrection) ||
         MayHold(message, "<subject");
}

bool BelongsInHistory(const xmpp::Stanza& message) {
  return (message.traits() & kNotKept) == 0 && HasText(message);
}

bool IsArchived(const Turn& turn) { return turn.settings.archives_all || turn.room.config().is_logged(); }

v1::PastMessage SayToAll(Turn& turn, xmpp::Stanza message, std::string_view sender) {
  v1::PastMessage past;
  past.set_received_at_ms(turn.now_ms);
  past.set_sender(std::string(sender));
  if (sender == turn.sender()) past.set_account_generation(turn.account_generation);
  const bool is_for_archive = BelongsInArchive(message);
  // Hints of XEP-0334 withdraw no text from moderators, who name it by its id (XEP-0425 section 3).
  if (is_for_archive || HasText(message)) {
    // Record 0 has an id, too.
    past.set_archive_id(turn.room.TakeArchiveId(static_cast<std::uint64_t>(turn.offset) + 1));
    AddArchiveId(message, turn.room.jid(), past.archive_id());
  }
  *past.mutable_stanza() = std::move(message);
  turn.outcome.SendToAll(past.stanza(), turn.room.everyone());
  if (is_for_archive && IsArchived(turn)) turn.outcome.archived.push_back(past);
  return past;
}

void KeepInHistory(Turn& turn, v1::PastMessage message) {
  const std::int64_t most =
      std::min<std::int64_t>(turn.room.config().max_history_fetch(), turn.settings.max_history_messages);
  turn.room.Remember(std::move(message), static_cast<std::size_t>(most),
                     static_cast<std::size_t>(turn.settings.max_history_bytes));
}

void SendHistory(Turn& turn, std::string_view full_jid, const xmpp::Element* wanted) {
  const Limits limits = LimitsOf(turn, wanted);
  const auto& history = turn.room.history();
  std::vector<xmpp::Stanza> newest_first;
  std::uint64_t characters = 0;
  for (auto past = history.rbegin(); past != history.rend() && newest_first.size() < limits.messages;
       ++past) {
    // Those before it may have been received later, by another clock.
    if (past->received_at_ms() < limits.since_ms) continue;
    xmpp::Stanza message = FromHistory(turn, *past, full_jid);
    if (limits.characters != std::numeric_limits<std::uint64_t>::max()) {
      characters += CharactersOf(message);
      if (characters > limits.characters) break;
    }
    newest_first.push_back(std::move(message));
  }
  for (auto message = newest_first.rbegin(); message != newest_first.rend(); ++message)
    turn.outcome.Send(std::move(*message));
}

}  // namespace rookery::muc
