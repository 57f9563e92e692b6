#include "rookery/sharding/failed_steps.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace rookery::sharding {

namespace {

constexpr std::chrono::minutes kForgiven{10};

}  // namespace

int FailedSteps::Note(std::string_view step, SteadyTime now, int most) {
  auto it = failures_.find(step);
  if (it == failures_.end()) it = failures_.emplace(step, Failure{.at = now}).first;
  Failure& failure = it->second;
  if (now - failure.at > kForgiven) failure = Failure();
  failure.at = now;
  if (!std::exchange(failure.is_of_this_life, true)) failure.lives = std::min(failure.lives + 1, most);
  return failure.lives;
}

void FailedSteps::BeginLife(SteadyTime now) {
  std::erase_if(failures_, [&](const auto& failure) { return now - failure.second.at > kForgiven; });
  for (auto& [step, failure] : failures_) failure.is_of_this_life = false;
}

int FailedSteps::most_lives() const {
  int most = 0;
  for (const auto& [step, failure] : failures_) most = std::max(most, failure.lives);
  return most;
}

}  // namespace rookery::sharding
