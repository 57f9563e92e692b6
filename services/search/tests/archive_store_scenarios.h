#pragma once

// The promises of a store of archives, whatever database is below it. A fixture gives `io()`, `store()`, and
// `other()`, another process's way into the same database. Each scenario has a shard and a domain of its own.
#include <gmock/gmock.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ports/archive_store.h"
#include "rookery/testing/run_task.h"

namespace rookery::search {

using Ids = std::vector<std::uint64_t>;

template <typename Fixture>
class ArchiveStoreScenarios : public Fixture {
 protected:
  /// 2026-01-15, in the middle of a month.
  static constexpr std::int64_t kBegin = 1'768'435'200'000;
  static constexpr std::int64_t kMinute = 60'000;
  static constexpr std::int64_t kDay = 24 * 60 * kMinute;

  ArchiveStoreScenarios() {
    static std::uint32_t shards = 0;
    shard_ = ++shards;
    domain_ = "s" + std::to_string(shard_) + ".example";
    owner_ = "juliet@" + domain_;
  }
  template <typename T>
  T Run(Task<T> task) {
    return testing::RunTask(this->io(), std::move(task));
  }
  void Claim(std::int64_t epoch = 1) { ASSERT_EQ(Run(this->store().Claim(shard_, epoch)), absl::OkStatus()); }

  /// Where Message() puts an id, if nothing else is said.
  static std::int64_t PositionOf(std::uint64_t id) { return static_cast<std::int64_t>(id) * 10; }
  /// Received `days` after the beginning.
  ArchivedMessage Message(std::uint64_t id, std::int64_t days = 0,
                          const std::string& peer = "romeo@other.example",
                          const std::string& resource = "orchard") const {
    ArchivedMessage message;
    message.owner = owner_;
    message.position = PositionOf(id);
    message.id = id;
    message.received_at_ms = kBegin + days * kDay + static_cast<std::int64_t>(id) * kMinute;
    message.generation = 1;
    message.peer = peer;
    message.peer_resource = resource;
    message.origin = {1, 7, static_cast<std::int64_t>(id) - 1};
    message.stanza = std::string("nul \0 and \xff and \\x and '\"{},", 28) + std::to_string(id);
    return message;
  }
  static ArchivedMessage At(std::int64_t position, ArchivedMessage message) {
    message.position = position;
    return message;
  }
  std::vector<Appended> Append(std::vector<ArchivedMessage> messages, std::int64_t epoch = 1) {
    auto answers = Run(this->store().Append(shard_, epoch, std::move(messages)));
    EXPECT_TRUE(answers.ok()) << answers.status();
    return answers.ok() ? *std::move(answers) : std::vector<Appended>();
  }
  absl::Status AppendStatus(ArchivedMessage message, std::int64_t epoch) {
    return Run(this->store().Append(shard_, epoch, {std::move(message)})).status();
  }
  /// Ids from 1 on, one a day: those of several partitions.
  void Fill(std::uint64_t many) {
    std::vector<ArchivedMessage> messages;
    for (std::uint64_t id = 1; id <= many; ++id)
      messages.push_back(Message(id, static_cast<std::int64_t>(id)));
    Append(std::move(messages));
  }
  PageRequest Request() const {
    PageRequest request;
    request.filter.owner = owner_;
    request.filter.generation = 1;
    return request;
  }
  ArchivePage Page(PageRequest request) {
    auto page = Run(this->store().FindPage(std::move(request)));
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? *std::move(page) : ArchivePage();
  }
  static Ids IdsOf(const ArchivePage& page) {
    Ids ids;
    for (const ArchivedMessage& message : page.messages) ids.push_back(message.id);
    return ids;
  }
  Ids Found(PageRequest request) { return IdsOf(Page(std::move(request))); }
  absl::Status FindStatus(PageRequest request) {
    return Run(this->store().FindPage(std::move(request))).status();
  }
  std::pair<std::size_t, bool> Count(ArchiveFilter filter, std::size_t at_most) {
    const auto count = Run(this->store().Count(std::move(filter), at_most));
    EXPECT_TRUE(count.ok()) << count.status();
    return count.ok() ? std::pair(count->rows, count->is_exact) : std::pair<std::size_t, bool>(0, false);
  }
  bool Has(std::uint64_t id, std::uint64_t generation = 1) {
    const auto has = Run(this->store().Has(owner_, generation, id));
    EXPECT_TRUE(has.ok()) << has.status();
    return has.value_or(false);
  }
  /// All of the archive, in steps; how many rows went.
  std::size_t EraseAll(const Erasure& erasure, std::size_t step = 3) {
    std::size_t rows = 0;
    std::int64_t next = 0;
    for (int i = 0; i < 1'000; ++i) {
      const auto erased = Run(this->store().Erase(shard_, 1, erasure, next, step));
      EXPECT_TRUE(erased.ok()) << erased.status();
      if (!erased.ok()) return rows;
      rows += erased->rows;
      if (!erased->next_position) return rows;
      EXPECT_GT(*erased->next_position, next);
      next = *erased->next_position;
    }
    ADD_FAILURE() << "it does not end";
    return rows;
  }

