#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kafka.h"
#include "large_message.h"
#include "rookery/xmpp/stanza_limits.h"
#include "sessions/client.h"
#include "sessions/small_cluster.h"

namespace rookery::fuzz {

/// The largest stanza that operators may allow with the brokers of the simulation (gateway's config.cc).
inline constexpr std::size_t kMaxStanzaBytes = simulation::Kafka::kMaxRecordBytes - xmpp::kStanzaReserveBytes;

/// Ann writes to Bob. Both have a device on TCP and one on WebSocket, which read all that they are sent, and
/// resources that are as long as they may be and longer when they are written. The gateway allows the largest
/// stanzas, and much less to wait for a client besides. Aborts where a message becomes something else than
/// its fate.
class Correspondence {
 public:
  /// Follows from the message alone.
  enum class Fate {
    kDelivered,    // as it is, to each reader once, by way of the log
    kRefused,      // with an error; nobody else hears of it
    kStreamEnded,  // its writer's, at once
  };
  struct Way {
    bool is_from_websocket = false;
    /// Bob's account, which both his devices are given it for, or one of them.
    enum class To : std::uint8_t { kAccount, kTcp, kWebSocket } to = To::kAccount;
  };

  Correspondence();

  /// Sends it, with an id of so many bytes at least, and sees what becomes of it. No other stream ends by it.
  Fate Send(const LargeMessage& message, const Way& way, std::size_t id_bytes = 0);
  /// Everybody goes, and nothing is left.
  void End();
  std::size_t largest_record() const { return largest_record_; }

 private:
  enum Device : std::size_t { kAnnOnTcp, kAnnOnWebSocket, kBobOnTcp, kBobOnWebSocket, kDevices };

  void SignIn(Client& client);
  template <typename Condition>
  void RunUntil(Condition condition, std::chrono::milliseconds limit);
  /// Until what follows, such as copies and acknowledgements, has come.
  void Settle();
  std::vector<std::size_t> ReadersOf(const Way& way) const;
  void OnStanza(std::size_t device, const xmpp::Stanza& stanza);
  void OnAppend(std::string_view topic, std::string_view value);
  void Check(Fate fate, const std::optional<xmpp::Stanza>& sent, std::size_t writer,
             const std::vector<std::size_t>& readers) const;

  SmallCluster cluster_;
  std::array<std::unique_ptr<Client>, kDevices> clients_;
  std::uint64_t messages_ = 0;
  std::size_t largest_record_ = 0;

  // What has become of the message that was sent last.
  std::string id_;
  std::array<std::vector<xmpp::Stanza>, kDevices> received_;
  std::array<int, kDevices> carbons_{};
  bool is_refused_ = false;
  int deliveries_ = 0;  // records for its recipient
  int copies_ = 0;      // records for its sender's other devices
};

}  // namespace rookery::fuzz
