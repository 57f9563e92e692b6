#include "domain/presence_tracker.h"

#include <charconv>
#include <optional>

#include "domain/client_stanza_processor.h"
#include "domain/deliverer.h"
#include "domain/session_keeper.h"
#include "rookery/base/status.h"
#include "rookery/events/v1/presence_event.pb.h"
#include "rookery/telemetry/log.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

struct PresenceFields {
  int priority = 0;
  std::string show;
  std::string status;
  bool valid = true;
};

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

xmpp::Stanza Unavailable(std::string_view from) { return xmpp::MakePresence("unavailable", from, {}); }

}  // namespace

Task<absl::Status> PresenceTracker::LoadContacts(std::shared_ptr<Shard> shard, std::string bare,
                                                 std::vector<roster::v1::PendingRequest>* pending) {
  roster::v1::GetRosterRequest request;
  request.set_user(bare);
  auto roster = co_await core_.ports().roster.Get(std::move(request));
  if (!roster.ok()) co_return roster.status();
  if (shard->released()) co_return absl::CancelledError("the shard has moved");
  User* user = core_.FindUser(*shard, bare);
  if (user == nullptr) co_return absl::CancelledError("the user has gone");
  auto contacts = std::make_unique<Contacts>();
  contacts->by_jid.reserve(static_cast<std::size_t>(roster->items_size()));
  for (const auto& item : roster->items()) contacts->by_jid[item.jid()].subscription = item.subscription();
  user->contacts = std::move(contacts);
  if (pending != nullptr) pending->assign(roster->pending().begin(), roster->pending().end());
  co_return absl::OkStatus();
}

// ---- what the client sends --------------------------------------------------

void PresenceTracker::OnBroadcast(const std::shared_ptr<Session>& session, Cause& cause,
                                  xmpp::Stanza& presence) {
  User& user = *session->user;
  if (presence.type() == "unavailable") {
    if (!session->available()) return;
    if (user.contacts && !user.busy) {
      BecomeUnavailable(user, *session, cause, presence);
      core_.sessions().PublishState(*session);
      return;
    }
    core_.client_stanzas().RunInTurn(session, cause, [this, session, presence](Cause& later) -> Task<void> {
      return [](PresenceTracker& self, std::shared_ptr<Session> s, xmpp::Stanza p, Cause& c) -> Task<void> {
        const auto shard = self.core_.SharedShard(s->user->shard->number);
        if (!s->user->contacts) (void)co_await self.LoadContacts(shard, s->user->bare, nullptr);
        if (s->ended || shard->released()) co_return;
        self.BecomeUnavailable(*s->user, *s, c, p);
        self.core_.sessions().PublishState(*s);
      }(*this, session, presence, later);
    });
    return;
  }
  const PresenceFields fields = ReadFields(presence);
  if (!fields.valid) {
    core_.client_stanzas().Refuse(*session, presence, xmpp::ErrorCondition::kBadRequest);
    return;
  }
  const bool gives_offline = fields.priority >= 0 && !session->state.offline_given();
  if (session->available() && user.contacts && !user.busy && !gives_offline) {
    UpdateAvailable(session, cause, std::move(presence), fields.priority);
    return;
  }
  core_.client_stanzas().RunInTurn(
      session, cause, [this, session, presence, priority = fields.priority](Cause& later) -> Task<void> {
        return BecomeAvailable(session, later, presence, priority);
      });
}

void PresenceTracker::UpdateAvailable(const std::shared_ptr<Session>& session, Cause& cause,
                                      xmpp::Stanza presence, int priority) {
  session->state.set_available(true);
  session->state.set_priority(priority);
  Broadcast(*session->user, cause, presence);
  session->state.mutable_presence()->Swap(&presence);
  core_.sessions().PublishState(*session);
  PublishEvent(*session->user, *session);
}

