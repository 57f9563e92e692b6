#pragma once

#include <string>
#include <vector>

namespace rookery::simulation {

struct Environment;

/// A mistake that somebody could make in a service, made here where the service meets the
/// simulation, so that production code knows nothing of it. The simulator has to find each.
struct Mutation {
  const char* name;
  const char* what;
};

const std::vector<Mutation>& AllMutations();

/// Makes the environment's mistake, if it has one.
void Mutate(Environment& environment);

}  // namespace rookery::simulation
