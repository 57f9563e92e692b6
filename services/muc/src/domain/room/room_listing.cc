#include "domain/room/room_listing.h"

#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/search_text.h"

namespace rookery::muc {

namespace {

constexpr std::size_t kMaxWords = 16;

/// Some characters fold to eleven times their size. If a text becomes more than twice as long, the rest is
/// not found.
std::string Fold(std::string_view text) {
  std::string folded = xmpp::FoldForSearch(text);
  std::size_t size = 2 * text.size();
  if (folded.size() <= size) return folded;
  while (size > 0 && (static_cast<unsigned char>(folded[size]) & 0xc0) == 0x80) --size;
  folded.resize(size);
  return folded;
}

}  // namespace

RoomListing ListingOf(const RoomChanges& changes) {
  const v1::RoomConfig& config = changes.state.config();
  RoomListing listing;
  listing.service = xmpp::DomainOf(changes.room);
  listing.is_persistent = config.is_persistent();
  listing.is_listed = config.is_public() && !changes.state.is_locked();
  listing.shown.room = changes.room;
  if (!listing.is_listed) return listing;
  listing.shown.name = config.name();
  listing.shown.description = config.description();
  listing.shown.lang = config.lang();
  listing.shown.is_open = !config.is_members_only() && config.password().empty();
  // Of a room that not everybody may enter nobody learns here what its disco#info does not tell strangers.
  listing.shown.occupants = listing.shown.is_open ? changes.occupant_count : 0;
  listing.shown.is_anonymous = config.whois() != v1::AUDIENCE_ANYONE;
  listing.search_name = Fold(config.name());
  listing.search_description = Fold(config.description());
  listing.search_address = Fold(changes.room);
  return listing;
}

absl::StatusOr<std::vector<std::string>> WordsOf(const RoomQuery& query) {
  if (query.text.empty()) return std::vector<std::string>();
  if (query.text.size() > RoomQuery::kMaxText) return absl::InvalidArgumentError("the text is too long");
  if (!query.in_name && !query.in_description && !query.in_address)
    return absl::InvalidArgumentError("nowhere to search in");
  std::vector<std::string> words = xmpp::SearchWordsOf(query.text);
  if (words.empty()) return absl::InvalidArgumentError("the text has no letter or digit");
  if (words.size() > kMaxWords) return absl::InvalidArgumentError("too many words");
  return words;
}

}  // namespace rookery::muc
