#include "domain/room/room.h"

#include <algorithm>
#include <utility>

#include "rookery/xmpp/confusables.h"
#include "rookery/xmpp/jid.h"

namespace rookery::muc {

namespace {

/// With what the indexes have of them.
std::size_t BytesOf(const v1::Occupant& occupant) {
  std::size_t bytes = 1024 + occupant.ByteSizeLong() + 4 * occupant.nick().size();
  for (const v1::OccupantSession& session : occupant.sessions()) bytes += 512 + 4 * session.jid().size();
  return bytes;
}

std::size_t BytesOf(const v1::Affiliated& entry) {
  return 384 + entry.ByteSizeLong() + 2 * entry.jid().size() + 4 * entry.nick().size();
}

/// Those of the keys that are there; then they are measured.
template <typename Map>
void Measure(const Map& map, absl::btree_set<std::string, std::less<>>& unmeasured, std::size_t& bytes) {
  for (const std::string& key : unmeasured)
    if (const auto it = map.find(key); it != map.end()) bytes += BytesOf(it->second);
  unmeasured.clear();
}

std::size_t BytesOf(const v1::PastMessage& message) {
  return message.stanza().payload().size() + message.stanza().from().size() + message.sender().size() + 128;
}

}  // namespace

Room::Room(StoredRoom stored)
    : jid_(std::move(stored.room)), exists_(!stored.is_destroyed), state_(std::move(stored.state)) {
  for (v1::Occupant& occupant : stored.occupants) {
    for (const v1::OccupantSession& session : occupant.sessions())
      nick_by_session_.emplace(session.jid(), occupant.nick());
    std::string nick = occupant.nick();
    nicks_by_account_[AccountOf(occupant)].insert(nick);
    NoteNick(nick);
    occupant_bytes_ += BytesOf(occupant);
    occupants_.emplace(std::move(nick), std::move(occupant));
  }
  for (v1::Affiliated& affiliated : stored.affiliations) {
    if (!affiliated.nick().empty()) {
      jid_by_reserved_nick_.emplace(affiliated.nick(), affiliated.jid());
      NoteNick(affiliated.nick());
    }
    affiliation_bytes_ += BytesOf(affiliated);
    std::string jid = affiliated.jid();
    affiliations_.emplace(std::move(jid), std::move(affiliated));
  }
  for (v1::PastMessage& message : stored.history) {
    history_bytes_ += BytesOf(message);
    history_.push_back(std::move(message));
  }
}

std::string_view Room::service() const { return xmpp::DomainOf(jid_); }

std::string Room::AddressOf(std::string_view nick) const {
  std::string address;
  address.reserve(jid_.size() + 1 + nick.size());
  return address.append(jid_).append("/").append(nick);
}

void Room::Create() {
  exists_ = true;
  is_new_ = true;
  was_destroyed_ = false;
  has_changed_ = true;
}

void Room::Destroy() {
  const std::uint64_t last_archive_id = state_.last_archive_id();
  exists_ = false;
  is_new_ = false;
  was_destroyed_ = true;
  has_changed_ = true;
  state_.Clear();
  // A room of the same name has an archive of its own, whose ids go on.
  state_.set_last_archive_id(last_archive_id);
  occupants_.clear();
  nick_by_session_.clear();
  nicks_by_account_.clear();
  nicks_by_look_.clear();
  affiliations_.clear();
  jid_by_reserved_nick_.clear();
  history_.clear();
  history_bytes_ = 0;
  occupant_bytes_ = 0;
  affiliation_bytes_ = 0;
  unmeasured_nicks_.clear();
  unmeasured_jids_.clear();
  NoteOccupants();
  changed_nicks_.clear();
  changed_affiliations_.clear();
  changed_messages_.clear();
}

v1::RoomState& Room::ChangeState() {
  has_changed_ = true;
  return state_;
}

// ---- occupants ------------------------------------------------------------------

const v1::Occupant* Room::FindNick(std::string_view nick) const {
  const auto it = occupants_.find(nick);
  return it == occupants_.end() ? nullptr : &it->second;
}

const v1::Occupant* Room::FindSession(std::string_view full_jid) const {
  const auto it = nick_by_session_.find(full_jid);
  return it == nick_by_session_.end() ? nullptr : FindNick(it->second);
}

const v1::OccupantSession* Room::SessionOf(const v1::Occupant& occupant, std::string_view full_jid) {
  const auto& sessions = occupant.sessions();
  const auto it = std::find_if(sessions.begin(), sessions.end(),
                               [&](const auto& session) { return session.jid() == full_jid; });
  return it == sessions.end() ? nullptr : &*it;
}

std::vector<const v1::Occupant*> Room::FindAccount(std::string_view bare) const {
  std::vector<const v1::Occupant*> found;
  const auto it = nicks_by_account_.find(bare);
  if (it == nicks_by_account_.end()) return found;
  for (const std::string& nick : it->second) found.push_back(FindNick(nick));
  return found;
}

std::string_view Room::AccountOf(const v1::Occupant& occupant) {
  return occupant.sessions().empty() ? std::string_view() : xmpp::BareOf(occupant.sessions(0).jid());
}

v1::Occupant& Room::AddOccupant(std::string_view nick) {
  Unmeasure(nick);
  v1::Occupant& occupant = occupants_[std::string(nick)];
  occupant.set_nick(std::string(nick));
  NoteNick(nick);
  changed_nicks_.emplace(nick);
  has_changed_ = true;
  return occupant;
}

v1::Occupant* Room::ChangeOccupant(std::string_view nick) {
  by_role_ = {};
  return ChangeKnown(nick);
}

v1::Occupant* Room::ChangeKnown(std::string_view nick) {
  const auto it = occupants_.find(nick);
  if (it == occupants_.end()) return nullptr;
  Unmeasure(nick);
  changed_nicks_.emplace(nick);
  has_changed_ = true;
  return &it->second;
}

v1::OccupantSession& Room::AddSession(std::string_view nick, std::string_view full_jid) {
  if (v1::OccupantSession* known = ChangeSession(full_jid)) return *known;
  v1::OccupantSession& session = *ChangeOccupant(nick)->add_sessions();
  session.set_jid(std::string(full_jid));
  nick_by_session_.emplace(std::string(full_jid), std::string(nick));
  nicks_by_account_[xmpp::BareOf(full_jid)].emplace(nick);
  NoteOccupants();
  return session;
}

v1::OccupantSession* Room::ChangeSession(std::string_view full_jid) {
  const auto it = nick_by_session_.find(full_jid);
  if (it == nick_by_session_.end()) return nullptr;
  v1::Occupant& occupant = *ChangeOccupant(it->second);
  return const_cast<v1::OccupantSession*>(SessionOf(occupant, full_jid));
}

bool Room::RemoveSession(std::string_view full_jid) {
  const auto it = nick_by_session_.find(full_jid);
  if (it == nick_by_session_.end()) return false;
  const std::string nick = it->second;
  v1::Occupant& occupant = *ChangeOccupant(nick);
  auto& sessions = *occupant.mutable_sessions();
  if (sessions.size() == 1) {
    RemoveOccupant(nick);
    return true;
  }
  nick_by_session_.erase(it);
  sessions.erase(std::find_if(sessions.begin(), sessions.end(),
                              [&](const auto& session) { return session.jid() == full_jid; }));
  NoteOccupants();
  return false;
}

v1::Occupant Room::RemoveOccupant(std::string_view nick) {
  const auto it = occupants_.find(nick);
  if (it == occupants_.end()) return {};
  Unmeasure(it->first);
  auto node = occupants_.extract(it);
  const std::string& gone = node.key();
  for (const v1::OccupantSession& session : node.mapped().sessions()) nick_by_session_.erase(session.jid());
  Erase(nicks_by_account_, AccountOf(node.mapped()), gone);
  ForgetNick(gone);
  changed_nicks_.insert(gone);
  has_changed_ = true;
  NoteOccupants();
  return std::move(node.mapped());
}

void Room::Rename(std::string_view from, std::string_view to) {
  Unmeasure(from);
  Unmeasure(to);
  auto node = occupants_.extract(occupants_.find(from));
  const std::string old = std::move(node.key());
  changed_nicks_.insert(old);
  changed_nicks_.emplace(to);
  has_changed_ = true;
  node.key() = std::string(to);
  node.mapped().set_nick(std::string(to));
  for (const v1::OccupantSession& session : node.mapped().sessions())
    nick_by_session_[session.jid()] = std::string(to);
  const std::string_view account = AccountOf(node.mapped());
  Erase(nicks_by_account_, account, old);
  nicks_by_account_[account].emplace(to);
  ForgetNick(old);
  NoteNick(to);
  occupants_.insert(std::move(node));
  NoteOccupants();
}

void Room::Erase(NickSets& sets, std::string_view key, std::string_view nick) {
  const auto it = sets.find(key);
  if (it == sets.end()) return;
  if (const auto at = it->second.find(nick); at != it->second.end()) it->second.erase(at);
  if (it->second.empty()) sets.erase(it);
}

void Room::NoteNick(std::string_view nick) { nicks_by_look_[LookOf(nick)].emplace(nick); }

void Room::ForgetNick(std::string_view nick) {
  if (!occupants_.contains(nick) && !jid_by_reserved_nick_.contains(nick))
    Erase(nicks_by_look_, LookOf(nick), nick);
}

void Room::NoteOccupants() {
  everyone_.reset();
  by_role_ = {};
}

std::shared_ptr<const Recipients> Room::everyone() const {
  if (everyone_) return everyone_;
  auto everyone = std::make_shared<Recipients>();
  everyone->reserve(nick_by_session_.size());
  for (const auto& [nick, occupant] : occupants_)
    for (const v1::OccupantSession& session : occupant.sessions()) everyone->push_back(session.jid());
  everyone_ = std::move(everyone);
  return everyone_;
}

const Room::ByRole& Room::by_role() const {
  if (by_role_.moderators) return by_role_;
  by_role_ = {std::make_shared<Recipients>(), std::make_shared<Recipients>()};
  for (const auto& [nick, occupant] : occupants_) {
    Recipients& recipients = occupant.role() == v1::ROLE_MODERATOR ? *by_role_.moderators : *by_role_.others;
    for (const v1::OccupantSession& session : occupant.sessions()) recipients.push_back(session.jid());
  }
  return by_role_;
}

// ---- affiliations ---------------------------------------------------------------

const v1::Affiliated* Room::FindAffiliated(std::string_view jid) const {
  const auto it = affiliations_.find(jid);
  return it == affiliations_.end() ? nullptr : &it->second;
}

v1::Affiliation Room::AffiliationOf(std::string_view bare) const {
  const v1::Affiliated* own = FindAffiliated(bare);
  if (own != nullptr && own->affiliation() != v1::AFFILIATION_NONE) return own->affiliation();
  const v1::Affiliated* domain = FindAffiliated(xmpp::DomainOf(bare));
  const bool is_banned = domain != nullptr && domain->affiliation() == v1::AFFILIATION_OUTCAST;
  return is_banned ? v1::AFFILIATION_OUTCAST : v1::AFFILIATION_NONE;
}

const v1::Affiliated* Room::FindReserved(std::string_view nick) const {
  const auto it = jid_by_reserved_nick_.find(nick);
  return it == jid_by_reserved_nick_.end() ? nullptr : FindAffiliated(it->second);
}

bool Room::IsOfAnother(std::string_view nick, std::string_view bare) const {
  const auto it = nicks_by_look_.find(LookOf(nick));
  if (it == nicks_by_look_.end()) return false;
  return std::any_of(it->second.begin(), it->second.end(), [&](const std::string& alike) {
    const v1::Occupant* occupant = FindNick(alike);
    const v1::Affiliated* reserved = FindReserved(alike);
    return (occupant != nullptr && AccountOf(*occupant) != bare) ||
           (reserved != nullptr && reserved->jid() != bare);
  });
}

std::string Room::LookOf(std::string_view nick) {
  std::string look;
  for (const char c : xmpp::SkeletonOf(nick))
    if (c != ' ' || (!look.empty() && look.back() != ' ')) look.push_back(c);
  if (look.ends_with(' ')) look.pop_back();
  return look;
}

v1::Affiliated& Room::ChangeAffiliated(std::string_view jid) {
  UnmeasureAffiliated(jid);
  v1::Affiliated& affiliated = affiliations_[std::string(jid)];
  affiliated.set_jid(std::string(jid));
  changed_affiliations_.emplace(jid);
  has_changed_ = true;
  return affiliated;
}

void Room::SetReservedNick(std::string_view jid, std::string_view nick) {
  v1::Affiliated& affiliated = ChangeAffiliated(jid);
  if (const std::string old = affiliated.nick(); !old.empty()) {
    jid_by_reserved_nick_.erase(old);
    ForgetNick(old);
  }
  affiliated.set_nick(std::string(nick));
  if (nick.empty()) return;
  jid_by_reserved_nick_[std::string(nick)] = std::string(jid);
  NoteNick(nick);
}

void Room::ForgetAffiliated(std::string_view jid) {
  const auto it = affiliations_.find(jid);
  if (it == affiliations_.end()) return;
  if (const std::string& nick = it->second.nick(); !nick.empty()) {
    jid_by_reserved_nick_.erase(nick);
    ForgetNick(nick);
  }
  UnmeasureAffiliated(jid);
  changed_affiliations_.emplace(jid);
  has_changed_ = true;
  affiliations_.erase(it);
}

std::size_t Room::CountOf(v1::Affiliation affiliation) const {
  return static_cast<std::size_t>(
      std::count_if(affiliations_.begin(), affiliations_.end(),
                    [&](const auto& entry) { return entry.second.affiliation() == affiliation; }));
}

// ---- history --------------------------------------------------------------------

void Room::Remember(v1::PastMessage message, std::size_t max_messages, std::size_t max_bytes) {
  has_changed_ = true;
  changed_messages_.insert(message.archive_id());
  history_bytes_ += BytesOf(message);
  history_.push_back(std::move(message));
  while (!history_.empty() && (history_.size() > max_messages || history_bytes_ > max_bytes)) {
    changed_messages_.erase(history_.front().archive_id());
    history_bytes_ -= BytesOf(history_.front());
    history_.pop_front();
  }
}

const v1::PastMessage* Room::FindRemembered(std::uint64_t archive_id) const {
  const auto it = std::find_if(history_.begin(), history_.end(), [&](const v1::PastMessage& message) {
    return message.archive_id() == archive_id;
  });
  return it == history_.end() ? nullptr : &*it;
}

void Room::ReplaceRemembered(v1::PastMessage message) {
  auto* known = const_cast<v1::PastMessage*>(FindRemembered(message.archive_id()));
  if (known == nullptr) return;
  changed_messages_.insert(message.archive_id());
  has_changed_ = true;
  history_bytes_ = history_bytes_ - BytesOf(*known) + BytesOf(message);
  *known = std::move(message);
}

std::uint64_t Room::TakeArchiveId(std::uint64_t least) {
  const std::uint64_t id = std::max(least, state_.last_archive_id() + 1);
  ChangeState().set_last_archive_id(id);
  return id;
}

// ---- checkpoint -----------------------------------------------------------------

RoomChanges Room::TakeChanges() {
  RoomChanges changes;
  changes.room = jid_;
  has_changed_ = false;
  if (!exists_) {
    changes.is_destroyed = true;
    was_destroyed_ = false;
    return changes;
  }
  // One that was destroyed and made again between two checkpoints is new.
  changes.is_new = std::exchange(is_new_, false);
  was_destroyed_ = false;
  changes.state = state_;
  changes.occupant_count = static_cast<std::int64_t>(occupants_.size());
  changes.bytes = static_cast<std::int64_t>(bytes());
  for (const std::string& nick : changed_nicks_) {
    if (const v1::Occupant* occupant = FindNick(nick)) {
      changes.occupants.push_back(*occupant);
    } else {
      changes.gone_nicks.push_back(nick);
    }
  }
  for (const std::string& jid : changed_affiliations_) {
    if (const v1::Affiliated* affiliated = FindAffiliated(jid)) {
      changes.affiliations.push_back(*affiliated);
    } else {
      changes.forgotten_affiliations.push_back(jid);
    }
  }
  for (const v1::PastMessage& message : history_)
    if (changed_messages_.contains(message.archive_id())) changes.history.push_back(message);
  changes.history_from = history_.empty() ? state_.last_archive_id() + 1 : history_.front().archive_id();
  changed_nicks_.clear();
  changed_affiliations_.clear();
  changed_messages_.clear();
  return changes;
}

// ---- memory ---------------------------------------------------------------------

void Room::Unmeasure(std::string_view nick) {
  if (!unmeasured_nicks_.emplace(nick).second) return;
  if (const v1::Occupant* known = FindNick(nick)) occupant_bytes_ -= BytesOf(*known);
}

void Room::UnmeasureAffiliated(std::string_view jid) {
  if (!unmeasured_jids_.emplace(jid).second) return;
  if (const v1::Affiliated* known = FindAffiliated(jid)) affiliation_bytes_ -= BytesOf(*known);
}

std::size_t Room::bytes() const {
  Measure(occupants_, unmeasured_nicks_, occupant_bytes_);
  Measure(affiliations_, unmeasured_jids_, affiliation_bytes_);
  return 2048 + state_.ByteSizeLong() + history_bytes_ + occupant_bytes_ + affiliation_bytes_;
}

bool IsRemembered(const v1::Affiliated& entry) {
  return entry.affiliation() != v1::AFFILIATION_NONE || !entry.nick().empty() || !entry.hats().empty();
}

}  // namespace rookery::muc
