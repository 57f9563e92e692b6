#include "rookery/xmpp/vcard.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {

namespace {

std::string Sha1Of(std::string_view data) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash;
  unsigned size = 0;
  EVP_Digest(data.data(), data.size(), hash.data(), &size, EVP_sha1(), nullptr);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(hash.data()), size));
}

}  // namespace

absl::StatusOr<std::vector<VcardPhoto>> PhotosOf(const Element& vcard) {
  std::vector<VcardPhoto> photos;
  for (const Element& child : vcard.children()) {
    if (!child.Is("PHOTO", ns::kVcardTemp)) continue;
    const Element* value = child.Find("BINVAL", ns::kVcardTemp);
    std::string image;
    // White space in it means nothing.
    if (value != nullptr && !absl::Base64Unescape(value->Text(), &image))
      return absl::InvalidArgumentError("A photo is not in base64.");
    if (image.empty()) continue;
    if (photos.size() == kMaxVcardPhotos) return absl::InvalidArgumentError("There are too many photos.");
    photos.push_back({Sha1Of(image), image.size()});
  }
  return photos;
}

bool IsEmptyVcard(const Element& vcard) {
  return std::none_of(vcard.children().begin(), vcard.children().end(),
                      [](const Element& child) { return !child.name().empty(); });
}

Element MakeAvatarUpdate(std::string_view hash) {
  Element update("x", ns::kVcardUpdate);
  Element& photo = update.Add("photo");
  if (!hash.empty()) photo.SetText(hash);
  return update;
}

}  // namespace rookery::xmpp
