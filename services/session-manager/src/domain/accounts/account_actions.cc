#include "domain/accounts/account_actions.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <optional>
#include <utility>

#include "domain/accounts/known_accounts.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/settings.h"
#include "domain/state/shard.h"
#include "rookery/base/deadline.h"
#include "rookery/base/status.h"
#include "rookery/events/account_generation.h"
#include "rookery/runtime/backoff.h"
#include "rookery/runtime/event.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using session::v1::SessionManagerAction;

namespace {

/// A user whose shard moves meanwhile does not say that it is idle.
constexpr std::chrono::milliseconds kIdlePatience{500};
/// How long a registration waits for what was said to the last one of its name. With kDoubt less than what
/// gateways wait for an answer by default: else an account would be made for who was told that there is none.
constexpr std::chrono::seconds kIdleLimit{8};
/// How long the store is asked what has come of a registration whose answer was lost.
constexpr std::chrono::seconds kDoubt{5};

}  // namespace

void AccountActions::LookUpCredentials(std::string gateway, session::v1::CredentialsLookup request) {
  tasks_.Spawn("credentials.look_up", LookUpTask(std::move(gateway), std::move(request)));
}

Task<void> AccountActions::LookUpTask(std::string instance, session::v1::CredentialsLookup request) {
  auto account = co_await accounts_.Find(request.user());
  GatewayPeer* gateway = gateways_.Find(instance);
  if (gateway == nullptr) co_return;
  SessionManagerAction& action = AddUnownedAction(*gateway);
  auto& reply = *action.mutable_credentials();
  reply.set_request_id(request.request_id());
  if (!account.ok()) {
    SetFailure(*reply.mutable_failure(), account.status());
    reply.mutable_failure()->set_temporary(true);
    co_return;
  }
  const Standing standing = StandingOf(*account);
  reply.set_version(standing.version);
  reply.set_generation(standing.generation);
  for (session::v1::ScramKey& key : account->keys) *reply.add_keys() = std::move(key);
}

bool AccountActions::IsKnownCurrent(const std::string& user, const Standing& claim) {
  const std::optional<Standing> known = accounts_.KnownStanding(user);
  return known && AccessOf(claim, *known) == Access::kHolds;
}

Task<absl::Status> AccountActions::Check(std::string user, Standing claim) {
  const auto now = co_await accounts_.StandingNow(std::move(user));
  if (!now.ok()) co_return now.status();
  switch (AccessOf(claim, *now)) {
    case Access::kHolds:
      co_return absl::OkStatus();
    case Access::kOtherCredentials:
      co_return absl::PermissionDeniedError("the credentials have changed");
    case Access::kOtherAccount:
      break;
  }
  co_return absl::PermissionDeniedError("the account is gone");
}

void AccountActions::Create(std::shared_ptr<Shard> home, std::string gateway,
                            session::v1::AccountCreate request) {
  tasks_.Spawn("account.create", CreateTask(std::move(home), std::move(gateway), std::move(request)));
}

Task<absl::Status> AccountActions::AwaitIdle(std::shared_ptr<Shard> home, std::string bare) {
  const Deadline limit = Deadline::After(kIdleLimit);
  const absl::Status late =
      absl::UnavailableError("what was said to the last account of this name is under way");
  // Records that are in the log and not read yet were for the last one, too.
  for (runtime::Backoff backoff(kBackendRetries); !home->released();) {
    const absl::Status read = co_await owner_.AwaitAllRead(home, limit);
    if (read.ok()) break;
    const bool has_time = co_await backoff.Wait(limit);
    if (!has_time) co_return late;
  }
  while (!home->released()) {
    User* const user = home->FindUser(bare);
    // For a user whom nobody has, only a store that is away takes long, which the account needs as well.
    if (user == nullptr || (user->storing == 0 && !user->backlog)) break;
    if (limit.IsExpired()) co_return late;
    if (!user->idle) user->idle = std::make_shared<runtime::Event>(co_await asio::this_coro::executor);
    const std::shared_ptr<runtime::Event> idle = user->idle;
    (void)co_await idle->Wait(Deadline::After(kIdlePatience));
  }
  co_return absl::OkStatus();
}

Task<absl::Status> AccountActions::Store(std::string user, AccountStore::Account account) {
  // A store that is away is asked for nothing, and whoever registers hears so at once.
  const auto before = co_await accounts_.Find(user);
  if (!before.ok() && IsTemporary(before.status())) co_return before.status();
  const Deadline limit = Deadline::After(kDoubt);
  bool is_in_doubt = false;
  for (runtime::Backoff backoff(kBackendRetries);;) {
    absl::Status created = co_await accounts_.Create(user, account, settings_.name_reuse_after);
    if (is_in_doubt && absl::IsAlreadyExists(created)) {
      const auto now = co_await accounts_.Find(user);
      // Nobody else has made that generation: a part of it is random.
      if (now.ok()) co_return now->generation == account.generation ? absl::OkStatus() : created;
      created = now.status();
    }
    if (!IsTemporary(created)) co_return created;
    is_in_doubt = true;
    const bool has_time = co_await backoff.Wait(limit);
    if (!has_time) co_return created;
  }
}

Task<void> AccountActions::CreateTask(std::shared_ptr<Shard> home, std::string instance,
                                      session::v1::AccountCreate request) {
  absl::Status status = absl::OkStatus();
  if (home) status = co_await AwaitIdle(home, request.user());
  if (!settings_.registration) {
    status = absl::PermissionDeniedError("registration is off");
  } else if (status.ok()) {
    auto keys = co_await keys_.Derive(request.password());
    status = keys.status();
    if (keys.ok()) {
      AccountStore::Account account{*std::move(keys), events::MakeAccountGeneration(clock_.UnixMillisNow())};
      status = co_await Store(request.user(), std::move(account));
    }
  }
  GatewayPeer* gateway = gateways_.Find(instance);
  if (gateway == nullptr) co_return;
  SessionManagerAction& action = AddUnownedAction(*gateway);
  auto& reply = *action.mutable_created();
  reply.set_request_id(request.request_id());
  if (absl::IsAlreadyExists(status)) {
    SetFailure(*reply.mutable_failure(), xmpp::ErrorCondition::kConflict, "the name is taken");
  } else if (absl::IsInvalidArgument(status)) {
    SetFailure(*reply.mutable_failure(), xmpp::ErrorCondition::kNotAcceptable, Message(status));
  } else if (absl::IsPermissionDenied(status)) {
    SetFailure(*reply.mutable_failure(), xmpp::ErrorCondition::kNotAllowed, Message(status));
  } else if (!status.ok()) {
    telemetry::LogWarn("account.not_created", {{"error", status.ToString()}});
    SetFailure(*reply.mutable_failure(), status);
  }
}

}  // namespace rookery::session_manager
