#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "rookery/net/connection.h"
#include "world.h"

namespace rookery::fuzz {

/// One connection between a client and the gateway, in memory: the client's end. What either side
/// writes arrives in order, in the gateway's next turn. The gateway's end is a net::Connection.
class Wire : public std::enable_shared_from_this<Wire> {
 public:
  /// The calls that the client's end gets, from within the gateway's turn: it must not call back.
  class Peer {
   public:
    virtual ~Peer() = default;
    virtual void OnBytes(std::string_view bytes) = 0;
    /// The gateway has closed, and all that it wrote before has arrived.
    virtual void OnEnd() = 0;
  };

  Wire(simulation::Process& gateway, Peer& peer, std::string address);

  /// The gateway's end, once.
  std::unique_ptr<net::Connection> MakeServerEnd();

  // ---- of the client ----
  void Send(std::string bytes);
  /// The connection breaks, or ends in order; the client hears nothing any more.
  void Cut(bool in_order);
  /// While it does not read, what the gateway writes stays queued there.
  void StopReading() { is_reading_ = false; }
  void ReadAgain();
  bool is_reading() const { return is_reading_; }
  std::size_t queued_bytes() const { return queued_.size(); }

 private:
  class ServerEnd;

  void InGateway(void (Wire::*call)());
  void FlushSoon();
  void Flush();
  void Arrive();
  void EndInOrder();
  void Break();
  /// The client takes nothing.
  void GiveUp();
  /// `status`: what the gateway hears.
  void Close(const absl::Status& status);

  simulation::Process& gateway_;
  const std::uint64_t life_;
  Peer* peer_;  // null once the client's end is gone
  const std::string address_;
  ServerEnd* end_ = nullptr;  // null before it is made and when it is gone
  net::ConnectionHandler* handler_ = nullptr;
  std::string to_gateway_;  // sent, and not yet given to the handler
  std::string queued_;      // written by the gateway, and not yet taken
  std::uint64_t taken_ = 0;
  bool is_reading_ = true;
  bool is_paused_ = false;  // the gateway does not read
  bool is_flushing_ = false;
  bool is_closing_ = false;  // by the gateway, once all is taken
  bool is_closed_ = false;
  bool is_cut_ = false;
  bool is_ended_ = false;  // nothing comes behind what was sent
  bool is_tls_ = false;
  bool is_tls_wanted_ = false;
};

}  // namespace rookery::fuzz
