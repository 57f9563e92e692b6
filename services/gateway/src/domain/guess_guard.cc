#include "domain/guess_guard.h"

#include <utility>

namespace rookery::gateway {
namespace {

// The most names of each kind: 100 bytes each.
constexpr std::size_t kMaxNames = 100'000;

std::string PairOf(std::string_view user, std::string_view network) {
  std::string pair(user);
  pair.push_back('\0');
  pair.append(network);
  return pair;
}

}  // namespace

class GuessGuard::Place {
 public:
  /// `is_taken`: the ledger counts it.
  Place(GuessGuard& guard, Subject subject, std::string name, bool is_taken)
      : guard_(guard),
        guard_alive_(guard.lifetime_.watch()),
        subject_(subject),
        name_(std::move(name)),
        is_taken_(is_taken) {
    ++guard_.Of(subject_).under_way[name_];
  }
  ~Place() {
    // Held by what waits for the ledger, it may outlive the guard.
    if (guard_alive_.expired()) return;
    auto& under_way = guard_.Of(subject_).under_way;
    const auto found = under_way.find(name_);
    if (--found->second == 0) under_way.erase(found);
    if (is_taken_ && !has_failed_) guard_.ledger_.GiveBack(subject_, name_);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  void Failed() {
    has_failed_ = true;
    if (!is_taken_) return guard_.CountFailure(subject_, name_);
    guard_.Of(subject_).failures.Add(name_, guard_.clock_.Now());
  }

 private:
  GuessGuard& guard_;
  const std::weak_ptr<const bool> guard_alive_;
  const Subject subject_;
  const std::string name_;
  const bool is_taken_;
  bool has_failed_ = false;
};

GuessGuard::Try::Try(GuessGuard& guard, std::string user, std::uint64_t generation, std::string network,
                     Leave leave, Places places)
    : guard_(guard),
      user_(std::move(user)),
      generation_(generation),
      network_(std::move(network)),
      leave_(leave),
      places_(std::move(places)) {}

void GuessGuard::Try::Failed(const OnFailed& done) {
  for (const auto& place : places_) place->Failed();
  switch (leave_) {
    case Leave::kAsStranger:
      return done(false);
    case Leave::kWhereKnown:
      guard_.CountFailureOfStranger(user_, network_);
      return done(true);
    case Leave::kWhereRemembered:
      // What a stranger would have been told has not been asked.
      guard_.TakeStrangersPlaces(
          user_, network_, [&guard = guard_, user = user_, network = network_, done](const Places& places) {
            if (places.empty()) guard.CountFailureOfStranger(user, network);
            for (const auto& place : places) place->Failed();
            done(places.empty());
          });
  }
}

void GuessGuard::Try::Succeeded() { guard_.ledger_.Succeeded(user_, generation_, network_); }

GuessGuard::GuessGuard(const Clock& clock, GuessLimits limits, SignInLedger& ledger)
    : clock_(clock),
      limits_(limits),
      ledger_(ledger),
      counts_{Counts{limits.per_account, {limits.window, kMaxNames}, {}},
              Counts{limits.per_network, {limits.window, kMaxNames}, {}},
              Counts{limits.where_known, {limits.window, kMaxNames}, {}}} {
  static_assert(static_cast<int>(Subject::kAccount) == 0 && static_cast<int>(Subject::kNetwork) == 1 &&
                static_cast<int>(Subject::kAccountInNetwork) == 2);
}

std::uint32_t GuessGuard::Guesses(Subject subject, const std::string& name) {
  const Counts& counts = Of(subject);
  const auto under_way = counts.under_way.find(name);
  return counts.failures.Of(name, clock_.Now()) +
         (under_way == counts.under_way.end() ? 0 : under_way->second);
}

bool GuessGuard::IsFull(Subject subject, const std::string& name) {
  const std::uint32_t limit = Of(subject).limit;
  return limit != 0 && Guesses(subject, name) >= limit;
}

void GuessGuard::TakePlace(Subject subject, const std::string& name,
                           std::function<void(std::shared_ptr<Place>)> done) {
  if (IsFull(subject, name)) return done(nullptr);
  const std::uint32_t limit = Of(subject).limit;
  if (limit == 0) return done(std::make_shared<Place>(*this, subject, name, /*is_taken=*/false));
  ledger_.Take(subject, name, limits_.window,
               lifetime_.While(
                   [this, subject, name, limit, done = std::move(done)](std::optional<std::uint32_t> tries) {
                     const bool is_too_many = tries && *tries > limit;
                     if (is_too_many) ledger_.GiveBack(subject, name);
                     // Others may have come while the ledger did not answer.
                     if (is_too_many || (!tries && IsFull(subject, name))) return done(nullptr);
                     done(std::make_shared<Place>(*this, subject, name, tries.has_value()));
                   }));
}

void GuessGuard::TakeStrangersPlaces(const std::string& user, const std::string& network,
                                     const std::function<void(Places)>& done) {
  if (IsFull(Subject::kNetwork, network)) return done({});
  TakePlace(Subject::kAccount, user, [this, network, done](const std::shared_ptr<Place>& account) {
    if (account == nullptr) return done({});
    TakePlace(Subject::kNetwork, network, [done, account](std::shared_ptr<Place> place) {
      done(place == nullptr ? Places() : Places{account, std::move(place)});
    });
  });
}

void GuessGuard::Ask(std::string_view user_view, std::uint64_t generation, std::string_view network_view,
                     const Done& done) {
  const std::string user(user_view), network(network_view);
  if (auto granted = LetThroughWhereRemembered(user, generation, network)) return done(std::move(granted));
  TakeStrangersPlaces(user, network, [this, user, generation, network, done](Places places) {
    if (places.empty()) return AskWhereKnown(user, generation, network, done);
    done(std::make_unique<Try>(*this, user, generation, network, Try::Leave::kAsStranger, std::move(places)));
  });
}

std::unique_ptr<GuessGuard::Try> GuessGuard::LetThroughWhereRemembered(const std::string& user,
                                                                       std::uint64_t generation,
                                                                       const std::string& network) {
  if (ledger_.Remembered(user, network) != generation) return nullptr;
  const std::string pair = PairOf(user, network);
  // One at a time, so that many gateways let little more through than one.
  if (Of(Subject::kAccountInNetwork).limit != 0 && Guesses(Subject::kAccountInNetwork, pair) > 0)
    return nullptr;
  Places places{std::make_shared<Place>(*this, Subject::kAccountInNetwork, pair, /*is_taken=*/false)};
  return std::make_unique<Try>(*this, user, generation, network, Try::Leave::kWhereRemembered,
                               std::move(places));
}

void GuessGuard::AskWhereKnown(const std::string& user, std::uint64_t generation, const std::string& network,
                               const Done& done) {
  ledger_.Find(user, network,
               lifetime_.While([this, user, generation, network, done](std::optional<std::uint64_t> known) {
                 if (known != generation) return done(nullptr);
                 TakePlace(Subject::kAccountInNetwork, PairOf(user, network),
                           [this, user, generation, network, done](std::shared_ptr<Place> place) {
                             if (place == nullptr) return done(nullptr);
                             done(std::make_unique<Try>(*this, user, generation, network,
                                                        Try::Leave::kWhereKnown, Places{std::move(place)}));
                           });
               }));
}

void GuessGuard::CountFailure(Subject subject, const std::string& name) {
  Of(subject).failures.Add(name, clock_.Now());
  ledger_.Failed(
      subject, name, limits_.window,
      lifetime_.While([this, subject, name](std::uint32_t failures, std::chrono::milliseconds left) {
        Of(subject).failures.Learn(name, failures, left, clock_.Now());
      }));
}

void GuessGuard::CountFailureOfStranger(const std::string& user, const std::string& network) {
  CountFailure(Subject::kAccount, user);
  CountFailure(Subject::kNetwork, network);
}

}  // namespace rookery::gateway
