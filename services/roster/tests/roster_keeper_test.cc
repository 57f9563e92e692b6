#include "domain/roster_keeper.h"

#include <gtest/gtest.h>

#include <map>

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
  Task<absl::StatusOr<std::optional<Contact>>> Find(std::string owner, std::string jid) override {
    if (is_away) co_return absl::UnavailableError("away");
    for (const Contact& contact : rosters[owner].contacts) {
      if (contact.jid == jid) co_return contact;
    }
    co_return std::nullopt;
  }
  Task<absl::StatusOr<Counts>> Count(std::string owner) override {
    Counts counts;
    for (const Contact& contact : rosters[owner].contacts) {
      counts.listed += contact.listed ? 1 : 0;
      counts.pending += contact.state.pending_in ? 1 : 0;
    }
    co_return counts;
  }
  Task<absl::StatusOr<std::uint64_t>> Save(std::string owner, Contact contact, bool is_visible) override {
    if (meddle) meddle();
    StoredRoster& roster = rosters[owner];
    auto found = Place(roster, contact.jid);
    const std::int64_t stored = found == roster.contacts.end() ? 0 : found->revision;
    if (stored != contact.revision) co_return absl::AbortedError("changed");
    ++contact.revision;
    if (stored == 0) {
      roster.contacts.push_back(contact);
    } else {
      *found = contact;
    }
    co_return Bump(roster, is_visible);
  }
  Task<absl::StatusOr<std::uint64_t>> Remove(std::string owner, std::string jid, std::int64_t revision,
                                             bool is_visible) override {
    if (meddle) meddle();
    StoredRoster& roster = rosters[owner];
    auto found = Place(roster, jid);
    if (found == roster.contacts.end() || found->revision != revision)
      co_return absl::AbortedError("changed");
    roster.contacts.erase(found);
    co_return Bump(roster, is_visible);
  }
  Task<absl::Status> RemoveAll(std::string owner) override {
    rosters.erase(owner);
    co_return absl::OkStatus();
  }

  std::map<std::string, StoredRoster> rosters;
  std::function<void()> meddle;
  bool is_away = false;

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
}

}  // namespace
}  // namespace rookery::roster
