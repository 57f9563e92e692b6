#include "client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "message_id.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/ns.h"

namespace rookery::simulation {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr seconds kPatience{20};
constexpr std::string_view kBlocking = "urn:xmpp:blocking";

/// Whether it is an error that no client of ours ever deserves: it keeps to the protocol, and its session has
/// no rival.
bool IsOurFault(std::string_view condition) {
  return condition == "internal-server-error" || condition == "undefined-condition" ||
         condition == "conflict" || condition == "bad-format" || condition == "policy-violation";
}

}  // namespace

// ---- Wires ------------------------------------------------------------------

Wires::Wires(World& world) : world_(world) {
  world_.OnDeath([this](Process& process) {
    for (auto& [connection, wire] : wires_) {
      if (wire.gateway != &process || wire.life != process.life() || wire.client == nullptr) continue;
      // The kernel of the dead resets it.
      world_.After(world_.Latency(), [this, number = connection] {
        const auto it = wires_.find(number);
        if (it == wires_.end()) return;
        Client* client = std::exchange(it->second.client, nullptr);
        wires_.erase(it);
        if (client != nullptr) client->OnBroken();
      });
    }
  });
}

std::uint64_t Wires::Connect(Client& client, GatewayProcess& gateway) {
  if (!gateway.is_alive()) return 0;
  wires_[++last_] = {&client, &client, &gateway, gateway.life(), world_.now(), world_.now()};
  return last_;
}

void Wires::ToGateway(std::uint64_t connection, ToServer frame) {
  const auto it = wires_.find(connection);
  if (it == wires_.end()) return;
  Wire& wire = it->second;
  wire.last_up = std::max(wire.last_up + std::chrono::microseconds(1), world_.now() + world_.Latency());
  world_.At(wire.last_up,
            [this, connection, gateway = wire.gateway, life = wire.life, f = std::move(frame)]() mutable {
              world_.Post(*gateway, life, [gateway, connection, f = std::move(f)]() mutable {
                gateway->Receive(connection, std::move(f));
              });
            });
}

void Wires::ToClientEnd(std::uint64_t connection, ToClient frame) {
  const auto it = wires_.find(connection);
  if (it == wires_.end() || !it->second.gateway->is_alive() || it->second.gateway->life() != it->second.life)
    return;
  Wire& wire = it->second;
  if (frame.kind == ToClient::Kind::kStanza && on_written) on_written(wire.owner, frame.stanza);
  wire.last_down = std::max(wire.last_down + std::chrono::microseconds(1), world_.now() + world_.Latency());
  world_.At(wire.last_down, [this, connection, f = std::move(frame)]() mutable {
    const auto found = wires_.find(connection);
    if (found == wires_.end()) return;
    Client* client = found->second.client;
    if (f.kind == ToClient::Kind::kClosed) wires_.erase(found);
    if (client != nullptr) client->Receive(std::move(f));
  });
}

void Wires::Close(std::uint64_t connection) {
  const auto it = wires_.find(connection);
  if (it == wires_.end()) return;
  it->second.client = nullptr;
  ToServer frame{};
  frame.kind = ToServer::Kind::kClose;
  ToGateway(connection, std::move(frame));
}

void Wires::Vanish(std::uint64_t connection, Duration notice) {
  const auto it = wires_.find(connection);
  if (it == wires_.end()) return;
  it->second.client = nullptr;
  world_.After(notice, [this, connection] {
    ToServer frame{};
    frame.kind = ToServer::Kind::kBroken;
    // Frames that the gateway writes until it hears of it are handed over all the same; its `closed` ends the
    // wire.
    ToGateway(connection, std::move(frame));
  });
}

const GatewayProcess* Wires::GatewayOf(const Client& client) const {
  const GatewayProcess* gateway = nullptr;
  for (const auto& [connection, wire] : wires_)
    if (wire.owner == &client) gateway = wire.gateway;
  return gateway;
}

