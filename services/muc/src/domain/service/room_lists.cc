#include "domain/service/room_lists.h"

#include <string_view>
#include <tuple>
#include <utility>

#include "rookery/xmpp/jid.h"

namespace rookery::muc {

/// Among those for whom a list is made. Given back also when that is cancelled.
class RoomLists::Place {
 public:
  Place(std::set<std::string, std::less<>>& askers, std::size_t most, std::string_view asker)
      : askers_(askers) {
    if (askers.size() < most) std::tie(at_, is_taken_) = askers.emplace(asker);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (is_taken_) askers_.erase(at_);
  }
  bool is_taken() const { return is_taken_; }

 private:
  std::set<std::string, std::less<>>& askers_;
  std::set<std::string, std::less<>>::iterator at_;
  bool is_taken_ = false;
};

Task<absl::StatusOr<RoomPage>> RoomLists::Read(std::string asker, RoomQuery query) {
  const bool is_search = !query.text.empty() || query.index;
  const Place place(is_search ? searchers_ : askers_, is_search ? kMostSearches : kMost, xmpp::BareOf(asker));
  if (!place.is_taken()) co_return absl::ResourceExhaustedError("too many lists are asked for");
  absl::StatusOr<RoomPage> page = co_await store_.List(std::move(query));
  co_return page;
}

}  // namespace rookery::muc
