#include "domain/affiliations/hats.h"

#include "domain/occupants/hat_list.h"
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kAdmin;
using testing::kMember;
using testing::kModerator;
using testing::kNobody;
using testing::kOwner;
using testing::kStranger;
using ::testing::Not;

constexpr char kTeacher[] = "http://tech.example.edu/hats#Teacher";

class Hats : public testing::StaffedRoomTest {
 protected:
  Said Command(std::string_view from, const std::string& node, const std::string& child = {},
               const std::string& attributes = "action='execute'") {
    return driver_.Apply(
        "<iq type='set' id='1' xml:lang='en' from='" + std::string(from) +
        "' to='coven@conference.example.org'>"
        "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:hats:commands:" +
        node + "' " + attributes + ">" + child + "</command></iq>");
  }
  static std::string Form(const std::vector<std::pair<std::string, std::string>>& fields) {
    std::string form =
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        "<value>urn:xmpp:hats:commands</value></field>";
    for (const auto& [var, value] : fields)
      form += "<field var='" + var + "'><value>" + value + "</value></field>";
    return form + "</x>";
  }
  Said Make(std::string_view from, const std::string& uri, const std::string& title,
            const std::string& hue = {}) {
    return Command(from, "create", Form({{"hats#title", title}, {"hats#uri", uri}, {"hats#hue", hue}}));
  }
  Said Assign(std::string_view from, const std::string& jid, const std::string& uri) {
    return Command(from, "assign", Form({{"hats#jid", jid}, {"hats#uri", uri}}));
  }
  Said Unassign(std::string_view from, const std::string& jid, const std::string& uri) {
    return Command(from, "unassign", Form({{"hats#jid", jid}, {"hats#uri", uri}}));
  }
};

TEST_F(Hats, AreCountedAmongWhatOthersHearOf) {
  settings().max_stanzas = 2;
  Make(kOwner, kTeacher, "Teacher");
  EXPECT_TRUE(IsResult(Assign(kOwner, "hag66@example.org", kTeacher).front()));
  EXPECT_EQ(RefusalIn(Unassign(kOwner, "hag66@example.org", kTeacher)), "wait policy-violation");
  EXPECT_TRUE(IsResult(Command(kOwner, "list").front()));
}

