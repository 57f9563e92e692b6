#include "domain/outbound/directory_writer.h"

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <exception>
#include <iterator>
#include <new>
#include <utility>

#include "domain/addresses.h"
#include "domain/metrics.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

namespace {

/// Entries in one write, so that the store never works on one for long.
constexpr std::size_t kChunk = 500;
/// More ends than this between two writes: everything is written again instead.
constexpr std::size_t kMaxGone = 10'000;
/// So often a shard where nothing happens is looked after: the directory may have been emptied.
constexpr std::chrono::seconds kLook{2};
constexpr std::chrono::seconds kPause{1};

}  // namespace

DirectoryWriter::DirectoryWriter(const Clock& clock, SessionManagerMetrics& metrics,
                                 const Addresses& addresses, const Shards& shards, const SessionTable& table,
                                 SessionDirectory& store)
    : clock_(clock),
      metrics_(metrics),
      shards_(shards),
      table_(table),
      store_(store),
      states_(addresses.shard_count()) {}

DirectoryWriter::ShardState* DirectoryWriter::StateOf(const Shard& shard) {
  if (shard.epoch < 0 || shard.number >= states_.size()) return nullptr;
  ShardState& state = states_[shard.number];
  if (state.epoch != shard.epoch) {
    state = {};
    state.epoch = shard.epoch;
  }
  return &state;
}

void DirectoryWriter::WriteAll(ShardState& state) {
  state.all = true;
  state.changed = {};
  state.gone = {};
}

void DirectoryWriter::Changed(const Session& session) {
  ShardState* state = StateOf(*session.user->shard);
  if (state != nullptr && !state->all) state->changed.insert(session.id);
}

void DirectoryWriter::Ended(const Session& session) {
  ShardState* state = StateOf(*session.user->shard);
  if (state == nullptr) return;
  if (SessionDirectory::Entry* left = FindLeft(*state, session.id)) left->full_jid.clear();
  if (state->all) return;
  state->changed.erase(session.id);
  NoteGone(*state, std::string(session.jid.str()));
}

void DirectoryWriter::NoteGone(ShardState& state, std::string full_jid) {
  if (state.gone.size() == kMaxGone) {
    WriteAll(state);
    return;
  }
  state.gone.push_back(std::move(full_jid));
}

void DirectoryWriter::Forget(const Shard& shard, const SessionId& id, std::string_view full_jid) {
  ShardState* state = StateOf(shard);
  if (state == nullptr) return;
  if (SessionDirectory::Entry* left = FindLeft(*state, id)) left->full_jid.clear();
  if (state->all) return;
  User* user = shard.FindUser(xmpp::BareOf(full_jid));
  if (user != nullptr && user->FindResource(xmpp::ResourceOf(full_jid)) != nullptr) return;
  NoteGone(*state, std::string(full_jid));
}

std::vector<SessionDirectory::Entry> DirectoryWriter::TakeUnclaimed(const Shard& shard,
                                                                    SteadyTime::duration patience) {
  ShardState* state = StateOf(shard);
  if (state == nullptr) return {};
  if (!state->asked) state->asked = clock_.Now();
  if (clock_.Now() - *state->asked < patience) return {};
  std::vector<SessionDirectory::Entry> left = std::exchange(state->left, {});
  std::erase_if(left, [this](const SessionDirectory::Entry& entry) {
    return entry.full_jid.empty() || table_.Find(SessionId(entry.session_id)) != nullptr;
  });
  return left;
}

bool DirectoryWriter::IsLeft(const Shard& shard, const SessionId& id, std::uint64_t resumptions) {
  ShardState* state = StateOf(shard);
  if (state == nullptr) return false;
  const SessionDirectory::Entry* left = FindLeft(*state, id);
  return left != nullptr && !left->full_jid.empty() && left->resumptions <= resumptions;
}

std::uint64_t DirectoryWriter::ResumptionsOfLeft(const Shard& shard, const SessionId& id) {
  ShardState* state = StateOf(shard);
  const SessionDirectory::Entry* left = state == nullptr ? nullptr : FindLeft(*state, id);
  return left != nullptr ? left->resumptions : 0;
}

std::vector<SessionDirectory::Entry> DirectoryWriter::LeftOf(const Shard& shard, std::string_view bare) {
  std::vector<SessionDirectory::Entry> left;
  ShardState* state = StateOf(shard);
  if (state == nullptr) return left;
  std::copy_if(state->left.begin(), state->left.end(), std::back_inserter(left),
               [&](const SessionDirectory::Entry& entry) {
                 return entry.is_available && xmpp::BareOf(entry.full_jid) == bare &&
                        table_.Find(SessionId(entry.session_id)) == nullptr;
               });
  return left;
}

SessionDirectory::Entry* DirectoryWriter::FindLeft(ShardState& state, const SessionId& id) {
  const auto found = std::lower_bound(state.left.begin(), state.left.end(), id.bytes(),
                                      [](const SessionDirectory::Entry& entry, std::string_view wanted) {
                                        return entry.session_id < wanted;
                                      });
  return found != state.left.end() && found->session_id == id.bytes() ? &*found : nullptr;
}

