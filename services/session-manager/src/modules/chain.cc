#include "domain/accounts/account_changes.h"
#include "domain/accounts/account_check.h"
#include "domain/accounts/removed_names.h"
#include "domain/delivery/ghosts.h"
#include "domain/features/feature_hooks.h"
#include "domain/presence/caps_tracker.h"
#include "domain/presence/presence_tracker.h"
#include "domain/roster/subscription_handler.h"
#include "domain/users/user_settings.h"
#include "modules/modules.h"

namespace rookery::session_manager {

void RegisterLife(FeatureHooks& features, SettingsKeeper& user_settings, PresenceTracker& presence,
                  Ghosts& ghosts, AccountCheck& account_check, AccountChanges& account_changes,
                  RemovedNames& removed_names, SubscriptionHandler& subscriptions, CapsTracker& caps) {
  features.OnLife(user_settings);
  features.OnLife(presence);
  features.OnLife(ghosts);
  features.OnLife(account_check);
  features.OnLife(account_changes);
  features.OnLife(removed_names);
  features.OnLife(subscriptions);
  features.OnLife(caps);
}

std::vector<std::unique_ptr<Module>> RegisterModules(
    Hooks& hooks, const Settings& settings, const Clock& clock, const Addresses& addresses,
    AccountStore& accounts, KeyMaker& keys, Roster& roster, ServiceDisco& service_disco, KeyedLock& rosters,
    Outbox& outbox, SettingsKeeper& user_settings, PresenceTracker& presence,
    SubscriptionHandler& subscriptions, AccountChanges& account_changes) {
  std::vector<std::unique_ptr<Module>> modules;
  modules.push_back(MakeLegacySessionModule());
  modules.push_back(MakeRosterModule(settings, roster, rosters, outbox, subscriptions));
  modules.push_back(
      MakeBlockingModule(settings, roster, rosters, user_settings, presence, outbox, subscriptions));
  modules.push_back(MakeCarbonsModule(outbox));
  modules.push_back(MakePingModule(roster));
  modules.push_back(MakeDiscoModule(settings, addresses, roster, service_disco));
  modules.push_back(MakeVersionModule(settings));
  modules.push_back(MakeTimeModule(clock));
  modules.push_back(MakeLastModule(clock, accounts, roster));
  modules.push_back(MakeRegisterModule(settings, keys, account_changes));
  for (const auto& module : modules) module->Register(hooks);
  return modules;
}

}  // namespace rookery::session_manager
