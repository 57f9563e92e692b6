// Latency and cost of a record from one producer to one consumer, through a real broker
// that the bench starts. Not a test.
//   rookery_kafka_bench [records per second] [seconds] [partitions]
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "rookery/kafka/consumer.h"
#include "rookery/kafka/producer.h"
#include "rookery/testing/kafka_server.h"

namespace rookery::kafka {
namespace {

using Clock = std::chrono::steady_clock;

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

double BrokerCpuSeconds(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string word;
  double ticks = 0;
  for (int i = 1; i <= 15 && file >> word; ++i) {
    if (i == 14 || i == 15) ticks += std::atof(word.c_str());
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::int64_t Nanos() { return Clock::now().time_since_epoch().count(); }

struct Reader final : ConsumerHandler {
  int assigned = 0;
  std::vector<double> latencies;
  void OnAssigned(std::int32_t) override { ++assigned; }
  void OnRevoking(std::int32_t) override {}
  void OnLost(std::int32_t) override {}
  void OnRecord(const Record& record) override {
    std::int64_t sent = 0;
    std::memcpy(&sent, record.value.data(), sizeof sent);
    latencies.push_back(static_cast<double>(Nanos() - sent) / 1e6);
  }
};

int Main(int argc, char** argv) {
  const double rate = argc > 1 ? std::atof(argv[1]) : 2'000;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 5;
  const int partitions = argc > 3 ? std::atoi(argv[3]) : 4;
  testing::KafkaServer& broker = testing::KafkaServer::Shared();
  Options options;
  options.brokers = {broker.address()};
  options.topic_prefix = "bench.";
  if (!EnsureTopics(options, {{"users", partitions, {}}}, std::chrono::seconds(20)).ok()) return 1;
  asio::io_context io{1};
  const auto work = asio::make_work_guard(io);
  telemetry::Metrics metrics("bench");
  Reader handler;
  auto producer = std::move(*Producer::Create(io, options, metrics));
  auto consumer = std::move(*Consumer::Create(io, options, "users", "", handler, metrics));
  while (handler.assigned < partitions) io.run_one();
  for (int i = 0; i < partitions; ++i) consumer->Seek(i, 0);

  std::string value(600, 'x');
  std::uint64_t sent = 0;
  std::uint64_t confirmed = 0;
  std::vector<double> appends;
  const auto run = [&](double time) {
    const auto begin = Clock::now();
    const std::uint64_t before = sent;
    asio::steady_timer timer(io);
    for (;;) {
      const double passed = std::chrono::duration<double>(Clock::now() - begin).count();
      if (passed >= time && confirmed == sent) return;
      while (passed < time && static_cast<double>(sent - before) < rate * passed) {
        const std::int64_t now = Nanos();
        std::memcpy(value.data(), &now, sizeof now);
        producer->Append("users",
                         static_cast<std::int32_t>(sent++ * 7919 % static_cast<std::uint64_t>(partitions)),
                         "juliet@example.org", value, [&confirmed, &appends, now](const auto&) {
                           ++confirmed;
                           appends.push_back(static_cast<double>(Nanos() - now) / 1e6);
                         });
      }
      timer.expires_after(std::chrono::microseconds(300));
      timer.async_wait([](const boost::system::error_code&) {});
      io.run_one();
      io.poll();
    }
  };
  run(3);  // the JVM warms up
  handler.latencies.clear();
  appends.clear();
  const std::uint64_t before = sent;
  const double cpu = CpuSeconds();
  const double broker_cpu = BrokerCpuSeconds(broker.pid());
  run(seconds);
  const double count = static_cast<double>(sent - before);
  const double ours = CpuSeconds() - cpu;
  const double theirs = BrokerCpuSeconds(broker.pid()) - broker_cpu;
  const auto at = [](std::vector<double>& list, double q) {
    std::sort(list.begin(), list.end());
    return list.empty() ? 0 : list[static_cast<std::size_t>(q * static_cast<double>(list.size() - 1))];
  };
  std::printf(
      "%.0f/s on %d partitions: append p50 %.2f p99 %.2f ms; to the consumer p50 %.2f p99 %.2f ms; CPU per "
      "record: "
      "ours %.0f us, broker %.0f us\n",
      count / seconds, partitions, at(appends, 0.5), at(appends, 0.99), at(handler.latencies, 0.5),
      at(handler.latencies, 0.99), ours * 1e6 / count, theirs * 1e6 / count);
  return 0;
}

}  // namespace
}  // namespace rookery::kafka

int main(int argc, char** argv) { return rookery::kafka::Main(argc, argv); }
