#include "pg_archive_fixture.h"

namespace rookery::search {

testing::PostgresServer& ArchiveServer() {
  static testing::PostgresServer server;
  return server;
}

namespace {

/// Ends the server after the last test.
class StopServer : public ::testing::Environment {
 public:
  void TearDown() override { ArchiveServer().Kill(); }
};
const auto* const stop_server = ::testing::AddGlobalTestEnvironment(new StopServer);

}  // namespace
}  // namespace rookery::search
