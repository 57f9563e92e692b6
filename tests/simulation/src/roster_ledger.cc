#include "roster_ledger.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "message_id.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::simulation {

namespace {

std::string TypeOf(roster::v1::SubscriptionAction action) {
  switch (action) {
    case roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBE:
      return "subscribe";
    case roster::v1::SUBSCRIPTION_ACTION_SUBSCRIBED:
      return "subscribed";
    case roster::v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE:
      return "unsubscribe";
    default:
      return "unsubscribed";
  }
}

/// Returns whose sight of whom it is about: viewer and contact.
std::pair<std::string, std::string> SightOf(const std::string& from, const std::string& to,
                                            std::string_view type) {
  const bool is_of_viewer = type == "subscribe" || type == "unsubscribe";
  return is_of_viewer ? std::pair(from, to) : std::pair(to, from);
}

std::string Describe(const RosterDatabase::Item& item) {
  return absl::StrCat("`", item.name, "` ", item.to ? "to " : "", item.from ? "from " : "",
                      item.pending_out ? "ask " : "", item.approved ? "approved " : "", "in (",
                      absl::StrJoin(item.groups, ", "), ")");
}

}  // namespace

void RosterLedger::AreFriends(const std::string& a, const std::string& b) {
  names_[{a, b}] = names_[{b, a}] = "";
}

void RosterLedger::MayChange(const std::string& a, const std::string& b) {
  pairs_.insert({a, b});
  pairs_.insert({b, a});
}

std::uint64_t RosterLedger::Sent(const Ledger::Session& sender, const std::string& contact, bool is_iq,
                                 const std::string& what) {
  Change& change = changes_[++last_];
  change.id = last_;
  change.session = sender.number;
  change.is_iq = is_iq;
  change.what = absl::StrCat(what, " ", contact, " of ", sender.jid);
  world_.Note(sender.jid, "roster", absl::StrCat("#", last_, " ", what, " ", contact));
  return last_;
}

void RosterLedger::Answered(const Ledger::Session& session, std::uint64_t id, bool is_error) {
  const auto found = changes_.find(id);
  if (found == changes_.end()) return;
  Change& change = found->second;
  world_.Note(session.jid, is_error ? "roster-error" : "roster-result", absl::StrCat("#", id));
  change.is_answered = true;
  change.is_refused = is_error;
  if (!is_error && change.applied == 0 && !change.what.starts_with("get"))
    ledger_.Violate("answered-is-done",
                    absl::StrCat("#", id, " (", change.what, ") was answered, and is not done"), id);
}

void RosterLedger::LoggedForUsers(std::int32_t partition, std::int64_t offset, std::string_view value) {
  if (value.find("ubscribe") == std::string_view::npos &&
      value.find(xmpp::ns::kRoster) == std::string_view::npos)
    return;
  events::v1::UserRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
  if (!record.has_outbound() && !record.has_delivery()) return;
  const xmpp::Stanza& stanza =
      record.has_outbound() ? record.outbound().stanza() : record.delivery().stanza();
  Record noted;
  noted.id = ParseRosterId(stanza.id());
  noted.is_inbound = record.has_delivery();
  noted.from = std::string(xmpp::BareOf(stanza.from()));
  if (stanza.kind() == common::v1::STANZA_KIND_PRESENCE) {
    noted.type = stanza.type();
  } else if (stanza.kind() == common::v1::STANZA_KIND_IQ && record.has_outbound()) {
    const xmpp::Element query = xmpp::OnlyChild(stanza);
    const xmpp::Element* item = query.Find("item", xmpp::ns::kRoster);
    if (item == nullptr) return;
    noted.type = item->Attr("subscription") == "remove" ? "remove" : "set";
    noted.name = std::string(item->Attr("name"));
  }
  if (noted.id != 0)
    world_.Note("kafka", noted.is_inbound ? "roster-passed" : "roster-logged",
                absl::StrCat("#", noted.id, " users/", partition, "/", offset));
  records_[absl::StrCat("users/", partition, "/", offset)] = std::move(noted);
}

