#include "domain/presence/presence_events.h"

#include <utility>

#include "domain/outbound/consequences.h"
#include "domain/presence/last_activities.h"
#include "domain/presence/presence_fields.h"
#include "domain/state/shard.h"
#include "rookery/events/v1/presence_event.pb.h"

namespace rookery::session_manager {

void PresenceEvents::OnAvailable(const Session& session) { Publish(*session.user, session, /*offset=*/-1); }

void PresenceEvents::OnUnavailable(const User& user, const Session& session, std::string status,
                                   std::int64_t offset) {
  Publish(user, session, offset);
  if (user.HasAvailable()) return;
  last_activities_.Set(user.bare, session.state.account_generation(),
                       {clock_.UnixMillisNow(), std::move(status)});
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

}  // namespace rookery::session_manager
