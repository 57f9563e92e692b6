#include "adapters/shard_claims.h"

#include <utility>

namespace rookery::muc {

namespace {

absl::Status NotClaimed() { return absl::FailedPreconditionError("another owner has claimed the shard"); }

}  // namespace

Task<absl::Status> ShardClaims::Claim(std::uint32_t shard, std::int64_t epoch) {
  std::shared_ptr<Held>& held = held_[shard];
  if (held == nullptr) held = std::make_shared<Held>();
  const absl::Status claimed = co_await Renew(held, shard, epoch);
  co_return claimed;
}

std::optional<std::int64_t> ShardClaims::TurnOf(std::uint32_t shard, std::int64_t epoch) const {
  const auto found = held_.find(shard);
  if (found == held_.end() || found->second->epoch != epoch) return std::nullopt;
  return found->second->turn;
}

Task<absl::Status> ShardClaims::Renew(std::shared_ptr<Held> held, std::uint32_t shard, std::int64_t epoch) {
  const absl::StatusOr<std::optional<std::int64_t>> turn = co_await statement_(shard, epoch);
  if (!turn.ok()) {
    // It may have been done: then our turn is over.
    if (held->epoch == epoch) held->is_in_doubt = true;
    co_return turn.status();
  }
  if (!*turn) co_return NotClaimed();
  if (std::pair(held->epoch, held->turn) < std::pair(epoch, **turn)) {
    held->epoch = epoch;
    held->turn = **turn;
    held->is_in_doubt = false;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> ShardClaims::MakeSure(std::shared_ptr<Held> held, std::uint32_t shard,
                                         std::int64_t epoch) {
  if (!held->is_in_doubt) co_return absl::OkStatus();
  if (const std::shared_ptr<runtime::Event> renewal = held->renewal) {
    co_await renewal->Wait();
    if (held->is_in_doubt) co_return absl::UnavailableError("the shard could not be claimed again");
    co_return absl::OkStatus();
  }
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  held->renewal = std::make_shared<runtime::Event>(executor);
  const auto end = [&held] { std::exchange(held->renewal, nullptr)->Set(); };
  absl::Status renewed;
  try {
    renewed = co_await Renew(held, shard, epoch);
  } catch (...) {
    end();
    throw;
  }
  end();
  co_return renewed;
}

Task<absl::Status> ShardClaims::Under(std::uint32_t shard, std::int64_t epoch, Change change) {
  const auto found = held_.find(shard);
  if (found == held_.end()) co_return NotClaimed();
  const std::shared_ptr<Held> held = found->second;
  if (held->epoch == epoch) {
    const absl::Status sure = co_await MakeSure(held, shard, epoch);
    if (!sure.ok()) co_return sure;
  }
  if (held->epoch != epoch) co_return NotClaimed();

  const std::int64_t turn = held->turn;
  const absl::StatusOr<bool> stood = co_await change(turn);
  const bool is_same_turn = held->epoch == epoch && held->turn == turn;
  if (!stood.ok()) {
    // It may be done later. In another turn it cannot.
    const bool may_be_done = absl::IsUnavailable(stood.status()) || absl::IsDeadlineExceeded(stood.status());
    if (may_be_done && is_same_turn) held->is_in_doubt = true;
    co_return stood.status();
  }
  if (*stood) co_return absl::OkStatus();
  // The turn is over: a newer owner has claimed the shard, or we have, by a claim that was not answered.
  if (held->epoch != epoch) co_return NotClaimed();
  if (is_same_turn) held->is_in_doubt = true;
  const absl::Status sure = co_await MakeSure(held, shard, epoch);
  if (!sure.ok()) co_return sure;
  co_return absl::AbortedError("the shard was claimed again meanwhile");
}

}  // namespace rookery::muc
