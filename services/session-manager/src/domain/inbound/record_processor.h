#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "domain/records/record_order.h"
#include "domain/state/delivery.h"
#include "domain/state/shard.h"
#include "rookery/base/clock.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

class AccountChanges;
class Addresses;
class AppliedEnds;
class ClientStanzaProcessor;
class Deliverer;
class SessionEnds;
class SessionParker;
class StanzaApplier;
class StoreRefusals;
class Users;
struct SessionManagerMetrics;

/// Applies the records of our shards, each once, in their order for each user.
class RecordProcessor final : public RecordOrder::Applier {
 public:
  RecordProcessor(const Clock& clock, SessionManagerMetrics& metrics, const Addresses& addresses,
                  sharding::ShardOwner& owner, Users& users, Deliverer& deliverer, StoreRefusals& refusals,
                  RecordOrder& order, ClientStanzaProcessor& client_stanzas, SessionParker& parker,
                  SessionEnds& ends, AppliedEnds& applied_ends, AccountChanges& account_changes,
                  StanzaApplier& stanzas)
      : clock_(clock),
        metrics_(metrics),
        addresses_(addresses),
        owner_(owner),
        users_(users),
        deliverer_(deliverer),
        refusals_(refusals),
        order_(order),
        client_stanzas_(client_stanzas),
        parker_(parker),
        ends_(ends),
        applied_ends_(applied_ends),
        account_changes_(account_changes),
        stanzas_(stanzas) {}

  /// A record of the topic `users` that has not been applied yet.
  void OnRecord(Shard& shard, std::shared_ptr<PendingRecord> record);
  /// One that is not applied: it was before, or nobody is to hear of it. Clients' stanzas may wait for it.
  void OnNotApplied(Shard& shard, const PendingRecord& pending);
  /// One that this server fails to apply: who has sent a message or request in it is told so.
  void OnGivenUp(Shard& shard, PendingRecord& pending);
  /// One that an earlier owner has finished.
  void OnFinishedRecord(Shard& shard, const PendingRecord& pending);
  /// When nothing that it must wait for is unfinished (RecordOrder).
  void Apply(User& user, PendingRecord& pending) override;
  void OnFailed(Shard& shard, std::int64_t offset, const std::exception& failure) override {
    owner_.NoteFailed(shard, offset, failure);
  }
  /// Resends to sessions that waited for these records, and ends those of which a packet is lost. Stanzas of
  /// the user's clients that waited go on, too.
  void OnDrained(User& user) override;

 private:
  /// A record that has been read, of an account of the shard.
  void OnRecordOf(Shard& shard, std::string_view bare, const std::shared_ptr<PendingRecord>& pending);
  /// In its turn; its sender has it back when the account is gone.
  void ApplyUnlessTooLate(Shard& shard, std::string_view bare, const std::shared_ptr<PendingRecord>& pending);
  /// Now, or when its turn comes.
  void ApplyInTurn(User& user, const std::shared_ptr<PendingRecord>& pending);
  void ApplyDelivery(User& user, PendingRecord& pending);
  void ApplyFanout(Shard& shard, PendingRecord& pending);

  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const Addresses& addresses_;
  sharding::ShardOwner& owner_;
  Users& users_;
  Deliverer& deliverer_;
  StoreRefusals& refusals_;
  RecordOrder& order_;
  ClientStanzaProcessor& client_stanzas_;
  SessionParker& parker_;
  SessionEnds& ends_;
  AppliedEnds& applied_ends_;
  AccountChanges& account_changes_;
  StanzaApplier& stanzas_;
};

}  // namespace rookery::session_manager