Task<void> PresenceTracker::BecomeAvailable(std::shared_ptr<Session> session, Cause& cause,
                                            xmpp::Stanza presence, int priority) {
  const std::shared_ptr<Shard> shard = core_.SharedShard(session->user->shard->number);
  const bool initial = !session->available();
  std::vector<roster::v1::PendingRequest> pending;
  if (initial || !session->user->contacts) {
    absl::Status loaded = co_await LoadContacts(shard, session->user->bare, &pending);
    for (int attempt = 0; !loaded.ok() && !absl::IsCancelled(loaded) && attempt < 3; ++attempt) {
      co_await runtime::Sleep(std::chrono::milliseconds(200 << attempt));
      if (session->ended || shard->released()) co_return;
      loaded = co_await LoadContacts(shard, session->user->bare, &pending);
    }
    if (session->ended || shard->released()) co_return;
    if (!loaded.ok()) {
      // Without the roster nobody could be told; the client may try again.
      core_.deliverer().Reply(*session, xmpp::MakeError(presence, xmpp::ErrorCondition::kInternalServerError,
                                                        "the roster is away", xmpp::ErrorType::kWait));
      co_return;
    }
  }
  User& user = *session->user;
  UpdateAvailable(session, cause, std::move(presence), priority);
  if (initial) {
    // RFC 6121 section 4.2.2: probe who we are subscribed to, and our own other resources.
    std::vector<std::string> probed;
    for (const auto& [jid, contact] : user.contacts->by_jid)
      if (contact.to() && core_.IsLocalDomain(xmpp::DomainOf(jid))) probed.push_back(jid);
    const bool others = std::any_of(user.sessions.begin(), user.sessions.end(), [&](const auto& other) {
      return other != session && other->available();
    });
    if (others) probed.push_back(user.bare);
    if (!probed.empty())
      core_.AppendFanout(*shard, cause, xmpp::MakePresence("probe", session->jid.str(), {}), probed);
    // Section 3.1.3: requests are shown until they are answered.
    for (roster::v1::PendingRequest& request : pending)
      core_.deliverer().Reply(*session, std::move(*request.mutable_stanza()));
  }
  if (priority >= 0 && !session->state.offline_given()) {
    session->state.set_offline_given(true);
    core_.sessions().PublishState(*session);
    co_await core_.deliverer().GiveOfflineMessages(shard, session);
  }
}

void PresenceTracker::BecomeUnavailable(User& user, Session& session, Cause& cause,
                                        const xmpp::Stanza& presence) {
  if (!session.available()) return;
  Broadcast(user, cause, presence);
  if (session.state.directed_size() > 0) {
    const std::vector<std::string> directed(session.state.directed().begin(), session.state.directed().end());
    core_.AppendFanout(*user.shard, cause, presence, directed);
  }
  NoteUnavailable(user, session, ReadFields(presence).status);
}

void PresenceTracker::NoteUnavailable(User& user, Session& session, std::string status) {
  session.state.clear_directed();
  session.state.set_available(false);
  session.state.clear_presence();
  session.state.set_offline_given(false);
  PublishEvent(user, session);
  if (!user.HasAvailable())
    core_.tasks().Spawn("last_activity", RememberLastActivity(user.bare, std::move(status)));
}

void PresenceTracker::OnDirected(const std::shared_ptr<Session>& session, Cause& cause,
                                 xmpp::Stanza& presence) {
  auto& directed = *session->state.mutable_directed();
  const auto it = std::find(directed.begin(), directed.end(), presence.to());
  if (presence.type().empty()) {
    const User& user = *session->user;
    bool told_anyway = false;
    if (user.contacts && xmpp::ResourceOf(presence.to()).empty()) {
      const auto contact = user.contacts->by_jid.find(presence.to());
      told_anyway = contact != user.contacts->by_jid.end() && contact->second.from();
    }
    if (it == directed.end() && !told_anyway) {
      if (directed.size() >= core_.settings().max_directed_presence) {
        core_.client_stanzas().Refuse(*session, presence, xmpp::ErrorCondition::kResourceConstraint,
                                      "too many directed presences");
        return;
      }
      *directed.Add() = presence.to();
      core_.sessions().PublishState(*session);
    }
  } else if (it != directed.end()) {
    directed.erase(it);
    core_.sessions().PublishState(*session);
  }
  core_.AppendDelivery(*session->user->shard, cause, std::move(presence));
}

void PresenceTracker::Broadcast(User& user, Cause& cause, const xmpp::Stanza& presence) {
  std::vector<std::string> recipients;
  if (user.contacts) {
    for (const auto& [jid, contact] : user.contacts->by_jid)
      if (contact.from() && core_.IsLocalDomain(xmpp::DomainOf(jid)) && jid != user.bare)
        recipients.push_back(jid);
  }
  // RFC 6121 section 4.4.2: the user's own resources too, the sending one included.
  recipients.push_back(user.bare);
  core_.AppendFanout(*user.shard, cause, presence, recipients);
}

void PresenceTracker::SendCurrent(User& user, Cause& cause, std::string_view contact) {
  for (const auto& session : user.sessions) {
    if (!session->available()) continue;
    xmpp::Stanza presence = session->state.presence();
    presence.set_to(std::string(contact));
    core_.AppendDelivery(*user.shard, cause, std::move(presence));
  }
}

void PresenceTracker::SendUnavailable(User& user, Cause& cause, std::string_view contact) {
  for (const auto& session : user.sessions) {
    if (!session->available()) continue;
    xmpp::Stanza presence = Unavailable(session->jid.str());
    presence.set_to(std::string(contact));
    core_.AppendDelivery(*user.shard, cause, std::move(presence));
  }
}

// ---- what others ask --------------------------------------------------------

