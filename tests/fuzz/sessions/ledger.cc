#include "ledger.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "fuzz_input.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::fuzz {

namespace {

using xmpp::BareOf;
using xmpp::Stanza;

constexpr std::string_view kDomain = "localhost";

bool IsIq(const Stanza& stanza) { return stanza.kind() == common::v1::STANZA_KIND_IQ; }
bool IsRequest(const Stanza& stanza) {
  return IsIq(stanza) && (stanza.type() == "get" || stanza.type() == "set");
}
bool IsAnswer(const Stanza& stanza) {
  return IsIq(stanza) && (stanza.type() == "result" || stanza.type() == "error");
}
bool IsFull(std::string_view jid) { return jid.find('/') != std::string_view::npos; }
bool IsLocalUser(std::string_view jid) {
  const std::string_view bare = BareOf(jid);
  const std::size_t at = bare.find('@');
  return at != std::string_view::npos && bare.substr(at + 1) == kDomain;
}
bool IsOurService(std::string_view jid) {
  const std::string_view domain = xmpp::DomainOf(jid);
  return !IsLocalUser(jid) &&
         (domain == kDomain || domain == "conference.localhost" || domain == "search.localhost");
}

std::string Written(const Stanza& stanza) {
  std::string xml;
  xmpp::AppendXml(xml, stanza, xmpp::Framing::kWebSocket);
  return xml;
}

/// With the stanza in the report.
void RequireOf(const Stanza& stanza, const std::string& receiver, bool holds, const char* what) {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "%s received:\n%s\n", receiver.c_str(), Written(stanza).c_str());
  Require(false, what);
}

}  // namespace

std::string Ledger::NextMark() { return absl::StrFormat("mk%016xn%04d", key_, ++marks_); }

std::vector<std::string> Ledger::MarksIn(std::string_view text) const {
  const std::string prefix = absl::StrFormat("mk%016xn", key_);
  std::vector<std::string> found;
  for (std::size_t at = text.find(prefix); at != std::string_view::npos; at = text.find(prefix, at + 1))
    if (std::string mark(text.substr(at, prefix.size() + 4)); std::ranges::find(found, mark) == found.end())
      found.push_back(std::move(mark));
  return found;
}

Ledger::Session& Ledger::Begin(std::string_view id, std::string_view full_jid) {
  const auto [it, is_new] = sessions_.try_emplace(std::string(id));
  Session& session = it->second;
  if (is_new) {
    session.full_jid = full_jid;
    session.user = BareOf(full_jid);
    clients_.insert(session.full_jid);
  }
  Require(session.full_jid == full_jid, "a session keeps its address");
  return session;
}

void Ledger::Befriend(const std::string& a, const std::string& b) {
  shown_.insert({a, b});
  shown_.insert({b, a});
}

void Ledger::Accepted(Session& session, const Stanza& stanza) {
  ++session.accepted;
  Require(stanza.from() == session.full_jid, "what the cluster is given bears its sender's address");
  const std::string to(BareOf(stanza.to()));
  const bool is_presence = stanza.kind() == common::v1::STANZA_KIND_PRESENCE;
  const bool is_vcard = stanza.type() == "set" && stanza.payload_namespace() == xmpp::ns::kVcardTemp;
  for (const std::string& mark : MarksIn(Written(stanza)))
    origins_[mark].push_back({&session, to, is_presence, is_vcard});
  addressed_.insert({session.user, stanza.to()});
  // Whoever was shown the user's presence sees also what follows, up to its end.
  if (is_presence && !to.empty()) shown_.insert({session.user, to});
  if (!IsIq(stanza) || IsAnswer(stanza)) return;
  if (stanza.payload().starts_with("<block ")) blockers_.insert(session.user);
  // A request without address is for the sender's account.
  Session::Request& request =
      session.requests[{stanza.id(), stanza.to().empty() ? session.user : stanza.to()}];
  request.to = stanza.to();
  ++request.asked;
  if (IsRequest(stanza) && !stanza.id().empty()) ++request.well_asked;
  request.is_for_a_client = IsFull(stanza.to()) && IsLocalUser(stanza.to());
}

bool Ledger::MayReach(const Origin& origin, const std::string& user) const {
  const std::string& sender = origin.session->user;
  return sender == user || origin.to == user || origin.is_for_all ||
         (origin.is_presence && origin.to.empty() && shown_.contains({sender, user}));
}

void Ledger::Received(Session& session, const Stanza& stanza) {
  const std::string& user = session.user;
  const std::string xml = Written(stanza);
  const std::vector<std::string> marks = MarksIn(xml);
  // RFC 6121 section 8.5.3.2: it may have been meant for another of the user's devices, which is gone.
  RequireOf(stanza, session.full_jid, stanza.to().empty() || BareOf(stanza.to()) == user,
            "a stanza is addressed to who receives it");
  for (const std::string& mark : marks) {
    const auto origin = origins_.find(mark);
    RequireOf(stanza, session.full_jid, origin != origins_.end(), "nothing comes that was not taken");
    RequireOf(stanza, session.full_jid,
              std::ranges::any_of(origin->second, [&](const Origin& o) { return MayReach(o, user); }),
              "nothing reaches whom it was not meant for");
  }
  RequireOf(stanza, session.full_jid,
            stanza.type() != "error" || stanza.payload().find("<internal-server-error") == std::string::npos,
            "no answer speaks of a fault of ours");
  CheckSender(session, stanza, marks);
  if (IsAnswer(stanza)) CheckAnswer(session, stanza);
  if (stanza.kind() == common::v1::STANZA_KIND_MESSAGE && stanza.type() != "error" && !marks.empty() &&
      session.is_honest)
    RequireOf(stanza, session.full_jid, session.messages.insert(xml).second, "nothing comes twice");
}

