#include "domain/occupants/hat_list.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "absl/strings/escaping.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

void AppendAttribute(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(" ").append(name).append("=\"");
  xmpp::AppendEscaped(out, value);
  out.push_back('"');
}

}  // namespace

const v1::Hat* FindHat(const Room& room, std::string_view uri) {
  const auto& hats = room.state().hats();
  const auto it =
      std::find_if(hats.begin(), hats.end(), [&](const v1::Hat& hat) { return hat.uri() == uri; });
  return it == hats.end() ? nullptr : &*it;
}

std::string HatsOf(const Room& room, std::string_view bare) {
  const v1::Affiliated* entry = room.FindAffiliated(bare);
  if (entry == nullptr || entry->hats().empty()) return {};
  std::string hats = "<hats xmlns=\"" + std::string(xmpp::ns::kHats) + "\">";
  for (const v1::Hat& worn : entry->hats()) {
    const v1::Hat* hat = FindHat(room, worn.uri());
    if (hat == nullptr) continue;
    hats.append("<hat");
    AppendAttribute(hats, "title", hat->title());
    AppendAttribute(hats, "uri", hat->uri());
    AppendAttribute(hats, "hue", hat->hue());
    AppendAttribute(hats, "xml:lang", hat->lang());
    hats.append("/>");
  }
  return hats.append("</hats>");
}

std::string HashOfHats(const Room& room) {
  if (room.state().hats().empty()) return {};
  std::string text;
  for (const v1::Hat& hat : room.state().hats())
    for (const std::string* part : {&hat.uri(), &hat.title(), &hat.hue()}) text.append(*part).push_back('\0');
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash;
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), hash.data(), &size, EVP_sha1(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(hash.data()), size));
}

}  // namespace rookery::muc
