#include "domain.h"

#include <utility>
#include <vector>

#include "domain/accounts/account_actions.h"
#include "domain/accounts/account_changes.h"
#include "domain/accounts/account_check.h"
#include "domain/accounts/known_accounts.h"
#include "domain/accounts/removed_names.h"
#include "domain/addresses.h"
#include "domain/delivery/bounces.h"
#include "domain/delivery/client_answers.h"
#include "domain/delivery/deliverer.h"
#include "domain/delivery/delivery_states.h"
#include "domain/delivery/delivery_steps.h"
#include "domain/delivery/ghosts.h"
#include "domain/delivery/hand_outs.h"
#include "domain/delivery/message_routes.h"
#include "domain/delivery/offline_marks.h"
#include "domain/delivery/offline_recovery.h"
#include "domain/delivery/packet_recovery.h"
#include "domain/delivery/packet_rows.h"
#include "domain/delivery/packets.h"
#include "domain/delivery/session_closer.h"
#include "domain/delivery/session_rows.h"
#include "domain/delivery/store_refusals.h"
#include "domain/delivery/waiting_stanzas.h"
#include "domain/features/feature_hooks.h"
#include "domain/features/hooks.h"
#include "domain/inbound/admission.h"
#include "domain/inbound/attachments.h"
#include "domain/inbound/client_stanza_processor.h"
#include "domain/inbound/gateway_actions.h"
#include "domain/inbound/gateway_hello.h"
#include "domain/inbound/iq_router.h"
#include "domain/inbound/record_processor.h"
#include "domain/inbound/session_actions.h"
#include "domain/inbound/session_keeper.h"
#include "domain/inbound/shard_loader.h"
#include "domain/inbound/stanza_applier.h"
#include "domain/inbound/turned_away.h"
#include "domain/inbound/user_shards.h"
#include "domain/inbound/waiting_actions.h"
#include "domain/keyed_lock.h"
#include "domain/metrics.h"
#include "domain/outbound/confirmations.h"
#include "domain/outbound/consequences.h"
#include "domain/outbound/directory_writer.h"
#include "domain/outbound/gateways.h"
#include "domain/outbound/outbox.h"
#include "domain/presence/caps_tracker.h"
#include "domain/presence/directed_presence.h"
#include "domain/presence/last_activities.h"
#include "domain/presence/owed_presence.h"
#include "domain/presence/presence_events.h"
#include "domain/presence/presence_news.h"
#include "domain/presence/presence_tracker.h"
#include "domain/records/record_order.h"
#include "domain/roster/subscription_handler.h"
#include "domain/sessions/applied_ends.h"
#include "domain/sessions/due_sessions.h"
#include "domain/sessions/gauges.h"
#include "domain/sessions/live_sessions.h"
#include "domain/sessions/session_attacher.h"
#include "domain/sessions/session_ends.h"
#include "domain/sessions/session_parker.h"
#include "domain/sessions/session_removal.h"
#include "domain/sessions/session_resumer.h"
#include "domain/sessions/session_starter.h"
#include "domain/state/session_table.h"
#include "domain/state/shards.h"
#include "domain/users/settings_cache.h"
#include "domain/users/user_settings.h"
#include "domain/users/users.h"
#include "modules/modules.h"
#include "rookery/base/check.h"
#include "rookery/sharding/shard_owner.h"

