#pragma once

#include <gmock/gmock.h>

#include <functional>

#include "cluster.h"
#include "domain/records/record_order.h"

namespace rookery::session_manager {

using common::v1::STANZA_KIND_IQ;

class SubscriptionTest : public Cluster {
 protected:
  SubscriptionTest() : Cluster(2), gateway_(AddGateway("gw-1")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(2);
  }
  void AskForRoster(Client& client) {
    gateway_.Send(client, Iq("get", {}, "roster", "query", "jabber:iq:roster"));
    Settle();
    client.inbox.clear();
  }
  std::vector<xmpp::Stanza> Pushes(const Client& client) { return Only(client.inbox, STANZA_KIND_IQ, "set"); }
  Gateway& gateway_;
  std::string alice_, bob_;
};

class KilledInBetweenTest : public SubscriptionTest {
 protected:
  /// `act` makes node `number` change a roster; what it appends then is lost with it. Its
  /// shards go to the other node.
  void KillAfter(int number, const std::function<void()>& act) {
    // Earlier records are finished: the next owner does not do them again.
    Elapse(std::chrono::milliseconds(500));
    log_.held = true;
    act();
    Settle();
    Kill(number, /*lose=*/true);
    log_.held = false;
    const int heir = 1 - number;
    for (const std::uint32_t shard : {0u, 1u, 2u, 3u})
      if (owners_[shard] == number) Assign(shard, heir);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    Settle();
  }
  /// Sends `client`'s stanza: what follows from the stanza itself is in the log, what follows from that is
  /// not.
  void SendThroughLog(Client& client, const xmpp::Stanza& stanza) {
    gateway_.Send(client, stanza);
    Settle();
    log_.Flush();
  }
  static xmpp::Stanza Removal(const std::string& jid) {
    xmpp::Stanza set = Iq("set", {}, "s1", "query", "jabber:iq:roster");
    xmpp::Element query("query", "jabber:iq:roster");
    query.Add("item").SetAttr("jid", jid).SetAttr("subscription", "remove");
    xmpp::SetPayload(set, query);
    return set;
  }
};

}  // namespace rookery::session_manager
