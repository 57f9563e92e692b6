#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/pg/pool.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"

namespace rookery::pg {

/// Under which claims this process changes the rows of its shards. An owner claims its shard with its epoch,
/// and each claim begins a new turn, counted by the database. A statement belongs to the turn that it was
/// given in: whatever is done late, of an older owner or of this one, changes nothing once the shard has been
/// claimed anew. A statement that was not answered may still be done, so before the next one the shard is
/// claimed again, once for all that wait.
///
/// The database is asked through functions: stores in memory go through the same steps as PostgreSQL
/// (rookery/testing/memory_claims.h). I/O thread only.
class HeldClaims {
 public:
  /// Claims the shard for a turn that is higher than the last one and than `above`, and says which. Nothing:
  /// a newer owner has claimed it.
  using Ask = std::function<Task<absl::StatusOr<std::optional<std::int64_t>>>(
      std::uint32_t shard, std::int64_t epoch, std::int64_t above)>;
  /// Changes something, if the claim for this turn stands, and says whether it does. Asked once.
  using Statement = std::function<Task<absl::StatusOr<bool>>(std::int64_t turn)>;

  explicit HeldClaims(Ask ask) : ask_(std::move(ask)) {}

  /// From now on nobody but the owner of this epoch changes the shard's rows. What older owners have asked
  /// for is done by now, or never. May be said again. FAILED_PRECONDITION: a newer owner has claimed it. Else
  /// the errors of Ask: it may have been claimed.
  Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch);
  /// FAILED_PRECONDITION: the shard is not claimed by this owner, or by a newer one since; nothing was
  /// changed. ABORTED: the shard was claimed again meanwhile, and nothing was changed; it may be tried again.
  /// Else the errors of Statement and Ask. After UNAVAILABLE and DEADLINE_EXCEEDED it may have been done, or
  /// be done later, but no more once another statement of this owner has been answered with OK.
  Task<absl::Status> Execute(std::uint32_t shard, std::int64_t epoch, Statement statement);

 private:
  struct Held {
    std::int64_t epoch = -1;
    std::int64_t turn = 0;
    /// A statement of this turn, or another claim, may still be done.
    bool is_in_doubt = false;
    /// While it is claimed again.
    std::shared_ptr<runtime::Event> renewal;
  };
  Task<absl::Status> Renew(std::shared_ptr<Held> held, std::uint32_t shard, std::int64_t epoch);
  Task<absl::Status> MakeSure(std::shared_ptr<Held> held, std::uint32_t shard, std::int64_t epoch);

  const Ask ask_;
  std::map<std::uint32_t, std::shared_ptr<Held>> held_;
};

/// The statements of one table of claims, with the columns shard (integer, the key), epoch and turn (bigint).
/// Must live as long as any pool that it is used with (Pool).
class ClaimTable {
 public:
  explicit ClaimTable(std::string name);

  /// A statement for ShardClaims::Execute. `changes` are the parts of a WITH clause, with commas between
  /// them: shard, epoch and turn are $1 to $3, what is the statement's own begins with $4. Each part that
  /// changes something reads `claim`, which has one row if the claim stands and else none: `… FROM claim, …`,
  /// or `WHERE EXISTS (SELECT FROM claim)`. The claim cannot change before the statement is done, since who
  /// claims the shard waits for its lock; and one that comes while somebody claims the shard waits, looks
  /// again, and finds no claim of its own.
  std::string UnderClaim(const std::string& changes) const;
  /// The same for ShardClaims::Query. `answer` is a SELECT that may read the parts.
  std::string UnderClaim(const std::string& changes, const std::string& answer) const;

 private:
  friend class ShardClaims;
  std::string WithClaim(const std::string& changes) const;
  const std::string name_;
  const std::string claim_;
  const std::string claimed_by_;
};

/// Claims in PostgreSQL, and statements under them (HeldClaims, with the errors of Pool). I/O thread only.
class ShardClaims {
 public:
  ShardClaims(Pool& pool, const ClaimTable& table);

  /// As HeldClaims::Claim.
  Task<absl::Status> Claim(std::uint32_t shard, std::int64_t epoch);
  /// The epoch of the owner that has claimed the shard, or -1.
  Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t shard);
  /// As HeldClaims::Execute. `sql` is of ClaimTable::UnderClaim and lives forever; `params` begin with $4.
  Task<absl::Status> Execute(std::uint32_t shard, std::int64_t epoch, std::uint64_t lane, const char* sql,
                             std::vector<Param> params);
  /// As Execute, for a statement that answers. The columns of its answer begin with 1; where the answer has
  /// no rows there is one of NULLs.
  Task<ResultOr> Query(std::uint32_t shard, std::int64_t epoch, std::uint64_t lane, const char* sql,
                       std::vector<Param> params);

 private:
  Task<absl::StatusOr<std::optional<std::int64_t>>> Ask(std::uint32_t shard, std::int64_t epoch,
                                                        std::int64_t above);
  Pool& pool_;
  const ClaimTable& table_;
  HeldClaims held_;
};

}  // namespace rookery::pg
