#include "domain/accounts/account_check.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "domain/accounts/known_accounts.h"
#include "domain/delivery/delivery_states.h"
#include "domain/delivery/store_writer.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/link_actions.h"
#include "domain/sessions/live_sessions.h"
#include "domain/users/users.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

constexpr std::ptrdiff_t kUsersAtOnce = 500;

void LogUnreadable(const std::string& bare, const absl::Status& status) {
  telemetry::LogError("account.not_readable",
                      {{"user", telemetry::HashedJid(bare)}, {"error", Message(status)}});
}

}  // namespace

Task<void> AccountCheck::OnShardLoad(std::shared_ptr<Shard> shard) {
  shard->has_checked_accounts = true;
  std::vector<std::string> users;
  for (const auto& [bare, user] : shard->users)
    if (!user->sessions.empty()) users.push_back(bare);
  runtime::Backoff backoff(kBackendRetries);
  std::ptrdiff_t at_once = kUsersAtOnce;
  for (auto from = users.begin(); from != users.end();) {
    const auto to = from + std::min(at_once, users.end() - from);
    std::vector<std::string> some(from, to);
    auto found = co_await accounts_.FindAll(some);
    if (!found.ok()) {
      telemetry::LogWarn("shard.accounts_not_read",
                         {{"accounts", some.size()}, {"error", Message(found.status())}});
      if (IsTemporary(found.status())) {
        co_await backoff.Wait();
      } else if (some.size() > 1) {
        // One of them cannot be read: the others have to be found.
        at_once = (to - from) / 2;
      } else if (!co_await IsStoreWell()) {
        co_await backoff.Wait();
      } else {
        LogUnreadable(some.front(), found.status());
        from = to;
      }
      continue;
    }
    backoff.Reset();
    from = to;
    at_once = std::min(at_once * 2, kUsersAtOnce);
    std::map<std::string, absl::StatusOr<Standing>> standings;
    for (const auto& [bare, account] : *found) {
      if (account.ok()) {
        standings.emplace(bare, StandingOf(*account));
      } else {
        standings.emplace(bare, account.status());
      }
    }
    for (const std::string& bare : some) {
      User* const user = shard->FindUser(bare);
      if (user == nullptr) continue;
      const auto known = standings.find(bare);
      if (known != standings.end() && !known->second.ok()) {
        LogUnreadable(bare, known->second.status());
        continue;
      }
      const Standing now = known == standings.end() ? Standing{} : *known->second;
      // Those who are dropped leave the list.
      const std::vector<std::shared_ptr<Session>> sessions = user->sessions;
      for (const auto& session : sessions) {
        switch (Judge(bare, session->id, session->state, *shard, now)) {
          case Access::kHolds:
            break;
          case Access::kOtherCredentials:
            live_.NoteOldCredentials(*session, now.version);
            break;
          case Access::kOtherAccount:
            Drop(*shard, session);
            break;
        }
      }
      users_.MaybeForget(*user);
    }
  }
}

Task<bool> AccountCheck::IsStoreWell() { co_return (co_await accounts_.FindAll({std::string()})).ok(); }

Task<Access> AccountCheck::Check(std::shared_ptr<Shard> shard, SessionId id, std::string bare,
                                 session::v1::SessionManagerState state) {
  for (runtime::Backoff backoff(kBackendRetries); !shard->released();) {
    const auto now = co_await accounts_.StandingNow(bare);
    if (now.ok()) co_return Judge(bare, id, state, *shard, *now);
    if (!IsTemporary(now.status()) && co_await IsStoreWell()) {
      LogUnreadable(bare, now.status());
      break;
    }
    co_await backoff.Wait();
  }
  co_return Access::kHolds;
}

Access AccountCheck::Judge(const std::string& bare, const SessionId& id,
                           const session::v1::SessionManagerState& state, const Shard& shard,
                           const Standing& now) const {
  Standing claim{state.account_generation(), state.credentials_version()};
  // It has changed them itself, and its gateway may not have been told.
  const EndedSessions::CredentialsChange* const change = live_.EndedOf(shard).ChangeOf(bare);
  if (change != nullptr && change->session == id) claim.version = change->version;
  return AccessOf(claim, now);
}

void AccountCheck::Drop(Shard& shard, const std::shared_ptr<Session>& session) {
  // Its contacts were told when the account was removed, and whoever has the name now is not to be heard of.
  telemetry::LogInfo("session.of_another_account", {{"user", telemetry::HashedJid(session->user->bare)}});
  if (session->gateway != nullptr) AddAction(*session).mutable_ended()->set_condition("reset");
  states_.WriterOf(shard).RemoveSession({std::string(session->jid.bare()), session->id.str()},
                                        [](const StoreWriter::Answer&) {});
  directory_.Ended(*session);
  live_.Retire(session);
}

}  // namespace rookery::session_manager
