#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "environment.h"
#include "ledger.h"
#include "protocols/xmpp/xmpp_settings.h"
#include "wire.h"
#include "world.h"

namespace rookery::fuzz {

/// Settings of streams: those of an operator with little memory and patience, so that limits are
/// reached.
gateway::XmppSettings HostileSettings();

/// A gateway process of the simulated cluster with what the simulation leaves out: real connections with
/// their XML, SASL and XEP-0198 over wires. What its streams ask of the cluster is noted in the ledger.
class Edge final : public simulation::Process {
 public:
  /// `settings`: of the streams.
  Edge(simulation::Environment& environment, Ledger& ledger, std::string name,
       gateway::XmppSettings settings);
  ~Edge() override;

  /// The session that a connection has by now; null: none yet.
  struct Place {
    Ledger::Session* session = nullptr;
  };
  /// On its loop.
  void Accept(Wire& wire, bool is_websocket, std::shared_ptr<Place> place);
  bool is_connected() const;
  std::size_t sessions() const;
  std::size_t connections() const;

 private:
  class WatchedCluster;
  struct Parts;

  void Boot() override;
  void Unmake() override;

  simulation::Environment& environment_;
  Ledger& ledger_;
  const gateway::XmppSettings settings_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace rookery::fuzz
