#include "rookery/testing/kafka_server.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "rookery/kafka/producer.h"

namespace rookery::testing {
namespace {

std::runtime_error Failure(const std::string& what, const std::string& log) {
  std::ifstream file(log);
  return std::runtime_error(what + "\n" + std::string{std::istreambuf_iterator<char>(file), {}});
}

}  // namespace

KafkaServer::KafkaServer() : directory_("rookery-kafka-") {
  const char* given = std::getenv("ROOKERY_KAFKA_LIBS");
  jars_ = given != nullptr ? given : ROOKERY_KAFKA_LIBS_DEFAULT;
  if (!std::filesystem::is_directory(jars_))
    throw std::runtime_error("no jars in " + jars_ + " (set ROOKERY_KAFKA_LIBS)");
  const std::string settings = directory_.path() + "/server.properties";
  const std::string controller = "127.0.0.1:" + std::to_string(FreePort());
  address_ = "127.0.0.1:" + std::to_string(FreePort());
  std::ofstream(settings) << "process.roles=broker,controller\n"
                             "node.id=1\n"
                             "controller.listener.names=CONTROLLER\n"
                             "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
                             "controller.quorum.voters=1@"
                          << controller << "\nlisteners=PLAINTEXT://" << address_ << ",CONTROLLER://"
                          << controller << "\nadvertised.listeners=PLAINTEXT://" << address_
                          << "\nlog.dirs=" << directory_.path()
                          << "/data\n"
                             "auto.create.topics.enable=false\n"
                             "offsets.topic.replication.factor=1\n"
                             "offsets.topic.num.partitions=2\n"
                             "transaction.state.log.replication.factor=1\n"
                             "transaction.state.log.min.isr=1\n"
                             "group.initial.rebalance.delay.ms=0\n"
                             "num.network.threads=2\n"
                             "num.io.threads=2\n";
  std::vector<std::string> format = Java("kafka.tools.StorageTool");
  for (const char* word : {"format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"}) format.emplace_back(word);
  format.push_back(settings);
  const std::string log = directory_.path() + "/format.log";
  if (ChildProcess(format, log).Wait() != 0) throw Failure("Kafka's storage cannot be formatted", log);
  Launch();
  AwaitReady();
}

KafkaServer& KafkaServer::Shared() {
  static KafkaServer server;
  return server;
}

void KafkaServer::Launch() {
  std::vector<std::string> serve = Java("kafka.Kafka");
  serve.push_back(directory_.path() + "/server.properties");
  process_ = std::make_unique<ChildProcess>(serve, directory_.path() + "/server.log");
}

void KafkaServer::AwaitReady() const {
  kafka::Options options;
  options.brokers = {address_};
  options.topic_prefix = "fixture.";
  // While it starts there is nobody to speak to, which is no news.
  options.properties = {"log_level=0"};
  const auto made = kafka::EnsureTopics(options, {{"ready", 1, {}}}, std::chrono::seconds(60));
  if (!made.ok()) throw Failure(made.status().ToString(), directory_.path() + "/server.log");
}

std::vector<std::string> KafkaServer::Java(const std::string& main_class) const {
  return {"java", "-Xms256m", "-Xmx384m", "-XX:MaxGCPauseMillis=20", "-cp", jars_ + "/*", main_class};
}

}  // namespace rookery::testing
