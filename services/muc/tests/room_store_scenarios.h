#pragma once

// The promises of a store of rooms, whatever database is below it. A fixture gives `io()`, `store()`, and
// `other()`, another process's way into the same database. Each scenario has a shard and a service of its
// own.
#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "ports/room_store.h"
#include "rookery/testing/run_task.h"

namespace rookery::muc {

/// Tools to write and read rooms in a test.
class RoomStoreTools {
 public:
  static v1::Affiliated Entry(const std::string& jid, v1::Affiliation affiliation,
                              const std::string& nick = {}, std::uint64_t version = 0) {
    v1::Affiliated entry;
    entry.set_jid(jid);
    entry.set_affiliation(affiliation);
    entry.set_nick(nick);
    entry.set_version(version);
    return entry;
  }
  static v1::Occupant OccupantOf(const std::string& nick, const std::string& id = "id") {
    v1::Occupant occupant;
    occupant.set_nick(nick);
    occupant.set_role(v1::ROLE_PARTICIPANT);
    occupant.set_occupant_id(id);
    auto* session = occupant.add_sessions();
    session->set_jid("juliet@example.org/" + nick);
    session->mutable_presence()->set_payload(std::string("nul \0 and \xff and \\x and '\"{},", 28));
    return occupant;
  }
  static v1::PastMessage Past(std::uint64_t id, const std::string& text = "text") {
    v1::PastMessage message;
    message.set_archive_id(id);
    message.set_received_at_ms(1'700'000'000'000 + static_cast<std::int64_t>(id));
    message.set_sender("juliet@example.org");
    message.mutable_stanza()->set_payload("<body>" + text + "</body>");
    return message;
  }
  static std::vector<std::string> Bytes(const auto& messages) {
    std::vector<std::string> all;
    for (const auto& message : messages) all.push_back(message.SerializeAsString());
    return all;
  }
  static std::vector<std::string> Jids(const StoredRoom& room) {
    std::vector<std::string> all;
    for (const auto& entry : room.affiliations) all.push_back(entry.jid());
    return all;
  }
  static std::vector<std::string> Nicks(const StoredRoom& room) {
    std::vector<std::string> all;
    for (const auto& occupant : room.occupants) all.push_back(occupant.nick());
    return all;
  }
  static std::vector<std::uint64_t> Ids(const StoredRoom& room) {
    std::vector<std::uint64_t> all;
    for (const auto& message : room.history) all.push_back(message.archive_id());
    return all;
  }
  /// Names without their service.
  static std::vector<std::string> Names(const RoomPage& page) {
    std::vector<std::string> all;
    for (const auto& room : page.rooms) all.push_back(room.room.substr(0, room.room.find('@')));
    return all;
  }
};

template <typename Fixture>
class RoomStoreScenarios : public Fixture, public RoomStoreTools {
 protected:
  static constexpr std::size_t kAnySize = std::size_t{1} << 40;
  RoomStoreScenarios() {
    static std::uint32_t shards = 0;
    shard_ = ++shards;
    service_ = "conference.s" + std::to_string(shard_) + ".example";
  }
  template <typename T>
  T Run(Task<T> task) {
    return testing::RunTask(this->io(), std::move(task));
  }
  std::string Room(const std::string& name) const { return name + "@" + service_; }
  void Claim(std::int64_t epoch = 1) { ASSERT_EQ(Run(this->store().Claim(shard_, epoch)), absl::OkStatus()); }
  RoomChanges Changes(const std::string& name, std::int64_t applied = 1) const {
    RoomChanges changes;
    changes.room = Room(name);
    changes.applied = applied;
    return changes;
  }
  /// A room that is listed.
  RoomChanges Public(const std::string& name, std::int64_t occupants = 0) const {
    RoomChanges changes = Changes(name);
    changes.state.mutable_config()->set_is_public(true);
    changes.state.mutable_config()->set_is_persistent(true);
    changes.occupant_count = occupants;
    return changes;
  }
  void Save(RoomChanges changes, std::int64_t epoch = 1) {
    ASSERT_EQ(Run(this->store().Save(shard_, epoch, std::move(changes))), absl::OkStatus());
  }
  void Destroy(const std::string& name, std::int64_t epoch = 1) {
    RoomChanges changes = Changes(name);
    changes.is_destroyed = true;
    Save(std::move(changes), epoch);
  }
  std::vector<StoredRoom> LoadAll(std::vector<std::string> names) {
    for (std::string& name : names) name = Room(name);
    auto loaded = Run(this->store().Load(shard_, std::move(names), kAnySize));
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded.ok() ? std::move(loaded->rooms) : std::vector<StoredRoom>();
  }
  /// One without a name is not there.
  StoredRoom Load(const std::string& name) {
    std::vector<StoredRoom> rooms = LoadAll({name});
    EXPECT_LE(rooms.size(), 1u);
    return rooms.empty() || rooms.front().is_destroyed ? StoredRoom() : std::move(rooms.front());
  }
  RoomQuery Query(RoomQuery::SortKey key = RoomQuery::SortKey::kAddress) const {
    RoomQuery query;
    query.service = service_;
    query.sort_key = key;
    return query;
  }
  RoomPage List(RoomQuery query) {
    auto page = Run(this->store().List(std::move(query)));
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? *std::move(page) : RoomPage();
  }
  absl::Status ListStatus(RoomQuery query) { return Run(this->store().List(std::move(query))).status(); }
  bool MayMake(const std::string& room, const std::string& creator, std::int64_t most) {
    const auto may_make = Run(this->store().Reserve(room, creator, most));
    EXPECT_TRUE(may_make.ok()) << may_make.status();
    return may_make.value_or(false);
  }
  /// With something in each table.
  RoomChanges Full(const std::string& name, std::int64_t applied = 1) const {
    RoomChanges changes = Public(name, 2);
    changes.applied = applied;
    changes.affiliations = {Entry("juliet@example.org", v1::AFFILIATION_OWNER),
                            Entry("romeo@example.org", v1::AFFILIATION_MEMBER)};
    changes.occupants = {OccupantOf("Juliet"), OccupantOf("Romeo")};
    changes.history = {Past(1), Past(2)};
    return changes;
  }

