#include "address_book.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "message_id.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::simulation {

using std::chrono::seconds;

namespace {

xmpp::Stanza MakeIq(std::string_view type, std::uint64_t id, const xmpp::Element& query) {
  xmpp::Stanza iq;
  iq.set_kind(common::v1::STANZA_KIND_IQ);
  iq.set_type(std::string(type));
  iq.set_id(RosterIdText(id));
  xmpp::SetPayload(iq, query);
  return iq;
}

RosterDatabase::Item ReadItem(const xmpp::Element& element) {
  RosterDatabase::Item item;
  item.jid = std::string(element.Attr("jid"));
  item.name = std::string(element.Attr("name"));
  const std::string_view subscription = element.Attr("subscription");
  item.to = subscription == "to" || subscription == "both";
  item.from = subscription == "from" || subscription == "both";
  item.pending_out = element.Attr("ask") == "subscribe";
  item.approved = element.Attr("approved") == "true";
  item.is_listed = subscription != "remove";
  for (const xmpp::Element& child : element.children())
    if (child.Is("group", xmpp::ns::kRoster)) item.groups.push_back(child.Text());
  return item;
}

}  // namespace

AddressBook::AddressBook(World& world, RosterLedger& ledger, std::vector<std::string> contacts,
                         std::uint64_t seed, std::function<void(xmpp::Stanza)> send)
    : world_(world),
      ledger_(ledger),
      contacts_(std::move(contacts)),
      random_(seed),
      send_(std::move(send)),
      has_versions_(random_.Chance(0.5)),
      between_(random_.LogBetween(seconds(8), seconds(90))) {}

Duration AddressBook::between() { return is_calm_ ? seconds(5) : random_.Exponential(between_); }

void AddressBook::Begin(const Ledger::Session& session) {
  session_ = &session;
  if (!has_versions_) {
    view_.clear();
    version_.clear();
  }
  is_interested_ = random_.Chance(0.9);
  if (is_interested_) Ask();
}

void AddressBook::EndSession() {
  session_ = nullptr;
  is_interested_ = has_roster_ = false;
  asking_ = 0;
  requests_.clear();
}

// ---- what it does -------------------------------------------------------------

void AddressBook::Act() {
  if (is_interested_ && !has_roster_ && asking_ == 0 && world_.now() >= next_) Ask();
  if (is_calm_) return;
  if (!requests_.empty() && random_.Chance(0.8)) {
    const std::string contact = requests_.front();
    requests_.erase(requests_.begin());
    return Answer(contact);
  }
  const std::string& contact = random_.Pick(contacts_);
  const double lot = random_.Unit();
  if (lot < 0.35) {
    SendPresence("subscribe", contact);
  } else if (lot < 0.45) {
    SendPresence("unsubscribe", contact);
  } else if (lot < 0.57) {
    SendPresence("unsubscribed", contact);
  } else if (lot < 0.65) {
    SendPresence("subscribed", contact);
  } else if (lot < 0.87) {
    SetItem(contact);
  } else {
    RemoveItem(contact);
  }
  // Now and then something else, without waiting for what comes of it.
  if (random_.Chance(0.2)) Act();
}

void AddressBook::Answer(const std::string& contact) {
  const double lot = random_.Unit();
  if (lot < 0.7) {
    SendPresence("subscribed", contact);
    if (random_.Chance(0.5)) SendPresence("subscribe", contact);
  } else if (lot < 0.85) {
    SendPresence("unsubscribed", contact);
  }
}

void AddressBook::Ask() {
  asking_ = ledger_.Sent(*session_, "", true, "get");
  xmpp::Element query("query", xmpp::ns::kRoster);
  if (has_versions_) query.SetAttr("ver", version_);
  send_(MakeIq("get", asking_, query));
}

void AddressBook::SendPresence(const std::string& type, const std::string& contact) {
  xmpp::Stanza presence = xmpp::MakePresence(type, "", contact);
  presence.set_id(RosterIdText(ledger_.Sent(*session_, contact, false, type)));
  send_(std::move(presence));
}

void AddressBook::SetItem(const std::string& contact) {
  const std::uint64_t id = ledger_.Sent(*session_, contact, true, "set");
  xmpp::Element query("query", xmpp::ns::kRoster);
  xmpp::Element& item =
      query.Add("item", xmpp::ns::kRoster).SetAttr("jid", contact).SetAttr("name", absl::StrCat("n", id));
  const std::uint64_t groups = random_.Below(3);
  for (std::uint64_t i = 0; i < groups; ++i)
    item.Add("group", xmpp::ns::kRoster).SetText(absl::StrCat("g", id, i));
  send_(MakeIq("set", id, query));
}

void AddressBook::RemoveItem(const std::string& contact) {
  const std::uint64_t id = ledger_.Sent(*session_, contact, true, "remove");
  xmpp::Element query("query", xmpp::ns::kRoster);
  query.Add("item", xmpp::ns::kRoster).SetAttr("jid", contact).SetAttr("subscription", "remove");
  send_(MakeIq("set", id, query));
}

// ---- what it is told ----------------------------------------------------------

bool AddressBook::IsOfRoster(const xmpp::Stanza& stanza) {
  if (ParseRosterId(stanza.id()) != 0) return true;
  if (stanza.kind() == common::v1::STANZA_KIND_PRESENCE)
    return stanza.type().find("subscribe") != std::string::npos;
  return stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "set" &&
         stanza.payload().find(xmpp::ns::kRoster) != std::string::npos;
}

void AddressBook::Receive(const xmpp::Stanza& stanza) {
  if (session_ == nullptr) return;
  const bool is_error = stanza.type() == "error";
  if (stanza.kind() == common::v1::STANZA_KIND_PRESENCE && !is_error) {
    const std::string contact(xmpp::BareOf(stanza.from()));
    world_.Note(session_->jid, "roster-told",
                absl::StrCat(stanza.type(), " from ", contact, " #", ParseRosterId(stanza.id())));
    std::erase(requests_, contact);
    if (stanza.type() == "subscribe") requests_.push_back(contact);
    return;
  }
  if (stanza.type() == "set") return ReceivePush(stanza);
  const std::uint64_t id = ParseRosterId(stanza.id());
  ledger_.Answered(*session_, id, is_error);
  if (id != asking_) return;
  asking_ = 0;
  if (!is_error) return ReceiveRoster(stanza);
  next_ = world_.now() + random_.Between(seconds(1), seconds(5));
}

void AddressBook::ReceiveRoster(const xmpp::Stanza& result) {
  has_roster_ = true;
  const xmpp::Element query = xmpp::OnlyChild(result);
  if (!query.Is("query", xmpp::ns::kRoster)) return;  // section 2.6.3: what it has is the roster
  view_.clear();
  version_ = std::string(query.Attr("ver"));
  for (const xmpp::Element& child : query.children())
    if (child.Is("item", xmpp::ns::kRoster)) view_[std::string(child.Attr("jid"))] = ReadItem(child);
}

void AddressBook::ReceivePush(const xmpp::Stanza& push) {
  const xmpp::Element query = xmpp::OnlyChild(push);
  for (const xmpp::Element& child : query.children()) {
    if (!child.Is("item", xmpp::ns::kRoster)) continue;
    RosterDatabase::Item item = ReadItem(child);
    world_.Note(session_->jid, "roster-push", child.ToXml());
    if (item.is_listed) {
      view_[item.jid] = std::move(item);
    } else {
      view_.erase(item.jid);
    }
  }
  if (const std::string* version = query.FindAttr("ver")) version_ = *version;
  send_(xmpp::MakeResult(push));
}

}  // namespace rookery::simulation
