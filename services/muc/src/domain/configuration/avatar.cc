#include "domain/configuration/avatar.h"

#include <memory>
#include <utility>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "domain/occupants/presence.h"
#include "domain/room/pace.h"
#include "domain/room/request.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/vcard.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

/// An empty hash says that there is none.
void SendHash(Turn& turn, std::string_view hash, std::shared_ptr<const Recipients> recipients) {
  xmpp::Stanza presence = xmpp::MakePresence({}, turn.room.jid(), {});
  xmpp::AddPayload(presence, xmpp::MakeAvatarUpdate(hash));
  turn.outcome.SendToAll(std::move(presence), std::move(recipients));
}

}  // namespace

bool MayReadVcard(const Turn& turn, std::string_view bare) {
  const v1::Affiliation affiliation = turn.AffiliationOf(bare);
  return affiliation != v1::AFFILIATION_OUTCAST &&
         (!turn.room.config().is_members_only() || affiliation >= v1::AFFILIATION_MEMBER);
}

std::vector<std::string> AvatarHashesOf(const Room& room) {
  return absl::StrSplit(room.state().avatar_hash(), ' ', absl::SkipEmpty());
}

void OnVcardGet(Turn& turn) {
  if (!MayReadVcard(turn, turn.sender())) return turn.Refuse(ErrorCondition::kForbidden);
  if (turn.room.state().vcard().empty()) return turn.Answer(xmpp::Element("vCard", xmpp::ns::kVcardTemp));
  const auto vcard = xmpp::ParsePayload(turn.room.state().vcard());
  if (!vcard.ok() || vcard->empty()) return turn.Refuse(ErrorCondition::kInternalServerError);
  turn.Answer(vcard->front());
}

void OnVcardSet(Turn& turn) {
  Room& room = turn.room;
  if (turn.AffiliationOf(turn.sender()) != v1::AFFILIATION_OWNER)
    return turn.Refuse(ErrorCondition::kForbidden, "Only owners set the avatar of a room.");
  const xmpp::Element vcard = xmpp::OnlyChild(turn.stanza);
  const std::string text = vcard.ToXml(xmpp::ns::kClient);
  if (text.size() > static_cast<std::size_t>(turn.settings.max_vcard_bytes))
    return turn.Refuse(ErrorCondition::kNotAcceptable, "The vCard is too large.");
  const auto photos = xmpp::PhotosOf(vcard);
  if (!photos.ok())
    return turn.Refuse(ErrorCondition::kNotAcceptable, std::string(photos.status().message()));
  if (RefuseIfTooManyStanzas(turn)) return;
  const std::string before = room.state().avatar_hash();
  v1::RoomState& state = room.ChangeState();
  state.set_vcard(xmpp::IsEmptyVcard(vcard) ? std::string() : text);
  state.set_avatar_hash(absl::StrJoin(
      *photos, " ", [](std::string* out, const xmpp::VcardPhoto& photo) { out->append(photo.hash); }));
  turn.Answer();
  // XEP-0486 section 4.2.
  BroadcastStatuses(turn, {static_cast<int>(Status::kConfigurationChanged)});
  if (state.avatar_hash() != before)
    SendHash(turn, photos->empty() ? std::string_view() : photos->front().hash, room.everyone());
}

void SendAvatarHash(Turn& turn, Recipients recipients) {
  const std::vector<std::string> hashes = AvatarHashesOf(turn.room);
  if (hashes.empty()) return;
  SendHash(turn, hashes.front(), std::make_shared<const Recipients>(std::move(recipients)));
}

}  // namespace rookery::muc
