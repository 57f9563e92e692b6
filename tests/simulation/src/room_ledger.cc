#include "room_ledger.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "message_id.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/xmpp/jid.h"

namespace rookery::simulation {

namespace {

/// The log is asked again for so long, about.
constexpr std::chrono::seconds kLate{60};

bool IsLater(const RoomLedger::Said* a, std::int64_t offset) { return a->applied < offset; }

}  // namespace

RoomLedger::Said* RoomLedger::Find(std::uint64_t id) {
  const auto found = said_.find(id);
  return found == said_.end() ? nullptr : &found->second;
}

std::int64_t RoomLedger::OffsetOf(std::uint64_t id) const {
  const auto found = offsets_.find(id);
  return found == offsets_.end() ? -1 : found->second;
}

// ---- what clients see ---------------------------------------------------------

std::uint64_t RoomLedger::Say(const Ledger::Session& sender, const std::string& room) {
  const std::uint64_t id = Next();
  Said& said = said_[id];
  said.id = id;
  said.room = room;
  said.sender = &sender;
  world_.Note(sender.jid, "say", absl::StrCat("#", id, " in ", room));
  return id;
}

void RoomLedger::Acknowledged(std::uint64_t id, bool is_resumed) {
  Said* const said = Find(id);
  if (said == nullptr || std::exchange(said->is_acknowledged, true)) return;
  world_.Note(said->sender->jid, "acked", absl::StrCat("#", id));
  if (!said->is_logged && !said->is_bounced && !is_resumed)
    ledger_.Violate("acknowledged-is-logged",
                    absl::StrCat("what ", said->sender->jid, " has said in ", said->room, " (#", id,
                                 ") was acknowledged and is not in the log"),
                    id);
}

void RoomLedger::Told(std::uint64_t id) {
  // The sender of a message that the log has not taken may be told directly.
  if (Said* const said = Find(id)) said->is_told = said->is_bounced = true;
}

void RoomLedger::Entering(const Ledger::Session& session, const std::string& room, std::uint64_t entering) {
  entering_[{room, session.jid}] = {&session, entering};
  world_.Note(session.jid, "enter", absl::StrCat(room, " #", entering));
}

void RoomLedger::Kick(const std::string& room, const std::string& nick) {
  kicked_[room + "/" + nick] = world_.now();
}

bool RoomLedger::MayBeKicked(const std::string& room, const std::string& nick) const {
  const auto kicked = kicked_.find(room + "/" + nick);
  return kicked != kicked_.end() && world_.now() - kicked->second < kLate;
}

RoomLedger::Stay& RoomLedger::Enter(const Ledger::Session& session, const std::string& room,
                                    std::uint64_t entering) {
  Stay& stay = *stays_.emplace_back(std::make_unique<Stay>());
  stay.session = &session;
  stay.room = room;
  stay.entering = entering;
  const auto refused = refused_.find({room, session.jid});
  stay.is_muddled = refused != refused_.end() && world_.now() - refused->second < kLate;
  world_.Note(session.jid, "entered", room);
  return stay;
}

void RoomLedger::Left(Stay& stay, std::uint64_t leaving) {
  stay.leaving = leaving;
  Over(stay);
}

void RoomLedger::Over(Stay& stay) {
  stay.is_over = true;
  stay.over_at = world_.now();
  world_.Note(stay.session->jid, "is-out", stay.room);
}

void RoomLedger::Heard(Stay& stay, const xmpp::Stanza& stanza) {
  Said* const said = Find(ParseRoomId(stanza.id()));
  if (said == nullptr) return;
  const bool is_live = !xmpp::Has(stanza, common::v1::STANZA_TRAIT_DELAY);
  const bool is_new = stay.heard.insert(said->id).second;
  world_.Note(stay.session->jid, is_live ? "hear" : "read", absl::StrCat("#", said->id));
  if (!is_live) return;
  if (!is_new) {
    if (stay.session->has_stream_management)
      ledger_.Violate("never-twice",
                      absl::StrCat(stay.session->jid, " has heard #", said->id, " in ", stay.room, " twice"),
                      said->id);
    return;
  }
  if (said->applied < stay.last_live && !said->is_late)
    ledger_.Violate("order",
                    absl::StrCat(stay.session->jid, " has heard #", said->id, " in ", stay.room, ", record ",
                                 said->applied, ", after record ", stay.last_live),
                    said->id);
  stay.last_live = std::max(stay.last_live, said->applied);
}

void RoomLedger::ThrownOut(const Stay& stay, const std::string& how) {
  world_.Note(stay.session->jid, "thrown-out", stay.room + ": " + how);
  if (ledger_.one_at_a_time())
    ledger_.Violate("rooms-keep-who-is-in",
                    absl::StrCat(stay.session->jid, " (session ", stay.session->number, ") was in ",
                                 stay.room, " and was told: ", how));
}

// ---- the log ------------------------------------------------------------------

void RoomLedger::LoggedForRooms(std::int64_t offset, std::string_view value) {
  events::v1::RoomRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size())) || !record.has_delivery()) return;
  const std::uint64_t id = ParseRoomId(record.delivery().stanza().id());
  if (id == 0) return CheckLeaving(offset, record);
  if (offsets_.emplace(id, offset).second)
    world_.Note("kafka", "logged", absl::StrCat("#", id, " as ", offset));
  if (Said* const said = Find(id)) {
    said->is_logged = true;
    said->is_refused = false;
  }
}

