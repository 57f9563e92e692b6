#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "domain/delivery/deliverer.h"
#include "domain/features/feature_hooks.h"
#include "domain/outbound/consequences.h"
#include "domain/state/cause.h"
#include "domain/state/shard.h"
#include "domain/state/user.h"
#include "rookery/base/clock.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/task.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class HandOuts;
class Outbox;
struct Session;
struct Shard;
struct User;
class AccountStore;
class Addresses;
class ClientAnswers;
class Consequences;
class Deliverer;
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
class PresenceTracker final : public Consequences::News, public Deliverer::Listener, public LifeHook {
 public:
  /// Ends a session of which so much is not known that its client has to begin anew.
  class Listener {
   public:
    virtual void OnPresenceLost(const std::shared_ptr<Session>& session) = 0;

   protected:
    ~Listener() = default;
  };

  PresenceTracker(const Settings& settings, const Clock& clock, SessionManagerMetrics& metrics,
                  runtime::TaskGroup& tasks, const Addresses& addresses, const Shards& shards,
                  const SessionTable& table, Users& users, AccountStore& accounts, Roster& roster,
                  KeyedLock& rosters, Consequences& consequences, const FeatureHooks& features,
                  Outbox& outbox, HandOuts& hand_outs, Deliverer& deliverer, ClientAnswers& answers,
                  SettingsKeeper& user_settings, DirectoryWriter& directory)
      : settings_(settings),
        clock_(clock),
        metrics_(metrics),
        tasks_(tasks),
        addresses_(addresses),
        shards_(shards),
        table_(table),
        users_(users),
        accounts_(accounts),
        roster_(roster),
        rosters_(rosters),
        consequences_(consequences),
        features_(features),
        outbox_(outbox),
        hand_outs_(hand_outs),
        deliverer_(deliverer),
        answers_(answers),
        user_settings_(user_settings),
        directory_(directory) {}
  /// Before the first session.
  void SetListener(Listener& listener) { listener_ = &listener; }
  bool is_wired() const { return listener_ != nullptr; }

  /// Presence without `to`: available or unavailable. Gives what is left to do and takes time; nothing:
  /// the stanza is done.
  using Work = std::function<Task<void>(Cause&)>;
  Work OnBroadcast(const std::shared_ptr<Session>& session, Cause& cause, xmpp::Stanza& presence);
  /// Presence to one address (section 4.6). For a room the newest address counts: whoever has entered under
  /// one nickname and goes by another is one occupant, and leaves once (XEP-0045 section 7.14).
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
  /// Takes out of a stanza that was refused some time ago the recipients to whom something newer was said
  /// since. True: nobody is left.
  bool RemoveOutdated(Shard& shard, const xmpp::Stanza& stanza,
                      google::protobuf::RepeatedPtrField<std::string>* recipients) override;
  /// The log has refused what the session's presence is to tell others, and is asked again. The next owner
  /// tells them, if we do not come to it: the answer is called when we have.
  std::function<void()> OnRefused(const std::shared_ptr<Session>& session,
                                  const xmpp::Stanza& presence) override;

  /// The current presence of every available session to one contact, or `unavailable`: from each of them and
  /// from the bare JID, so that none is left (as RFC 6121 section 4.3.2 answers a probe).
  void SendCurrent(User& user, const Cause& cause, std::string_view contact);
  void SendUnavailable(User& user, const Cause& cause, std::string_view contact);

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
  /// Those of them who may see the user, and to whom its sessions have sent presence directly, hear that the
  /// sessions are unavailable. That they hear no more is the feature's word (FeatureHooks::OnRecipient).
  /// Loads the contacts: whoever calls holds the user's roster.
  Task<void> HideFrom(std::shared_ptr<Shard> shard, std::string bare, Cause& cause, Audience audience);
  /// Those of them who may see the user are sent the presence of its sessions.
  Task<void> ShowTo(std::shared_ptr<Shard> shard, std::string bare, Cause& cause, Audience audience);

