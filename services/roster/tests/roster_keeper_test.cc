#include "domain/roster_keeper.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <utility>

#include "keeper_scenarios.h"

namespace rookery::roster {
namespace {

/// A store in memory; `meddle` runs before each change, as another caller would.
class FakeStore final : public RosterStore {
 public:
  Task<absl::StatusOr<StoredRoster>> Load(std::string owner) override {
    if (is_away) co_return absl::UnavailableError("away");
    co_return rosters[owner];
  }
  Task<absl::StatusOr<StoredRoster>> LoadPending(std::string owner) override {
    if (is_away) co_return absl::UnavailableError("away");
    StoredRoster roster = rosters[owner];
    std::erase_if(roster.contacts, [](const Contact& contact) { return !contact.state.pending_in; });
    co_return roster;
  }
  Task<absl::StatusOr<Snapshot>> Read(std::string owner, std::string jid, std::string request_id) override {
    if (is_away) co_return absl::UnavailableError("away");
    Snapshot snapshot;
    for (const Contact& contact : rosters[owner].contacts) {
      if (contact.jid == jid) snapshot.contact = contact;
    }
    snapshot.totals = totals[owner];
    const auto answer = answers.find({owner, request_id});
    if (answer != answers.end()) snapshot.answer = answer->second;
    co_return snapshot;
  }
  Task<absl::StatusOr<std::uint64_t>> Apply(std::string owner, Change change) override {
    if (meddle) meddle();
    if (answers.contains({owner, change.request_id})) co_return absl::AbortedError("answered");
    StoredRoster& roster = rosters[owner];
    if (change.kind != Change::Kind::kNone) {
      Contact& contact = change.contact;
      auto found = Place(roster, contact.jid);
      const std::int64_t stored = found == roster.contacts.end() ? 0 : found->revision;
      if (stored != contact.revision) co_return absl::AbortedError("changed");
      ++contact.revision;
      if (change.kind == Change::Kind::kRemove) {
        roster.contacts.erase(found);
      } else if (stored == 0) {
        roster.contacts.push_back(contact);
      } else {
        *found = contact;
      }
      Bump(roster, change.is_visible);
      Totals& held = totals[owner];
      held.items += change.added.items;
      held.item_bytes += change.added.item_bytes;
      held.requests += change.added.requests;
      held.request_bytes += change.added.request_bytes;
    }
    if (!change.request_id.empty()) answers[{owner, change.request_id}] = {change.response, roster.version};
    co_return roster.version;
  }
  Task<absl::Status> RemoveAll(std::string owner, std::string request_id, std::string response) override {
    if (is_away) co_return absl::UnavailableError("away");
    rosters.erase(owner);
    totals.erase(owner);
    if (!request_id.empty()) answers[{owner, request_id}] = {response, 0};
    co_return absl::OkStatus();
  }
  Task<absl::Status> ForgetOldAnswers() override { co_return absl::OkStatus(); }

  bool is_away = false;
  std::function<void()> meddle;
  std::map<std::string, StoredRoster> rosters;
  std::map<std::string, Totals> totals;
  std::map<std::pair<std::string, std::string>, Answer> answers;

 private:
  static std::vector<Contact>::iterator Place(StoredRoster& roster, const std::string& jid) {
    return std::find_if(roster.contacts.begin(), roster.contacts.end(),
                        [&](const Contact& contact) { return contact.jid == jid; });
  }
  std::uint64_t Bump(StoredRoster& roster, bool is_visible) {
    now_ += 1'000;
    if (roster.version == 0) return roster.version = now_;
    return roster.version += is_visible ? 1 : 0;
  }
  std::uint64_t now_ = 1'000'000;
};

class FakeFixture : public ::testing::Test {
 protected:
  asio::io_context& io() { return io_; }
  FakeStore& store() { return store_; }

 private:
  asio::io_context io_;
  FakeStore store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fake, KeeperScenarios, FakeFixture);

class KeeperRaces : public KeeperScenarios<FakeFixture> {};

// Two callers at a change of owner: both changes hold.
TEST_F(KeeperRaces, ALostRaceIsRunAgainOnWhatTheOtherLeft) {
  bool is_done = false;
  store().meddle = [&] {
    if (std::exchange(is_done, true)) return;
    Contact contact;
    contact.jid = kContact;
    contact.listed = true;
    contact.name = "from the other";
    contact.revision = 7;
    store().rosters[kUser].contacts.push_back(contact);
  };
  const auto out = Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->push().item().name(), "from the other");
  EXPECT_TRUE(Item().pending_out());
}

// An owner that was frozen and its successor act on the same stanza at once.
TEST_F(KeeperRaces, TheSameRequestTwiceAtOnce_OneChangeAndOneAnswer) {
  id_ = "0123/7";
  bool is_done = false;
  v1::ProcessOutboundSubscriptionResponse other;
  store().meddle = [&] {
    if (std::exchange(is_done, true)) return;
    other = *Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  };
  const auto out = Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->SerializeAsString(), other.SerializeAsString());
  EXPECT_TRUE(out->route());
  EXPECT_TRUE(out->has_push());
}

TEST_F(KeeperRaces, NotForEver) {
  ASSERT_TRUE(Set(kContact, "x").ok());
  store().meddle = [&] { ++store().rosters[kUser].contacts[0].revision; };
  EXPECT_EQ(Set(kContact, "y").status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Remove(kContact).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), absl::StatusCode::kAborted);
}

TEST_F(KeeperRaces, TheStoreAway) {
  store().is_away = true;
  const auto away = absl::StatusCode::kUnavailable;
  EXPECT_EQ(Set(kContact, "y").status().code(), away);
  EXPECT_EQ(Remove(kContact).status().code(), away);
  EXPECT_EQ(Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), away);
  EXPECT_EQ(In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).status().code(), away);
  v1::GetRosterRequest request;
  request.set_user(kUser);
  EXPECT_EQ(Run(keeper_.Get(request)).status().code(), away);
  request.set_known_version(3);
  EXPECT_EQ(Run(keeper_.Get(request)).status().code(), away);
  EXPECT_EQ(Delete().status().code(), away);
  id_ = "1";
  EXPECT_EQ(Delete().status().code(), away);
}

}  // namespace
}  // namespace rookery::roster
