#include "domain/delivery/delivery_steps.h"

#include <algorithm>
#include <cstdint>

#include "domain/delivery/delivery_states.h"
#include "domain/delivery/hand_outs.h"
#include "domain/delivery/late_sessions.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/packet_rows.h"
#include "domain/delivery/session_closer.h"
#include "domain/delivery/store_writer.h"
#include "domain/delivery/waiting_stanzas.h"
#include "domain/outbound/outbox.h"
#include "domain/state/shard.h"

namespace rookery::session_manager {

namespace {

/// Offsets that the session remembers are of a log that is gone: what comes now was given to nobody.
void ForgetOffsets(Session& session, std::int64_t before) {
  session.last_offset = std::min(session.last_offset, before);
  session.last_primary = std::min(session.last_primary, before);
  session.state.set_start_offset(std::min(session.state.start_offset(), before));
  session.state.clear_passed_over();
  session.state.clear_held_records();
  session.state.clear_passed_over_since();
  session.state.clear_late_offset();
  session.late_offset = -1;
  // Nobody says again the presence that was lost.
  if (session.available()) session.MissPresence();
}

}  // namespace

void DeliverySteps::OnReading(Shard& shard, bool was_cut) {
  if (was_cut) {
    for (const auto& [bare, user] : shard.users) {
      for (const auto& session : user->sessions) {
        ForgetOffsets(*session, shard.committed - 1);
        outbox_.Publish(*session);
      }
    }
  }
  hand_outs_.HandOutWhatIsDue(shard);
}

void DeliverySteps::GoLive(Shard& shard) {
  // The log has told of owners that the registry did not know when the sessions were brought.
  for (const auto& [bare, user] : shard.users) {
    for (const auto& session : user->sessions) {
      if (!WasMissed(*session)) continue;
      if (session->available()) session->MissPresence();
      if (session->state.directed_size() > 0) session->state.set_rooms_missed(true);
      NoteRosterMissed(*session);
      outbox_.Publish(*session);
    }
  }
  hand_outs_.GoLive(shard);
}

void DeliverySteps::OnCertain(Shard& shard) { DeliveryStates::ContinueWriting(shard); }

void DeliverySteps::OnCommitted(Shard& shard) { closer_.OnCommitted(shard); }

bool DeliverySteps::IsFull(Shard& shard) const { return states_.WriterOf(shard).is_full(); }

void DeliverySteps::StoreOldPackets(Shard& shard) { packet_rows_.StoreOld(shard); }

void DeliverySteps::Sweep(Shard& shard) {
  waiting_.StoreOverdue(shard);
  marks_.Purge(shard);
  closer_.Sweep(shard);
}

void DeliverySteps::Forget(Shard& shard) { DeliveryStates::AbandonWrites(shard); }

}  // namespace rookery::session_manager
