#include <algorithm>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "scenarios.h"

namespace rookery::load {
namespace {

using std::chrono::duration;

/// The two clients of a pair are neighbours in the list and thus, when there are two
/// addresses or more, on different gateways.
class Chat {
 public:
  Chat(Run& run, const ChatOptions& options) : run_(run), options_(options), filler_(options.body, 'x') {}

  bool SignIn() {
    Client::Options client_options;
    client_options.stream_management = options_.stream_management;
    if (!run_.SignIn(clients_, options_.pairs * 2, client_options)) return false;
    last_received_.assign(clients_.size(), 0);
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      clients_[i]->on_stanza = [this, i](std::string_view stanza) { OnStanza(i, stanza); };
      clients_[i]->on_end = [this](const absl::Status& status) {
        ++dropped_;
        if (first_drop_.ok()) first_drop_ = status;
      };
      clients_[i]->Send("<presence/>");
    }
    run_.For(std::chrono::seconds(1));
    return true;
  }

  void OpenLoop() {
    begin_ = Clock::now();
    measure_from_ = begin_ + std::chrono::seconds(run_.options().warm_up);
    const auto total =
        static_cast<std::uint64_t>(options_.rate * (run_.options().warm_up + run_.options().duration));
    due_.reserve(total);
    bool cpu = false;
    run_.AtRate(
        begin_, options_.rate, total, [this] { return dropped_ > 0; },
        [&](std::uint64_t k, Clock::time_point due) {
          if (!cpu && due >= measure_from_) {
            run_.BeginCpu();
            cpu_from_ = received_;
            cpu = true;
          }
          SendFrom(k % clients_.size(), due);
        });
    if (cpu) run_.EndCpu(received_ - cpu_from_, "message");
    Finish(static_cast<double>(run_.options().duration));
  }

  void ClosedLoop() {
    refill_ = true;
    begin_ = Clock::now();
    measure_from_ = begin_ + std::chrono::seconds(run_.options().warm_up);
    for (std::size_t w = 0; w < options_.window; ++w) {
      for (std::size_t i = 0; i < clients_.size(); ++i) SendFrom(i, Clock::now());
    }
    run_.For(std::chrono::seconds(run_.options().warm_up));
    measure_from_ = Clock::now();
    run_.BeginCpu();
    const std::uint64_t before = received_;
    run_.Until([this] { return dropped_ > 0; }, std::chrono::seconds(run_.options().duration));
    const double seconds = duration<double>(Clock::now() - measure_from_).count();
    const std::uint64_t messages = received_ - before;
    measured_ = static_cast<double>(messages) / seconds;
    run_.EndCpu(messages, "message");
    refill_ = false;
    Finish(seconds);
  }

  void SignOut() {
    for (const auto& client : clients_) client->on_stanza = nullptr;
    run_.SignOut(clients_);
  }

 private:
  void SendFrom(std::size_t sender, Clock::time_point due) {
    Client& to = *clients_[sender ^ 1];
    // The number tells when the message was due; a receiver sees rising numbers.
    clients_[sender]->Send(absl::StrCat("<message to='", to.jid(), "' type='chat' id='m", sent_, "'><body>",
                                        sent_, " ", filler_, "</body></message>"));
    due_.push_back(due);
    seen_.push_back(false);
    ++sent_;
  }

  void OnStanza(std::size_t receiver, std::string_view stanza) {
    if (!stanza.starts_with("<message")) return;
    if (AttributeOf(stanza, "type") == "error") {
      ++errors_;
      if (first_error_.empty()) first_error_ = std::string(stanza.substr(0, 300));
      return;
    }
    const std::string_view body = TextOf(stanza, "body");
    std::uint64_t number = 0;
    if (std::from_chars(body.data(), body.data() + body.size(), number).ec != std::errc() ||
        number >= sent_) {
      ++strange_;
      return;
    }
    if (seen_[number]) {
      ++twice_;
      return;
    }
    seen_[number] = true;
    ++received_;
    if (number + 1 < last_received_[receiver]) ++disordered_;
    last_received_[receiver] = number + 1;
    if (due_[number] >= measure_from_) latencies_.Add(Clock::now() - due_[number]);
    if (refill_) SendFrom(receiver ^ 1, Clock::now());
  }

  void Finish(double seconds) {
    run_.Until([this] { return received_ + errors_ >= sent_ || dropped_ > 0; }, std::chrono::seconds(10));
    Report& report = run_.report();
    if (options_.rate > 0) {
      report.Number("messages per second, due", options_.rate, "/s");
      report.Number("messages per second, received", static_cast<double>(latencies_.size()) / seconds, "/s");
    } else {
      report.Number("messages per second", measured_, "/s");
    }
    report.Count("pairs", options_.pairs);
    report.Count("sent", sent_);
    report.Count("received", received_);
    report.Percentiles("latency", latencies_);
    for (const auto& [what, count] : {std::pair("lost", sent_ - received_ - errors_),
                                      {"received twice", twice_},
                                      {"out of order", disordered_},
                                      {"answered with an error", errors_},
                                      {"strange messages", strange_},
                                      {"connections dropped", dropped_}}) {
      report.FaultCount(what, count);
    }
    if (!first_error_.empty()) report.Fault(first_error_);
    if (!first_drop_.ok()) report.Fault(first_drop_.ToString());
  }

  Run& run_;
  const ChatOptions options_;
  const std::string filler_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Clock::time_point> due_;
  std::vector<bool> seen_;
  std::vector<std::uint64_t> last_received_;
  Clock::time_point begin_;
  Clock::time_point measure_from_;
  Latencies latencies_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t cpu_from_ = 0;
  std::uint64_t twice_ = 0;
  std::uint64_t disordered_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t strange_ = 0;
  std::uint64_t dropped_ = 0;
  double measured_ = 0;
  std::string first_error_;
  absl::Status first_drop_;
  bool refill_ = false;
};

}  // namespace

void MeasureChat(Run& run, const ChatOptions& options) {
  if (run.accounts().size() < options.pairs * 2) {
    return run.report().Fault(
        absl::StrCat(options.pairs, " pairs need ", options.pairs * 2, " accounts: seed them"));
  }
  if (run.addresses().size() < 2) run.Say("one gateway only: the two of a pair share it");
  Chat chat(run, options);
  if (!chat.SignIn()) return;
  if (options.rate > 0) {
    chat.OpenLoop();
  } else {
    chat.ClosedLoop();
  }
  chat.SignOut();
}

}  // namespace rookery::load
