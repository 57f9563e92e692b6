#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "world.h"

namespace rookery::simulation {

class Simulation;

/// One kind of misfortune.
struct FaultKind {
  const char* name;
  const char* what;
  /// Empty: part of every default run. Otherwise why it is not, yet.
  const char* off_because;
};

const std::vector<FaultKind>& AllFaults();

/// No events but properties of the world from its beginning.
inline constexpr std::string_view kSecondDevices = "second-devices";
inline constexpr std::string_view kPairs = "pairs";
inline constexpr std::string_view kTogether = "together";
inline constexpr std::string_view kLittleRoom = "little-room";

/// Draws misfortunes from the seed, one after the other or several at once, and undoes them all in the end.
class Faults {
 public:
  explicit Faults(Simulation& simulation);

  /// Until `end`, every ten seconds or so.
  void Begin(SteadyTime end);
  /// Everything that is broken works again.
  void UndoAll();
  std::uint64_t count() const { return count_; }

 private:
  void DrawNext();
  void DoAny();
  void Do(const std::string& name);
  Process& Victim(bool stores = false);
  void ReviveLater(Process& process, Duration after);
  void UndoLater(Duration after, std::function<void()> undo);

  Simulation& simulation_;
  World& world_;
  Random random_;
  SteadyTime end_;
  std::vector<std::string> enabled_;
  std::uint64_t count_ = 0;
  bool is_paired_ = false;
  bool is_together_ = false;
  int open_ = 0;  // that are to be undone
  SteadyTime calm_at_;
  bool is_over_ = false;
};

}  // namespace rookery::simulation
