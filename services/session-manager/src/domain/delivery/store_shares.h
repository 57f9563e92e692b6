#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace rookery::session_manager {

/// Counts who has how much of what waits for the store in one shard, so that while the store is away nobody
/// takes the room of all others (README.md, S7). Costs what waits, nothing when nothing does. I/O thread
/// only.
class StoreShares {
 public:
  /// Rows, and the bytes that they keep in memory.
  struct Amount {
    std::size_t rows = 0;
    std::size_t bytes = 0;
  };
  struct Limits {
    /// Messages for one recipient; messages of one sender.
    Amount of_recipient, of_sender;
    /// Packets of one user's sessions, together with the messages for that user.
    Amount of_sessions;
  };
  explicit StoreShares(Limits limits) : limits_(limits) {}

  // Both are bare JIDs. Without a sender (empty) it counts for the recipient alone.
  void Add(std::string_view recipient, std::string_view sender, Amount amount);
  void Subtract(std::string_view recipient, std::string_view sender, Amount amount);

  /// Whether one more message is within both shares. What its own sender has with the recipient counts twice,
  /// as in the quota of the store (WaitingStore::Quota). Whoever has nothing waiting may always have one.
  bool Fits(std::string_view recipient, std::string_view sender, std::size_t bytes) const;
  /// Returns how much packets of the recipient's sessions may still take.
  Amount LeftForPackets(std::string_view recipient) const;
  bool empty() const { return recipients_.empty() && senders_.empty(); }
  void Clear() {
    recipients_.clear();
    senders_.clear();
  }

 private:
  using Amounts = absl::flat_hash_map<std::string, Amount>;
  struct Recipient {
    Amount all;
    Amounts by_sender;
  };
  static void Add(Amounts& amounts, std::string_view key, Amount amount);
  static void Subtract(Amounts& amounts, std::string_view key, Amount amount);

  const Limits limits_;
  absl::flat_hash_map<std::string, Recipient> recipients_;
  Amounts senders_;
};

}  // namespace rookery::session_manager
