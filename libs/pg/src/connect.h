#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>

#include "absl/status/statusor.h"
#include "libpq.h"
#include "rookery/pg/pool.h"
#include "rookery/runtime/task.h"

namespace rookery::pg {

/// Connects without blocking (names are resolved by Asio first, since libpq would block on them) in at most
/// options.timeout, the look-up included, to a server that takes changes, unless options.connection wants
/// another. `limit_statements`: the server ends a statement at options.timeout, so that what we have given up
/// does not run on. UNAVAILABLE.
Task<absl::StatusOr<ConnectionPtr>> Connect(asio::io_context& io, Options options, bool limit_statements);

/// A descriptor of our own for the connection's socket: libpq closes its own.
absl::Status AssignSocket(asio::posix::stream_descriptor& descriptor, const PGconn* connection);

}  // namespace rookery::pg
