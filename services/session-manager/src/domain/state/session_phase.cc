#include "domain/state/session_phase.h"

#include <array>
#include <cstddef>

namespace rookery::session_manager {

namespace {

constexpr std::size_t kPhases = 10;
constexpr std::array<std::string_view, kPhases> kNames{"connected",   "resumed", "link lost", "away",
                                                       "parking",     "parked",  "closing",   "ending",
                                                       "ending away", "ended"};

// Row: from. Column: to, in the order of SessionPhase.
constexpr bool kMoves[kPhases][kPhases] = {
    //                 connected resumed lost   away   parking parked closing ending ending away ended
    /* connected */ {false, true, true, true, false, false, true, true, false, true},
    /* resumed */ {true, true, true, true, false, false, true, true, false, true},
    // Its gateway is back, says that the client is away, or is dead while the client may resume.
    /* link lost */ {true, true, false, true, true, false, true, false, true, true},
    // To connected: its gateway has brought it over a new link, and its client is there.
    /* away */ {true, true, true, false, true, false, true, false, true, true},
    /* parking */ {true, true, false, true, false, true, true, false, true, true},
    /* parked */ {true, true, false, true, false, false, true, false, true, true},
    // A client that has closed its stream does not come back.
    /* closing */ {false, false, false, false, false, false, false, true, false, true},
    // Resumed before the record of its end was read: the record changes nothing then.
    /* ending */ {false, true, false, false, false, false, false, false, false, true},
    /* ending away */ {false, true, false, false, false, false, false, false, false, true},
    /* ended */ {false, false, false, false, false, false, false, false, false, false},
};

}  // namespace

std::string_view Name(SessionPhase phase) { return kNames[static_cast<std::size_t>(phase)]; }

bool MayFollow(SessionPhase from, SessionPhase to) {
  return kMoves[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
}

}  // namespace rookery::session_manager