void RoomLedger::CheckLeaving(std::int64_t offset, const events::v1::RoomRecord& record) {
  const xmpp::Stanza& stanza = record.delivery().stanza();
  if (stanza.type() != "unavailable" || !record.origin().has_log()) return;
  // A repetition comes late, and is dropped.
  const auto& origin = record.origin();
  if (!leavings_.insert({origin.shard(), origin.log().offset(), origin.log().part()}).second) return;
  const auto found = entering_.find({std::string(xmpp::BareOf(stanza.to())), stanza.from()});
  if (found == entering_.end()) return;
  const auto& [session, entering] = found->second;
  const std::int64_t entered = OffsetOf(entering);
  if (entered < 0 || entered > offset || session->is_over || session->is_away || !ledger_.one_at_a_time())
    return;
  // Its owner may have lost it without its knowing, since their link is cut. Then it ends as soon as it hears
  // of that.
  taken_out_.emplace_back(
      session, absl::StrCat(session->jid, " (session ", session->number, ") was there, and ", stanza.to(),
                            " was told that it was not"));
}

void RoomLedger::LoggedForUsers(std::int32_t partition, std::int64_t place, std::string_view value) {
  if (value.find("@conference.") == std::string_view::npos) return;
  events::v1::UserRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
  const xmpp::Stanza* const stanza = record.has_delivery()   ? &record.delivery().stanza()
                                     : record.has_fanout()   ? &record.fanout().stanza()
                                     : record.has_outbound() ? &record.outbound().stanza()
                                                             : nullptr;
  if (stanza == nullptr) return;
  const bool is_of_room = record.origin().topic() == events::v1::TOPIC_ROOMS && record.origin().has_log();
  if (is_of_room) CheckRepetition(partition, record);
  Said* const said = Find(ParseRoomId(stanza->id()));
  if (said == nullptr) return;
  if (record.has_outbound()) {
    said->is_logged = true;
  } else if (stanza->type() == "error") {
    said->is_bounced = true;
    world_.Note("kafka", "bounced", absl::StrCat("#", said->id));
  } else if (is_of_room && !xmpp::Has(*stanza, common::v1::STANZA_TRAIT_DELAY)) {
    const std::int64_t offset = record.origin().log().offset();
    if (said->applied >= 0 && said->applied != offset)
      ledger_.Violate("rooms-apply-once",
                      absl::StrCat("#", said->id, " was applied as record ", said->applied, " and as record ",
                                   offset, " of ", said->room),
                      said->id);
    said->applied = offset;
    world_.Note(
        "kafka", "said",
        absl::StrCat("#", said->id, ", record ", offset, " of shard ", record.origin().shard(), ", as ",
                     place, " of shard ", partition, " of users, part ", record.origin().log().part()));
  }
}