  /// Loads the user's contacts. `pending` may be null. Whoever calls holds the user's roster.
  Task<absl::Status> LoadContacts(std::shared_ptr<Shard> shard, std::string bare,
                                  std::vector<roster::v1::PendingRequest>* pending, std::uint64_t trace_id);

 private:
  /// The presence that a user's contacts are to hear when the roster, which says who they are, is back.
  struct Owed {
    std::shared_ptr<Shard> shard;
    SteadyTime since;
    struct Unavailable {
      xmpp::Stanza presence;
      /// The record of the session's end, held until its contacts are told; or no record.
      Cause cause;
    };
    std::vector<Unavailable> unavailable;
    /// Full JIDs whose probes were not answered.
    std::vector<std::string> probers;
    /// Sessions are to become available (`presence_due`).
    bool has_presence_due = false;
  };
  /// Null when too much is owed already, and no record is held for it.
  Owed* Owe(Shard& shard, const std::string& bare, bool is_held = false);
  /// True: nothing is left.
  static bool DropWhatIsNotHeld(Owed& owed);
  void TellEnd(User& user, Cause& cause, const xmpp::Stanza& unavailable, bool is_gone,
               const std::vector<std::string>& directed);
  void PayOwed(const std::string& bare, const Contacts& contacts);
  Task<void> PayAllOwed();

  Task<void> TellAnewTask(std::shared_ptr<Shard> shard, std::shared_ptr<Session> session);
  void TellAnewNow(const std::shared_ptr<Session>& session);
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
  /// To an address that has been told of the session, which is forgotten when the log has it: what the log
  /// refuses is said by the end of the session.
  void SayFarewell(const std::shared_ptr<Session>& session, Cause& cause, const xmpp::Stanza& unavailable);
  void OnFarewellDone(Session& session, std::uint64_t number, bool is_said);
  /// Whether it is among the farewells that are under way.
  bool IsBeingLeft(const Session& session, std::string_view address) const;
  /// Whether presence that was sent to one of the addresses directly is what the other one knows, too.
  bool HearTogether(std::string_view a, std::string_view b) const;
  void NoteUnavailable(User& user, Session& session, std::string status, std::int64_t offset);
  void Broadcast(User& user, Cause& cause, const xmpp::Stanza& presence);
  std::vector<std::string> Subscribers(std::string_view bare, const Contacts& contacts) const;
  static bool MaySee(const Contacts& contacts, std::string_view contact);
  /// Null: the user is gone, or nobody can see it.
  Task<User*> FindVisible(std::shared_ptr<Shard> shard, std::string bare, std::uint64_t trace_id);
  /// Returns those of the audience who may see the user (RFC 6121 section 4.4) unless it is hidden anyway.
  std::vector<std::string> Seeing(const User& user, const Audience& audience) const;
  /// Takes out those of the audience whom the session has told of itself directly (section 4.6).
  std::vector<std::string> TakeDirected(Session& session, const Audience& audience);
  void SendCurrentTo(User& user, Cause& cause, std::string_view prober);
  /// Holds the record `offset`, if it is one, until the event is in the log.
  void PublishEvent(const User& user, const Session& session, std::int64_t offset);
  Task<void> LoadAndAnswer(std::shared_ptr<Shard> shard, std::string bare, Cause cause, std::string prober);
  Task<void> RememberLastActivity(std::string bare, std::uint64_t generation, std::string status);

  const Settings& settings_;
  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  runtime::TaskGroup& tasks_;
  const Addresses& addresses_;
  const Shards& shards_;
  const SessionTable& table_;
  Users& users_;
  AccountStore& accounts_;
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
  Listener* listener_ = nullptr;
  std::unordered_map<std::string, Owed> owed_;
  /// Users of `owed_`, and some that are not there any more.
  std::deque<std::string> owed_order_;
  std::size_t payers_ = 0;
  std::uint64_t last_farewell_ = 0;
};

}  // namespace rookery::session_manager
