#include "domain/configuration/config_form.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "domain/occupants/presence.h"
#include "domain/room/request.h"
#include "rookery/xmpp/jid.h"

namespace rookery::muc {

namespace {

using xmpp::ErrorCondition;
using xmpp::FormField;
using xmpp::FormOption;

constexpr std::string_view kFormType = "http://jabber.org/protocol/muc#roomconfig";
constexpr std::string_view kIsProtected = "muc#roomconfig_passwordprotectedroom";
constexpr std::string_view kSecret = "muc#roomconfig_roomsecret";
constexpr std::string_view kOwners = "muc#roomconfig_roomowners";
constexpr std::string_view kAdmins = "muc#roomconfig_roomadmins";

// Bytes.
constexpr std::size_t kMaxLangBytes = 64;
constexpr std::size_t kMaxPasswordBytes = 256;
constexpr std::size_t kMaxUriBytes = 1024;
constexpr std::size_t kMaxContacts = 20;
constexpr std::int64_t kMaxSlowModeSeconds = 24 * 3600;

/// One field of the form: how it is filled in, and read. False: the value is none.
struct ConfigField {
  std::string_view var;
  std::string_view type;
  std::string_view label;
  void (*write)(const Settings&, const v1::RoomConfig&, FormField&);
  bool (*read)(const Settings&, const FormField&, v1::RoomConfig&);
};

// ---- kinds of fields

template <bool (v1::RoomConfig::*kGet)() const, void (v1::RoomConfig::*kSet)(bool)>
constexpr ConfigField Boolean(std::string_view var, std::string_view label) {
  return {var, "boolean", label,
          [](const Settings&, const v1::RoomConfig& config, FormField& field) {
            field.values = {(config.*kGet)() ? "1" : "0"};
          },
          [](const Settings&, const FormField& field, v1::RoomConfig& config) {
            const std::optional<bool> value = field.Boolean();
            if (value) (config.*kSet)(*value);
            return value.has_value();
          }};
}

bool IsWithin(std::string_view text, std::int64_t max_bytes) {
  return text.size() <= static_cast<std::size_t>(max_bytes);
}

/// `kIsAllowed`: whether the text may be so.
template <const std::string& (v1::RoomConfig::*kGet)() const, std::string* (v1::RoomConfig::*kMutable)(),
          bool (*kIsAllowed)(const Settings&, std::string_view)>
constexpr ConfigField Text(std::string_view var, std::string_view label) {
  return {var, "text-single", label,
          [](const Settings&, const v1::RoomConfig& config, FormField& field) {
            if (!(config.*kGet)().empty()) field.values = {(config.*kGet)()};
          },
          [](const Settings& settings, const FormField& field, v1::RoomConfig& config) {
            const std::optional<std::string_view> value = field.Single();
            if (!value || !kIsAllowed(settings, *value)) return false;
            *(config.*kMutable)() = *value;
            return true;
          }};
}

bool IsName(const Settings& settings, std::string_view text) {
  return IsWithin(text, settings.max_name_bytes);
}
bool IsDescription(const Settings& settings, std::string_view text) {
  return IsWithin(text, settings.max_description_bytes);
}
bool IsUri(const Settings&, std::string_view text) { return text.size() <= kMaxUriBytes; }
/// RFC 5646, as far as its characters go.
bool IsLang(const Settings&, std::string_view text) {
  return text.size() <= kMaxLangBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
         });
}

/// A number from 0 to `kMost`.
template <std::uint32_t (v1::RoomConfig::*kGet)() const, void (v1::RoomConfig::*kSet)(std::uint32_t),
          std::int64_t (*kMost)(const Settings&)>
