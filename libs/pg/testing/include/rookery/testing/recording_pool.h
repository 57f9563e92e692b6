#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "rookery/pg/pool.h"
#include "rookery/runtime/task.h"

namespace rookery::testing {

/// Notes statements, and loses some: they are answered as by a server that cannot be reached, and may be done
/// later.
class RecordingPool final : public pg::Pool {
 public:
  struct Statement {
    std::uint64_t lane = 0;
    const char* sql = nullptr;
    std::vector<pg::Param> params;
  };

  explicit RecordingPool(std::unique_ptr<pg::Pool> pool) : pool_(std::move(pool)) {}
  Task<pg::ResultOr> Execute(std::uint64_t lane, const char* sql, std::vector<pg::Param> params) override {
    statements.push_back({lane, sql, params});
    if (to_lose > 0) {
      --to_lose;
      lost.push_back(statements.back());
      co_await runtime::Yield();  // as an answer that is waited for
      co_return absl::UnavailableError("lost");
    }
    auto result = co_await pool_->Execute(lane, sql, std::move(params));
    co_return result;
  }
  bool is_connected() const override { return pool_->is_connected(); }
  Task<bool> AwaitConnected(Deadline deadline) override { return pool_->AwaitConnected(deadline); }
  Task<pg::ResultOr> Repeat(Statement statement) {
    return pool_->Execute(statement.lane, statement.sql, statement.params);
  }

  std::vector<Statement> statements;
  int to_lose = 0;
  std::vector<Statement> lost;

 private:
  std::unique_ptr<pg::Pool> pool_;
};

}  // namespace rookery::testing
