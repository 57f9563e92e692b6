#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "domain/roster_keeper.h"
#include "rookery/testing/run_task.h"

// The promises of the service, whatever store is below it. A fixture gives `io()` and `store()`.
namespace rookery::roster {

template <typename Fixture>
class KeeperScenarios : public Fixture {
 protected:
  static constexpr char kUser[] = "juliet@example.org";
  static constexpr char kContact[] = "romeo@example.org";

  KeeperScenarios() : keeper_(this->store()) {}

  template <typename T>
  T Run(Task<T> task) {
    return testing::RunTask(this->io(), std::move(task));
  }

  v1::GetRosterResponse Get(std::uint64_t known = 0) {
    v1::GetRosterRequest request;
    request.set_user(kUser);
    if (known > 0) request.set_known_version(known);
    auto response = Run(keeper_.Get(request));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : v1::GetRosterResponse();
  }

  absl::StatusOr<v1::SetRosterItemResponse> Set(std::string jid, std::string name,
                                                std::vector<std::string> groups = {},
                                                std::uint32_t max_items = 0) {
    v1::SetRosterItemRequest request;
    request.set_user(kUser);
    request.set_jid(jid);
    request.set_name(name);
    for (const std::string& group : groups) request.add_groups(group);
    request.set_max_items(max_items);
    request.set_request_id(id_);
    return Run(keeper_.SetItem(request));
  }

  absl::StatusOr<v1::RemoveRosterItemResponse> Remove(std::string jid) {
    v1::RemoveRosterItemRequest request;
    request.set_user(kUser);
    request.set_jid(jid);
    request.set_request_id(id_);
    return Run(keeper_.RemoveItem(request));
  }

  absl::StatusOr<v1::ProcessOutboundSubscriptionResponse> Out(v1::SubscriptionAction action,
                                                              std::string jid = kContact,
                                                              std::uint32_t max_items = 0) {
    v1::ProcessOutboundSubscriptionRequest request;
    request.set_user(kUser);
    request.set_contact(jid);
    request.set_action(action);
    request.set_max_items(max_items);
    request.set_request_id(id_);
    return Run(keeper_.ProcessOutbound(request));
  }

  absl::StatusOr<v1::ProcessInboundSubscriptionResponse> In(v1::SubscriptionAction action,
                                                            std::string jid = kContact,
                                                            std::uint32_t max_pending = 0,
                                                            std::string payload = Status()) {
    v1::ProcessInboundSubscriptionRequest request;
    request.set_user(kUser);
    request.set_contact(jid);
    request.set_action(action);
    request.set_max_pending(max_pending);
    request.mutable_stanza()->set_from(jid);
    request.mutable_stanza()->set_payload(payload);
    request.set_request_id(id_);
    return Run(keeper_.ProcessInbound(request));
  }

  absl::StatusOr<v1::DeleteUserResponse> Delete(const std::string& user = kUser) {
    v1::DeleteUserRequest request;
    request.set_user(user);
    request.set_request_id(id_);
    return Run(keeper_.DeleteUser(request));
  }

  absl::StatusOr<v1::BlockAddressesResponse> Block(std::vector<std::string> jids, std::uint32_t most = 0) {
    v1::BlockAddressesRequest request;
    request.set_user(kUser);
    for (const std::string& jid : jids) request.add_jids(jid);
    request.set_max_addresses(most);
    request.set_request_id(id_);
    return Run(keeper_.Block(request));
  }
  absl::StatusOr<v1::UnblockAddressesResponse> Unblock(std::vector<std::string> jids) {
    v1::UnblockAddressesRequest request;
    request.set_user(kUser);
    for (const std::string& jid : jids) request.add_jids(jid);
    request.set_request_id(id_);
    return Run(keeper_.Unblock(request));
  }
  absl::StatusOr<v1::GetUserSettingsResponse> Settings(const std::string& user = kUser) {
    v1::GetUserSettingsRequest request;
    request.set_user(user);
    return Run(keeper_.GetUserSettings(request));
  }
  absl::StatusOr<v1::SetVcardResponse> SetVcard(const std::string& vcard, const std::string& hash) {
    v1::SetVcardRequest request;
    request.set_user(kUser);
    request.set_vcard(vcard);
    request.set_avatar_hash(hash);
    request.set_request_id(id_);
    return Run(keeper_.SetVcard(request));
  }
  std::string Vcard(const std::string& user = kUser) {
    v1::GetVcardRequest request;
    request.set_user(user);
    const auto response = Run(keeper_.GetVcard(request));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->vcard() : std::string();
  }
  /// "never": no vCard was ever set.
  static std::string AvatarIn(const v1::UserSettings& settings) {
    return settings.has_avatar_hash() ? settings.avatar_hash() : "never";
  }
  std::string Avatar(const std::string& user = kUser) {
    const auto settings = Settings(user);
    EXPECT_TRUE(settings.ok()) << settings.status();
    return settings.ok() ? AvatarIn(settings->settings()) : std::string();
  }
  template <typename Strings>
  static std::vector<std::string> List(const Strings& strings) {
    return {strings.begin(), strings.end()};
  }
  std::vector<std::string> Blocked(const std::string& user = kUser) {
    const auto settings = Settings(user);
    EXPECT_TRUE(settings.ok()) << settings.status();
    return settings.ok() ? List(settings->settings().blocked()) : std::vector<std::string>();
  }

