#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "accounts.h"
#include "rookery/net/client.h"
#include "rookery/net/connection.h"
#include "scram.h"
#include "stanza_scanner.h"

namespace rookery::load {

/// The parts that all clients of a run share.
struct Network {
  asio::io_context& io;
  std::string domain;
  std::shared_ptr<net::TlsClientContext> tls;  // null: plain TCP
};

/// An XMPP client that costs little: it connects, signs in with SCRAM-SHA-256, binds,
/// and hands over what arrives. I/O thread only.
class Client final : public net::ConnectionHandler {
 public:
  struct Options {
    bool registers = false;          // XEP-0077 before signing in; an account that exists is fine
    bool binds = true;               // else it is ready once signed in
    bool stream_management = false;  // enables with resumption, answers <r/>
  };
  /// Signed in and bound (or resumed).
  std::function<void()> on_ready;
  /// A stanza; stream management's elements are handled here.
  std::function<void(std::string_view)> on_stanza;
  /// The connection is gone: the last call, at most once for each Connect, never
  /// within Connect. The client may be destroyed in it.
  std::function<void(const absl::Status&)> on_end;

  Client(Network& network, Account& account, Options options);
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Starts a session at `address`; with `resume` the one that was cut.
  void Connect(const std::string& address, bool resume = false);
  void Send(std::string_view xml);
  /// `</stream:stream>`; on_end follows.
  void Close();
  /// Drops the connection without a word; no on_end.
  void Cut();

  bool ready() const { return state_ == State::kReady; }
  bool resumable() const { return !resume_id_.empty(); }
  const std::string& jid() const { return jid_; }
  std::string bare_jid() const;
  Account& account() { return account_; }

  void OnData(std::string_view data) override;
  void OnDrained() override {}
  void OnTlsEstablished() override;
  void OnClosed(const absl::Status& status) override;

 private:
  enum class State {
    kOff,
    kConnecting,
    kFirstFeatures,
    kRegister,
    kChallenge,
    kSuccess,
    kSecondFeatures,
    kBind,
    kEnable,
    kResume,
    kReady
  };
  void OpenStream();
  void OnElement(std::string_view element);
  void OnReadyElement(std::string_view element);
  void SignIn();
  void Fail(absl::Status status);
  void BecomeReady();

  Network& network_;
  Account& account_;
  const Options options_;
  State state_ = State::kOff;
  bool resuming_ = false;
  std::unique_ptr<net::Connection> connection_;
  StanzaScanner scanner_;
  std::unique_ptr<ScramClient> scram_;
  std::string jid_;
  std::string resume_id_;
  std::uint32_t handled_ = 0;  // XEP-0198: stanzas received since <enable/>
  /// Tells a late answer of ConnectTcp from one that is still wanted.
  std::shared_ptr<int> attempt_;
};

}  // namespace rookery::load
