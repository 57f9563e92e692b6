#include "domain/records/record_order.h"

#include <algorithm>
#include <boost/system/system_error.hpp>

#include "domain/delivery/held_records.h"
#include "domain/delivery/waiting_stanzas.h"
#include "domain/features/hooks.h"
#include "domain/state/shards.h"
#include "domain/users/users.h"
#include "rookery/base/check.h"

namespace rookery::session_manager {

RecordKey KeyOf(const events::v1::UserRecord& record, RecordClass own_request) {
  RecordKey key;
  if (record.has_outbound()) {
    const xmpp::Stanza& stanza = record.outbound().stanza();
    key.is_outbound = true;
    key.peer = xmpp::BareOf(stanza.to().empty() ? stanza.from() : stanza.to());
    const bool to_account = stanza.to().empty() || stanza.to() == xmpp::BareOf(stanza.from()) ||
                            key.peer == xmpp::DomainOf(key.peer);
    if (stanza.kind() == common::v1::STANZA_KIND_IQ && to_account) key.record_class = own_request;
    return key;
  }
  if (record.has_delivery()) {
    const xmpp::Stanza& stanza = record.delivery().stanza();
    key.peer = xmpp::BareOf(stanza.from());
    if (stanza.kind() == common::v1::STANZA_KIND_MESSAGE) {
      key.record_class = RecordClass::kMessage;
    } else if (stanza.kind() == common::v1::STANZA_KIND_IQ && xmpp::ResourceOf(stanza.to()).empty()) {
      key.record_class = RecordClass::kAccountQuery;
    }
  } else if (record.has_fanout()) {
    key.peer = xmpp::BareOf(record.fanout().stanza().from());
  } else if (record.has_sent_copy()) {
    key.peer = xmpp::BareOf(record.sent_copy().stanza().from());
  } else if (record.has_account_removed()) {
    key.peer = record.account_removed().jid();
    key.record_class = RecordClass::kRemoval;
  } else if (record.has_session_ended()) {
    key.peer = xmpp::BareOf(record.session_ended().full_jid());
    key.record_class = RecordClass::kSessionEnd;
  }
  return key;
}

bool MustWait(const RecordKey& later, const RecordKey& earlier, bool is_in_doubt) {
  if (later.record_class == RecordClass::kRemoval) return earlier.record_class != RecordClass::kSessionEnd;
  if (earlier.record_class == RecordClass::kRemoval) return false;
  if (earlier.record_class == RecordClass::kSettingsRequest && !is_in_doubt) return true;
  if (later.record_class == RecordClass::kSessionEnd && earlier.is_recovering) return true;
  if (later.is_outbound != earlier.is_outbound) return false;
  for (const RecordKey* key : {&later, &earlier})
    if (key->record_class == RecordClass::kOwnRequest || key->record_class == RecordClass::kSettingsRequest)
      return true;
  if (later.peer != earlier.peer) return false;
  return earlier.record_class != RecordClass::kAccountQuery ||
         later.record_class == RecordClass::kAccountQuery;
}

Backlog& RecordOrder::BacklogOf(User& user) {
  if (!user.backlog) user.backlog = std::make_unique<Backlog>();
  return *user.backlog;
}

bool RecordOrder::IsSending(const User& user, std::string_view address) {
  if (!user.backlog) return false;
  return !user.backlog->overflow.empty() ||
         std::any_of(user.backlog->entries.begin(), user.backlog->entries.end(),
                     [&](const Entry& entry) { return entry.key.is_outbound && entry.key.peer == address; });
}

bool RecordOrder::IsClogged(const User& user, SteadyTime now) {
  if (!user.backlog) return false;
  const auto is_outbound = [](const Entry& entry) { return entry.key.is_outbound; };
  const std::deque<Entry>& entries = user.backlog->entries;
  const auto oldest = std::find_if(entries.begin(), entries.end(), is_outbound);
  if (oldest == entries.end() || now - oldest->read_at < kSendingPatience) return false;
  return user.backlog->bytes > kMaxBytes || std::count_if(oldest, entries.end(), is_outbound) >= kMaxSending;
}

void RecordOrder::OnDoubt(Shard& shard, const std::string& bare, std::int64_t offset) {
  const User* const user = shard.FindUser(bare);
  if (user == nullptr || !user->backlog) return;
  for (Entry& entry : user->backlog->entries)
    if (entry.offset == offset && !std::exchange(entry.is_in_doubt, true)) ++user->backlog->doubts;
  Drain(shard, bare);
}

RecordKey RecordOrder::KeyFor(const PendingRecord& pending) const {
  const events::v1::UserRecord& record = pending.record;
  RecordClass own_request = RecordClass::kAccountQuery;
  if (record.has_outbound()) {
    switch (hooks_.EffectOf(record.outbound().stanza())) {
      case Hooks::Effect::kNone:
      case Hooks::Effect::kSecret:
        break;
      case Hooks::Effect::kChanges:
        own_request = RecordClass::kOwnRequest;
        break;
      case Hooks::Effect::kSettings:
        own_request = RecordClass::kSettingsRequest;
        break;
    }
  }
  RecordKey key = KeyOf(record, own_request);
  key.is_recovering = pending.recovering;
  return key;
}

bool RecordOrder::HasToWait(User& user, const RecordKey& key) const {
  if (!user_settings_.Know(user)) return true;
  if (!user.backlog) return false;
  return user.backlog->entries.size() >= kMaxEntries || !user.backlog->overflow.empty() ||
         std::any_of(user.backlog->entries.begin(), user.backlog->entries.end(),
                     [&](const Entry& entry) { return MustWait(key, entry.key, user.backlog->doubts > 0); });
}

RecordOrder::Verdict RecordOrder::Admit(User& user, const std::shared_ptr<PendingRecord>& record,
                                        bool is_refusable) {
  if (!user.backlog && user_settings_.Know(user)) return Verdict::kNow;
  RecordKey key = KeyFor(*record);
  if (!HasToWait(user, key)) {
    NotePassing(outbox_, user);
    return Verdict::kNow;
  }
  Backlog& backlog = BacklogOf(user);
  const bool is_flood = key.record_class == RecordClass::kAccountQuery &&
                        std::count_if(backlog.entries.begin(), backlog.entries.end(), [](const Entry& entry) {
                          return entry.key.record_class == RecordClass::kAccountQuery;
                        }) >= kMaxQueries;
  const bool is_full =
      record->recovering ? backlog.bytes > kMaxRecoveredBytes : is_flood || backlog.bytes > kMaxBytes;
  if (is_refusable && is_full) return Verdict::kFull;
  backlog.bytes += record->record.ByteSizeLong();
  if (backlog.entries.size() >= kMaxEntries || !backlog.overflow.empty()) {
    backlog.overflow.push_back(record);
  } else {
    backlog.entries.push_back({++backlog.last_id, std::move(key), record->offset, record->read_at, record});
  }
  return Verdict::kLater;
}

void RecordOrder::FinishLater(User& user, PendingRecord& record, const char* name,
                              std::function<Task<void>()> work) {
  Backlog& backlog = BacklogOf(user);
  std::uint64_t id = record.entry_id;
  if (id == 0) {
    // Records after it may be finished before it, and it before those that are there already.
    NotePassing(outbox_, user);
    id = ++backlog.last_id;
    backlog.entries.push_back({id, KeyFor(record), record.offset, record.read_at, nullptr, /*begun=*/true});
  } else {
    const auto entry = std::find_if(backlog.entries.begin(), backlog.entries.end(),
                                    [&](const Entry& other) { return other.id == id; });
    ROOKERY_CHECK(entry != backlog.entries.end());
    entry->begun = true;
  }
  record.is_finished_later = true;
  user.shard->window.Hold(record.offset);
  Start(user, name, id, record.offset, std::move(work));
}

void RecordOrder::Start(User& user, const char* name, std::uint64_t id, std::int64_t offset,
                        std::function<Task<void>()> work) {
  user.shard->Spawn(name, Run(shards_.Shared(user.shard->number), user.bare, id, offset, std::move(work)));
}

Task<void> RecordOrder::Run(std::shared_ptr<Shard> shard, std::string bare, std::uint64_t id,
                            std::int64_t offset, std::function<Task<void>()> work) {
  // Never within the call that begins it: its caller still uses the user.
  co_await runtime::Yield();
  try {
    co_await work();
  } catch (const boost::system::system_error&) {
    throw;  // cancelled
  } catch (const std::exception& failure) {
    applier_->OnFailed(*shard, offset, failure);
    co_return;
  }
  shard->window.Release(offset);
  Finish(*shard, bare, id);
}

void RecordOrder::Finish(Shard& shard, const std::string& bare, std::uint64_t id) {
  User* user = shard.FindUser(bare);
  if (user == nullptr || !user->backlog) return;
  auto& entries = user->backlog->entries;
  const auto entry =
      std::find_if(entries.begin(), entries.end(), [&](const Entry& other) { return other.id == id; });
  if (entry == entries.end()) return;
  if (entry->is_noted) Release(*user, entry->offset);
  if (entry->is_in_doubt) --user->backlog->doubts;
  entries.erase(entry);
  Drain(shard, bare);
}

void RecordOrder::Release(User& user, std::int64_t offset) {
  for (const auto& session : user.sessions) {
    // It was not sent yet: it keeps its name until it is.
    if (!WaitingStanzas::IsWaiting(user, *session, offset)) ReleaseRecord(*session, offset);
  }
}

void RecordOrder::Drain(Shard& shard, const std::string& bare) {
  User* user = shard.FindUser(bare);
  if (user == nullptr || !user->backlog || user->backlog->is_draining) return;
  user->backlog->is_draining = true;
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    const bool is_known = user_settings_.Know(*user);
    Backlog& backlog = *user->backlog;
    while (!backlog.overflow.empty() && backlog.entries.size() < kMaxEntries) {
      std::shared_ptr<PendingRecord> record = std::move(backlog.overflow.front());
      backlog.overflow.pop_front();
      RecordKey key = KeyFor(*record);
      const std::int64_t offset = record->offset;
      const SteadyTime read_at = record->read_at;
      backlog.entries.push_back({++backlog.last_id, std::move(key), offset, read_at, std::move(record)});
    }
    for (auto entry = backlog.entries.begin(); entry != backlog.entries.end(); ++entry) {
      if (entry->begun || !is_known) continue;
      if (std::any_of(backlog.entries.begin(), entry, [&](const Entry& earlier) {
            return MustWait(entry->key, earlier.key, backlog.doubts > 0);
          }))
        continue;
      goes_on = true;
      entry->begun = true;
      const std::uint64_t id = entry->id;
      const std::shared_ptr<PendingRecord> record = std::exchange(entry->record, nullptr);
      backlog.bytes -= std::min(backlog.bytes, record->record.ByteSizeLong());
      record->entry_id = id;
      if (entry != backlog.entries.begin()) NotePassing(outbox_, *user);
      try {
        applier_->Apply(*user, *record);
      } catch (const std::exception& failure) {
        // Nothing more of a user whose state is not known.
        return applier_->OnFailed(shard, record->offset, failure);
      }
      // Applying it may have moved the entries.
      if (!record->is_finished_later) {
        const auto done = std::find_if(backlog.entries.begin(), backlog.entries.end(),
                                       [&](const Entry& other) { return other.id == id; });
        if (done->is_noted) Release(*user, record->offset);
        backlog.entries.erase(done);
      }
      break;
    }
  }
  user->backlog->is_draining = false;
  const bool is_over = user->backlog->entries.empty();
  if (is_over) user->backlog.reset();
  applier_->OnDrained(*user);
  if (is_over) users_.MaybeForget(*user);
}

}  // namespace rookery::session_manager
