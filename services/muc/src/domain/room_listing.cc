#include "domain/room_listing.h"

#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/search_text.h"

namespace rookery::muc {

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
  listing.shown.occupants = changes.occupant_count;
  listing.shown.is_open = !config.is_members_only() && config.password().empty();
  listing.shown.is_anonymous = config.whois() != v1::AUDIENCE_ANYONE;
  listing.search_name = xmpp::FoldForSearch(config.name());
  listing.search_description = xmpp::FoldForSearch(config.description());
  listing.search_address = xmpp::FoldForSearch(changes.room);
  return listing;
}

absl::StatusOr<std::vector<std::string>> WordsOf(const RoomQuery& query) {
  if (query.text.empty()) return std::vector<std::string>();
  if (query.text.size() > RoomQuery::kMaxText) return absl::InvalidArgumentError("the text is too long");
  if (!query.in_name && !query.in_description && !query.in_address)
    return absl::InvalidArgumentError("nowhere to search in");
  std::vector<std::string> words = xmpp::SearchWordsOf(query.text);
  if (words.empty()) return absl::InvalidArgumentError("the text has no letter or digit");
  return words;
}

}  // namespace rookery::muc
