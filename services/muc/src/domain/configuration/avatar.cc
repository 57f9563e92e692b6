#include "domain/configuration/avatar.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "domain/occupants/presence.h"
#include "domain/room/pace.h"
#include "domain/room/request.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;

/// An image in several formats (XEP-0486 section 5.1).
constexpr std::size_t kMaxPhotos = 4;

std::string Sha1Of(std::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash;
  unsigned size = 0;
  EVP_Digest(data.data(), data.size(), hash.data(), &size, EVP_sha1(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(hash.data()), size));
}

/// XEP-0153 section 4.5: in base64, in which white space means nothing.
std::optional<std::string> ImageOf(const xmpp::Element& photo) {
  const xmpp::Element* value = photo.Find("BINVAL", xmpp::ns::kVcardTemp);
  std::string image;
  if (value != nullptr && !absl::Base64Unescape(value->Text(), &image)) return std::nullopt;
  return image;
}

/// nullopt: a photo is none.
std::optional<std::vector<std::string>> HashesOf(const xmpp::Element& vcard) {
  std::vector<std::string> hashes;
  for (const xmpp::Element& child : vcard.children()) {
    if (!child.Is("PHOTO", xmpp::ns::kVcardTemp)) continue;
    const std::optional<std::string> image = ImageOf(child);
    if (!image) return std::nullopt;
    if (!image->empty()) hashes.push_back(Sha1Of(*image));
  }
  if (hashes.size() > kMaxPhotos) return std::nullopt;
  return hashes;
}

/// An empty hash says that there is none.
void SendHash(Turn& turn, std::string_view hash, std::shared_ptr<const Recipients> recipients) {
  xmpp::Stanza presence = xmpp::MakePresence({}, turn.room.jid(), {});
  xmpp::Element update("x", xmpp::ns::kVcardUpdate);
  xmpp::Element& photo = update.Add("photo");
  if (!hash.empty()) photo.SetText(hash);
  xmpp::AddPayload(presence, update);
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
  const auto hashes = HashesOf(vcard);
  if (!hashes) return turn.Refuse(ErrorCondition::kNotAcceptable, "A photo is none.");
  const bool is_empty = std::none_of(vcard.children().begin(), vcard.children().end(),
                                     [](const xmpp::Element& child) { return !child.name().empty(); });
  if (RefuseIfTooManyStanzas(turn)) return;
  const std::string before = room.state().avatar_hash();
  v1::RoomState& state = room.ChangeState();
  state.set_vcard(is_empty ? std::string() : text);
  state.set_avatar_hash(absl::StrJoin(*hashes, " "));
  turn.Answer();
  // XEP-0486 section 4.2.
  BroadcastStatuses(turn, {static_cast<int>(Status::kConfigurationChanged)});
  if (state.avatar_hash() != before)
    SendHash(turn, hashes->empty() ? std::string_view() : hashes->front(), room.everyone());
}

void SendAvatarHash(Turn& turn, Recipients recipients) {
  const std::vector<std::string> hashes = AvatarHashesOf(turn.room);
  if (hashes.empty()) return;
  SendHash(turn, hashes.front(), std::make_shared<const Recipients>(std::move(recipients)));
}

}  // namespace rookery::muc
