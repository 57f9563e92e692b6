#include "client.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/escaping.h"
#include "domain/text.h"
#include "fuzz_input.h"
#include "rookery/xmpp/ns.h"

namespace rookery::fuzz {

namespace {

namespace ns = xmpp::ns;
using gateway::Cat;

/// For whoever looks at a finding.
void Tell(const std::string& address, std::string_view arrow, std::string_view bytes) {
  static const bool tells = std::getenv("ROOKERY_FUZZ_TRANSCRIPT") != nullptr;
  if (tells)
    std::fprintf(stderr, "%s %.*s %.*s\n", address.c_str(), static_cast<int>(arrow.size()), arrow.data(),
                 static_cast<int>(bytes.size()), bytes.data());
}

/// A frame of a client: text, with a mask that changes nothing.
std::string Frame(std::string_view text) {
  const int length_bytes = text.size() < 126 ? 0 : text.size() <= 0xFFFF ? 2 : 8;
  std::string frame(1, '\x81');
  frame.push_back(length_bytes == 0   ? static_cast<char>(0x80 | text.size())
                  : length_bytes == 2 ? '\xFE'
                                      : '\xFF');
  for (int i = length_bytes; i-- > 0;)
    frame.push_back(static_cast<char>(static_cast<std::uint64_t>(text.size()) >> (8 * i)));
  return Cat(frame, std::string(4, '\0'), text);
}

}  // namespace

xmpp::ParserLimits Client::WideLimits() {
  xmpp::ParserLimits limits;
  limits.max_stanza_bytes = std::size_t{1} << 20;
  limits.max_depth = 256;
  limits.max_attributes = limits.max_namespaces = 1024;
  limits.max_name_bytes = limits.max_elements = limits.max_white_space_bytes = std::size_t{1} << 20;
  return limits;
}

Client::Client(Edge& edge, Ledger& ledger, std::string user, std::string resource, bool is_websocket,
               const xmpp::ParserLimits& limits)
    : edge_(edge),
      ledger_(ledger),
      user_(std::move(user)),
      resource_(std::move(resource)),
      is_websocket_(is_websocket),
      limits_(limits),
      address_(Cat("192.0.2.", resource_)),
      full_jid_(Cat(user_, "/", resource_)) {}

Client::~Client() { Cut(false); }

// ---- connections -------------------------------------------------------------

void Client::Connect(Goal goal) {
  Cut(false);
  ++connections_;
  goal_ = goal;
  frames_.clear();
  due_.clear();
  is_upgraded_ = has_header_ = has_signed_in_ = has_session_ = is_ending_ = has_error_ = has_close_ = false;
  is_clean_ = true;
  stanzas_ = 0;
  place_ = std::make_shared<Edge::Place>();
  parser_ =
      std::make_unique<xmpp::StreamParser>(is_websocket_ ? xmpp::Framing::kWebSocket : xmpp::Framing::kStream,
                                           static_cast<xmpp::StreamHandler&>(*this), limits_);
  wire_ = std::make_shared<Wire>(edge_, static_cast<Wire::Peer&>(*this), address_);
  edge_.world().Post(edge_, edge_.life(),
                     [&edge = edge_, wire = wire_, place = place_, is_websocket = is_websocket_] {
                       edge.Accept(*wire, is_websocket, place);
                     });
  if (is_websocket_)
    Write(
        "GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: xmpp\r\n\r\n");
  if (goal != Goal::kConnected) SendHeader();
}

std::string Client::Header() const {
  return is_websocket_
             ? "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"
             : "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
               "xmlns:stream='http://etherx.jabber.org/streams'>";
}

std::string Client::Auth(std::string_view password) const {
  const std::string nul(1, '\0');
  const std::string message = Cat(nul, user_.substr(0, user_.find('@')), nul, password);
  return Cat("<auth xmlns='", ns::kSasl, "' mechanism='PLAIN'>", absl::Base64Escape(message), "</auth>");
}

std::string Client::Bind(std::string_view resource) const {
  return Cat("<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='", ns::kBind, "'><resource>",
             resource, "</resource></bind></iq>");
}

std::string Client::Resume(std::string_view sm_id, std::uint32_t h) {
  if (last_session_ != nullptr && (sm_id != sm_id_ || h != received_)) last_session_->is_honest = false;
  resumed_from_ = h;
  return Cat("<resume xmlns='", ns::kStreamManagement, "' h='", h, "' previd='", sm_id, "'/>");
}

void Client::SendClose() {
  is_ending_ = true;
  Send(is_websocket_ ? "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>" : "</stream:stream>");
}

void Client::Cut(bool in_order) {
  if (wire_ == nullptr) return;
  std::exchange(wire_, nullptr)->Cut(in_order);
}

bool Client::is_there(Goal goal) const {
  switch (goal) {
    case Goal::kConnected:
      return is_connected();
    case Goal::kStarted:
      return is_connected() && has_header_;
    case Goal::kSignedIn:
      return is_connected() && has_signed_in_;
    case Goal::kBound:
    case Goal::kResumed:
      return is_bound();
  }
}

// ---- what goes out -----------------------------------------------------------

void Client::Write(std::string bytes) {
  if (wire_ == nullptr) return;
  bytes_sent_ += bytes.size();
  Tell(full_jid_, ">", bytes);
  wire_->Send(std::move(bytes));
}

void Client::Send(std::string xml) {
  if (wire_ == nullptr) return;
  std::string bytes = is_websocket_ ? Frame(xml) : std::move(xml);
  if (piece_ == 0) return Write(std::move(bytes));
  for (std::size_t at = 0; at < bytes.size(); at += piece_) Write(bytes.substr(at, piece_));
}

void Client::SendStanza(std::string xml) {
  ++stanzas_;
  is_clean_ = is_clean_ && is_bound();
  Send(std::move(xml));
}

void Client::SendRaw(std::string xml) {
  is_clean_ = false;
  Send(std::move(xml));
}

void Client::SendEnable(bool resume) {
  Send(Cat("<enable xmlns='", ns::kStreamManagement, "'", resume ? " resume='true'" : "", "/>"));
}

void Client::SendAck(std::uint32_t h) { Send(Cat("<a xmlns='", ns::kStreamManagement, "' h='", h, "'/>")); }

void Client::AskForAck() { Send(Cat("<r xmlns='", ns::kStreamManagement, "'/>")); }

void Client::set_reading(bool is_reading) {
  if (wire_ == nullptr) return;
  if (is_reading) {
    wire_->ReadAgain();
  } else {
    wire_->StopReading();
  }
}

void Client::Reply() {
  for (std::string& xml : std::exchange(due_, {})) Send(std::move(xml));
}

// ---- what comes in -----------------------------------------------------------

void Client::OnBytes(std::string_view bytes) {
  bytes_received_ += bytes.size();
  Tell(full_jid_, "<", bytes);
  if (!is_websocket_) return Parse(bytes);
  frames_.append(bytes);
  OnFrames();
}

void Client::OnFrames() {
  if (!is_upgraded_) {
    const std::size_t end = frames_.find("\r\n\r\n");
    if (end == std::string::npos) return;
    is_upgraded_ = frames_.starts_with("HTTP/1.1 101 ");
    Require(is_upgraded_, "the connection is upgraded");
    frames_.erase(0, end + 4);
  }
  while (frames_.size() >= 2) {
    const auto byte = [this](std::size_t at) { return static_cast<unsigned char>(frames_[at]); };
    std::size_t size = byte(1);
    Require(size <= 127, "a frame of the server is not masked");
    const std::size_t head = size == 126 ? 4 : size == 127 ? 10 : 2;
    if (frames_.size() < head) return;
    if (head > 2) size = 0;
    for (std::size_t i = 2; i < head; ++i) size = size << 8 | byte(i);
    Require(size <= limits_.max_stanza_bytes, "a frame of the server is not huge");
    if (frames_.size() < head + size) return;
    const unsigned opcode = byte(0);
    const std::string text = frames_.substr(head, size);
    frames_.erase(0, head + size);
    // Text that is whole, close, ping, pong.
    Require(opcode == 0x81 || opcode == 0x88 || opcode == 0x89 || opcode == 0x8A,
            "a frame is of a known kind");
    if (opcode == 0x81) Parse(text);
  }
}

void Client::Parse(std::string_view bytes) {
  Require(!has_close_ || bytes.empty(), "nothing comes behind the end of the stream");
  while (!bytes.empty()) {
    std::size_t used = 0;
    const xmpp::StreamParseError error = parser_->Parse(bytes, &used);
    if (error != xmpp::StreamParseError::kNone)
      std::fprintf(stderr, "%s cannot read:\n%.*s\n", full_jid_.c_str(), static_cast<int>(bytes.size()),
                   bytes.data());
    Require(error == xmpp::StreamParseError::kNone, "what is written is a stream");
    bytes.remove_prefix(used);
    Require(!has_close_ || bytes.empty(), "nothing comes behind the end of the stream");
  }
}

void Client::OnEnd() {
  wire_ = nullptr;
  is_ending_ = true;
}

void Client::OnStreamOpen(const xmpp::Element& header, std::string_view) {
  Require(!has_header_, "a stream has one header");
  Require(header.Attr("from") == "localhost", "the stream is our domain's");
  Require(!header.Attr("id").empty(), "a stream has an id");
  has_header_ = true;
}

void Client::OnStreamClose() {
  Require(has_header_, "what is closed has begun");
  has_close_ = is_ending_ = true;
}

void Client::OnStanza(xmpp::Stanza stanza) {
  Require(has_header_ && !has_error_, "stanzas come within a stream");
  Ledger::Session* const session = place_->session;
  if (session == nullptr) {
    Require(stanza.type() == "error" || stanza.type() == "result",
            "before there is a session nothing comes but answers");
    return;
  }
  if (!has_session_ && stanza.type() == "result" && stanza.payload().find(ns::kBind) != std::string::npos)
    return OnBound();
  Require(has_session_, "a session's stanzas come behind what says that there is one");
  ++received_;
  ledger_.Received(*session, stanza);
  if (on_stanza) on_stanza(stanza);
  const bool is_request =
      stanza.kind() == common::v1::STANZA_KIND_IQ && (stanza.type() == "get" || stanza.type() == "set");
  if (!is_request || !is_polite_) return;
  ++stanzas_;
  std::string& answer = due_.emplace_back();
  xmpp::AppendXml(answer, xmpp::MakeResult(stanza),
                  is_websocket_ ? xmpp::Framing::kWebSocket : xmpp::Framing::kStream);
}

void Client::OnBound() {
  Require(place_->session->user == user_, "a client is given a session of its own user");
  has_session_ = true;
  last_session_ = place_->session;
  full_jid_ = last_session_->full_jid;
  has_stream_management_ = false;
  received_ = 0;
  acknowledged_ = 0;
  sm_id_.clear();
}

void Client::OnElement(const xmpp::Element& element) {
  Require(has_header_, "elements come within a stream");
  Require(!has_error_, "behind a stream error comes nothing but the end");
  if (element.Is("error", ns::kStreams)) {
    Require(element.Find("internal-server-error", ns::kStreamErrors) == nullptr,
            "no stream ends by a fault of ours");
    has_error_ = is_ending_ = true;
  } else if (element.Is("features", ns::kStreams)) {
    OnFeatures(element);
  } else if (element.Is("success", ns::kSasl)) {
    Require(!has_signed_in_, "one signs in once");
    has_signed_in_ = true;
    has_header_ = false;
    parser_->Reset();
    if (goal_ > Goal::kSignedIn) due_.push_back(Header());
  } else if (element.Is("proceed", ns::kTls)) {
    has_header_ = false;
    parser_->Reset();
    due_.push_back(Header());
  } else if (element.ns() == ns::kStreamManagement) {
    OnStreamManagement(element);
  } else {
    Require(element.ns() == ns::kSasl || element.Is("failure", ns::kTls), "an element is of a known kind");
  }
}

void Client::OnFeatures(const xmpp::Element& features) {
  Require((features.Find("bind", ns::kBind) != nullptr) == has_signed_in_, "who has signed in may bind");
  if (!has_signed_in_) {
    if (goal_ >= Goal::kSignedIn) due_.push_back(Auth("secret"));
  } else if (goal_ == Goal::kBound || (goal_ == Goal::kResumed && sm_id_.empty())) {
    due_.push_back(Bind(resource_));
  } else if (goal_ == Goal::kResumed) {
    due_.push_back(Resume(sm_id_, received_));
  }
}

void Client::OnStreamManagement(const xmpp::Element& element) {
  const std::string& name = element.name();
  if (name == "r") {
    if (is_polite_ && has_stream_management_)
      due_.push_back(Cat("<a xmlns='", ns::kStreamManagement, "' h='", received_, "'/>"));
  } else if (name == "a") {
    OnAcknowledged(element);
  } else if (name == "enabled") {
    Require(!has_stream_management_, "stream management is enabled once");
    has_stream_management_ = true;
    sm_id_ = element.Attr("id");
    received_ = 0;
  } else if (name == "resumed") {
    Require(place_->session != nullptr && !has_session_, "what is resumed is a session");
    Require(place_->session->user == user_, "a client resumes a session of its own user");
    if (place_->session != last_session_) {
      // It is the session of another device, of which we know nothing.
      last_session_ = place_->session;
      last_session_->is_honest = false;
      full_jid_ = last_session_->full_jid;
      sm_id_ = element.Attr("previd");
    }
    received_ = resumed_from_;
    has_session_ = has_stream_management_ = true;
    is_clean_ = false;
    OnAcknowledged(element);
  } else {
    Require(name == "failed", "an element of stream management is of a known kind");
    if (goal_ == Goal::kResumed && !has_session_) due_.push_back(Bind(resource_));
  }
}

void Client::OnAcknowledged(const xmpp::Element& element) {
  Ledger::Session* const session = place_->session;
  Require(session != nullptr && has_stream_management_,
          "what is acknowledged was sent on a session that counts");
  const std::string_view text = element.Attr("h");
  std::uint32_t h = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), h);
  Require(error == std::errc() && end == text.data() + text.size(), "h is a number");
  acknowledged_ = h;
  ++acknowledgements_;
  Require(h <= session->accepted - session->accepted_before_enable, "h does not exceed what was sent");
}

}  // namespace rookery::fuzz
