#include "domain/delivery/store_shares.h"

#include <algorithm>

namespace rookery::session_manager {

namespace {

// absl hashes its own view type only, which is not std's here.
absl::string_view Key(std::string_view key) { return {key.data(), key.size()}; }

void Change(StoreShares::Amount& amount, StoreShares::Amount by) {
  amount.rows += by.rows;
  amount.bytes += by.bytes;
}

/// Whether nothing is left.
bool Reduce(StoreShares::Amount& amount, StoreShares::Amount by) {
  amount.rows -= std::min(amount.rows, by.rows);
  amount.bytes -= std::min(amount.bytes, by.bytes);
  return amount.rows == 0;
}

template <typename Map>
StoreShares::Amount In(const Map& amounts, std::string_view key) {
  const auto found = amounts.find(Key(key));
  return found == amounts.end() ? StoreShares::Amount{} : found->second;
}

}  // namespace

void StoreShares::Add(Amounts& amounts, std::string_view key, Amount amount) {
  Change(amounts[Key(key)], amount);
}

void StoreShares::Subtract(Amounts& amounts, std::string_view key, Amount amount) {
  const auto found = amounts.find(Key(key));
  if (found != amounts.end() && Reduce(found->second, amount)) amounts.erase(found);
}

void StoreShares::Add(std::string_view recipient, std::string_view sender, Amount amount) {
  Recipient& of = recipients_[Key(recipient)];
  Change(of.all, amount);
  if (sender.empty()) return;
  Add(of.by_sender, sender, amount);
  Add(senders_, sender, amount);
}

void StoreShares::Subtract(std::string_view recipient, std::string_view sender, Amount amount) {
  const auto of = recipients_.find(Key(recipient));
  if (of == recipients_.end()) return;
  if (!sender.empty()) {
    Subtract(of->second.by_sender, sender, amount);
    Subtract(senders_, sender, amount);
  }
  if (Reduce(of->second.all, amount)) recipients_.erase(of);
}

bool StoreShares::Fits(std::string_view recipient, std::string_view sender, std::size_t bytes) const {
  const Amount sent = In(senders_, sender);
  if (sent.rows > 0 &&
      (sent.rows + 1 > limits_.of_sender.rows || sent.bytes + bytes > limits_.of_sender.bytes))
    return false;
  const auto of = recipients_.find(Key(recipient));
  if (of == recipients_.end()) return true;
  const Amount own = In(of->second.by_sender, sender);
  return of->second.all.rows + own.rows + 2 <= limits_.of_recipient.rows &&
         of->second.all.bytes + own.bytes + 2 * bytes <= limits_.of_recipient.bytes;
}

StoreShares::Amount StoreShares::LeftForPackets(std::string_view recipient) const {
  const auto of = recipients_.find(Key(recipient));
  const Amount used = of == recipients_.end() ? Amount{} : of->second.all;
  const auto left = [](std::size_t share, std::size_t taken) { return share > taken ? share - taken : 0; };
  return {left(limits_.of_sessions.rows, used.rows), left(limits_.of_sessions.bytes, used.bytes)};
}

}  // namespace rookery::session_manager
