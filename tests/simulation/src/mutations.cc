#include "mutations.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "environment.h"
#include "rookery/base/random.h"
#include "rookery/events/v1/user_record.pb.h"

namespace rookery::simulation {

using session::v1::GatewayAction;
using session::v1::SessionManagerAction;

// Those without a hook here are made in gateway_process.cc and session_manager_process.cc.
const std::vector<Mutation>& AllMutations() {
  static const std::vector<Mutation> kAll{
      {"confirm-before-append", "a record counts as appended when it is given to the producer"},
      {"accept-old-epoch", "a gateway accepts what a former owner of a shard still says"},
      {"drop-resend", "what a former owner did not confirm is not sent to the new one"},
      {"commit-everything", "the cursor goes past records that are not finished"},
      {"forget-parked", "a session whose client is away is not stored"},
      {"lose-offline", "a message for an absent user is not stored"},
      {"give-offline-again", "what was given from the offline store is not marked"},
      {"forget-what-was-applied", "a repeated record is applied again"},
      {"attach-without-packets", "a gateway does not say what its clients have not acknowledged"},
      {"acknowledge-on-receipt", "a client's stanza is acknowledged before it is confirmed"},
      {"drop-unavailable", "nobody is told that a session has ended"},
      {"swap-packets", "two packets to one client change places"},
      {"ignore-deliveries", "the owner does not hear what clients have acknowledged"},
  };
  return kAll;
}

void Mutate(Environment& environment) {
  const std::string& name = environment.mutation;
  Kafka& kafka = environment.kafka;
  Links& links = environment.links;
  if (name == "confirm-before-append") {
    kafka.hooks.confirms_early = true;
  } else if (name == "commit-everything") {
    kafka.hooks.commits_everything = true;
  } else if (name == "forget-what-was-applied") {
    kafka.hooks.read = [](std::string& value) {
      events::v1::UserRecord record;
      if (!record.ParseFromString(value) || !record.origin().has_client()) return;
      record.mutable_origin()->mutable_client()->set_session_id(RandomBytes(16));
      record.SerializeToString(&value);
    };
  } else if (name == "drop-unavailable") {
    kafka.hooks.append = [](const std::string& topic, const std::string& value) {
      events::v1::UserRecord record;
      return topic != "users" || !record.ParseFromString(value) || !record.has_fanout() ||
             record.fanout().stanza().type() != "unavailable";
    };
  } else if (name == "accept-old-epoch") {
    const auto newest = std::make_shared<std::map<std::uint32_t, std::int64_t>>();
    links.hooks.down = [newest](std::vector<SessionManagerAction>& actions) {
      for (SessionManagerAction& action : actions) {
        std::int64_t& epoch = (*newest)[action.shard()];
        epoch = std::max(epoch, action.epoch());
        action.set_epoch(epoch);
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
  } else if (name == "ignore-deliveries") {
    links.hooks.up = [](std::vector<GatewayAction>& actions) {
      std::erase_if(actions, [](const GatewayAction& action) { return action.has_delivered(); });
    };
  }
}

}  // namespace rookery::simulation
