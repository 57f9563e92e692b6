#include "domain/presence/directed_presence.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "domain/addresses.h"
#include "domain/delivery/client_answers.h"
#include "domain/outbound/consequences.h"
#include "domain/outbound/outbox.h"
#include "domain/settings.h"
#include "domain/state/shard.h"
#include "domain/state/user.h"
#include "rookery/base/check.h"

namespace rookery::session_manager {

namespace {

/// The most bytes of the addresses that a session's state names as told of it, and those of all sessions of a
/// user: each change sends a session's to its gateway.
constexpr std::size_t kMaxBytes = 64 * 1024;
constexpr std::size_t kMaxBytesOfUser = 256 * 1024;

std::size_t BytesOf(const session::v1::SessionManagerState& state) {
  const auto sum = [](std::size_t bytes, const std::string& address) { return bytes + address.size(); };
  return std::accumulate(state.directed().begin(), state.directed().end(),
                         std::accumulate(state.left().begin(), state.left().end(), std::size_t{0}, sum), sum);
}

std::size_t BytesOf(const User& user) {
  return std::accumulate(user.sessions.begin(), user.sessions.end(), std::size_t{0},
                         [](std::size_t bytes, const std::shared_ptr<Session>& session) {
                           return bytes + BytesOf(session->state);
                         });
}

}  // namespace

void DirectedPresence::Say(const std::shared_ptr<Session>& session, Cause& cause,
                           const xmpp::Stanza& presence) {
  auto& directed = *session->state.mutable_directed();
  const auto it = std::find_if(directed.begin(), directed.end(), [&](const std::string& address) {
    return HearTogether(address, presence.to());
  });
  if (presence.type().empty()) {
    if (it == directed.end() && !IsToldAnyway(*session, presence.to())) {
      if (directed.size() >= settings_.max_directed_presence ||
          BytesOf(session->state) + presence.to().size() > kMaxBytes ||
          BytesOf(*session->user) + presence.to().size() > kMaxBytesOfUser) {
        answers_.Refuse({*session->user, session}, cause, presence, xmpp::ErrorCondition::kResourceConstraint,
                        "too many directed presences");
        return;
      }
      *directed.Add() = presence.to();
      outbox_.Publish(*session);
    } else if (it != directed.end() && *it != presence.to()) {
      *it = presence.to();
      outbox_.Publish(*session);
    }
    // It knows of the session again.
    ForgetFarewells(*session, presence.to());
  } else if (it != directed.end()) {
    return SayFarewell(session, cause, presence);
  }
  consequences_.AppendDelivery(*session->user->shard, cause, presence);
}

bool DirectedPresence::IsToldAnyway(const Session& session, std::string_view contact) {
  // A session that is not available is not broadcast to anybody when it goes.
  const User& user = *session.user;
  if (!session.available() || !user.contacts || !xmpp::ResourceOf(contact).empty()) return false;
  const auto found = user.contacts->by_jid.find(contact);
  return found != user.contacts->by_jid.end() && found->second.from();
}

void DirectedPresence::ForgetFarewells(Session& session, std::string_view address) const {
  if (session.rare().farewells.empty()) return;
  std::erase_if(session.MakeRare().farewells,
                [&](const Farewell& older) { return HearTogether(older.address, address); });
}

void DirectedPresence::SayFarewell(const std::shared_ptr<Session>& session, Cause& cause,
                                   const xmpp::Stanza& unavailable) {
  const std::uint64_t number = ++last_farewell_;
  ForgetFarewells(*session, unavailable.to());
  session->MakeRare().farewells.push_back({unavailable.to(), number});
  consequences_.AppendDelivery(*session->user->shard, cause, unavailable,
                               [this, session, number](std::int64_t offset) {
                                 OnFarewellDone(*session, number, /*is_said=*/offset >= 0);
                               });
}

void DirectedPresence::OnFarewellDone(Session& session, std::uint64_t number, bool is_said) {
  if (session.rare().farewells.empty()) return;
  std::vector<Farewell>& farewells = session.MakeRare().farewells;
  const auto done = std::find_if(farewells.begin(), farewells.end(),
                                 [&](const Farewell& farewell) { return farewell.number == number; });
  // Else something newer was said to the address.
  if (done == farewells.end()) return;
  const std::string address = std::move(done->address);
  farewells.erase(done);
  if (!is_said || session.ended()) return;
  auto& directed = *session.state.mutable_directed();
  const auto it = std::find_if(directed.begin(), directed.end(),
                               [&](const std::string& told) { return HearTogether(told, address); });
  if (it == directed.end()) return;
  directed.erase(it);
  outbox_.Publish(session);
}

bool DirectedPresence::IsTold(const Session& session, std::string_view address) const {
  const auto& directed = session.state.directed();
  return std::any_of(directed.begin(), directed.end(),
                     [&](const std::string& told) { return HearTogether(told, address); });
}

bool DirectedPresence::Knows(const Session& session, std::string_view address) const {
  if (IsTold(session, address)) return true;
  const User& user = *session.user;
  const std::string_view bare = xmpp::BareOf(address);
  return session.available() && (bare == user.bare || (user.contacts && user.contacts->MaySee(bare)));
}

bool DirectedPresence::IsBeingLeft(const Session& session, std::string_view address) const {
  const std::vector<Farewell>& farewells = session.rare().farewells;
  return std::any_of(farewells.begin(), farewells.end(),
                     [&](const Farewell& farewell) { return HearTogether(farewell.address, address); });
}

bool DirectedPresence::HearTogether(std::string_view a, std::string_view b) const {
  return a == b || (xmpp::BareOf(a) == xmpp::BareOf(b) && addresses_.IsOfRooms(a));
}

std::vector<std::string> DirectedPresence::Leave(const std::shared_ptr<Session>& session, const Cause& cause,
                                                 const Matcher& includes) {
  ROOKERY_CHECK(cause.session == nullptr);
  std::vector<std::string> left;
  std::copy_if(session->state.directed().begin(), session->state.directed().end(), std::back_inserter(left),
               includes);
  xmpp::Stanza unavailable = xmpp::MakePresence("unavailable", session->jid.str(), {});
  for (const std::string& address : left) {
    unavailable.set_to(address);
    // The next owner may have fewer addresses to tell.
    Cause own = cause;
    own.parts = Consequences::PartFor(unavailable, address) - 1;
    SayFarewell(session, own, unavailable);
  }
  return left;
}

}  // namespace rookery::session_manager