void Ledger::CheckSender(const Session& session, const Stanza& stanza,
                         const std::vector<std::string>& marks) const {
  const std::string& from = stanza.from();
  const auto require = [&](bool holds, const char* what) {
    RequireOf(stanza, session.full_jid, holds, what);
  };
  if (from == session.user && stanza.kind() == common::v1::STANZA_KIND_MESSAGE && stanza.type() != "error")
    return CheckCarbon(session, stanza, marks);
  if (from.empty() || from == session.user || IsOurService(from)) return;
  // An error comes from the address that it speaks of.
  if (stanza.type() == "error" && addressed_.contains({session.user, from})) return;
  require(IsLocalUser(from), "nobody speaks from outside");
  if (!IsFull(from)) {
    // Subscriptions and what is answered for an account.
    require(stanza.kind() != common::v1::STANZA_KIND_MESSAGE, "no message comes from an account");
    return;
  }
  require(IsClient(from), "the sender has been there");
  if (IsAnswer(stanza) || stanza.type() == "error") return;
  for (const std::string& mark : marks) {
    const auto& origins = origins_.at(mark);
    require(std::ranges::any_of(origins, [&](const Origin& o) { return o.session->full_jid == from; }),
            "the sender is who sent it");
  }
}

void Ledger::CheckCarbon(const Session& session, const Stanza& stanza,
                         const std::vector<std::string>& marks) const {
  const auto require = [&](bool holds, const char* what) {
    RequireOf(stanza, session.full_jid, holds, what);
  };
  const auto payload = xmpp::ParsePayload(stanza.payload());
  require(payload.ok() && payload->size() == 1 && payload->front().ns() == xmpp::ns::kCarbons,
          "what an account says to its owner is a carbon");
  const xmpp::Element* const forwarded = payload->front().Find("forwarded", xmpp::ns::kForward);
  require(forwarded != nullptr, "a carbon forwards something");
  const xmpp::Element* const message = forwarded->Find("message", xmpp::ns::kClient);
  require(message != nullptr, "a carbon forwards a message");
  const std::string_view from = message->Attr("from");
  const bool is_sent = payload->front().name() == "sent";
  require(BareOf(is_sent ? from : message->Attr("to")) == session.user,
          "a carbon is of the user's own messages");
  if (message->Attr("type") == "error") return;
  require(IsClient(from), "who is said to have sent a carbon has been there");
  for (const std::string& mark : marks)
    require(
        std::ranges::any_of(origins_.at(mark), [&](const Origin& o) { return o.session->full_jid == from; }),
        "who is said to have sent a carbon has sent it");
}

void Ledger::CheckAnswer(Session& session, const Stanza& stanza) {
  const std::string& from = stanza.from();
  // It is from a client, which may say what it likes.
  if (IsFull(from) && IsLocalUser(from) && stanza.type() == "result") return;
  const std::pair key(stanza.id(), from.empty() ? session.user : from);
  // A request that a session has not waited for is answered to the next one that has its address.
  Session* asker = &session;
  if (!session.requests.contains(key))
    for (auto& [id, other] : sessions_)
      if (other.full_jid == session.full_jid && other.requests.contains(key)) asker = &other;
  const auto found = asker->requests.find(key);
  if (found == asker->requests.end())
    return RequireOf(stanza, session.full_jid, IsFull(from), "nobody answers what was not asked");
  Session::Request& request = found->second;
  ++request.answered;
  if (request.is_for_a_client || !asker->is_honest) return;
  RequireOf(stanza, session.full_jid, request.answered <= request.asked, "a request is answered once");
}

bool Ledger::IsDue(const Session& session, const Session::Request& request) const {
  // The stand-in for muc reads what it is sent and answers nothing.
  if (xmpp::DomainOf(request.to) == "conference.localhost") return false;
  if (request.answered >= request.well_asked || (request.is_for_a_client && IsClient(request.to)))
    return false;
  // XEP-0191 section 3: whoever is blocked while the request is under way is not heard any more.
  return request.to.empty() || request.to == session.user || !blockers_.contains(session.user);
}

std::size_t Ledger::Unanswered(const Session& session) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      session.requests, [&](const auto& entry) { return IsDue(session, entry.second); }));
}

void Ledger::RequireAnswers(const Session& session) const {
  if (Unanswered(session) == 0) return;
  for (const auto& [key, request] : session.requests)
    if (IsDue(session, request))
      std::fprintf(stderr, "%s asked %s as '%s' %d times and was answered %d times\n",
                   session.full_jid.c_str(), request.to.c_str(), key.first.c_str(), request.well_asked,
                   request.answered);
  Require(false, "every request is answered");
}

}  // namespace rookery::fuzz
