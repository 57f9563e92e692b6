#include "domain/presence/presence_fields.h"

#include <charconv>
#include <string>

#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

PresenceFields ReadFields(const xmpp::Stanza& presence) {
  PresenceFields fields;
  auto children = xmpp::ParsePayload(presence.payload());
  if (!children.ok()) return fields;
  for (const xmpp::Element& child : *children) {
    if (child.Is("priority", xmpp::ns::kClient)) {
      const std::string text = child.Text();
      const char* first = text.data();
      const char* last = first + text.size();
      const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
      while (first < last && is_space(*first)) ++first;
      while (first < last && is_space(last[-1])) --last;
      if (last - first > 1 && *first == '+' && first[1] != '-') ++first;
      const auto [end, error] = std::from_chars(first, last, fields.priority);
      // RFC 6121 section 4.7.2.3.
      if (error != std::errc() || end != last || fields.priority < -128 || fields.priority > 127)
        fields.valid = false;
    } else if (child.Is("show", xmpp::ns::kClient)) {
      fields.show = child.Text();
      if (fields.show != "away" && fields.show != "chat" && fields.show != "dnd" && fields.show != "xa" &&
          !fields.show.empty())
        fields.valid = false;
    } else if (child.Is("status", xmpp::ns::kClient) && fields.status.empty()) {
      fields.status = child.Text();
    }
  }
  return fields;
}

}  // namespace rookery::session_manager
