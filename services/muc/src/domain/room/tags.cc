#include "domain/room/tags.h"

#include "rookery/base/scram.h"

namespace rookery::muc {

std::string TagOf(const Turn& turn, std::string_view purpose, std::string_view data) {
  constexpr std::size_t kTagBytes = 16;
  // A room's address does not begin with a NUL: nothing made here is an occupant id (XEP-0421).
  std::string text(1, '\0');
  for (const std::string_view part : {purpose, std::string_view(turn.room.jid()), data}) {
    text.append(part);
    text.push_back('\0');
  }
  return Hmac(ScramHash::kSha256, turn.settings.occupant_id_key, text).substr(0, kTagBytes);
}

}  // namespace rookery::muc