Task<void> DirectoryWriter::LookForLeft(std::shared_ptr<Shard> shard) {
  const ShardState* state = StateOf(*shard);
  if (state != nullptr && !state->has_read) co_await ReadWhatIsLeft(shard->number);
}

void DirectoryWriter::Flush() {
  const SteadyTime now = clock_.Now();
  if (now < pause_until_) return;
  for (const std::shared_ptr<Shard>& shard : shards_.All()) {
    if (shard->suspended) continue;
    ShardState* state = StateOf(*shard);
    if (state == nullptr || state->in_flight || state->refused || now < state->not_before) continue;
    if (!state->all && state->changed.empty() && state->gone.empty() && now < state->next_look) continue;
    state->in_flight = true;
    shard->Spawn("directory.write", FlushShard(shard));
  }
}

Task<bool> DirectoryWriter::ReadWhatIsLeft(std::uint32_t shard) {
  auto read = co_await store_.Read(shard);
  ShardState& state = states_[shard];
  if (state.has_read) co_return true;
  if (!read.ok()) {
    NoteAway(read.status());
    co_return false;
  }
  std::erase_if(*read, [](const auto& entry) { return entry.session_id.empty(); });
  std::sort(read->begin(), read->end(),
            [](const auto& a, const auto& b) { return a.session_id < b.session_id; });
  state.left = *std::move(read);
  state.has_read = true;
  co_return true;
}

void DirectoryWriter::NoteAway(const absl::Status& error) {
  metrics_.directory_failures.Increment();
  telemetry::LogDebug("directory.away", {{"error", Message(error)}});
  pause_until_ = clock_.Now() + kPause;
}

Task<void> DirectoryWriter::FlushShard(std::shared_ptr<Shard> shard) {
  const std::int64_t epoch = shard->epoch;
  try {
    co_await WriteChanges(shard);
  } catch (const boost::system::system_error&) {
    throw;  // cancelled
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& failure) {
    // Nobody waits for the list: the shard need not stand still for it.
    metrics_.directory_failures.Increment();
    telemetry::LogError("directory.failed", {{"shard", shard->number}, {"error", failure.what()}});
    ShardState& failed = states_[shard->number];
    if (failed.epoch != epoch) co_return;
    WriteAll(failed);
    failed.not_before = clock_.Now() + kPause;
  }
  if (states_[shard->number].epoch == epoch) states_[shard->number].in_flight = false;
}

Task<void> DirectoryWriter::WriteChanges(std::shared_ptr<Shard> shard) {
  ShardState& state = states_[shard->number];
  if (!state.has_read) {
    const bool was_read = co_await ReadWhatIsLeft(shard->number);
    if (!was_read) co_return;
  }
  SessionDirectory::Changes changes;
  std::vector<SessionId> ids;
  // Before sessions, which take the place of what is listed under their address.
  std::vector<SessionDirectory::Entry> left;
  if (state.all) {
    metrics_.directory_rewrites.Increment();
    state.all = false;
    changes.afresh = true;
    for (const auto& [bare, user] : shard->users)
      for (const auto& session : user->sessions) ids.push_back(session->id);
    std::copy_if(state.left.begin(), state.left.end(), std::back_inserter(left),
                 [](const SessionDirectory::Entry& entry) { return !entry.full_jid.empty(); });
  } else {
    ids.assign(state.changed.begin(), state.changed.end());
    state.changed.clear();
    changes.gone = std::exchange(state.gone, {});
  }
  std::size_t next = 0;
  do {
    changes.shard = shard->number;
    changes.epoch = shard->epoch;
    while (!left.empty() && changes.here.size() < kChunk) {
      changes.here.push_back(std::move(left.back()));
      left.pop_back();
    }
    while (next < ids.size() && changes.here.size() < kChunk) {
      const std::shared_ptr<Session> session = table_.Find(ids[next++]);
      if (!session || session->user->shard != shard.get()) continue;
      const bool is_connected = session->gateway != nullptr && !session->detached();
      // Until the gateway that its client has come to has said something, who had it before is as good (SL5).
      const std::uint64_t resumptions = session->state.resumptions() - (session->is_unheard ? 1 : 0);
      changes.here.push_back({std::string(session->jid.str()),
                              is_connected ? session->gateway->instance() : std::string(),
                              session->state.started_at_ms(), session->id.str(), resumptions,
                              session->available() || session->state.unavailable_untold()});
    }
    const std::size_t count = changes.here.size();
    const auto written = co_await store_.Write(std::exchange(changes, {}));
    if (!written.ok()) {
      NoteAway(written.status());
      WriteAll(state);
      break;
    }
    metrics_.directory_entries.Increment(static_cast<double>(count));
    if (*written == SessionDirectory::Written::kRefused) {
      state.refused = true;
      WriteAll(state);
      break;
    }
    if (*written == SessionDirectory::Written::kWasEmpty) {
      WriteAll(state);
      break;
    }
  } while (!left.empty() || next < ids.size());
  state.next_look = clock_.Now() + kLook;
}

}  // namespace rookery::session_manager
