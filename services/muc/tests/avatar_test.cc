#include "domain/configuration/avatar.h"

#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kAdmin;
using testing::kMember;
using testing::kNobody;
using testing::kOwner;
using testing::kStranger;
using ::testing::Not;
using ::testing::SizeIs;

class Avatar : public testing::StaffedRoomTest {
 protected:
  Said Set(std::string_view from, const std::string& children) {
    return Iq("set", from, "<vCard xmlns='vcard-temp'>" + children + "</vCard>");
  }
  Said Get(std::string_view from) { return Iq("get", from, "<vCard xmlns='vcard-temp'/>"); }
  std::string Info(std::string_view from) {
    return Iq("get", from, "<query xmlns='http://jabber.org/protocol/disco#info'/>").front();
  }
  static std::string Photo(const std::string& base64) {
    return "<PHOTO><TYPE>image/png</TYPE><BINVAL>" + base64 + "</BINVAL></PHOTO>";
  }
};

// printf abc | sha1sum, and of "abd".
constexpr char kAbc[] = "a9993e364706816aba3e25717850c26c9cd0d89d";
constexpr char kAbd[] = "cb4cc28df0fdbe0ecf9d9662e294b118092a5735";

// XEP-0486 section 4.2, "Owner's client publishes avatar to the room" to "Room broadcasts a configuration
// change".
TEST_F(Avatar, AnOwnerPublishesIt) {
  const Said said = Set(kOwner, Photo("YWJj"));
  EXPECT_TRUE(IsResult(said.front()));
  EXPECT_THAT(To(said, kNobody),
              ElementsAre(AllOf(HasSubstr("<message"), HasSubstr("<status code=\"104\"/>")),
                          AllOf(HasSubstr("<presence from=\"coven@conference.example.org\""),
                                HasSubstr("<x xmlns=\"vcard-temp:x:update\"><photo>" + std::string(kAbc) +
                                          "</photo></x>"))));
  // Section 4.4.
  EXPECT_THAT(Get(kStranger),
              ElementsAre(HasSubstr("<vCard xmlns=\"vcard-temp\">" + Photo("YWJj") + "</vCard>")));
  // Section 4.3.
  EXPECT_THAT(Info(kStranger), HasSubstr("<field var=\"muc#roominfo_avatarhash\" type=\"text-multi\" "
                                         "label=\"Hashes of the avatar\"><value>" +
                                         std::string(kAbc) + "</value></field>"));
}

TEST_F(Avatar, IsCountedAmongWhatOthersHearOf) {
  settings().max_stanzas = 1;
  EXPECT_TRUE(IsResult(Set(kOwner, Photo("YWJj")).front()));
  EXPECT_EQ(RefusalIn(Set(kOwner, Photo("YWJk"))), "wait policy-violation");
  EXPECT_THAT(Get(kOwner), ElementsAre(HasSubstr("YWJj")));
}

// XEP-0153 section 4.5: white space means nothing.
TEST_F(Avatar, ItsHashIsOfTheImage) {
  Set(kOwner, Photo("\n  YW\n  Jj\n"));
  EXPECT_EQ(driver_.room().state().avatar_hash(), kAbc);
}

// Section 5.1: each format has its hash.
TEST_F(Avatar, SeveralFormatsHaveSeveralHashes) {
  Set(kOwner, Photo("YWJj") + Photo("YWJk"));
  EXPECT_THAT(Info(kStranger),
              HasSubstr("<value>" + std::string(kAbc) + "</value><value>" + kAbd + "</value>"));
}

// Section 4.2, "User is not allowed to set vCard-temp".
TEST_F(Avatar, OthersDoNotPublishIt) {
  for (const std::string& from : {kAdmin, kMember, kNobody, kStranger})
    EXPECT_EQ(RefusalIn(Set(from, Photo("YWJj"))), "auth forbidden") << from;
  EXPECT_EQ(driver_.room().state().vcard(), "");
}

// Section 4.2, "Owner's client removes a room's avatar".
TEST_F(Avatar, AnEmptyVcardTakesItAway) {
  Set(kOwner, Photo("YWJj"));
  const Said said = Set(kOwner, "");
  EXPECT_THAT(To(said, kNobody), Contains(HasSubstr("<x xmlns=\"vcard-temp:x:update\"><photo/></x>")));
  EXPECT_THAT(Info(kStranger), Not(HasSubstr("avatarhash")));
  EXPECT_THAT(Get(kStranger), ElementsAre(HasSubstr("<vCard xmlns=\"vcard-temp\"/>")));
}

TEST_F(Avatar, WhatIsTheSameIsNotToldAgain) {
  Set(kOwner, Photo("YWJj"));
  EXPECT_THAT(To(Set(kOwner, "<FN>Coven</FN>" + Photo("YWJj")), kNobody), ElementsAre(HasSubstr("104")));
}

TEST_F(Avatar, WhatIsNoneIsNotAcceptable) {
  for (const char* wrong : {"????", "Y", "YWJj="})
    EXPECT_EQ(RefusalIn(Set(kOwner, Photo(wrong))), "modify not-acceptable") << wrong;
  EXPECT_EQ(
      RefusalIn(Set(kOwner, Photo("YQ==") + Photo("YQ==") + Photo("YQ==") + Photo("YQ==") + Photo("YQ=="))),
      "modify not-acceptable");
  EXPECT_EQ(RefusalIn(Set(kOwner, Photo(std::string(70'000, 'Y')))), "modify not-acceptable");
  // XEP-0153 section 4.5: elsewhere it may be, and has no hash then.
  EXPECT_TRUE(IsResult(Set(kOwner, "<PHOTO><EXTVAL>http://example.org/a.png</EXTVAL></PHOTO>").front()));
  EXPECT_EQ(driver_.room().state().avatar_hash(), "");
}

TEST_F(Avatar, IsForThoseWhoMayEnter) {
  Set(kOwner, Photo("YWJj"));
  driver_.config().set_is_members_only(true);
  EXPECT_EQ(RefusalIn(Get(kStranger)), "auth forbidden");
  EXPECT_THAT(Info(kStranger), Not(HasSubstr("avatarhash")));
  EXPECT_TRUE(IsResult(Get(kMember).front()));
  driver_.config().set_is_members_only(false);
  Affiliate("hecate@example.org", v1::AFFILIATION_OUTCAST);
  EXPECT_EQ(RefusalIn(Get(kStranger)), "auth forbidden");
}

// The feature of XEP-0153: who enters hears of it.
TEST_F(Avatar, WhoEntersHearsOfIt) {
  const auto enter = [&] {
    return driver_.Do("<presence from='x@example.org/x' to='coven@conference.example.org/x'/>",
                      [](Turn& turn) { SendAvatarHash(turn, {"x@example.org/x"}); });
  };
  EXPECT_THAT(enter(), IsEmpty());
  Set(kOwner, Photo("YWJj"));
  EXPECT_THAT(enter(), ElementsAre(AllOf(HasSubstr("to=\"x@example.org/x\""), HasSubstr(kAbc))));
}

}  // namespace
}  // namespace rookery::muc
