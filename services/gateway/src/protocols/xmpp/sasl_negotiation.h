#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "domain/guess_guard.h"
#include "domain/sasl_exchange.h"
#include "ports/cluster.h"
#include "protocols/xmpp/stream_services.h"
#include "protocols/xmpp/stream_transport.h"
#include "rookery/xmpp/element.h"

namespace rookery::gateway {

/// The SASL exchanges of one stream (RFC 6120 section 6): as many as a client may try,
/// one after the other. Lives until the client is bound.
class SaslNegotiation {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    /// <success/> has been sent; input goes on when this returns.
    virtual void OnAuthenticated(Identity identity) = 0;
    virtual void OnTooManyAttempts() = 0;
  };

  /// `domain`: the virtual host that the stream is with.
  SaslNegotiation(const StreamServices& services, StreamTransport& transport, Owner& owner,
                  std::string_view domain);
  ~SaslNegotiation();

  std::vector<std::string_view> mechanisms() const {
    return OfferedMechanisms(services_.settings.sasl, channel_);
  }
  std::vector<std::string_view> channel_bindings() const;
  /// The client is to be answered when the cluster, or a computation, has.
  bool is_waiting() const { return waiting_; }

  /// An element of the SASL namespace. False: SASL defines no such element.
  bool Handle(const xmpp::Element& element);

 private:
  void Begin(const xmpp::Element& auth);
  void Continue(SaslExchange::Outcome outcome);
  /// Nothing is read until Resume.
  void Wait();
  void WaitForCredentials();
  /// May this user's proof be looked at, from here, at all? `go_on` does it.
  void AskLeave(std::function<SaslExchange::Outcome()> go_on);
  /// Too many have failed.
  void Slow();
  void WaitForPassword();
  /// The client has been answered; what it sent next may be read.
  void Resume();
  void Fail(SaslFailure failure);
  void Tell(SaslFailure failure);

  const StreamServices& services_;
  StreamTransport& transport_;
  Owner& owner_;
  const std::string domain_;
  SaslChannel channel_;
  std::unique_ptr<SaslExchange> exchange_;
  std::string mechanism_;
  std::unique_ptr<GuessGuard::Try> try_;
  std::uint64_t credentials_version_ = 0;
  std::uint64_t account_generation_ = 0;
  bool is_slowed_ = false;  // this exchange fails since others have
  int attempts_ = 0;
  bool waiting_ = false;
  Cluster::RequestId request_ = 0;
  /// Expires with this object, which the answers to a password check and to what asks for leave may outlive.
  std::shared_ptr<SaslNegotiation*> self_;
};

}  // namespace rookery::gateway
