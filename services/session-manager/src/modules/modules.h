#pragma once

#include <memory>

#include "modules/iq_router.h"

namespace rookery::session_manager {

/// One maker for each mod_*.cc.
std::unique_ptr<Module> MakeLegacySessionModule(Core& core);
std::unique_ptr<Module> MakePingModule(Core& core);
std::unique_ptr<Module> MakeDiscoModule(Core& core);
std::unique_ptr<Module> MakeVersionModule(Core& core);
std::unique_ptr<Module> MakeTimeModule(Core& core);
std::unique_ptr<Module> MakeLastModule(Core& core);
std::unique_ptr<Module> MakeBlockingModule(Core& core);
std::unique_ptr<Module> MakeCarbonsModule(Core& core);
std::unique_ptr<Module> MakeRosterModule(Core& core);
std::unique_ptr<Module> MakeRegisterModule(Core& core);

}  // namespace rookery::session_manager
