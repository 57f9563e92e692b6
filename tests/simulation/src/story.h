#pragma once

#include <string>

#include "simulation.h"

namespace rookery::simulation {

/// Tells what led to the first violation, as text: faults, and the fate of the message in question.
std::string TellStory(const Simulation& simulation, const Result& result);
/// The same as one page without other files: a lane for each process. False: it cannot be written.
bool WriteHtml(const Simulation& simulation, const Result& result, const Options& options,
               const std::string& path);

/// Everything that has happened. False: it cannot be written.
bool WriteTrace(const Simulation& simulation, const std::string& path);

}  // namespace rookery::simulation
