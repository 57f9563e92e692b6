#include "domain/delivery/offline_marks.h"

#include <algorithm>
#include <utility>

#include "domain/addresses.h"
#include "domain/delivery/delivery_states.h"
#include "domain/delivery/waiting_stanzas.h"
#include "domain/outbound/outbox.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"

namespace rookery::session_manager {

namespace {
/// Owners whose marks one statement deletes.
constexpr std::size_t kKeysAtOnce = 500;
}  // namespace

void OfflineMarks::MarkGiven(Session& session, std::vector<std::uint64_t> ids) {
  StartMarks(*session.user->shard, session.user->bare, table_.Find(session.id), std::move(ids), {});
}

void OfflineMarks::MarkEnded(const std::shared_ptr<Session>& session) {
  std::vector<std::uint64_t> ids;
  for (const auto& given : session->state.given_offline())
    if (given.seq() <= session->acked_seq) ids.push_back(given.id());
  if (ids.empty()) return;
  // Some may be marked already, or about to be: once more does no harm.
  ++session->EndWritesOf()->open;
  StartMarks(*shards_.Find(addresses_.ShardOf(session->jid.bare())), session->jid.bare(), session,
             std::move(ids), [ends = session->rare().end_writes] { ends->Finish(); });
}

void OfflineMarks::MarkRefused(Shard& shard, std::string_view bare, std::uint64_t id,
                               std::function<void()> then) {
  StartMarks(shard, bare, nullptr, {id}, std::move(then));
}

void OfflineMarks::StartMarks(Shard& shard, std::string_view bare, std::shared_ptr<Session> session,
                              std::vector<std::uint64_t> ids, std::function<void()> then) {
  User& user = shard.GetUser(bare);
  ++user.storing;
  UserDelivery& state = waiting_.Of(user);
  state.marking.insert(state.marking.end(), ids.begin(), ids.end());
  auto done = [this, &shard, name = user.bare, session = std::move(session), ids,
               then = std::move(then)](const StoreWriter::Answer& answer) {
    OnMarked(shard, name, session.get(), ids, answer.status.ok());
    if (then) then();
    waiting_.FinishUse(shard, name);
  };
  states_.WriterOf(shard).MarkGiven(user.bare, ids, std::move(done));
}

void OfflineMarks::OnMarked(Shard& shard, const std::string& bare, Session* session,
                            const std::vector<std::uint64_t>& ids, bool is_marked) {
  User* user = shard.FindUser(bare);
  if (user == nullptr || !user->delivery) return;
  UserDelivery& state = *user->delivery;
  for (const std::uint64_t id : ids) {
    const auto it = std::find(state.marking.begin(), state.marking.end(), id);
    if (it != state.marking.end()) state.marking.erase(it);
  }
  if (state.receiver) state.marked.insert(state.marked.end(), ids.begin(), ids.end());
  // The session still says that its client has them, and the next owner marks them again.
  if (!is_marked) return;
  // A record that is finished, and older than the horizon, is never applied again: then the mark has done
  // its work.
  ShardDelivery& of_shard = states_.Of(shard);
  const SteadyTime purge = clock_.Now() + settings_.duplicate_horizon * 2;
  const auto [last, is_first] = of_shard.last_marks.try_emplace(bare);
  last->second.until = purge;
  for (const std::uint64_t id : ids) last->second.newest = std::max(last->second.newest, id);
  if (is_first) of_shard.marks.emplace_back(purge, bare);
  if (session != nullptr && !session->ended()) {
    auto& given = *session->state.mutable_given_offline();
    given.erase(std::remove_if(given.begin(), given.end(),
                               [&](const session::v1::GivenOffline& entry) {
                                 return std::find(ids.begin(), ids.end(), entry.id()) != ids.end();
                               }),
                given.end());
    if (given.empty()) outbox_.Publish(*session);
  }
}

void OfflineMarks::Purge(Shard& shard) {
  if (!shard.delivery) return;
  ShardDelivery& state = *shard.delivery;
  const SteadyTime now = clock_.Now();
  // The name of a row is the offset of its record plus 1.
  const auto committed = static_cast<std::uint64_t>(std::max<std::int64_t>(shard.last_commit, 0));
  std::vector<std::string> purged;
  while (!state.marks.empty() && state.marks.front().first <= now) {
    std::string bare = std::move(state.marks.front().second);
    state.marks.pop_front();
    const auto last = state.last_marks.find(bare);
    if (last->second.until > now) {
      state.marks.emplace_back(last->second.until, bare);
    } else if (last->second.newest > committed) {
      state.marks.emplace_back(now + settings_.duplicate_horizon, bare);
    } else {
      state.last_marks.erase(last);
    }
    purged.push_back(std::move(bare));
    if (purged.size() == kKeysAtOnce) break;
  }
  if (purged.empty()) return;
  tasks_.Spawn("offline.purge", PurgeTask(std::move(purged), settings_.duplicate_horizon * 2, committed));
}

Task<void> OfflineMarks::PurgeTask(std::vector<std::string> owners, std::chrono::milliseconds age,
                                   std::uint64_t up_to) {
  // A mark that stays behind is removed with the user's next ones.
  (void)co_await store_.PurgeGiven(owners, age, up_to);
}

}  // namespace rookery::session_manager
