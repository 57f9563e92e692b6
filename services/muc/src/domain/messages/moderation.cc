#include "domain/messages/moderation.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "domain/messages/history.h"
#include "domain/room/actor.h"
#include "domain/room/occupant_message.h"
#include "domain/room/pace.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

namespace ns = xmpp::ns;
using xmpp::ErrorCondition;

constexpr std::size_t kMaxReasonBytes = 1024;

/// As the room writes it, and in no other way.
std::optional<std::uint64_t> ParseArchiveId(std::string_view text) {
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool is_number = !text.empty() && error == std::errc() && end == text.data() + text.size();
  if (!is_number || text.front() == '0') return std::nullopt;
  return id;
}

/// The message named by a <retract/>, or by the <apply-to/> around an older one.
std::optional<std::uint64_t> RetractedBy(const xmpp::Element& child) {
  const bool retracts = child.Is("retract", ns::kRetract) ||
                        (child.Is("apply-to", ns::kFastening) && child.Find("retract", ns::kRetractLegacy));
  return retracts ? ParseArchiveId(child.Attr("id")) : std::nullopt;
}

bool IsTombstone(const xmpp::Stanza& message) { return MayHold(message, "<retracted "); }

/// The change of the subject that is in force, or what is remembered, or null.
const v1::PastMessage* FindSaid(const Room& room, std::uint64_t archive_id) {
  const v1::PastMessage& subject = room.state().subject();
  return subject.archive_id() == archive_id ? &subject : room.FindRemembered(archive_id);
}

/// Nothing but who has said it, under which id, and `in_place` of what was said.
void Empty(xmpp::Stanza& message, const xmpp::Element& in_place) {
  const auto children = xmpp::ParsePayload(message.payload());
  xmpp::ClearPayload(message);
  message.clear_lang();
  if (children.ok())
    for (const xmpp::Element& child : *children)
      if (child.ns() == ns::kOccupantId || child.Is("stanza-id", ns::kStanzaId))
        xmpp::AddPayload(message, child);
  xmpp::AddPayload(message, in_place);
}

/// The first tombstone stays: an author does not replace a moderator's. A subject becomes empty, since that
/// is how those who enter know of none.
void Bury(Turn& turn, std::uint64_t archive_id, const xmpp::Element& retracted) {
  if (turn.room.state().subject().archive_id() == archive_id)
    return Empty(*turn.room.ChangeState().mutable_subject()->mutable_stanza(),
                 xmpp::Element("subject", ns::kClient));
  const v1::PastMessage* remembered = turn.room.FindRemembered(archive_id);
  if (remembered == nullptr || IsTombstone(remembered->stanza())) return;
  v1::PastMessage tombstone = *remembered;
  Empty(*tombstone.mutable_stanza(), retracted);
  turn.room.ReplaceRemembered(std::move(tombstone));
}

/// XEP-0424 section 4. `by`: the id of the message that retracts.
xmpp::Element MakeRetracted(const Turn& turn, std::string_view by) {
  xmpp::Element retracted("retracted", ns::kRetract);
  retracted.SetAttr("id", by).SetAttr("stamp", xmpp::FormatDateTime(turn.now_ms));
  return retracted;
}

struct Request {
  std::uint64_t archive_id;
  std::string id_text;
  std::string reason;
};

/// None: it has been refused.
std::optional<Request> ReadRequest(const Turn& turn) {
  const auto refuse = [&](ErrorCondition condition) {
    turn.Refuse(condition);
    return std::nullopt;
  };
  const auto children = xmpp::ParsePayload(turn.stanza.payload());
  if (!children.ok() || children->empty()) return refuse(ErrorCondition::kBadRequest);
  const xmpp::Element& payload = children->front();
  const bool is_legacy = payload.ns() == ns::kFastening;
  const xmpp::Element* moderate = is_legacy ? payload.Find("moderate", ns::kModerateLegacy) : &payload;
  const std::string id(payload.Attr("id"));
  if (moderate == nullptr || id.empty()) return refuse(ErrorCondition::kBadRequest);
  if (moderate->Find("retract", is_legacy ? ns::kRetractLegacy : ns::kRetract) == nullptr)
    return refuse(ErrorCondition::kFeatureNotImplemented);
  const std::optional<std::uint64_t> archive_id = ParseArchiveId(id);
  if (!archive_id || *archive_id > turn.room.state().last_archive_id())
    return refuse(ErrorCondition::kItemNotFound);
  const xmpp::Element* reason = moderate->Find("reason", moderate->ns());
  Request request{*archive_id, id, reason == nullptr ? std::string() : reason->Text()};
  if (request.reason.size() > kMaxReasonBytes) return refuse(ErrorCondition::kPolicyViolation);
  return request;
}