  std::uint32_t shard_ = 0;
  std::string domain_;
  std::string owner_;
};

TYPED_TEST_SUITE_P(ArchiveStoreScenarios);

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// ---- what is appended -------------------------------------------------------

TYPED_TEST_P(ArchiveStoreScenarios, A1_WhatIsAppendedIsFoundAsItWas) {
  this->Claim();
  ArchivedMessage message = this->Message(9'007'199'254'740'991);
  message.received_at_ms = this->kBegin;
  message.direction = Direction::kSent;
  message.kind = MessageKind::kHeadline;
  message.generation = 1;
  message.origin = {2, 12, 9'007'199'254'740'990};
  message.position = 4'611'686'018'427'387'903;
  message.peer = "zoë \"x\" \\ {},@other.example";
  EXPECT_THAT(this->Append({message}), ElementsAre(Appended::kNew));
  const ArchivePage page = this->Page(this->Request());
  ASSERT_EQ(page.messages.size(), 1u);
  EXPECT_EQ(page.messages[0], message);
  EXPECT_FALSE(page.has_more);
}

TYPED_TEST_P(ArchiveStoreScenarios, A2_TheSameEventTwiceWritesNothing) {
  this->Claim();
  ArchivedMessage second = this->Message(2, 40);
  EXPECT_THAT(this->Append({this->Message(1), second, this->Message(1)}),
              ElementsAre(Appended::kNew, Appended::kNew, Appended::kKnown));
  second.stanza = "something else";
  EXPECT_THAT(this->Append({this->Message(3), second}), ElementsAre(Appended::kNew, Appended::kKnown));
  const ArchivePage page = this->Page(this->Request());
  EXPECT_THAT(this->IdsOf(page), ElementsAre(1, 2, 3));
  EXPECT_EQ(page.messages[1], this->Message(2, 40));
}

TYPED_TEST_P(ArchiveStoreScenarios, A2_TheSameEventWithAnotherPosition_KeepsItsFirst) {
  this->Claim();
  EXPECT_THAT(this->Append({this->At(40, this->Message(1)), this->At(20, this->Message(1)),
                            this->At(50, this->Message(1)), this->At(60, this->Message(2))}),
              ElementsAre(Appended::kNew, Appended::kKnown, Appended::kKnown, Appended::kNew));
  EXPECT_THAT(this->Append({this->At(30, this->Message(1)), this->At(70, this->Message(1)),
                            this->At(40, this->Message(1))}),
              ElementsAre(Appended::kKnown, Appended::kKnown, Appended::kKnown));
  EXPECT_THAT(this->Page(this->Request()).messages,
              ElementsAre(this->At(40, this->Message(1)), this->At(60, this->Message(2))));
  EXPECT_EQ(this->Count(this->Request().filter, 10), std::pair(std::size_t{2}, true));
}

TYPED_TEST_P(ArchiveStoreScenarios, A2_AnIdThatComesAgainWithAnotherTime_IsANewMessageOfThatName) {
  this->Claim();
  const ArchivedMessage former = this->At(10, this->Message(5, 50));
  // The later one, though by a clock that is late, in another partition.
  const ArchivedMessage later = this->At(30, this->Message(5, 5));
  const ArchivedMessage between = this->At(20, this->Message(6, 51));
  const ArchivedMessage last = this->At(40, this->Message(7, 52));
  EXPECT_THAT(this->Append({former, between}), ElementsAre(Appended::kNew, Appended::kNew));
  EXPECT_THAT(this->Append({later, last}), ElementsAre(Appended::kNew, Appended::kNew));
  EXPECT_THAT(this->Append({former, later}), ElementsAre(Appended::kKnown, Appended::kKnown));
  PageRequest request = this->Request();
  EXPECT_THAT(this->Page(request).messages, ElementsAre(former, between, later, last));
  request.after = 5;
  EXPECT_THAT(this->Page(request).messages, ElementsAre(last));
  request.after.reset();
  request.before = 5;
  request.from_the_end = true;
  EXPECT_THAT(this->Page(request).messages, ElementsAre(former, between));
  request.before.reset();
  request.filter.ids = Ids{5, 6};
  EXPECT_THAT(this->Page(request).messages, ElementsAre(between, later));
  EXPECT_EQ(this->Count(request.filter, 10), std::pair(std::size_t{2}, true));
  EXPECT_TRUE(this->Has(5));
  const auto replaced = this->Run(this->store().Replace(this->shard_, 1, {{this->owner_, 5, 1, "gone"}}));
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  const ArchivePage page = this->Page(this->Request());
  ASSERT_EQ(page.messages.size(), 4u);
  EXPECT_EQ(page.messages[0], former);
  EXPECT_EQ(page.messages[2].stanza, "gone");
}

TYPED_TEST_P(ArchiveStoreScenarios, A3_ManyOwnersInOneStatement_EachHasItsOwn) {
  this->Claim();
  ArchivedMessage other = this->Message(1);
  other.owner = "nurse@" + this->domain_;
  EXPECT_THAT(this->Append({this->Message(1), other, this->Message(2)}),
              ElementsAre(Appended::kNew, Appended::kNew, Appended::kNew));
  EXPECT_THAT(this->Found(this->Request()), ElementsAre(1, 2));
  PageRequest of_other = this->Request();
  of_other.filter.owner = other.owner;
  EXPECT_THAT(this->Found(of_other), ElementsAre(1));
  EXPECT_FALSE(*this->Run(this->store().Has(other.owner, 1, 2)));
}

TYPED_TEST_P(ArchiveStoreScenarios, A1_PagesAreInTheOrderOfPositions_WhateverCameFirst) {
  this->Claim();
  this->Append({this->Message(5, 50), this->Message(2, 20)});
  this->Append({this->Message(4, 40), this->Message(1, 10), this->Message(3, 30)});
  EXPECT_THAT(this->Found(this->Request()), ElementsAre(1, 2, 3, 4, 5));
  // Neither time nor partition decide.
  ArchivedMessage late = this->Message(6);
  late.received_at_ms = this->kBegin - 60 * this->kDay;
  this->Append({late});
  EXPECT_THAT(this->Found(this->Request()), ElementsAre(1, 2, 3, 4, 5, 6));
}

TYPED_TEST_P(ArchiveStoreScenarios, A1_ALaterMessageWithALowerIdComesBehind) {
  this->Claim();
  this->Append({this->At(100, this->Message(5)), this->At(101, this->Message(9, 40))});
  PageRequest behind = this->Request();
  behind.after = 9;
  EXPECT_THAT(this->Found(behind), IsEmpty());
  // It has waited for something meanwhile.
  this->Append({this->At(102, this->Message(7)), this->At(103, this->Message(3)),
                this->At(104, this->Message(4, 41))});
  EXPECT_THAT(this->Found(behind), ElementsAre(7, 3, 4)) << "who has read up to 9 misses nothing";
  EXPECT_THAT(this->Found(this->Request()), ElementsAre(5, 9, 7, 3, 4));
  PageRequest request = this->Request();
  request.from_the_end = true;
  request.max_rows = 2;
  request.before = 3;
  EXPECT_THAT(this->Found(request), ElementsAre(9, 7));
  request.before.reset();
  request.filter.after_id = 5;
  request.filter.before_id = 4;
  EXPECT_THAT(this->Found(request), ElementsAre(7, 3));
  EXPECT_EQ(this->Count(request.filter, 10), std::pair(std::size_t{3}, true));
  request.filter.peer = "romeo@other.example";
  EXPECT_THAT(this->Found(request), ElementsAre(7, 3));
  request = this->Request();
  request.filter.ids = Ids{3, 7, 9};
  EXPECT_THAT(this->Found(request), ElementsAre(9, 7, 3));
  request.max_rows = 1;
  EXPECT_THAT(this->Found(request), ElementsAre(9));
  request = this->Request();
  request.filter.last_position = 102;
  EXPECT_THAT(this->Found(request), ElementsAre(5, 9, 7)) << "as far as the archive was then";
  const auto bounds = this->Run(this->store().FindBounds(this->owner_, 1, 102));
  ASSERT_TRUE(bounds.ok() && bounds->has_value());
  EXPECT_EQ((*bounds)->first.id, 7u);
  EXPECT_EQ((*bounds)->last.id, 4u);
}

TYPED_TEST_P(ArchiveStoreScenarios, A4_AnyTimeHasItsPlace) {
  this->Claim();
  std::vector<ArchivedMessage> messages;
  const std::vector<std::int64_t> times{std::numeric_limits<std::int64_t>::min(),
                                        -1,
                                        0,
                                        1'577'836'799'999,
                                        1'577'836'800'000,
                                        4'102'444'799'999,
                                        4'102'444'800'000,
                                        std::numeric_limits<std::int64_t>::max()};
  for (std::size_t i = 0; i < times.size(); ++i) {
    messages.push_back(this->Message(i + 1));
    messages.back().received_at_ms = times[i];
  }
  for (const Appended answer : this->Append(messages)) EXPECT_EQ(answer, Appended::kNew);
  for (const Appended answer : this->Append(messages)) EXPECT_EQ(answer, Appended::kKnown);
  const ArchivePage page = this->Page(this->Request());
  ASSERT_EQ(page.messages.size(), times.size());
  EXPECT_EQ(page.messages.front().received_at_ms, 0);
  EXPECT_EQ(page.messages.back().received_at_ms, 253'402'300'799'999);
}

TYPED_TEST_P(ArchiveStoreScenarios, A5_ARefusedRowHoldsBackNoOther) {
  this->Claim();
  std::vector<ArchivedMessage> messages;
  for (std::uint64_t id = 1; id <= 20; ++id)
    messages.push_back(this->Message(id, static_cast<std::int64_t>(id)));
  messages[3].peer = "\xff\xfe";
  messages[8].peer_resource = "\xff";
  messages[9].peer_resource = std::string("a\0b", 3);
  messages[11].id = std::uint64_t{1} << 53;
  messages[12].id = 0;
  messages[13].owner.clear();
  messages[14].owner = std::string(2'048, 'a');
  messages[17].position = -1;
  messages[18].position = std::int64_t{1} << 62;
  messages[19].owner += "\xff";
  const std::vector<Appended> answers = this->Append(messages);
  ASSERT_EQ(answers.size(), 20u);
  for (std::size_t i = 0; i < 20; ++i) {
    const bool is_bad = i == 3 || i == 8 || i == 9 || (i >= 11 && i <= 14) || i >= 17;
    EXPECT_EQ(answers[i], is_bad ? Appended::kRefused : Appended::kNew) << i;
  }
  EXPECT_EQ(this->Found(this->Request()).size(), 10u);
  // Nor does it when it is alone.
  EXPECT_THAT(this->Append({messages[3]}), ElementsAre(Appended::kRefused));
}

TYPED_TEST_P(ArchiveStoreScenarios, A5_WhatIsAtAnothersPlaceIsRefused_NotTakenForTheSame) {
  this->Claim();
  ArchivedMessage other = this->At(10, this->Message(2));
  other.received_at_ms = this->Message(1).received_at_ms;
  EXPECT_THAT(this->Append({this->Message(1), other, this->Message(3)}),
              ElementsAre(Appended::kNew, Appended::kRefused, Appended::kNew));
  EXPECT_THAT(this->Found(this->Request()), ElementsAre(1, 3));
}

TYPED_TEST_P(ArchiveStoreScenarios, A3_TheLongestAddressesAndStanzas) {
  this->Claim();
  ArchivedMessage message = this->Message(1);
  message.owner = std::string(1'023, 'o') + "@" + std::string(1'023, 'd');
  message.peer = std::string(1'023, 'p') + "@" + std::string(1'023, 'e');
  message.peer_resource = std::string(1'023, 'r');
  message.stanza = std::string(4 << 20, '\x01');
  EXPECT_THAT(this->Append({message}), ElementsAre(Appended::kNew));
  PageRequest request = this->Request();
  request.filter.owner = message.owner;
  request.filter.peer = message.peer;
  request.filter.peer_resource = message.peer_resource;
  EXPECT_THAT(this->Page(request).messages, ElementsAre(message));
}

TYPED_TEST_P(ArchiveStoreScenarios, A3_NotTooMuchAtATime) {
  this->Claim();
  std::vector<ArchivedMessage> messages(1'001, this->Message(1));
  EXPECT_TRUE(absl::IsInvalidArgument(this->Run(this->store().Append(this->shard_, 1, messages)).status()));
  messages.resize(3);
  for (auto& message : messages) message.stanza = std::string(3 << 20, 'x');
  EXPECT_TRUE(absl::IsInvalidArgument(this->Run(this->store().Append(this->shard_, 1, messages)).status()));
  EXPECT_THAT(this->Append({}), IsEmpty());
}

// ---- owners of shards -------------------------------------------------------

TYPED_TEST_P(ArchiveStoreScenarios, A6_AnOlderOwnerChangesNothing) {
  EXPECT_TRUE(absl::IsFailedPrecondition(this->AppendStatus(this->Message(1), 1)));
  this->Claim(5);
  EXPECT_THAT(this->Append({this->Message(1)}, 5), ElementsAre(Appended::kNew));
  ASSERT_EQ(this->Run(this->other().Claim(this->shard_, 6)), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(this->AppendStatus(this->Message(2), 5)));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      this->Run(this->store().Replace(this->shard_, 5, {{this->owner_, 1, 1, "gone"}})).status()));
  Erasure erasure;
  erasure.owner = this->owner_;
  EXPECT_TRUE(
      absl::IsFailedPrecondition(this->Run(this->store().Erase(this->shard_, 5, erasure, 0, 10)).status()));
  const ArchivePage page = this->Page(this->Request());
  EXPECT_THAT(page.messages, ElementsAre(this->Message(1)));
  EXPECT_EQ(*this->Run(this->store().ClaimedBy(this->shard_)), 6);
}

TYPED_TEST_P(ArchiveStoreScenarios, A6_Cursor_TheNewestOwnersLastWord) {
  EXPECT_EQ(*this->Run(this->store().FindCursor(this->shard_)), -1);
  ASSERT_EQ(this->Run(this->store().KeepCursor(this->shard_, 2, 10)), absl::OkStatus());
  ASSERT_EQ(this->Run(this->store().KeepCursor(this->shard_, 1, 20)), absl::OkStatus());
  EXPECT_EQ(*this->Run(this->other().FindCursor(this->shard_)), 10);
}

// ---- pages ------------------------------------------------------------------

TYPED_TEST_P(ArchiveStoreScenarios, A7_Pages_FromEitherEndAndOnwards) {
  this->Claim();
  this->Fill(100);
  PageRequest request = this->Request();
  request.max_rows = 30;
  std::vector<std::uint64_t> forwards, backwards;
  for (bool has_more = true; has_more;) {
    const ArchivePage page = this->Page(request);
    for (const std::uint64_t id : this->IdsOf(page)) forwards.push_back(id);
    request.after = forwards.back();
    has_more = page.has_more;
    EXPECT_EQ(has_more, forwards.size() < 100) << forwards.size();
  }
  request = this->Request();
  request.max_rows = 30;
  request.from_the_end = true;
  for (bool has_more = true; has_more;) {
    const ArchivePage page = this->Page(request);
    std::vector<std::uint64_t> ids = this->IdsOf(page);
    EXPECT_TRUE(std::ranges::is_sorted(ids));
    backwards.insert(backwards.begin(), ids.begin(), ids.end());
    request.before = backwards.front();
    has_more = page.has_more;
  }
  EXPECT_EQ(forwards.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(forwards));
  EXPECT_EQ(forwards, backwards);
}

TYPED_TEST_P(ArchiveStoreScenarios, A7_ARange_BothEndsOut) {
  this->Claim();
  this->Fill(10);
  PageRequest request = this->Request();
  request.filter.after_id = 3;
  request.filter.before_id = 8;
  EXPECT_THAT(this->Found(request), ElementsAre(4, 5, 6, 7));
  request.after = 5;
  EXPECT_THAT(this->Found(request), ElementsAre(6, 7));
  request.after.reset();
  request.before = 7;
  request.from_the_end = true;
  request.max_rows = 2;
  EXPECT_THAT(this->Found(request), ElementsAre(5, 6));
  request = this->Request();
  request.after = 10;
  EXPECT_THAT(this->Found(request), IsEmpty());
  EXPECT_FALSE(this->Page(request).has_more);
  request.filter.before_id = 2;
  EXPECT_THAT(this->Found(request), IsEmpty()) << "nothing is between them";
}

TYPED_TEST_P(ArchiveStoreScenarios, A7_BoundsOfPositionsNeedNotBeThere) {
  this->Claim();
  this->Append(
      {this->At(10, this->Message(3)), this->At(20, this->Message(1)), this->At(30, this->Message(2))});
  PageRequest request = this->Request();
  request.filter.first_position = 11;
  request.filter.last_position = 29;
  EXPECT_THAT(this->Found(request), ElementsAre(1));
  request.filter.last_position = 30;
  EXPECT_THAT(this->Found(request), ElementsAre(1, 2));
  request.filter.first_position = 10;
  EXPECT_THAT(this->Found(request), ElementsAre(3, 1, 2));
  request.filter.ids = Ids{1, 2, 3};
  request.filter.last_position = 20;
  EXPECT_THAT(this->Found(request), ElementsAre(3, 1));
  request.filter.last_position = std::numeric_limits<std::int64_t>::max();
  request.filter.first_position = std::numeric_limits<std::int64_t>::min();
  EXPECT_THAT(this->Found(request), ElementsAre(3, 1, 2));
  std::swap(request.filter.first_position, request.filter.last_position);
  EXPECT_THAT(this->Found(request), IsEmpty());
}

TYPED_TEST_P(ArchiveStoreScenarios, A7_AsManyAsTakeSoManyBytes) {
  this->Claim();
  std::vector<ArchivedMessage> messages;
  for (std::uint64_t id = 1; id <= 5; ++id) {
    messages.push_back(this->Message(id, static_cast<std::int64_t>(id)));
    messages.back().stanza = std::string(1'000, 'x');
  }
  this->Append(messages);
  PageRequest request = this->Request();
  request.max_bytes = 2'000;
  EXPECT_THAT(this->Found(request), ElementsAre(1, 2));
  EXPECT_TRUE(this->Page(request).has_more);
  request.from_the_end = true;
  EXPECT_THAT(this->Found(request), ElementsAre(4, 5));
  request.max_bytes = 1'999;
  EXPECT_THAT(this->Found(request), ElementsAre(5));
  request.max_bytes = 0;
  EXPECT_THAT(this->Found(request), ElementsAre(5)) << "one at least";
  request.max_bytes = 5'000;
  EXPECT_FALSE(this->Page(request).has_more);
}

TYPED_TEST_P(ArchiveStoreScenarios, A7_NoRows_WhetherThereAreAny) {
  this->Claim();
  PageRequest request = this->Request();
  request.max_rows = 0;
  EXPECT_FALSE(this->Page(request).has_more);
  this->Fill(1);
  EXPECT_TRUE(this->Page(request).has_more);
  EXPECT_THAT(this->Page(request).messages, IsEmpty());
  request.max_rows = 1'001;
  EXPECT_TRUE(absl::IsInvalidArgument(this->FindStatus(request)));
}

TYPED_TEST_P(ArchiveStoreScenarios, A8_NamedIdsAreThere_WhateverTheFilter) {
  this->Claim();
  this->Append({this->Message(1), this->Message(2, 1, "nurse@other.example"), this->Message(3)});
  const auto status = [&](auto change) {
    PageRequest request = this->Request();
    change(request);
    return this->FindStatus(std::move(request));
  };
  EXPECT_TRUE(absl::IsNotFound(status([](PageRequest& r) { r.after = 4; })));
  EXPECT_TRUE(absl::IsNotFound(status([](PageRequest& r) { r.before = 4; })));
  EXPECT_TRUE(absl::IsNotFound(status([](PageRequest& r) { r.filter.after_id = 4; })));
  EXPECT_TRUE(absl::IsNotFound(status([](PageRequest& r) { r.filter.before_id = 4; })));
  EXPECT_TRUE(absl::IsNotFound(status([](PageRequest& r) { r.filter.ids = Ids{1, 4}; })));
  EXPECT_TRUE(absl::IsNotFound(status([](PageRequest& r) { r.after = 0; })));
  EXPECT_TRUE(absl::IsNotFound(status([](PageRequest& r) { r.after = ~std::uint64_t{0}; })));
  PageRequest request = this->Request();
  request.filter.peer = "romeo@other.example";
  request.after = 2;
  EXPECT_THAT(this->Found(request), ElementsAre(3)) << "it is there and does not match";
  request.filter.generation = 2;
  EXPECT_TRUE(absl::IsNotFound(this->FindStatus(request))) << "another account's";
}

TYPED_TEST_P(ArchiveStoreScenarios, A8_Ids_TheseAndNoOthers) {
  this->Claim();
  this->Fill(60);
  PageRequest request = this->Request();
  request.filter.ids = Ids{50, 7, 7, 33};
  EXPECT_THAT(this->Found(request), ElementsAre(7, 33, 50));
  request.max_rows = 2;
  EXPECT_THAT(this->Found(request), ElementsAre(7, 33));
  EXPECT_TRUE(this->Page(request).has_more);
  request.from_the_end = true;
  EXPECT_THAT(this->Found(request), ElementsAre(33, 50));
  request.filter.end_ms = this->Message(33, 33).received_at_ms;
  EXPECT_THAT(this->Found(request), ElementsAre(7, 33));
  request.filter.peer = "nobody@other.example";
  EXPECT_THAT(this->Found(request), IsEmpty());
  request.filter.ids = Ids{};
  request.filter.peer.reset();
  EXPECT_THAT(this->Found(request), IsEmpty());
  request.filter.ids = Ids(257, 7);
  EXPECT_TRUE(absl::IsInvalidArgument(this->FindStatus(request)));
}

TYPED_TEST_P(ArchiveStoreScenarios, A8_NamedIdsAreFoundInAnyPartition_WhateverTheTime) {
  this->Claim();
  // One a month, and the ids the other way round.
  std::vector<ArchivedMessage> messages;
  for (std::int64_t month = 0; month < 8; ++month)
    messages.push_back(
        this->At(100 + month, this->Message(static_cast<std::uint64_t>(8 - month), 31 * month)));
  this->Append(messages);
  PageRequest request = this->Request();
  request.filter.ids = Ids{1, 4, 8};
  EXPECT_THAT(this->Found(request), ElementsAre(8, 4, 1));
  request = this->Request();
  request.filter.after_id = 7;
  request.filter.before_id = 3;
  EXPECT_THAT(this->Found(request), ElementsAre(6, 5, 4));
  request.after = 6;
  request.before = 4;
  EXPECT_THAT(this->Found(request), ElementsAre(5));
  // What is named is outside of the time that is asked for, and so is the page that it begins.
  request = this->Request();
  request.after = 7;
  request.filter.start_ms = messages[4].received_at_ms;
  request.filter.end_ms = messages[5].received_at_ms;
  EXPECT_THAT(this->Found(request), ElementsAre(4, 3));
  request.after.reset();
  request.before = 1;
  request.from_the_end = true;
  request.max_rows = 1;
  EXPECT_THAT(this->Found(request), ElementsAre(3));
  request.filter.after_id = 1;
  EXPECT_THAT(this->Found(request), IsEmpty());
  ArchiveFilter filter = this->Request().filter;
  filter.after_id = 6;
  filter.end_ms = messages[5].received_at_ms;
  EXPECT_EQ(this->Count(filter, 10), std::pair(std::size_t{3}, true));
}

TYPED_TEST_P(ArchiveStoreScenarios, A8_BehindOrBeforeAnIdThatIsNotThereIsNothingToCount) {
  this->Claim();
  this->Fill(5);
  ArchiveFilter filter = this->Request().filter;
  filter.after_id = 9;
  EXPECT_EQ(this->Count(filter, 10), std::pair(std::size_t{0}, true));
  filter.after_id = 2;
  EXPECT_EQ(this->Count(filter, 10), std::pair(std::size_t{3}, true));
  filter.before_id = 9;
  EXPECT_EQ(this->Count(filter, 10), std::pair(std::size_t{0}, true));
}

// ---- filters ----------------------------------------------------------------

TYPED_TEST_P(ArchiveStoreScenarios, A9_With_AnyResourceOrThisOne) {
  this->Claim();
  this->Append({this->Message(1, 1, "romeo@a.example", "orchard"),
                this->Message(2, 40, "romeo@a.example", "hall"), this->Message(3, 41, "romeo@a.example", ""),
                this->Message(4, 42, "nurse@a.example", "orchard"),
                this->Message(5, 80, "romeo@a.example", "orchard")});
  PageRequest request = this->Request();
  request.filter.peer = "romeo@a.example";
  EXPECT_THAT(this->Found(request), ElementsAre(1, 2, 3, 5));
  EXPECT_EQ(this->Count(request.filter, 10), std::pair(std::size_t{4}, true));
  request.from_the_end = true;
  request.max_rows = 2;
  EXPECT_THAT(this->Found(request), ElementsAre(3, 5));
  request = this->Request();
  request.filter.peer = "romeo@a.example";
  request.filter.peer_resource = "orchard";
  EXPECT_THAT(this->Found(request), ElementsAre(1, 5));
  EXPECT_EQ(this->Count(request.filter, 10), std::pair(std::size_t{2}, true));
  request.after = 1;
  EXPECT_THAT(this->Found(request), ElementsAre(5));
  request.filter.peer = "romeo@a";
  EXPECT_THAT(this->Found(request), IsEmpty());
}

TYPED_TEST_P(ArchiveStoreScenarios, A9_StartAndEnd_BothWithin) {
  this->Claim();
  this->Fill(100);
  PageRequest request = this->Request();
  request.filter.start_ms = this->Message(40, 40).received_at_ms;
  request.filter.end_ms = this->Message(43, 43).received_at_ms;
  EXPECT_THAT(this->Found(request), ElementsAre(40, 41, 42, 43));
  ++*request.filter.start_ms;
  --*request.filter.end_ms;
  EXPECT_THAT(this->Found(request), ElementsAre(41, 42));
  EXPECT_EQ(this->Count(request.filter, 10), std::pair(std::size_t{2}, true));
  request.from_the_end = true;
  request.max_rows = 1;
  EXPECT_THAT(this->Found(request), ElementsAre(42));
  request.filter.start_ms = *request.filter.end_ms + this->kDay;
  EXPECT_THAT(this->Found(request), IsEmpty());
  request.filter.start_ms = std::numeric_limits<std::int64_t>::min();
  request.filter.end_ms = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT(this->Found(request), ElementsAre(100));
}

TYPED_TEST_P(ArchiveStoreScenarios, A9_ClocksAFewMinutesApartHideNothing) {
  this->Claim();
  std::vector<ArchivedMessage> messages;
  for (std::uint64_t id = 1; id <= 400; ++id) {
    messages.push_back(this->Message(id));
    // Of three processes the clock of one is late and that of another early.
    if (id % 3 == 0) messages.back().received_at_ms -= 2 * this->kMinute;
    if (id % 3 == 1) messages.back().received_at_ms += 2 * this->kMinute;
  }
  this->Append(messages);
  for (const std::uint64_t at : {std::uint64_t{50}, std::uint64_t{200}, std::uint64_t{333}}) {
    PageRequest request = this->Request();
    request.max_rows = 1'000;
    request.filter.start_ms = this->kBegin + static_cast<std::int64_t>(at) * this->kMinute;
    request.filter.end_ms = *request.filter.start_ms + 30 * this->kMinute;
    Ids expected;
    for (const ArchivedMessage& message : messages)
      if (message.received_at_ms >= *request.filter.start_ms &&
          message.received_at_ms <= *request.filter.end_ms)
        expected.push_back(message.id);
    EXPECT_EQ(this->Found(request), expected) << at;
    EXPECT_GT(expected.size(), 25u);
  }
}

TYPED_TEST_P(ArchiveStoreScenarios, A9_AClockThatIsWrongHidesNothingOfTheOthers) {
  this->Claim();
  std::vector<ArchivedMessage> messages;
  for (std::uint64_t id = 1; id <= 1'000; ++id) {
    messages.push_back(this->Message(id));
    // Of five processes one is five hours late and one so much early.
    if (id % 5 == 0) messages.back().received_at_ms -= 300 * this->kMinute;
    if (id % 5 == 1) messages.back().received_at_ms += 300 * this->kMinute;
  }
  this->Append(messages);
  PageRequest request = this->Request();
  request.max_rows = 1'000;
  for (std::uint64_t from = 320; from < 600; from += 7) {
    request.filter.start_ms = this->kBegin + static_cast<std::int64_t>(from) * this->kMinute;
    request.filter.end_ms = *request.filter.start_ms + 50 * this->kMinute;
    const Ids found = this->Found(request);
    for (std::uint64_t id = from; id <= from + 50; ++id)
      if (id % 5 > 1) EXPECT_EQ(std::ranges::count(found, id), 1) << id << " from " << from;
  }
}

TYPED_TEST_P(ArchiveStoreScenarios, A9_Groupchat_OrNot) {
  this->Claim();
  ArchivedMessage said = this->Message(2);
  said.kind = MessageKind::kGroupchat;
  this->Append({this->Message(1), said, this->Message(3)});
  PageRequest request = this->Request();
  EXPECT_THAT(this->Found(request), ElementsAre(1, 2, 3));
  request.filter.has_groupchat = false;
  EXPECT_THAT(this->Found(request), ElementsAre(1, 3));
}

TYPED_TEST_P(ArchiveStoreScenarios, A10_AFormerAccountsMessagesAreNotSeen) {
  this->Claim();
  ArchivedMessage later = this->Message(3);
  later.generation = 2;
  this->Append({this->Message(1), this->Message(2), later});
  PageRequest request = this->Request();
  request.filter.generation = 2;
  EXPECT_THAT(this->Found(request), ElementsAre(3));
  request.filter.peer = "romeo@other.example";
  EXPECT_THAT(this->Found(request), ElementsAre(3));
  request.filter.peer_resource = "orchard";
  EXPECT_THAT(this->Found(request), ElementsAre(3));
  EXPECT_EQ(this->Count(request.filter, 10), std::pair(std::size_t{1}, true));
  const auto bounds = this->Run(this->store().FindBounds(this->owner_, 2, 1));
  ASSERT_TRUE(bounds.ok() && bounds->has_value());
  EXPECT_EQ((*bounds)->first.id, 3u);
  EXPECT_TRUE(this->Has(3, 2));
  EXPECT_FALSE(this->Has(1, 2));
  const auto replaced = this->Run(this->store().Replace(this->shard_, 1, {{this->owner_, 1, 2, "gone"}}));
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  EXPECT_FALSE((*replaced)[0]);
}

// ---- counts, bounds ---------------------------------------------------------

TYPED_TEST_P(ArchiveStoreScenarios, A11_Count_UpToABound) {
  this->Claim();
  this->Fill(20);
  ArchiveFilter filter = this->Request().filter;
  EXPECT_EQ(this->Count(filter, 19), std::pair(std::size_t{19}, false));
  EXPECT_EQ(this->Count(filter, 20), std::pair(std::size_t{20}, true));
  filter.after_id = 5;
  filter.before_id = 9;
  EXPECT_EQ(this->Count(filter, 20), std::pair(std::size_t{3}, true));
  filter.ids = Ids{6, 7, 15};
  EXPECT_EQ(this->Count(filter, 20), std::pair(std::size_t{2}, true));
  EXPECT_EQ(this->Count(filter, 0), std::pair(std::size_t{0}, false));
  EXPECT_TRUE(absl::IsInvalidArgument(this->Run(this->store().Count(filter, 10'001)).status()));
}

TYPED_TEST_P(ArchiveStoreScenarios, A11_TheFirstAndTheLast) {
  this->Claim();
  const auto bounds = [&](std::int64_t first_position) {
    auto found = this->Run(this->store().FindBounds(this->owner_, 1, first_position));
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *std::move(found) : std::nullopt;
  };
  EXPECT_EQ(bounds(0), std::nullopt);
  this->Append({this->Message(7)});
  const ArchiveBounds::Place seventh{7, this->Message(7).received_at_ms};
  EXPECT_EQ(bounds(0), (ArchiveBounds{seventh, seventh}));
  this->Append({this->Message(90, 90), this->Message(5)});
  const ArchiveBounds::Place last{90, this->Message(90, 90).received_at_ms};
  EXPECT_EQ(bounds(0), (ArchiveBounds{{5, this->Message(5).received_at_ms}, last}));
  EXPECT_EQ(bounds(51), (ArchiveBounds{seventh, last}));
  EXPECT_TRUE(this->Has(90));
  EXPECT_FALSE(this->Has(6));
}

// ---- what goes --------------------------------------------------------------

TYPED_TEST_P(ArchiveStoreScenarios, A12_ATombstoneKeepsThePlace) {
  this->Claim();
  this->Fill(3);
  const auto replaced = this->Run(this->store().Replace(this->shard_, 1,
                                                        {{this->owner_, 2, 1, "first"},
                                                         {this->owner_, 9, 1, "x"},
                                                         {this->owner_, 2, 1, "gone"},
                                                         {"", 2, 1, "x"}}));
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  EXPECT_THAT(*replaced, ElementsAre(true, false, true, false));
  ArchivedMessage expected = this->Message(2, 2);
  expected.stanza = "gone";
  EXPECT_THAT(this->Page(this->Request()).messages,
              ElementsAre(this->Message(1, 1), expected, this->Message(3, 3)));
  // And what was there does not come back with the record.
  EXPECT_THAT(this->Append({this->Message(2, 2)}), ElementsAre(Appended::kKnown));
  EXPECT_EQ(this->Page(this->Request()).messages[1].stanza, "gone");
}

TYPED_TEST_P(ArchiveStoreScenarios, A13_OfARemovedAccountNothingRemains_InSteps) {
  this->Claim();
  this->Fill(50);
  ArchivedMessage later = this->Message(60, 60);
  later.generation = 2;
  ArchivedMessage other = this->Message(1);
  other.owner = "nurse@" + this->domain_;
  this->Append({later, other});
  Erasure erasure;
  erasure.owner = this->owner_;
  erasure.up_to_generation = 1;
  const auto first = this->Run(this->store().Erase(this->shard_, 1, erasure, 0, 20));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->rows, 20u);
  EXPECT_EQ(first->next_position, 201);
  EXPECT_EQ(this->EraseAll(erasure, 7), 30u);
  EXPECT_EQ(this->EraseAll(erasure, 7), 0u);
  EXPECT_THAT(this->Found(this->Request()), IsEmpty());
  EXPECT_TRUE(this->Has(60, 2));
  EXPECT_TRUE(*this->Run(this->store().Has(other.owner, 1, 1)));
  EXPECT_TRUE(
      absl::IsInvalidArgument(this->Run(this->store().Erase(this->shard_, 1, erasure, 0, 0)).status()));
}

TYPED_TEST_P(ArchiveStoreScenarios, A13_UpToARecord) {
  this->Claim();
  this->Fill(10);
  ArchivedMessage other = this->Message(11);
  other.origin = {1, 8, 0};
  this->Append({other});
  Erasure erasure;
  erasure.owner = this->owner_;
  erasure.up_to_origin = ArchiveOrigin{1, 7, 4};
  EXPECT_EQ(this->EraseAll(erasure), 5u);
  EXPECT_THAT(this->Found(this->Request()), ElementsAre(6, 7, 8, 9, 10, 11));
  erasure.received_before_ms = this->Message(8, 8).received_at_ms;
  erasure.up_to_origin->offset = 100;
  EXPECT_EQ(this->EraseAll(erasure), 2u);
  EXPECT_THAT(this->Found(this->Request()), ElementsAre(8, 9, 10, 11));
}

TYPED_TEST_P(ArchiveStoreScenarios, A13_TheOwnersOfADomain) {
  this->Claim();
  std::vector<ArchivedMessage> messages;
  for (int i = 0; i < 10; ++i) {
    for (const std::string& domain : {this->domain_, "not." + this->domain_}) {
      messages.push_back(this->Message(static_cast<std::uint64_t>(i) + 1, i * 20));
      messages.back().owner = "u" + std::to_string(i) + "@" + domain;
      messages.push_back(messages.back());
      messages.back().id += 100;
      messages.back().position += 1'000;
    }
  }
  this->Append(messages);
  std::vector<std::string> found;
  std::string after;
  do {
    const auto page = this->Run(this->store().FindOwners(this->domain_, after, 7));
    ASSERT_TRUE(page.ok()) << page.status();
    found.insert(found.end(), page->owners.begin(), page->owners.end());
    ASSERT_TRUE(page->next.empty() || page->next > after);
    after = page->next;
  } while (!after.empty());
  ASSERT_EQ(found.size(), 10u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(found[i], "u" + std::to_string(i) + "@" + this->domain_);
}

TYPED_TEST_P(ArchiveStoreScenarios, A14_AnExportIsPagesFromPositionToPosition) {
  this->Claim();
  this->Fill(25);
  PageRequest request = this->Request();
  request.max_rows = 10;
  std::vector<ArchivedMessage> all;
  for (bool has_more = true; has_more;) {
    const ArchivePage page = this->Page(request);
    all.insert(all.end(), page.messages.begin(), page.messages.end());
    request.filter.first_position = all.back().position + 1;
    has_more = page.has_more;
  }
  ASSERT_EQ(all.size(), 25u);
  for (std::uint64_t id = 1; id <= 25; ++id)
    EXPECT_EQ(all[id - 1], this->Message(id, static_cast<std::int64_t>(id)));
}

REGISTER_TYPED_TEST_SUITE_P(
    ArchiveStoreScenarios, A1_WhatIsAppendedIsFoundAsItWas, A2_TheSameEventTwiceWritesNothing,
    A2_TheSameEventWithAnotherPosition_KeepsItsFirst,
    A2_AnIdThatComesAgainWithAnotherTime_IsANewMessageOfThatName, A3_ManyOwnersInOneStatement_EachHasItsOwn,
    A1_PagesAreInTheOrderOfPositions_WhateverCameFirst, A1_ALaterMessageWithALowerIdComesBehind,
    A4_AnyTimeHasItsPlace, A5_ARefusedRowHoldsBackNoOther,
    A5_WhatIsAtAnothersPlaceIsRefused_NotTakenForTheSame, A3_TheLongestAddressesAndStanzas,
    A3_NotTooMuchAtATime, A6_AnOlderOwnerChangesNothing, A6_Cursor_TheNewestOwnersLastWord,
    A7_Pages_FromEitherEndAndOnwards, A7_ARange_BothEndsOut, A7_BoundsOfPositionsNeedNotBeThere,
    A7_AsManyAsTakeSoManyBytes, A7_NoRows_WhetherThereAreAny, A8_NamedIdsAreThere_WhateverTheFilter,
    A8_Ids_TheseAndNoOthers, A8_NamedIdsAreFoundInAnyPartition_WhateverTheTime,
    A8_BehindOrBeforeAnIdThatIsNotThereIsNothingToCount, A9_With_AnyResourceOrThisOne,
    A9_StartAndEnd_BothWithin, A9_ClocksAFewMinutesApartHideNothing,
    A9_AClockThatIsWrongHidesNothingOfTheOthers, A9_Groupchat_OrNot, A10_AFormerAccountsMessagesAreNotSeen,
    A11_Count_UpToABound, A11_TheFirstAndTheLast, A12_ATombstoneKeepsThePlace,
    A13_OfARemovedAccountNothingRemains_InSteps, A13_UpToARecord, A13_TheOwnersOfADomain,
    A14_AnExportIsPagesFromPositionToPosition);

/// What changes all archives: each scenario has a database of its own (`Renew()`).
template <typename Fixture>
class RetentionScenarios : public ArchiveStoreScenarios<Fixture> {
 protected:
  RetentionScenarios() { this->Renew(); }
};

TYPED_TEST_SUITE_P(RetentionScenarios);

TYPED_TEST_P(RetentionScenarios, A15_WhatIsOldIsGone_ToTheMillisecond) {
  this->Claim();
  this->Fill(100);
  const std::int64_t from = this->Message(70, 70).received_at_ms;
  ASSERT_EQ(this->Run(this->store().ForgetBefore(from)), absl::OkStatus());
  PageRequest request = this->Request();
  request.max_rows = 3;
  EXPECT_THAT(this->Found(request), ElementsAre(70, 71, 72));
  request.from_the_end = true;
  EXPECT_THAT(this->Found(request), ElementsAre(98, 99, 100));
  EXPECT_EQ(this->Count(request.filter, 1'000), std::pair(std::size_t{31}, true));
  request.filter.peer = "romeo@other.example";
  EXPECT_EQ(this->Count(request.filter, 1'000), std::pair(std::size_t{31}, true));
  EXPECT_FALSE(this->Has(69));
  EXPECT_TRUE(this->Has(70));
  request.after = 69;
  EXPECT_TRUE(absl::IsNotFound(this->FindStatus(request)));
  EXPECT_EQ((*this->Run(this->store().FindBounds(this->owner_, 1, 1)))->first.id, 70u);
  const auto replaced = this->Run(
      this->store().Replace(this->shard_, 1, {{this->owner_, 69, 1, "gone"}, {this->owner_, 70, 1, "gone"}}));
  ASSERT_TRUE(replaced.ok()) << replaced.status();
  EXPECT_THAT(*replaced, ElementsAre(false, true));
}

TYPED_TEST_P(RetentionScenarios, A15_WhatIsOldDoesNotComeBack) {
  this->Claim();
  this->Fill(100);
  ASSERT_EQ(this->Run(this->store().ForgetBefore(this->Message(70, 70).received_at_ms)), absl::OkStatus());
  EXPECT_EQ(this->Run(this->other().ForgetBefore(this->kBegin)), absl::OkStatus()) << "an earlier time";
  EXPECT_THAT(this->Append({this->Message(5, 5), this->Message(69, 69), this->Message(70, 70),
                            this->Message(101, 101)}),
              ElementsAre(Appended::kTooOld, Appended::kTooOld, Appended::kKnown, Appended::kNew));
  EXPECT_EQ(this->Count(this->Request().filter, 1'000), std::pair(std::size_t{32}, true));
}

TYPED_TEST_P(RetentionScenarios, A4_SpaceIsMadeAhead) {
  this->Claim();
  EXPECT_EQ(this->Run(this->store().MakeSpace(this->kBegin, this->kBegin + 90 * this->kDay)),
            absl::OkStatus());
  EXPECT_EQ(this->Run(this->other().MakeSpace(this->kBegin, this->kBegin + 90 * this->kDay)),
            absl::OkStatus());
  this->Fill(120);
  EXPECT_EQ(this->Count(this->Request().filter, 1'000), std::pair(std::size_t{120}, true));
  EXPECT_TRUE(absl::IsInvalidArgument(this->Run(this->store().MakeSpace(0, 4'000'000'000'000))));
}

REGISTER_TYPED_TEST_SUITE_P(RetentionScenarios, A15_WhatIsOldIsGone_ToTheMillisecond,
                            A15_WhatIsOldDoesNotComeBack, A4_SpaceIsMadeAhead);

}  // namespace rookery::search