  static std::string Status() { return std::string("<status>\0hi</status>", 20); }

  Totals Held() {
    auto snapshot = Run(this->store().Read(kUser, "", ""));
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    return snapshot.ok() ? snapshot->totals : Totals();
  }

  /// The contact's item as clients see it; subscription UNSPECIFIED when there is none.
  v1::RosterItem Item(const std::string& jid = kContact) {
    const v1::GetRosterResponse roster = Get();
    for (const v1::RosterItem& item : roster.items()) {
      if (item.jid() == jid) return item;
    }
    return {};
  }

  RosterKeeper keeper_;
  /// The request_id of the calls.
  std::string id_;
};

TYPED_TEST_SUITE_P(KeeperScenarios);

TYPED_TEST_P(KeeperScenarios, ItemsWithNamesAndGroups) {
  EXPECT_EQ(this->Get().version(), 0u);
  const auto set = this->Set("a@b", "Ä \"x\"", {"Friends", "zeta, \\{}", "alpha"});
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->push().item().subscription(), v1::SUBSCRIPTION_NONE);
  const auto roster = this->Get();
  EXPECT_EQ(roster.version(), set->push().version());
  ASSERT_EQ(roster.items_size(), 1);
  EXPECT_EQ(roster.items(0).SerializeAsString(), set->push().item().SerializeAsString());
  EXPECT_EQ(roster.items(0).name(), "Ä \"x\"");
  ASSERT_EQ(roster.items(0).groups_size(), 3);
  EXPECT_EQ(roster.items(0).groups(1), "zeta, \\{}");
  EXPECT_TRUE(this->Get(roster.version()).unchanged());
  EXPECT_FALSE(this->Get(roster.version() - 1).unchanged());
  // The same again is pushed again.
  const auto again = this->Set("a@b", "Ä \"x\"", {"Friends", "zeta, \\{}", "alpha"});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->push().version(), roster.version() + 1);
}

TYPED_TEST_P(KeeperScenarios, OneContactAlone) {
  ASSERT_TRUE(this->Set("a@b", "Ann").ok());
  ASSERT_TRUE(this->Set("c@d", "Carl").ok());
  v1::GetRosterRequest request;
  request.set_user(this->kUser);
  request.set_contact("c@d");
  const auto found = this->Run(this->keeper_.Get(request));
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->items_size(), 1);
  EXPECT_EQ(found->items(0).name(), "Carl");
  request.set_contact("nobody@d");
  const auto none = this->Run(this->keeper_.Get(request));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->items_size(), 0);
}

TYPED_TEST_P(KeeperScenarios, MutualSubscriptionStepByStep) {
  auto out = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_TRUE(out->route());
  EXPECT_TRUE(out->push().item().pending_out());
  // `ask` survives a change of the name.
  ASSERT_TRUE(this->Set(this->kContact, "Romeo").ok());
  EXPECT_TRUE(this->Item().pending_out());
  // Again: routed again (A.2.1), nothing to push.
  out = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  EXPECT_TRUE(out->route());
  EXPECT_FALSE(out->has_push());

  auto in = this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBED);
  ASSERT_TRUE(in.ok());
  EXPECT_TRUE(in->deliver());
  EXPECT_EQ(in->before(), v1::SUBSCRIPTION_NONE);
  EXPECT_EQ(in->after(), v1::SUBSCRIPTION_TO);
  EXPECT_EQ(in->push().item().subscription(), v1::SUBSCRIPTION_TO);
  EXPECT_FALSE(in->push().item().pending_out());
  EXPECT_EQ(in->push().item().name(), "Romeo");

  in = this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  EXPECT_TRUE(in->deliver());
  EXPECT_FALSE(in->has_push());
  out = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED);
  EXPECT_TRUE(out->route());
  EXPECT_EQ(out->before(), v1::SUBSCRIPTION_TO);
  EXPECT_EQ(out->after(), v1::SUBSCRIPTION_BOTH);
  EXPECT_EQ(out->push().item().subscription(), v1::SUBSCRIPTION_BOTH);
  EXPECT_EQ(this->Get().pending_size(), 0);
  // Already there: not routed, not pushed.
  out = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED);
  EXPECT_FALSE(out->route());
  EXPECT_FALSE(out->has_push());
  in = this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  EXPECT_FALSE(in->deliver());
  EXPECT_TRUE(in->auto_reply());

  in = this->In(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE);
  EXPECT_EQ(in->push().item().subscription(), v1::SUBSCRIPTION_TO);
  out = this->Out(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE);
  EXPECT_EQ(out->push().item().subscription(), v1::SUBSCRIPTION_NONE);
  EXPECT_EQ(this->Item().name(), "Romeo");
}