/// Adds who has moderated, and why: to <retract/> and to <retracted/> alike.
void AddModerated(xmpp::Element& element, std::string_view moderated_ns, std::string_view by,
                  const v1::Occupant& moderator) {
  xmpp::Element& moderated = element.Add("moderated", moderated_ns);
  moderated.SetAttr("by", by);
  moderated.Add("occupant-id", ns::kOccupantId).SetAttr("id", moderator.occupant_id());
}

void AddReason(xmpp::Element& element, const std::string& reason) {
  if (!reason.empty()) element.Add("reason").SetText(reason);
}

/// Makes the message that all are sent, with what clients understand that know the older version only.
xmpp::Stanza MakeModeration(const Room& room, const Request& request, const v1::Occupant& moderator,
                            std::string_view id) {
  const std::string by = room.AddressOf(moderator.nick());
  xmpp::Stanza message = xmpp::MakeMessage("groupchat", room.jid(), {});
  message.set_id(std::string(id));
  xmpp::Element retract("retract", ns::kRetract);
  retract.SetAttr("id", request.id_text);
  AddModerated(retract, ns::kModerate, by, moderator);
  AddReason(retract, request.reason);
  xmpp::AddPayload(message, retract);
  xmpp::Element fastening("apply-to", ns::kFastening);
  fastening.SetAttr("id", request.id_text);
  AddModerated(fastening, ns::kModerateLegacy, by, moderator);
  xmpp::Element& moderated = fastening.children().front();
  moderated.Add("retract", ns::kRetractLegacy);
  AddReason(moderated, request.reason);
  xmpp::AddPayload(message, fastening);
  return message;
}

/// Leaves of a retraction what the archive has to know that gets nothing of what is said, and nothing else.
v1::PastMessage RetractionAlone(const v1::PastMessage& said) {
  v1::PastMessage alone = said;
  xmpp::Stanza& message = *alone.mutable_stanza();
  const auto children = xmpp::ParsePayload(message.payload());
  xmpp::ClearPayload(message);
  if (!children.ok()) return alone;
  for (const xmpp::Element& child : *children)
    if (RetractedBy(child) || child.ns() == ns::kOccupantId || child.Is("stanza-id", ns::kStanzaId))
      xmpp::AddPayload(message, child);
  return alone;
}

}  // namespace

std::vector<std::uint64_t> RetractedBy(const xmpp::Stanza& message) {
  std::vector<std::uint64_t> retracted;
  if (!MayHold(message, ns::kRetract) && !MayHold(message, ns::kRetractLegacy)) return retracted;
  const auto children = xmpp::ParsePayload(message.payload());
  if (!children.ok()) return retracted;
  for (const xmpp::Element& child : *children) {
    const auto archive_id = RetractedBy(child);
    // Both versions may stand in one message.
    if (archive_id && std::find(retracted.begin(), retracted.end(), *archive_id) == retracted.end())
      retracted.push_back(*archive_id);
  }
  return retracted;
}

bool MayRetract(const Turn& turn, std::uint64_t archive_id) {
  const v1::PastMessage* said = FindSaid(turn.room, archive_id);
  if (said == nullptr) return true;
  const bool is_same_account = said->account_generation() == 0 || turn.account_generation == 0 ||
                               said->account_generation() == turn.account_generation;
  return said->sender() == turn.sender() && is_same_account;
}

void OnRetracted(Turn& turn, std::uint64_t archive_id, const v1::PastMessage& said) {
  const std::string own_id = std::to_string(said.archive_id());
  Bury(turn, archive_id, MakeRetracted(turn, said.stanza().id().empty() ? own_id : said.stanza().id()));
  if (!IsArchived(turn)) turn.outcome.archived.push_back(RetractionAlone(said));
}

void OnModerate(Turn& turn) {
  const v1::Occupant* moderator = FindActor(turn);
  if (moderator == nullptr || moderator->role() != v1::ROLE_MODERATOR)
    return turn.Refuse(ErrorCondition::kForbidden, "Only moderators moderate messages",
                       xmpp::ErrorType::kModify);
  const std::optional<Request> request = ReadRequest(turn);
  if (!request || RefuseIfTooManyStanzas(turn)) return;
  const std::string id = "moderation-" + std::to_string(turn.offset);
  xmpp::Element retracted = MakeRetracted(turn, id);
  AddModerated(retracted, ns::kModerate, turn.room.AddressOf(moderator->nick()), *moderator);
  AddReason(retracted, request->reason);
  Bury(turn, request->archive_id, retracted);
  const v1::PastMessage said =
      SayToAll(turn, MakeModeration(turn.room, *request, *moderator, id), turn.sender());
  if (!IsArchived(turn)) turn.outcome.archived.push_back(said);
  turn.Answer();
}

}  // namespace rookery::muc
