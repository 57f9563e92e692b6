#pragma once

// The promises of a store of rooms about its list. See room_store_scenarios.h.
#include "room_store_scenarios.h"

namespace rookery::muc {

template <typename Fixture>
class RoomListScenarios : public RoomStoreScenarios<Fixture> {
 protected:
  using SortKey = RoomQuery::SortKey;

  RoomListScenarios() { this->Claim(); }
  void Rooms(const std::vector<std::pair<std::string, std::int64_t>>& rooms) {
    for (const auto& [name, occupants] : rooms) this->Save(this->Public(name, occupants));
  }
  void Described(const std::string& room, const std::string& name, const std::string& description) {
    RoomChanges changes = this->Public(room);
    changes.state.mutable_config()->set_name(name);
    changes.state.mutable_config()->set_description(description);
    this->Save(changes);
  }
  std::vector<std::string> Search(const std::string& text) {
    RoomQuery query = this->Query();
    query.text = text;
    return this->Names(this->List(query));
  }
  /// All pages, forwards or backwards, and what each says of its place.
  std::vector<std::string> Walk(RoomQuery query, bool is_backward) {
    std::vector<std::string> names;
    const std::int64_t count = this->List(query).count;
    if (is_backward) query.before = "";
    for (int pages = 0; pages < 100; ++pages) {
      const RoomPage page = this->List(query);
      EXPECT_EQ(page.count, count);
      EXPECT_LE(page.rooms.size(), static_cast<std::size_t>(query.max));
      if (page.rooms.empty()) {
        EXPECT_EQ(page.first_index, std::nullopt);
        return names;
      }
      const std::vector<std::string> more = this->Names(page);
      const auto before = static_cast<std::int64_t>(names.size()),
                 shown = static_cast<std::int64_t>(more.size());
      EXPECT_THAT(page.first_index, Optional(is_backward ? count - before - shown : before));
      names.insert(is_backward ? names.begin() : names.end(), more.begin(), more.end());
      (is_backward ? query.before : query.after) =
          (is_backward ? page.rooms.front() : page.rooms.back()).room;
    }
    ADD_FAILURE() << "no end";
    return names;
  }
};

TYPED_TEST_SUITE_P(RoomListScenarios);

TYPED_TEST_P(RoomListScenarios, OnlyPublicRoomsOfTheService) {
  this->Save(this->Public("shown"));
  this->Save(this->Changes("hidden"));
  RoomChanges locked = this->Public("locked");
  locked.state.set_is_locked(true);
  this->Save(locked);
  RoomChanges elsewhere = this->Public("elsewhere");
  elsewhere.room += ".elsewhere";
  this->Save(elsewhere);
  RoomPage page = this->List(this->Query());
  EXPECT_THAT(this->Names(page), ElementsAre("shown"));
  EXPECT_EQ(page.count, 1);
  EXPECT_THAT(page.first_index, Optional(0));
  // One is unlocked, the other hidden.
  this->Save(this->Public("locked"));
  this->Save(this->Changes("shown"));
  EXPECT_THAT(this->Names(this->List(this->Query())), ElementsAre("locked"));

  RoomQuery nowhere;
  nowhere.service = "nowhere.example";
  page = this->List(nowhere);
  EXPECT_THAT(page.rooms, IsEmpty());
  EXPECT_EQ(page.count, 0);
  EXPECT_EQ(page.first_index, std::nullopt);
}

TYPED_TEST_P(RoomListScenarios, WhatIsSaidOfARoom) {
  RoomChanges changes = this->Public("a", 3);
  auto& config = *changes.state.mutable_config();
  config.set_name("Näme");
  config.set_description("two\nlines");
  config.set_lang("de");
  config.set_whois(v1::AUDIENCE_MODERATORS);
  this->Save(changes);
  changes.room = this->Room("b");
  config.set_is_members_only(true);
  config.set_whois(v1::AUDIENCE_ANYONE);
  this->Save(changes);
  changes.room = this->Room("c");
  config.set_is_members_only(false);
  config.set_password("secret");
  this->Save(changes);
  const RoomPage page = this->List(this->Query());
  ASSERT_THAT(page.rooms, SizeIs(3));
  EXPECT_EQ(page.rooms[0].room, this->Room("a"));
  EXPECT_EQ(page.rooms[0].name, "Näme");
  EXPECT_EQ(page.rooms[0].description, "two\nlines");
  EXPECT_EQ(page.rooms[0].lang, "de");
  EXPECT_EQ(page.rooms[0].occupants, 3);
  EXPECT_TRUE(page.rooms[0].is_open);
  EXPECT_TRUE(page.rooms[0].is_anonymous);
  EXPECT_FALSE(page.rooms[1].is_open);
  EXPECT_FALSE(page.rooms[1].is_anonymous);
  EXPECT_FALSE(page.rooms[2].is_open);
}

TYPED_TEST_P(RoomListScenarios, ByAddress) {
  // Byte by byte, whatever a language thinks of it.
  this->Rooms({{"b", 0}, {"a-c", 1}, {"ab", 9}, {"é", 5}, {"z", 2}, {"a", 0}, {"a.b", 3}});
  const std::vector<std::string> all{"a-c", "a.b", "a", "ab", "b", "z", "é"};
  EXPECT_EQ(this->Names(this->List(this->Query())), all);
  for (const std::int64_t max : {1, 2, 3, 7, 8}) {
    RoomQuery query = this->Query();
    query.max = max;
    EXPECT_EQ(this->Walk(query, false), all) << max;
    EXPECT_EQ(this->Walk(query, true), all) << max;
  }
}

TYPED_TEST_P(RoomListScenarios, ByOccupants) {
  this->Rooms({{"b", 0}, {"c", 1}, {"d", 900}, {"e", 5}, {"f", 5}, {"a", 0}, {"g", 5}});
  const std::vector<std::string> all{"d", "e", "f", "g", "c", "a", "b"};
  EXPECT_EQ(this->Names(this->List(this->Query(TestFixture::SortKey::kOccupants))), all);
  for (const std::int64_t max : {1, 2, 3, 7, 8}) {
    RoomQuery query = this->Query(TestFixture::SortKey::kOccupants);
    query.max = max;
    EXPECT_EQ(this->Walk(query, false), all) << max;
    EXPECT_EQ(this->Walk(query, true), all) << max;
    query.min_occupants = 1;
    EXPECT_EQ(this->Walk(query, false), std::vector<std::string>(all.begin(), all.end() - 2)) << max;
    EXPECT_EQ(this->Walk(query, true), std::vector<std::string>(all.begin(), all.end() - 2)) << max;
  }
  // As they come and go.
  this->Save(this->Public("a", 6));
  this->Save(this->Public("d", 4));
  EXPECT_THAT(this->Names(this->List(this->Query(TestFixture::SortKey::kOccupants))),
              ElementsAre("a", "e", "f", "g", "d", "c", "b"));
}

TYPED_TEST_P(RoomListScenarios, FewestOccupants_ByAddress) {
  this->Rooms({{"a", 2}, {"b", 0}, {"c", 3}, {"d", 1}, {"e", 2}});
  RoomQuery query = this->Query();
  query.min_occupants = 2;
  query.max = 2;
  EXPECT_THAT(this->Walk(query, false), ElementsAre("a", "c", "e"));
  EXPECT_THAT(this->Walk(query, true), ElementsAre("a", "c", "e"));
}

TYPED_TEST_P(RoomListScenarios, ByIndex) {
  this->Rooms({{"a", 0}, {"b", 5}, {"c", 0}, {"d", 6}, {"e", 0}});
  RoomQuery query = this->Query();
  query.max = 2;
  query.index = 3;
  query.after = "ignored@" + this->service_;
  RoomPage page = this->List(query);
  EXPECT_THAT(this->Names(page), ElementsAre("d", "e"));
  EXPECT_THAT(page.first_index, Optional(3));
  EXPECT_EQ(page.count, 5);
  query.sort_key = TestFixture::SortKey::kOccupants;
  query.index = 0;
  EXPECT_THAT(this->Names(this->List(query)), ElementsAre("d", "b"));
  query.index = 4;
  page = this->List(query);
  EXPECT_THAT(this->Names(page), ElementsAre("e"));
  EXPECT_EQ(page.count, 5);
  for (const std::int64_t behind : {5, 1'000'000}) {
    query.index = behind;
    page = this->List(query);
    EXPECT_THAT(page.rooms, IsEmpty());
    EXPECT_EQ(page.count, 5);
    EXPECT_EQ(page.first_index, std::nullopt);
  }
}

TYPED_TEST_P(RoomListScenarios, HowManyThereAre) {
  this->Rooms({{"a", 0}, {"b", 5}, {"c", 0}});
  RoomQuery query = this->Query();
  query.max = 0;
  const RoomPage page = this->List(query);
  EXPECT_THAT(page.rooms, IsEmpty());
  EXPECT_EQ(page.count, 3);
  query.min_occupants = 1;
  EXPECT_EQ(this->List(query).count, 1);
}

TYPED_TEST_P(RoomListScenarios, BesideARoomThatIsGone) {
  this->Rooms({{"a", 3}, {"b", 2}, {"c", 1}});
  this->Destroy("b");
  // In the order of addresses it is known what follows a room that is gone (XEP-0059 section 2.4).
  RoomQuery query = this->Query();
  query.after = this->Room("b");
  RoomPage page = this->List(query);
  EXPECT_THAT(this->Names(page), ElementsAre("c"));
  EXPECT_THAT(page.first_index, Optional(1));
  query.after.reset();
  query.before = this->Room("b");
  EXPECT_THAT(this->Names(this->List(query)), ElementsAre("a"));
  query.sort_key = TestFixture::SortKey::kOccupants;
  EXPECT_TRUE(absl::IsNotFound(this->ListStatus(query)));
  query.before.reset();
  query.after = this->Room("b");
  EXPECT_TRUE(absl::IsNotFound(this->ListStatus(query)));
  this->Save(this->Changes("b"));  // there, but nobody is told
  EXPECT_TRUE(absl::IsNotFound(this->ListStatus(query)));
  query.after = "";
  EXPECT_THAT(this->Names(this->List(query)), ElementsAre("a", "c"));
}

TYPED_TEST_P(RoomListScenarios, Words_EachIsSomewhere) {
  this->Described("jdev", "XMPP Development", "Where Jabber is made");
  this->Described("operators", "Operators of servers", "XMPP and more");
  this->Described("cooking", "Äpfel & Birnen", "STRASSE");
  EXPECT_THAT(this->Search("xmpp"), ElementsAre("jdev", "operators"));
  EXPECT_THAT(this->Search("  XMPP\tserver "), ElementsAre("operators"));
  EXPECT_THAT(this->Search("made xmpp dev"), ElementsAre("jdev"));
  EXPECT_THAT(this->Search("xmpp birnen"), IsEmpty());
  EXPECT_THAT(this->Search("äPFEL"), ElementsAre("cooking"));
  EXPECT_THAT(this->Search("straße & cars"), IsEmpty());
  EXPECT_THAT(this->Search("straße &"), ElementsAre("cooking"));
  EXPECT_THAT(this->Search("operators@" + this->service_), ElementsAre("operators"));
  // No word is put together from the end of one field and the beginning of another.
  EXPECT_THAT(this->Search("developmentwhere"), IsEmpty());
}

TYPED_TEST_P(RoomListScenarios, Words_HaveNoWildcards) {
  this->Described("a", "100% sure", "x_y");
  this->Described("b", "1000 sure", "xzy");
  this->Described("c", "100\\ sure", "x'y");
  EXPECT_THAT(this->Search("100%"), ElementsAre("a"));
  EXPECT_THAT(this->Search("x_y"), ElementsAre("a"));
  EXPECT_THAT(this->Search("100\\"), ElementsAre("c"));
  EXPECT_THAT(this->Search("x'y"), ElementsAre("c"));
  EXPECT_THAT(this->Search("%x"), IsEmpty());
}

TYPED_TEST_P(RoomListScenarios, Words_InTheFieldsAskedFor) {
  this->Described("word1", "", "");
  this->Described("a", "word2", "");
  this->Described("b", "", "word3");
  RoomQuery query = this->Query();
  query.text = "word";
  const auto in = [&](bool name, bool description, bool address) {
    query.in_name = name;
    query.in_description = description;
    query.in_address = address;
    return this->Names(this->List(query));
  };
  EXPECT_THAT(in(true, true, true), ElementsAre("a", "b", "word1"));
  EXPECT_THAT(in(true, false, false), ElementsAre("a"));
  EXPECT_THAT(in(false, true, false), ElementsAre("b"));
  EXPECT_THAT(in(false, false, true), ElementsAre("word1"));
  EXPECT_THAT(in(true, false, true), ElementsAre("a", "word1"));
  query.in_name = query.in_description = query.in_address = false;
  EXPECT_TRUE(absl::IsInvalidArgument(this->ListStatus(query)));
  query.text.clear();
  EXPECT_THAT(this->Names(this->List(query)), SizeIs(3));
}

TYPED_TEST_P(RoomListScenarios, Words_ThatCannotBeLookedFor) {
  RoomQuery query = this->Query();
  for (const std::string text : {" ", "%", "... _ &", "\xf0\x9f\x8e\x89"}) {
    query.text = text;
    EXPECT_TRUE(absl::IsInvalidArgument(this->ListStatus(query))) << text;
  }
  query.text = std::string(RoomQuery::kMaxText, 'x');
  EXPECT_EQ(this->ListStatus(query), absl::OkStatus());
  query.text += 'x';
  EXPECT_TRUE(absl::IsInvalidArgument(this->ListStatus(query)));
}

TYPED_TEST_P(RoomListScenarios, Words_PageByPage) {
  this->Rooms({{"a-yes", 1}, {"b", 9}, {"c-yes", 3}, {"d-yes", 3}, {"e", 0}, {"f-yes", 0}});
  RoomQuery query = this->Query();
  query.text = "YES";
  query.max = 2;
  EXPECT_THAT(this->Walk(query, false), ElementsAre("a-yes", "c-yes", "d-yes", "f-yes"));
  EXPECT_THAT(this->Walk(query, true), ElementsAre("a-yes", "c-yes", "d-yes", "f-yes"));
  query.sort_key = TestFixture::SortKey::kOccupants;
  EXPECT_THAT(this->Walk(query, false), ElementsAre("c-yes", "d-yes", "a-yes", "f-yes"));
  EXPECT_THAT(this->Walk(query, true), ElementsAre("c-yes", "d-yes", "a-yes", "f-yes"));
  query.min_occupants = 1;
  EXPECT_THAT(this->Walk(query, false), ElementsAre("c-yes", "d-yes", "a-yes"));
  query.index = 1;
  EXPECT_THAT(this->Names(this->List(query)), ElementsAre("d-yes", "a-yes"));
}

REGISTER_TYPED_TEST_SUITE_P(RoomListScenarios, OnlyPublicRoomsOfTheService, WhatIsSaidOfARoom, ByAddress,
                            ByOccupants, FewestOccupants_ByAddress, ByIndex, HowManyThereAre,
                            BesideARoomThatIsGone, Words_EachIsSomewhere, Words_HaveNoWildcards,
                            Words_InTheFieldsAskedFor, Words_ThatCannotBeLookedFor, Words_PageByPage);

}  // namespace rookery::muc
