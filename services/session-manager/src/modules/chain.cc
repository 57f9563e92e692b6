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

std::vector<std::unique_ptr<Module>> RegisterModules(Hooks& hooks, const ModuleParts& parts) {
  std::vector<std::unique_ptr<Module>> modules;
  modules.push_back(MakeLegacySessionModule());
  modules.push_back(
      MakeRosterModule(parts.settings, parts.roster, parts.rosters, parts.outbox, parts.subscriptions));
  modules.push_back(MakeBlockingModule(parts.settings, parts.roster, parts.rosters, parts.user_settings,
                                       parts.presence, parts.outbox, parts.subscriptions));
  modules.push_back(MakeVcardModule(parts.settings, parts.addresses, parts.roster, parts.rosters,
                                    parts.user_settings, parts.presence));
  modules.push_back(MakeCarbonsModule(parts.outbox));
  modules.push_back(MakePingModule(parts.roster));
  modules.push_back(MakeDiscoModule(parts.settings, parts.addresses, parts.roster, parts.service_disco));
  modules.push_back(MakeVersionModule(parts.settings));
  modules.push_back(MakeTimeModule(parts.clock));
  modules.push_back(MakeLastModule(parts.clock, parts.last_activities, parts.roster));
  modules.push_back(MakeRegisterModule(parts.settings, parts.account_changes));
  for (const auto& module : modules) module->Register(hooks);
  return modules;
}

}  // namespace rookery::session_manager
