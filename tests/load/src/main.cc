#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>

#include "scenarios.h"

namespace {

using namespace rookery::load;

/// One client is one descriptor.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"rookery-load measures an XMPP server from outside, with clients that cost little"};
  app.set_version_flag("--version", "rookery-load " ROOKERY_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  CommonOptions options;
  app.add_option("--address", options.addresses,
                 "host:port of a gateway; repeat. Default: the local cluster's")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--domain", options.domain, "the XMPP domain. Default: the local cluster's");
  app.add_option("--process", options.processes, "name=pid of a process to account for; repeat")
      ->allow_extra_args(false);
  app.add_option("--status", options.status_command,
                 "command that prints the cluster's status as JSON; 'none' for none")
      ->capture_default_str();
  app.add_option("--keys", options.keys_file, "file with the accounts' cached SCRAM keys")
      ->capture_default_str();
  app.add_flag("--tls", options.tls, "direct TLS (the xmpp-tls listeners)");
  app.add_flag("--json", options.json, "print one JSON object");
  app.add_flag("--quiet", options.quiet, "no progress on stderr");
  app.add_option("--duration", options.duration, "seconds to measure")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  app.add_option("--warm-up", options.warm_up, "seconds before that")
      ->check(CLI::Range(0, 600))
      ->capture_default_str();
  app.add_option("--timeout", options.timeout, "seconds for the whole command")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_option("--parallel", options.parallel, "log-ins in progress at a time; also entries into rooms")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();

  std::size_t accounts = 0;  // 0: all that are seeded
  std::function<void(Run&)> scenario;
  const auto limit = CLI::Range(1, 1'000'000);

  CLI::App* seed = app.add_subcommand("seed", "register accounts and derive their SCRAM keys, once");
  seed->add_option("N", accounts, "how many")->required()->check(limit);
  seed->callback([&] { scenario = [&](Run& run) { Seed(run, accounts); }; });

  CLI::App* login = app.add_subcommand("login", "log-ins per second, closed loop");
  login->callback([&] { scenario = MeasureLogins; });

  IdleOptions idle_options;
  CLI::App* idle = app.add_subcommand("idle", "process memory of an idle session");
  idle->add_option("N", idle_options.sessions, "sessions")->check(limit)->capture_default_str();
  bool no_presence = false;
  idle->add_flag("--no-presence", no_presence, "sessions stay unavailable");
  idle->callback([&] {
    idle_options.presence = !no_presence;
    scenario = [&](Run& run) { MeasureIdle(run, idle_options); };
  });

  ChatOptions chat_options;
  bool closed = false;
  CLI::App* chat = app.add_subcommand(
      "chat", "1:1 chat between gateways: latency (open loop) or throughput (closed loop)");
  CLI::Option* open_loop =
      chat->add_option("--open-loop", chat_options.rate, "messages per second")->check(CLI::PositiveNumber);
  chat->add_flag("--closed-loop", closed, "each client keeps --window messages under way")
      ->excludes(open_loop);
  chat->add_option("--window", chat_options.window, "messages under way for each client")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  chat->add_option("--pairs", chat_options.pairs, "pairs of users")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  chat->add_option("--body", chat_options.body, "bytes of text")
      ->check(CLI::Range(0, 60000))
      ->capture_default_str();
  chat->add_flag("--stream-management", chat_options.stream_management, "clients use XEP-0198");
  chat->callback([&] {
    if (closed == (chat_options.rate > 0))
      throw CLI::ValidationError("chat", "needs --open-loop RATE or --closed-loop");
    scenario = [&](Run& run) { MeasureChat(run, chat_options); };
  });

  RoomsOptions rooms_options;
  bool rooms_closed = false;
  CLI::App* rooms = app.add_subcommand(
      "rooms", "group chat: time to enter, then latency (open loop) or throughput (closed loop)");
  CLI::Option* rooms_open = rooms
                                ->add_option("--open-loop", rooms_options.rate,
                                             "messages per second that are said, in all rooms together")
                                ->check(CLI::PositiveNumber);
  rooms->add_flag("--closed-loop", rooms_closed, "each sender keeps --window messages under way")
      ->excludes(rooms_open);
  rooms
      ->add_option("--window", rooms_options.window,
                   "messages of each sender that it has not heard itself yet")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  rooms->add_option("--rooms", rooms_options.rooms, "rooms")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  rooms->add_option("--occupants", rooms_options.occupants, "of each room; each is a session of its own")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  rooms->add_option("--senders", rooms_options.senders, "of each room's occupants")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  rooms->add_option("--body", rooms_options.body, "bytes of text")
      ->check(CLI::Range(0, 60000))
      ->capture_default_str();
  rooms->add_option("--service", rooms_options.service, "address of the rooms. Default: conference.<domain>");
  rooms
      ->add_option(
          "--presence-broadcast", rooms_options.presence_broadcast,
          "whose presence each room shows others (moderator, participant, none); without it the service's "
          "default, everybody's")
      ->check(CLI::IsMember({"moderator", "participant", "none"}));
  rooms
      ->add_option("--quiet-above", rooms_options.quiet_above,
                   "occupants above which the service shows no more of them by itself; 0: never")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  rooms->add_flag("--stream-management", rooms_options.stream_management, "clients use XEP-0198");
  rooms->callback([&] {
    if (rooms_closed == (rooms_options.rate > 0))
      throw CLI::ValidationError("rooms", "needs --open-loop RATE or --closed-loop");
    if (rooms_options.senders > rooms_options.occupants)
      throw CLI::ValidationError("rooms", "more senders than occupants");
    scenario = [&](Run& run) { MeasureRooms(run, rooms_options); };
  });

  PresenceOptions presence_options;
  CLI::App* presence = app.add_subcommand("presence", "presence storm");
  presence->add_option("--users", presence_options.users)->check(limit)->capture_default_str();
  presence->add_option("--contacts", presence_options.contacts, "of each user")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  presence->add_option("--rounds", presence_options.rounds, "changes of each user")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  presence->callback([&] { scenario = [&](Run& run) { MeasurePresence(run, presence_options); }; });

  ReconnectOptions reconnect_options;
  CLI::App* reconnect =
      app.add_subcommand("reconnect", "all connections are cut, all streams resumed (XEP-0198)");
  reconnect->add_option("N", reconnect_options.sessions, "sessions")->check(limit)->capture_default_str();
  reconnect->callback([&] { scenario = [&](Run& run) { MeasureReconnect(run, reconnect_options); }; });

  TakeoverOptions takeover_options;
  CLI::App* takeover = app.add_subcommand(
      "takeover", "kills the first session-manager of the cluster under many simulated sessions");
  takeover->add_option("N", takeover_options.sessions, "sessions")->check(limit)->capture_default_str();
  takeover->add_flag("--presence", takeover_options.presence, "each sends initial presence");
  takeover->add_option("--idle", takeover_options.idle, "seconds in which nothing happens before that")
      ->check(CLI::Range(1, 600))
      ->capture_default_str();
  takeover->callback([&] { scenario = [&](Run& run) { MeasureTakeover(run, takeover_options); }; });

  CLI11_PARSE(app, argc, argv);
  RaiseDescriptorLimit();
  Run run(options);
  if (const absl::Status prepared = run.Prepare(accounts, !*takeover); !prepared.ok()) {
    std::fprintf(stderr, "rookery-load: %s\n", std::string(prepared.message()).c_str());
    return 2;
  }
  scenario(run);
  run.report().Print(options.json);
  return run.report().ok() ? 0 : 1;
}