constexpr ConfigField Number(std::string_view var, std::string_view label) {
  return {var, "text-single", label,
          [](const Settings& settings, const v1::RoomConfig& config, FormField& field) {
            field.values = {std::to_string((config.*kGet)())};
            field.least = 0;
            field.most = kMost(settings);
          },
          [](const Settings& settings, const FormField& field, v1::RoomConfig& config) {
            const std::optional<std::int64_t> value = field.Number();
            if (!value || *value > kMost(settings)) return false;
            (config.*kSet)(static_cast<std::uint32_t>(*value));
            return true;
          }};
}

std::int64_t MostHistory(const Settings& settings) { return settings.max_history_messages; }
std::int64_t MostSlowMode(const Settings&) { return kMaxSlowModeSeconds; }

struct AudienceName {
  v1::Audience audience;
  std::string_view name;
  std::string_view label;
};
constexpr AudienceName kAudiences[] = {
    {v1::AUDIENCE_ANYONE, "anyone", "Anyone"},
    {v1::AUDIENCE_PARTICIPANTS, "participants", "Anyone with voice"},
    {v1::AUDIENCE_MODERATORS, "moderators", "Moderators only"},
    {v1::AUDIENCE_NOBODY, "none", "Nobody"},
};

template <v1::Audience (v1::RoomConfig::*kGet)() const, void (v1::RoomConfig::*kSet)(v1::Audience),
          bool (*kIsOffered)(v1::Audience)>
constexpr ConfigField Choice(std::string_view var, std::string_view label) {
  return {var, "list-single", label,
          [](const Settings&, const v1::RoomConfig& config, FormField& field) {
            for (const AudienceName& one : kAudiences) {
              if (!kIsOffered(one.audience)) continue;
              field.options.push_back({std::string(one.label), std::string(one.name)});
              if (one.audience == (config.*kGet)()) field.values = {std::string(one.name)};
            }
          },
          [](const Settings&, const FormField& field, v1::RoomConfig& config) {
            for (const AudienceName& one : kAudiences) {
              if (!kIsOffered(one.audience) || field.Single() != one.name) continue;
              (config.*kSet)(one.audience);
              return true;
            }
            return false;
          }};
}

bool IsAny(v1::Audience) { return true; }
bool IsForWhois(v1::Audience audience) {
  return audience == v1::AUDIENCE_ANYONE || audience == v1::AUDIENCE_MODERATORS;
}

constexpr std::pair<v1::Role, std::string_view> kRoles[] = {
    {v1::ROLE_MODERATOR, "Moderator"}, {v1::ROLE_PARTICIPANT, "Participant"}, {v1::ROLE_VISITOR, "Visitor"}};

template <std::uint32_t (v1::RoomConfig::*kGet)() const, void (v1::RoomConfig::*kSet)(std::uint32_t)>
constexpr ConfigField Roles(std::string_view var, std::string_view label) {
  return {var, "list-multi", label,
          [](const Settings&, const v1::RoomConfig& config, FormField& field) {
            for (const auto& [role, title] : kRoles) {
              const std::string name(Name(role));
              field.options.push_back({std::string(title), name});
              if (((config.*kGet)() & (1u << role)) != 0) field.values.push_back(name);
            }
          },
          [](const Settings&, const FormField& field, v1::RoomConfig& config) {
            std::uint32_t roles = 0;
            for (const std::string& value : field.values) {
              const auto* const it = std::find_if(std::begin(kRoles), std::end(kRoles),
                                                  [&](const auto& one) { return Name(one.first) == value; });
              if (it == std::end(kRoles)) return false;
              roles |= 1u << it->first;
            }
            (config.*kSet)(roles);
            return true;
          }};
}

// ---- fields of their own kind

void WriteMaxUsers(const Settings& settings, const v1::RoomConfig& config, FormField& field) {
  std::vector<std::int64_t> sizes{10, 20, 30, 50, 100, 200, 500, 1000, 2000, 5000};
  if (config.max_users() != 0) sizes.push_back(config.max_users());
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  for (const std::int64_t size : sizes)
    if (settings.max_occupants == 0 || size <= settings.max_occupants)
      field.options.push_back({std::to_string(size), std::to_string(size)});
  field.options.push_back({"No limit", "none"});
  field.values = {config.max_users() == 0 ? "none" : std::to_string(config.max_users())};
}

