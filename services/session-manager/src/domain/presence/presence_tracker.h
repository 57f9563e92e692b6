#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "domain/delivery/deliverer.h"
#include "domain/features/feature_hooks.h"
#include "domain/presence/owed_presence.h"
#include "domain/state/cause.h"
#include "domain/state/shard.h"
#include "domain/state/user.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/task.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class HandOuts;
class Outbox;
class PresenceEvents;
class PresenceNews;
class Addresses;
class ClientAnswers;
class Consequences;
class DirectedPresence;
class DirectoryWriter;
class KeyedLock;
class Roster;
class SessionTable;
class SettingsKeeper;
class Shards;
class Users;
struct SessionManagerMetrics;
struct Settings;

/// RFC 6121 section 4: initial presence, broadcast, probe, directed presence, and
/// `unavailable` however a session ends.
class PresenceTracker final : public Deliverer::Listener, public LifeHook, public OwedPresence::Payer {
 public:
  PresenceTracker(const Settings& settings, SessionManagerMetrics& metrics, const Addresses& addresses,
                  const Shards& shards, const SessionTable& table, Users& users, Roster& roster,
                  KeyedLock& rosters, Consequences& consequences, const FeatureHooks& features,
                  Outbox& outbox, HandOuts& hand_outs, Deliverer& deliverer, ClientAnswers& answers,
                  SettingsKeeper& user_settings, DirectoryWriter& directory, DirectedPresence& directed,
                  OwedPresence& owed, PresenceEvents& events, PresenceNews& news)
      : settings_(settings),
        metrics_(metrics),
        addresses_(addresses),
        shards_(shards),
        table_(table),
        users_(users),
        roster_(roster),
        rosters_(rosters),
        consequences_(consequences),
        features_(features),
        outbox_(outbox),
        hand_outs_(hand_outs),
        deliverer_(deliverer),
        answers_(answers),
        user_settings_(user_settings),
        directory_(directory),
        directed_(directed),
        owed_(owed),
        events_(events),
        news_(news) {}

  /// Presence without `to`: available or unavailable. Gives what is left to do and takes time; nothing:
  /// the stanza is done.
  using Work = std::function<Task<void>(Cause&)>;
  Work OnBroadcast(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza& presence);
  /// Presence to one address (section 4.6).
  void OnDirected(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza& presence);
  /// Section 4.3.2, for the full JID `prober`. Silence where it may not see the user.
  void AnswerProbe(User& user, Cause& cause, std::string_view prober);
  /// The session, which is not among the user's any more, has ended by the record `cause`. The
  /// record is held until everybody is told.
  void OnSessionEnd(User& user, Session& session, Cause& cause);
  /// A session has ended of which nothing is known but what the record of its end says.
  void OnUnknownSessionEnd(Shard& shard, Cause& cause, const events::v1::SessionEnded& ended);
  /// Goes on with what an earlier owner could not tell.
  void OnShardLive(Shard& shard) override;
  /// Whatever is owed is left to the shard's next owner.
  void OnShardForgotten(Shard& shard) override;

  /// Tells the session and its contacts anew of each other, since what they know may be out of date: records
  /// were read without the session, or the log has lost some. The next owner does so if this one does not.
  void TellAnew(Session& session);
  void OnRoomForPresence(Session& session) override { TellAnew(session); }
  void OnPortionTaken(Session& session) override;
  Task<absl::Status> Pay(std::shared_ptr<Shard> shard, std::string bare) override;

  /// The current presence of every available session to one contact, or `unavailable`: from each of them and
  /// from the bare JID, so that none is left (as RFC 6121 section 4.3.2 answers a probe).
  void SendCurrent(User& user, const Cause& cause, std::string_view contact);
  void SendUnavailable(User& user, const Cause& cause, std::string_view contact);

  /// The user's avatar may be another one (XEP-0153): sessions whose presence says otherwise say theirs
  /// again, to all who see the user. Whom they have sent presence directly hears it with the next one, since
  /// nobody keeps what that said. Where the user's contacts are not known, the sessions and their contacts
  /// are told anew of each other, which is much for all of them: so LoadAudience comes first.
  void TellAvatar(User& user);

  /// From whom a feature hides a user, or to whom it shows the user again.
  struct Audience {
    using Matcher = std::function<bool(std::string_view address)>;
    /// Whether an address, bare or full, is one of them.
    Matcher includes;
    /// From whom something else hides the user, before and after.
    Matcher is_hidden_anyway;
    /// Full JIDs among them: the roster knows contacts by their bare addresses only.
    std::vector<std::string> resources;
  };
  /// Loads the user's contacts, unless they are known: an audience can be told then. UNAVAILABLE: try again.
  /// Whoever calls holds the user's roster, and goes on holding it for what follows.
  Task<absl::Status> LoadAudience(std::shared_ptr<Shard> shard, std::string bare, std::uint64_t trace_id);
  /// Those of the audience who may see the user, and to whom its sessions have sent presence directly, hear
  /// that the sessions are unavailable. That they hear no more is the feature's word
  /// (FeatureHooks::OnRecipient).
  void HideFrom(Shard& shard, const std::string& bare, Cause& cause, const Audience& audience);
  /// Those of the audience who may see the user are sent the presence of its sessions.
  void ShowTo(Shard& shard, const std::string& bare, Cause& cause, const Audience& audience);

