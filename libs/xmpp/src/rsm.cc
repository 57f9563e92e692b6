#include "rookery/xmpp/rsm.h"

#include <algorithm>
#include <charconv>

#include "absl/status/status.h"
#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {

namespace {

/// False: the child is there and no number.
bool ReadNumber(const Element& set, std::string_view name, std::optional<std::int64_t>& number) {
  const Element* child = set.Find(name, ns::kRsm);
  if (child == nullptr) return true;
  const std::string text = child->Text();
  std::int64_t read = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), read);
  if (error != std::errc() || end != text.data() + text.size() || read < 0) return false;
  number = read;
  return true;
}

/// False: it is too long.
bool ReadUid(const Element& set, std::string_view name, std::optional<std::string>& uid) {
  if (const Element* child = set.Find(name, ns::kRsm)) uid = child->Text();
  return !uid || uid->size() <= kMaxPageUidBytes;
}

}  // namespace

absl::StatusOr<std::optional<PageRequest>> ReadPageRequest(const Element& parent) {
  const Element* set = parent.Find("set", ns::kRsm);
  if (set == nullptr) return std::nullopt;
  PageRequest request;
  if (!ReadNumber(*set, "max", request.max) || !ReadNumber(*set, "index", request.index))
    return absl::InvalidArgumentError("not a number");
  if (!ReadUid(*set, "after", request.after) || !ReadUid(*set, "before", request.before))
    return absl::InvalidArgumentError("no item is named so");
  // Behind the empty name is behind nothing.
  if (request.after && request.after->empty()) request.after.reset();
  const int places = request.after.has_value() + request.before.has_value() + request.index.has_value();
  if (places > 1) return absl::InvalidArgumentError("more than one place to begin");
  return request;
}

Element MakePageInfo(const PageInfo& info) {
  Element set("set", ns::kRsm);
  if (!info.first.empty()) {
    Element& first = set.Add("first").SetText(info.first);
    if (info.first_index) first.SetAttr("index", std::to_string(*info.first_index));
    set.Add("last").SetText(info.last);
  }
  if (info.count) set.Add("count").SetText(std::to_string(*info.count));
  return set;
}

absl::StatusOr<PageRange> RangeOf(const PageRequest& request, std::size_t count, std::size_t max,
                                  const std::function<std::optional<std::size_t>(std::string_view)>& find) {
  std::size_t size = max;
  if (request.max)
    size = static_cast<std::size_t>(std::min<std::int64_t>(*request.max, static_cast<std::int64_t>(max)));
  if (request.before) {
    std::size_t end = count;
    if (!request.before->empty()) {
      const std::optional<std::size_t> found = find(*request.before);
      if (!found) return absl::NotFoundError("no such item");
      end = *found;
    }
    return PageRange{end - std::min(end, size), end};
  }
  std::size_t begin = 0;
  if (request.after) {
    const std::optional<std::size_t> found = find(*request.after);
    if (!found) return absl::NotFoundError("no such item");
    begin = *found + 1;
  } else if (request.index) {
    begin =
        static_cast<std::size_t>(std::min<std::int64_t>(*request.index, static_cast<std::int64_t>(count)));
  }
  return PageRange{begin, std::min(count, begin + size)};
}

}  // namespace rookery::xmpp
