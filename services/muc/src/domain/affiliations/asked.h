#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "domain/room/turn.h"

namespace rookery::muc {

/// Requests of somebody that somebody else is to answer.
enum class Asked : std::uint8_t {
  /// `from` an inviter's account to that of whoever is invited.
  kInvitation,
  /// `from` an account to nobody by name.
  kMembership,
};

/// So many of a kind are remembered by a room, each for so long, and each as a keyed digest: no address is
/// kept.
inline constexpr int kMaxAsked = 256;
inline constexpr std::chrono::hours kAskedFor{24};

/// Addresses are bare JIDs.
bool IsAsked(const Turn& turn, Asked what, std::string_view from, std::string_view to = {});
/// Remembers it from now on, in place of the oldest where there are kMaxAsked.
void NoteAsked(Turn& turn, Asked what, std::string_view from, std::string_view to = {});
/// Forgets it.
void ForgetAsked(Turn& turn, Asked what, std::string_view from, std::string_view to = {});
/// How many are remembered.
int CountAsked(const Turn& turn, Asked what);

}  // namespace rookery::muc
