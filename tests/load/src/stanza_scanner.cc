#include "stanza_scanner.h"

namespace rookery::load {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

/// The `>` that ends the tag at `at`: one inside quotes does not.
std::size_t TagEnd(std::string_view text, std::size_t at) {
  char quote = 0;
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '>') {
      return i;
    }
  }
  return kNone;
}

}  // namespace

void StanzaScanner::Feed(std::string_view data) {
  reset_ = false;
  std::string_view text = data;
  if (!buffer_.empty()) {
    buffer_.append(data);
    text = buffer_;
  }
  while (true) {
    const std::size_t open = text.find('<', position_);
    if (open == kNone) {
      position_ = text.size();
      break;
    }
    const std::size_t close = TagEnd(text, open);
    if (close == kNone) {
      position_ = open;
      break;
    }
    position_ = close + 1;
    if (text[open + 1] == '?') continue;
    std::string_view whole;
    if (depth_ == 0) {
      depth_ = 1;
      whole = text.substr(open, position_ - open);
    } else if (text[open + 1] == '/') {
      --depth_;
      if (depth_ == 1) whole = text.substr(start_, position_ - start_);
      if (depth_ == 0) whole = text.substr(open, position_ - open);
    } else {
      if (depth_ == 1) start_ = open;
      if (text[close - 1] != '/') {
        ++depth_;
      } else if (depth_ == 1) {
        whole = text.substr(open, position_ - open);
      }
    }
    if (whole.empty()) continue;
    on_element_(whole);
    if (reset_) {
      buffer_.clear();
      position_ = start_ = 0;
      depth_ = 0;
      return;
    }
  }
  const std::size_t keep = depth_ > 1 ? start_ : position_;
  if (keep == text.size()) {
    buffer_.clear();
  } else if (text.data() == buffer_.data()) {
    buffer_.erase(0, keep);
  } else {
    buffer_.assign(text.substr(keep));
  }
  position_ -= keep;
  start_ = 0;
}

void StanzaScanner::Reset() {
  reset_ = true;
  buffer_.clear();
  position_ = start_ = 0;
  depth_ = 0;
}

std::string_view NameOf(std::string_view element) {
  const std::size_t begin = element.starts_with("</") ? 2 : 1;
  const std::size_t end = element.find_first_of(" \t\r\n/>", begin);
  return end == kNone ? std::string_view() : element.substr(begin, end - begin);
}

std::string_view AttributeOf(std::string_view element, std::string_view name) {
  const std::size_t end = TagEnd(element, 0);
  const std::string_view tag = element.substr(0, end);
  std::size_t at = 0;
  while ((at = tag.find(name, at)) != kNone) {
    const std::size_t after = at + name.size();
    const bool starts = at > 0 && (tag[at - 1] == ' ' || tag[at - 1] == '\n' || tag[at - 1] == '\t');
    if (starts && after + 1 < tag.size() && tag[after] == '=' &&
        (tag[after + 1] == '"' || tag[after + 1] == '\'')) {
      const std::size_t last = tag.find(tag[after + 1], after + 2);
      return last == kNone ? std::string_view() : tag.substr(after + 2, last - after - 2);
    }
    at = after;
  }
  return {};
}

std::string_view TextOf(std::string_view element, std::string_view name) {
  std::size_t at = 0;
  while ((at = element.find('<', at)) != kNone) {
    if (NameOf(element.substr(at)) == name && element[at + 1] != '/') {
      const std::size_t close = TagEnd(element, at);
      if (close == kNone || element[close - 1] == '/') return {};
      const std::size_t end = element.find("</", close);
      return end == kNone ? std::string_view() : element.substr(close + 1, end - close - 1);
    }
    ++at;
  }
  return {};
}

}  // namespace rookery::load