void PresenceTracker::AnswerProbe(User& user, Cause& cause, std::string_view prober) {
  if (!user.HasAvailable()) return;
  const std::string_view bare = xmpp::BareOf(prober);
  if (!user.contacts && bare != user.bare) {
    // Our sessions came with the shard, their roster did not.
    const std::shared_ptr<Shard> shard = core_.SharedShard(user.shard->number);
    shard->window.Hold(cause.offset);
    core_.TakeTurn(user,
                   [this, shard, bare_user = user.bare, cause, asked = std::string(prober)]() -> Task<void> {
                     return LoadAndAnswer(shard, bare_user, cause, asked);
                   });
    return;
  }
  if (bare != user.bare) {
    const auto it = user.contacts->by_jid.find(bare);
    if (it == user.contacts->by_jid.end() || !it->second.from()) return;
  }
  for (const auto& session : user.sessions) {
    if (!session->available() || session->jid.str() == prober) continue;
    xmpp::Stanza presence = session->state.presence();
    presence.set_to(std::string(prober));
    core_.AppendDelivery(*user.shard, cause, std::move(presence));
  }
}

Task<void> PresenceTracker::LoadAndAnswer(std::shared_ptr<Shard> shard, std::string bare, Cause cause,
                                          std::string prober) {
  User* user = core_.FindUser(*shard, bare);
  if (user != nullptr && !user->contacts) {
    const absl::Status loaded = co_await LoadContacts(shard, bare, nullptr);
    if (shard->released()) co_return;
    if (!loaded.ok()) telemetry::LogWarn("presence.probe_unanswered", {{"error", Message(loaded)}});
  }
  user = core_.FindUser(*shard, bare);
  if (user != nullptr && user->contacts) AnswerProbe(*user, cause, prober);
  shard->window.Release(cause.offset);
}

// ---- the end ----------------------------------------------------------------

void PresenceTracker::OnSessionEnd(User& user, Session& session) {
  if (!session.available()) {
    if (session.state.directed_size() > 0) {
      Cause cause;
      core_.AppendFanout(*user.shard, cause, Unavailable(session.jid.str()),
                         {session.state.directed().begin(), session.state.directed().end()});
    }
    return;
  }
  const xmpp::Stanza unavailable = Unavailable(session.jid.str());
  if (user.contacts) {
    Cause cause;
    BecomeUnavailable(user, session, cause, unavailable);
    return;
  }
  if (session.state.directed_size() > 0) {
    Cause cause;
    core_.AppendFanout(*user.shard, cause, unavailable,
                       {session.state.directed().begin(), session.state.directed().end()});
  }
  NoteUnavailable(user, session, {});
  const std::shared_ptr<Shard> shard = core_.SharedShard(user.shard->number);
  core_.TakeTurn(user, [this, shard, bare = user.bare, unavailable]() -> Task<void> {
    return BroadcastEnd(shard, bare, unavailable);
  });
}

Task<void> PresenceTracker::BroadcastEnd(std::shared_ptr<Shard> shard, std::string bare,
                                         xmpp::Stanza unavailable) {
  absl::Status loaded = co_await LoadContacts(shard, bare, nullptr);
  for (int attempt = 0; !loaded.ok() && !absl::IsCancelled(loaded) && attempt < 5; ++attempt) {
    co_await runtime::Sleep(std::chrono::milliseconds(200 << attempt));
    loaded = co_await LoadContacts(shard, bare, nullptr);
  }
  if (shard->released() || !loaded.ok()) co_return;
  User* user = core_.FindUser(*shard, bare);
  if (user == nullptr) co_return;
  Cause cause;
  Broadcast(*user, cause, unavailable);
  if (!user->HasAvailable()) user->contacts.reset();
}

Task<void> PresenceTracker::RememberLastActivity(std::string bare, std::string status) {
  AccountStore::LastActivity last{core_.clock().UnixMillisNow(), std::move(status)};
  const absl::Status stored =
      co_await core_.ports().accounts.SetLastActivity(std::move(bare), std::move(last));
  if (!stored.ok()) telemetry::LogWarn("last_activity.store_failed", {{"error", Message(stored)}});
}

void PresenceTracker::PublishEvent(const User& user, const Session& session) {
  events::v1::PresenceEvent event;
  event.set_jid(std::string(session.jid.str()));
  event.set_available(session.available());
  if (session.available()) {
    event.set_show(ReadFields(session.state.presence()).show);
    event.set_priority(session.priority());
  }
  event.set_changed_at_ms(core_.clock().UnixMillisNow());
  event.set_shard(user.shard->number);
  event.set_epoch(user.shard->epoch);
  core_.AppendEvent(*user.shard, Topic::kPresence, user.bare, event, -1);
}

}  // namespace rookery::session_manager
