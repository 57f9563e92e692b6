#include "domain/accounts/account_changes.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "domain/accounts/credentials_version.h"
#include "domain/addresses.h"
#include "domain/outbound/consequences.h"
#include "domain/outbound/outbox.h"
#include "domain/presence/last_activities.h"
#include "domain/records/record_order.h"
#include "domain/roster/subscription_handler.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_ends.h"
#include "domain/state/shards.h"
#include "ports/roster.h"
#include "rookery/base/status.h"
#include "rookery/runtime/backoff.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

/// How often a change of the password is tried when another one was quicker.
constexpr int kAttempts = 3;

/// Whether the store may have done all the same what it was asked to.
bool IsInDoubt(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

// ---- decisions ------------------------------------------------------------------

Task<absl::Status> AccountChanges::Remove(std::shared_ptr<Shard> shard, std::string bare,
                                          std::uint64_t generation, Cause& cause) {
  if (generation == 0) {
    // Asked for by a session of which that is not known.
    const auto account = co_await accounts_.Find(bare);
    if (!account.ok()) co_return account.status();
    if (!account->exists()) co_return absl::OkStatus();
    generation = account->generation;
  }
  events::v1::UserRecord record;
  record.mutable_account_removed()->set_jid(bare);
  record.mutable_account_removed()->set_generation(generation);
  consequences_.AppendRecord(*shard, cause, shard->number, bare, record);
  co_return absl::OkStatus();
}

Task<absl::Status> AccountChanges::ChangePassword(std::shared_ptr<Shard> shard,
                                                  std::shared_ptr<Session> session, std::string password,
                                                  bool is_resent) {
  const std::string bare(session->jid.bare());
  const std::uint64_t generation = session->state.account_generation();
  if (!MayChangePassword(bare)) co_return absl::ResourceExhaustedError("too many passwords in a minute");
  // The next change begins when this one has been read: sessions that it lets in are newer than this record.
  const KeyedLock::Hold turn = co_await passwords_.Take(bare);
  // The record of its end may be on its way still: that of the change before this one is read.
  const auto is_out = [&] {
    return session->ended() || live_.EndedOf(*shard).HasLostCredentials(bare, session->id, session->state);
  };
  if (is_out()) co_return absl::UnavailableError("the session is over");
  absl::StatusOr<AccountStore::Keys> keys = co_await KeysOf(bare, std::move(password), is_resent);
  if (!keys.ok()) co_return keys.status();
  if (is_out()) co_return absl::UnavailableError("the session is over");
  const std::uint64_t version = VersionOf(*keys);
  const absl::Status stored = co_await StoreKeys(shard, bare, generation, *std::move(keys));
  if (!stored.ok()) co_return stored;
  // Should we die now, the next owner finds that the other sessions are of older credentials (AC5).
  if (shard->released()) co_return absl::UnavailableError("the shard has moved");
  // One that is over by now has changed it all the same.
  if (!session->ended()) {
    session->state.set_credentials_version(version);
    outbox_.Publish(*session);
  }
  events::v1::UserRecord record;
  auto& changed = *record.mutable_credentials_changed();
  changed.set_jid(bare);
  changed.set_generation(generation);
  changed.set_version(version);
  changed.set_session_id(session->id.str());
  // A decision of ours, not what follows from a stanza: asked again, the keys are others.
  Cause decision;
  const auto change = std::make_shared<Change>();
  struct Listed {
    ~Listed() {
      if (const auto it = changes.find(bare); it != changes.end() && it->second == change) changes.erase(it);
    }
    Changes& changes;
    const std::string& bare;
    const std::shared_ptr<Change>& change;
  } listed{changes_, bare, change};
  change->session = session->id;
  change->version = version;
  change->settled = std::make_shared<runtime::Event>(executor_);
  changes_[bare] = change;
  consequences_.AppendRecord(*shard, decision, shard->number, bare, record, [change](std::int64_t offset) {
    change->is_lost = offset < 0;
    if (change->is_lost) change->settled->Notify();
  });
  while (!change->is_read && !change->is_lost && !session->ended()) co_await change->settled->Wait();
  if (change->is_lost) co_return absl::UnavailableError("the log does not take the change");
  co_return absl::OkStatus();
}

bool AccountChanges::MayChangePassword(const std::string& bare) {
  const SteadyTime now = clock_.Now();
  const SteadyTime since = now - std::chrono::minutes(1);
  passwords_asked_.Expire(since);
  std::vector<SteadyTime> asked;
  if (const std::vector<SteadyTime>* const known = passwords_asked_.Find(bare)) asked = *known;
  std::erase_if(asked, [&](SteadyTime time) { return time <= since; });
  if (asked.size() >= kPasswordsPerMinute) return false;
  asked.push_back(now);
  passwords_asked_.Put(bare, std::move(asked), now);
  return true;
}

Task<absl::StatusOr<AccountStore::Keys>> AccountChanges::KeysOf(std::string bare, std::string password,
                                                                bool is_resent) {
  if (is_resent) {
    auto account = co_await accounts_.Find(bare);
    if (!account.ok()) co_return account.status();
    const auto is_stored = co_await keys_.Matches(password, account->keys);
    if (!is_stored.ok()) co_return is_stored.status();
    // With other salts it would be another version, and out would be who has come in with it meanwhile.
    if (*is_stored) co_return std::move(account->keys);
  }
  co_return co_await keys_.Derive(std::move(password));
}

Task<absl::Status> AccountChanges::StoreKeys(std::shared_ptr<Shard> shard, std::string bare,
                                             std::uint64_t generation, AccountStore::Keys keys) {
  const std::uint64_t version = VersionOf(keys);
  int attempts = kAttempts;
  bool is_in_doubt = false;
  for (runtime::Backoff backoff(kBackendRetries); !shard->released();) {
    const auto before = co_await accounts_.Find(bare);
    absl::Status stored = before.status();
    if (before.ok()) {
      // Salts are fresh each time: nobody else has set these keys.
      if (is_in_doubt && VersionOf(before->keys) == version) co_return absl::OkStatus();
      if (!before->exists() || (generation != 0 && before->generation != generation))
        co_return absl::NotFoundError("the account is gone");
      // An attempt without an answer may yet be made. Once this one has changed the keys, or has found that
      // somebody else did, it cannot.
      stored = co_await accounts_.SetKeys(bare, *before, keys);
    }
    if (stored.ok()) co_return stored;
    if (absl::IsAborted(stored)) {
      if (!is_in_doubt && --attempts == 0) co_return stored;
      continue;
    }
    if (!IsInDoubt(stored) || (!before.ok() && !is_in_doubt)) co_return stored;
    if (!std::exchange(is_in_doubt, true))
      telemetry::LogWarn("account.password_in_doubt", {{"error", Message(stored)}});
    co_await backoff.Wait();
  }
  co_return absl::UnavailableError("the shard has moved");
}

// ---- what the log says ----------------------------------------------------------

bool AccountChanges::IsAnotherThere(const User& user) const {
  const EndedSessions& ended = live_.EndedOf(*user.shard);
  return std::any_of(user.sessions.begin(), user.sessions.end(),
                     [&](const auto& session) { return !ended.HasLostAccount(user.bare, session->state); });
}

bool AccountChanges::IsGoing(const Shard& shard, std::string_view bare, std::int64_t offset) const {
  if (shard.removals.empty()) return false;
  const auto removal = shard.removals.find(bare);
  if (removal == shard.removals.end() || offset <= removal->second.record) return false;
  // An earlier owner may have removed it all, and said so to nobody.
  const User* const user = shard.FindUser(bare);
  return user == nullptr || !IsAnotherThere(*user);
}

bool AccountChanges::IsTooLate(const Shard& shard, std::string_view bare,
                               const PendingRecord& pending) const {
  if (IsGoing(shard, bare, pending.offset)) return true;
  return pending.record.has_outbound() &&
         live_.EndedOf(shard).IsBarred(bare, pending.record.outbound().account_generation());
}

void AccountChanges::OnRemovalRead(Shard& shard, const PendingRecord& pending) {
  const events::v1::AccountRemoved& removed = pending.record.account_removed();
  live_.EndedOf(shard).AddAccount(removed.jid(), pending.offset, removed.generation(), clock_.Now());
  // An owner that knew of no generations has removed all but the sessions, and the name may be another's.
  if (removed.generation() != 0)
    shard.removals[removed.jid()] = {pending.offset, removed.generation(), /*available=*/{}};
  if (User* const user = shard.FindUser(removed.jid())) ends_.OnAccountRemoved(*user, pending.offset);
}

void AccountChanges::OnFinishedRemoval(Shard& shard, const PendingRecord& pending) {
  const events::v1::AccountRemoved& removed = pending.record.account_removed();
  live_.EndedOf(shard).AddAccount(removed.jid(), pending.offset, removed.generation(), clock_.Now());
}

void AccountChanges::OnEndRead(Shard& shard, const PendingRecord& pending) {
  const events::v1::SessionEnded& ended = pending.record.session_ended();
  const std::string_view bare = xmpp::BareOf(ended.full_jid());
  if (!ended.available() || !IsGoing(shard, bare, pending.offset)) return;
  shard.removals.find(bare)->second.available.push_back(ended.full_jid());
  // Contacts are told when the roster says who they are, and not once more now.
  shard.GetUser(bare).contacts = std::make_unique<Contacts>();
}

void AccountChanges::OnRemoval(User& user, PendingRecord& pending) {
  Cause cause = CauseOf(pending);
  if (pending.record.account_removed().generation() == 0) return;
  order_.FinishLater(user, pending, "account.remove",
                     [this, shard = shards_.Shared(user.shard->number), bare = user.bare,
                      generation = pending.record.account_removed().generation(),
                      cause]() -> Task<void> { return RemoveTask(shard, bare, generation, cause); });
}

Task<void> AccountChanges::RemoveTask(std::shared_ptr<Shard> shard, std::string bare,
                                      std::uint64_t generation, Cause cause) {
  co_await AwaitIdle(shard, bare);
  co_await RemoveRoster(shard, bare, cause);
  co_await last_activities_.Forget(bare, generation);
  // The row that holds the name is the last to go: before, nobody can have the name.
  for (runtime::Backoff backoff(kBackendRetries);;) {
    const absl::Status removed = co_await accounts_.Remove(bare, generation);
    if (removed.ok()) break;
    telemetry::LogWarn("account.not_removed", {{"error", Message(removed)}});
    co_await backoff.Wait();
  }
  const auto it = shard->removals.find(bare);
  if (it != shard->removals.end() && it->second.record == cause.offset) shard->removals.erase(it);
  if (User* const user = shard->FindUser(bare)) features_.Tell(&LifeHook::OnAccountRemoved, *user);
  telemetry::LogInfo("account.removed", {{"user", telemetry::HashedJid(bare)}});
}

Task<void> AccountChanges::AwaitIdle(std::shared_ptr<Shard> shard, std::string bare) {
  while (true) {
    User* const user = shard->FindUser(bare);
    if (user == nullptr) co_return;
    const EndedSessions& ended = live_.EndedOf(*shard);
    const bool is_there = std::any_of(user->sessions.begin(), user->sessions.end(), [&](const auto& session) {
      return ended.HasLostAccount(bare, session->state);
    });
    // All that an earlier owner has put on record has been read when the shard is live.
    const bool is_read = shard->phase == Shard::Phase::kLive;
    if (is_read && !is_there && (user->storing == 0 || IsAnotherThere(*user))) co_return;
    if (!user->idle) user->idle = std::make_shared<runtime::Event>(executor_);
    const std::shared_ptr<runtime::Event> idle = user->idle;
    co_await idle->Wait();
  }
}

Task<void> AccountChanges::RemoveRoster(std::shared_ptr<Shard> shard, std::string bare, Cause cause) {
  roster::v1::DeleteUserRequest request;
  request.set_user(bare);
  request.set_request_id(RequestIdOf(*shard, cause));
  for (runtime::Backoff backoff(kBackendRetries);;) {
    {
      const KeyedLock::Hold turn = co_await rosters_.Take(bare);
      const auto contacts = co_await roster_.DeleteUser(request, cause.trace_id);
      if (contacts.ok()) {
        std::vector<std::string> available;
        if (const auto removal = shard->removals.find(bare); removal != shard->removals.end())
          available = removal->second.available;
        // Whoever does it again has read the same ends.
        std::sort(available.begin(), available.end());
        available.erase(std::unique(available.begin(), available.end()), available.end());
        TellContacts(*shard, bare, cause, available, *contacts);
        co_return;
      }
      telemetry::LogWarn("account.roster_not_removed", {{"error", Message(contacts.status())}});
    }
    co_await backoff.Wait();
  }
}

void AccountChanges::TellContacts(Shard& shard, const std::string& bare, Cause& cause,
                                  const std::vector<std::string>& available,
                                  const roster::v1::DeleteUserResponse& contacts) {
  std::vector<std::string> seeing;
  for (const auto& item : contacts.items()) {
    if (!addresses_.IsLocal(xmpp::DomainOf(item.jid()))) continue;
    const ContactState state{item.subscription()};
    if (state.to() || item.pending_out())
      consequences_.AppendDelivery(shard, cause, xmpp::MakePresence("unsubscribe", bare, item.jid()));
    if (!state.from()) continue;
    consequences_.AppendDelivery(shard, cause, xmpp::MakePresence("unsubscribed", bare, item.jid()));
    seeing.push_back(item.jid());
  }
  for (const std::string& asking : contacts.asking()) {
    if (addresses_.IsLocal(xmpp::DomainOf(asking)))
      consequences_.AppendDelivery(shard, cause, xmpp::MakePresence("unsubscribed", bare, asking));
  }
  if (seeing.empty()) return;
  for (const std::string& full_jid : available)
    consequences_.AppendFanout(shard, cause, xmpp::MakePresence("unavailable", full_jid, {}), seeing);
}

void AccountChanges::OnCredentialsRecord(Shard& shard, const PendingRecord& pending) {
  const events::v1::CredentialsChanged& changed = pending.record.credentials_changed();
  const SessionId by(changed.session_id());
  live_.EndedOf(shard).AddChange(changed.jid(), {pending.offset, changed.version(), by}, clock_.Now());
  if (User* const user = shard.FindUser(changed.jid())) {
    for (const auto& session : user->sessions) {
      if (session->id != by || session->state.start_offset() >= pending.offset) continue;
      session->state.set_credentials_version(changed.version());
      outbox_.Publish(*session);
    }
    ends_.OnCredentialsChanged(*user, pending.offset);
  }
  const auto waiting = changes_.find(changed.jid());
  if (waiting == changes_.end() || waiting->second->version != changed.version()) return;
  waiting->second->is_read = true;
  waiting->second->settled->Notify();
}

void AccountChanges::OnShardLive(Shard& shard) {
  for (const auto& [bare, removal] : shard.removals)
    if (const User* const user = shard.FindUser(bare); user != nullptr && user->idle) user->idle->Notify();
}

void AccountChanges::OnSessionEnded(Session& session) {
  const auto waiting = changes_.find(session.jid.bare());
  if (waiting != changes_.end() && waiting->second->session == session.id) waiting->second->settled->Notify();
}

}  // namespace rookery::session_manager
