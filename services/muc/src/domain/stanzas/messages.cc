#include "domain/stanzas/messages.h"

#include <string>
#include <utility>

#include "domain/affiliations/invitations.h"
#include "domain/affiliations/registration.h"
#include "domain/affiliations/voice_requests.h"
#include "domain/messages/activity.h"
#include "domain/messages/history.h"
#include "domain/messages/mentions.h"
#include "domain/messages/moderation.h"
#include "domain/messages/subject.h"
#include "domain/room/occupant_message.h"
#include "domain/room/pace.h"
#include "rookery/xmpp/forms.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using common::v1::STANZA_TRAIT_BODY;
using common::v1::STANZA_TRAIT_MUC_USER;
using common::v1::STANZA_TRAIT_OTHER_PAYLOAD;
using xmpp::ErrorCondition;

/// XEP-0045 section 7.4: who is no visitor of a moderated room.
bool HasVoice(const Room& room, const v1::Occupant& occupant) {
  return !room.config().is_moderated() || occupant.role() >= v1::ROLE_PARTICIPANT;
}

void OnForm(Turn& turn, const xmpp::Element& x) {
  const auto form = xmpp::ReadForm(x);
  if (!form.ok()) return turn.Refuse(ErrorCondition::kBadRequest);
  // Whoever cancels one, or sends one to be filled out, asks for nothing.
  if (form->type != "submit") return;
  if (!OnVoiceForm(turn, *form) && !OnApproval(turn, x)) turn.Refuse(ErrorCondition::kBadRequest);
}

}  // namespace

void OnGroupchat(Turn& turn) {
  const v1::Occupant* occupant = turn.occupant();
  if (occupant == nullptr) return turn.Refuse(ErrorCondition::kNotAcceptable);
  if (!HasVoice(turn.room, *occupant)) return turn.Refuse(ErrorCondition::kForbidden);
  if (RefuseIfTooLarge(turn) || RefuseIfTooFast(turn)) return;
  const std::vector<std::uint64_t> retracted = RetractedBy(turn.stanza);
  for (const std::uint64_t archive_id : retracted)
    if (!MayRetract(turn, archive_id)) return turn.Refuse(ErrorCondition::kForbidden);
  const bool is_subject = IsSubjectChange(turn.stanza);
  if (retracted.size() > (is_subject ? 0 : 1)) return turn.Refuse(ErrorCondition::kBadRequest);
  if (is_subject) return OnSubjectChange(turn, *occupant);
  if (RefuseIfTooSoon(turn, *occupant)) return;

  CountMessage(turn);
  xmpp::Stanza message = MessageFrom(turn, *occupant);
  RemoveSubjectOf(turn, *occupant, message);
  v1::PastMessage said = SayToAll(turn, std::move(message), turn.sender());
  ForwardMentions(turn, said);
  if (!retracted.empty()) OnRetracted(turn, retracted.front(), said);
  if (BelongsInHistory(said.stanza())) KeepInHistory(turn, std::move(said));
}

void OnMessageToRoom(Turn& turn) {
  if (RefuseIfTooLarge(turn)) return;
  if ((turn.stanza.traits() & (STANZA_TRAIT_MUC_USER | STANZA_TRAIT_OTHER_PAYLOAD)) != 0) {
    const auto children = xmpp::ParsePayload(turn.stanza.payload());
    if (!children.ok()) return;
    for (const xmpp::Element& child : *children) {
      if (child.Is("x", xmpp::ns::kMucUser)) {
        if (OnInvitations(turn, child) || OnDecline(turn, child)) return;
      } else if (child.Is("x", xmpp::ns::kDataForms)) {
        return OnForm(turn, child);
      }
    }
  }
  // XEP-0045 section 7.4: what is to be said to all has another type. Nobody is told that a chat state or a
  // receipt went nowhere.
  if (xmpp::Has(turn.stanza, STANZA_TRAIT_BODY)) turn.Refuse(ErrorCondition::kBadRequest);
}

}  // namespace rookery::muc
