#pragma once

#include <memory>
#include <vector>

#include "domain/features/hooks.h"
#include "rookery/base/clock.h"

namespace rookery::session_manager {

class AccountChanges;
class AccountCheck;
class Addresses;
class Ghosts;
class KeyedLock;
class LastActivities;
class Outbox;
class PresenceTracker;
class RemovedNames;
class Roster;
class ServiceDisco;
class SettingsKeeper;
class CapsTracker;
class SubscriptionHandler;
struct Settings;

/// One maker for each mod_*.cc.
std::unique_ptr<Module> MakeLegacySessionModule();
std::unique_ptr<Module> MakePingModule(Roster& roster);
std::unique_ptr<Module> MakeDiscoModule(const Settings& settings, const Addresses& addresses, Roster& roster,
                                        ServiceDisco& service_disco);
std::unique_ptr<Module> MakeVersionModule(const Settings& settings);
std::unique_ptr<Module> MakeTimeModule(const Clock& clock);
std::unique_ptr<Module> MakeLastModule(const Clock& clock, LastActivities& last_activities, Roster& roster);
std::unique_ptr<Module> MakeBlockingModule(const Settings& settings, Roster& roster, KeyedLock& rosters,
                                           SettingsKeeper& user_settings, PresenceTracker& presence,
                                           Outbox& outbox, SubscriptionHandler& subscriptions);
std::unique_ptr<Module> MakeCarbonsModule(Outbox& outbox);
std::unique_ptr<Module> MakeRosterModule(const Settings& settings, Roster& roster, KeyedLock& rosters,
                                         Outbox& outbox, SubscriptionHandler& subscriptions);
std::unique_ptr<Module> MakeVcardModule(const Settings& settings, const Addresses& addresses, Roster& roster,
                                        KeyedLock& rosters, SettingsKeeper& user_settings,
                                        PresenceTracker& presence);
std::unique_ptr<Module> MakeRegisterModule(const Settings& settings, AccountChanges& changes);

/// chain.cc: what keeps something for shards, users or sessions, in the order in which it is told of them.
void RegisterLife(FeatureHooks& features, SettingsKeeper& user_settings, PresenceTracker& presence,
                  Ghosts& ghosts, AccountCheck& account_check, AccountChanges& account_changes,
                  RemovedNames& removed_names, SubscriptionHandler& subscriptions, CapsTracker& caps);
/// The parts that modules are made of.
struct ModuleParts {
  const Settings& settings;
  const Clock& clock;
  const Addresses& addresses;
  Roster& roster;
  ServiceDisco& service_disco;
  KeyedLock& rosters;
  Outbox& outbox;
  SettingsKeeper& user_settings;
  PresenceTracker& presence;
  LastActivities& last_activities;
  SubscriptionHandler& subscriptions;
  AccountChanges& account_changes;
};
/// chain.cc: makes all of them and registers them, in the order in which they have a say. What one of them
/// keeps comes after what RegisterLife has registered.
std::vector<std::unique_ptr<Module>> RegisterModules(Hooks& hooks, const ModuleParts& parts);

}  // namespace rookery::session_manager