  std::uint32_t shard_ = 0;
  std::string service_;
};

TYPED_TEST_SUITE_P(RoomStoreScenarios);

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// ---- claims -----------------------------------------------------------------

// The promises of claims are tested in libs/pg (claim_scenarios.h). Here: each statement is under one.
TYPED_TEST_P(RoomStoreScenarios, Claim_AnOlderOwnerChangesNothing) {
  this->Claim(5);
  this->Save(this->Full("r", 10), 5);
  this->Save(this->Full("gone"), 5);
  this->Destroy("gone", 5);
  ASSERT_EQ(this->Run(this->other().Claim(this->shard_, 6)), absl::OkStatus());
  EXPECT_EQ(*this->Run(this->store().ClaimedBy(this->shard_)), 6);
  RoomChanges late = this->Changes("r", 20);
  late.state.mutable_config()->set_name("late");
  late.affiliations = {this->Entry("mercutio@example.org", v1::AFFILIATION_OWNER)};
  late.forgotten_affiliations = {"juliet@example.org"};
  late.occupants = {this->OccupantOf("Mercutio")};
  late.gone_nicks = {"Juliet"};
  late.history = {this->Past(3)};
  late.history_from = 2;
  RoomChanges anew = late;
  anew.is_new = true;
  RoomChanges destroyed = this->Changes("r", 30);
  destroyed.is_destroyed = true;
  for (const RoomChanges& changes : {late, anew, destroyed, this->Full("another"), this->Full("gone")})
    EXPECT_TRUE(absl::IsFailedPrecondition(this->Run(this->store().Save(this->shard_, 5, changes))));
  const StoredRoom room = this->Load("r");
  EXPECT_EQ(room.applied, 10);
  EXPECT_EQ(room.state.config().name(), "");
  EXPECT_THAT(this->Jids(room), ElementsAre("juliet@example.org", "romeo@example.org"));
  EXPECT_THAT(this->Nicks(room), ElementsAre("Juliet", "Romeo"));
  EXPECT_THAT(this->Ids(room), ElementsAre(1, 2));
  EXPECT_EQ(this->Load("another").room, "");
  EXPECT_TRUE(absl::IsFailedPrecondition(this->Run(this->store().ForgetDestroyed(this->shard_, 5, 1'000))));
  const std::vector<StoredRoom> gone = this->LoadAll({"gone"});
  ASSERT_THAT(gone, SizeIs(1));
  EXPECT_TRUE(gone.front().is_destroyed);
}

TYPED_TEST_P(RoomStoreScenarios, Cursor_TheNewestOwnersLastWord) {
  const auto keep = [this](std::int64_t epoch, std::int64_t cursor) {
    EXPECT_EQ(this->Run(this->other().KeepCursor(this->shard_, epoch, cursor)), absl::OkStatus());
    return *this->Run(this->store().FindCursor(this->shard_));
  };
  EXPECT_EQ(*this->Run(this->store().FindCursor(this->shard_)), -1);
  EXPECT_EQ(keep(5, 100), 100);
  EXPECT_EQ(keep(5, 120), 120);
  EXPECT_EQ(keep(4, 130), 120) << "an older owner's";
  EXPECT_EQ(keep(6, 7), 7) << "the log was cut";
}

// ---- rooms ------------------------------------------------------------------

TYPED_TEST_P(RoomStoreScenarios, Load_WhatWasSaved) {
  this->Claim(7);
  RoomChanges changes = this->Changes("r", 42);
  changes.is_new = true;
  auto& config = *changes.state.mutable_config();
  config.set_name("{Name}, \"of\" \\ it's ✓");
  config.set_password("secret");
  *changes.state.mutable_subject() = this->Past(3, "subject");
  changes.state.set_vcard(std::string("\0\xff\\", 3));
  changes.affiliations = {this->Entry("a\"b,c{}\\@example.org", v1::AFFILIATION_OWNER, "Nick", 3),
                          this->Entry("outcast.example", v1::AFFILIATION_OUTCAST)};
  changes.affiliations[0].add_hats()->set_uri("urn:hat");
  changes.occupants = {this->OccupantOf("NULL"), this->OccupantOf("a ', \" {b} \\ ✓")};
  changes.history = {this->Past(12), this->Past(9), this->Past(1'000'000'000'000)};
  this->Save(changes, 7);

  const StoredRoom room = this->Load("r");
  EXPECT_EQ(room.room, changes.room);
  EXPECT_EQ(room.applied, 42);
  EXPECT_EQ(room.epoch, 7);
  EXPECT_EQ(room.state.SerializeAsString(), changes.state.SerializeAsString());
  EXPECT_THAT(this->Bytes(room.affiliations),
              ::testing::UnorderedElementsAreArray(this->Bytes(changes.affiliations)));
  EXPECT_THAT(this->Bytes(room.occupants),
              ::testing::UnorderedElementsAreArray(this->Bytes(changes.occupants)));
  EXPECT_THAT(this->Ids(room), ElementsAre(9, 12, 1'000'000'000'000));
  EXPECT_EQ(room.history[1].SerializeAsString(), changes.history[0].SerializeAsString());
}

TYPED_TEST_P(RoomStoreScenarios, Load_SeveralTogether) {
  this->Claim();
  this->Save(this->Full("a", 1));
  this->Save(this->Changes("b", 2));
  this->Save(this->Full("c", 3));
  const std::vector<StoredRoom> rooms = this->LoadAll({"c", "nobody", "a", "b", "a"});
  ASSERT_THAT(rooms, SizeIs(3));
  std::map<std::string, StoredRoom> found;
  for (const StoredRoom& room : rooms) found[room.room] = room;
  EXPECT_EQ(found[this->Room("a")].applied, 1);
  EXPECT_THAT(this->Nicks(found[this->Room("a")]), ElementsAre("Juliet", "Romeo"));
  EXPECT_EQ(found[this->Room("b")].applied, 2);
  EXPECT_THAT(this->Nicks(found[this->Room("b")]), IsEmpty());
  EXPECT_THAT(this->Ids(found[this->Room("c")]), ElementsAre(1, 2));
  EXPECT_THAT(this->LoadAll({}), IsEmpty());
}

TYPED_TEST_P(RoomStoreScenarios, Load_NotTooManyAtATime) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < RoomStore::kMaxLoaded; ++i) names.push_back(this->Room(std::to_string(i)));
  EXPECT_TRUE(this->Run(this->store().Load(this->shard_, names, this->kAnySize)).ok());
  names.push_back(this->Room("more"));
  EXPECT_TRUE(
      absl::IsInvalidArgument(this->Run(this->store().Load(this->shard_, names, this->kAnySize)).status()));
}

TYPED_TEST_P(RoomStoreScenarios, Save_OnlyWhatChangesIsChanged) {
  this->Claim();
  this->Save(this->Full("r", 1));
  this->Save(this->Full("other", 1));
  RoomChanges changes = this->Changes("r", 2);
  changes.state.set_last_archive_id(5);
  changes.affiliations = {this->Entry("romeo@example.org", v1::AFFILIATION_ADMIN, "Romeo"),
                          this->Entry("tybalt@example.org", v1::AFFILIATION_OUTCAST)};
  changes.occupants = {this->OccupantOf("Romeo", "new id"), this->OccupantOf("Nurse")};
  changes.history = {this->Past(3), this->Past(1, "moderated")};
  this->Save(changes);
  const StoredRoom room = this->Load("r");
  EXPECT_EQ(room.applied, 2);
  EXPECT_EQ(room.state.last_archive_id(), 5u);
  EXPECT_THAT(this->Bytes(room.affiliations),
              UnorderedElementsAre(
                  this->Entry("juliet@example.org", v1::AFFILIATION_OWNER).SerializeAsString(),
                  changes.affiliations[0].SerializeAsString(), changes.affiliations[1].SerializeAsString()));
  EXPECT_THAT(this->Bytes(room.occupants),
              UnorderedElementsAre(this->OccupantOf("Juliet").SerializeAsString(),
                                   changes.occupants[0].SerializeAsString(),
                                   changes.occupants[1].SerializeAsString()));
  EXPECT_THAT(this->Bytes(room.history),
              ElementsAre(changes.history[1].SerializeAsString(), this->Past(2).SerializeAsString(),
                          changes.history[0].SerializeAsString()));
  EXPECT_EQ(this->Bytes(this->Load("other").occupants), this->Bytes(this->Full("other").occupants));
}

TYPED_TEST_P(RoomStoreScenarios, Save_WhoIsForgottenAndWhoIsGone) {
  this->Claim();
  RoomChanges changes = this->Full("r");
  changes.affiliations.push_back(this->Entry("nurse@example.org", v1::AFFILIATION_ADMIN));
  this->Save(changes);
  this->Save(this->Full("other"));
  changes = this->Changes("r");
  changes.forgotten_affiliations = {"juliet@example.org", "nobody@example.org"};
  changes.affiliations = {this->Entry("romeo@example.org", v1::AFFILIATION_NONE),
                          this->Entry("nurse@example.org", v1::AFFILIATION_NONE, "", 9),
                          this->Entry("tybalt@example.org", v1::AFFILIATION_NONE, "Tybalt")};
  changes.gone_nicks = {"Romeo", "nobody"};
  this->Save(changes);
  const StoredRoom room = this->Load("r");
  EXPECT_THAT(this->Jids(room), UnorderedElementsAre("nurse@example.org", "tybalt@example.org"));
  EXPECT_THAT(this->Nicks(room), ElementsAre("Juliet"));
  EXPECT_THAT(this->Jids(this->Load("other")), SizeIs(2));
  EXPECT_THAT(this->Nicks(this->Load("other")), SizeIs(2));
}

TYPED_TEST_P(RoomStoreScenarios, Save_TheLastWordOnARowCounts) {
  this->Claim();
  this->Save(this->Full("r"));
  RoomChanges changes = this->Changes("r");
  changes.forgotten_affiliations = {"juliet@example.org", "juliet@example.org"};
  changes.affiliations = {this->Entry("juliet@example.org", v1::AFFILIATION_MEMBER),
                          this->Entry("juliet@example.org", v1::AFFILIATION_ADMIN),
                          this->Entry("romeo@example.org", v1::AFFILIATION_ADMIN),
                          this->Entry("romeo@example.org", v1::AFFILIATION_NONE)};
  changes.gone_nicks = {"Juliet"};
  changes.occupants = {this->OccupantOf("Juliet", "1"), this->OccupantOf("Juliet", "2")};
  changes.history = {this->Past(2, "a"), this->Past(2, "b")};
  this->Save(changes);
  const StoredRoom room = this->Load("r");
  EXPECT_THAT(this->Bytes(room.affiliations), ElementsAre(changes.affiliations[1].SerializeAsString()));
  EXPECT_THAT(this->Nicks(room), ElementsAre("Juliet", "Romeo"));
  EXPECT_EQ(room.occupants[0].occupant_id(), "2");
  EXPECT_THAT(this->Bytes(room.history),
              ElementsAre(this->Past(1).SerializeAsString(), this->Past(2, "b").SerializeAsString()));
}

TYPED_TEST_P(RoomStoreScenarios, Save_OldHistoryGoes) {
  this->Claim();
  RoomChanges changes = this->Changes("r");
  for (std::uint64_t id = 10; id < 20; ++id) changes.history.push_back(this->Past(id));
  this->Save(changes);
  this->Save(this->Full("other"));
  changes.history = {this->Past(9), this->Past(14, "changed"), this->Past(20)};
  changes.history_from = 17;
  this->Save(changes);
  EXPECT_THAT(this->Ids(this->Load("r")), ElementsAre(17, 18, 19, 20));
  EXPECT_THAT(this->Ids(this->Load("other")), ElementsAre(1, 2));
  changes = this->Changes("r");
  changes.history_from = 100;
  this->Save(changes);
  EXPECT_THAT(this->Ids(this->Load("r")), IsEmpty());
}

TYPED_TEST_P(RoomStoreScenarios, Save_ANewRoomHasNothingOfAnEarlierOne) {
  this->Claim();
  this->Save(this->Full("r", 1));
  this->Save(this->Full("other", 1));
  RoomChanges changes = this->Changes("r", 2);
  changes.is_new = true;
  changes.affiliations = {this->Entry("romeo@example.org", v1::AFFILIATION_OWNER)};
  changes.occupants = {this->OccupantOf("Romeo", "new id")};
  changes.history = {this->Past(2, "new"), this->Past(7)};
  changes.history_from = 2;
  this->Save(changes);
  StoredRoom room = this->Load("r");
  EXPECT_EQ(room.applied, 2);
  EXPECT_EQ(room.state.SerializeAsString(), "");
  EXPECT_EQ(this->Bytes(room.affiliations), this->Bytes(changes.affiliations));
  EXPECT_EQ(this->Bytes(room.occupants), this->Bytes(changes.occupants));
  EXPECT_EQ(this->Bytes(room.history), this->Bytes(changes.history));
  // Once more, as after an answer that was lost; and one with nothing in it.
  this->Save(changes);
  EXPECT_EQ(this->Bytes(this->Load("r").history), this->Bytes(changes.history));
  RoomChanges empty = this->Changes("r", 3);
  empty.is_new = true;
  this->Save(empty);
  room = this->Load("r");
  EXPECT_EQ(room.applied, 3);
  EXPECT_THAT(room.affiliations, IsEmpty());
  EXPECT_THAT(room.occupants, IsEmpty());
  EXPECT_THAT(room.history, IsEmpty());
  EXPECT_THAT(this->Jids(this->Load("other")), SizeIs(2));
}

TYPED_TEST_P(RoomStoreScenarios, Save_OfADestroyedRoomNothingRemains) {
  this->Claim();
  this->Save(this->Full("r"));
  this->Save(this->Full("other"));
  this->Destroy("r");
  EXPECT_EQ(this->Load("r").room, "");
  EXPECT_THAT(this->Names(this->List(this->Query())), ElementsAre("other"));
  // Were a row left somewhere, it would be in the next room of this name.
  this->Save(this->Changes("r", 9));
  const StoredRoom room = this->Load("r");
  EXPECT_THAT(room.affiliations, IsEmpty());
  EXPECT_THAT(room.occupants, IsEmpty());
  EXPECT_THAT(room.history, IsEmpty());
  EXPECT_THAT(this->Ids(this->Load("other")), ElementsAre(1, 2));
  this->Destroy("r");
  this->Destroy("r");
}

TYPED_TEST_P(RoomStoreScenarios, Destroyed_ByWhichRecord_UntilItIsForgotten) {
  this->Claim(5);
  this->Save(this->Full("r", 1), 5);
  RoomChanges destroyed = this->Changes("r", 20);
  destroyed.is_destroyed = true;
  this->Save(destroyed, 5);
  destroyed = this->Changes("never saved", 21);
  destroyed.is_destroyed = true;
  this->Save(destroyed, 5);
  std::vector<StoredRoom> rooms = this->LoadAll({"r"});
  ASSERT_THAT(rooms, SizeIs(1));
  EXPECT_TRUE(rooms[0].is_destroyed);
  EXPECT_EQ(rooms[0].applied, 20);
  EXPECT_EQ(rooms[0].epoch, 5);
  EXPECT_THAT(rooms[0].affiliations, IsEmpty());
  EXPECT_THAT(this->LoadAll({"r", "never saved"}), SizeIs(2));
  const auto forget = [&](std::uint32_t shard, std::int64_t cursor) {
    EXPECT_EQ(this->Run(this->store().ForgetDestroyed(shard, 5, cursor)), absl::OkStatus());
  };
  forget(this->shard_, 20);
  EXPECT_THAT(this->LoadAll({"r", "never saved"}), SizeIs(2));
  ASSERT_EQ(this->Run(this->store().Claim(this->shard_ + 1'000, 5)), absl::OkStatus());
  forget(this->shard_ + 1'000, 100);
  EXPECT_THAT(this->LoadAll({"r", "never saved"}), SizeIs(2));
  forget(this->shard_, 21);
  rooms = this->LoadAll({"r", "never saved"});
  ASSERT_THAT(rooms, SizeIs(1));
  EXPECT_EQ(rooms[0].applied, 21);
}

TYPED_TEST_P(RoomStoreScenarios, Destroyed_AndMadeAgain) {
  this->Claim();
  this->Save(this->Full("r", 1));
  this->Destroy("r");
  RoomChanges anew = this->Full("r", 30);
  anew.is_new = true;
  this->Save(anew);
  ASSERT_EQ(this->Run(this->store().ForgetDestroyed(this->shard_, 1, 100)), absl::OkStatus());
  const std::vector<StoredRoom> rooms = this->LoadAll({"r"});
  ASSERT_THAT(rooms, SizeIs(1));
  EXPECT_FALSE(rooms[0].is_destroyed);
  EXPECT_EQ(rooms[0].applied, 30);
}

TYPED_TEST_P(RoomStoreScenarios, Save_TheLongestAddresses) {
  // Texts that do not compress, of all the lengths that RFC 7622 allows.
  const auto text = [](std::uint32_t seed, std::size_t size) {
    std::string made;
    for (; made.size() < size; seed = seed * 1'664'525 + 1'013'904'223)
      made += "abcdefghijklmnopqrstuvwxyz012345"[seed >> 27];
    return made;
  };
  this->Claim();
  const std::string name = text(1, 1'023);
  const std::string stranger = text(2, 1'023) + "@" + text(3, 1'023), nick = text(4, 1'023);
  RoomChanges changes = this->Public(name);
  changes.affiliations = {this->Entry(stranger, v1::AFFILIATION_OWNER),
                          this->Entry(text(5, 1'023) + "@" + text(3, 1'023), v1::AFFILIATION_OUTCAST)};
  changes.occupants = {this->OccupantOf(nick)};
  changes.state.set_creator(stranger);
  this->Save(changes);
  EXPECT_FALSE(this->MayMake(this->Room("second"), stranger, 1));
  EXPECT_THAT(this->Names(this->List(this->Query())), ElementsAre(name));
  EXPECT_THAT(this->Bytes(this->Load(name).affiliations),
              ::testing::UnorderedElementsAreArray(this->Bytes(changes.affiliations)));
  EXPECT_THAT(this->Nicks(this->Load(name)), ElementsAre(nick));
  changes = this->Changes(name);
  changes.forgotten_affiliations = {stranger};
  this->Save(changes);
  EXPECT_THAT(this->Jids(this->Load(name)), SizeIs(1));
}

// ---- accounts' rooms --------------------------------------------------------

TYPED_TEST_P(RoomStoreScenarios, Secret_StaysTheSame) {
  const auto secret = this->Run(this->store().Secret());
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->size(), 32u);
  EXPECT_EQ(*this->Run(this->store().Secret()), *secret);
}

TYPED_TEST_P(RoomStoreScenarios, Load_AsManyAsTakeSoManyBytes) {
  this->Claim();
  std::vector<std::string> names;
  for (const std::string name : {"a", "b", "c", "d"}) {
    RoomChanges changes = this->Full(name);
    changes.bytes = name == "a" ? 1'000 : 100;
    this->Save(changes);
    names.push_back(this->Room(name));
  }
  names.insert(names.begin() + 1, this->Room("nobodys"));
  const auto load = [&](std::size_t bytes) {
    const auto loaded = this->Run(this->store().Load(this->shard_, names, bytes));
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return std::pair(loaded->looked_for, loaded->rooms.size());
  };
  EXPECT_EQ(load(1), std::pair(std::size_t{1}, std::size_t{1})) << "one, whatever its size";
  EXPECT_EQ(load(1'000), std::pair(std::size_t{2}, std::size_t{1}));
  EXPECT_EQ(load(1'200), std::pair(std::size_t{4}, std::size_t{3}));
  EXPECT_EQ(load(1'300), std::pair(std::size_t{5}, std::size_t{4}));
}

TYPED_TEST_P(RoomStoreScenarios, Reserve_RoomsThatThereAreByWhoHasMadeThem) {
  this->Claim();
  const std::string juliet = "juliet@" + this->service_, romeo = "romeo@" + this->service_;
  RoomChanges temporary = this->Full("temporary");
  temporary.state.mutable_config()->set_is_persistent(false);
  temporary.state.set_creator(juliet);
  this->Save(temporary);
  // It is given the room, and has not made it.
  RoomChanges given = this->Full("given");
  given.affiliations = {this->Entry(juliet, v1::AFFILIATION_OWNER)};
  given.state.set_creator(romeo);
  this->Save(given);
  EXPECT_FALSE(this->MayMake(this->Room("second"), juliet, 1));
  EXPECT_TRUE(this->MayMake(this->Room("temporary"), juliet, 1)) << "which is one of them";
  EXPECT_TRUE(this->MayMake(this->Room("second"), juliet, 2));
  EXPECT_TRUE(this->MayMake("first@elsewhere." + this->service_, juliet, 1));
}

TYPED_TEST_P(RoomStoreScenarios, Reserve_CountsBeforeTheRoomIsSaved) {
  this->Claim();
  const std::string juliet = "juliet@" + this->service_;
  EXPECT_TRUE(this->MayMake(this->Room("a"), juliet, 2));
  EXPECT_TRUE(this->MayMake(this->Room("b"), juliet, 2));
  EXPECT_TRUE(this->MayMake(this->Room("b"), juliet, 2)) << "again";
  EXPECT_FALSE(this->MayMake(this->Room("c"), juliet, 2));
  EXPECT_TRUE(this->MayMake(this->Room("c"), "romeo@" + this->service_, 2));
  RoomChanges made = this->Full("a");
  made.state.set_creator(juliet);
  this->Save(made);
  EXPECT_FALSE(this->MayMake(this->Room("c"), juliet, 2)) << "it counts once, and still";
  EXPECT_TRUE(this->MayMake(this->Room("c"), juliet, 3));
}

REGISTER_TYPED_TEST_SUITE_P(RoomStoreScenarios, Destroyed_ByWhichRecord_UntilItIsForgotten,
                            Destroyed_AndMadeAgain, Claim_AnOlderOwnerChangesNothing,
                            Cursor_TheNewestOwnersLastWord, Load_WhatWasSaved, Load_SeveralTogether,
                            Load_NotTooManyAtATime, Save_OnlyWhatChangesIsChanged,
                            Save_WhoIsForgottenAndWhoIsGone, Save_TheLastWordOnARowCounts,
                            Save_OldHistoryGoes, Save_ANewRoomHasNothingOfAnEarlierOne,
                            Save_OfADestroyedRoomNothingRemains, Save_TheLongestAddresses,
                            Secret_StaysTheSame, Load_AsManyAsTakeSoManyBytes,
                            Reserve_RoomsThatThereAreByWhoHasMadeThem, Reserve_CountsBeforeTheRoomIsSaved);

}  // namespace rookery::muc
