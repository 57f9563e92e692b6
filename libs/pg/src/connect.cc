#include "connect.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "rookery/base/deadline.h"
#include "rookery/base/status.h"
#include "rookery/runtime/event.h"

namespace rookery::pg {
namespace {

using Settings = std::map<std::string, std::string>;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

absl::StatusOr<Settings> ParseSettings(const Options& options) {
  char* error = nullptr;
  PQconninfoOption* parsed = PQconninfoParse(options.connection.c_str(), &error);
  if (parsed == nullptr) {
    absl::Status status = absl::InvalidArgumentError(OneLine(error != nullptr ? error : "no memory"));
    PQfreemem(error);
    return status;
  }
  Settings settings;
  for (const PQconninfoOption* option = parsed; option->keyword != nullptr; ++option) {
    if (option->val != nullptr) settings[option->keyword] = option->val;
  }
  PQconninfoFree(parsed);
  return settings;
}

bool IsName(const std::string& host) {
  if (host.empty() || host[0] == '/' || host[0] == '@') return false;
  boost::system::error_code error;
  asio::ip::make_address(host, error);
  return static_cast<bool>(error);
}

// Shared with the resolver's handler, which comes when getaddrinfo has returned: nothing can end that
// earlier, and it may be long after the one who asked has given up.
struct LookUp {
  explicit LookUp(asio::io_context& io) : resolver(io), done(io.get_executor()) {}
  asio::ip::tcp::resolver resolver;
  runtime::Event done;
  boost::system::error_code error;
  asio::ip::tcp::resolver::results_type found;
};

/// DEADLINE_EXCEEDED; UNAVAILABLE with the resolver's reason.
Task<absl::StatusOr<asio::ip::tcp::resolver::results_type>> AddressesOf(asio::io_context& io,
                                                                        std::string host, Deadline deadline) {
  const auto look_up = std::make_shared<LookUp>(io);
  look_up->resolver.async_resolve(
      host, "",
      [look_up](const boost::system::error_code& error, asio::ip::tcp::resolver::results_type found) {
        look_up->error = error;
        look_up->found = std::move(found);
        look_up->done.Set();
      });
  const bool is_in_time = co_await look_up->done.Wait(deadline);
  if (!is_in_time) {
    // One that has not begun need not begin any more.
    look_up->resolver.cancel();
    co_return absl::DeadlineExceededError(absl::StrCat("looking up ", host, " took too long"));
  }
  if (look_up->error) co_return absl::UnavailableError(absl::StrCat(host, ": ", look_up->error.message()));
  co_return look_up->found;
}

/// Replaces names by their addresses, in `hostaddr`; a name with several addresses
/// becomes several hosts, which libpq tries in turn.
Task<absl::Status> Resolve(asio::io_context& io, Settings& settings, Deadline deadline) {
  if (settings.contains("hostaddr") || !settings.contains("host")) co_return absl::OkStatus();
  const std::vector<std::string> hosts = absl::StrSplit(settings["host"], ',');
  const auto port_setting = settings.find("port");
  const std::vector<std::string> ports =
      absl::StrSplit(port_setting == settings.end() ? std::string() : port_setting->second, ',');
  std::string host_list, address_list, port_list;
  absl::Status failure;
  const auto add = [&](const std::string& host, const std::string& address, const std::string& port) {
    const char* separator = host_list.empty() && address_list.empty() ? "" : ",";
    absl::StrAppend(&host_list, separator, host);
    absl::StrAppend(&address_list, separator, address);
    absl::StrAppend(&port_list, separator, port);
  };
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const std::string& port = ports.size() == hosts.size() ? ports[i] : ports[0];
    if (!IsName(hosts[i])) {
      add(hosts[i], hosts[i][0] == '/' || hosts[i][0] == '@' ? "" : hosts[i], port);
      continue;
    }
    const auto found = co_await AddressesOf(io, hosts[i], deadline);
    if (absl::IsDeadlineExceeded(found.status())) co_return absl::UnavailableError(found.status().message());
    if (!found.ok()) {
      failure = found.status();
      continue;
    }
    for (const auto& entry : *found) add(hosts[i], entry.endpoint().address().to_string(), port);
  }
  if (host_list.empty()) co_return failure;
  settings["host"] = host_list;
  settings["hostaddr"] = address_list;
  if (settings.contains("port")) settings["port"] = port_list;
  co_return absl::OkStatus();
}

// Shared with the timer's handler, which may run after the coroutine is gone.
struct Attempt {
  explicit Attempt(asio::io_context& io) : socket(io), timer(io) {}
  asio::posix::stream_descriptor socket;
  asio::steady_timer timer;
  bool is_late = false;
};

struct AttemptEnd {
  std::shared_ptr<Attempt> attempt;
  ~AttemptEnd() { attempt->timer.cancel(); }
};

}  // namespace

