#include "rookery/pg/shard_claims.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace rookery::pg {

namespace {

absl::Status NotClaimed() { return absl::FailedPreconditionError("another owner has claimed the shard"); }

bool MayBeDoneLater(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

// ---- what this process holds ------------------------------------------------

Task<absl::Status> HeldClaims::Claim(std::uint32_t shard, std::int64_t epoch) {
  std::shared_ptr<Held>& held = held_[shard];
  if (held == nullptr) held = std::make_shared<Held>();
  const absl::Status claimed = co_await Renew(held, shard, epoch);
  co_return claimed;
}

Task<absl::Status> HeldClaims::Renew(std::shared_ptr<Held> held, std::uint32_t shard, std::int64_t epoch) {
  // A database that was restored has counted fewer turns than we know of.
  const absl::StatusOr<std::optional<std::int64_t>> turn = co_await ask_(shard, epoch, held->turn);
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

Task<absl::Status> HeldClaims::MakeSure(std::shared_ptr<Held> held, std::uint32_t shard, std::int64_t epoch) {
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

Task<absl::Status> HeldClaims::Execute(std::uint32_t shard, std::int64_t epoch, Statement statement) {
  const auto found = held_.find(shard);
  if (found == held_.end()) co_return NotClaimed();
  const std::shared_ptr<Held> held = found->second;
  if (held->epoch == epoch) {
    const absl::Status sure = co_await MakeSure(held, shard, epoch);
    if (!sure.ok()) co_return sure;
  }
  if (held->epoch != epoch) co_return NotClaimed();

  const std::int64_t turn = held->turn;
  const auto is_same_turn = [&] { return held->epoch == epoch && held->turn == turn; };
  absl::StatusOr<bool> stood = false;
  try {
    stood = co_await statement(turn);
  } catch (...) {
    // Nobody waits for the answer any more.
    if (is_same_turn()) held->is_in_doubt = true;
    throw;
  }
  if (!stood.ok()) {
    // In another turn it cannot be done any more.
    if (MayBeDoneLater(stood.status()) && is_same_turn()) held->is_in_doubt = true;
    co_return stood.status();
  }
  if (*stood) co_return absl::OkStatus();
  // The turn is over: a newer owner has claimed the shard, or we have, by a claim that was not answered.
  if (held->epoch != epoch) co_return NotClaimed();
  if (is_same_turn()) held->is_in_doubt = true;
  const absl::Status sure = co_await MakeSure(held, shard, epoch);
  if (!sure.ok()) co_return sure;
  co_return absl::AbortedError("the shard was claimed again meanwhile");
}

// ---- PostgreSQL -------------------------------------------------------------

ClaimTable::ClaimTable(std::string name)
    : name_(std::move(name)),
      // A row that stays as it is, since a newer owner has it, is not returned.
      claim_(absl::StrCat("INSERT INTO ", name_,
                          " AS w (shard, epoch, turn) VALUES ($1::integer, $2::bigint, $3::bigint + 1) "
                          "ON CONFLICT (shard) DO UPDATE SET epoch = EXCLUDED.epoch, "
                          "turn = greatest(w.turn + 1, EXCLUDED.turn) WHERE w.epoch <= EXCLUDED.epoch "
                          "RETURNING turn")),
      claimed_by_(absl::StrCat("SELECT epoch FROM ", name_, " WHERE shard = $1::integer")) {}

std::string ClaimTable::WithClaim(const std::string& changes) const {
  return absl::StrCat("WITH claim AS MATERIALIZED (SELECT true FROM ", name_,
                      " WHERE shard = $1::integer AND epoch = $2::bigint AND turn = $3::bigint FOR SHARE), ",
                      changes);
}

std::string ClaimTable::UnderClaim(const std::string& changes) const {
  return absl::StrCat(WithClaim(changes), " SELECT count(*) FROM claim");
}

std::string ClaimTable::UnderClaim(const std::string& changes, const std::string& answer) const {
  return absl::StrCat(WithClaim(changes),
                      " SELECT c.stands, a.* FROM (SELECT count(*) AS stands FROM claim) AS c LEFT JOIN (",
                      answer, ") AS a ON true");
}

ShardClaims::ShardClaims(Pool& pool, const ClaimTable& table)
    : pool_(pool), table_(table), held_([this](std::uint32_t shard, std::int64_t epoch, std::int64_t above) {
        return Ask(shard, epoch, above);
      }) {}

Task<absl::Status> ShardClaims::Claim(std::uint32_t shard, std::int64_t epoch) {
  return held_.Claim(shard, epoch);
}

Task<absl::StatusOr<std::int64_t>> ShardClaims::ClaimedBy(std::uint32_t shard) {
  std::vector<Param> params{Param::Int(shard)};
  const ResultOr result = co_await pool_.Execute(shard, table_.claimed_by_.c_str(), std::move(params));
  if (!result.ok()) co_return result.status();
  co_return (*result)->rows() == 0 ? -1 : (*result)->Int(0, 0);
}

Task<absl::Status> ShardClaims::Execute(std::uint32_t shard, std::int64_t epoch, std::uint64_t lane,
                                        const char* sql, std::vector<Param> params) {
  const ResultOr result = co_await Query(shard, epoch, lane, sql, std::move(params));
  co_return result.status();
}

Task<ResultOr> ShardClaims::Query(std::uint32_t shard, std::int64_t epoch, std::uint64_t lane,
                                  const char* sql, std::vector<Param> params) {
  std::unique_ptr<Result> answer;
  HeldClaims::Statement statement = [&](std::int64_t turn) -> Task<absl::StatusOr<bool>> {
    std::vector<Param> all{Param::Int(shard), Param::Int(epoch), Param::Int(turn)};
    all.reserve(all.size() + params.size());
    for (Param& param : params) all.push_back(std::move(param));
    ResultOr result = co_await pool_.Execute(lane, sql, std::move(all));
    if (!result.ok()) co_return result.status();
    answer = *std::move(result);
    co_return answer->rows() > 0 && answer->Int(0, 0) == 1;
  };
  const absl::Status done = co_await held_.Execute(shard, epoch, std::move(statement));
  if (!done.ok()) co_return done;
  co_return answer;
}

Task<absl::StatusOr<std::optional<std::int64_t>>> ShardClaims::Ask(std::uint32_t shard, std::int64_t epoch,
                                                                   std::int64_t above) {
  std::vector<Param> params{Param::Int(shard), Param::Int(epoch), Param::Int(above)};
  const ResultOr result = co_await pool_.Execute(shard, table_.claim_.c_str(), std::move(params));
  if (!result.ok()) co_return result.status();
  std::optional<std::int64_t> turn;
  if ((*result)->rows() > 0) turn = (*result)->Int(0, 0);
  co_return turn;
}

}  // namespace rookery::pg