TYPED_TEST_P(KeeperScenarios, ARequestIsHiddenAndKept) {
  const auto in = this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  ASSERT_TRUE(in.ok()) << in.status();
  EXPECT_TRUE(in->deliver());
  EXPECT_FALSE(in->has_push());
  auto roster = this->Get();
  EXPECT_EQ(roster.items_size(), 0);
  ASSERT_EQ(roster.pending_size(), 1);
  EXPECT_EQ(roster.pending(0).from(), this->kContact);
  EXPECT_EQ(roster.pending(0).stanza().payload(), this->Status());
  EXPECT_EQ(this->Remove(this->kContact).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(this->Get().pending_size(), 1);

  // An item for it: the request stays, also for who knows the version.
  const auto set = this->Set(this->kContact, "R");
  ASSERT_TRUE(set.ok());
  roster = this->Get(set->push().version());
  EXPECT_TRUE(roster.unchanged());
  EXPECT_EQ(roster.items_size(), 0);
  EXPECT_EQ(roster.pending_size(), 1);
  // Subscribing oneself: both ways pending.
  EXPECT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE)->push().item().pending_out());
  EXPECT_EQ(this->Get().pending_size(), 1);
  const auto approved = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED);
  EXPECT_TRUE(approved->route());
  EXPECT_EQ(approved->after(), v1::SUBSCRIPTION_FROM);
  EXPECT_TRUE(approved->push().item().pending_out());
  EXPECT_EQ(this->Get().pending_size(), 0);
}

TYPED_TEST_P(KeeperScenarios, WhatClientsDoNotSeeLeavesTheVersionAlone) {
  ASSERT_TRUE(this->Set("a@b", "A").ok());
  const std::uint64_t version = this->Get().version();
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
  EXPECT_EQ(this->Get().version(), version);
  EXPECT_TRUE(this->Get(version).unchanged());
  // Refused: nothing stays of it.
  const auto refused = this->Out(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED);
  EXPECT_TRUE(refused->route());
  EXPECT_FALSE(refused->has_push());
  EXPECT_EQ(this->Get().version(), version);
  EXPECT_EQ(this->Get().pending_size(), 0);
  // Withdrawn by the contact: likewise.
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
  const auto withdrawn = this->In(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE);
  EXPECT_TRUE(withdrawn->deliver());
  EXPECT_EQ(this->Get().pending_size(), 0);
  EXPECT_EQ(this->Get().version(), version);
}

TYPED_TEST_P(KeeperScenarios, PreApproval) {
  const auto approved = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED);
  ASSERT_TRUE(approved.ok()) << approved.status();
  EXPECT_FALSE(approved->route());
  EXPECT_TRUE(approved->push().item().approved());
  EXPECT_EQ(approved->push().item().subscription(), v1::SUBSCRIPTION_NONE);
  EXPECT_FALSE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED)->has_push());
  const auto in = this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  EXPECT_FALSE(in->deliver());
  EXPECT_TRUE(in->auto_reply());
  EXPECT_EQ(in->after(), v1::SUBSCRIPTION_FROM);
  EXPECT_EQ(in->push().item().subscription(), v1::SUBSCRIPTION_FROM);
  const auto cancelled = this->Out(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED);
  EXPECT_TRUE(cancelled->route());
  EXPECT_FALSE(cancelled->push().item().approved());
}

TYPED_TEST_P(KeeperScenarios, RemovalTellsTheContactBySubscription) {
  using Actions = std::vector<int>;
  const auto sent = [](const v1::RemoveRosterItemResponse& response) {
    return Actions(response.send().begin(), response.send().end());
  };
  constexpr int kUnsubscribe = v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE;
  constexpr int kUnsubscribed = v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED;

  EXPECT_EQ(this->Remove(this->kContact).status().code(), absl::StatusCode::kNotFound);
  // None
  ASSERT_TRUE(this->Set(this->kContact, "R").ok());
  auto removed = this->Remove(this->kContact);
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(removed->push().item().subscription(), v1::SUBSCRIPTION_REMOVE);
  EXPECT_EQ(removed->push().item().jid(), this->kContact);
  EXPECT_EQ(sent(*removed), Actions());
  EXPECT_FALSE(removed->was_from());
  EXPECT_EQ(this->Get().version(), removed->push().version());
  EXPECT_EQ(this->Remove(this->kContact).status().code(), absl::StatusCode::kNotFound);
  // Pending Out, then To
  for (const bool is_to : {false, true}) {
    ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
    if (is_to) ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBED).ok());
    removed = this->Remove(this->kContact);
    EXPECT_EQ(sent(*removed), Actions({kUnsubscribe}));
    EXPECT_FALSE(removed->was_from());
  }
  // Pending In (with an item), then From
  for (const bool is_from : {false, true}) {
    ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
    ASSERT_TRUE(this->Set(this->kContact, "R").ok());
    if (is_from) ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED).ok());
    removed = this->Remove(this->kContact);
    EXPECT_EQ(sent(*removed), Actions({kUnsubscribed}));
    EXPECT_EQ(removed->was_from(), is_from);
    EXPECT_EQ(this->Get().pending_size(), 0);
  }
  // Both
  ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBED).ok());
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
  ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED).ok());
  EXPECT_EQ(sent(*this->Remove(this->kContact)), Actions({kUnsubscribe, kUnsubscribed}));
}

