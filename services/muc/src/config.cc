#include "config.h"

#include "rookery/app/domains.h"
#include "rookery/xmpp/jid.h"

namespace rookery::muc {

namespace {

/// What an occupant with one device takes of a room's memory, about.
constexpr std::int64_t kLeastBytesOfOccupant = 2'048;

}  // namespace

void Config::Bind(config::Schema& schema) {
  schema.Bind("domains", &settings.domains,
              "virtual hosts that this cluster serves: rooms invite and tell their accounts only");
  schema.BindChoice("rooms.creation", &creation, {"everybody", "members", "administrators"},
                    "who may create rooms; members: accounts of the domain that the service is of");
  schema.Bind("rooms.administrators", &settings.administrators, "bare JIDs that are owners of every room");
  schema.Bind("rooms.max-per-user", &settings.max_rooms_per_user,
              "rooms that one account may have made, as long as there are these; 0: any number", 0,
              1'000'000);
  schema.Bind(
      "rooms.max-bytes", &settings.max_room_bytes,
      "bytes that one room takes in memory, about: nobody enters one that takes more but its admins and "
      "owners, who have an eighth as much besides",
      1 << 20, std::int64_t{1} << 30);
  schema.Bind(
      "rooms.max-memory-bytes", &settings.max_memory_bytes,
      "bytes that all rooms of one process take in memory, about: those that were used least recently "
      "are forgotten first",
      std::int64_t{32} << 20, std::int64_t{1} << 40);
  schema.Bind("rooms.max-occupants", &settings.max_occupants, "occupants of one room", 1, 100'000);
  schema.Bind("rooms.max-sessions-per-nick", &settings.max_sessions_per_nick,
              "devices of one account that may share a nick", 1, 10'000);
  schema.Bind("rooms.max-nicks-per-account", &settings.max_nicks_per_account,
              "nicks that one account may have in a room at a time", 1, 10'000);
  schema.Bind("rooms.groupchat-1", &settings.admits_groupchat_1,
              "whether presence without the element of XEP-0045 is a join, as it was before (groupchat 1.0); "
              "else its sender is told that it is not in the room");
  schema.Bind(
      "rooms.max-affiliations", &settings.max_affiliations,
      "accounts that one room remembers, with an affiliation or a nick; and as many that it has banned", 1,
      1'000'000);
  schema.Bind("rooms.max-items", &settings.max_items,
              "roles or affiliations that one request may change; fewer in a room of more than 2,000", 1,
              10'000);
  schema.Bind("rooms.max-reason-bytes", &settings.max_reason_bytes, "bytes of a reason", 1, 65'536);
  schema.Bind("rooms.max-name-bytes", &settings.max_name_bytes, "bytes of a room's name", 1, 4'096);
  schema.Bind("rooms.max-nick-bytes", &settings.max_nick_bytes, "bytes of a nick", 1, 1'023);
  schema.Bind(
      "rooms.mixed-scripts", &settings.admits_mixed_scripts,
      "nicks may have letters of scripts that are not written together, such as Latin and Cyrillic; one that "
      "looks like another's is refused all the same");
  schema.Bind("rooms.max-message-bytes", &settings.max_message_bytes, "bytes of a message to a room", 1'024,
              200'000);
  schema.Bind("rooms.max-requests", &settings.max_requests,
              "invitations, requests for voice and notices to people who are absent, of one account in "
              "`rooms.changes-period`",
              1, 100'000);
  schema.Bind("rooms.max-subject-bytes", &settings.max_subject_bytes, "bytes of a subject", 1, 65'536);
  schema.Bind("rooms.max-description-bytes", &settings.max_description_bytes,
              "bytes of each text of a room's configuration", 1, 65'536);
  schema.Bind("rooms.max-presence-bytes", &settings.max_presence_bytes,
              "bytes of what an occupant's presence carries", 256, 65'536);
  schema.Bind("rooms.max-vcard-bytes", &settings.max_vcard_bytes, "bytes of a room's vCard (XEP-0486)", 1'024,
              200'000);
  schema.Bind("rooms.history", &settings.history_messages,
              "messages that those who enter a new room are given", 0, 1'000);
  schema.Bind("rooms.max-history", &settings.max_history_messages,
              "messages that a room remembers, and the most that its owner can allow", 0, 1'000);
  schema.Bind("rooms.max-history-bytes", &settings.max_history_bytes, "the same in bytes", 1'024,
              std::int64_t{16} << 20);
  schema.Bind("rooms.max-changes", &settings.max_changes,
              "how often one account may enter, or change its nick in, a room in `rooms.changes-period`", 1,
              100'000);
  schema.Bind("rooms.max-wrong-passwords", &settings.max_wrong_passwords,
              "wrong passwords of one account for a room in `rooms.changes-period`; beyond it, and beyond "
              "ten times as many of all, passwords are not looked at",
              1, 100'000);
  schema.Bind(
      "rooms.max-stanzas", &settings.max_stanzas,
      "stanzas of one account to a room that others hear of (messages, presence, requests to "
      "occupants, changes of roles, affiliations and the room) in `rooms.changes-period`; 0: any number",
      0, 10'000'000);
  schema.Bind("rooms.changes-period", &settings.changes_period, "see `rooms.max-changes`");
  schema.Bind("rooms.quiet-above", &settings.quiet_above,
              "a room with more occupants shows those who come then only if they are moderators, unless its "
              "owner has chosen whose presence is shown; 0: never",
              0, 100'000);
  schema.Bind("rooms.archive", &settings.archives_all,
              "whether messages go to the archive of every room; else only to that of a room which its owner "
              "has made a logged one, as its occupants are told");
  member.Bind(schema);
  pg.Bind(schema);
}

void Config::Validate(config::Problems& problems) {
  if (creation == "everybody") {
    settings.creation = Creation::kEverybody;
  } else if (creation == "members") {
    settings.creation = Creation::kMembers;
  } else {
    settings.creation = Creation::kAdministrators;
  }
  app::PrepareDomains(settings.domains, problems);
  for (std::string& address : settings.administrators) {
    const auto jid = xmpp::Jid::Parse(address);
    if (jid.ok() && jid->has_local() && !jid->has_resource()) {
      address = std::string(jid->str());
    } else {
      problems.Add("rooms.administrators", "has `" + address + "`, which is not the address of an account");
    }
  }
  if (settings.history_messages > settings.max_history_messages)
    problems.Add("rooms.history", "must not be more than rooms.max-history");
  if (settings.max_room_bytes / kLeastBytesOfOccupant < settings.max_occupants)
    problems.Add("rooms.max-bytes", "must be at least " + std::to_string(kLeastBytesOfOccupant) +
                                        " for each of rooms.max-occupants");
  member.Validate(problems);
  pg.Validate(problems);
}

void Config::CheckFiles(config::Problems& problems) const {
  member.CheckFiles(problems);
  pg.CheckFiles(problems);
}

}  // namespace rookery::muc
