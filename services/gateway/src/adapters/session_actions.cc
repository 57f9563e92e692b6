#include "adapters/session_actions.h"

#include <algorithm>
#include <limits>
#include <string>
#include <variant>

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

void FillRequest(const Requests::What& what, Cluster::RequestId id, session::v1::GatewayAction* action) {
  if (const auto* asked = std::get_if<LookupRequest>(&what)) {
    auto* lookup = action->mutable_credentials_lookup();
    lookup->set_request_id(id);
    lookup->set_user(asked->user);
  } else if (const auto* created = std::get_if<CreateRequest>(&what)) {
    auto* create = action->mutable_create();
    create->set_request_id(id);
    create->set_user(created->user);
    create->set_password(created->password);
  } else if (const auto* started = std::get_if<StartRequest>(&what)) {
    action->set_session_id(std::string(started->session.bytes()));
    auto* start = action->mutable_start();
    start->set_user(started->identity.user);
    start->set_credentials_version(started->identity.credentials_version);
    start->set_account_generation(started->identity.account_generation);
    start->set_resource(started->resource);
  } else {
    const auto& resumed = std::get<ResumeRequest>(what);
    action->set_session_id(std::string(resumed.session.bytes()));
    auto* resume = action->mutable_resume();
    resume->set_user(resumed.identity.user);
    resume->set_credentials_version(resumed.identity.credentials_version);
    resume->set_account_generation(resumed.identity.account_generation);
    resume->set_handled(resumed.handled);
    resume->set_attempt(id);
  }
}

ActionFailure ToActionFailure(const session::v1::Failure& failure) {
  return {failure.condition().empty() ? "internal-server-error" : failure.condition(), failure.text(),
          failure.temporary()};
}

Cluster::Resumption ToRefusal(const session::v1::SessionResumed& resumed) {
  Cluster::Resumption resumption;
  resumption.refusal = ToActionFailure(resumed.failure());
  resumption.has_ended_count = resumed.has_ended_count();
  resumption.ended_count = resumed.ended_inbound_count();
  resumption.handled_too_high = resumed.handled_too_high();
  resumption.sent_count = resumed.sent_count();
  return resumption;
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
