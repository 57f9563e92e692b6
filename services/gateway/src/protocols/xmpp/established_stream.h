#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ports/cluster.h"
#include "protocols/xmpp/input_budget.h"
#include "protocols/xmpp/output_pace.h"
#include "protocols/xmpp/silence_watch.h"
#include "protocols/xmpp/stream_acks.h"
#include "protocols/xmpp/stream_control.h"
#include "protocols/xmpp/stream_services.h"
#include "protocols/xmpp/stream_transport.h"
#include "rookery/base/clock.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::gateway {

/// A stream with a session (RFC 6120 section 8, XEP-0198): stanzas both ways, and how much of
/// either may wait. The session is the Cluster's; it is this object's client from the
/// moment that it is asked for. Owned by the stream; I/O thread only.
class EstablishedStream final : public SessionClient {
 public:
  EstablishedStream(const StreamServices& services, StreamTransport& transport, StreamControl& stream,
                    InputBudget& budget, SteadyTime now);
  EstablishedStream(const EstablishedStream&) = delete;
  EstablishedStream& operator=(const EstablishedStream&) = delete;

  void Begin(ClientSession& session, std::string lang, std::uint64_t inbound_base, SteadyTime now);
  /// Ends the session, if there is one. Nothing is heard from the cluster any more.
  void End(EndReason reason);

  // While there is a session.
  /// The client has closed its stream. True: it is to be answered now. False: when all that the client has
  /// sent is in the log, since the answer says that nothing of it is lost; meanwhile nothing is given to the
  /// client.
  bool OnStreamClose();
  void OnStanza(xmpp::Stanza stanza);
  void OnElement(const xmpp::Element& element);
  /// Bytes have come, and what they bring follows.
  void OnInput();
  /// A ping or the like of a WebSocket.
  void OnControlFrame();
  /// Its bare address; empty without session.
  std::string_view user() const { return session_ != nullptr ? session_->user() : std::string_view(); }
  void OnDrained();
  void OnTick(SteadyTime now, SteadyTime last_received);
  /// More waits for the client than may, besides one large stanza.
  bool IsOutputFull() const;
  /// Whether the peer has closed its side while it is not read.
  bool IsDeaf();
  void CloseAsSlow();

  // SessionClient
  void OnPacket(const xmpp::Stanza& stanza, std::string_view to) override;
  void OnConfirmed() override;
  void OnBatchEnd() override;
  void OnSessionEnded(std::string_view condition, std::string_view text) override;
  void OnUncongested() override;
  bool has_closed() const override { return is_closing_; }

 private:
  void PauseInput();
  /// So much waits for the client that it is not asked for what brings more.
  bool IsBehind() const;
  void HandleAck(const xmpp::Element& element);
  void Ask();
  void Probe(SteadyTime now);

  const StreamServices& services_;
  StreamTransport& transport_;
  StreamControl& stream_;
  InputBudget& budget_;
  ClientSession* session_ = nullptr;
  StreamAcks acks_;
  OutputPace queued_pace_;
  OutputPace kept_pace_;
  SilenceWatch silence_;
  std::string lang_;
  bool input_paused_ = false;
  bool is_deaf_ = false;
  bool is_closing_ = false;  // the client has closed its stream
};

}  // namespace rookery::gateway
