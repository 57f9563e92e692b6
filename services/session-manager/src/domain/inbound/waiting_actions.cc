#include "domain/inbound/waiting_actions.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "domain/sessions/session_attacher.h"
#include "domain/settings.h"

namespace rookery::session_manager {

bool WaitingActions::HasRoom(const Shard& shard) const {
  return shard.waiting.size() < settings_.max_waiting_actions;
}

void WaitingActions::Add(Shard& shard, WaitingAction&& asked) {
  if (asked.action.has_attach())
    attachments_[SessionId(asked.action.session_id())] = {shard.number, clock_.Now()};
  shard.waiting.push_back(std::move(asked));
}

std::optional<std::uint32_t> WaitingActions::ShardOf(const SessionId& id) const {
  const auto found = attachments_.find(id);
  if (found == attachments_.end()) return std::nullopt;
  return found->second.shard;
}

bool WaitingActions::HasAttachments(const Shard& shard) const {
  return std::any_of(attachments_.begin(), attachments_.end(),
                     [&](const auto& entry) { return entry.second.shard == shard.number; });
}

std::deque<WaitingAction> WaitingActions::Take(Shard& shard) {
  std::deque<WaitingAction> waiting = std::exchange(shard.waiting, {});
  for (WaitingAction& asked : waiting) {
    if (!asked.action.has_attach()) continue;
    const auto found = attachments_.find(SessionId(asked.action.session_id()));
    if (found != attachments_.end())
      SessionAttacher::AddWait(clock_.Now() - found->second.since, asked.action);
  }
  ForgetAttachments(shard);
  std::deque<WaitingAction> ordered, beginnings;
  for (WaitingAction& asked : waiting) {
    const bool begins = asked.action.has_start() || asked.action.has_resume();
    (begins ? beginnings : ordered).push_back(std::move(asked));
  }
  std::move(beginnings.begin(), beginnings.end(), std::back_inserter(ordered));
  return ordered;
}

void WaitingActions::Drop(Shard& shard, const std::string& gateway) {
  std::erase_if(shard.waiting, [&](const WaitingAction& asked) {
    if (asked.gateway != gateway) return false;
    if (asked.action.has_attach()) attachments_.erase(SessionId(asked.action.session_id()));
    return true;
  });
}

void WaitingActions::Forget(Shard& shard) {
  shard.waiting.clear();
  ForgetAttachments(shard);
}

void WaitingActions::ForgetAttachments(const Shard& shard) {
  absl::erase_if(attachments_, [&](const auto& entry) { return entry.second.shard == shard.number; });
}

}  // namespace rookery::session_manager
