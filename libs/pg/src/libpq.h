#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "rookery/pg/pool.h"

namespace rookery::pg {

struct ConnectionDeleter {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using ConnectionPtr = std::unique_ptr<PGconn, ConnectionDeleter>;

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ResultDeleter>;

/// Wraps what a statement gave.
std::unique_ptr<Result> MakeResult(ResultPtr result);

/// The status of a failed statement, by its SQLSTATE.
absl::Status StatusOfError(const PGresult* result);

/// libpq's message as one line.
std::string OneLine(std::string_view message);

/// A fatal error's SQLSTATE; empty without one.
std::string_view SqlState(const PGresult* result);

}  // namespace rookery::pg
