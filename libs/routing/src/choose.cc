#include <cstdint>

#include "rookery/routing/registry.h"

namespace rookery::routing {
namespace {

// FNV-1a; every process must compute the same, so not std::hash.
std::uint64_t Hash(std::string_view text, std::uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// The finalizer of splitmix64: FNV's upper bits depend too little on the last bytes.
std::uint64_t Mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

const Instance* Choose(const std::vector<Instance>& instances, std::string_view key) {
  const Instance* best = nullptr;
  std::uint64_t best_weight = 0;
  const std::uint64_t key_hash = Hash(key, 0xcbf29ce484222325);
  for (const Instance& instance : instances) {
    const std::uint64_t weight = Mix(Hash(instance.id, key_hash ^ 0xff));
    if (best == nullptr || weight > best_weight || (weight == best_weight && instance.id < best->id)) {
      best = &instance;
      best_weight = weight;
    }
  }
  return best;
}

}  // namespace rookery::routing
