#include "domain/inbound/record_processor.h"

#include <utility>

#include "domain/accounts/account_changes.h"
#include "domain/addresses.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/store_refusals.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/inbound/stanza_applier.h"
#include "domain/metrics.h"
#include "domain/sessions/applied_ends.h"
#include "domain/sessions/session_ends.h"
#include "domain/sessions/session_parker.h"
#include "domain/users/users.h"
#include "rookery/telemetry/log.h"

namespace rookery::session_manager {

using events::v1::UserRecord;

namespace {

/// The bare JID of the account that the record is for, which must be of the shard. Empty: not of one alone.
std::string_view AccountOf(const UserRecord& record) {
  switch (record.body_case()) {
    case UserRecord::kDelivery:
      return xmpp::BareOf(record.delivery().stanza().to());
    case UserRecord::kSentCopy:
      return xmpp::BareOf(record.sent_copy().stanza().from());
    case UserRecord::kAccountRemoved:
      return xmpp::BareOf(record.account_removed().jid());
    case UserRecord::kSessionEnded:
      return xmpp::BareOf(record.session_ended().full_jid());
    case UserRecord::kSessionBack:
      return xmpp::BareOf(record.session_back().full_jid());
    case UserRecord::kCredentialsChanged:
      return xmpp::BareOf(record.credentials_changed().jid());
    case UserRecord::kMessageRefused:
      return xmpp::BareOf(record.message_refused().error().from());
    case UserRecord::kOutbound:
      return xmpp::BareOf(record.outbound().stanza().from());
    default:
      return {};
  }
}

}  // namespace

void RecordProcessor::OnRecord(Shard& shard, std::shared_ptr<PendingRecord> pending) {
  const std::int64_t offset = pending->offset;
  const UserRecord& record = pending->record;
  pending->read_at = clock_.Now();
  if (telemetry::IsLogged(telemetry::Level::kDebug))
    telemetry::LogDebug("record.applied", {{"trace_id", telemetry::TraceId(record.trace_id())},
                                           {"shard", shard.number},
                                           {"offset", offset},
                                           {"recovering", pending->recovering}});
  switch (record.body_case()) {
    case UserRecord::kFanout:
      ApplyFanout(shard, *pending);
      break;
    case UserRecord::BODY_NOT_SET:
      metrics_.records_unknown.Increment();
      telemetry::LogError("record.unknown", {{"shard", shard.number}, {"offset", offset}});
      break;
    default: {
      const std::string_view bare = AccountOf(record);
      if (!bare.empty() && addresses_.ShardOf(bare) == shard.number) return OnRecordOf(shard, bare, pending);
      owner_.NoteMisplaced(shard, offset);
      // It is read nowhere else: its client need not wait for that.
      if (record.has_outbound()) (void)client_stanzas_.OnOutboundRead(shard, *pending);
      break;
    }
  }
  shard.window.Release(offset);
}

void RecordProcessor::OnRecordOf(Shard& shard, std::string_view bare,
                                 const std::shared_ptr<PendingRecord>& pending) {
  switch (pending->record.body_case()) {
    case UserRecord::kSessionEnded: {
      account_changes_.OnEndRead(shard, *pending);
      User* const user = shard.FindUser(bare);
      if (user != nullptr && user->backlog) return ApplyInTurn(*user, pending);
      applied_ends_.OnEndRecord(shard, *pending);
      break;
    }
    case UserRecord::kSessionBack:
      parker_.OnBackRecord(shard, *pending);
      break;
    case UserRecord::kMessageRefused:
      refusals_.OnRead(shard, *pending);
      break;
    case UserRecord::kCredentialsChanged:
      account_changes_.OnCredentialsRecord(shard, *pending);
      break;
    case UserRecord::kAccountRemoved:
      account_changes_.OnRemovalRead(shard, *pending);
      return ApplyUnlessTooLate(shard, bare, pending);
    case UserRecord::kOutbound:
      if (client_stanzas_.OnOutboundRead(shard, *pending)) return ApplyUnlessTooLate(shard, bare, pending);
      OnNotApplied(shard, *pending);
      break;
    default:
      return ApplyUnlessTooLate(shard, bare, pending);
  }
  shard.window.Release(pending->offset);
}

void RecordProcessor::ApplyUnlessTooLate(Shard& shard, std::string_view bare,
                                         const std::shared_ptr<PendingRecord>& pending) {
  if (!account_changes_.IsTooLate(shard, bare, *pending)) return ApplyInTurn(shard.GetUser(bare), pending);
  OnNotApplied(shard, *pending);
  if (pending->record.has_delivery()) stanzas_.Return(shard, *pending);
  shard.window.Release(pending->offset);
}

void RecordProcessor::ApplyFanout(Shard& shard, PendingRecord& pending) {
  for (const std::shared_ptr<PendingRecord>& part : stanzas_.ApplyFanout(shard, pending))
    ApplyInTurn(shard.GetUser(xmpp::BareOf(part->record.fanout().recipients(0))), part);
}

void RecordProcessor::OnNotApplied(Shard& shard, const PendingRecord& pending) {
  if (!pending.record.has_outbound()) return;
  // A stanza that was sent again waits until it is read.
  if (const User* user = shard.FindUser(xmpp::BareOf(pending.record.outbound().stanza().from())))
    client_stanzas_.DrainSoon(*user);
}

void RecordProcessor::OnGivenUp(Shard& shard, PendingRecord& pending) {
  OnNotApplied(shard, pending);
  const std::string_view bare = AccountOf(pending.record);
  const bool is_of_shard = !bare.empty() && addresses_.ShardOf(bare) == shard.number;
  if (pending.record.has_outbound()) {
    if (client_stanzas_.OnOutboundRead(shard, pending) && is_of_shard) client_stanzas_.GiveUp(shard, pending);
  } else if (pending.record.has_delivery() && is_of_shard) {
    stanzas_.GiveUp(shard, pending);
  }
}

void RecordProcessor::OnFinishedRecord(Shard& shard, const PendingRecord& pending) {
  switch (pending.record.body_case()) {
    case UserRecord::kOutbound:
      (void)client_stanzas_.OnOutboundRead(shard, pending);
      break;
    case UserRecord::kCredentialsChanged:
      // A gateway may have brought what the earlier owner did not know.
      account_changes_.OnCredentialsRecord(shard, pending);
      break;
    case UserRecord::kAccountRemoved:
      account_changes_.OnFinishedRemoval(shard, pending);
      break;
    case UserRecord::kSessionBack:
      parker_.OnFinishedBackRecord(shard, pending);
      break;
    case UserRecord::kSessionEnded:
      applied_ends_.OnFinishedRecord(shard, pending);
      break;
    default:
      break;
  }
}

void RecordProcessor::ApplyInTurn(User& user, const std::shared_ptr<PendingRecord>& pending) {
  switch (order_.Admit(user, pending, StanzaApplier::IsRefusable(pending->record))) {
    case RecordOrder::Verdict::kNow:
      return Apply(user, *pending);
    case RecordOrder::Verdict::kLater:
      return;
    case RecordOrder::Verdict::kFull:
      break;
  }
  stanzas_.RefuseToWait(user, *pending);
  user.shard->window.Release(pending->offset);
}

void RecordProcessor::Apply(User& user, PendingRecord& pending) {
  Shard& shard = *user.shard;
  const std::int64_t offset = pending.offset;
  switch (pending.record.body_case()) {
    case UserRecord::kDelivery:
      if (stanzas_.Admit(user, pending)) ApplyDelivery(user, pending);
      break;
    case UserRecord::kFanout:
      ApplyFanout(shard, pending);
      break;
    case UserRecord::kSentCopy:
      stanzas_.ApplySentCopy(user, pending);
      break;
    case UserRecord::kOutbound:
      client_stanzas_.Apply(user, pending);
      break;
    case UserRecord::kSessionEnded:
      applied_ends_.OnEndRecord(shard, pending);
      break;
    case UserRecord::kAccountRemoved:
      account_changes_.OnRemoval(user, pending);
      break;
    default:
      break;
  }
  shard.window.Release(offset);
  users_.MaybeForget(user);
}

void RecordProcessor::ApplyDelivery(User& user, PendingRecord& pending) {
  switch (pending.record.delivery().stanza().kind()) {
    case common::v1::STANZA_KIND_MESSAGE:
      return stanzas_.ApplyMessage(user, pending);
    case common::v1::STANZA_KIND_PRESENCE:
      return stanzas_.ApplyPresence(user, pending);
    case common::v1::STANZA_KIND_IQ:
      return stanzas_.ApplyIq(user, pending);
    default:
      owner_.NoteMisplaced(*user.shard, pending.offset);
      break;
  }
}

void RecordProcessor::OnDrained(User& user) {
  client_stanzas_.DrainSoon(user);
  for (const auto& session : deliverer_.ResendDue(user)) ends_.End(session, "internal-server-error");
}

}  // namespace rookery::session_manager
