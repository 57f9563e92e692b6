#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ports/cluster.h"
#include "protocols/admission.h"
#include "protocols/xmpp/input_budget.h"
#include "protocols/xmpp/output_pace.h"
#include "protocols/xmpp/registration.h"
#include "protocols/xmpp/sasl_negotiation.h"
#include "protocols/xmpp/stream_control.h"
#include "protocols/xmpp/stream_services.h"
#include "protocols/xmpp/stream_transport.h"
#include "rookery/base/clock.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::gateway {

/// A stream from its first header to a bound or resumed session (RFC 6120 sections 4 to 7,
/// XEP-0198 section 5): what may come when, and what is answered. Owned by the stream until
/// there is a session; I/O thread only.
///
///     kHeader ─▶ kAuthenticating ─▶ (STARTTLS: kHeader again)
///                       │ SASL
///                       ▼
///                   kRestart ─▶ kBinding ─▶ OnSession
class StreamNegotiation final : public SaslNegotiation::Owner {
 public:
  class Owner : public StreamControl {
   public:
    /// The last call: the negotiation may be destroyed within it. `inbound_base`: the
    /// stanzas of the session that its client's h does not count.
    virtual void OnSession(ClientSession& session, std::uint64_t inbound_base) = 0;
  };

  /// `client` is given the session's packets from the moment that there is one.
  StreamNegotiation(const StreamServices& services, StreamTransport& transport, SessionClient& client,
                    Owner& owner, InputBudget& budget, TlsMode tls, SteadyTime now, Admission::Ticket ticket);
  ~StreamNegotiation() override;
  StreamNegotiation(const StreamNegotiation&) = delete;
  StreamNegotiation& operator=(const StreamNegotiation&) = delete;

  void OnStreamOpen(const xmpp::Element& header, std::string_view default_ns);
  void OnTlsEstablished();
  void OnStanza(xmpp::Stanza stanza);
  void OnElement(const xmpp::Element& element);
  /// Bytes have come, and what they bring follows.
  void OnInput();
  /// A ping or the like of a WebSocket.
  void OnControlFrame();

  /// The stream is over: nobody waits for a session any more.
  void Abandon();
  /// Once a second or so. False: the client has had its time.
  bool OnTick(SteadyTime now);
  /// So many bytes have come. False: more than anybody needs to sign in.
  bool MayReceive(std::size_t bytes);
  /// More waits for the client than may.
  bool IsOutputFull() const;
  /// The virtual host that the stream is with; the first one before that is known.
  std::string_view domain() const { return services_.settings.domains[domain_index_]; }
  /// The account, once it is known to be the client's.
  const std::string& user() const { return identity_.user; }
  /// The language of the stream; may be empty.
  const std::string& lang() const { return lang_; }

  // SaslNegotiation::Owner
  void OnAuthenticated(Identity identity) override;
  void OnTooManyAttempts() override;

 private:
  enum class Phase : std::uint8_t { kHeader, kAuthenticating, kRestart, kBinding };

  /// The client waits for us, and not we for the client.
  bool is_our_turn() const;
  /// Reads no further for a while: the account has sent more than it may.
  void PauseForBudget();
  /// The client has been answered; what it sent next may be read, within its budget.
  void ResumeInput();
  void Progress() { progressed_at_ = Clock::System().Now(); }
  /// The credentials that the client has authenticated with are not the account's any more.
  void OnCredentialsChanged();
  void OfferMechanisms();
  void OfferBinding();
  /// The client has opened one, and it has not been restarted since.
  bool has_stream() const;
  /// Encrypted, or nothing demands it.
  bool may_authenticate() const;
  void StartTls();
  /// Answers a stanza that must not be written back as it is. False: there is nothing wrong.
  bool RefuseUnfit(xmpp::Stanza& stanza);
  void Bind(const xmpp::Stanza& iq);
  void SendBindError(const std::string& id, xmpp::ErrorCondition condition);
  void HandleStreamManagement(const xmpp::Element& element);
  void Resume(const xmpp::Element& element);
  /// `ended_h`: how much of the session that is over was handled, if that is known.
  void RefuseResumption(std::string_view condition, const std::uint32_t* ended_h);
  void OnResumed(const Cluster::Resumption& resumption, std::string_view previd, std::uint64_t inbound_base,
                 std::uint32_t h);

  const StreamServices& services_;
  StreamTransport& transport_;
  SessionClient& client_;
  Owner& owner_;
  InputBudget& budget_;
  const TlsMode tls_;
  const SteadyTime since_;
  /// When the client came further than before. Bytes that bring it no further do not count.
  SteadyTime progressed_at_;
  OutputPace pace_;
  Phase phase_ = Phase::kHeader;
  std::uint8_t domain_index_ = 0;
  std::string lang_;
  Identity identity_;  // authenticated
  std::unique_ptr<SaslNegotiation> sasl_;
  std::unique_ptr<Registration> registration_;
  Cluster::RequestId request_ = 0;
  std::size_t received_ = 0;  // bytes before authentication
  int resumptions_refused_ = 0;
  bool is_over_budget_ = false;  // input is paused for that
  Admission::Ticket ticket_;
};

}  // namespace rookery::gateway