TYPED_TEST_P(KeeperScenarios, Bounds) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(this->Set("c" + std::to_string(i) + "@b", "", {}, 3).ok());
  const auto full = absl::StatusCode::kResourceExhausted;
  EXPECT_EQ(this->Set("d@b", "", {}, 3).status().code(), full);
  EXPECT_EQ(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "d@b", 3).status().code(), full);
  EXPECT_EQ(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED, "d@b", 3).status().code(), full);
  // Those that are there may change.
  EXPECT_TRUE(this->Set("c0@b", "x", {}, 3).ok());
  EXPECT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "c1@b", 3).ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "p" + std::to_string(i) + "@b", 2).ok());
  }
  EXPECT_EQ(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "q@b", 2).status().code(), full);
  // Once more by the same is no further request.
  EXPECT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "p0@b", 2).ok());
  EXPECT_EQ(this->Get().pending_size(), 2);
}

TYPED_TEST_P(KeeperScenarios, DeletedUsersLeaveNothing) {
  ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "p@b").ok());
  const std::uint64_t version = this->Get().version();
  const auto deleted = this->Delete();
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  ASSERT_EQ(deleted->items_size(), 1);
  EXPECT_TRUE(deleted->items(0).pending_out());
  ASSERT_EQ(deleted->asking_size(), 1);
  EXPECT_EQ(deleted->asking(0), "p@b");
  const auto roster = this->Get();
  EXPECT_EQ(roster.items_size() + roster.pending_size(), 0);
  EXPECT_EQ(roster.version(), 0u);
  EXPECT_EQ(this->Held(), Totals());
  EXPECT_TRUE(this->Delete().ok());
  // The next user of this name has other versions.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(this->Set("a@b", "A").ok());
  EXPECT_GT(this->Get().version(), version);
}

// The approval was for who had the name, not for who has it next.
TYPED_TEST_P(KeeperScenarios, DeletedUsersAreApprovedNoMore) {
  ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED).ok());
  ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED, "p@b").ok());
  const std::uint64_t version = this->Get().version();
  ASSERT_TRUE(this->Delete(this->kContact).ok());
  EXPECT_FALSE(this->Item().approved());
  EXPECT_GT(this->Get().version(), version);
  EXPECT_TRUE(this->Item("p@b").approved());
  const auto in = this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  EXPECT_TRUE(in->deliver());
  EXPECT_FALSE(in->auto_reply());
}

TYPED_TEST_P(KeeperScenarios, LongTexts) {
  const std::string kilobyte(1'000, 'x');
  const std::vector<std::string> groups(15, kilobyte);
  EXPECT_EQ(this->Set("a@b", kilobyte, std::vector<std::string>(17, kilobyte)).status().code(),
            absl::StatusCode::kInvalidArgument);
  int stored = 0;
  absl::Status last;
  for (; last.ok() && stored < 200; ++stored)
    last = this->Set("c" + std::to_string(stored) + "@b", kilobyte, groups).status();
  EXPECT_EQ(last.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_LE(this->Held().item_bytes, RosterKeeper::kMaxRosterBytes);
  EXPECT_GT(this->Held().item_bytes, RosterKeeper::kMaxRosterBytes - RosterKeeper::kMaxItemBytes);
  // A user who makes room may add again.
  ASSERT_TRUE(this->Set("c0@b", "short").ok());
  EXPECT_TRUE(this->Set("another@b", kilobyte).ok());
}

TYPED_TEST_P(KeeperScenarios, LongRequests) {
  // Kept without its children.
  const std::string kilobyte(1'000, 'x');
  std::string long_one;
  for (int i = 0; i < 5; ++i) long_one += kilobyte;
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "long@b", 0, long_one)->deliver());
  ASSERT_EQ(this->Get().pending_size(), 1);
  EXPECT_EQ(this->Get().pending(0).stanza().payload(), "");
  EXPECT_EQ(this->Get().pending(0).stanza().from(), "long@b");
  // So are those for which there is little room left.
  std::string three;
  for (int i = 0; i < 3; ++i) three += kilobyte;
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "p" + std::to_string(i) + "@b", 0, three).ok());
  int whole = 0;
  const v1::GetRosterResponse roster = this->Get();
  for (const v1::PendingRequest& request : roster.pending()) whole += request.stanza().payload() == three;
  EXPECT_GT(whole, 80);
  EXPECT_LT(whole, 90);
  EXPECT_EQ(roster.pending_size(), 101);
  EXPECT_EQ(this->Held().requests, 101);
}