bool ReadMaxUsers(const Settings& settings, const FormField& field, v1::RoomConfig& config) {
  if (field.Single() == "none") {
    config.set_max_users(0);
    return true;
  }
  const std::optional<std::int64_t> size = field.Number();
  const std::int64_t most = settings.max_occupants > 0 ? settings.max_occupants : INT32_MAX;
  if (!size || *size < 1 || *size > most) return false;
  config.set_max_users(static_cast<std::uint32_t>(*size));
  return true;
}

/// Bare JIDs of people, each once, in their order. False: one is none.
bool ReadJids(const FormField& field, std::vector<std::string>& jids) {
  absl::flat_hash_set<std::string> known;
  for (const std::string& value : field.values) {
    // One who clears the field may leave an empty line.
    if (value.empty()) continue;
    const auto jid = xmpp::Jid::Parse(value);
    if (!jid.ok() || !jid->has_local()) return false;
    if (known.emplace(jid->bare()).second) jids.emplace_back(jid->bare());
  }
  return true;
}

/// Kept as its opposite: rooms of before allow it.
void WriteRegistration(const Settings&, const v1::RoomConfig& config, FormField& field) {
  field.values = {config.forbids_registration() ? "0" : "1"};
}

bool ReadRegistration(const Settings&, const FormField& field, v1::RoomConfig& config) {
  const std::optional<bool> allows = field.Boolean();
  if (allows) config.set_forbids_registration(!*allows);
  return allows.has_value();
}

void WriteContacts(const Settings&, const v1::RoomConfig& config, FormField& field) {
  field.values.assign(config.contacts().begin(), config.contacts().end());
}

bool ReadContacts(const Settings&, const FormField& field, v1::RoomConfig& config) {
  std::vector<std::string> jids;
  if (field.values.size() > kMaxContacts || !ReadJids(field, jids)) return false;
  config.mutable_contacts()->Assign(jids.begin(), jids.end());
  return true;
}

