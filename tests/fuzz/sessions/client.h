#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "edge.h"
#include "ledger.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stream_parser.h"
#include "wire.h"

namespace rookery::fuzz {

/// One client, over the connections that it has one after the other. It reads all that it is sent with a
/// parser of its own and aborts where that is not what a stream may hold; it signs in by itself, and
/// otherwise sends what it is told to.
class Client final : private Wire::Peer, private xmpp::StreamHandler {
 public:
  enum class Goal { kConnected, kStarted, kSignedIn, kBound, kResumed };

  /// Limits far above anything that a server sends.
  static xmpp::ParserLimits WideLimits();

  /// `limits`: of what it reads.
  Client(Edge& edge, Ledger& ledger, std::string user, std::string resource, bool is_websocket,
         const xmpp::ParserLimits& limits = WideLimits());
  ~Client() override;

  // ---- connections ----
  /// A new connection, in place of the one that there may be; further steps follow from what is
  /// received, up to `goal`.
  void Connect(Goal goal);
  /// The next step of a sign-in, whatever has come.
  void SendHeader() { Send(Header()); }
  void SendAuth(std::string_view password) { Send(Auth(password)); }
  void SendBind(std::string_view resource) { SendRaw(Bind(resource)); }
  void SendResume(std::string_view sm_id, std::uint32_t h) { Send(Resume(sm_id, h)); }
  /// </stream:stream>.
  void SendClose();
  void Cut(bool in_order);
  bool is_connected() const { return wire_ != nullptr; }
  /// Has a session and nothing has ended it.
  bool is_bound() const {
    return wire_ != nullptr && place_->session != nullptr && has_session_ && !is_ending_;
  }
  bool is_there(Goal goal) const;

  // ---- what goes out ----
  /// A valid stanza.
  void SendStanza(std::string xml);
  /// Whatever else. What the server makes of the rest of the stream is not known any more.
  void SendRaw(std::string xml);
  void SendEnable(bool resume);
  void SendAck(std::uint32_t h);
  void AskForAck();
  /// Pieces of at most so many bytes; 0: as a whole.
  void set_piece(std::size_t bytes) { piece_ = bytes; }
  void set_reading(bool is_reading);
  bool is_reading() const { return wire_ != nullptr && wire_->is_reading(); }
  /// Whether it answers what it is asked.
  void set_polite(bool is_polite) { is_polite_ = is_polite; }
  /// Sends what is owed to what has come: acknowledgements, answers to requests, steps of the sign-in.
  void Reply();

  const std::string& user() const { return user_; }
  const std::string& resource() const { return resource_; }
  /// The address of its session, the last one if there is none now.
  const std::string& full_jid() const { return full_jid_; }
  const std::string& sm_id() const { return sm_id_; }
  std::uint32_t received() const { return received_; }
  bool has_stream_management() const { return has_stream_management_; }
  Ledger::Session* session() const { return wire_ == nullptr ? nullptr : place_->session; }
  /// All that was taken on its session is acknowledged, or it does not count.
  bool is_acknowledged() const {
    return !has_stream_management_ || !session()->is_honest ||
           acknowledged_ == session()->accepted - session()->accepted_before_enable;
  }
  /// Each valid stanza has become one of the session's, as far as that can be told.
  bool is_all_taken() const { return !is_clean_ || stanzas_ == session()->accepted; }
  /// How many times it was told an h.
  std::uint64_t acknowledgements() const { return acknowledgements_; }
  std::uint64_t bytes_received() const { return bytes_received_; }
  std::uint64_t bytes_sent() const { return bytes_sent_; }
  int connections() const { return connections_; }
  std::size_t queued_bytes() const { return wire_ == nullptr ? 0 : wire_->queued_bytes(); }

  /// Told each stanza that its session is given; must not call back.
  std::function<void(const xmpp::Stanza&)> on_stanza;

 private:
  // Wire::Peer
  void OnBytes(std::string_view bytes) override;
  void OnEnd() override;
  // xmpp::StreamHandler: what the server says.
  void OnStreamOpen(const xmpp::Element& header, std::string_view default_ns) override;
  void OnStanza(xmpp::Stanza stanza) override;
  void OnElement(const xmpp::Element& element) override;
  void OnStreamClose() override;

  std::string Header() const;
  std::string Auth(std::string_view password) const;
  std::string Bind(std::string_view resource) const;
  std::string Resume(std::string_view sm_id, std::uint32_t h);

  /// As it is, in pieces where cuts are wanted.
  void Send(std::string xml);
  void Write(std::string bytes);
  void OnFrames();
  void Parse(std::string_view bytes);
  void OnStreamManagement(const xmpp::Element& element);
  void OnAcknowledged(const xmpp::Element& element);
  void OnFeatures(const xmpp::Element& features);
  void OnBound();

  Edge& edge_;
  Ledger& ledger_;
  const std::string user_;
  const std::string resource_;
  const bool is_websocket_;
  const xmpp::ParserLimits limits_;
  const std::string address_;
  std::size_t piece_ = 0;
  bool is_polite_ = true;

  // The state of the connection.
  std::shared_ptr<Wire> wire_;
  std::shared_ptr<Edge::Place> place_;
  std::unique_ptr<xmpp::StreamParser> parser_;
  Goal goal_ = Goal::kConnected;
  std::string frames_;  // of a WebSocket, not whole yet
  bool is_upgraded_ = false;
  bool has_header_ = false;
  bool has_signed_in_ = false;
  bool has_session_ = false;
  bool is_clean_ = true;  // all that was sent was valid, and at its time
  std::uint64_t stanzas_ = 0;
  bool is_ending_ = false;  // an end was sent or received
  bool has_error_ = false;
  bool has_close_ = false;
  std::vector<std::string> due_;  // to be sent
  std::uint32_t resumed_from_ = 0;

  // The state of the session.
  std::string full_jid_;
  std::string sm_id_;
  bool has_stream_management_ = false;
  std::uint32_t received_ = 0;      // as its h counts
  std::uint64_t acknowledged_ = 0;  // the last h
  std::uint64_t acknowledgements_ = 0;
  Ledger::Session* last_session_ = nullptr;

  std::uint64_t bytes_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
  int connections_ = 0;
};

}  // namespace rookery::fuzz