TYPED_TEST_P(KeeperScenarios, TotalsFollow) {
  const auto expected = [this](std::int64_t items, std::int64_t bytes, std::int64_t requests) {
    const Totals held = this->Held();
    EXPECT_EQ(held.items, items);
    EXPECT_EQ(held.item_bytes, bytes);
    EXPECT_EQ(held.requests, requests);
    EXPECT_EQ(held.request_bytes > 0, requests > 0);
  };
  expected(0, 0, 0);
  ASSERT_TRUE(this->Set("a@b", "1234", {"12", "3"}).ok());
  expected(1, 10, 0);
  ASSERT_TRUE(this->Set("a@b", "1").ok());
  expected(1, 4, 0);
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "a@b").ok());
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "c@d").ok());
  expected(1, 4, 2);
  ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED, "c@d").ok());
  expected(2, 7, 1);
  ASSERT_TRUE(this->Remove("a@b").ok());
  expected(1, 3, 0);
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE, "e@f").ok());
  ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED, "e@f").ok());
  ASSERT_TRUE(this->Remove("c@d").ok());
  expected(0, 0, 0);
}

// ---- repetitions ------------------------------------------------------------

TYPED_TEST_P(KeeperScenarios, Repeated_TheSameAnswerOnce) {
  const auto same = [](const auto& first, const auto& again) {
    ASSERT_TRUE(first.ok()) << first.status();
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(first->DebugString(), again->DebugString());
  };
  this->id_ = "1";
  same(this->Set(this->kContact, "R", {"G"}), this->Set(this->kContact, "R", {"G"}));
  this->id_ = "2";
  const auto subscribed = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  EXPECT_TRUE(subscribed->has_push());
  same(subscribed, this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE));
  this->id_ = "users/3/17";
  const auto granted = this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBED);
  EXPECT_TRUE(granted->deliver());
  EXPECT_EQ(granted->after(), v1::SUBSCRIPTION_TO);
  same(granted, this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBED));
  this->id_ = "users/3/18";
  const auto asked = this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  EXPECT_TRUE(asked->deliver());
  same(asked, this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE));
  this->id_ = "3";
  const auto approved = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED);
  EXPECT_TRUE(approved->route());
  EXPECT_EQ(approved->before(), v1::SUBSCRIPTION_TO);
  same(approved, this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED));
  EXPECT_EQ(this->Get().version(), approved->push().version());
  this->id_ = "4";
  const auto removed = this->Remove(this->kContact);
  EXPECT_EQ(removed->send_size(), 2);
  EXPECT_TRUE(removed->was_from());
  same(removed, this->Remove(this->kContact));
  EXPECT_EQ(this->Held(), Totals());
  // Another stanza that asks for the same is another request.
  this->id_ = "5";
  EXPECT_EQ(this->Remove(this->kContact).status().code(), absl::StatusCode::kNotFound);
}

TYPED_TEST_P(KeeperScenarios, Repeated_DeletedUser) {
  ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
  this->id_ = "1";
  const auto deleted = this->Delete();
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->items_size(), 1);
  EXPECT_EQ(this->Delete()->DebugString(), deleted->DebugString());
  EXPECT_EQ(this->Get().items_size(), 0);
}

// A request that changed nothing then changes nothing when it comes again, whatever has come since.
TYPED_TEST_P(KeeperScenarios, Repeated_WithoutAChange) {
  this->id_ = "1";
  EXPECT_FALSE(this->Out(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED)->route());
  this->id_ = "users/0/5";
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE)->deliver());
  this->id_ = "1";
  EXPECT_FALSE(this->Out(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBED)->route());
  EXPECT_EQ(this->Get().pending_size(), 1);
}