namespace rookery::session_manager {

/// Each part uses those above it.
struct Domain::Parts {
  Parts(asio::any_io_executor executor, const Settings& settings, Ports& ports, const Clock& clock,
        telemetry::Metrics& telemetry_metrics)
      : tasks_(std::make_unique<runtime::TaskGroup>(executor)),
        tasks(*tasks_),
        metrics(telemetry_metrics),
        addresses(settings.domains, ports.log.topology()),
        rosters(executor),
        hooks(features),
        users(cache),
        gateways(executor, clock, ports.membership),
        owner(ports.owner),
        shards(owner),
        accounts(ports.accounts, addresses, shards, clock),
        confirmations(executor),
        follow_ups(owner),
        consequences(settings, follow_ups, addresses, clock, metrics, features, confirmations),
        outbox(executor, settings, table, confirmations),
        live(executor, settings, clock, addresses, table, gateways, features),
        directory(clock, metrics, addresses, shards, table, ports.directory),
        states(executor, settings, metrics, owner, ports.waiting),
        bounces(metrics, consequences),
        packets(settings, clock, metrics, table, outbox, states),
        closer(clock, addresses, owner, shards),
        waiting(executor, settings, clock, metrics, shards, table, users, ports.roster, closer, outbox,
                states, bounces, packets),
        marks(settings, clock, tasks, addresses, shards, table, ports.waiting, outbox, states, waiting),
        rows(addresses, shards, states),
        hand_outs(settings, shards, ports.waiting, outbox, states, packets, waiting, marks),
        recovery(shards, ports.waiting, outbox, states, marks, hand_outs),
        packet_rows(settings, clock, metrics, states),
        deliverer(settings, clock, metrics, outbox, states, packets, packet_rows, waiting, marks, hand_outs),
        routes(settings, metrics, outbox, bounces, waiting, hand_outs, deliverer),
        refusals(metrics, consequences, waiting, marks),
        ghosts(metrics, addresses, shards, consequences, outbox, deliverer),
        packet_recovery(clock, metrics, table, users, outbox, states, rows, packet_rows, routes),
        delivery_steps(outbox, states, closer, waiting, marks, hand_outs, packet_rows),
        answers(clock, metrics, deliverer),
        caps(clock, metrics, table, deliverer),
        user_settings(executor, clock, metrics, shards, users, cache, ports.roster),
        order(shards, users, hooks, outbox, user_settings),
        directed_presence(settings, addresses, consequences, outbox, answers),
        owed_presence(settings, metrics, tasks, shards, rosters),
        last_activities(executor, tasks, accounts),
        presence_events(clock, consequences, last_activities),
        presence_news(addresses, features, outbox, directed_presence),
        presence(settings, metrics, addresses, shards, table, users, ports.roster, rosters, consequences,
                 features, outbox, hand_outs, deliverer, answers, user_settings, directory, directed_presence,
                 owed_presence, presence_events, presence_news),
        subscriptions(settings, clock, metrics, addresses, shards, table, users, accounts, ports.roster,
                      rosters, consequences, outbox, deliverer, answers, order, presence),
        iqs(clock, hooks, addresses, shards, consequences, answers, order),
        parker(executor, settings, clock, tasks, owner, shards, table, gateways, live, directory, follow_ups,
               states),
        removal(metrics, shards, users, features, gateways, live, directory, presence, routes, marks, rows,
                closer, parker),
        applied_ends(clock, owner, table, hooks, live, directory, presence, removal),
        ends(executor, clock, addresses, table, follow_ups, live, gateways, directory, applied_ends),
        client_stanzas(clock, metrics, addresses, shards, table, live, consequences, confirmations, features,
                       answers, caps, user_settings, presence, subscriptions, iqs, ends),
        resumer(settings, clock, metrics, shards, table, features, gateways, live, directory, hand_outs,
                deliverer, ends),
        attacher(clock, metrics, shards, table, confirmations, features, gateways, live, directory, outbox,
                 hand_outs, recovery, deliverer, ghosts, presence, subscriptions, parker, ends, resumer),
        starter(settings, clock, metrics, table, users, gateways, live, directory, outbox, ends),
        due_sessions(settings, clock, table, gateways, live, parker, ends, resumer),
        account_actions(settings, clock, tasks, owner, accounts, ports.keys, gateways),
        account_check(accounts, users, states, live, directory),
        account_changes(executor, clock, addresses, shards, accounts, ports.keys, ports.roster, rosters,
                        consequences, features, outbox, order, last_activities, live, ends),
        removed_names(settings, clock, tasks, accounts),
        hello(settings, addresses, hooks, shards),
        waiting_actions(settings, clock),
        turned_away(clock, shards, gateways),
        admission(shards, gateways, live, account_actions, starter, resumer),
        attachments(settings, shards, table, gateways, attacher, resumer, ends, account_check, turned_away),
        session_actions(metrics, table, gateways, live, confirmations, directory, deliverer, client_stanzas,
                        parker, ends, resumer),
        gateway_actions(addresses, owner, shards, table, gateways, account_actions, waiting_actions,
                        turned_away, admission, attachments, session_actions, ends),
        sessions(owner, shards, gateways, hello, outbox, waiting_actions, turned_away, attachments,
                 session_actions, gateway_actions),
        stanzas(settings, clock, metrics, addresses, features, consequences, outbox, bounces, ghosts,
                deliverer, routes, order, presence, subscriptions, iqs, account_changes),
        records(clock, metrics, addresses, owner, users, deliverer, refusals, order, client_stanzas, parker,
                ends, applied_ends, account_changes, stanzas),
        loader(settings, ports.waiting, gateways, directory, waiting_actions, states, parker, packet_recovery,
               recovery, features),
        user_shards(clock, shards, ports.waiting, gateways, live, loader, delivery_steps, features,
                    due_sessions, gateway_actions, records) {
    // Calls upwards go through listeners.
    consequences.SetRefusalListener(answers);
    consequences.SetNews(presence_news);
    confirmations.SetListener(session_actions);
    live.SetListener(parker);
    outbox.SetListener(parker);
    parker.SetListener(session_actions);
    live.SetActions(gateway_actions);
    admission.SetActions(gateway_actions);
    attachments.SetListener(gateway_actions);
    packets.SetOverflow(ends);
    waiting.SetListener(hand_outs);
    owed_presence.SetPayer(presence);
    deliverer.SetListener(presence);
    deliverer.SetRosterListener(subscriptions);
    user_settings.AddListener(client_stanzas);
    user_settings.AddListener(order);
    order.SetApplier(records);
    RegisterLife(features, user_settings, presence, ghosts, account_check, account_changes, removed_names,
                 subscriptions, caps);
    modules = RegisterModules(hooks, {.settings = settings,
                                      .clock = clock,
                                      .addresses = addresses,
                                      .roster = ports.roster,
                                      .service_disco = ports.service_disco,
                                      .rosters = rosters,
                                      .outbox = outbox,
                                      .user_settings = user_settings,
                                      .presence = presence,
                                      .last_activities = last_activities,
                                      .subscriptions = subscriptions,
                                      .account_changes = account_changes});
    for (const bool is_wired : {consequences.is_wired(), confirmations.is_wired(), live.is_wired(),
                                outbox.is_wired(), parker.is_wired(), packets.is_wired(), waiting.is_wired(),
                                owed_presence.is_wired(), deliverer.is_wired(), user_settings.is_wired(),
                                order.is_wired(), admission.is_wired(), attachments.is_wired()})
      ROOKERY_CHECK(is_wired);
    telemetry_metrics.OnScrape([this] { SetGauges(metrics, shards, table, gateways, live); });
  }

