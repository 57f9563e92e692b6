#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace rookery::muc {

/// Who may create rooms (`rooms.creation`).
enum class Creation : std::uint8_t {
  kEverybody,
  /// Accounts of the service's own virtual host.
  kMembers,
  /// `rooms.administrators` only.
  kAdministrators,
};

/// The operator's settings, alike at every process of the service: records are applied by it.
struct Settings {
  /// The virtual hosts, prepared: whose accounts rooms reach.
  std::vector<std::string> domains{"localhost"};
  Creation creation = Creation::kEverybody;
  /// Bare JIDs: owners of every room.
  std::vector<std::string> administrators;
  /// Whether presence without <x xmlns='…muc'/> of somebody who is not in is a join, as it was before MUC
  /// (groupchat 1.0). By default it is taken for that of a client which has lost its place, and which is told
  /// so (XEP-0045 section 7.2.18 since 1.32).
  bool admits_groupchat_1 = false;
  /// The most that a room may take in memory (Room::bytes): nobody enters one that takes more, and it
  /// remembers nobody more. Those who administer it have an eighth as much besides.
  std::int64_t max_room_bytes = std::int64_t{64} << 20;
  /// The limit for all rooms in memory. Those that were used least recently are forgotten first; while there
  /// are too many that are in use, no others are loaded.
  std::int64_t max_memory_bytes = std::int64_t{512} << 20;
  /// Rooms that one account may have made and that there are; 0: any number.
  std::int64_t max_rooms_per_user = 100;
  std::int64_t max_occupants = 10'000;
  /// The most accounts that a room remembers with an affiliation or a nick; and the most that it has banned.
  std::int64_t max_affiliations = 10'000;
  /// The most changes that one request of muc#admin makes.
  std::int64_t max_items = 100;
  std::int64_t max_reason_bytes = 1024;
  std::int64_t max_name_bytes = 256;
  /// Bytes, as prepared.
  std::int64_t max_nick_bytes = 256;
  /// Whether a nick may be of scripts that are not written together, as Latin and Cyrillic. Nicks that look
  /// like another's are its own all the same.
  bool admits_mixed_scripts = false;
  std::int64_t max_subject_bytes = 4096;
  std::int64_t max_description_bytes = 4096;
  /// The limit for what a presence carries besides `show` and the like.
  std::int64_t max_presence_bytes = 8192;
  std::int64_t max_vcard_bytes = std::int64_t{64} << 10;
  /// Messages that a room remembers for those who enter, and the most that an owner can allow.
  std::int64_t history_messages = 20;
  std::int64_t max_history_messages = 100;
  std::int64_t max_history_bytes = std::int64_t{256} << 10;
  /// The limit for a message to a room or an occupant: its payload, id and language.
  std::int64_t max_message_bytes = std::int64_t{64} << 10;
  /// Invitations, requests for voice and other requests that reach others, of one account in
  /// `changes_period`; and the invitations in one message.
  std::int64_t max_requests = 20;
  /// Devices of one account with one nick.
  std::int64_t max_sessions_per_nick = 64;
  /// Wrong passwords of one account for a room in `changes_period`; ten times as many of all together.
  std::int64_t max_wrong_passwords = 10;
  /// Nicks that one account has in a room at a time, on whatever devices.
  std::int64_t max_nicks_per_account = 5;
  /// Changes of nick, and joins, of one account in `changes_period`; 0: any number.
  std::int64_t max_changes = 20;
  /// Stanzas of one account to a room in `changes_period` that others hear of; 0: any number.
  std::int64_t max_stanzas = 600;
  std::chrono::milliseconds changes_period{60'000};
  /// A room with more occupants shows the presence of moderators only, and of those who were shown before,
  /// unless its owner has said otherwise; 0: never.
  std::int64_t quiet_above = 2'000;
  /// Whether what is said in any room goes to the room's archive; else in rooms that are logged only.
  bool archives_all = true;
  /// XEP-0421: occupant ids are keyed by it. 32 bytes, the same for ever.
  std::string occupant_id_key;
  /// The version of the software, as XEP-0092 tells it.
  std::string version;
};

}  // namespace rookery::muc