TYPED_TEST_P(KeeperScenarios, Repeated_TheContactAsItIsNow) {
  this->id_ = "1";
  const auto first = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  this->id_ = "2";
  ASSERT_TRUE(this->Set(this->kContact, "Romeo").ok());
  this->id_ = "3";
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBED).ok());
  this->id_ = "1";
  auto again = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  EXPECT_TRUE(again->route());
  EXPECT_EQ(again->push().version(), first->push().version());
  EXPECT_EQ(again->push().item().subscription(), v1::SUBSCRIPTION_TO);
  EXPECT_EQ(again->push().item().name(), "Romeo");
  this->id_ = "4";
  const auto removed = this->Remove(this->kContact);
  this->id_ = "1";
  again = this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBE);
  EXPECT_EQ(again->push().item().subscription(), v1::SUBSCRIPTION_REMOVE);
  EXPECT_EQ(again->push().item().jid(), this->kContact);
  // And back again, where a removal is repeated.
  this->id_ = "5";
  ASSERT_TRUE(this->Set(this->kContact, "R2").ok());
  this->id_ = "4";
  const auto removed_again = this->Remove(this->kContact);
  EXPECT_EQ(removed_again->push().item().name(), "R2");
  EXPECT_EQ(removed_again->push().version(), removed->push().version());
  EXPECT_EQ(this->Item().name(), "R2");
}

// The presence that is to be sent follows from it.
TYPED_TEST_P(KeeperScenarios, Repeated_WhoSeesTheUserNow) {
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
  this->id_ = "1";
  EXPECT_EQ(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED)->after(), v1::SUBSCRIPTION_FROM);
  this->id_ = "2";
  ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE).ok());
  this->id_ = "1";
  EXPECT_EQ(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED)->after(), v1::SUBSCRIPTION_NONE);
  const auto see_again = [this](std::string id) {
    this->id_ = id + "a";
    ASSERT_TRUE(this->In(v1::SUBSCRIPTION_ACTION_SUBSCRIBE).ok());
    this->id_ = id + "b";
    ASSERT_TRUE(this->Out(v1::SUBSCRIPTION_ACTION_SUBSCRIBED).ok());
  };
  see_again("3");
  this->id_ = "2";
  EXPECT_EQ(this->In(v1::SUBSCRIPTION_ACTION_UNSUBSCRIBE)->after(), v1::SUBSCRIPTION_FROM);
  this->id_ = "4";
  EXPECT_TRUE(this->Remove(this->kContact)->was_from());
  see_again("5");
  this->id_ = "4";
  EXPECT_FALSE(this->Remove(this->kContact)->was_from());
}

TYPED_TEST_P(KeeperScenarios, Repeated_RefusedAgain) {
  this->id_ = "1";
  const absl::Status refused = this->Remove(this->kContact).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kNotFound);
  this->id_ = "2";
  ASSERT_TRUE(this->Set(this->kContact, "R").ok());
  // A call that was given up, and comes late.
  this->id_ = "1";
  EXPECT_EQ(this->Remove(this->kContact).status(), refused);
  EXPECT_EQ(this->Item().name(), "R");
}

TYPED_TEST_P(KeeperScenarios, Repeated_EachUsersOwn) {
  this->id_ = "2";
  ASSERT_TRUE(this->Set("a@b", "A").ok());
  v1::SetRosterItemRequest request;
  request.set_user("another@example.org");
  request.set_jid("a@b");
  request.set_name("Else");
  request.set_request_id("2");
  const auto other = this->Run(this->keeper_.SetItem(request));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->push().item().name(), "Else");
  EXPECT_EQ(this->Item("a@b").name(), "A");
}

TYPED_TEST_P(KeeperScenarios, NoSuchAction) {
  EXPECT_EQ(this->Out(v1::SUBSCRIPTION_ACTION_UNSPECIFIED).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(this->In(v1::SUBSCRIPTION_ACTION_UNSPECIFIED).status().code(),
            absl::StatusCode::kInvalidArgument);
}

using Strings = std::vector<std::string>;

TYPED_TEST_P(KeeperScenarios, Blocked_InOrder_EachOnce) {
  EXPECT_EQ(this->Blocked(), Strings());
  const auto first = this->Block({"a@b", "c.d", "a@b"});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(this->List(first->added()), (Strings{"a@b", "c.d"}));
  const auto second = this->Block({"c.d", "e@f/g"});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(this->List(second->added()), Strings{"e@f/g"});
  EXPECT_EQ(this->List(second->settings().blocked()), (Strings{"a@b", "c.d", "e@f/g"}));
  EXPECT_EQ(this->Blocked(), (Strings{"a@b", "c.d", "e@f/g"}));
  EXPECT_EQ(this->Blocked("another@example.org"), Strings());
}

TYPED_TEST_P(KeeperScenarios, Unblocked_SomeOrAll) {
  ASSERT_TRUE(this->Block({"a@b", "c.d", "e@f"}).ok());
  const auto some = this->Unblock({"c.d", "not@there"});
  ASSERT_TRUE(some.ok()) << some.status();
  EXPECT_EQ(this->List(some->removed()), Strings{"c.d"});
  EXPECT_EQ(this->List(some->settings().blocked()), (Strings{"a@b", "e@f"}));
  const auto all = this->Unblock({});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(this->List(all->removed()), (Strings{"a@b", "e@f"}));
  EXPECT_EQ(this->Blocked(), Strings());
  const auto none = this->Unblock({});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->removed_size(), 0);
  ASSERT_TRUE(this->Block({"a@b"}).ok());
  EXPECT_EQ(this->Blocked(), Strings{"a@b"});
}

