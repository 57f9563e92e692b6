#include "domain/presence/presence_events.h"

#include <utility>

#include "domain/outbound/consequences.h"
#include "domain/presence/presence_fields.h"
#include "domain/state/shard.h"
#include "ports/account_store.h"
#include "rookery/base/status.h"
#include "rookery/events/v1/presence_event.pb.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

void PresenceEvents::OnAvailable(const Session& session) { Publish(*session.user, session, /*offset=*/-1); }

void PresenceEvents::OnUnavailable(const User& user, const Session& session, std::string status,
                                   std::int64_t offset) {
  Publish(user, session, offset);
  if (user.HasAvailable()) return;
  tasks_.Spawn("last_activity",
               RememberLastActivity(user.bare, session.state.account_generation(), std::move(status)));
}

void PresenceEvents::Publish(const User& user, const Session& session, std::int64_t offset) {
  events::v1::PresenceEvent event;
  event.set_jid(std::string(session.jid.str()));
  event.set_available(session.available());
  if (session.available()) {
    event.set_show(ReadFields(session.state.presence()).show);
    event.set_priority(session.priority());
  }
  event.set_changed_at_ms(clock_.UnixMillisNow());
  event.set_shard(user.shard->number);
  event.set_epoch(user.shard->epoch);
  consequences_.AppendEvent(*user.shard, events::Topic::kPresence, user.bare, event, offset);
}

Task<void> PresenceEvents::RememberLastActivity(std::string bare, std::uint64_t generation,
                                                std::string status) {
  AccountStore::LastActivity last{clock_.UnixMillisNow(), std::move(status)};
  const absl::Status stored =
      co_await accounts_.SetLastActivity(std::move(bare), generation, std::move(last));
  if (!stored.ok()) telemetry::LogWarn("last_activity.store_failed", {{"error", Message(stored)}});
}

}  // namespace rookery::session_manager
