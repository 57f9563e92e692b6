#include "domain/presence/avatar_stamp.h"

#include <string>

#include "absl/strings/ascii.h"
#include "domain/users/settings_cache.h"
#include "rookery/xmpp/ns.h"
#include "rookery/xmpp/vcard.h"

namespace rookery::session_manager {

bool DeclinesAvatar(const xmpp::Stanza& presence) {
  // Nearly nobody says anything of it.
  if (presence.payload().find(xmpp::ns::kVcardUpdate) == std::string::npos) return false;
  const auto children = xmpp::ParsePayload(presence.payload());
  if (!children.ok()) return false;
  for (const xmpp::Element& child : *children) {
    if (!child.Is("x", xmpp::ns::kVcardUpdate)) continue;
    const xmpp::Element* photo = child.Find("photo", xmpp::ns::kVcardUpdate);
    if (photo != nullptr && absl::StripAsciiWhitespace(photo->Text()).empty()) return true;
  }
  return false;
}

void StampAvatar(xmpp::Stanza& presence, const UserSettings* settings) {
  if (settings == nullptr || !settings->made.has_avatar_hash()) return;
  xmpp::RemovePayload(presence, "x", xmpp::ns::kVcardUpdate);
  xmpp::AddPayload(presence, xmpp::MakeAvatarUpdate(settings->made.avatar_hash()));
}

}  // namespace rookery::session_manager