absl::Status AssignSocket(asio::posix::stream_descriptor& descriptor, const PGconn* connection) {
  boost::system::error_code error;
  if (descriptor.is_open()) descriptor.close(error);
  const int copy = fcntl(PQsocket(connection), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return absl::UnavailableError("no socket");
  descriptor.assign(copy, error);
  if (error) {
    close(copy);
    return absl::UnavailableError(error.message());
  }
  return absl::OkStatus();
}

Task<absl::StatusOr<ConnectionPtr>> Connect(asio::io_context& io, Options options, bool limit_statements) {
  auto attempt = std::make_shared<Attempt>(io);
  const AttemptEnd end{attempt};
  attempt->timer.expires_after(options.timeout);
  attempt->timer.async_wait([attempt](const boost::system::error_code& error) {
    if (error) return;
    attempt->is_late = true;
    boost::system::error_code ignored;
    attempt->socket.cancel(ignored);
  });

  ROOKERY_CO_ASSIGN_OR_RETURN(Settings settings, ParseSettings(options));
  absl::Status resolved = co_await Resolve(io, settings, Deadline::After(options.timeout));
  if (!resolved.ok()) co_return resolved;
  if (!options.password.empty()) settings["password"] = options.password;
  settings.try_emplace("application_name", "rookery");
  // The primary of several servers; and no standby under the primary's name while a failover lasts.
  settings.try_emplace("target_session_attrs", "read-write");
  settings["client_encoding"] = "UTF8";
  // Behind those of `pg.connection`: of two that set the same, the server believes the last, and we rely on
  // ours.
  std::string& server_options = settings["options"];
  absl::StrAppend(&server_options, server_options.empty() ? "" : " ", "-c bytea_output=hex");
  if (limit_statements) absl::StrAppend(&server_options, " -c statement_timeout=", options.timeout.count());
  if (!options.session_settings.empty()) absl::StrAppend(&server_options, " ", options.session_settings);
  std::vector<const char*> keywords, values;
  for (const auto& [keyword, value] : settings) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);

  ConnectionPtr connection(PQconnectStartParams(keywords.data(), values.data(), 0));
  if (!connection) co_return absl::UnavailableError("no memory");
  if (PQstatus(connection.get()) == CONNECTION_BAD) {
    co_return absl::UnavailableError(OneLine(PQerrorMessage(connection.get())));
  }
  // Notices would go to stderr.
  PQsetNoticeReceiver(connection.get(), [](void*, const PGresult*) {}, nullptr);
  PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
  while (true) {
    // The socket may be another one at each step: libpq goes from address to address.
    if (attempt->is_late) co_return absl::UnavailableError("connecting took too long");
    ROOKERY_CO_RETURN_IF_ERROR(AssignSocket(attempt->socket, connection.get()));
    const auto direction = wanted == PGRES_POLLING_READING ? asio::posix::stream_descriptor::wait_read
                                                           : asio::posix::stream_descriptor::wait_write;
    const auto [error] = co_await attempt->socket.async_wait(direction, kAwait);
    if (attempt->is_late) co_return absl::UnavailableError("connecting took too long");
    if (error) co_return absl::UnavailableError(error.message());
    wanted = PQconnectPoll(connection.get());
    if (wanted == PGRES_POLLING_OK) break;
    if (wanted == PGRES_POLLING_FAILED) {
      co_return absl::UnavailableError(OneLine(PQerrorMessage(connection.get())));
    }
  }
  PQsetnonblocking(connection.get(), 1);
  co_return connection;
}

}  // namespace rookery::pg