// former_account.h: one that was given before an account was made is not meant for it.
TEST_F(Hats, AreMeantForWhoHasTheNameWhenTheyAreGivenLast) {
  const auto given_at_ms = [this] {
    return room().FindAffiliated("absent@example.org")->hats(0).given_at_ms();
  };
  Make(kOwner, kTeacher, "Teacher");
  Assign(kOwner, "absent@example.org", kTeacher);
  EXPECT_EQ(given_at_ms(), driver_.now_ms());
  driver_.Pass(60'000);
  Assign(kOwner, "absent@example.org", kTeacher);
  EXPECT_EQ(given_at_ms(), driver_.now_ms());
}

// XEP-0317 section 3.2, "Admin Requests to Create a Hat" to "Room Informs Admin of Completion".
TEST_F(Hats, AnOwnerMakesOne) {
  EXPECT_THAT(Command(kOwner, "create"),
              ElementsAre(AllOf(
                  HasSubstr("node=\"urn:xmpp:hats:commands:create\" sessionid=\"hats-42\" "
                            "status=\"executing\"><actions execute=\"complete\"><complete/></actions>"),
                  HasSubstr("<value>urn:xmpp:hats:commands</value>"), HasSubstr("<field var=\"hats#title\""),
                  HasSubstr("<field var=\"hats#uri\""), HasSubstr("<field var=\"hats#hue\""))));
  const Said said = Command(
      kOwner, "create", Form({{"hats#title", "Teacher"}, {"hats#uri", kTeacher}, {"hats#hue", "327.255249"}}),
      "sessionid='hats-42'");
  EXPECT_THAT(said.front(),
              AllOf(HasSubstr("type=\"result\""), HasSubstr("sessionid=\"hats-42\" status=\"completed\"/>")));
  EXPECT_THAT(To(said, kNobody), ElementsAre(HasSubstr("<status code=\"104\"/>")));
  // "Room Returns the List of Configured Hats".
  EXPECT_THAT(
      Command(kNobody, "list"),
      ElementsAre(AllOf(HasSubstr("status=\"completed\""), HasSubstr("<reported>"),
                        HasSubstr("<value>Teacher</value>"), HasSubstr(kTeacher), HasSubstr("327.255249"))));
}

// Section 3.1 and 3.5.
TEST_F(Hats, AnAdminGivesOneAndPresenceShowsIt) {
  Make(kOwner, kTeacher, "The &lt;Teacher&gt;", "120");
  EXPECT_THAT(
      Command(kAdmin, "assign"),
      ElementsAre(AllOf(HasSubstr("<field var=\"hats#jid\" type=\"jid-single\""),
                        HasSubstr("<option label=\"The &lt;Teacher&gt;\"><value>" + std::string(kTeacher)))));
  const Said said = Assign(kAdmin, "Polonius@example.net/castle", kTeacher);
  EXPECT_THAT(said.front(), HasSubstr("status=\"completed\""));
  const std::string hats = "<hats xmlns=\"urn:xmpp:hats:0\"><hat title=\"The &lt;Teacher&gt;\" uri=\"" +
                           std::string(kTeacher) + "\" hue=\"120\" xml:lang=\"en\"/></hats>";
  EXPECT_THAT(To(said, kMember), ElementsAre(AllOf(HasSubstr("/Polo\""), HasSubstr(hats))));
  EXPECT_THAT(To(said, kNobody), ElementsAre(HasSubstr(hats)));
  EXPECT_EQ(HatsOf(driver_.room(), "polonius@example.net"), hats);
  EXPECT_EQ(HatsOf(driver_.room(), "hag66@example.org"), "");
  // "Room Returns the List of Assigned Hats".
  EXPECT_THAT(Command(kAdmin, "list-assigned"),
              ElementsAre(AllOf(HasSubstr("<value>polonius@example.net</value>"), HasSubstr(kTeacher))));
  // Once more is the same.
  EXPECT_THAT(Assign(kAdmin, "polonius@example.net", kTeacher), ElementsAre(HasSubstr("completed")));
  // Somebody without affiliation is remembered for the hat.
  EXPECT_EQ(AffiliationOf("polonius@example.net"), v1::AFFILIATION_NONE);
}

// Section 3.6.
TEST_F(Hats, AnAdminTakesOne) {
  Make(kOwner, kTeacher, "Teacher");
  Assign(kAdmin, "polonius@example.net", kTeacher);
  Assign(kAdmin, "hag66@example.org", kTeacher);
  const Said said = Unassign(kAdmin, "polonius@example.net", kTeacher);
  EXPECT_THAT(said.front(), HasSubstr("status=\"completed\""));
  EXPECT_THAT(To(said, kMember), ElementsAre(AllOf(HasSubstr("/Polo\""), Not(HasSubstr("<hat")))));
  EXPECT_EQ(driver_.room().FindAffiliated("polonius@example.net"), nullptr);
  EXPECT_EQ(RefusalIn(Unassign(kAdmin, "polonius@example.net", kTeacher)), "cancel item-not-found");
  EXPECT_NE(HatsOf(driver_.room(), "hag66@example.org"), "");
}

// Section 3.2: the same flow changes it.
TEST_F(Hats, AChangedHatIsShownChanged) {
  Make(kOwner, kTeacher, "Teacher");
  Assign(kAdmin, "hag66@example.org", kTeacher);
  const Said said = Make(kOwner, kTeacher, "Professor");
  EXPECT_THAT(To(said, kNobody), ElementsAre(HasSubstr("104"), HasSubstr("title=\"Professor\"")));
  EXPECT_EQ(driver_.room().state().hats_size(), 1);
}

// Section 3.3.
TEST_F(Hats, ADestroyedHatIsTakenFromAll) {
  Make(kOwner, kTeacher, "Teacher");
  Assign(kAdmin, "hag66@example.org", kTeacher);
  Assign(kAdmin, "absent@example.org", kTeacher);
  EXPECT_THAT(Command(kOwner, "destroy"), ElementsAre(HasSubstr("<option label=\"Teacher\">")));
  const Said said = Command(kOwner, "destroy", Form({{"hats#uri", kTeacher}}));
  EXPECT_THAT(said.front(), HasSubstr("status=\"completed\""));
  EXPECT_THAT(To(said, kNobody),
              ElementsAre(HasSubstr("104"), AllOf(HasSubstr("/thirdwitch\""), Not(HasSubstr("<hat")))));
  EXPECT_EQ(driver_.room().state().hats_size(), 0);
  EXPECT_EQ(driver_.room().FindAffiliated("absent@example.org"), nullptr);
  EXPECT_EQ(RefusalIn(Command(kOwner, "destroy", Form({{"hats#uri", kTeacher}}))), "cancel item-not-found");
}

TEST_F(Hats, ABanLeavesNoHatBehindThatIsShown) {
  Make(kOwner, kTeacher, "Teacher");
  Assign(kAdmin, "polonius@example.net", kTeacher);
  const Said said = AdminSet(kAdmin, "<item jid='polonius@example.net' affiliation='outcast'/>");
  EXPECT_THAT(To(said, kMember), ElementsAre(HasSubstr("301")));
}

TEST_F(Hats, EachCommandIsForThoseWhoMayUseIt) {
  Make(kOwner, kTeacher, "Teacher");
  for (const std::string& from : {kAdmin, kMember, kModerator, kNobody, kStranger})
    for (const char* node : {"create", "destroy"})
      EXPECT_EQ(RefusalIn(Command(from, node)), "auth forbidden") << from << node;
  for (const std::string& from : {kMember, kModerator, kNobody, kStranger})
    for (const char* node : {"assign", "unassign", "list-assigned"})
      EXPECT_EQ(RefusalIn(Command(from, node)), "auth forbidden") << from << node;
  EXPECT_EQ(RefusalIn(Assign(kMember, "hag66@example.org", kTeacher)), "auth forbidden");
  driver_.config().set_is_members_only(true);
  EXPECT_EQ(RefusalIn(Command(kStranger, "list")), "auth forbidden");
}

// XEP-0050 sections 3.4 and 4.
TEST_F(Hats, CommandsAreCancelledAndDoNotGoBack) {
  EXPECT_THAT(Command(kOwner, "create", "", "action='cancel' sessionid='s1'"),
              ElementsAre(HasSubstr("sessionid=\"s1\" status=\"canceled\"/>")));
  EXPECT_THAT(Command(kOwner, "create", "<x xmlns='jabber:x:data' type='cancel'/>"),
              ElementsAre(HasSubstr("status=\"canceled\"/>")));
  const auto error = [&](const std::string& attributes) {
    return Command(kOwner, "create", "", attributes).front();
  };
  const std::string ns = " xmlns=\"http://jabber.org/protocol/commands\"/>";
  EXPECT_THAT(error("action='prev'"), AllOf(HasSubstr("<bad-request "), HasSubstr("<bad-action" + ns)));
  EXPECT_THAT(error("action='dance'"), HasSubstr("<malformed-action" + ns));
  EXPECT_THAT(error("sessionid='" + std::string(129, 's') + "'"), HasSubstr("<bad-sessionid" + ns));
  EXPECT_EQ(RefusalIn(Command(kOwner, "knit")), "cancel item-not-found");
}

TEST_F(Hats, HostileFormsAreRefused) {
  Make(kOwner, kTeacher, "Teacher");
  const std::pair<const char*, std::string> wrong[] = {
      {"create", Form({{"hats#uri", "urn:a"}})},
      {"create", Form({{"hats#title", "A"}})},
      {"create", Form({{"hats#title", "A"}, {"hats#uri", "no uri"}})},
      {"create", Form({{"hats#title", "A"}, {"hats#uri", ":a"}})},
      {"create", Form({{"hats#title", "A"}, {"hats#uri", "urn:" + std::string(512, 'a')}})},
      {"create", Form({{"hats#title", std::string(257, 'A')}, {"hats#uri", "urn:a"}})},
      {"create", Form({{"hats#title", "A"}, {"hats#uri", "urn:a"}, {"hats#hue", "361"}})},
      {"create", Form({{"hats#title", "A"}, {"hats#uri", "urn:a"}, {"hats#hue", "nan"}})},
      {"create", Form({{"hats#title", "A"}, {"hats#uri", "urn:a"}, {"hats#hue", "pink"}})},
      {"create", "<x xmlns='jabber:x:data' type='form'/>"},
      {"create", "<x xmlns='jabber:x:data'/>"},
      {"create",
       "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>other</value></field></x>"},
      {"destroy", Form({})},
      {"assign", Form({{"hats#jid", "a@example.org"}})},
      {"assign", Form({{"hats#uri", kTeacher}})},
      {"assign", Form({{"hats#jid", "example.org"}, {"hats#uri", kTeacher}})},
      {"assign", Form({{"hats#jid", "coven@conference.example.org/Polo"}, {"hats#uri", kTeacher}})},
  };
  for (const auto& [node, form] : wrong) {
    const Said said = Command(kOwner, node, form);
    EXPECT_EQ(RefusalIn(said), "modify bad-request") << node << form;
    EXPECT_THAT(said.front(), HasSubstr("<bad-payload "));
  }
  EXPECT_EQ(driver_.room().state().hats_size(), 1);
  EXPECT_EQ(RefusalIn(Assign(kAdmin, "@", kTeacher)), "modify jid-malformed");
  EXPECT_EQ(RefusalIn(Assign(kAdmin, "a@example.org", "urn:unknown")), "cancel item-not-found");
}

TEST_F(Hats, ThereAreSoManyAndNoMore) {
  for (int i = 0; i < 50; ++i) Make(kOwner, "urn:hat:" + std::to_string(i), "Hat");
  EXPECT_EQ(RefusalIn(Make(kOwner, "urn:hat:50", "Hat")), "wait resource-constraint");
  for (int i = 0; i < 10; ++i) Assign(kAdmin, "hag66@example.org", "urn:hat:" + std::to_string(i));
  EXPECT_EQ(RefusalIn(Assign(kAdmin, "hag66@example.org", "urn:hat:10")), "wait resource-constraint");
  driver_.settings().max_affiliations = 3;
  EXPECT_EQ(RefusalIn(Assign(kAdmin, "absent@example.org", "urn:hat:10")), "wait resource-constraint");
}

// An entry that says nothing but hats is kept all the same.
TEST_F(Hats, AreKeptWithoutAnAffiliation) {
  driver_.room().ChangeState().set_affiliation_horizon(1000);
  Make(kOwner, kTeacher, "Teacher");
  Assign(kAdmin, "absent@example.org", kTeacher);
  EXPECT_EQ(driver_.room().FindAffiliated("absent@example.org")->version(), 1000u);
}

}  // namespace
}  // namespace rookery::muc
