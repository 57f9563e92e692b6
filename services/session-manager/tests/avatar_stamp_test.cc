#include "domain/presence/avatar_stamp.h"

#include <gtest/gtest.h>

#include "domain/users/settings_cache.h"

namespace rookery::session_manager {
namespace {

constexpr char kEmpty[] = "<x xmlns=\"vcard-temp:x:update\"/>";
constexpr char kNone[] = "<x xmlns=\"vcard-temp:x:update\"><photo/></x>";
constexpr char kMine[] = "<x xmlns=\"vcard-temp:x:update\"><photo>abc</photo></x>";
constexpr char kOther[] = "<x xmlns=\"vcard-temp:x:update\"><photo>def</photo></x>";
constexpr char kCaps[] = "<c xmlns=\"http://jabber.org/protocol/caps\" node=\"n\"/>";

xmpp::Stanza Presence(const std::string& payload) {
  xmpp::Stanza presence = xmpp::MakePresence({}, "a@x/y", {});
  presence.set_payload(payload);
  return presence;
}

std::string Stamped(const std::string& payload, std::optional<std::string> hash) {
  roster::v1::UserSettings made;
  if (hash) made.set_avatar_hash(*hash);
  const UserSettings settings(std::move(made), /*known=*/true);
  xmpp::Stanza presence = Presence(payload);
  StampAvatar(presence, &settings);
  return presence.payload();
}

// XEP-0398 section 4: empty <x/> is overwritten, and so is what is not true.
TEST(AvatarStamp, TheHashIsOursToSay) {
  EXPECT_EQ(Stamped("", "abc"), kMine);
  for (const char* said : {kEmpty, kOther, kMine, kNone}) EXPECT_EQ(Stamped(said, "abc"), kMine) << said;
  EXPECT_EQ(Stamped(std::string(kOther) + kCaps, "abc"), std::string(kCaps) + kMine);
}

// XEP-0153 section 4.1, rule 3.
TEST(AvatarStamp, SoIsThatThereIsNone) {
  for (const char* said : {"", kEmpty, kOther, kNone}) EXPECT_EQ(Stamped(said, ""), kNone) << said;
}

TEST(AvatarStamp, WhoHasNeverSetAVcardSaysWhatTheClientSays) {
  for (const char* said : {"", kEmpty, kOther, kNone}) {
    EXPECT_EQ(Stamped(said, std::nullopt), said);
    xmpp::Stanza presence = Presence(said);
    StampAvatar(presence, nullptr);
    EXPECT_EQ(presence.payload(), said);
  }
}

TEST(AvatarStamp, TraitsSayWhatIsThere) {
  const UserSettings settings(
      [] {
        roster::v1::UserSettings made;
        made.set_avatar_hash("abc");
        return made;
      }(),
      /*known=*/true);
  xmpp::Stanza presence = Presence({});
  const auto caps = xmpp::ParsePayload(kCaps);
  xmpp::SetPayload(presence, caps->front());
  StampAvatar(presence, &settings);
  StampAvatar(presence, &settings);
  EXPECT_TRUE(xmpp::Has(presence, common::v1::STANZA_TRAIT_CAPS));
  EXPECT_TRUE(xmpp::Has(presence, common::v1::STANZA_TRAIT_OTHER_PAYLOAD));
}

TEST(AvatarDeclined, ByAnEmptyPhotoOnly) {
  EXPECT_TRUE(DeclinesAvatar(Presence(kNone)));
  EXPECT_TRUE(DeclinesAvatar(Presence(std::string(kCaps) + kNone)));
  EXPECT_TRUE(DeclinesAvatar(Presence("<x xmlns=\"vcard-temp:x:update\"><photo> \n</photo></x>")));
  for (const char* said : {"", kEmpty, kOther, kCaps, "<photo/>", "<x xmlns=\"other\"><photo/></x>",
                           "<status>vcard-temp:x:update</status>",
                           "<x xmlns=\"vcard-temp:x:update\"><photo xmlns=\"other\"/></x>"})
    EXPECT_FALSE(DeclinesAvatar(Presence(said))) << said;
}

}  // namespace
}  // namespace rookery::session_manager
