#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "domain/state/session.h"
#include "ports/gateway_peer.h"
#include "rookery/base/clock.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"

namespace rookery::session_manager {

class Membership;
struct Shard;

/// The gateways that are linked, by name, which sessions each of them has, and which may still bring some.
/// I/O thread only.
class Gateways {
 public:
  Gateways(asio::any_io_executor executor, const Clock& clock, const Membership& membership)
      : clock_(clock), membership_(membership), changed_(std::move(executor)) {}

  /// Null unless it is linked.
  GatewayPeer* Find(const std::string& instance) const {
    const auto it = linked_.find(instance);
    return it == linked_.end() ? nullptr : it->second;
  }
  const std::map<std::string, GatewayPeer*>& all() const { return linked_; }
  /// Whether every gateway, registered or linked, has brought its sessions of the shard.
  bool HaveAllAttached(const Shard& shard) const;
  /// Waits until they have. False: they have not, for so long in which one of them could be reached.
  Task<bool> AwaitAllAttached(std::shared_ptr<Shard> shard, std::chrono::milliseconds patience);
  /// One is linked, or none is registered: we are of use to somebody, or there is nobody to be of use to.
  bool AreInReach() const;
  /// One has brought them.
  void NoteAttached(Shard& shard, const std::string& instance);
  /// Others are registered than before.
  void NoteRegistered() { changed_.Notify(); }

  /// In the place of an older one of its name.
  void Add(GatewayPeer& gateway) {
    linked_[gateway.instance()] = &gateway;
    changed_.Notify();
  }
  /// False: another one of its name is linked.
  bool Remove(GatewayPeer& gateway) {
    const auto it = linked_.find(gateway.instance());
    if (it == linked_.end() || it->second != &gateway) return false;
    linked_.erase(it);
    changed_.Notify();
    return true;
  }

  /// The session's connection is in this gateway; null: in none.
  void Assign(Session& session, GatewayPeer* gateway) {
    session.unlink();
    if (session.gateway != gateway) session.awaits_room = false;
    session.gateway = gateway;
    if (gateway != nullptr) sessions_[gateway].push_back(session);
  }
  /// One of the sessions that the gateway has; null when none is left. Forgets the gateway then.
  Session* AnyOf(const GatewayPeer& gateway) {
    const auto it = sessions_.find(&gateway);
    if (it == sessions_.end()) return nullptr;
    if (!it->second.empty()) return &it->second.front();
    sessions_.erase(it);
    return nullptr;
  }

 private:
  const Clock& clock_;
  const Membership& membership_;
  /// One is linked, registered, or gone, or has brought the sessions of a shard.
  runtime::Event changed_;
  std::map<std::string, GatewayPeer*> linked_;
  std::unordered_map<const GatewayPeer*, GatewaySessions> sessions_;
};

}  // namespace rookery::session_manager
