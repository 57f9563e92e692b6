#include "domain/presence/caps_tracker.h"
#include "modules/modules.h"

namespace rookery::session_manager {

std::unique_ptr<IqRouter> MakeIqRouter(Core& core) {
  auto router = std::make_unique<IqRouter>(core);
  core.features().OnLife(core.caps());
  router->Add(MakeLegacySessionModule(core));
  router->Add(MakeRosterModule(core));
  router->Add(MakeBlockingModule(core));
  router->Add(MakeCarbonsModule(core));
  router->Add(MakePingModule(core));
  router->Add(MakeDiscoModule(core));
  router->Add(MakeVersionModule(core));
  router->Add(MakeTimeModule(core));
  router->Add(MakeLastModule(core));
  router->Add(MakeRegisterModule(core));
  return router;
}

}  // namespace rookery::session_manager