void RosterLedger::Say(const std::string& from, const std::string& to, std::string type) {
  const Pair sight = SightOf(from, to, type);
  const Words& other = words_[{to, from, sight.first}];
  if (other.heard.size() < other.said.size()) crossed_.insert(sight);
  words_[{from, to, sight.first}].said.push_back(std::move(type));
}

void RosterLedger::RefusedForUsers(std::string_view value) {
  events::v1::UserRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size())) || !record.has_delivery()) return;
  const xmpp::Stanza& stanza = record.delivery().stanza();
  if (stanza.kind() != common::v1::STANZA_KIND_PRESENCE ||
      stanza.type().find("subscribe") == std::string::npos)
    return;
  const std::string from(xmpp::BareOf(stanza.from()));
  const std::string to(xmpp::BareOf(stanza.to()));
  refused_.insert({from, to});
  // Words that are said after it come before it.
  crossed_.insert(SightOf(from, to, stanza.type()));
}

void RosterLedger::Applied(const RosterDatabase::Applied& applied) {
  const auto found = records_.find(applied.request_id);
  if (found == records_.end()) {
    ledger_.Violate("changes-follow-from-records",
                    absl::StrCat("the roster of ", applied.owner, " has changed by ", applied.request_id));
    return;
  }
  ++applied_;
  const Record& record = found->second;
  const Pair item{applied.owner, applied.jid};
  world_.Note("postgres", "roster-applied",
              absl::StrCat("#", record.id, " ", record.type, ": ", applied.owner, " ", applied.jid));
  if (record.is_inbound) {
    const Pair sight = SightOf(record.from, applied.owner, record.type);
    words_[{record.from, applied.owner, sight.first}].heard.push_back(record.type);
    roster::v1::ProcessInboundSubscriptionResponse response;
    if (response.ParseFromString(applied.response) && response.auto_reply())
      Say(applied.owner, applied.jid, "subscribed");
    return;
  }
  const auto change = changes_.find(record.id);
  if (change != changes_.end()) {
    if (++change->second.applied > 1)
      ledger_.Violate("changes-are-made-once",
                      absl::StrCat("#", record.id, " (", change->second.what, ") is made again"), record.id);
    std::uint64_t& newest = newest_[{change->second.session, applied.jid}];
    if (record.id < newest)
      ledger_.Violate("changes-keep-their-order",
                      absl::StrCat("#", record.id, " (", change->second.what, ") is made after #", newest),
                      record.id);
    newest = std::max(newest, record.id);
  }
  if (record.type == "set") {
    names_[item] = record.name;
  } else if (record.type == "remove") {
    names_.erase(item);
    roster::v1::RemoveRosterItemResponse response;
    if (response.ParseFromString(applied.response))
      for (const int action : response.send())
        Say(applied.owner, applied.jid, TypeOf(static_cast<roster::v1::SubscriptionAction>(action)));
  } else {
    if (applied.is_listed) names_.try_emplace(item);
    roster::v1::ProcessOutboundSubscriptionResponse response;
    if (response.ParseFromString(applied.response) && response.route())
      Say(applied.owner, applied.jid, record.type);
  }
}

// ---- when the dust has settled ------------------------------------------------