TYPED_TEST_P(KeeperScenarios, BlockList_Bounds) {
  ASSERT_TRUE(this->Block({"a@b", "c@d"}, 2).ok());
  const auto exhausted = absl::StatusCode::kResourceExhausted;
  EXPECT_EQ(this->Block({"e@f"}, 2).status().code(), exhausted);
  // An address that is there already costs nothing.
  EXPECT_TRUE(this->Block({"a@b"}, 2).ok());
  Strings many;
  for (int i = 0; i < 140; ++i) many.push_back(std::string(1'000, 'x') + std::to_string(i));
  EXPECT_EQ(this->Block(many).status().code(), exhausted);
  EXPECT_EQ(this->Blocked(), (Strings{"a@b", "c@d"}));
}

TYPED_TEST_P(KeeperScenarios, BlockList_Repeated_TheSameAnswerOnce) {
  this->id_ = "1";
  ASSERT_TRUE(this->Block({"a@b"}).ok());
  this->id_ = "2";
  ASSERT_TRUE(this->Unblock({"a@b"}).ok());
  this->id_ = "1";
  const auto again = this->Block({"a@b"});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(this->List(again->added()), Strings{"a@b"});
  EXPECT_EQ(again->settings().blocked_size(), 0);
  EXPECT_EQ(this->Blocked(), Strings());
  // Also when nothing had changed.
  this->id_ = "3";
  ASSERT_TRUE(this->Unblock({"a@b"}).ok());
  this->id_ = "4";
  ASSERT_TRUE(this->Block({"a@b"}).ok());
  this->id_ = "3";
  const auto nothing = this->Unblock({"a@b"});
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  EXPECT_EQ(nothing->removed_size(), 0);
  EXPECT_EQ(this->Blocked(), Strings{"a@b"});
}

TYPED_TEST_P(KeeperScenarios, BlockList_ComesWithTheRosterWhenAskedFor) {
  ASSERT_TRUE(this->Block({"a@b"}).ok());
  ASSERT_TRUE(this->Set(this->kContact, "R").ok());
  EXPECT_FALSE(this->Get().has_settings());
  v1::GetRosterRequest request;
  request.set_user(this->kUser);
  request.set_with_settings(true);
  for (const bool is_known : {false, true}) {
    if (is_known) request.set_known_version(this->Get().version());
    const auto roster = this->Run(this->keeper_.Get(request));
    ASSERT_TRUE(roster.ok()) << roster.status();
    EXPECT_EQ(roster->unchanged(), is_known);
    EXPECT_EQ(this->List(roster->settings().blocked()), Strings{"a@b"});
  }
  request.set_user("another@example.org");
  request.clear_known_version();
  const auto other = this->Run(this->keeper_.Get(request));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_TRUE(other->has_settings());
  EXPECT_EQ(other->settings().blocked_size(), 0);
}

TYPED_TEST_P(KeeperScenarios, BlockList_GoesWithTheUser) {
  ASSERT_TRUE(this->Block({"a@b"}).ok());
  ASSERT_TRUE(this->Delete().ok());
  EXPECT_EQ(this->Blocked(), Strings());
  ASSERT_TRUE(this->Block({"c@d"}).ok());
  EXPECT_EQ(this->Blocked(), Strings{"c@d"});
}

TYPED_TEST_P(KeeperScenarios, Vcard_EachReplacesTheOneBefore) {
  EXPECT_EQ(this->Vcard(), "");
  EXPECT_EQ(this->Avatar(), "never");
  const std::string binary("<vCard>\0\xc3\xa4</vCard>", 19);
  const auto first = this->SetVcard(binary, "abc");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(this->AvatarIn(first->settings()), "abc");
  EXPECT_EQ(this->Vcard(), binary);
  EXPECT_EQ(this->Avatar(), "abc");
  ASSERT_TRUE(this->SetVcard("<vCard/>", "").ok());
  EXPECT_EQ(this->Vcard(), "<vCard/>");
  EXPECT_EQ(this->Avatar(), "");
  // Its owner is one who has said something of it.
  ASSERT_TRUE(this->SetVcard("", "").ok());
  EXPECT_EQ(this->Vcard(), "");
  EXPECT_EQ(this->Avatar(), "");
  EXPECT_EQ(this->Vcard("another@example.org"), "");
  EXPECT_EQ(this->Avatar("another@example.org"), "never");
}

TYPED_TEST_P(KeeperScenarios, Vcard_Bounds) {
  ASSERT_TRUE(this->SetVcard(std::string(RosterKeeper::kMaxVcardBytes, 'x'), "abc").ok());
  EXPECT_EQ(this->SetVcard(std::string(RosterKeeper::kMaxVcardBytes + 1, 'x'), "def").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(this->Vcard().size(), RosterKeeper::kMaxVcardBytes);
  EXPECT_EQ(this->Avatar(), "abc");
}

TYPED_TEST_P(KeeperScenarios, Vcard_Repeated_MadeOnce) {
  this->id_ = "1";
  ASSERT_TRUE(this->SetVcard("one", "1").ok());
  this->id_ = "2";
  ASSERT_TRUE(this->SetVcard("two", "2").ok());
  this->id_ = "1";
  const auto again = this->SetVcard("one", "1");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(this->AvatarIn(again->settings()), "2");
  EXPECT_EQ(this->Vcard(), "two");
}

TYPED_TEST_P(KeeperScenarios, Vcard_AndBlockListAreTheSettings) {
  ASSERT_TRUE(this->SetVcard("v", "abc").ok());
  const auto blocked = this->Block({"a@b"});
  ASSERT_TRUE(blocked.ok()) << blocked.status();
  EXPECT_EQ(this->AvatarIn(blocked->settings()), "abc");
  const auto unblocked = this->Unblock({"not@there"});
  ASSERT_TRUE(unblocked.ok()) << unblocked.status();
  EXPECT_EQ(this->AvatarIn(unblocked->settings()), "abc");
  const auto set = this->SetVcard("v", "def");
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(this->List(set->settings().blocked()), Strings{"a@b"});
  // Repeated, too.
  for (const char* const id : {"7", "8"}) {
    this->id_ = id;
    ASSERT_TRUE((id[0] == '7' ? this->Block({"c@d"}).status() : this->SetVcard("w", "ghi").status()).ok());
  }
  EXPECT_EQ(this->List(this->SetVcard("w", "ghi")->settings().blocked()), (Strings{"a@b", "c@d"}));
  this->id_ = "7";
  EXPECT_EQ(this->AvatarIn(this->Block({"c@d"})->settings()), "ghi");
}

TYPED_TEST_P(KeeperScenarios, Vcard_ItsHashComesWithTheRosterWhenAskedFor) {
  ASSERT_TRUE(this->SetVcard("v", "").ok());
  ASSERT_TRUE(this->Set(this->kContact, "R").ok());
  EXPECT_FALSE(this->Get().has_settings());
  v1::GetRosterRequest request;
  request.set_user(this->kUser);
  request.set_with_settings(true);
  for (const bool is_known : {false, true}) {
    if (is_known) request.set_known_version(this->Get().version());
    const auto roster = this->Run(this->keeper_.Get(request));
    ASSERT_TRUE(roster.ok()) << roster.status();
    EXPECT_EQ(roster->unchanged(), is_known);
    EXPECT_EQ(this->AvatarIn(roster->settings()), "");
  }
}

TYPED_TEST_P(KeeperScenarios, Vcard_GoesWithTheUser) {
  ASSERT_TRUE(this->SetVcard("v", "abc").ok());
  ASSERT_TRUE(this->Delete().ok());
  EXPECT_EQ(this->Vcard(), "");
  EXPECT_EQ(this->Avatar(), "never");
  ASSERT_TRUE(this->SetVcard("w", "def").ok());
  EXPECT_EQ(this->Vcard(), "w");
}

REGISTER_TYPED_TEST_SUITE_P(
    KeeperScenarios, ItemsWithNamesAndGroups, OneContactAlone, MutualSubscriptionStepByStep,
    ARequestIsHiddenAndKept, WhatClientsDoNotSeeLeavesTheVersionAlone, PreApproval,
    RemovalTellsTheContactBySubscription, Bounds, DeletedUsersLeaveNothing, DeletedUsersAreApprovedNoMore,
    LongTexts, LongRequests, TotalsFollow, Repeated_TheSameAnswerOnce, Repeated_DeletedUser,
    Repeated_WithoutAChange, Repeated_TheContactAsItIsNow, Repeated_WhoSeesTheUserNow, Repeated_RefusedAgain,
    Repeated_EachUsersOwn, NoSuchAction, Blocked_InOrder_EachOnce, Unblocked_SomeOrAll, BlockList_Bounds,
    BlockList_Repeated_TheSameAnswerOnce, BlockList_ComesWithTheRosterWhenAskedFor, BlockList_GoesWithTheUser,
    Vcard_EachReplacesTheOneBefore, Vcard_Bounds, Vcard_Repeated_MadeOnce, Vcard_AndBlockListAreTheSettings,
    Vcard_ItsHashComesWithTheRosterWhenAskedFor, Vcard_GoesWithTheUser);

}  // namespace rookery::roster
