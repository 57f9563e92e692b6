#pragma once

namespace rookery::session_manager {

class Gateways;
class LiveSessions;
class SessionTable;
class Shards;
struct SessionManagerMetrics;

/// Says how many gateways, users and sessions there are now. For a scrape: nothing else has to count them.
void SetGauges(SessionManagerMetrics& metrics, const Shards& shards, const SessionTable& table,
               const Gateways& gateways, const LiveSessions& live);

}  // namespace rookery::session_manager
