#include "stanzas.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "domain/text.h"
#include "repeat.h"

namespace rookery::fuzz {

namespace {

using gateway::Append;
using gateway::Cat;

/// In the tables below these stand for what they name.
std::string Fill(std::string_view text, const Cast& cast, std::string_view mark) {
  // A name comes before another one that it begins with.
  const std::pair<std::string_view, std::string_view> names[] = {
      {"$OTHERFULL", cast.other_full}, {"$OTHER", cast.other},
      {"$OWNFULL", cast.own_full},     {"$OWN", cast.own},
      {"$DEVICE", cast.own_other},     {"$MARK", mark}};
  std::string out;
  while (!text.empty()) {
    const auto* const found =
        std::ranges::find_if(names, [&](const auto& name) { return text.starts_with(name.first); });
    if (found == std::end(names)) {
      out.push_back(text.front());
      text.remove_prefix(1);
    } else {
      out.append(found->second);
      text.remove_prefix(found->first.size());
    }
  }
  return out;
}

std::string AddressOf(std::size_t choice, const Cast& cast) {
  static constexpr std::string_view kAddresses[] = {
      // The usual ones first: a shorter line means them.
      "$OTHER", "$OTHERFULL", "", "localhost", "$OWN", "$OWNFULL", "$DEVICE", "cyd@localhost",
      "nobody@localhost", "conference.localhost", "search.localhost", "room@conference.localhost",
      "room@conference.localhost/nick", "somebody@foreign.example", "foreign.example", "localhost/resource",
      "$OTHER/nowhere", "$OWN/nowhere", "cyd@localhost/nowhere",
      // Odd, and right all the same.
      "BOB@LOCALHOST", "Ann@localhost/a", "\xEF\xBD\x82ob@localhost", "bob@localhost.", "$OTHER/ two  words ",
      // And wrong.
      "@localhost", "a@b@localhost", "bob@localhost/", "bob@", "bob@loc alhost", "&lt;bob&gt;@localhost", " ",
      "bob@-localhost", "bob@localhost/\xE2\x80\x8F"};
  constexpr std::size_t kCount = std::size(kAddresses);
  choice %= kCount + 2;
  if (choice == kCount) return Repeat("x", 1024) + "@localhost";
  if (choice == kCount + 1) return "bob@localhost/" + Repeat("\xC3\xA9", 511);
  return Fill(kAddresses[choice], cast, {});
}
constexpr std::size_t kAddressCount = 35;

/// A stanza before it is written.
struct Draft {
  std::string_view name;
  std::string type;  // empty: none
  std::string to;    // empty: none
  std::string id;
  std::string payload;
};

std::string Write(const Draft& draft, std::string_view attributes = {}, std::string_view name = {}) {
  const std::string_view tag = name.empty() ? draft.name : name;
  std::string xml = Cat("<", tag);
  if (!draft.type.empty()) Append(xml, " type='", draft.type, "'");
  if (!draft.to.empty()) Append(xml, " to='", draft.to, "'");
  if (!draft.id.empty()) Append(xml, " id='", draft.id, "'");
  Append(xml, attributes, ">", draft.payload, "</", tag, ">");
  return xml;
}

/// The draft with one thing wrong, or odd.
std::string Spoil(std::size_t choice, Draft draft, const Cast& cast) {
  switch (choice) {
    case 0:
      return Write(draft);
    case 1:
      return Write(draft, Cat(" from='", cast.other_full, "'"));
    case 2:
      return Write(draft, Cat(" from='", cast.own, "'"));
    case 3:
      return Write(draft, Cat(" from='", cast.own_other, "'"));
    case 4:
      return Write(draft, " from='localhost'");
    case 5:
      draft.id = Repeat("i", 1023);
      return Write(draft);
    case 6:
      draft.id = Repeat("i", 2000);
      return Write(draft);
    case 7:
      draft.id.clear();
      return Write(draft);
    case 8:
      draft.id = "same";
      return Write(draft);
    case 9:
      return Write(draft, " to='cyd@localhost'");  // twice, mostly
    case 10:
      return Write(draft, " xmlns='jabber:server'");
    case 11:
      return Write(draft, " xmlns=''");
    case 12:
      draft.payload = Repeat("<d>", 60) + draft.payload + Repeat("</d>", 60);
      return Write(draft);
    case 13:
      draft.payload = Repeat("<d>", 70) + Repeat("</d>", 70);
      return Write(draft);
    case 14:
      draft.payload += "<big xmlns='urn:big'>" + Repeat("x", 7000) + "</big>";
      return Write(draft);
    case 15:  // fits as it is read, and not as it is written
      draft.payload += "<big xmlns='urn:big'>" + Repeat("'", 2000) + "</big>";
      return Write(draft);
    case 16:
      draft.payload += "<!-- -->";
      return Write(draft);
    case 17:
      draft.payload += "<?php ?>";
      return Write(draft);
    case 18:
      return "<!DOCTYPE x [<!ENTITY y 'z'>]>" + Write(draft);
    case 19:
      draft.payload += "<e>&y;</e>";
      return Write(draft);
    case 20: {
      const std::string xml = Write(draft);
      return xml.substr(0, xml.size() - 3);
    }
    case 21:
      draft.payload += "<p:e/>";
      return Write(draft);
    case 22:
      draft.payload += "<e>\xC0\xAF</e>";
      return Write(draft);
    case 23:
      return Write(draft, Cat(" xml:lang='", Repeat("l", 256), "'"));
    case 24:
      draft.type = Repeat("t", 65);
      return Write(draft);
    case 25: {
      std::string attributes;
      for (int i = 0; i < 70; ++i) Append(attributes, " a", i, "=''");
      return Write(draft, attributes);
    }
    case 26:
      draft.payload += "<e><![CDATA[<]]]]><![CDATA[></x>]]></e>";
      return Write(draft);
    case 27:
      draft.payload += "<e>&#0;</e>";
      return Write(draft);
    case 28:
      return Write(draft, {}, draft.name == "iq" ? "IQ" : "Message");
    case 29:
      return "text" + Write(draft);
    case 30:
      return Write(draft, " xmlns:s='jabber:server' s:to='cyd@localhost' other='1' xml:lang='de'");
    case 31:
      return "</message>" + Write(draft);
    case 32:
      draft.payload += "text <in/> between";
      return Write(draft);
    case 33:
      draft.type = "bogus";
      return Write(draft);
    case 34:
      draft.payload += "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
      return Write(draft);
    case 35:
      draft.type = "error";
      return Write(draft);
    case 36:
      draft.payload += draft.payload;
      return Write(draft);
    case 37:
      draft.payload.clear();
      return Write(draft);
    case 38:
      draft.id = "&#9;&quot;&gt;]]&gt;&#10;";
      return Write(draft);
    case 39:
      draft.payload += "<e>\xEF\xBF\xBE\xF4\x8F\xBF\xBF&#x85;&#x2028;]]&gt;</e>";
      return Write(draft);
    default:  // as large as it may be
      draft.payload += "<big xmlns='urn:big'>" + Repeat("x", 5000) + "</big>";
      return Write(draft);
  }
}
constexpr std::size_t kSpoilCount = 41;

Draft MakeDraft(Line& line, const Cast& cast, std::string_view mark, std::string_view id,
                std::string_view name, const std::vector<std::string_view>& types,
                const std::vector<std::string_view>& payloads) {
  Draft draft;
  draft.name = name;
  draft.id = id;
  draft.type = types[line.Next(types.size())];
  draft.to = AddressOf(line.Next(kAddressCount), cast);
  draft.payload = Fill(payloads[line.Next(payloads.size())], cast, mark);
  return draft;
}

Written Finish(Line& line, const Draft& draft, const Cast& cast) {
  const std::size_t choice = line.Next(kSpoilCount);
  return {Spoil(choice, draft, cast), choice == 0};
}

}  // namespace

Written MakeMessage(Line& line, const Cast& cast, std::string_view mark, std::string_view id) {
  static const std::vector<std::string_view> types = {"chat", "", "normal", "headline", "groupchat", "error"};
  static const std::vector<std::string_view> payloads = {
      "<body>$MARK</body>",
      "<subject>$MARK</subject><thread parent='p'>t</thread><body xml:lang='de'>$MARK</body><body>2</body>",
      "", "<composing xmlns='http://jabber.org/protocol/chatstates'/><x xmlns='urn:x'>$MARK</x>",
      "<body>$MARK</body><request xmlns='urn:xmpp:receipts'/>",
      "<received xmlns='urn:xmpp:receipts' id='$MARK'/>",
      "<body>$MARK</body><private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>",
      "<body>$MARK</body><no-store xmlns='urn:xmpp:hints'/>",
      "<x xmlns='urn:x'>$MARK</x><store xmlns='urn:xmpp:hints'/>",
      "<body>$MARK</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='2000-01-01T00:00:00Z'/>",
      "<body>$MARK</body><stanza-id xmlns='urn:xmpp:sid:0' by='$OTHER' id='1'/><stanza-id "
      "xmlns='urn:xmpp:sid:0' "
      "by='$OWN' id='2'/><origin-id xmlns='urn:xmpp:sid:0' id='$MARK'/>",
      "<x xmlns='jabber:x:conference' jid='room@conference.localhost' reason='$MARK'/>",
      "<x xmlns='http://jabber.org/protocol/muc#user'><invite "
      "to='cyd@localhost'><reason>$MARK</reason></invite></x>",
      // A copy that nobody has made.
      "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message "
      "xmlns='jabber:client' "
      "from='cyd@localhost/c' to='$OTHER' type='chat'><body>$MARK</body></message></forwarded></received>",
      "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' "
      "from='$OTHERFULL' to='$OWN' type='chat'><body>$MARK</body></message></forwarded></sent>",
      "<x xmlns='jabber:x:data' type='submit'><field var='v'><value>$MARK</value></field></x>",
      "<encrypted xmlns='eu.siacs.conversations.axolotl'><header "
      "sid='1'/><payload>$MARK</payload></encrypted>"
      "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>",
      "<propose xmlns='urn:xmpp:jingle-message:0' id='$MARK'/>",
      "<displayed xmlns='urn:xmpp:chat-markers:0' id='$MARK'/>",
      "<body>$MARK</body><error type='wait'><text "
      "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>$MARK</text></error>",
      "<iq xmlns='jabber:client' type='get' id='$MARK'/><presence from='$OTHERFULL'/>",
      "<p:body xmlns:p='jabber:client' p:a='1' xmlns:q='urn:q' q:a='$MARK'>$MARK<q:b/></p:body>"};
  const Draft draft = MakeDraft(line, cast, mark, id, "message", types, payloads);
  return Finish(line, draft, cast);
}

Written MakePresence(Line& line, const Cast& cast, std::string_view mark, std::string_view id) {
  static const std::vector<std::string_view> types = {
      "", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"};
  static const std::vector<std::string_view> payloads = {
      "<status>$MARK</status>",
      "",
      "<show>away</show><priority>5</priority><status xml:lang='de'>$MARK</status>",
      "<priority>-1</priority><status>$MARK</status>",
      "<priority>128</priority><status>$MARK</status>",
      "<priority> 1 </priority><priority>2</priority>",
      "<priority>NaN</priority><show>$MARK</show>",
      "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:node' "
      "ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>",
      "<c xmlns='http://jabber.org/protocol/caps' hash='md5' node='$MARK' ver='$MARK'/>",
      "<x xmlns='http://jabber.org/protocol/muc'><password>$MARK</password></x>",
      "<idle xmlns='urn:xmpp:idle:1' since='2000-01-01T00:00:00Z'/><nick "
      "xmlns='http://jabber.org/protocol/nick'>$MARK"
      "</nick>",
      "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2000-01-01T00:00:00Z'/><status>$MARK</status>"};
  Draft draft;
  draft.name = "presence";
  draft.id = line.Next(2) == 0 ? std::string() : std::string(id);
  draft.type = types[line.Next(types.size())];
  // Mostly to everybody.
  const std::size_t to = line.Next(kAddressCount + 1);
  if (to > 0) draft.to = AddressOf(to - 1, cast);
  draft.payload = Fill(payloads[line.Next(payloads.size())], cast, mark);
  return Finish(line, draft, cast);
}

Written MakeIq(Line& line, const Cast& cast, std::string_view mark, std::string_view id) {
  static const std::vector<std::string_view> types = {"get", "set", "result", "error", ""};
  static const std::vector<std::string_view> payloads = {
      "<ping xmlns='urn:xmpp:ping'/>",
      "<query xmlns='http://jabber.org/protocol/disco#info'/>",
      "<query xmlns='http://jabber.org/protocol/disco#items' node='$MARK'/>",
      "<query xmlns='jabber:iq:roster'/>",
      "<query xmlns='jabber:iq:roster' ver='1'/>",
      "<query xmlns='jabber:iq:roster'><item jid='$OTHER' name='$MARK'><group>$MARK</group></item></query>",
      "<query xmlns='jabber:iq:roster'><item jid='$OTHER' subscription='remove'/></query>",
      "<query xmlns='jabber:iq:roster'><item jid='cyd@localhost'/><item jid='$OTHER' name='$MARK'/></query>",
      "<query xmlns='jabber:iq:roster'><item jid='$OWN' name='$MARK' subscription='both' "
      "ask='subscribe'/></query>",
      "<query xmlns='jabber:iq:roster'><item jid='a@b@c' name='$MARK'/></query>",
      "<query xmlns='jabber:iq:roster'><item "
      "jid='$OTHERFULL'><group>$MARK</group><group>$MARK</group><group/></item>"
      "</query>",
      "<blocklist xmlns='urn:xmpp:blocking'/>",
      "<block xmlns='urn:xmpp:blocking'><item jid='$OTHER'/></block>",
      "<block xmlns='urn:xmpp:blocking'><item jid='cyd@localhost'/><item jid='localhost'/><item "
      "jid='$OWN'/></block>",
      "<block xmlns='urn:xmpp:blocking'/>",
      "<unblock xmlns='urn:xmpp:blocking'><item jid='$OTHER'/></unblock>",
      "<unblock xmlns='urn:xmpp:blocking'/>",
      "<enable xmlns='urn:xmpp:carbons:2'/>",
      "<disable xmlns='urn:xmpp:carbons:2'/>",
      "<query xmlns='jabber:iq:register'/>",
      "<query xmlns='jabber:iq:register'><username>ann</username><password>$MARK</password></query>",
      "<query xmlns='jabber:iq:register'><remove/></query>",
      "<query xmlns='jabber:iq:register'><remove/><username>bob</username></query>",
      "<vCard xmlns='vcard-temp'><FN>$MARK</FN></vCard>",
      "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>$MARK</storage></query>",
      "<query xmlns='jabber:iq:version'/>",
      "<time xmlns='urn:xmpp:time'/>",
      "<query xmlns='jabber:iq:last'/>",
      "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>",
      "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>$MARK</resource></bind>",
      "<query xmlns='urn:xmpp:mam:2' queryid='$MARK'/>",
      "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='$MARK'/></pubsub>",
      "<query xmlns='jabber:iq:search'><nick>$MARK</nick></query>",
      "<command xmlns='http://jabber.org/protocol/commands' node='$MARK' action='execute'/>",
      "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>",
      "<query xmlns='http://jabber.org/protocol/disco#info' "
      "node='urn:node#q07IKJEyjvHSyhy//CH0CxmKi8w='><identity "
      "category='client' type='pc' name='$MARK'/><feature var='http://jabber.org/protocol/caps'/></query>",
      "<unknown xmlns='urn:unknown'>$MARK</unknown>",
      "",
      "<ping xmlns='urn:xmpp:ping'/><ping xmlns='urn:xmpp:ping'/>",
      "$MARK",
      "<ping/>",
      "<query xmlns='jabber:iq:roster'><item/></query>",
      "<query xmlns='jabber:iq:register'><username>bob</username><password>$MARK</password></query>"};
  const Draft draft = MakeDraft(line, cast, mark, id, "iq", types, payloads);
  return Finish(line, draft, cast);
}

}  // namespace rookery::fuzz
