#include "domain/service/service_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "domain/room/room_listing.h"
#include "rookery/runtime/event.h"
#include "rookery/testing/run_task.h"
#include "rookery/xmpp/element.h"

namespace rookery::muc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Gives one page, and remembers what it was asked for.
class ListingStore final : public RoomStore {
 public:
  Task<absl::Status> Claim(std::uint32_t, std::int64_t) override { co_return absl::OkStatus(); }
  Task<absl::StatusOr<std::int64_t>> ClaimedBy(std::uint32_t) override { co_return -1; }
  Task<absl::Status> KeepCursor(std::uint32_t, std::int64_t, std::int64_t) override {
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<std::int64_t>> FindCursor(std::uint32_t) override { co_return -1; }
  Task<absl::StatusOr<Loaded>> Load(std::uint32_t, std::vector<std::string>, std::size_t) override {
    co_return absl::UnimplementedError("");
  }
  Task<absl::Status> Save(std::uint32_t, std::int64_t, RoomChanges) override {
    co_return absl::UnimplementedError("");
  }
  Task<absl::Status> ForgetDestroyed(std::uint32_t, std::int64_t, std::int64_t) override {
    co_return absl::OkStatus();
  }
  Task<absl::StatusOr<RoomPage>> List(RoomQuery query) override {
    asked = std::move(query);
    ++lists;
    if (slow) co_await slow->Wait();
    co_return answer;
  }
  Task<absl::StatusOr<std::string>> Secret() override { co_return absl::UnimplementedError(""); }
  Task<absl::StatusOr<bool>> Reserve(std::string, std::string, std::int64_t) override {
    co_return absl::UnimplementedError("");
  }

  absl::StatusOr<RoomPage> answer = RoomPage{};
  std::optional<RoomQuery> asked;
  int lists = 0;
  /// While set, lists wait for it.
  std::unique_ptr<runtime::Event> slow;
};

class ServiceDeskTest : public ::testing::Test {
 protected:
  ServiceDeskTest() {
    settings_.version = "1.2.3";
    RoomPage page;
    page.rooms = {{.room = "coven@conference.example.org",
                   .name = "A Dark Cave",
                   .description = "The place for all good witches!",
                   .lang = "en",
                   .occupants = 3,
                   .is_open = true,
                   .is_anonymous = true},
                  {.room = "heath@conference.example.org",
                   .name = "",
                   .description = "",
                   .lang = "",
                   .occupants = 0,
                   .is_open = false,
                   .is_anonymous = false}};
    page.count = 2;
    store_.answer = std::move(page);
  }
  static xmpp::Stanza StanzaOf(const std::string& xml) {
    return *xmpp::FromElement(xmpp::ParsePayload(xml)->front());
  }
  static std::string XmlOf(const xmpp::Stanza& stanza) {
    std::string xml;
    xmpp::AppendXml(xml, stanza, xmpp::Framing::kStream);
    return xml;
  }
  std::string Ask(const std::string& payload, const std::string& type = "get") {
    return XmlOf(testing::RunTask(
        io_, desk_.Answer(StanzaOf("<iq type='" + type +
                                   "' id='1' from='hag66@example.org/pda' to='conference.example.org'>" +
                                   payload + "</iq>"))));
  }
  std::string Items(const std::string& set = {}) {
    return Ask("<query xmlns='http://jabber.org/protocol/disco#items'>" + set + "</query>");
  }
  static std::string Set(const std::string& children) {
    return "<set xmlns='http://jabber.org/protocol/rsm'>" + children + "</set>";
  }
  std::string Search(const std::vector<std::pair<std::string, std::string>>& fields,
                     const std::string& set = {}) {
    std::string form =
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        "<value>urn:xmpp:channel-search:0:search-params</value></field>";
    for (const auto& [var, value] : fields)
      form += "<field var='" + var + "'><value>" + value + "</value></field>";
    return Ask("<search xmlns='urn:xmpp:channel-search:0:search'>" + set + form + "</x></search>");
  }
  static std::string Error(const std::string& type, const std::string& condition) {
    return "<error type=\"" + type + "\"><" + condition + " xmlns=\"urn:ietf:params:xml:ns:xmpp-stanzas\"/>";
  }
  static std::string Specific(const std::string& condition) {
    return "<" + condition + " xmlns=\"urn:xmpp:channel-search:0:error\"";
  }

