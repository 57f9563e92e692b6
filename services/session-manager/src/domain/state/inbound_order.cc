#include "domain/state/inbound_order.h"

#include <algorithm>

namespace rookery::session_manager {

namespace {

using Kind = Errand::Kind;

bool IsRequest(const Errand& errand) {
  return errand.kind == Kind::kQuestion || errand.kind == Kind::kChange;
}

}  // namespace

bool MustWait(const Errand& later, const Errand& earlier) {
  if (later.kind != Kind::kQuestion && earlier.kind != Kind::kQuestion) return true;
  return IsRequest(later) && IsRequest(earlier) && later.to == earlier.to;
}

bool InboundOrder::HasToWait(const Errand& errand) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& earlier) { return MustWait(errand, earlier.errand); });
}

bool InboundOrder::HasChangeTo(std::string_view address) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.errand.kind == Kind::kChange && entry.errand.to == address;
  });
}

bool InboundOrder::IsUnanswered(std::uint64_t count,
                                const std::function<bool(const xmpp::Stanza&)>& is_harmless) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.count == count && IsRequest(entry.errand) &&
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

std::optional<InboundOrder::Waiting> InboundOrder::TakeNext(
    const std::function<bool(const Errand&)>& is_ready) {
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (!entry->stanza || !is_ready(entry->errand)) continue;
    if (std::any_of(entries_.begin(), entry,
                    [&](const Entry& earlier) { return MustWait(entry->errand, earlier.errand); }))
      continue;
    Waiting next{*std::move(entry->stanza), std::move(entry->errand)};
    entries_.erase(entry);
    return next;
  }
  return std::nullopt;
}

const Errand* InboundOrder::FindWaiting(std::uint64_t count) const {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& other) { return other.count == count && other.stanza; });
  return entry == entries_.end() ? nullptr : &entry->errand;
}

std::optional<InboundOrder::Waiting> InboundOrder::Take(std::uint64_t count) {
  const auto entry = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& other) { return other.count == count && other.stanza; });
  if (entry == entries_.end()) return std::nullopt;
  Waiting taken{*std::move(entry->stanza), std::move(entry->errand)};
  entries_.erase(entry);
  return taken;
}

}  // namespace rookery::session_manager
