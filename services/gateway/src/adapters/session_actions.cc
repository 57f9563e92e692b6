#include "adapters/session_actions.h"

#include <algorithm>
#include <limits>

namespace rookery::gateway {

void FillAttach(const ClientSession& session, SteadyTime::duration out_of_reach,
                session::v1::SessionAttach* attach) {
  const OutboundWindow& outbound = session.outbound;
  attach->set_full_jid(session.full_jid);
  attach->set_confirmed_count(session.inbound.confirmed());
  attach->set_received_count(session.inbound.received());
  attach->set_last_seq(outbound.last_seq());
  attach->set_acked_seq(outbound.acked_seq());
  attach->set_last_offset(outbound.last_offset());
  attach->set_last_primary(outbound.last_primary());
  for (std::size_t i = 0; i < outbound.unacked().size(); ++i) {
    const OutboundWindow::Entry& entry = outbound.unacked()[i];
    auto* packet = attach->add_unacked();
    packet->set_seq(outbound.acked_seq() + 1 + i);
    packet->set_offset(entry.offset);
    packet->set_stored_id(entry.stored_id);
    if (entry.stanza != nullptr) *packet->mutable_stanza() = *entry.stanza;
  }
  attach->set_stream_management(outbound.stream_management());
  attach->set_resume(outbound.resumable());
  attach->set_base_seq(outbound.base_seq());
  attach->set_detached(session.end == EndReason::kConnectionLost);
  attach->set_state(session.state);
  if (session.known_epoch >= 0) attach->set_known_epoch(session.known_epoch);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(out_of_reach).count();
  attach->set_out_of_reach_ms(
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 0, std::numeric_limits<std::uint32_t>::max())));
}

void FillEnd(const ClientSession& session, session::v1::SessionEnd* end) {
  end->set_reason(session.end == EndReason::kClosed ? session::v1::END_REASON_CLOSED
                                                    : session::v1::END_REASON_CONNECTION_LOST);
}

void FillStreamManagement(const ClientSession& session, session::v1::StreamManagementEnable* enable) {
  enable->set_base_seq(session.outbound.base_seq());
  enable->set_resume(session.outbound.resumable());
}

ActionFailure ToActionFailure(const session::v1::Failure& failure) {
  return {failure.condition().empty() ? "internal-server-error" : failure.condition(), failure.text(),
          failure.temporary()};
}

std::vector<ScramKey> ToScramKeys(const session::v1::Credentials& credentials) {
  std::vector<ScramKey> keys;
  for (const auto& key : credentials.keys()) {
    ScramHash hash;
    if (key.mechanism() == "SCRAM-SHA-1") {
      hash = ScramHash::kSha1;
    } else if (key.mechanism() == "SCRAM-SHA-256") {
      hash = ScramHash::kSha256;
    } else {
      continue;
    }
    keys.push_back({hash, key.salt(), key.iterations(), key.stored_key(), key.server_key()});
  }
  return keys;
}

}  // namespace rookery::gateway
