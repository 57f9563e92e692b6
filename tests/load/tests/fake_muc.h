#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client.h"
#include "rookery/net/connection.h"
#include "scram_server.h"
#include "stanza_scanner.h"

namespace rookery::load {

/// A server with rooms that does what XEP-0045 asks of it, and nothing else. `deliver` may do otherwise with
/// what an occupant of a room is to hear. I/O thread only.
class FakeMuc {
 public:
  struct Peer;
  std::function<void(Peer& to, const std::string& stanza)> deliver = [](Peer& to, const std::string& stanza) {
    to.connection->Write(stanza);
  };
  /// The condition that answers those who enter a room which exists; empty: they may.
  std::string refusal;
  /// Messages that are answered with an error.
  std::string refused_body = "none";

  struct Peer final : net::ConnectionHandler {
    Peer(FakeMuc& owner, std::unique_ptr<net::Connection> c) : muc(owner), connection(std::move(c)) {}
    void OnData(std::string_view data) override { scanner.Feed(data); }
    void OnDrained() override {}
    void OnTlsEstablished() override {}
    void OnClosed(const absl::Status&) override { muc.Leave(*this); }

    FakeMuc& muc;
    std::unique_ptr<net::Connection> connection;
    StanzaScanner scanner{[this](std::string_view e) { muc.OnElement(*this, e); }};
    std::unique_ptr<ScramServer> scram;
    std::string user;
    std::uint64_t heard = 0;  // messages of rooms
  };

  explicit FakeMuc(asio::io_context& io) {
    auto listener = net::Listener::Create(io, {.address = "127.0.0.1:0", .tls = nullptr},
                                          [this](std::unique_ptr<net::Connection> c) {
                                            peers_.push_back(std::make_unique<Peer>(*this, std::move(c)));
                                            peers_.back()->connection->Start(peers_.back().get());
                                          });
    listener_ = std::move(*listener);
  }
  std::string address() const { return listener_->bound_address(); }
  std::size_t rooms() const { return rooms_.size(); }

 private:
  struct Room {
    bool locked = true;
    bool shows_moderators_only = false;
    std::vector<std::pair<Peer*, std::string>> occupants;  // with their room JIDs
  };

  void Leave(Peer& peer) {
    for (auto& [name, room] : rooms_)
      std::erase_if(room.occupants, [&](const auto& o) { return o.first == &peer; });
  }

  void OnElement(Peer& peer, std::string_view e) {
    const std::string_view name = NameOf(e);
    const auto write = [&](const std::string& xml) { peer.connection->Write(xml); };
    if (name == "stream:stream") {
      if (e.starts_with("</")) return peer.connection->CloseAfterFlush();
      write(
          "<?xml version='1.0'?><stream:stream "
          "xmlns='jabber:client'><stream:features><x/></stream:features>");
    } else if (name == "auth") {
      // The accounts' passwords are made of their names, which come with the first message.
      ScramServer probe("");
      probe.Challenge(TextOf(e, "auth"));
      peer.user = probe.user();
      peer.scram = std::make_unique<ScramServer>("password-of-" + peer.user);
      write("<challenge>" + peer.scram->Challenge(TextOf(e, "auth")) + "</challenge>");
    } else if (name == "response") {
      write("<success>" + peer.scram->Success(TextOf(e, "response")).value_or("") + "</success>");
      peer.scanner.Reset();
    } else if (name == "iq") {
      const std::string id(AttributeOf(e, "id"));
      if (id == "bind") {
        return write(absl::StrCat("<iq type='result' id='bind'><bind><jid>", peer.user,
                                  "@localhost/r</jid></bind></iq>"));
      }
      const std::string to(AttributeOf(e, "to"));
      rooms_.at(to).locked = false;
      rooms_.at(to).shows_moderators_only =
          e.find("presencebroadcast'><value>moderator</value></field>") != std::string_view::npos;
      write(absl::StrCat("<iq type='result' id='", id, "' from='", to, "'/>"));
    } else if (name == "presence") {
      const std::string to(AttributeOf(e, "to"));
      if (!to.empty()) Enter(peer, to);
    } else if (name == "message") {
      Reflect(peer, e);
    }
  }

  void Enter(Peer& peer, const std::string& jid) {
    const std::string name = jid.substr(0, jid.find('/'));
    const bool created = !rooms_.contains(name);
    Room& room = rooms_[name];
    const std::string condition = created ? "" : room.locked ? "item-not-found" : refusal;
    if (!condition.empty()) {
      return peer.connection->Write(absl::StrCat("<presence type='error' from='", jid, "'><error><",
                                                 condition, "/></error></presence>"));
    }
    for (const auto& [other, other_jid] : room.occupants) {
      // Who came first is its moderator.
      if (!room.shows_moderators_only || other == room.occupants.front().first)
        peer.connection->Write(absl::StrCat("<presence from='", other_jid, "'><x/></presence>"));
      if (!room.shows_moderators_only)
        other->connection->Write(absl::StrCat("<presence from='", jid, "'><x/></presence>"));
    }
    room.occupants.emplace_back(&peer, jid);
    peer.connection->Write(absl::StrCat("<presence from='", jid, "'><x><status code='110'/>",
                                        created ? "<status code='201'/>" : "", "</x></presence>"));
    peer.connection->Write(absl::StrCat("<message type='groupchat' from='", name, "'><subject/></message>"));
  }

  void Reflect(Peer& peer, std::string_view message) {
    const std::string id(AttributeOf(message, "id"));
    const std::string name(AttributeOf(message, "to"));
    const std::string body(TextOf(message, "body"));
    if (body.starts_with(refused_body)) {
      return peer.connection->Write(
          absl::StrCat("<message type='error' from='", name, "' id='", id,
                       "'><error type='wait'><resource-constraint/></error></message>"));
    }
    const Room& room = rooms_.at(name);
    std::string from;
    for (const auto& [other, jid] : room.occupants) from = other == &peer ? jid : from;
    for (const auto& [other, jid] : room.occupants) {
      ++other->heard;
      deliver(*other, absl::StrCat("<message type='groupchat' from='", from, "' id='", id, "'><body>", body,
                                   "</body></message>"));
    }
  }

  std::map<std::string, Room> rooms_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::unique_ptr<net::Listener> listener_;
};

}  // namespace rookery::load
