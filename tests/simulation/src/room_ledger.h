#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "ledger.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::events::v1 {
class RoomRecord;
class UserRecord;
}  // namespace rookery::events::v1

namespace rookery::simulation {

/// The accounts of what is said in rooms, by whom it is heard, and who is in. It believes nobody: it hears
/// from those who enter, and reads the log as it is written.
class RoomLedger {
 public:
  RoomLedger(World& world, Ledger& ledger) : world_(world), ledger_(ledger) {}

  /// A message that somebody has said to all.
  struct Said {
    std::uint64_t id = 0;
    std::string room;
    const Ledger::Session* sender = nullptr;
    std::int64_t applied = -1;  // the offset of the record by which the room has said it; -1: it has not
    bool is_acknowledged = false;
    bool is_logged = false;
    bool is_refused = false;  // by the log, the last time that it was to be appended
    bool is_bounced = false;  // an error about it is in the log
    bool is_told = false;     // and has come to its sender
    bool is_late = false;     // the log has refused to take it to some, and takes it later
    SteadyTime refused_at;    // when it has, the last time
  };
  /// A session's stay in a room, from when it has heard of itself until it is told or knows that it is out.
  struct Stay {
    const Ledger::Session* session = nullptr;
    std::string room;
    std::uint64_t entering = 0;  // the newest stanza with which it entered
    std::uint64_t leaving = 0;   // and the one with which it has left, once that is confirmed
    bool is_over = false;
    SteadyTime over_at;
    bool is_muddled = false;  // the log has refused what the session was told as it entered: that comes late
    std::int64_t last_live = -1;  // the newest record of which it has heard
    std::set<std::uint64_t> heard;
  };

  /// An id for a stanza to a room.
  std::uint64_t Next() { return ++last_; }
  std::uint64_t Say(const Ledger::Session& sender, const std::string& room);
  /// The stanza is sent: its sender is a moderator.
  void Kick(const std::string& room, const std::string& nick);
  bool WasKicked(const std::string& room, const std::string& nick) const {
    return kicked_.contains(room + "/" + nick);
  }
  /// It was lately: where the log has refused what tells of it, that comes late.
  bool MayBeKicked(const std::string& room, const std::string& nick) const;
  /// `is_resumed`: see Ledger::Acknowledged.
  void Acknowledged(std::uint64_t id, bool is_resumed);
  void Told(std::uint64_t id);

  /// It says that it enters.
  void Entering(const Ledger::Session& session, const std::string& room, std::uint64_t entering);
  /// It has heard of itself.
  Stay& Enter(const Ledger::Session& session, const std::string& room, std::uint64_t entering);
  /// It has said that it goes, and its room has confirmed it.
  void Left(Stay& stay, std::uint64_t leaving);
  /// It is gone in another way.
  void Over(Stay& stay);
  void Heard(Stay& stay, const xmpp::Stanza& stanza);
  void ThrownOut(const Stay& stay, const std::string& how);

  void LoggedForRooms(std::int64_t offset, std::string_view value);
  void LoggedForUsers(std::int32_t partition, std::int64_t offset, std::string_view value);
  void RefusedForRooms(std::string_view value);
  void RefusedForUsers(std::string_view value);

  std::uint64_t said() const { return said_.size(); }
  /// By how many, all in all.
  std::uint64_t heard() const;

  /// When the dust has settled.
  void CheckSaid();
  void CheckStays();

 private:
  Said* Find(std::uint64_t id);
  void CheckStay(const Stay& stay, const std::vector<const Said*>& said);
  /// Nobody but itself says that a session which is there has left.
  void CheckLeaving(std::int64_t offset, const events::v1::RoomRecord& record);
  void CheckRepetition(std::int32_t partition, const events::v1::UserRecord& record);
  std::int64_t OffsetOf(std::uint64_t id) const;

  World& world_;
  Ledger& ledger_;
  std::uint64_t last_ = 1'000'000;  // others number their messages from 1
  std::map<std::uint64_t, Said> said_;
  std::map<std::uint64_t, std::int64_t> offsets_;  // of the first records with these stanzas
  std::vector<std::unique_ptr<Stay>> stays_;
  std::map<std::string, SteadyTime> kicked_;  // when
  /// By room and full JID: who entered last, and with which stanza.
  std::map<std::pair<std::string, std::string>, std::pair<const Ledger::Session*, std::uint64_t>> entering_;
  /// Those who were said to be gone, and what is wrong with that if they were not.
  std::vector<std::pair<const Ledger::Session*, std::string>> taken_out_;
  std::set<std::tuple<std::uint32_t, std::int64_t, std::uint32_t>>
      leavings_;  // by shard of users, offset and part
  /// By room and full JID: when the log has refused what was for that session alone.
  std::map<std::pair<std::string, std::string>, SteadyTime> refused_;
  /// The records that follow from those of rooms, by partition of users, shard, offset and part.
  std::map<std::tuple<std::int32_t, std::uint32_t, std::int64_t, std::uint32_t>, std::size_t> said_in_log_;
};

}  // namespace rookery::simulation
