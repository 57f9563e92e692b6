#include "mutations.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "environment.h"
#include "rookery/base/random.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/events/v1/user_record.pb.h"

namespace rookery::simulation {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

// Those without a hook here are made in the files of the processes.
const std::vector<Mutation>& AllMutations() {
  static const std::vector<Mutation> kAll{
      {"confirm-before-append", "a record counts as appended when it is given to the producer"},
      {"accept-old-epoch", "a gateway accepts what a former owner of a shard still says"},
      {"drop-resend", "what a former owner did not confirm is not sent to the new one"},
      {"commit-everything", "the cursor goes past all records that are not finished"},
      {"skip-a-hold", "the cursor goes past the oldest record that is not finished"},
      {"append-out-of-order", "two messages that are appended together change places"},
      {"forget-parked", "a session whose client is away is not stored"},
      {"lose-offline", "a message for an absent user is not stored"},
      {"forget-who-has-it", "a stored packet does not say that another device of the user has the message"},
      {"give-offline-again", "what was given from the offline store is not marked"},
      {"forget-what-was-applied", "a repeated record is applied again"},
      {"attach-without-packets", "a gateway does not say what its clients have not acknowledged"},
      {"attach-as-if-in-reach", "a gateway does not say that it was cut off, and who knew its sessions"},
      {"acknowledge-on-receipt", "a client's stanza is acknowledged before it is confirmed"},
      {"drop-unavailable", "nobody is told that a session has ended"},
      {"swap-packets", "two packets to one client change places"},
      {"ignore-deliveries", "the owner does not hear what clients have acknowledged"},
      {"forget-rooms", "a room's checkpoint counts as written and is not"},
      {"repeat-in-rooms", "a record of rooms that is repeated is applied again"},
      {"say-no-more", "one message in twenty is said to none of a shard's occupants"},
      {"drop-push", "one roster push in ten has nothing in it"},
      {"lose-subscription", "one word in twenty of one roster to another is lost"},
      {"revoke-in-silence", "who loses sight of somebody is not told"},
      {"silence-is-refusal", "a change of a roster that has no answer is taken for a refused one"},
  };
  return kAll;
}

namespace {

bool IsMessage(const std::string& value) {
  events::v1::UserRecord record;
  return record.ParseFromString(value) && record.has_delivery() &&
         record.delivery().stanza().kind() == common::v1::STANZA_KIND_MESSAGE;
}

}  // namespace

void Mutate(Environment& environment) {
  const std::string& name = environment.mutation;
  Kafka& kafka = environment.kafka;
  Links& links = environment.links;
  if (name == "confirm-before-append") {
    kafka.hooks.confirms_early = true;
  } else if (name == "commit-everything") {
    kafka.hooks.commit = [](std::int64_t, std::int64_t end) { return end; };
  } else if (name == "skip-a-hold") {
    kafka.hooks.commit = [](std::int64_t offset, std::int64_t end) { return std::min(offset + 1, end); };
  } else if (name == "append-out-of-order") {
    kafka.hooks.is_swapped = [](const std::string& first, const std::string& second) {
      return IsMessage(first) && IsMessage(second);
    };
  } else if (name == "forget-what-was-applied") {
    kafka.hooks.read = [](const std::string& topic, std::string& value) {
      events::v1::UserRecord record;
      if (topic != "users" || !record.ParseFromString(value) || !record.origin().has_client()) return;
      record.mutable_origin()->mutable_client()->set_session_id(RandomBytes(16));
      record.SerializeToString(&value);
    };
  } else if (name == "repeat-in-rooms") {
    kafka.hooks.read = [](const std::string& topic, std::string& value) {
      events::v1::RoomRecord record;
      if (topic != "rooms" || !record.ParseFromString(value) || !record.has_delivery() ||
          !record.origin().has_client())
        return;
      record.mutable_origin()->mutable_client()->set_session_id(RandomBytes(16));
      record.SerializeToString(&value);
    };
  } else if (name == "say-no-more") {
    kafka.hooks.append = [count = 0](const std::string& topic, const std::string& value) mutable {
      events::v1::UserRecord record;
      return topic != "users" || !record.ParseFromString(value) || !record.has_fanout() ||
             record.fanout().stanza().type() != "groupchat" || ++count % 20 != 0;
    };
  } else if (name == "lose-subscription") {
    kafka.hooks.append = [count = 0](const std::string& topic, const std::string& value) mutable {
      events::v1::UserRecord record;
      return topic != "users" || !record.ParseFromString(value) || !record.has_delivery() ||
             record.delivery().stanza().type().find("subscribe") == std::string::npos || ++count % 20 != 0;
    };
  } else if (name == "revoke-in-silence") {
    kafka.hooks.append = [](const std::string& topic, const std::string& value) {
      events::v1::UserRecord record;
      return topic != "users" || !record.ParseFromString(value) || !record.has_delivery() ||
             record.delivery().stanza().type() != "unavailable" ||
             record.delivery().stanza().from().find("@conference.") != std::string::npos;
    };
  } else if (name == "drop-push") {
    links.hooks.down = [count = 0](std::vector<SessionManagerAction>& actions) mutable {
      for (SessionManagerAction& action : actions) {
        if (!action.has_packet()) continue;
        xmpp::Stanza& stanza = *action.mutable_packet()->mutable_stanza();
        const bool is_push = stanza.kind() == common::v1::STANZA_KIND_IQ && stanza.type() == "set";
        if (is_push && ++count % 10 == 0) xmpp::ClearPayload(stanza);
      }
    };
  } else if (name == "drop-unavailable") {
    kafka.hooks.append = [](const std::string& topic, const std::string& value) {
      events::v1::UserRecord record;
      return topic != "users" || !record.ParseFromString(value) || !record.has_fanout() ||
             record.fanout().stanza().type() != "unavailable";
    };
  } else if (name == "accept-old-epoch") {
    // When it is heard: a former owner's words are late, not new.
    using Known = std::map<std::pair<const Process*, std::uint32_t>, std::int64_t>;
    links.hooks.heard = [known = std::make_shared<Known>()](const Process& gateway,
                                                            std::vector<SessionManagerAction>& actions) {
      const auto raise = [&](std::uint32_t shard, std::int64_t said) {
        std::int64_t& epoch = (*known)[{&gateway, shard}];
        return epoch = std::max(epoch, said);
      };
      for (SessionManagerAction& action : actions) {
        if (action.has_hello()) {
          for (auto& owned : *action.mutable_hello()->mutable_shards())
            owned.set_epoch(raise(owned.shard(), owned.epoch()));
        } else if (action.has_shard_owned()) {
          auto* owned = action.mutable_shard_owned();
          owned->set_epoch(raise(owned->shard(), owned->epoch()));
        } else {
          action.set_epoch(raise(action.shard(), action.epoch()));
        }
      }
    };
  } else if (name == "swap-packets") {
    links.hooks.down = [](std::vector<SessionManagerAction>& actions) {
      for (std::size_t i = 0; i + 1 < actions.size(); ++i) {
        if (!actions[i].has_packet() || !actions[i + 1].has_packet()) continue;
        auto* first = actions[i].mutable_packet();
        auto* second = actions[i + 1].mutable_packet();
        first->mutable_stanza()->Swap(second->mutable_stanza());
      }
    };
  } else if (name == "drop-resend") {
    const auto attaching = std::make_shared<std::set<std::string>>();
    links.hooks.up = [attaching](std::vector<GatewayAction>& actions) {
      std::erase_if(actions, [&](const GatewayAction& action) {
        if (action.has_attach()) attaching->insert(action.session_id());
        if (action.has_attach_done()) attaching->clear();
        return action.has_stanza() && attaching->contains(action.session_id());
      });
    };
  } else if (name == "attach-without-packets") {
    links.hooks.up = [](std::vector<GatewayAction>& actions) {
      for (GatewayAction& action : actions) {
        if (!action.has_attach()) continue;
        action.mutable_attach()->clear_unacked();
        action.mutable_attach()->set_acked_seq(action.attach().last_seq());
      }
    };
  } else if (name == "attach-as-if-in-reach") {
    links.hooks.up = [](std::vector<GatewayAction>& actions) {
      for (GatewayAction& action : actions) {
        if (!action.has_attach()) continue;
        action.mutable_attach()->clear_known_epoch();
        action.mutable_attach()->clear_out_of_reach_ms();
      }
    };
  } else if (name == "ignore-deliveries") {
    links.hooks.up = [](std::vector<GatewayAction>& actions) {
      std::erase_if(actions, [](const GatewayAction& action) { return action.has_delivered(); });
    };
  }
}

}  // namespace rookery::simulation
