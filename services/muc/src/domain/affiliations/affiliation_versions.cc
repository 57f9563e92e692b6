#include "domain/affiliations/affiliation_versions.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "domain/occupants/presence.h"
#include "domain/occupants/privileges.h"
#include "domain/room/request.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/ns.h"

namespace rookery::muc {

namespace {

/// So many of those who had an affiliation once are known at most.
constexpr std::size_t kMaxFormer = 1000;

std::optional<std::uint64_t> ReadVersion(std::string_view name) {
  std::uint64_t version = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), version);
  if (name.empty() || error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return version;
}

std::string Mark(const std::string& since, const std::string& until) {
  std::string mark = "<mav xmlns=\"" + std::string(xmpp::ns::kMucAffiliations) + "\"";
  if (!since.empty()) mark += " since=\"" + since + "\"";
  return mark + " until=\"" + until + "\"/>";
}

bool IsFormer(const v1::Affiliated& entry) { return entry.version() != 0 && !IsRemembered(entry); }

struct Listed {
  std::uint64_t version;
  std::string_view jid;
  v1::Affiliation affiliation;
};

/// One message of the answer: the items from `begin` on, as many as fit. Gives the first that does not.
std::size_t SendPart(Turn& turn, std::string_view full_jid, const std::vector<Listed>& all, std::size_t begin,
                     const std::string& since) {
  const Room& room = turn.room;
  std::string items;
  std::size_t end = begin;
  for (; end < all.size() && items.size() < kMaxListBytes; ++end) {
    items.append("<item jid=\"");
    xmpp::AppendEscaped(items, all[end].jid);
    items.append("\" affiliation=\"").append(Name(all[end].affiliation)).append("\"/>");
  }
  // Later versions are in the parts that follow.
  const std::uint64_t until = end == all.size() ? room.state().affiliation_version() : all[end - 1].version;
  xmpp::Stanza message = xmpp::MakeMessage({}, room.jid(), full_jid);
  message.set_payload("<x xmlns=\"" + std::string(xmpp::ns::kMucUser) + "\">" +
                      Mark(since, std::to_string(until)) + items + "</x>");
  message.set_traits(common::v1::STANZA_TRAIT_MUC_USER);
  turn.outcome.Send(std::move(message));
  return end;
}

void RefuseChanges(Turn& turn, std::string_view full_jid) {
  xmpp::Stanza error = xmpp::MakeMessage("error", turn.room.jid(), full_jid);
  error.set_id(turn.stanza.id());
  xmpp::AddPayload(error,
                   xmpp::MakeErrorElement(xmpp::ErrorCondition::kForbidden).SetAttr("by", turn.room.jid()));
  turn.outcome.Send(std::move(error));
}

}  // namespace

void RaiseAffiliationVersion(Room& room, std::string_view jid) {
  const std::uint64_t version = room.state().affiliation_version() + 1;
  room.ChangeState().set_affiliation_version(version);
  v1::Affiliated& entry = room.ChangeAffiliated(jid);
  entry.set_version(version);
  if (entry.affiliation() >= v1::AFFILIATION_MEMBER) entry.set_listed_until(version);
}

void ForgetFormer(Room& room) {
  std::vector<std::pair<std::uint64_t, std::string>> former;
  for (const auto& [jid, entry] : room.affiliations())
    if (IsFormer(entry)) former.emplace_back(entry.version(), jid);
  if (former.size() <= kMaxFormer) return;
  // Half of them, so that it is seldom done.
  std::sort(former.begin(), former.end());
  former.resize(former.size() - kMaxFormer / 2);
  for (const auto& [version, jid] : former) room.ForgetAffiliated(jid);
  room.ChangeState().set_affiliation_horizon(former.back().first);
}

std::string MarkOfChange(const Room& room) {
  const std::uint64_t version = room.state().affiliation_version();
  return Mark(std::to_string(version - 1), std::to_string(version));
}

std::string MarkOfPresent(const Room& room) {
  return Mark({}, std::to_string(room.state().affiliation_version()));
}

void SendAffiliationChanges(Turn& turn, std::string_view full_jid, const xmpp::Element& muc) {
  const xmpp::Element* mav = muc.Find("mav", xmpp::ns::kMucAffiliations);
  if (mav == nullptr) return;
  const Room& room = turn.room;
  const std::string_view account = xmpp::BareOf(full_jid);
  const Standing reader = StandingOf(turn, account);
  // The lists that an IQ asks for.
  const auto may_read = [&](v1::Affiliation affiliation) { return MayReadList(room, reader, affiliation); };
  if (!may_read(v1::AFFILIATION_MEMBER)) return RefuseChanges(turn, full_jid);

  const std::uint64_t present = room.state().affiliation_version();
  std::optional<std::uint64_t> since = ReadVersion(mav->Attr("since"));
  // A sender with another affiliation then may not have been allowed to know what the room was like, and is
  // told what it is like now (Security Considerations).
  const v1::Affiliated* own = room.FindAffiliated(account);
  const std::uint64_t own_version = own == nullptr ? 0 : own->version();
  if (since && (*since < room.state().affiliation_horizon() || *since > present || *since < own_version))
    since.reset();
  if (since == present) return;

  std::vector<Listed> listed;
  for (const auto& [jid, entry] : room.affiliations()) {
    const bool is_shown = entry.affiliation() != v1::AFFILIATION_NONE && may_read(entry.affiliation());
    if (since ? entry.version() <= *since : !is_shown) continue;
    // Of a stranger who was banned nobody hears but those who may read that list.
    if (!is_shown && entry.listed_until() <= *since) continue;
    listed.push_back({entry.version(), jid, is_shown ? entry.affiliation() : v1::AFFILIATION_NONE});
  }
  // There are no empty differences.
  if (since && listed.empty()) return;
  std::sort(listed.begin(), listed.end(), [](const Listed& a, const Listed& b) {
    return std::pair(a.version, a.jid) < std::pair(b.version, b.jid);
  });
  std::string from = since ? std::to_string(*since) : std::string();
  std::size_t next = 0;
  do {
    next = SendPart(turn, full_jid, listed, next, from);
    if (next < listed.size()) from = std::to_string(listed[next - 1].version);
  } while (next < listed.size());
}

}  // namespace rookery::muc
