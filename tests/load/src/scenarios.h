#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "run.h"

namespace rookery::load {

/// Registers accounts and derives their keys, once.
void Seed(Run& run, std::size_t count);

/// Log-ins per second: connect, SCRAM, bind, close; `parallel` at a time.
void MeasureLogins(Run& run);

struct IdleOptions {
  std::size_t sessions = 5000;
  bool presence = true;
};
/// Process memory for each idle session.
void MeasureIdle(Run& run, const IdleOptions& options);

struct ChatOptions {
  double rate = 0;  // messages a second, open loop; 0: closed loop
  std::size_t pairs = 100;
  std::size_t window = 10;  // of each client, closed loop
  std::size_t body = 64;    // bytes
  bool stream_management = false;
};
/// 1:1 chat between users on different gateways.
void MeasureChat(Run& run, const ChatOptions& options);

struct RoomsOptions {
  double rate = 0;  // messages a second in all rooms together, open loop; 0: closed loop
  std::size_t rooms = 10;
  std::size_t occupants = 100;  // of each room, each a session of its own
  std::size_t senders = 10;     // of each room, among the occupants
  std::size_t window = 1;       // of each sender, closed loop
  std::size_t body = 64;        // bytes
  std::string service;          // empty: conference.<domain>
  /// Whose presence the rooms show others (muc#roomconfig_presencebroadcast), by role; empty: the service's
  /// default, which is taken to be everybody's.
  std::vector<std::string> presence_broadcast;
  /// So many occupants a room has before the service shows no more of them by itself; 0: it shows all.
  std::size_t quiet_above = 0;
  /// In which nothing is said after signing in, and a repetition of the last messages would come.
  std::chrono::milliseconds settle{1000};
  bool stream_management = false;
};
/// How many presences the occupants of one room hear while all of them enter: of themselves and of those who
/// are shown. Who enters first is its moderator.
std::uint64_t PresencesIn(const RoomsOptions& options);
/// Group chat (XEP-0045): all enter, some talk, everyone hears all of it in the same order.
void MeasureRooms(Run& run, const RoomsOptions& options);

struct PresenceOptions {
  std::size_t users = 500;
  std::size_t contacts = 20;
  std::size_t rounds = 5;
};
/// Presence storm: everyone becomes available at once, then everyone changes, in rounds.
void MeasurePresence(Run& run, const PresenceOptions& options);

struct ReconnectOptions {
  std::size_t sessions = 2000;
};
/// All connections are cut and all streams resumed on the next gateway (XEP-0198).
void MeasureReconnect(Run& run, const ReconnectOptions& options);

struct TakeoverOptions {
  std::size_t sessions = 200'000;
  bool presence = false;
  int idle = 20;  // seconds
};
/// One of two session-managers is killed while a simulated gateway, which speaks the link protocol and
/// has no clients, holds many sessions: the other takes its shards over.
void MeasureTakeover(Run& run, const TakeoverOptions& options);

}  // namespace rookery::load
