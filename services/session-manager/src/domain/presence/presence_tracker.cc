#include "domain/presence/presence_tracker.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <tuple>

#include "absl/container/flat_hash_set.h"
#include "domain/addresses.h"
#include "domain/delivery/client_answers.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/hand_outs.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/keyed_lock.h"
#include "domain/metrics.h"
#include "domain/outbound/consequences.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/outbox.h"
#include "domain/presence/avatar_stamp.h"
#include "domain/presence/directed_presence.h"
#include "domain/presence/presence_events.h"
#include "domain/presence/presence_fields.h"
#include "domain/presence/presence_news.h"
#include "domain/settings.h"
#include "domain/state/part_numbers.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "domain/users/user_settings.h"
#include "domain/users/users.h"
#include "ports/roster.h"
#include "rookery/base/check.h"
#include "rookery/base/deadline.h"
#include "rookery/runtime/backoff.h"

namespace rookery::session_manager {

namespace {

/// Numbers what follows from a record of the log for each of the user's sessions by that session: the next
/// owner, should it do the same again, may have others.
Cause CauseFor(const SessionId& session, const Cause& cause) {
  Cause own = cause;
  ROOKERY_CHECK(cause.offset >= 0);
  std::uint32_t bits = 0;
  std::memcpy(&bits, session.bytes().data(), sizeof bits);
  own.parts = part_numbers::BeforeSession(bits);
  return own;
}

/// The most bytes of payload in the presence that a session keeps: it goes to all who ask, and with the
/// session's state wherever that goes.
constexpr std::size_t kMaxPresenceBytes = 16 * 1024;
/// The most contacts whose presence a client is told to forget at once.
constexpr std::size_t kMostTakenBack = 250;
/// For a session that becomes available.
constexpr std::chrono::milliseconds kLoadPatience{1'500};

std::unique_ptr<Contacts> MakeContacts(const roster::v1::GetRosterResponse& roster) {
  auto contacts = std::make_unique<Contacts>();
  contacts->by_jid.reserve(static_cast<std::size_t>(roster.items_size()));
  for (const auto& item : roster.items()) contacts->by_jid[item.jid()].subscription = item.subscription();
  return contacts;
}

/// Whether the session became what it is by the stanza that is handled. Its owner died before that was
/// confirmed, perhaps before anything was in the log, and the gateway has sent it again.
bool IsRepeated(const Session& session, const Cause& cause) {
  return cause.count > 0 && session.state.availability_count() == cause.count;
}

/// Whether a newer session has its full JID: what it says would be taken for that one's presence.
bool IsReplaced(const Session& session) { return session.user->FindResource(session.resource()) != &session; }

/// Whether the session misses nothing but that the log does not have yet all that it says.
bool IsBeingSaid(const Session& session) {
  return !session.was_spared_presence && session.rare().telling_anew == nullptr &&
         !session.rare().unasked.expired();
}

xmpp::Stanza Unavailable(std::string_view from) { return xmpp::MakePresence("unavailable", from, {}); }

}  // namespace

Task<absl::Status> PresenceTracker::LoadContacts(std::shared_ptr<Shard> shard, std::string bare,
                                                 std::vector<roster::v1::PendingRequest>* pending,
                                                 std::uint64_t trace_id) {
  // Everybody behind the lock would wait for the same.
  if (owed_.IsRosterAway(bare)) co_return absl::UnavailableError("the roster is away");
  const absl::Status loaded = co_await AskForContacts(shard, bare, pending, trace_id);
  if (!loaded.ok() && !absl::IsCancelled(loaded) && !shard->released()) owed_.OnRosterAway(*shard, bare);
  co_return loaded;
}

Task<absl::Status> PresenceTracker::AskForContacts(std::shared_ptr<Shard> shard, std::string bare,
                                                   std::vector<roster::v1::PendingRequest>* pending,
                                                   std::uint64_t trace_id) {
  roster::v1::GetRosterRequest request;
  request.set_user(bare);
  request.set_with_settings(true);
  auto roster = co_await roster_.Get(std::move(request), trace_id);
  if (!roster.ok()) co_return roster.status();
  if (shard->released()) co_return absl::CancelledError("the shard has moved");
  User* user = shard->FindUser(bare);
  if (user == nullptr) co_return absl::CancelledError("the user has gone");
  user->contacts = MakeContacts(*roster);
  // Changes of them hold the user's roster, too.
  user_settings_.Put(*user, *std::move(*roster).mutable_settings());
  // Before anything newer is said.
  PayOwed(bare, *user->contacts);
  TellAvatar(*user);
  if (pending != nullptr) pending->assign(roster->pending().begin(), roster->pending().end());
  co_return absl::OkStatus();
}

// ---- what the client sends --------------------------------------------------

PresenceTracker::Work PresenceTracker::OnBroadcast(const std::shared_ptr<Session>& session, Cause& cause,
                                                   xmpp::Stanza& presence) {
  User& user = *session->user;
  if (IsReplaced(*session)) return {};
  if (presence.type() == "unavailable") {
    if (session->state.has_presence_due()) {
      session->state.clear_presence_due();
      outbox_.Publish(*session);
    }
    if (!session->available() && !IsRepeated(*session, cause)) return {};
    BecomeUnavailable(user, *session, cause, presence);
    outbox_.Publish(*session);
    return {};
  }
  const PresenceFields fields = ReadFields(presence);
  if (!fields.valid) {
    answers_.Refuse({user, session}, cause, presence, xmpp::ErrorCondition::kBadRequest);
    return {};
  }
  if (presence.payload().size() > kMaxPresenceBytes) {
    answers_.Refuse({user, session}, cause, presence, xmpp::ErrorCondition::kPolicyViolation,
                    "too much for a presence");
    return {};
  }
  if (session->available() && user.contacts && !IsRepeated(*session, cause)) {
    UpdateAvailable(session, cause, std::move(presence), fields.priority);
    HandOutIfDue(session);
    return {};
  }
  return [this, session, presence, priority = fields.priority](Cause& later) -> Task<void> {
    return BecomeAvailable(session, later, presence, priority);
  };
}

void PresenceTracker::HandOutIfDue(const std::shared_ptr<Session>& session) {
  if (session->priority() >= 0 && !session->state.offline_given()) hand_outs_.HandOutSoon(*session->user);
}

void PresenceTracker::UpdateAvailable(const std::shared_ptr<Session>& session, Cause& cause,
                                      xmpp::Stanza presence, int priority) {
  if (!session->available()) {
    if (session->state.availability_count() == 0)
      session->state.set_available_offset(session->user->shard->window.next_offset() - 1);
    session->state.set_availability_count(cause.count);
    session->state.clear_left();
    if (!session->rare().seen_early.empty()) session->MakeRare().seen_early.clear();
    directory_.Changed(*session);
  }
  session->state.set_available(true);
  session->state.set_priority(priority);
  session->state.set_declines_avatar(DeclinesAvatar(presence));
  if (!session->state.declines_avatar()) StampAvatar(presence, session->user->settings.get());
  Broadcast(*session->user, cause, presence);
  session->state.mutable_presence()->Swap(&presence);
  session->state.set_unavailable_untold(false);
  session->state.clear_presence_due();
  outbox_.Publish(*session);
  features_.Tell(&LifeHook::OnSessionChanged, *session);
  events_.OnAvailable(*session);
}

Task<void> PresenceTracker::BecomeAvailable(std::shared_ptr<Session> session, Cause& cause,
                                            xmpp::Stanza presence, int priority) {
  const std::shared_ptr<Shard> shard = shards_.Shared(session->user->shard->number);
  const std::string bare = session->user->bare;
  const Deadline deadline = Deadline::After(kLoadPatience);
  runtime::Backoff backoff(kBackendRetries);
  if (session->ended() || IsReplaced(*session)) co_return;
  // Where the roster is known to be away nobody waits for those who ask it.
  for (bool is_in_time = !owed_.IsRosterAway(bare); is_in_time;) {
    {
      // Until the session is available: whoever asks to subscribe is shown to it either by the
      // roster's answer or as a later change of the roster.
      const KeyedLock::Hold turn = co_await rosters_.Take(bare);
      if (session->ended() || IsReplaced(*session)) co_return;
      std::vector<roster::v1::PendingRequest> pending;
      const bool initial = !session->available() || IsRepeated(*session, cause);
      absl::Status loaded;
      if (initial || !session->user->contacts)
        loaded = co_await LoadContacts(shard, bare, &pending, cause.trace_id);
      if (session->ended() || IsReplaced(*session)) co_return;
      if (loaded.ok()) {
        FinishAvailable(session, cause, std::move(presence), priority, initial, pending);
        co_return;
      }
    }
    is_in_time = co_await backoff.Wait(deadline);
    if (session->ended()) co_return;
  }
  // Without the roster nobody could be told. What its client sends next is not kept waiting for that.
  if (!session->available()) co_return BecomeAvailableLater(session, std::move(presence));
  RefusePresence(*session, presence);
}

void PresenceTracker::RefusePresence(Session& session, const xmpp::Stanza& presence) {
  deliverer_.Reply(session, xmpp::MakeError(presence, xmpp::ErrorCondition::kInternalServerError,
                                            "the roster is away", xmpp::ErrorType::kWait));
}

void PresenceTracker::BecomeAvailableLater(const std::shared_ptr<Session>& session, xmpp::Stanza presence) {
  session->state.mutable_presence_due()->Swap(&presence);
  OwePresence(*session);
  outbox_.Publish(*session);
}

void PresenceTracker::OwePresence(Session& session) {
  if (OwedPresence::Owed* owed = owed_.Owe(*session.user->shard, session.user->bare)) {
    owed->has_presence_due = true;
    return;
  }
  // Too much is owed already: its client may try again.
  xmpp::Stanza presence;
  presence.Swap(session.state.mutable_presence_due());
  session.state.clear_presence_due();
  outbox_.Publish(session);
  RefusePresence(session, presence);
}

Task<void> PresenceTracker::PayPresence(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session) {
  // The user may be gone when its turn comes.
  const std::string bare = session->user->bare;
  // Never within the call that pays, which has the roster.
  co_await runtime::Yield();
  const KeyedLock::Hold turn = co_await rosters_.Take(bare);
  const auto is_due = [&] {
    return !session->ended() && !session->available() && session->state.has_presence_due() &&
           !IsReplaced(*session);
  };
  if (!is_due()) co_return;
  std::vector<roster::v1::PendingRequest> pending;
  const absl::Status loaded = co_await LoadContacts(shard, bare, &pending, /*trace_id=*/0);
  if (!is_due()) co_return;
  if (!loaded.ok()) co_return OwePresence(*session);
  xmpp::Stanza presence;
  presence.Swap(session->state.mutable_presence_due());
  const int priority = ReadFields(presence).priority;
  SayUnasked(session, [&](Cause& cause) {
    FinishAvailable(session, cause, std::move(presence), priority, /*initial=*/true, pending);
  });
}

void PresenceTracker::FinishAvailable(const std::shared_ptr<Session>& session, Cause& cause,
                                      xmpp::Stanza presence, int priority, bool initial,
                                      std::vector<roster::v1::PendingRequest>& pending) {
  UpdateAvailable(session, cause, std::move(presence), priority);
  if (initial) {
    Probe(*session, cause, ProbedBy(*session));
    // Section 3.1.3: requests are shown until they are answered.
    for (roster::v1::PendingRequest& request : pending)
      deliverer_.Reply(*session, std::move(*request.mutable_stanza()));
  }
  HandOutIfDue(session);
}

std::vector<std::string> PresenceTracker::ProbedBy(const Session& session) const {
  User& user = *session.user;
  std::vector<std::string> probed;
  for (const auto& [jid, contact] : user.contacts->by_jid)
    if (contact.to() && addresses_.IsLocal(xmpp::DomainOf(jid))) probed.push_back(jid);
  return probed;
}

void PresenceTracker::Probe(const Session& session, Cause& cause, std::vector<std::string> probed) {
  // RFC 6121 section 4.2.2: who we are subscribed to, and our own other resources.
  User& user = *session.user;
  const bool others = std::any_of(user.sessions.begin(), user.sessions.end(), [&](const auto& other) {
    return other.get() != &session && other->available();
  });
  if (others) probed.push_back(user.bare);
  consequences_.AppendBroadcast(*user.shard, cause, xmpp::MakePresence("probe", session.jid.str(), {}),
                                std::move(probed));
}

void PresenceTracker::BecomeUnavailable(User& user, Session& session, Cause& cause,
                                        const xmpp::Stanza& presence) {
  if (session.available()) {
    session.state.set_availability_count(cause.count);
    session.state.mutable_left()->Swap(session.state.mutable_directed());
  }
  Broadcast(user, cause, presence);
  if (!user.contacts) {
    // Our sessions came with the shard, their roster did not, and it is away.
    owed_.OweUnavailable(*user.shard, user.bare, presence);
    session.state.set_unavailable_untold(true);
  }
  // To those from whom a feature hides the user since, too: the log may not have that the session is gone.
  // They are told no more than that; nor are the others then, in the one record that a next owner says again.
  const std::vector<std::string> left(session.state.left().begin(), session.state.left().end());
  std::vector<std::string> seeing = left;
  features_.FilterRecipients(user, seeing);
  consequences_.AppendFanout(*user.shard, cause,
                             seeing.size() == left.size() ? presence : Unavailable(session.jid.str()), left);
  NoteUnavailable(user, session, ReadFields(presence).status, /*offset=*/-1);
}

void PresenceTracker::NoteUnavailable(User& user, Session& session, std::string status, std::int64_t offset) {
  session.state.set_available(false);
  if (!session.ended()) directory_.Changed(session);
  session.state.clear_presence();
  session.state.clear_declines_avatar();
  session.state.set_offline_given(false);
  features_.Tell(&LifeHook::OnSessionChanged, session);
  events_.OnUnavailable(user, session, std::move(status), offset);
}

void PresenceTracker::OnDirected(const std::shared_ptr<Session>& session, Cause& cause,
                                 xmpp::Stanza& presence) {
  if (IsReplaced(*session)) return;
  if (presence.type().empty() && !DeclinesAvatar(presence))
    StampAvatar(presence, session->user->settings.get());
  directed_.Say(session, cause, presence);
}

void PresenceTracker::Broadcast(User& user, Cause& cause, const xmpp::Stanza& presence) {
  std::vector<std::string> recipients;
  if (user.contacts) recipients = Subscribers(user.bare, *user.contacts);
  // RFC 6121 section 4.4.2: the user's own resources too, the sending one included.
  recipients.push_back(user.bare);
  consequences_.AppendBroadcast(*user.shard, cause, presence, std::move(recipients));
}

std::vector<std::string> PresenceTracker::Subscribers(std::string_view bare, const Contacts& contacts) const {
  std::vector<std::string> subscribers;
  for (const auto& [jid, contact] : contacts.by_jid)
    if (contact.from() && addresses_.IsLocal(xmpp::DomainOf(jid)) && jid != bare) subscribers.push_back(jid);
  return subscribers;
}

void PresenceTracker::SendCurrent(User& user, const Cause& cause, std::string_view contact) {
  for (const auto& session : user.sessions) {
    if (!session->available() || IsReplaced(*session)) continue;
    xmpp::Stanza presence = PresenceOf(*session);
    presence.set_to(std::string(contact));
    Cause own = CauseFor(session->id, cause);
    consequences_.AppendDelivery(*user.shard, own, presence);
  }
}

void PresenceTracker::SendUnavailable(User& user, const Cause& cause, std::string_view contact) {
  const auto send = [&](const SessionId& session, std::string_view jid) {
    xmpp::Stanza presence = Unavailable(jid);
    presence.set_to(std::string(contact));
    Cause own = CauseFor(session, cause);
    consequences_.AppendDelivery(*user.shard, own, presence);
  };
  for (const auto& session : user.sessions)
    if (session->available()) send(session->id, session->jid.str());
  // When one of these is found to be over, the contact is nobody who is told.
  for (const SessionDirectory::Entry& left : directory_.LeftOf(*user.shard, user.bare))
    send(SessionId(left.session_id), left.full_jid);
  // A session that has signed off while the change was under way is none of these, and what it said may have
  // gone to the contacts of afterwards.
  send(SessionId(), user.bare);
}

xmpp::Stanza PresenceTracker::PresenceOf(const Session& session) {
  xmpp::Stanza presence = session.state.presence();
  if (!session.state.declines_avatar()) StampAvatar(presence, session.user->settings.get());
  return presence;
}

bool PresenceTracker::RenewAvatar(Session& session) {
  xmpp::Stanza presence = PresenceOf(session);
  if (presence.payload() == session.state.presence().payload()) return false;
  session.state.mutable_presence()->Swap(&presence);
  return true;
}

void PresenceTracker::TellAvatar(User& user) {
  for (const auto& session : user.sessions) {
    if (!session->available() || IsReplaced(*session) || !RenewAvatar(*session)) continue;
    if (user.contacts) {
      Cause cause;
      cause.end = news_.JoinUnasked(session);
      const std::shared_ptr<EndWrites> said = cause.end;
      Broadcast(user, cause, session->state.presence());
      if (said) said->Finish();
    } else {
      TellAnew(*session);
    }
    outbox_.Publish(*session);
  }
}

// ---- whom a feature hides the user from -----------------------------------------

void PresenceTracker::HideFrom(Shard& shard, const std::string& bare, Cause& cause,
                               const Audience& audience) {
  User* const user = shard.FindUser(bare);
  if (user == nullptr) return;
  const std::vector<std::string> seeing = Seeing(*user, audience);
  for (const auto& session : user->sessions) {
    const std::vector<std::string> left = directed_.Leave(session, cause, audience.includes);
    if (!session->available()) continue;
    const absl::flat_hash_set<std::string_view> is_left(left.begin(), left.end());
    std::vector<std::string> told;
    std::copy_if(seeing.begin(), seeing.end(), std::back_inserter(told),
                 [&](const std::string& jid) { return !is_left.contains(jid); });
    // To them, although the feature keeps them from hearing of the user.
    consequences_.AppendFanout(shard, cause, Unavailable(session->jid.str()), told);
  }
}

void PresenceTracker::ShowTo(Shard& shard, const std::string& bare, Cause& cause, const Audience& audience) {
  User* const user = shard.FindUser(bare);
  if (user == nullptr) return;
  const std::vector<std::string> seeing = Seeing(*user, audience);
  for (const auto& session : user->sessions)
    if (session->available()) consequences_.AppendBroadcast(shard, cause, PresenceOf(*session), seeing);
}

Task<absl::Status> PresenceTracker::LoadAudience(std::shared_ptr<Shard> shard, std::string bare,
                                                 std::uint64_t trace_id) {
  // Also of whom nobody can see: a gateway may bring a session at any time.
  const User* const user = shard->FindUser(bare);
  if (user == nullptr || user->contacts) co_return absl::OkStatus();
  const absl::Status loaded = co_await LoadContacts(shard, bare, nullptr, trace_id);
  if (loaded.ok()) co_return loaded;
  co_return absl::UnavailableError(loaded.message());
}

std::vector<std::string> PresenceTracker::Seeing(const User& user, const Audience& audience) const {
  std::vector<std::string> seeing;
  if (!user.contacts) return seeing;
  for (std::string& jid : Subscribers(user.bare, *user.contacts))
    if (audience.includes(jid) && !audience.is_hidden_anyway(jid)) seeing.push_back(std::move(jid));
  for (const std::string& jid : audience.resources)
    if (user.contacts->MaySee(xmpp::BareOf(jid)) && addresses_.IsLocal(xmpp::DomainOf(jid)) &&
        !audience.is_hidden_anyway(jid))
      seeing.push_back(jid);
  return seeing;
}

// ---- what others ask --------------------------------------------------------

void PresenceTracker::AnswerProbe(User& user, Cause& cause, std::string_view prober) {
  if (!user.HasAvailable()) return;
  const std::string_view bare = xmpp::BareOf(prober);
  if (!user.contacts && bare != user.bare) {
    // Our sessions came with the shard, their roster did not.
    const std::shared_ptr<Shard> shard = shards_.Shared(user.shard->number);
    shard->window.Hold(cause.offset);
    shard->Spawn("presence.answer_probe", LoadAndAnswer(shard, user.bare, cause, std::string(prober)));
    return;
  }
  if (bare != user.bare && !user.contacts->MaySee(bare)) return;
  SendCurrentTo(user, cause, prober);
}

void PresenceTracker::SendCurrentTo(User& user, Cause& cause, std::string_view prober) {
  for (const auto& session : user.sessions) {
    if (!session->available() || IsReplaced(*session) || session->jid.str() == prober) continue;
    xmpp::Stanza presence = PresenceOf(*session);
    presence.set_to(std::string(prober));
    if (cause.offset < 0) {
      consequences_.AppendDelivery(*user.shard, cause, presence);
      continue;
    }
    // By session: the next owner may have them in another order.
    Cause own = CauseFor(session->id, cause);
    consequences_.AppendDelivery(*user.shard, own, presence);
  }
}

Task<void> PresenceTracker::LoadAndAnswer(std::shared_ptr<Shard> shard, std::string bare, Cause cause,
                                          std::string prober) {
  {
    // Whoever comes first loads for all.
    const KeyedLock::Hold turn = co_await rosters_.Take(bare);
    User* user = shard->FindUser(bare);
    if (user != nullptr && !user->contacts) (void)co_await LoadContacts(shard, bare, nullptr, cause.trace_id);
  }
  if (User* user = shard->FindUser(bare)) {
    if (user->contacts) {
      AnswerProbe(*user, cause, prober);
    } else {
      owed_.OweAnswer(*shard, bare, std::move(prober));
    }
  }
  shard->window.Release(cause.offset);
}

// ---- the end ----------------------------------------------------------------

void PresenceTracker::OnSessionEnd(User& user, Session& session, Cause& cause) {
  const bool is_seen = session.available() || session.state.unavailable_untold();
  const bool is_gone = TellEnd(user, cause, session.jid.str(), is_seen, session.state.directed());
  if (is_gone && session.available()) NoteUnavailable(user, session, {}, cause.offset);
}

void PresenceTracker::OnUnknownSessionEnd(Shard& shard, Cause& cause, const events::v1::SessionEnded& ended) {
  User& user = shard.GetUser(xmpp::BareOf(ended.full_jid()));
  TellEnd(user, cause, ended.full_jid(), ended.available(), ended.directed());
  users_.MaybeForget(user);
}

bool PresenceTracker::TellEnd(User& user, Cause& cause, std::string_view full_jid, bool is_seen,
                              const google::protobuf::RepeatedPtrField<std::string>& directed) {
  const Session* const successor = user.FindResource(xmpp::ResourceOf(full_jid));
  const bool is_gone = is_seen && (successor == nullptr || !successor->available());
  const xmpp::Stanza unavailable = Unavailable(full_jid);
  // Each audience has numbers of its own, so that the next owner, should it do the same again, gives
  // them the same ones, although it may know less, or learn it in another order.
  if (is_gone && user.HasAvailable()) {
    cause.parts = part_numbers::RangeOf(part_numbers::Audience::kOwn);
    consequences_.AppendBroadcast(*user.shard, cause, unavailable, {user.bare});
  }
  cause.parts = part_numbers::RangeOf(part_numbers::Audience::kSubscribers);
  if (is_gone && user.contacts) {
    consequences_.AppendBroadcast(*user.shard, cause, unavailable, Subscribers(user.bare, *user.contacts));
  } else if (is_gone) {
    // The sessions came with the shard, the roster did not.
    user.shard->window.Hold(cause.offset);
    owed_.OweUnavailable(*user.shard, user.bare, unavailable, cause);
  }
  cause.parts = part_numbers::RangeOf(part_numbers::Audience::kDirected);
  // To those from whom a feature hides the user since, too: the log may not have that the session is gone.
  // Not to those who know of whoever goes on by that address: a room would take that one out (RM10).
  std::vector<std::string> left;
  std::copy_if(directed.begin(), directed.end(), std::back_inserter(left), [&](const std::string& address) {
    return successor == nullptr || !directed_.Knows(*successor, address);
  });
  consequences_.AppendFanout(*user.shard, cause, unavailable, left);
  return is_gone;
}

// ---- what was missed ----------------------------------------------------------

void PresenceTracker::TellAnew(Session& session) {
  // Before the shard is live, OnShardLive comes.
  if (session.state.has_presence_due() && session.user->shard->live()) OwePresence(session);
  if (!session.available()) return;
  session.MissPresence();
  outbox_.Publish(session);
  const std::shared_ptr<Shard> shard = shards_.Shared(session.user->shard->number);
  if (shard->live())  // else OnShardLive comes
    shard->Spawn("presence.tell_anew", TellAnewTask(shard, table_.Find(session.id), nullptr));
}

void PresenceTracker::OnPortionTaken(Session& session) {
  const std::shared_ptr<Shard> shard = shards_.Shared(session.user->shard->number);
  if (!shard->live()) return;  // OnShardLive comes, and it begins anew
  const std::shared_ptr<TellingAnew>& telling = session.rare().telling_anew;
  telling->last_seq.reset();
  shard->Spawn("presence.tell_anew", TellAnewTask(shard, table_.Find(session.id), telling));
}

Task<void> PresenceTracker::TellAnewTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                                         std::shared_ptr<TellingAnew> telling) {
  const std::string bare = session->user->bare;
  const auto is_over = [&] {
    if (session->ended() || !session->available() || IsReplaced(*session)) return true;
    // Else it begins anew, or has.
    return telling &&
           (session->rare().telling_anew != telling || session->presences_missed != telling->missed);
  };
  // Never within the call that finds it out, which walks the sessions.
  co_await runtime::Yield();
  for (runtime::Backoff backoff(kBackendRetries);; co_await backoff.Wait()) {
    const KeyedLock::Hold turn = co_await rosters_.Take(bare);
    if (is_over()) co_return;
    if (!session->user->contacts) (void)co_await LoadContacts(shard, bare, nullptr, /*trace_id=*/0);
    if (is_over()) co_return;
    if (!session->user->contacts) continue;
    if (!telling && IsFull(settings_, *session)) {
      // When its client has taken what it has too much of.
      session->was_spared_presence = true;
      co_return;
    }
    if (!telling) telling = BeginTelling(session);
    TellPortion(*session, *telling);
    co_return;
  }
}

std::shared_ptr<TellingAnew> PresenceTracker::BeginTelling(const std::shared_ptr<Session>& session) {
  const auto telling = std::make_shared<TellingAnew>();
  telling->said = news_.OpenUnasked(session);
  telling->missed = session->presences_missed;
  session->MakeRare().telling_anew = telling;
  Cause cause;
  cause.end = telling->said;
  if (RenewAvatar(*session)) outbox_.Publish(*session);
  Broadcast(*session->user, cause, session->state.presence());
  // Its own other resources.
  Probe(*session, cause, {});
  return telling;
}

void PresenceTracker::TellPortion(Session& session, TellingAnew& telling) {
  User& user = *session.user;
  std::vector<std::string> told;
  bool is_last = false;
  while (told.empty() && !is_last) {
    std::tie(told, is_last) = NextPortion(user, telling);
    if (!told.empty()) telling.told_up_to = told.back();
    // Nobody is told to forget who is not asked then.
    features_.FilterRecipients(user, told);
  }
  // Nobody knows which of them the client sees, also of those that it is not to see any more. RFC 6121
  // section 4.3.2.1: none; then who is there answers.
  for (const std::string& contact : told) deliverer_.Reply(session, Unavailable(contact));
  std::erase_if(told, [&](const std::string& contact) { return !user.contacts->by_jid.at(contact).to(); });
  Cause cause;
  cause.end = telling.said;
  consequences_.AppendBroadcast(*user.shard, cause, xmpp::MakePresence("probe", session.jid.str(), {}),
                                std::move(told));
  telling.last_seq = session.last_seq;
  if (!is_last) return;
  session.MakeRare().telling_anew.reset();
  telling.said->Finish();
}

std::pair<std::vector<std::string>, bool> PresenceTracker::NextPortion(const User& user,
                                                                       const TellingAnew& telling) const {
  std::vector<std::string> contacts;
  for (const auto& [jid, contact] : user.contacts->by_jid)
    if (jid > telling.told_up_to && addresses_.IsLocal(xmpp::DomainOf(jid))) contacts.push_back(jid);
  std::sort(contacts.begin(), contacts.end());
  // So few that also the answers, of several resources each, do not make the session full.
  const auto most = std::clamp<std::size_t>(static_cast<std::size_t>(settings_.max_unacked_packets) / 16, 1,
                                            kMostTakenBack);
  const std::size_t most_bytes = static_cast<std::size_t>(settings_.max_unacked_bytes) / 16;
  std::size_t taken = 0;
  for (std::size_t bytes = 0; taken < contacts.size() && taken < most && bytes < most_bytes; ++taken)
    bytes += contacts[taken].size();
  const bool is_last = taken == contacts.size();
  contacts.resize(taken);
  return {std::move(contacts), is_last};
}

std::shared_ptr<EndWrites> PresenceTracker::OpenUntold(Session* session) {
  auto said = std::make_shared<EndWrites>();
  ++said->open;
  if (session == nullptr || !session->state.unavailable_untold()) return said;
  said->then.push_back(
      [this, of = std::weak_ptr(table_.Find(session->id)), count = session->state.availability_count()] {
        const std::shared_ptr<Session> session = of.lock();
        // Else it has said something newer meanwhile.
        if (!session || session->ended() || session->state.availability_count() != count) return;
        session->state.set_unavailable_untold(false);
        outbox_.Publish(*session);
        directory_.Changed(*session);
      });
  return said;
}

void PresenceTracker::SayUnasked(const std::shared_ptr<Session>& session,
                                 absl::FunctionRef<void(Cause& cause)> say) {
  Cause cause;
  cause.end = news_.OpenUnasked(session);
  const std::shared_ptr<EndWrites> said = cause.end;
  say(cause);
  said->Finish();
}

// ---- while the roster is away -------------------------------------------------

void PresenceTracker::OnShardLive(Shard& shard) {
  for (const auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      if (session->state.has_presence_due()) OwePresence(*session);
      if (session->available() && session->state.presence_missed() && !IsBeingSaid(*session)) {
        // Else when its client has taken what it has too much of.
        session->was_spared_presence = IsFull(settings_, *session);
        if (!session->was_spared_presence)
          shard.Spawn("presence.tell_anew", TellAnewTask(shards_.Shared(shard.number), session, nullptr));
      }
      if (!session->state.unavailable_untold() || session->available()) continue;
      // Live again after a freeze: it may be owed already.
      owed_.OweUnavailable(shard, bare, Unavailable(session->jid.str()));
    }
  }
}