  asio::io_context io_;
  Settings settings_;
  ListingStore store_;
  ServiceDesk desk_{settings_, store_};
};

// XEP-0045 sections 6.2 ("Service Returns Disco Info Result") and 7.4; XEP-0421 section 2; XEP-0433
// section 4.1; XEP-0486 section 4.1.
TEST_F(ServiceDeskTest, TheServiceSaysWhatItIs) {
  const std::string info = Ask("<query xmlns='http://jabber.org/protocol/disco#info'/>");
  EXPECT_THAT(info, HasSubstr("<iq from=\"conference.example.org\" to=\"hag66@example.org/pda\" id=\"1\" "
                              "type=\"result\"><query xmlns=\"http://jabber.org/protocol/disco#info\">"
                              "<identity category=\"conference\" type=\"text\" name=\"Rooms\"/>"));
  for (const char* feature :
       {"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items",
        "http://jabber.org/protocol/muc", "http://jabber.org/protocol/muc#stable_id",
        "http://jabber.org/protocol/rsm", "urn:xmpp:occupant-id:0", "urn:xmpp:channel-search:0:search",
        "vcard-temp", "urn:xmpp:ping", "jabber:iq:version"})
    EXPECT_THAT(info, HasSubstr("<feature var=\"" + std::string(feature) + "\"/>")) << feature;
}

// Section 6.3, "Service Returns Disco Items Result".
TEST_F(ServiceDeskTest, TheServiceListsItsRooms) {
  EXPECT_THAT(Items(), HasSubstr("<query xmlns=\"http://jabber.org/protocol/disco#items\">"
                                 "<item jid=\"coven@conference.example.org\" name=\"A Dark Cave\"/>"
                                 "<item jid=\"heath@conference.example.org\"/></query>"));
  EXPECT_EQ(store_.asked->service, "conference.example.org");
  EXPECT_EQ(store_.asked->max, 100);
  EXPECT_EQ(store_.asked->sort_key, RoomQuery::SortKey::kAddress);
}

// "Service Returns Limited List of Disco Items Result".
TEST_F(ServiceDeskTest, AListThatIsNotWholeSaysSo) {
  store_.answer->count = 37;
  store_.answer->first_index = 0;
  EXPECT_THAT(Items(),
              HasSubstr("<set xmlns=\"http://jabber.org/protocol/rsm\"><first index=\"0\">"
                        "coven@conference.example.org</first><last>heath@conference.example.org</last>"
                        "<count>37</count></set></query>"));
}

// XEP-0059.
TEST_F(ServiceDeskTest, RoomsComeInPages) {
  EXPECT_THAT(Items(Set("<max>2</max><after>a@conference.example.org</after>")),
              HasSubstr("<count>2</count>"));
  EXPECT_EQ(store_.asked->max, 2);
  EXPECT_EQ(store_.asked->after, "a@conference.example.org");
  Items(Set("<max>1000000</max><before/>"));
  EXPECT_EQ(store_.asked->max, 100);
  EXPECT_EQ(store_.asked->before, "");
  Items(Set("<index>371</index>"));
  EXPECT_EQ(store_.asked->index, 371);
  store_.answer = RoomPage{};
  store_.answer->count = 800;
  EXPECT_THAT(Items(Set("<max>0</max>")),
              HasSubstr("<set xmlns=\"http://jabber.org/protocol/rsm\"><count>800</count></set></query>"));
  EXPECT_EQ(store_.asked->max, 0);
  // Section 2.2: of nothing there is no page.
  store_.answer = RoomPage{};
  EXPECT_THAT(Items(Set("<max>10</max>")), Not(HasSubstr("<set")));
  EXPECT_THAT(Items(Set("<max>x</max>")), HasSubstr(Error("modify", "bad-request")));
  store_.answer = absl::NotFoundError("");
  EXPECT_THAT(Items(Set("<after>x@conference.example.org</after>")),
              HasSubstr(Error("cancel", "item-not-found")));
}

TEST_F(ServiceDeskTest, WhatPassesSoonIsToBeWaitedFor) {
  store_.answer = absl::UnavailableError("");
  EXPECT_THAT(Items(), HasSubstr("<error type=\"wait\">"));
  EXPECT_THAT(Search({{"all", "true"}}), HasSubstr("<error type=\"wait\">"));
  store_.answer = absl::DeadlineExceededError("");
  EXPECT_THAT(Items(), HasSubstr("<error type=\"wait\">"));
}

// XEP-0433 section 4.2.2.4.
TEST_F(ServiceDeskTest, MoreSearchesThanAreMadeAtATimeAreTooManyAtThisRate) {
  store_.answer = absl::ResourceExhaustedError("");
  EXPECT_THAT(Search({{"all", "true"}}),
              AllOf(HasSubstr(Error("wait", "resource-constraint")),
                    HasSubstr("<rate-limit xmlns=\"urn:xmpp:channel-search:0:error\" retry-after=\"")));
  store_.answer = absl::UnavailableError("");
  EXPECT_THAT(Search({{"all", "true"}}), Not(HasSubstr("<rate-limit")));
}

TEST_F(ServiceDeskTest, UnknownNodesAreNotFound) {
  for (const char* what : {"info", "items"})
    EXPECT_THAT(Ask("<query xmlns='http://jabber.org/protocol/disco#" + std::string(what) + "' node='x'/>"),
                HasSubstr(Error("cancel", "item-not-found")));
  EXPECT_FALSE(store_.asked);
}

// XEP-0199, XEP-0092; XEP-0054.
TEST_F(ServiceDeskTest, ItAnswersPingAndVersion) {
  EXPECT_THAT(Ask("<ping xmlns='urn:xmpp:ping'/>"), HasSubstr("type=\"result\"/>"));
  EXPECT_THAT(Ask("<query xmlns='jabber:iq:version'/>"),
              HasSubstr("<name>Rookery</name><version>1.2.3</version></query>"));
  EXPECT_THAT(Ask("<vCard xmlns='vcard-temp'/>"), HasSubstr("<FN>Rooms</FN>"));
}

// RFC 6120 section 8.4.
TEST_F(ServiceDeskTest, WhatItDoesNotKnowIsUnavailable) {
  for (const char* payload :
       {"<query xmlns='jabber:iq:last'/>", "<unique xmlns='http://jabber.org/protocol/muc#unique'/>"})
    EXPECT_THAT(Ask(payload), HasSubstr(Error("cancel", "service-unavailable"))) << payload;
  for (const char* payload :
       {"<query xmlns='http://jabber.org/protocol/disco#info'/>", "<vCard xmlns='vcard-temp'/>",
        "<search xmlns='urn:xmpp:channel-search:0:search'/>"})
    EXPECT_THAT(Ask(payload, "set"), HasSubstr(Error("cancel", "service-unavailable"))) << payload;
}

// RFC 6121 section 8.5.1.
TEST_F(ServiceDeskTest, MessagesAreRefusedAndPresenceIsNot) {
  const auto refusal = [](const std::string& start) {
    const auto stanza = ServiceDesk::RefusalOf(
        StanzaOf("<" + start + " id='1' from='hag66@example.org/pda' to='conference.example.org'/>"));
    return stanza ? XmlOf(*stanza) : std::string();
  };
  for (const char* type : {"message", "message type='chat'", "message type='groupchat'"})
    EXPECT_THAT(refusal(type),
                AllOf(HasSubstr("type=\"error\""), HasSubstr(Error("cancel", "service-unavailable"))));
  for (const char* type :
       {"message type='error'", "message type='headline'", "presence", "presence type='subscribe'",
        "presence type='probe'", "iq type='result'", "iq type='error'"})
    EXPECT_EQ(refusal(type), "") << type;
}

// ---- XEP-0433

// Section 4.2.1.
TEST_F(ServiceDeskTest, TheSearchHasAForm) {
  const std::string form = Ask("<search xmlns='urn:xmpp:channel-search:0:search'/>");
  EXPECT_THAT(form, HasSubstr("<search xmlns=\"urn:xmpp:channel-search:0:search\">"
                              "<x xmlns=\"jabber:x:data\" type=\"form\">"));
  EXPECT_THAT(form, HasSubstr("<value>urn:xmpp:channel-search:0:search-params</value>"));
  for (const char* var : {"q", "all", "sinname", "sindescription", "sinaddress", "min_users", "types", "key"})
    EXPECT_THAT(form, HasSubstr("<field var=\"" + std::string(var) + "\"")) << var;
  EXPECT_FALSE(store_.asked);
}

// Section 4.2.2.1; section 6.2.
TEST_F(ServiceDeskTest, TheSearchFindsRooms) {
  store_.answer->first_index = 0;
  const std::string result = Search({{"q", "witches cave"},
                                     {"sindescription", "false"},
                                     {"sinaddr", "0"},
                                     {"min_users", "2"},
                                     {"key", "{urn:xmpp:channel-search:0:order}address"},
                                     {"colour", "red"}},
                                    Set("<max>5</max><after>a@conference.example.org</after>"));
  EXPECT_EQ(store_.asked->text, "witches cave");
  EXPECT_TRUE(store_.asked->in_name);
  EXPECT_FALSE(store_.asked->in_description);
  EXPECT_FALSE(store_.asked->in_address);
  EXPECT_EQ(store_.asked->min_occupants, 2);
  EXPECT_EQ(store_.asked->sort_key, RoomQuery::SortKey::kAddress);
  EXPECT_EQ(store_.asked->max, 5);
  EXPECT_EQ(store_.asked->after, "a@conference.example.org");
  EXPECT_EQ(store_.asked->service, "conference.example.org");
  EXPECT_THAT(result,
              HasSubstr("<result xmlns=\"urn:xmpp:channel-search:0:search\">"
                        "<item address=\"coven@conference.example.org\"><name>A Dark Cave</name>"
                        "<description>The place for all good witches!</description><language>en</language>"
                        "<nusers>3</nusers><service-type>xep-0045</service-type><is-open>true</is-open>"
                        "<anonymity-mode>muc_semianonymous</anonymity-mode></item>"));
  EXPECT_THAT(result,
              HasSubstr("<item address=\"heath@conference.example.org\">"
                        "<service-type>xep-0045</service-type><is-open>false</is-open><anonymity-mode>"
                        "{urn:xmpp:channel-search:0:anonymity}none</anonymity-mode></item>"));
  EXPECT_THAT(result, HasSubstr("<first index=\"0\">coven@conference.example.org</first>"));
}

TEST_F(ServiceDeskTest, TheSearchSortsByOccupantsUnlessItIsTold) {
  Search({{"all", "1"}});
  EXPECT_EQ(store_.asked->sort_key, RoomQuery::SortKey::kOccupants);
  EXPECT_EQ(store_.asked->text, "");
  Search({{"all", "1"}, {"key", "{urn:xmpp:channel-search:0:order}nusers"}});
  EXPECT_EQ(store_.asked->sort_key, RoomQuery::SortKey::kOccupants);
}

// Section 5: nothing found is no error.
TEST_F(ServiceDeskTest, ASearchMayFindNothing) {
  store_.answer = RoomPage{};
  EXPECT_THAT(Search({{"q", "nothing"}}), HasSubstr("<result xmlns=\"urn:xmpp:channel-search:0:search\"/>"));
  // Nor are rooms of other services given to those who have not asked for any.
  store_.asked.reset();
  EXPECT_THAT(Search({{"q", "witch"}, {"types", "xep-0369"}}),
              HasSubstr("<result xmlns=\"urn:xmpp:channel-search:0:search\"/>"));
  EXPECT_FALSE(store_.asked);
}

// Section 4.2.2.2.
TEST_F(ServiceDeskTest, AnUnknownOrderIsNotImplemented) {
  EXPECT_THAT(
      Search({{"q", "witch"}, {"key", "{urn:example}weather"}}),
      AllOf(HasSubstr(Error("modify", "feature-not-implemented")), HasSubstr(Specific("invalid-sort-key"))));
}

// Section 4.2.2.3.
TEST_F(ServiceDeskTest, WordsThatAreNoneAreInvalid) {
  store_.answer = absl::InvalidArgumentError("");
  EXPECT_THAT(Search({{"q", "!!"}}),
              AllOf(HasSubstr(Error("modify", "bad-request")), HasSubstr(Specific("invalid-search-terms"))));
  EXPECT_THAT(Search({{"q", std::string(257, 'w')}}), HasSubstr(Specific("invalid-search-terms")));
}

// Section 4.2.2.6.
TEST_F(ServiceDeskTest, AllAndSomeAreAConflict) {
  EXPECT_THAT(
      Search({{"q", "witch"}, {"all", "true"}}),
      AllOf(HasSubstr(Error("modify", "bad-request")),
            HasSubstr(Specific("conflicting-fields") + "><var>all</var><var>q</var></conflicting-fields>")));
  EXPECT_THAT(Search({{"q", "witch"}, {"sinname", "0"}, {"sindescription", "0"}, {"sinaddress", "0"}}),
              HasSubstr(Specific("conflicting-fields")));
}

// Section 4.2.2.7.
TEST_F(ServiceDeskTest, NothingIsNoSearch) {
  for (const auto& fields :
       {std::vector<std::pair<std::string, std::string>>{}, {{"all", "false"}}, {{"q", ""}}})
    EXPECT_THAT(Search(fields), AllOf(HasSubstr(Error("cancel", "bad-request")),
                                      HasSubstr(Specific("no-search-conditions"))));
}

TEST_F(ServiceDeskTest, HostileSearchesAreBadRequests) {
  const std::string bad = Error("modify", "bad-request");
  EXPECT_THAT(Search({{"q", "witch"}, {"min_users", "-1"}}), HasSubstr(bad));
  EXPECT_THAT(Search({{"q", "witch"}, {"sinname", "perhaps"}}), HasSubstr(bad));
  EXPECT_THAT(Search({{"q", "witch"}, {"q", "cave"}}), HasSubstr(bad));
  EXPECT_THAT(Search({{"q", "witch"}}, Set("<max>-1</max>")), HasSubstr(bad));
  for (const char* x :
       {"<x xmlns='jabber:x:data'/>", "<x xmlns='jabber:x:data' type='cancel'/>",
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>other</value></field></x>",
        "<x xmlns='jabber:x:data' type='submit'><field var='q'><value>a</value><value>b</value></field></x>"})
    EXPECT_THAT(Ask("<search xmlns='urn:xmpp:channel-search:0:search'>" + std::string(x) + "</search>"),
                HasSubstr(bad))
        << x;
  EXPECT_FALSE(store_.asked);
}

// ---- bounds

TEST_F(ServiceDeskTest, OnePageHasAsManyRoomsAsAnAnswerTakes) {
  RoomPage page;
  for (int i = 0; i < 100; ++i) {
    ListedRoom room;
    room.room = "room" + std::to_string(100 + i) + "@conference.example.org";
    room.name = std::string(1'000, '<');
    room.description = std::string(4'096, '&');
    page.rooms.push_back(std::move(room));
  }
  page.count = 1'000;
  page.first_index = 300;
  store_.answer = page;
  const std::string first = Search({{"all", "true"}}, Set("<max>100</max>"));
  EXPECT_LT(first.size(), 200'000u);
  EXPECT_THAT(first, HasSubstr("<first index=\"300\">room100@"));
  EXPECT_THAT(first, HasSubstr("<count>1000</count>"));
  EXPECT_THAT(first, Not(HasSubstr("room199@")));
  const std::size_t last = first.find("<last>room") + 10;
  const int shown = std::stoi(first.substr(last, 3)) - 100 + 1;
  EXPECT_GT(shown, 3);
  // The page in front of a room is next to it.
  const std::string before = Search({{"all", "true"}}, Set("<max>100</max><before>room200@x</before>"));
  EXPECT_LT(before.size(), 200'000u);
  EXPECT_THAT(before, HasSubstr("<last>room199@"));
  EXPECT_THAT(before, HasSubstr("<first index=\"" + std::to_string(400 - shown) + "\">"));
  for (ListedRoom& room : store_.answer->rooms) room.name = std::string(4'096, '&');
  const std::string items = Items();
  EXPECT_LT(items.size(), 200'000u);
  EXPECT_THAT(items, HasSubstr("<last>room"));
}

TEST_F(ServiceDeskTest, ListsAreMadeAFewAtATime_AndOneForEach) {
  store_.slow = std::make_unique<runtime::Event>(io_.get_executor());
  std::vector<std::string> answers;
  const auto ask = [&](const std::string& who) {
    asio::co_spawn(io_,
                   desk_.Answer(StanzaOf("<iq type='get' id='1' from='" + who +
                                         "' to='conference.example.org'>"
                                         "<query xmlns='http://jabber.org/protocol/disco#items'/></iq>")),
                   [&](std::exception_ptr, const xmpp::Stanza& answer) { answers.push_back(XmlOf(answer)); });
    io_.restart();
    io_.poll();
  };
  ask("hag@example.org/pda");
  ask("hag@example.org/phone");
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_THAT(answers[0], HasSubstr(Error("wait", "resource-constraint")));
  for (std::size_t i = 1; i < RoomLists::kMost; ++i) ask("hag" + std::to_string(i) + "@example.org/pda");
  EXPECT_EQ(answers.size(), 1u);
  ask("one-too-many@example.org/pda");
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_THAT(answers[1], HasSubstr(Error("wait", "resource-constraint")));
  EXPECT_EQ(store_.lists, static_cast<int>(RoomLists::kMost));
  store_.slow->Set();
  io_.restart();
  io_.poll();
  EXPECT_EQ(answers.size(), RoomLists::kMost + 2);
  ask("hag@example.org/phone");
  EXPECT_THAT(answers.back(), HasSubstr("coven@"));
}

TEST_F(ServiceDeskTest, SearchesKeepNobodyFromLists) {
  store_.slow = std::make_unique<runtime::Event>(io_.get_executor());
  std::vector<std::string> answers;
  const auto ask = [&](const std::string& who, const std::string& payload) {
    asio::co_spawn(
        io_,
        desk_.Answer(StanzaOf("<iq type='get' id='1' from='" + who +
                              "@example.org/pda' to='conference.example.org'>" + payload + "</iq>")),
        [&](std::exception_ptr, const xmpp::Stanza& answer) { answers.push_back(XmlOf(answer)); });
    io_.restart();
    io_.poll();
  };
  const std::string search =
      "<search xmlns='urn:xmpp:channel-search:0:search'><x xmlns='jabber:x:data' type='submit'>"
      "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:channel-search:0:search-params</value></field>"
      "<field var='q'><value>cave</value></field></x></search>";
  const std::string list = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
  for (std::size_t i = 0; i < RoomLists::kMostSearches; ++i) ask("hag" + std::to_string(i), search);
  EXPECT_THAT(answers, IsEmpty());
  ask("one-too-many", search);
  EXPECT_THAT(answers, ElementsAre(HasSubstr("<error type=\"wait\">")));
  ask("one-too-many", list);
  ask("hag0", list);
  EXPECT_EQ(store_.lists, static_cast<int>(RoomLists::kMostSearches) + 2);
  store_.slow->Set();
  io_.restart();
  io_.poll();
  EXPECT_EQ(answers.size(), RoomLists::kMostSearches + 3);
}

TEST_F(ServiceDeskTest, WhatFoldsToMuchMoreIsNotSearchedToItsEnd) {
  RoomChanges changes;
  changes.room = "coven@conference.example.org";
  changes.state.mutable_config()->set_is_public(true);
  std::string phrase;
  for (int i = 0; i < 1'000; ++i) phrase += "\xef\xb7\xba";  // U+FDFA, 33 bytes when folded
  changes.state.mutable_config()->set_description(phrase);
  changes.state.mutable_config()->set_name("Coven");
  const RoomListing listing = ListingOf(changes);
  EXPECT_LE(listing.search_description.size(), 2 * phrase.size());
  EXPECT_GT(listing.search_description.size(), 2 * phrase.size() - 4);
  EXPECT_NE(static_cast<unsigned char>(listing.search_description.back()) & 0xc0, 0xc0) << "a character cut";
  EXPECT_EQ(listing.search_name, "coven");
}

// As disco#info has it for strangers.
TEST_F(ServiceDeskTest, HowManyAreInWhereNotAllMayEnterIsNotFound) {
  RoomChanges changes;
  changes.room = "coven@conference.example.org";
  changes.state.mutable_config()->set_is_public(true);
  changes.occupant_count = 3;
  EXPECT_EQ(ListingOf(changes).shown.occupants, 3);
  changes.state.mutable_config()->set_password("cauldronburn");
  EXPECT_EQ(ListingOf(changes).shown.occupants, 0);
  changes.state.mutable_config()->clear_password();
  changes.state.mutable_config()->set_is_members_only(true);
  EXPECT_EQ(ListingOf(changes).shown.occupants, 0);
}

TEST_F(ServiceDeskTest, AQuestionHasNotTooManyWords) {
  RoomQuery query;
  for (int i = 0; i < 16; ++i) query.text += "w" + std::to_string(i) + " ";
  EXPECT_TRUE(WordsOf(query).ok());
  query.text += "more";
  EXPECT_TRUE(absl::IsInvalidArgument(WordsOf(query).status()));
}

}  // namespace
}  // namespace rookery::muc
