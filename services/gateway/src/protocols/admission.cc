#include "protocols/admission.h"

#include <boost/asio/post.hpp>
#include <iterator>

namespace rookery::gateway {
namespace {

constexpr std::chrono::milliseconds kMeasure{20};
// In one turn of the loop, so that the others get theirs in between.
constexpr std::size_t kAdmittedPerTurn = 16;

}  // namespace

/// The state that tickets share with the Admission.
struct Admission::Ticket::State {
  explicit State(const AdmissionControl::Options& options) : control(options) {}

  AdmissionControl control;
  /// Let in and not signed in, by network.
  absl::flat_hash_map<std::string, std::size_t> unauthenticated;
  /// Lets more in on a later turn of the loop; nullptr once the Admission is gone.
  std::function<void()> admit_later;
};

Admission::Ticket& Admission::Ticket::operator=(Ticket&& other) {
  if (this == &other) return *this;
  Release();
  state_ = std::move(other.state_);
  network_ = std::move(other.network_);
  under_way_ = std::exchange(other.under_way_, false);
  return *this;
}

void Admission::Ticket::Idle() {
  if (state_ == nullptr || !std::exchange(under_way_, false)) return;
  state_->control.Finished();
  if (state_->admit_later) state_->admit_later();
}

void Admission::Ticket::Release() {
  if (state_ == nullptr) return;
  Idle();
  const auto found = state_->unauthenticated.find(network_);
  if (found != state_->unauthenticated.end() && --found->second == 0) state_->unauthenticated.erase(found);
  state_.reset();
}

Admission::Admission(asio::io_context& io, const Options& options, telemetry::Metrics& metrics)
    : io_(io),
      options_(options),
      state_(std::make_shared<Ticket::State>(options.control)),
      timer_(io),
      admitted_(metrics.Counter("admitted_connections_total", "Connections whose sign-in has begun")),
      gone_(metrics.Counter("admission_refused_total", "Accepted connections whose sign-in never began",
                            {{"reason", "gone"}})),
      refused_(metrics.Counter("admission_refused_total", "Accepted connections whose sign-in never began",
                               {{"reason", "address-limit"}})) {
  auto& waiting =
      metrics.Gauge("connections_waiting", "Accepted connections that wait for their sign-in to begin");
  auto& under_way =
      metrics.Gauge("sign_ins_under_way", "Sign-ins that have begun and do not wait for their client");
  auto& limit = metrics.Gauge("sign_ins_limit", "So many may be under way at once for now");
  metrics.OnScrape([this, &waiting, &under_way, &limit] {
    waiting.Set(static_cast<double>(waiting_));
    under_way.Set(static_cast<double>(this->under_way()));
    limit.Set(static_cast<double>(this->limit()));
  });
  state_->admit_later = [this] {
    if (waiting_ == 0 || admit_posted_) return;
    admit_posted_ = true;
    asio::post(io_, [this, weak = std::weak_ptr<Ticket::State>(state_)] {
      const auto state = weak.lock();
      if (state == nullptr || !state->admit_later) return;
      admit_posted_ = false;
      AdmitSome();
    });
  };
}

Admission::~Admission() { state_->admit_later = nullptr; }

std::size_t Admission::under_way() const { return state_->control.under_way(); }
std::size_t Admission::limit() const { return state_->control.limit(); }

void Admission::Arrive(std::unique_ptr<net::Connection> connection, const Begin& begin) {
  if (waiting_ == 0 && state_->control.MayAdmit()) return Let(std::move(connection), begin);
  if (!Enqueue({std::move(connection), &begin})) return refused_.Increment();
  if (waiting_ >= options_.max_waiting) SetFull(true);
  Measure();
}

bool Admission::Enqueue(Waiting newcomer) {
  std::string network = newcomer.connection->peer_network();
  const auto found = by_network_.find(network);
  if (found == by_network_.end()) {
    turns_.emplace_back().network = network;
    turns_.back().waiting.push_back(std::move(newcomer));
    by_network_.emplace(std::move(network), std::prev(turns_.end()));
  } else {
    std::deque<Waiting>& queue = found->second->waiting;
    const std::size_t limit = options_.max_unauthenticated_per_address;
    if (limit != 0 && queue.size() >= limit && waiting_ >= options_.max_waiting / 2) return false;
    queue.push_back(std::move(newcomer));
  }
  ++waiting_;
  return true;
}

Admission::Waiting Admission::Dequeue() {
  Queue& queue = turns_.front();
  Waiting next = std::move(queue.waiting.front());
  queue.waiting.pop_front();
  --waiting_;
  if (queue.waiting.empty()) {
    by_network_.erase(queue.network);
    turns_.pop_front();
  } else {
    turns_.splice(turns_.end(), turns_, turns_.begin());
  }
  return next;
}

void Admission::Let(std::unique_ptr<net::Connection> connection, const Begin& begin) {
  std::string network = connection->peer_network();
  std::size_t& count = state_->unauthenticated[network];
  if (options_.max_unauthenticated_per_address != 0 && count >= options_.max_unauthenticated_per_address) {
    refused_.Increment();
    return;
  }
  ++count;
  state_->control.Admitted();
  admitted_.Increment();
  Ticket ticket;
  ticket.state_ = state_;
  ticket.network_ = std::move(network);
  ticket.under_way_ = true;
  begin(std::move(connection), std::move(ticket));
}

void Admission::AdmitSome() {
  for (std::size_t i = 0; i < kAdmittedPerTurn && waiting_ > 0 && state_->control.MayAdmit();) {
    Waiting next = Dequeue();
    // Whoever has given up would cost as much as the others, and has come again behind them.
    if (next.connection->has_peer_closed()) {
      gone_.Increment();
      continue;
    }
    Let(std::move(next.connection), *next.begin);
    ++i;
  }
  if (waiting_ <= options_.max_waiting / 2) SetFull(false);
  if (state_->control.MayAdmit()) state_->admit_later();
}

void Admission::Measure() {
  if (std::exchange(measuring_, true)) return;
  timer_.expires_after(kMeasure);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    measuring_ = false;
    state_->control.OnMeasured(runtime::TimerClock::now() - timer_.expiry(), waiting_ > 0);
    state_->admit_later();
    if (waiting_ > 0 || !state_->control.is_at_rest()) Measure();
  });
}

void Admission::SetFull(bool full) {
  if (std::exchange(full_, full) != full && tell_full_) tell_full_(full);
}

void Admission::Close() {
  by_network_.clear();
  turns_.clear();
  waiting_ = 0;
  timer_.cancel();
}

}  // namespace rookery::gateway