// ---- Client -----------------------------------------------------------------

Client::Client(World& world, Ledger& ledger, Wires& wires, std::vector<GatewayProcess*> gateways,
               std::string user, std::string resource, Habits habits, Duration resume_timeout,
               std::uint64_t seed, Rooms rooms, Contacts contacts)
    : world_(world),
      ledger_(ledger),
      wires_(wires),
      gateways_(std::move(gateways)),
      user_(std::move(user)),
      resource_(std::move(resource)),
      habits_(habits),
      resume_timeout_(resume_timeout),
      random_(seed),
      room_ledger_(rooms.ledger),
      guest_(world, rooms.ledger, user_, std::move(rooms.addresses), rooms.seed,
             [this](xmpp::Stanza stanza) { SendStanza(std::move(stanza), 0); }),
      address_book_(world, contacts.ledger, std::move(contacts.users), contacts.seed,
                    [this](xmpp::Stanza stanza) { SendStanza(std::move(stanza), 0); }) {}

void Client::Later(Duration delay, std::function<void()> what) {
  world_.After(delay, [this, turn = turn_, run = std::move(what)] {
    if (turn == turn_) run();
  });
}

void Client::Begin(Duration after) {
  Later(after, [this] { SignIn(); });
}

void Client::SignIn() {
  if (is_home_) return;
  ++turn_;
  state_ = State::kSigningIn;
  connection_ = wires_.Connect(*this, *random_.Pick(gateways_));
  if (connection_ == 0) return RetrySoon();
  if (sm_id_.empty()) {
    StartSession();
  } else {
    ToServer frame{};
    frame.kind = ToServer::Kind::kResume;
    frame.user = user_;
    frame.sm_id = sm_id_;
    frame.h = received_h_;
    world_.Note(user_ + "/" + resource_, "resume", absl::StrCat("h=", received_h_));
    wires_.ToGateway(connection_, std::move(frame));
  }
  Later(kPatience, [this] {
    LoseConnection(Duration::zero());
    RetrySoon();
  });
}

void Client::RetrySoon() {
  ++turn_;
  state_ = State::kAway;
  Later(random_.Between(milliseconds(500), seconds(3)), [this] { SignIn(); });
}

void Client::StartSession() {
  ToServer frame{};
  frame.kind = ToServer::Kind::kStart;
  frame.user = user_;
  frame.resource = resource_;
  world_.Note(user_ + "/" + resource_, "sign-in", "");
  wires_.ToGateway(connection_, std::move(frame));
}