  // Their coroutines use everything below.
  ~Parts() {
    tasks_.reset();
    owner.End();
  }

  std::unique_ptr<runtime::TaskGroup> tasks_;
  runtime::TaskGroup& tasks;
  SessionManagerMetrics metrics;
  Addresses addresses;
  KeyedLock rosters;
  FeatureHooks features;
  Hooks hooks;
  SettingsCache cache;
  Users users;
  SessionTable table;
  Gateways gateways;
  sharding::ShardOwner& owner;
  Shards shards;
  KnownAccounts accounts;
  Confirmations confirmations;
  sharding::FollowUpWriter follow_ups;
  Consequences consequences;
  Outbox outbox;
  LiveSessions live;
  DirectoryWriter directory;
  DeliveryStates states;
  Bounces bounces;
  Packets packets;
  SessionCloser closer;
  WaitingStanzas waiting;
  OfflineMarks marks;
  SessionRows rows;
  HandOuts hand_outs;
  OfflineRecovery recovery;
  PacketRows packet_rows;
  Deliverer deliverer;
  MessageRoutes routes;
  StoreRefusals refusals;
  Ghosts ghosts;
  PacketRecovery packet_recovery;
  DeliverySteps delivery_steps;
  ClientAnswers answers;
  CapsTracker caps;
  SettingsKeeper user_settings;
  RecordOrder order;
  DirectedPresence directed_presence;
  OwedPresence owed_presence;
  LastActivities last_activities;
  PresenceEvents presence_events;
  PresenceNews presence_news;
  PresenceTracker presence;
  SubscriptionHandler subscriptions;
  IqRouter iqs;
  SessionParker parker;
  SessionRemoval removal;
  AppliedEnds applied_ends;
  SessionEnds ends;
  ClientStanzaProcessor client_stanzas;
  SessionResumer resumer;
  SessionAttacher attacher;
  SessionStarter starter;
  DueSessions due_sessions;
  AccountActions account_actions;
  AccountCheck account_check;
  AccountChanges account_changes;
  RemovedNames removed_names;
  GatewayHello hello;
  WaitingActions waiting_actions;
  TurnedAway turned_away;
  Admission admission;
  Attachments attachments;
  SessionActions session_actions;
  GatewayActions gateway_actions;
  SessionKeeper sessions;
  StanzaApplier stanzas;
  RecordProcessor records;
  ShardLoader loader;
  UserShards user_shards;
  std::vector<std::unique_ptr<Module>> modules;
};

Domain::Domain(asio::any_io_executor executor, const Settings& settings, Ports ports, const Clock& clock,
               telemetry::Metrics& metrics)
    : parts_(std::make_unique<Parts>(std::move(executor), settings, ports, clock, metrics)) {}

Domain::~Domain() = default;

sharding::ShardService& Domain::shard_service() { return parts_->user_shards; }

void Domain::Sweep() { parts_->user_shards.Sweep(); }

SessionKeeper& Domain::sessions() { return parts_->sessions; }
DirectoryWriter& Domain::directory() { return parts_->directory; }
const Shards& Domain::shards() const { return parts_->shards; }
const SessionTable& Domain::table() const { return parts_->table; }
const SettingsCache& Domain::settings_cache() const { return parts_->cache; }
const CapsTracker& Domain::caps() const { return parts_->caps; }
PresenceTracker& Domain::presence() { return parts_->presence; }
const Gateways& Domain::gateways() const { return parts_->gateways; }
const sharding::FollowUpWriter& Domain::follow_ups() const { return parts_->follow_ups; }
SessionEnds& Domain::ends() { return parts_->ends; }
SessionManagerMetrics& Domain::metrics() { return parts_->metrics; }
runtime::TaskGroup& Domain::tasks() { return parts_->tasks; }

}  // namespace rookery::session_manager
