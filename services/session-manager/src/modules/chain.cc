#include "domain/presence/caps_tracker.h"
#include "modules/modules.h"

namespace rookery::session_manager {

std::vector<std::unique_ptr<Module>> RegisterModules(
    Hooks& hooks, CapsTracker& caps, const Settings& settings, const Clock& clock, const Addresses& addresses,
    AccountStore& accounts, KeyMaker& keys, Roster& roster, ServiceDisco& service_disco, KeyedLock& rosters,
    Consequences& consequences, Outbox& outbox, SettingsKeeper& user_settings, PresenceTracker& presence,
    SubscriptionHandler& subscriptions, AccountChanges& account_changes) {
  hooks.features().OnLife(caps);
  std::vector<std::unique_ptr<Module>> modules;
  modules.push_back(MakeLegacySessionModule());
  modules.push_back(MakeRosterModule(settings, roster, rosters, outbox, subscriptions));
  modules.push_back(MakeBlockingModule(settings, addresses, roster, rosters, consequences, user_settings,
                                       presence, outbox, subscriptions));
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