void Client::Receive(ToClient frame) {
  switch (frame.kind) {
    case ToClient::Kind::kStarted: {
      if (state_ != State::kSigningIn) return;
      session_ = &ledger_.Begin(user_, frame.text, frame.session);
      session_->has_stream_management = habits_.has_stream_management;
      received_h_ = acked_h_ = 0;
      heard_at_ = world_.now();
      unacknowledged_.clear();
      is_enabled_ = false;
      if (!habits_.has_stream_management) return GoOnline();
      ToServer enable{};
      enable.kind = ToServer::Kind::kEnable;
      wires_.ToGateway(connection_, std::move(enable));
      return;
    }
    case ToClient::Kind::kEnabled:
      if (session_ == nullptr) return;
      sm_id_ = frame.text;
      is_enabled_ = true;
      return GoOnline();
    case ToClient::Kind::kRefused:
      LoseConnection(Duration::zero());
      return RetrySoon();
    case ToClient::Kind::kResumed: {
      if (session_ == nullptr) return;
      world_.Note(session_->jid, "resumed", absl::StrCat("h=", frame.h));
      ledger_.Back(*session_);
      if (static_cast<std::int32_t>(frame.h - acked_h_) < 0)
        ledger_.Violate("h-never-falls", absl::StrCat(session_->jid, " was told h=", acked_h_,
                                                      " and is resumed with h=", frame.h));
      HandleAck(frame.h, /*is_resumed=*/true);
      ++turn_;
      state_ = State::kOnline;
      heard_at_ = world_.now();
      // XEP-0198 section 5: what the server has not handled is sent again.
      for (const Unacknowledged& entry : unacknowledged_) {
        ToServer again{};
        again.kind = ToServer::Kind::kStanza;
        again.stanza = entry.stanza;
        wires_.ToGateway(connection_, std::move(again));
      }
      if (is_presence_due_) SendPresence();
      ActInRooms();
      ActOnRoster();
      if (!is_calm_) {
        Later(random_.Exponential(habits_.between_messages), [this] { Talk(); });
        Later(random_.Exponential(habits_.online_for), [this] { ChangePlace(); });
      }
      return;
    }
    case ToClient::Kind::kNotResumed:
      if (session_ == nullptr) return;
      world_.Note(session_->jid, "not-resumed", absl::StrCat(frame.text, frame.has_h ? " h" : ""));
      if (world_.now() - heard_at_ < resume_timeout_ && ledger_.one_at_a_time())
        ledger_.Violate(
            "who-comes-in-time-resumes",
            absl::StrCat(session_->jid, " (session ", session_->number, ") was there ",
                         std::chrono::duration_cast<milliseconds>(world_.now() - heard_at_).count(),
                         " ms ago, and its session is gone"));
      if (frame.has_h) HandleAck(frame.h);
      EndSession();
      return StartSession();
    case ToClient::Kind::kStanza:
      if (session_ == nullptr) return;
      heard_at_ = world_.now();
      if (is_enabled_) ++received_h_;
      if (Guest::IsOfRoom(frame.stanza)) return guest_.Receive(frame.stanza);
      if (AddressBook::IsOfRoster(frame.stanza)) return address_book_.Receive(frame.stanza);
      if (frame.stanza.kind() == common::v1::STANZA_KIND_PRESENCE && frame.stanza.type() == "error") {
        // Its roster was away: nobody knows that it is there.
        world_.Note(session_->jid, "presence-refused", "");
        is_presence_due_ = true;
        return Later(random_.Between(seconds(1), seconds(5)), [this] {
          if (is_presence_due_ && state_ == State::kOnline) SendPresence();
        });
      }
      if (frame.stanza.kind() == common::v1::STANZA_KIND_IQ && frame.stanza.type() == "result")
        unanswered_.erase(frame.stanza.from());
      return ledger_.Received(*session_, frame.stanza);
    case ToClient::Kind::kRequestAck: {
      const Duration delay = habits_.is_slow_to_acknowledge && random_.Chance(0.3)
                                 ? random_.Between(seconds(1), seconds(8))
                                 : random_.Between(milliseconds(0), milliseconds(50));
      return Later(delay, [this] {
        ToServer ack{};
        ack.kind = ToServer::Kind::kAck;
        ack.h = received_h_;
        wires_.ToGateway(connection_, std::move(ack));
      });
    }
    case ToClient::Kind::kAck:
      return HandleAck(frame.h);
    case ToClient::Kind::kClosed:
      world_.Note(user_ + "/" + resource_, "closed", frame.text);
      connection_ = 0;
      if (IsOurFault(frame.text) && ledger_.one_at_a_time())
        ledger_.Violate("nobody-is-thrown-out",
                        absl::StrCat(user_, "/", resource_, " was told ", frame.text, " and disconnected"));
      if (frame.text == "system-shutdown" || frame.text == "resource-constraint") return OnBroken();
      EndSession();
      return RetrySoon();
  }
}

void Client::OnBroken() {
  if (session_ != nullptr) ledger_.Away(*session_);
  connection_ = 0;
  if (state_ == State::kAway) return;
  if (sm_id_.empty()) EndSession();
  RetrySoon();
}