using Config = v1::RoomConfig;
// XEP-0045, the registry of muc#roomconfig; XEP-0500; XEP-0452; of muc#roominfo what only an owner can know;
// and fields of our own, named as XEP-0068 section 3.4 wants it.
constexpr ConfigField kFields[] = {
    Text<&Config::name, &Config::mutable_name, IsName>("muc#roomconfig_roomname", "Name"),
    Text<&Config::description, &Config::mutable_description, IsDescription>("muc#roomconfig_roomdesc",
                                                                            "Description"),
    Text<&Config::lang, &Config::mutable_lang, IsLang>("muc#roomconfig_lang", "Language of discussion"),
    Boolean<&Config::is_persistent, &Config::set_is_persistent>("muc#roomconfig_persistentroom",
                                                                "Keep the room when nobody is in it?"),
    Boolean<&Config::is_public, &Config::set_is_public>("muc#roomconfig_publicroom",
                                                        "List the room publicly?"),
    Boolean<&Config::is_members_only, &Config::set_is_members_only>("muc#roomconfig_membersonly",
                                                                    "Let members only enter?"),
    Boolean<&Config::allow_invites, &Config::set_allow_invites>("muc#roomconfig_allowinvites",
                                                                "May members invite others?"),
    Boolean<&Config::is_moderated, &Config::set_is_moderated>("muc#roomconfig_moderatedroom",
                                                              "Let those with voice only speak?"),
    Boolean<&Config::change_subject, &Config::set_change_subject>("muc#roomconfig_changesubject",
                                                                  "May participants change the subject?"),
    Choice<&Config::allow_pm, &Config::set_allow_pm, IsAny>("muc#roomconfig_allowpm",
                                                            "Who may send private messages?"),
    Choice<&Config::whois, &Config::set_whois, IsForWhois>("muc#roomconfig_whois",
                                                           "Who may see real addresses?"),
    Roles<&Config::presence_broadcast, &Config::set_presence_broadcast>("muc#roomconfig_presencebroadcast",
                                                                        "Whose presence is shown to others?"),
    Roles<&Config::member_list_readers, &Config::set_member_list_readers>(
        "muc#roomconfig_getmemberlist", "Who may read the list of members?"),
    Boolean<&Config::visitors_keep_nick, &Config::set_visitors_keep_nick>(
        "{https://rookery.invalid/muc}visitors_keep_nick",
        "Do visitors keep the nick they have entered with?"),
    Boolean<&Config::locks_nicks, &Config::set_locks_nicks>(
        "{https://rookery.invalid/muc}locks_nicks", "Do those who have reserved a nick have no other?"),
    {"{https://rookery.invalid/muc}allow_registration", "boolean",
     "May people reserve a nick, or ask to become members?", WriteRegistration, ReadRegistration},
    {"muc#roomconfig_maxusers", "list-single", "Most occupants", WriteMaxUsers, ReadMaxUsers},
    Number<&Config::max_history_fetch, &Config::set_max_history_fetch, MostHistory>(
        "muc#maxhistoryfetch", "Messages shown to who enters"),
    Number<&Config::slow_mode_seconds, &Config::set_slow_mode_seconds, MostSlowMode>(
        "muc#roomconfig_slow_mode_duration", "Seconds between two messages of one person"),
    Boolean<&Config::is_logged, &Config::set_is_logged>("muc#roomconfig_enablelogging",
                                                        "Is there a public log of the discussion?"),
    Boolean<&Config::forwards_mentions, &Config::set_forwards_mentions>(
        "muc#roomconfig_forwardmentions", "Send mentions to members who are absent?"),
    {"muc#roominfo_contactjid", "jid-multi", "Addresses to turn to", WriteContacts, ReadContacts},
    Text<&Config::logs_url, &Config::mutable_logs_url, IsUri>("muc#roominfo_logs",
                                                              "Where the discussion can be read"),
    Text<&Config::ldap_group, &Config::mutable_ldap_group, IsUri>("muc#roominfo_ldapgroup", "LDAP group"),
    Text<&Config::pubsub_node, &Config::mutable_pubsub_node, IsUri>("muc#roomconfig_pubsub",
                                                                    "Publish-subscribe node (URI)"),
};

FormRefusal NotAcceptable(std::string_view what) {
  return {ErrorCondition::kNotAcceptable, "Not a possible value: " + std::string(what)};
}

/// Section 10.1.3: the password and whether there is one go together. A password without the flag sets it.
bool ReadPassword(const xmpp::Form& form, v1::RoomConfig& config) {
  const FormField* flag = form.Find(kIsProtected);
  const FormField* secret = form.Find(kSecret);
  const bool had_password = !config.password().empty();
  if (secret != nullptr) {
    const std::optional<std::string_view> text = secret->Single();
    if (!text || text->size() > kMaxPasswordBytes) return false;
    config.set_password(std::string(*text));
  }
  const std::optional<bool> is_protected =
      flag == nullptr ? had_password || !config.password().empty() : flag->Boolean();
  if (!is_protected) return false;
  if (!*is_protected) config.clear_password();
  return !*is_protected || !config.password().empty();
}

/// More names than there are owners and admins, with those that one request may add.
bool HasTooMany(const Turn& turn, const xmpp::Form& form, std::string_view var) {
  const FormField* field = form.Find(var);
  if (field == nullptr) return false;
  const Room& room = turn.room;
  const std::size_t known = room.CountOf(v1::AFFILIATION_OWNER) + room.CountOf(v1::AFFILIATION_ADMIN);
  // One who clears the field may leave an empty line.
  return field->values.size() > known + static_cast<std::size_t>(turn.settings.max_items) + 1;
}