  /// Loads the user's contacts. `pending` may be null. Whoever calls holds the user's roster. UNAVAILABLE at
  /// once while somebody asks for them already (OwedPresence).
  Task<absl::Status> LoadContacts(std::shared_ptr<Shard> shard, std::string bare,
                                  std::vector<roster::v1::PendingRequest>* pending, std::uint64_t trace_id);
  bool IsRosterAway(const std::string& bare) const { return owed_.IsRosterAway(bare); }

 private:
  Task<absl::Status> AskForContacts(std::shared_ptr<Shard> shard, std::string bare,
                                    std::vector<roster::v1::PendingRequest>* pending, std::uint64_t trace_id);
  /// A session has ended which contacts have (`is_seen`) and the addresses `directed` have been told of.
  /// Returns whether contacts are told so: where another session of the same full JID is available, they hear
  /// of that one.
  bool TellEnd(User& user, Cause& cause, std::string_view full_jid, bool is_seen,
               const google::protobuf::RepeatedPtrField<std::string>& directed);
  void PayOwed(const std::string& bare, const Contacts& contacts);
  /// The presence of an available session as it is to be said now: what its state says of the avatar may be
  /// out of date, since a gateway may have missed the newest state.
  static xmpp::Stanza PresenceOf(const Session& session);
  /// Puts that into its state. False: it has been there before.
  static bool RenewAvatar(Session& session);

  /// Opens what tells that the session is unavailable: until the log has it the next owner tells it, too.
  /// Null: there is no session any more.
  std::shared_ptr<EndWrites> OpenUntold(Session* session);
  /// Says such as PresenceNews::OpenUnasked opens with the cause that it is given.
  void SayUnasked(const std::shared_ptr<Session>& session, absl::FunctionRef<void(Cause& cause)> say);
  /// `telling`: what it goes on with; null: it begins.
  Task<void> TellAnewTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session,
                          std::shared_ptr<TellingAnew> telling);
  std::shared_ptr<TellingAnew> BeginTelling(const std::shared_ptr<Session>& session);
  void TellPortion(Session& session, TellingAnew& telling);
  /// Returns contacts of which the session is told next, in the order of their addresses, and whether they
  /// are the last ones.
  std::pair<std::vector<std::string>, bool> NextPortion(const User& user, const TellingAnew& telling) const;
  std::vector<std::string> ProbedBy(const Session& session) const;
  void Probe(const Session& session, Cause& cause, std::vector<std::string> probed);

  Task<void> BecomeAvailable(std::shared_ptr<Session> session, Cause& cause, xmpp::Stanza presence,
                             int priority);
  /// The roster is away: the session becomes available when that is back, or is told that it does not.
  void BecomeAvailableLater(const std::shared_ptr<Session>& session, xmpp::Stanza presence);
  void OwePresence(Session& session);
  void RefusePresence(Session& session, const xmpp::Stanza& presence);
  Task<void> PayPresence(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  void FinishAvailable(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza presence,
                       int priority, bool initial, std::vector<roster::v1::PendingRequest>& pending);
  void HandOutIfDue(const std::shared_ptr<Session>& session);
  void UpdateAvailable(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza presence,
                       int priority);
  void BecomeUnavailable(User& user, Session& session, Cause& cause, const xmpp::Stanza& presence);
  void NoteUnavailable(User& user, Session& session, std::string status, std::int64_t offset);
  void Broadcast(User& user, Cause& cause, const xmpp::Stanza& presence);
  std::vector<std::string> Subscribers(std::string_view bare, const Contacts& contacts) const;
  /// Returns those of the audience who may see the user (RFC 6121 section 4.4) unless it is hidden anyway.
  std::vector<std::string> Seeing(const User& user, const Audience& audience) const;
  void SendCurrentTo(User& user, Cause& cause, std::string_view prober);
  Task<void> LoadAndAnswer(std::shared_ptr<Shard> shard, std::string bare, Cause cause, std::string prober);

  const Settings& settings_;
  SessionManagerMetrics& metrics_;
  const Addresses& addresses_;
  const Shards& shards_;
  const SessionTable& table_;
  Users& users_;
  Roster& roster_;
  KeyedLock& rosters_;
  Consequences& consequences_;
  const FeatureHooks& features_;
  Outbox& outbox_;
  HandOuts& hand_outs_;
  Deliverer& deliverer_;
  ClientAnswers& answers_;
  SettingsKeeper& user_settings_;
  DirectoryWriter& directory_;
  DirectedPresence& directed_;
  OwedPresence& owed_;
  PresenceEvents& events_;
  PresenceNews& news_;
};

}  // namespace rookery::session_manager