void Client::GoOnline() {
  ++turn_;
  state_ = State::kOnline;
  // RFC 6121 section 2.2: the roster first.
  if (address_book_.has_contacts()) address_book_.Begin(*session_);
  SendPresence();
  guest_.Begin(*session_);
  ActInRooms();
  ActOnRoster();
  if (is_calm_) return;
  // Clients do not wait for answers when they begin.
  if (random_.Chance(0.3)) ChangeList();
  Later(random_.Exponential(habits_.between_messages), [this] { Talk(); });
  Later(random_.Exponential(habits_.online_for), [this] { ChangePlace(); });
}

void Client::ActInRooms() {
  if (!guest_.has_rooms()) return;
  Later(guest_.between(), [this] {
    guest_.Act();
    ActInRooms();
  });
}

void Client::ActOnRoster() {
  if (!address_book_.has_contacts()) return;
  Later(address_book_.between(), [this] {
    address_book_.Act();
    if (!is_calm_ && random_.Chance(0.1)) SendPresence();
    ActOnRoster();
  });
}

void Client::ShowPresence() {
  if (state_ == State::kOnline) SendPresence();
}

void Client::SendPresence() {
  is_presence_due_ = false;
  xmpp::Stanza presence = xmpp::MakePresence("", "", "");
  xmpp::Element status("status", "jabber:client");
  status.SetText(Ledger::NextMarker(*session_));
  xmpp::SetPayload(presence, status);
  SendStanza(std::move(presence), 0);
}

void Client::SendStanza(xmpp::Stanza stanza, std::uint64_t message) {
  ToServer frame{};
  frame.kind = ToServer::Kind::kStanza;
  frame.stanza = stanza;
  wires_.ToGateway(connection_, std::move(frame));
  if (!is_enabled_) return;
  unacknowledged_.push_back({message, std::move(stanza), world_.now()});
  if (++since_ack_ < 3 && !random_.Chance(0.5)) return;
  since_ack_ = 0;
  ToServer request{};
  request.kind = ToServer::Kind::kRequestAck;
  wires_.ToGateway(connection_, std::move(request));
}

void Client::HandleAck(std::uint32_t h, bool is_resumed) {
  if (session_ == nullptr) return;
  const std::uint32_t newly = h - acked_h_;
  if (newly > unacknowledged_.size()) {
    // Lower than before, which the end of a session may say, or higher than what was sent.
    if (static_cast<std::int32_t>(newly) > 0)
      ledger_.Violate(
          "h-counts-what-was-sent",
          absl::StrCat(session_->jid, " sent ", acked_h_ + unacknowledged_.size(), " and was told h=", h));
    return;
  }
  acked_h_ = h;
  for (std::uint32_t i = 0; i < newly; ++i) {
    // Its gateway may have known for long, and be cut off from the owner by now.
    heard_at_ = std::max(heard_at_, unacknowledged_.front().sent);
    if (unacknowledged_.front().message != 0) {
      ledger_.Acknowledged(unacknowledged_.front().message, is_resumed);
    } else {
      room_ledger_.Acknowledged(ParseRoomId(unacknowledged_.front().stanza.id()), is_resumed);
    }
    unacknowledged_.pop_front();
  }
}

void Client::Talk() {
  if (state_ != State::kOnline || is_calm_ || contacts_.empty()) return;
  Later(random_.Exponential(habits_.between_messages), [this] { Talk(); });
  Client& contact = *random_.Pick(contacts_);
  std::string to = contact.user();
  if (contact.session_ != nullptr && random_.Chance(0.3)) to = contact.session_->jid;
  if (random_.Chance(0.1)) to = user_;  // a note to oneself
  const std::uint64_t id = ledger_.Sent(*session_, to);
  xmpp::Stanza message = xmpp::MakeMessage("chat", "", to);
  message.set_id(IdText(id));
  xmpp::Element body("body", "jabber:client");
  body.SetText(absl::StrCat("text of ", id));
  xmpp::SetPayload(message, body);
  SendStanza(std::move(message), id);
  if (random_.Chance(0.15)) ChangeList();
}

