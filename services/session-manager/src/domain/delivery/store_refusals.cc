#include "domain/delivery/store_refusals.h"

#include "domain/delivery/offline_marks.h"
#include "domain/delivery/waiting_rules.h"
#include "domain/delivery/waiting_stanzas.h"
#include "domain/metrics.h"
#include "domain/outbound/consequences.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

void StoreRefusals::OnRead(Shard& shard, const PendingRecord& pending) {
  const events::v1::MessageRefused& refused = pending.record.message_refused();
  if (pending.recovering) {
    const std::string_view bare = xmpp::BareOf(refused.error().from());
    waiting_.Refuse(shard, bare, refused.offset());
    // An owner that has died since may have stored it, before it came to this record.
    shard.window.Hold(pending.offset);
    marks_.MarkRefused(shard, bare, RowIdOf(refused.offset()),
                       [&shard, offset = pending.offset] { shard.window.Release(offset); });
  }
  metrics_.bounced.Increment();
  Cause cause = CauseOf(pending);
  consequences_.AppendDelivery(shard, cause, refused.error());
}

}  // namespace rookery::session_manager