void RosterLedger::CheckChanges(const std::map<std::uint64_t, Ledger::Session>& sessions) {
  for (const auto& [id, change] : changes_) {
    if (change.is_refused && change.applied > 0)
      ledger_.Violate("refused-is-not-done",
                      absl::StrCat("#", id, " (", change.what, ") was answered with an error, and is done"),
                      id);
    if (sessions.at(change.session).is_over) continue;
    if (change.is_iq ? !change.is_answered : change.applied == 0 && !change.is_refused)
      ledger_.Violate("what-is-asked-is-answered",
                      absl::StrCat("#", id, " (", change.what, "), whose session has lasted, has no answer"),
                      id);
  }
  for (const auto& [between, words] : words_) {
    const auto& [from, to, viewer] = between;
    std::vector<std::string> said = words.said;
    std::vector<std::string> heard = words.heard;
    if (refused_.contains({from, to})) {
      std::sort(said.begin(), said.end());
      std::sort(heard.begin(), heard.end());
    }
    if (said == heard) continue;
    const auto [first, other] = std::mismatch(said.begin(), said.end(), heard.begin(), heard.end());
    ledger_.Violate("subscriptions-arrive",
                    absl::StrCat("of what ", from, " has said to ", to, " of what ", viewer, " sees, ",
                                 said.size(), " words, number ", first - said.begin() + 1, " is to be `",
                                 first == said.end() ? "" : *first, "` and was heard as `",
                                 other == heard.end() ? "" : *other, "`"));
  }
}

std::optional<bool> RosterLedger::Sees(const std::string& viewer, const std::string& contact) const {
  const auto mine = database_.Find(viewer, contact);
  const auto theirs = database_.Find(contact, viewer);
  const bool to = mine && mine->to;
  const bool from = theirs && theirs->from;
  if (to != from) return std::nullopt;
  return to;
}

void RosterLedger::CheckPair(const std::string& viewer, const std::string& contact) {
  const auto mine = database_.Find(viewer, contact).value_or(RosterDatabase::Item{});
  const auto theirs = database_.Find(contact, viewer).value_or(RosterDatabase::Item{});
  const bool is_one = mine.to == theirs.from && mine.pending_out == theirs.pending_in;
  // RFC 6121 has nothing that tells an answer to what was asked before from one to what is asked now.
  if (is_one || crossed_.contains({viewer, contact})) return;
  ledger_.Violate("rosters-agree",
                  absl::StrCat(viewer, " has ", contact, " as ", Describe(mine), ", who has it as ",
                               Describe(theirs), theirs.pending_in ? " asking" : ""));
}

void RosterLedger::CheckRosters(const std::vector<std::string>& users) {
  for (const auto& [viewer, contact] : pairs_) CheckPair(viewer, contact);
  for (const std::string& user : users) {
    std::set<std::string> listed;
    for (const RosterDatabase::Item& item : database_.Items(user)) {
      if (!item.is_listed) continue;
      listed.insert(item.jid);
      const auto expected = names_.find({user, item.jid});
      if (expected == names_.end() || expected->second != item.name)
        ledger_.Violate(
            "rosters-are-as-changed",
            absl::StrCat(user, " has ", item.jid, " as `", item.name, "`, which is to be ",
                         expected == names_.end() ? "gone" : absl::StrCat("`", expected->second, "`")));
    }
    for (const auto& [item, name] : names_)
      if (item.first == user && !listed.contains(item.second))
        ledger_.Violate("rosters-are-as-changed",
                        absl::StrCat(user, " does not have ", item.second, ", who is to be `", name, "`"));
  }
}

void RosterLedger::CheckView(const std::string& jid, const std::string& user,
                             const std::map<std::string, RosterDatabase::Item>& view) {
  std::map<std::string, std::string> truth;
  for (const RosterDatabase::Item& item : database_.Items(user))
    if (item.is_listed) truth[item.jid] = Describe(item);
  for (const auto& [contact, item] : view)
    if (const auto found = truth.find(contact); found == truth.end()) {
      ledger_.Violate("views-are-rosters",
                      absl::StrCat(jid, " shows ", contact, ", who is not in the roster"));
    } else if (found->second != Describe(item)) {
      ledger_.Violate("views-are-rosters", absl::StrCat(jid, " shows ", contact, " as ", Describe(item),
                                                        ", and it is ", found->second));
    }
  for (const auto& [contact, item] : truth)
    if (!view.contains(contact))
      ledger_.Violate("views-are-rosters", absl::StrCat(jid, " does not show ", contact, ", ", item));
}

}  // namespace rookery::simulation