bool ReadPeople(const xmpp::Form& form, std::string_view var, const Room& room,
                std::optional<std::vector<std::string>>& people) {
  const FormField* field = form.Find(var);
  if (field == nullptr) return true;
  people.emplace();
  return ReadJids(*field, *people) && std::find(people->begin(), people->end(), room.jid()) == people->end();
}

/// The whole list or none of it: who sends back half of one would have the others removed.
void AddPeople(const Room& room, v1::Affiliation affiliation, std::string_view var, std::string_view label,
               xmpp::Form& form) {
  if (room.CountOf(affiliation) > kMaxListItems) return;
  std::vector<std::string> people;
  std::size_t bytes = 0;
  for (const auto& [jid, entry] : room.affiliations()) {
    if (entry.affiliation() != affiliation) continue;
    people.push_back(jid);
    bytes += jid.size();
  }
  if (bytes > kMaxListBytes) return;
  form.Add(var, "jid-multi", label).values = std::move(people);
}

/// Says whose presence is shown now: an owner who leaves that as it is has chosen nothing.
v1::RoomConfig ConfigToShow(const Turn& turn) {
  v1::RoomConfig config = turn.room.config();
  config.set_presence_broadcast(BroadcastRolesNow(turn));
  return config;
}

}  // namespace

FormRefusal TooManyPeople() {
  return {ErrorCondition::kNotAcceptable, "Too many owners or admins are changed at once."};
}

xmpp::Form ConfigFormOf(const Turn& turn) {
  const v1::RoomConfig config = ConfigToShow(turn);
  xmpp::Form form{.type = "form",
                  .title = "Configuration of " + turn.room.jid(),
                  .instructions = turn.room.state().is_locked()
                                      ? "The room is new. It opens when this form is submitted."
                                      : "What is submitted takes effect at once.",
                  .form_type = std::string(kFormType)};
  for (const ConfigField& field : kFields)
    field.write(turn.settings, config, form.Add(field.var, field.type, field.label));
  form.Add(kIsProtected, "boolean", "Is a password wanted to enter?").values = {
      config.password().empty() ? "0" : "1"};
  FormField& secret = form.Add(kSecret, "text-private", "Password");
  if (!config.password().empty()) secret.values = {config.password()};
  AddPeople(turn.room, v1::AFFILIATION_ADMIN, kAdmins, "Admins", form);
  AddPeople(turn.room, v1::AFFILIATION_OWNER, kOwners, "Owners", form);
  return form;
}

std::optional<FormRefusal> ReadConfig(const Turn& turn, const xmpp::Form& form, ConfigChange& change) {
  if (!form.form_type.empty() && form.form_type != kFormType)
    return FormRefusal{ErrorCondition::kBadRequest, "Not the form of this room."};
  // Before any of them is looked at.
  if (HasTooMany(turn, form, kOwners) || HasTooMany(turn, form, kAdmins)) return TooManyPeople();
  change.config = ConfigToShow(turn);
  for (const ConfigField& field : kFields) {
    const FormField* submitted = form.Find(field.var);
    if (submitted != nullptr && !field.read(turn.settings, *submitted, change.config))
      return NotAcceptable(field.var);
  }
  if (change.config.presence_broadcast() == BroadcastRolesNow(turn)) {
    change.config.set_presence_broadcast(turn.room.config().presence_broadcast());
  } else {
    change.config.set_has_chosen_presence_broadcast(true);
  }
  if (!ReadPassword(form, change.config)) return NotAcceptable(kSecret);
  if (!ReadPeople(form, kOwners, turn.room, change.owners)) return NotAcceptable(kOwners);
  if (!ReadPeople(form, kAdmins, turn.room, change.admins)) return NotAcceptable(kAdmins);
  return std::nullopt;
}

}  // namespace rookery::muc
