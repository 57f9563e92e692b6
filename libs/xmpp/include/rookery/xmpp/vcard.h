#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/xmpp/element.h"

namespace rookery::xmpp {

// vcard-temp (XEP-0054), as far as who keeps a vCard for others reads it.

/// An image in a vCard (XEP-0153 section 4.5).
struct VcardPhoto {
  /// SHA-1 in lower-case hex.
  std::string hash;
  std::size_t bytes = 0;
};

/// More images than anybody needs: one in several formats (XEP-0486 section 5.1).
inline constexpr std::size_t kMaxVcardPhotos = 4;

/// The images in a <vCard/>, in their order: the first is the avatar. XEP-0054's DTD lets a property stand
/// several times, so a vCard from elsewhere is not refused for a second photo. What <TYPE/> says is a hint
/// that nobody may rely on (XEP-0153 section 5), and is not looked at. A photo that is elsewhere (EXTVAL), or
/// empty, is no image. INVALID_ARGUMENT: one is not in base64, or there are more than kMaxVcardPhotos.
absl::StatusOr<std::vector<VcardPhoto>> PhotosOf(const Element& vcard);

/// Whether a <vCard/> says nothing: this is how one is removed.
bool IsEmptyVcard(const Element& vcard);

/// The element of a presence that tells the hash (XEP-0153); empty: there is no image.
Element MakeAvatarUpdate(std::string_view hash);

}  // namespace rookery::xmpp
