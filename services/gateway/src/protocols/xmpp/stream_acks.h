#pragma once

#include <cstdint>
#include <string_view>

#include "domain/client_session.h"
#include "ports/cluster.h"
#include "protocols/xmpp/stream_transport.h"
#include "rookery/xmpp/element.h"

namespace rookery::gateway {

/// XEP-0198 on an established stream: what is acknowledged to the client, when it is asked,
/// what its answers settle. Part of the stream that has the session; I/O thread only.
class StreamAcks {
 public:
  StreamAcks(Cluster& cluster, StreamTransport& transport) : cluster_(cluster), transport_(transport) {}

  /// `inbound_base`: the stanzas of the session that its client's h does not count.
  void Begin(ClientSession& session, std::uint64_t inbound_base);

  /// <enable/>.
  void Enable(const xmpp::Element& element);
  /// <r/>. Only what is in the log is acknowledged; the rest follows once it is.
  void Acknowledge();
  enum class Answer {
    kAdvanced,   // it settles something
    kUnchanged,  // it settles nothing: to ask on would be a loop with a client that never takes more
    kMalformed,
    kTooHigh,  // `*h` is more than was ever sent
  };
  /// <a/>.
  Answer HandleAnswer(const xmpp::Element& element, std::uint32_t* h);
  /// Asks for an <a/> when something is unacknowledged and none is under way. True: asked.
  bool Ask();
  /// Asks unless an <a/> is under way. True: asked.
  bool Probe();
  /// The <a/> that is owed, if it can be sent by now.
  void SendOwed();

  /// The client owes an <a/>.
  bool is_asked() const { return asked_; }
  bool is_enabled() const { return session_->outbound.stream_management(); }

 private:
  void Fail(std::string_view condition);

  Cluster& cluster_;
  StreamTransport& transport_;
  ClientSession* session_ = nullptr;
  std::uint64_t inbound_base_ = 0;
  /// An <a/> for stanzas up to this one is owed: they were not confirmed when <r/> came.
  std::uint64_t owed_ = 0;
  bool asked_ = false;  // and not answered yet
};

}  // namespace rookery::gateway
