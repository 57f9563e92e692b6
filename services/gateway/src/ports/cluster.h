#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "domain/client_session.h"
#include "rookery/base/scram.h"
#include "rookery/base/session_id.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::gateway {

/// The facts about themselves that session-managers give, for clients to be told at sign-in. Empty until one
/// has been heard; of several the last word counts.
struct ServiceFacts {
  struct Caps {  // XEP-0115, hash sha-1
    std::string node;
    std::string ver;
  };
  std::map<std::string, Caps, std::less<>> caps;  // by domain
  std::uint32_t resumption_seconds = 0;           // 0: not known
};

/// The user who has authenticated, for which account of that name, and with which version of its credentials:
/// 0 where that is not known.
struct Identity {
  Identity() = default;
  explicit Identity(std::string_view bare, std::uint64_t version = 0, std::uint64_t generation = 0)
      : user(bare), credentials_version(version), account_generation(generation) {}
  std::string user;  // a prepared bare JID
  std::uint64_t credentials_version = 0;
  std::uint64_t account_generation = 0;
};

/// Why the cluster did not do what was asked. `condition` names a stanza error
/// condition (RFC 6120 section 8.3.3).
struct ActionFailure {
  std::string condition;
  std::string text;
  /// A backend was away or nothing is known of the outcome: trying later may help.
  bool temporary = false;
};

/// A session's connection: what it hears from the cluster. It must not destroy itself
/// within a call.
class SessionClient {
 public:
  virtual ~SessionClient() = default;
  /// The packet outbound.last_seq(), already recorded. `to` is empty where stanza.to()
  /// holds.
  virtual void OnPacket(const xmpp::Stanza& stanza, std::string_view to) = 0;
  /// inbound.confirmed() has risen.
  virtual void OnConfirmed() = 0;
  /// After one or more OnPacket and OnConfirmed: a good moment to ask for acks.
  virtual void OnBatchEnd() = 0;
  /// The session is gone and the ClientSession with it. `condition` names a stream error
  /// condition, or is empty.
  virtual void OnSessionEnded(std::string_view condition, std::string_view text) = 0;
  /// Cluster::MayRead() was false for its session, and is no longer.
  virtual void OnUncongested() = 0;
  /// Its client has closed the stream in order, and is answered when the log has what it has sent.
  virtual bool has_closed() const = 0;
};

/// The session-managers as the gateway's protocols see them: the owner of a user's shard
/// is found, waited for when there is none, and asked again when it changes. Every
/// callback comes on the I/O thread, never from within the call that asked.
class Cluster {
 public:
  using RequestId = std::uint64_t;
  struct Lookup {
    bool failed = false;         // then nothing is known: a temporary failure
    std::vector<ScramKey> keys;  // none: no such user
    std::uint64_t version = 0;   // of the keys
    std::uint64_t generation = 0;
  };
  using OnLookup = std::function<void(Lookup)>;
  /// nullptr: it is done.
  using OnCreated = std::function<void(const ActionFailure*)>;
  /// nullptr session: refused.
  using OnStarted = std::function<void(ClientSession*, const ActionFailure&)>;
  struct Resumption {
    ClientSession* session = nullptr;  // nullptr: not resumed
    ActionFailure refusal;
    bool has_ended_count = false;
    std::uint64_t ended_count = 0;
    bool handled_too_high = false;
    std::uint32_t sent_count = 0;
  };
  using OnResumed = std::function<void(const Resumption&)>;

  virtual ~Cluster() = default;

  virtual const ServiceFacts& facts() const = 0;

  /// `user`: a prepared bare JID.
  virtual RequestId LookUp(std::string_view user, OnLookup done) = 0;
  virtual RequestId CreateAccount(std::string_view user, std::string_view password, OnCreated done) = 0;
  /// The session's packets come to `client` until End. Refused with `not-authorized` when the account has
  /// other credentials since, or is another one.
  virtual RequestId Start(const Identity& identity, std::string_view resource, SessionClient& client,
                          OnStarted done) = 0;
  virtual RequestId Resume(SessionId session, const Identity& identity, std::uint32_t handled,
                           SessionClient& client, OnResumed done) = 0;
  /// Nobody waits for the answer any more. A session that starts nevertheless ends as lost.
  virtual void Cancel(RequestId request) = 0;

  /// Takes the next stanza of the session. `refused`: it is counted, goes to nobody, and its
  /// sender is answered this error. The caller keeps to MayRead and to the bound of
  /// InboundWindow.
  virtual void SendStanza(ClientSession& session, xmpp::Stanza stanza,
                          std::optional<xmpp::ErrorCondition> refused) = 0;
  /// session.outbound has been enabled.
  virtual void StreamManagementEnabled(ClientSession& session) = 0;
  /// session.outbound.acked_seq() has risen.
  virtual void Delivered(ClientSession& session) = 0;
  /// The connection is gone; `session` must not be used afterwards.
  virtual void End(ClientSession& session, EndReason reason) = 0;

  /// Whether more may be read of the session's client. False: more is unconfirmed of the session's shard than
  /// may be, or the link to the shard's owner is full. Then the session waits, and its client hears
  /// OnUncongested when that is over. It may ask again before: a client with nothing unconfirmed may go on
  /// sooner.
  virtual bool MayRead(ClientSession& session) = 0;
};

}  // namespace rookery::gateway
