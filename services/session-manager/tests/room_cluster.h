#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster.h"
#include "rookery/events/homes.h"
#include "rookery/sharding/duplicate_filter.h"
#include "rookery/xmpp/element.h"

namespace rookery::session_manager {

/// Two session-managers, a gateway, and rooms of which there is only the log.
class RoomCluster : public Cluster {
 protected:
  RoomCluster() : gateway_(AddGateway("gw-1")) {
    alice_ = UserIn(0);
    bob_ = UserIn(1);
    for (std::uint32_t shard = 0; shard < kShards; ++shard) Assign(shard, shard == 0 ? 0 : 1);
    EXPECT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
  }

  /// The owner of this shard is killed, and the other process has it.
  void MoveTo(std::uint32_t shard, int to, bool lose = true) {
    const int killed = owners_[shard];
    Kill(killed, lose);
    log_.held = false;
    for (const auto& [number, owner] : std::map(owners_))
      if (owner == killed) Assign(number, to);
    ASSERT_TRUE(RunUntil([&] { return IsLive(0) && IsLive(1) && IsLive(2) && IsLive(3); }));
    Settle();
  }

  void KillGateway(Gateway& gateway) {
    for (const auto& node : nodes_) {
      std::erase(node->membership.gateways, gateway.name());
      gateway.Unlink(*node);
    }
  }

  static std::uint32_t ShardOfRoom(std::string_view room) {
    const events::Topology topology({kShards, kShards, kShards, kShards});
    return events::HomeWith(events::Service::kMuc, topology, room).partition;
  }
  /// Returns those of the records for the room's shard that its owner applies.
  std::vector<events::v1::RoomRecord> Applied(std::string_view room) const {
    sharding::DuplicateFilter filter(owner_options_.duplicate_horizon);
    std::vector<events::v1::RoomRecord> applied;
    for (const FakeLog::RoomEntry& entry : log_.rooms[ShardOfRoom(room)]) {
      const auto verdict = filter.Check(entry.record.origin(), entry.record.received_at_ms());
      if (verdict == sharding::DuplicateFilter::Verdict::kApply && entry.key == room)
        applied.push_back(entry.record);
    }
    return applied;
  }
  std::vector<xmpp::Stanza> Heard(std::string_view room) const {
    std::vector<xmpp::Stanza> stanzas;
    for (const auto& record : Applied(room)) stanzas.push_back(record.delivery().stanza());
    return stanzas;
  }
  std::vector<std::string> HeardIds(std::string_view room) const {
    std::vector<std::string> ids;
    for (const auto& stanza : Heard(room)) ids.push_back(stanza.id());
    return ids;
  }
  /// Returns the addresses at which, as the room has heard, there is nobody.
  std::vector<std::string> Ghosts() const {
    std::vector<std::string> ghosts;
    for (const auto& stanza : Heard(kRoom))
      if (stanza.type() == "error") ghosts.push_back(stanza.from());
    return ghosts;
  }
  std::shared_ptr<Session> SessionOf(const Client& client, int at) {
    return node(at).domain.table().Find(SessionId(client.id));
  }
  /// Another room of the same shard as kRoom.
  static std::string Neighbour(int n = 0) {
    for (int i = 0;; ++i) {
      std::string room = "neighbour" + std::to_string(i) + "@conference.localhost";
      if (ShardOfRoom(room) == ShardOfRoom(kRoom) && n-- == 0) return room;
    }
  }

  /// A record of the room's owner.
  events::v1::UserRecord FromRoom(std::int64_t offset, std::uint32_t part = 1) const {
    events::v1::UserRecord record;
    auto& origin = *record.mutable_origin();
    origin.set_topic(events::v1::TOPIC_ROOMS);
    origin.set_shard(ShardOfRoom(kRoom));
    origin.set_epoch(room_epoch_);
    origin.mutable_log()->set_offset(offset);
    origin.mutable_log()->set_part(part);
    record.set_received_at_ms(clock_.UnixMillisNow());
    return record;
  }
  events::v1::UserRecord Fanout(std::int64_t offset, const xmpp::Stanza& stanza,
                                const std::vector<std::string>& recipients) const {
    events::v1::UserRecord record = FromRoom(offset);
    *record.mutable_fanout()->mutable_stanza() = stanza;
    record.mutable_fanout()->mutable_recipients()->Assign(recipients.begin(), recipients.end());
    return record;
  }
  events::v1::UserRecord Single(std::int64_t offset, xmpp::Stanza stanza, const std::string& to) const {
    events::v1::UserRecord record = FromRoom(offset);
    stanza.set_to(to);
    *record.mutable_delivery()->mutable_stanza() = stanza;
    return record;
  }
  void Say(std::uint32_t shard, const events::v1::UserRecord& record) {
    log_.users[shard].push_back(record.SerializeAsString());
    Settle();
  }
  static xmpp::Stanza Groupchat(const std::string& id, std::string_view from = kNick) {
    xmpp::Stanza message = Message({}, id, "groupchat");
    message.set_from(std::string(from));
    return message;
  }
  /// As the room sends it.
  static xmpp::Stanza PrivateMessage(const std::string& id, std::string_view from = kNick) {
    xmpp::Stanza message = Message({}, id);
    message.set_from(std::string(from));
    xmpp::AddPayload(message, xmpp::Element("x", "http://jabber.org/protocol/muc#user"));
    return message;
  }
  static xmpp::Stanza OccupantPresence(const std::string& type = {}, std::string_view from = kNick) {
    xmpp::Stanza presence = Presence(type);
    presence.set_from(std::string(from));
    return presence;
  }

  static constexpr std::string_view kService = "conference.localhost";
  static constexpr std::string_view kRoom = "room@conference.localhost";
  static constexpr std::string_view kNick = "room@conference.localhost/nick";
  std::int64_t room_epoch_ = 5;
  Gateway& gateway_;
  std::string alice_, bob_;
};

}  // namespace rookery::session_manager