void PresenceTracker::OnShardForgotten(Shard& shard) { owed_.Forget(shard); }

Task<absl::Status> PresenceTracker::Pay(std::shared_ptr<Shard> shard, std::string bare) {
  if (shard->FindUser(bare) != nullptr)
    co_return co_await AskForContacts(shard, bare, /*pending=*/nullptr, /*trace_id=*/0);
  roster::v1::GetRosterRequest request;
  request.set_user(bare);
  const auto roster = co_await roster_.Get(std::move(request), /*trace_id=*/0);
  if (roster.ok()) PayOwed(bare, *MakeContacts(*roster));
  co_return roster.status();
}

void PresenceTracker::PayOwed(const std::string& bare, const Contacts& contacts) {
  const std::optional<OwedPresence::Owed> owed = owed_.Take(bare);
  if (!owed) return;
  User* user = owed->shard->FindUser(bare);
  const std::vector<std::string> subscribers = Subscribers(bare, contacts);
  for (const auto& [unavailable, of] : owed->unavailable) {
    metrics_.presences_late.Increment();
    Cause cause = of;
    if (cause.offset >= 0) {
      consequences_.AppendBroadcast(*owed->shard, cause, unavailable, subscribers);
      owed->shard->window.Release(cause.offset);
      continue;
    }
    // Until the log has it the session's state says so, for the next owner.
    const std::shared_ptr<EndWrites> said =
        OpenUntold(user == nullptr ? nullptr : user->FindResource(xmpp::ResourceOf(unavailable.from())));
    cause.end = said;
    consequences_.AppendBroadcast(*owed->shard, cause, unavailable, subscribers);
    said->Finish();
  }
  if (user == nullptr) return;
  if (owed->has_presence_due)
    for (const auto& session : user->sessions)
      if (session->state.has_presence_due())
        owed->shard->Spawn("presence.pay", PayPresence(owed->shard, session));
  Cause cause;
  for (const std::string& prober : owed->probers)
    if (contacts.MaySee(xmpp::BareOf(prober))) SendCurrentTo(*user, cause, prober);
  if (!owed->has_many_probers) return;
  for (const auto& session : user->sessions)
    if (session->available() && !IsReplaced(*session))
      consequences_.AppendBroadcast(*owed->shard, cause, PresenceOf(*session), subscribers);
}

}  // namespace rookery::session_manager
