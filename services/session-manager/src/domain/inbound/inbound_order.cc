#include "domain/inbound/inbound_order.h"

#include <algorithm>

namespace rookery::session_manager {

bool MustWait(const Errand& later, const Errand& earlier) {
  using Kind = Errand::Kind;
  if (later.kind == Kind::kQuestion || earlier.kind == Kind::kQuestion)
    return later.kind == earlier.kind && later.to == earlier.to;
  return later.kind == Kind::kToMany || earlier.kind == Kind::kToMany || later.to == earlier.to;
}

bool InboundOrder::HasToWait(const Errand& errand) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& earlier) { return MustWait(errand, earlier.errand); });
}

bool InboundOrder::IsUnanswered(std::uint64_t count,
                                const std::function<bool(const xmpp::Stanza&)>& is_harmless) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.count == count && entry.errand.kind == Errand::Kind::kQuestion &&
           (!entry.stanza || is_harmless(entry.stanza->stanza()));
  });
}

void InboundOrder::Begin(std::uint64_t count, Errand errand) {
  const auto place =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.count > count; });
  entries_.insert(place, {count, std::move(errand), std::nullopt});
}

void InboundOrder::Wait(session::v1::ClientStanza stanza, Errand errand) {
  const std::uint64_t count = stanza.count();
  entries_.push_back({count, std::move(errand), std::move(stanza)});
}

void InboundOrder::End(std::uint64_t count) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.count == count; });
}

std::optional<session::v1::ClientStanza> InboundOrder::TakeNext(
    const std::function<bool(const Errand&)>& is_ready) {
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (!entry->stanza || !is_ready(entry->errand)) continue;
    if (std::any_of(entries_.begin(), entry,
                    [&](const Entry& earlier) { return MustWait(entry->errand, earlier.errand); }))
      continue;
    std::optional<session::v1::ClientStanza> next = std::move(entry->stanza);
    entries_.erase(entry);
    return next;
  }
  return std::nullopt;
}

}  // namespace rookery::session_manager
