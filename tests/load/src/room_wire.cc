#include "room_wire.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "rookery/base/absl_view.h"
#include "stanza_scanner.h"

namespace rookery::load {
namespace {

/// `<room><separator><number>` at the beginning of `text`.
std::optional<RoomMessage> ReadNumbers(std::string_view text, char separator) {
  RoomMessage message;
  const char* const end = text.data() + text.size();
  const auto room = std::from_chars(text.data(), end, message.room);
  if (room.ec != std::errc() || room.ptr == end || *room.ptr != separator) return std::nullopt;
  const auto number = std::from_chars(room.ptr + 1, end, message.number);
  if (number.ec != std::errc()) return std::nullopt;
  return message;
}

}  // namespace

std::string EnterRoom(std::string_view occupant_jid) {
  return absl::StrCat("<presence to='", AbslView(occupant_jid),
                      "'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>");
}

std::string UnlockRoom(std::string_view room_jid, std::string_view id,
                       const std::vector<std::string>& presence_broadcast) {
  std::string form = "<x xmlns='jabber:x:data' type='submit'/>";
  if (!presence_broadcast.empty()) {
    form =
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>"
        "<value>http://jabber.org/protocol/muc#roomconfig</value></field>"
        "<field var='muc#roomconfig_presencebroadcast'>";
    for (const std::string& role : presence_broadcast)
      if (role != "none") absl::StrAppend(&form, "<value>", role, "</value>");
    form += "</field></x>";
  }
  return absl::StrCat("<iq type='set' id='", AbslView(id), "' to='", AbslView(room_jid),
                      "'><query xmlns='http://jabber.org/protocol/muc#owner'>", form, "</query></iq>");
}

std::string SayInRoom(std::string_view room_jid, RoomMessage message, std::string_view filler) {
  return absl::StrCat("<message to='", AbslView(room_jid), "' type='groupchat' id='", message.room, "-",
                      message.number, "'><body>", message.room, " ", message.number, " ", AbslView(filler),
                      "</body></message>");
}

HeardMessage ReadRoomMessage(std::string_view stanza) {
  const std::string_view type = AttributeOf(stanza, "type");
  if (type == "error") return {RoomStanza::kError, ReadNumbers(AttributeOf(stanza, "id"), '-')};
  if (type != "groupchat") return {};
  const std::size_t body = stanza.find("<body");
  if (body == std::string_view::npos) return {};
  // Without quoted `>`: the only attribute that a body has is a language.
  const std::size_t text = stanza.find('>', body);
  if (text == std::string_view::npos) return {};
  const std::optional<RoomMessage> message = ReadNumbers(stanza.substr(text + 1), ' ');
  if (!message) return {RoomStanza::kStrange, std::nullopt};
  return {RoomStanza::kMessage, message};
}

bool HasStatus(std::string_view presence, std::string_view code) {
  constexpr std::string_view kCode = "code=";
  std::size_t at = 0;
  while ((at = presence.find(kCode, at)) != std::string_view::npos) {
    at += kCode.size();
    if (at == presence.size()) return false;
    const char quote = presence[at];
    const std::string_view value = presence.substr(at + 1);
    if (value.substr(0, code.size()) == code && value.size() > code.size() && value[code.size()] == quote)
      return true;
  }
  return false;
}

}  // namespace rookery::load
