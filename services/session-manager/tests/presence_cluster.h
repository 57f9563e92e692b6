#pragma once

#include <string>
#include <vector>

#include "cluster.h"

namespace rookery::session_manager {

/// alice, bob and eve in three shards of two owners.
class PresenceCluster : public Cluster {
 protected:
  PresenceCluster() : Cluster(2), gateway_(AddGateway("gw-1")) {
    for (const std::uint32_t shard : {0u, 1u}) Assign(shard, 0);
    for (const std::uint32_t shard : {2u, 3u}) Assign(shard, 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    alice_ = UserIn(0);
    bob_ = UserIn(2);
    eve_ = UserIn(1);
  }
  static std::vector<xmpp::Stanza> From(const Client& client, const std::string& from,
                                        const std::string& type) {
    std::vector<xmpp::Stanza> some;
    for (const xmpp::Stanza& stanza : Only(client.inbox, common::v1::STANZA_KIND_PRESENCE, type))
      if (stanza.from() == from) some.push_back(stanza);
    return some;
  }
  static session::v1::SessionManagerState StateOf(const Client& client) {
    session::v1::SessionManagerState state;
    EXPECT_TRUE(state.ParseFromString(client.state));
    return state;
  }
  Gateway& gateway_;
  std::string alice_, bob_, eve_;
};

}  // namespace rookery::session_manager