void Client::ChangeList() {
  const std::string jid = absl::StrCat("stranger", random_.Below(3), "@localhost");
  xmpp::Stanza change;
  change.set_kind(common::v1::STANZA_KIND_IQ);
  change.set_type("set");
  change.set_id(absl::StrCat("change-", ++changes_));
  const std::uint64_t what = random_.Below(3);
  xmpp::Element list = what == 0   ? xmpp::Element("query", xmpp::ns::kRoster)
                       : what == 1 ? xmpp::Element("block", kBlocking)
                                   : xmpp::Element("unblock", kBlocking);
  xmpp::Element& item = list.Add("item").SetAttr("jid", jid);
  if (what == 0) item.SetAttr("name", change.id());
  xmpp::SetPayload(change, list);
  world_.Note(session_->jid, "change", change.id());
  SendStanza(std::move(change), 0);
}

void Client::LoseConnection(Duration notice) {
  if (connection_ == 0) return;
  if (session_ != nullptr) ledger_.Away(*session_);
  wires_.Vanish(std::exchange(connection_, 0), notice);
}

void Client::EndSession() {
  guest_.EndSession();
  address_book_.EndSession();
  if (session_ != nullptr) ledger_.Over(*session_);
  session_ = nullptr;
  sm_id_.clear();
  unacknowledged_.clear();
  is_enabled_ = is_presence_due_ = false;
}

void Client::ChangePlace() {
  if (state_ != State::kOnline || is_calm_) return;
  ++turn_;
  const double lot = random_.Unit();
  if (lot < 0.25) {
    // Signs off, and comes back some time later.
    wires_.Close(connection_);
    world_.Note(session_->jid, "sign-off", "");
    state_ = State::kAway;
    EndSession();
    connection_ = 0;
    return Begin(random_.LogBetween(seconds(1), seconds(120)));
  }
  // The network is gone; whether the gateway hears of it soon or late is a matter of luck.
  const Duration notice = random_.Chance(0.5) ? world_.Latency() : random_.Between(seconds(5), seconds(60));
  const Duration away = lot < 0.7    ? random_.LogBetween(milliseconds(50), seconds(20))
                        : lot < 0.85 ? random_.Between(seconds(40), seconds(150))
                                     : Duration(milliseconds(1));
  world_.Note(session_->jid, "vanish", "");
  LoseConnection(notice);
  state_ = State::kAway;
  if (sm_id_.empty()) EndSession();
  Begin(away);
}

void Client::CalmDown() {
  is_calm_ = true;
  guest_.CalmDown();
  address_book_.CalmDown();
  if (state_ == State::kAway) {
    ++turn_;
    Begin(random_.Between(milliseconds(0), seconds(5)));
  }
}

void Client::AskForAck() {
  if (state_ != State::kOnline || !is_enabled_) return;
  ToServer request{};
  request.kind = ToServer::Kind::kRequestAck;
  wires_.ToGateway(connection_, std::move(request));
}

void Client::AskDisco(const std::string& service) {
  unanswered_.insert(service);
  if (state_ != State::kOnline) return;
  xmpp::Stanza question;
  question.set_kind(common::v1::STANZA_KIND_IQ);
  question.set_type("get");
  question.set_id(absl::StrCat("disco-", service));
  question.set_to(service);
  xmpp::SetPayload(question, xmpp::Element("query", xmpp::ns::kDiscoInfo));
  SendStanza(std::move(question), 0);
}

void Client::Disappear() {
  LoseConnection(random_.Between(milliseconds(1), seconds(30)));
  GoHome();
}

void Client::GoHome() {
  is_home_ = true;
  ++turn_;
  if (connection_ != 0) wires_.Close(connection_);
  EndSession();
  state_ = State::kAway;
  connection_ = 0;
}

}  // namespace rookery::simulation
