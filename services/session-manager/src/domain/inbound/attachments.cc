#include "domain/inbound/attachments.h"

#include "absl/cleanup/cleanup.h"
#include "domain/accounts/account_check.h"
#include "domain/inbound/turned_away.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/link_actions.h"
#include "domain/sessions/session_attacher.h"
#include "domain/sessions/session_ends.h"
#include "domain/sessions/session_resumer.h"
#include "domain/sessions/session_snapshot.h"
#include "domain/settings.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"

namespace rookery::session_manager {

using session::v1::GatewayAction;

bool Attachments::AwaitCheck(GatewayPeer& gateway, GatewayAction& action, std::uint64_t arrival) {
  if (checking_.empty()) return false;
  const auto found = checking_.find(SessionId(action.session_id()));
  if (found == checking_.end()) return false;
  Check& check = found->second;
  if (check.waiting.size() >= settings_.max_waiting_actions) {
    turned_away_.Add(gateway, action, arrival, check.shard);
  } else {
    check.waiting.push_back({gateway.instance(), std::move(action), arrival});
  }
  return true;
}

bool Attachments::HasToWait(const GatewayAction& action, const Shard& shard) const {
  return attacher_.HasToWait(action, shard);
}

void Attachments::Attach(GatewayPeer& gateway, GatewayAction& action, std::uint64_t arrival, Shard& shard,
                         bool is_checked) {
  const SessionId id(action.session_id());
  if (is_checked || !shard.has_checked_accounts || table_.Find(id))
    return attacher_.Attach(gateway, action, shard);
  session::v1::SessionManagerState state = StateOf(action.attach());
  std::string bare(xmpp::BareOf(action.attach().full_jid()));
  Check& check = checking_[id];
  check.shard = shard.number;
  check.waiting.push_back({gateway.instance(), std::move(action), arrival});
  ++checks_[{gateway.instance(), shard.number}].open;
  // What waits for it would wait for ever.
  shard.SpawnVital("session.check", AttachIfCurrent(shards_.Shared(shard.number), id, gateway.instance(),
                                                    std::move(bare), std::move(state)));
}

Task<void> Attachments::AttachIfCurrent(std::shared_ptr<Shard> shard, SessionId id, std::string by,
                                        std::string bare, session::v1::SessionManagerState state) {
  // However it ends, nothing of it is left. What a release has forgotten is of the next life by now.
  absl::Cleanup forget = [&] {
    if (shard->released()) return;
    checking_.erase(id);
    (void)Finish(by, shard->number);
  };
  const Access access = co_await account_check_.Check(shard, id, std::move(bare), std::move(state));
  if (shard->released()) co_return;
  std::deque<WaitingAction> waiting = std::move(checking_[id].waiting);
  checking_.erase(id);
  for (WaitingAction& asked : waiting) {
    // The one before may have led to its release: gateways say the rest again.
    if (shard->released()) co_return;
    GatewayPeer* const gateway = gateways_.Find(asked.gateway);
    if (gateway == nullptr) continue;
    const bool is_over = asked.action.has_attach() && access != Access::kHolds;
    if (!is_over) {
      listener_->OnChecked(*gateway, asked);
    } else if (access == Access::kOtherCredentials && shard->live()) {
      // Its contacts may see it still.
      ends_.EndForgotten(*gateway, *shard, id, asked.action.attach());
    } else {
      AddAction(*gateway, id, *shard).mutable_ended()->set_condition("reset");
    }
  }
  if (shard->released()) co_return;
  if (shard->live()) turned_away_.AskAgain(*shard);
  std::move(forget).Cancel();
  const std::optional<session::v1::AttachDone> done = Finish(by, shard->number);
  GatewayPeer* const peer = gateways_.Find(by);
  if (done && peer != nullptr) OnAttachDone(*peer, *done);
}

std::optional<session::v1::AttachDone> Attachments::Finish(const std::string& gateway, std::uint32_t shard) {
  const auto checks = checks_.find({gateway, shard});
  if (--checks->second.open > 0) return std::nullopt;
  std::optional<session::v1::AttachDone> done = std::move(checks->second.done);
  checks_.erase(checks);
  return done;
}

void Attachments::OnAttachDone(GatewayPeer& gateway, const session::v1::AttachDone& done) {
  if (turned_away_.LacksAttachments(gateway, done.shard())) return;
  const auto checks = checks_.find({gateway.instance(), done.shard()});
  if (checks != checks_.end()) {
    // Whoever waits for what the gateway brings waits for all of it.
    checks->second.done = done;
    return;
  }
  attacher_.AttachDone(gateway, done);
  Shard* const attached = shards_.Find(done.shard());
  if (attached != nullptr && attached->live()) resumer_.LookForUnknown(*attached);
}

void Attachments::Forget(const GatewayPeer& gateway) {
  for (auto& [key, checks] : checks_)
    if (key.first == gateway.instance()) checks.done.reset();
  for (auto& [id, check] : checking_)
    std::erase_if(check.waiting,
                  [&](const WaitingAction& asked) { return asked.gateway == gateway.instance(); });
}

void Attachments::Forget(const Shard& shard) {
  absl::erase_if(checking_, [&](const auto& entry) { return entry.second.shard == shard.number; });
  std::erase_if(checks_, [&](const auto& entry) { return entry.first.second == shard.number; });
}

}  // namespace rookery::session_manager
