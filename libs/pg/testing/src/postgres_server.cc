#include "rookery/testing/postgres_server.h"

#include <libpq-fe.h>
#include <pwd.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace rookery::testing {
namespace {

constexpr char kUser[] = "postgres";

// Debian keeps them off the PATH.
std::string Binary(const std::string& name) {
  const std::string debian = "/usr/lib/postgresql/15/bin/" + name;
  return std::filesystem::exists(debian) ? debian : name;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

PostgresServer::PostgresServer() : directory_("rookery-pg-"), port_(FreePort()) {
  if (geteuid() == 0) {
    const passwd* account = getpwnam(kUser);
    if (account == nullptr || chown(directory_.path().c_str(), account->pw_uid, account->pw_gid) != 0) {
      throw std::runtime_error("no user postgres to run as");
    }
  }
  ChildProcess initdb({Binary("initdb"), "-D", directory_.path() + "/data", "-A", "trust", "-U", "rookery",
                       "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"},
                      directory_.path() + "/initdb.log", kUser);
  if (initdb.Wait() != 0) throw std::runtime_error(ReadFile(directory_.path() + "/initdb.log"));
  Start();
}

PostgresServer::~PostgresServer() {
  // Its shared memory goes only with an orderly end.
  if (process_ && process_->IsRunning()) {
    process_->Signal(SIGINT);
    process_->Wait();
  }
}

void PostgresServer::Start() {
  for (int attempt = 0; attempt < 20; ++attempt) {
    process_ = std::make_unique<ChildProcess>(
        std::vector<std::string>{Binary("postgres"), "-D", directory_.path() + "/data", "-k",
                                 directory_.path(), "-h", "127.0.0.1", "-p", std::to_string(port_), "-F",
                                 "-c", "max_connections=50", "-c", "shared_buffers=16MB"},
        directory_.path() + "/log", kUser);
    while (process_->IsRunning()) {
      if (PQping(connection().c_str()) == PQPING_OK) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    port_ = FreePort();
  }
  throw std::runtime_error(ReadFile(directory_.path() + "/log"));
}

std::string PostgresServer::connection() const {
  return "host=127.0.0.1 port=" + std::to_string(port_) + " user=rookery dbname=postgres";
}

std::string PostgresServer::socket_connection() const {
  return "host=" + directory_.path() + " port=" + std::to_string(port_) + " user=rookery dbname=postgres";
}

void PostgresServer::Stop() {
  process_->Signal(SIGINT);
  process_->Wait();
}

void PostgresServer::Kill() {
  process_->Signal(SIGQUIT);  // the postmaster takes its children with it at once
  process_->Wait();
}

}  // namespace rookery::testing