void RoomLedger::CheckRepetition(std::int32_t partition, const events::v1::UserRecord& record) {
  const std::string said =
      record.has_delivery() ? record.delivery().SerializeAsString() : record.fanout().SerializeAsString();
  const auto key = std::tuple(partition, record.origin().shard(), record.origin().log().offset(),
                              record.origin().log().part());
  const std::size_t hash = std::hash<std::string>{}(said);
  const auto [found, is_new] = said_in_log_.emplace(key, hash);
  if (!is_new && found->second != hash)
    ledger_.Violate("said-again-is-the-same",
                    absl::StrCat("part ", record.origin().log().part(), " of what follows from record ",
                                 record.origin().log().offset(), " of shard ", record.origin().shard(),
                                 " was said again in other words"));
}

void RoomLedger::RefusedForRooms(std::string_view value) {
  events::v1::RoomRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
  if (Said* const said = Find(ParseRoomId(record.delivery().stanza().id()))) said->is_refused = true;
}

void RoomLedger::RefusedForUsers(std::string_view value) {
  events::v1::UserRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
  if (Said* const said = Find(ParseRoomId(record.fanout().stanza().id()))) {
    said->is_late = true;
    said->refused_at = world_.now();
  }
  const xmpp::Stanza& stanza = record.delivery().stanza();
  if (stanza.from().find("@conference.") != std::string::npos)
    refused_[{std::string(xmpp::BareOf(stanza.from())), stanza.to()}] = world_.now();
}

std::uint64_t RoomLedger::heard() const {
  std::uint64_t count = 0;
  for (const auto& stay : stays_) count += stay->heard.size();
  return count;
}

// ---- in the end ---------------------------------------------------------------

void RoomLedger::CheckSaid() {
  for (const auto& [session, text] : taken_out_)
    if (!session->is_over) ledger_.Violate("rooms-keep-who-is-in", text);
  for (const auto& [id, said] : said_) {
    const std::string text =
        absl::StrCat("what ", said.sender->jid, " has said in ", said.room, " (#", id, ")");
    const bool is_over = said.sender->is_over;
    if (!said.is_logged && !said.is_bounced && !is_over)
      ledger_.Violate("what-is-sent-is-logged", text + ", whose session has lasted, is not in the log", id);
    if (said.is_acknowledged && said.applied < 0 && !said.is_bounced && !(said.is_refused && is_over))
      ledger_.Violate("acknowledged-is-delivered",
                      text + " was acknowledged, and the room has neither said nor refused it", id);
    if (said.is_bounced && said.applied < 0 && !said.is_told && !is_over)
      ledger_.Violate("errors-are-told", text + " was refused, and its sender was told nothing", id);
  }
}

void RoomLedger::CheckStays() {
  std::map<std::string, std::vector<const Said*>> by_room;
  for (const auto& [id, said] : said_)
    if (said.applied >= 0) by_room[said.room].push_back(&said);
  for (auto& [room, all] : by_room)
    std::sort(all.begin(), all.end(), [](const Said* a, const Said* b) { return a->applied < b->applied; });
  for (const auto& stay : stays_) CheckStay(*stay, by_room[stay->room]);
}

void RoomLedger::CheckStay(const Stay& stay, const std::vector<const Said*>& said) {
  if (stay.is_muddled) return;
  std::int64_t from = OffsetOf(stay.entering);
  if (from < 0) return;
  for (const std::uint64_t id : stay.heard) from = std::min(from, Find(id)->applied);
  // To the end of the stay, or at least to the last that was heard.
  std::int64_t to = stay.last_live;
  if (!stay.is_over) to = INT64_MAX;
  if (stay.leaving != 0) to = std::max(to, OffsetOf(stay.leaving));
  // Messages that come late do not reach those who have left before them.
  const auto may_be_missed = [&](const Said& one) {
    return stay.is_over && one.is_late && stay.over_at - one.refused_at < kLate;
  };
  for (auto it = std::lower_bound(said.begin(), said.end(), from, IsLater);
       it != said.end() && (*it)->applied < to; ++it)
    if (!stay.heard.contains((*it)->id) && !may_be_missed(**it))
      ledger_.Violate(
          "who-is-in-hears-all",
          absl::StrCat(stay.session->jid, " (session ", stay.session->number, ") was in ", stay.room,
                       " from record ", from, " to ", stay.is_over ? absl::StrCat(to) : "the end",
                       " and has not heard #", (*it)->id, ", record ", (*it)->applied),
          (*it)->id);
}

}  // namespace rookery::simulation
