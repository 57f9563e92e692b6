#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rookery::session_manager {

/// The behaviour that operators can set.
struct Settings {
  std::string instance;
  std::string version;
  /// Virtual hosts, prepared.
  std::vector<std::string> domains{"localhost"};
  /// How long a session waits for its client (XEP-0198 `max`).
  std::chrono::milliseconds resume_timeout{300'000};
  /// A packet that is not acknowledged for so long goes to the waiting store.
  std::chrono::milliseconds window_time{3'000};
  /// How far back a repeated record can lie.
  std::chrono::milliseconds duplicate_horizon{120'000};
  /// A new owner waits so long for gateways to attach.
  std::chrono::milliseconds attach_timeout{5'000};
  /// A session without stream management survives the loss of its gateway's link so long.
  std::chrono::milliseconds link_grace{5'000};
  /// After a resumption the old gateway keeps the session so long, and the store with it: the log has said
  /// by then that both are outdated.
  std::chrono::milliseconds resume_hand_over{500};
  /// A row is outdated when its client is back: so much later it goes, and the log is told, together
  /// with all others of that time. When thousands come back, a request for each costs more than all the rest.
  /// Well below resume_hand_over.
  std::chrono::milliseconds tell_back_together{100};
  std::int64_t max_unacked_packets = 5'000;
  std::int64_t max_unacked_bytes = 4 * 1024 * 1024;
  /// The part of what waits for one client that may be on its way to it.
  std::int64_t max_under_way_bytes = 512 * 1024;
  /// So many of a user's waiting messages are read at a time, and they are given while no more than the burst
  /// are unacknowledged, nor more than a quarter of what may be. The simulation has less.
  std::size_t hand_out_page = 64;
  std::size_t hand_out_burst = 256;
  std::int64_t max_sessions_per_user = 32;
  std::int64_t max_offline_messages = 1'000;
  std::int64_t max_offline_bytes = 16 * 1024 * 1024;
  std::int64_t max_roster_items = 5'000;
  std::int64_t max_pending_requests = 1'000;
  std::int64_t max_directed_presence = 1'000;
  std::int64_t max_blocked_addresses = 1'000;
  std::int64_t max_vcard_bytes = std::int64_t{128} << 10;
  /// Of an image in it.
  std::int64_t max_photo_bytes = std::int64_t{64} << 10;
  /// The most that may wait for the store in one shard before the shard is read no further.
  std::int64_t max_store_waiting = 20'000;
  std::int64_t max_store_waiting_bytes = 64 * 1024 * 1024;
  /// The limits for actions that wait until a shard is live, for users whose presence waits for a roster, and
  /// for records that the log has refused, the latter two where no record of a shard is held for them. Tests
  /// have less.
  std::size_t max_waiting_actions = 200'000;
  std::size_t max_owed_presences = 10'000;
  std::size_t max_refused_records = 10'000;
  bool registration = false;
  /// For so long nobody may have the name of an account that was removed.
  std::chrono::milliseconds name_reuse_after{0};
  /// A question that a new owner reads so late is answered with an error: nobody waits for it any more.
  std::chrono::milliseconds iq_too_old{30'000};
};

}  // namespace rookery::session_manager
