#include "domain/occupants/voice.h"

#include <algorithm>
#include <string>

namespace rookery::muc {

namespace {

bool HasKeptVoice(const Room& room, std::string_view occupant_id) {
  const auto& voices = room.state().voices();
  return std::find(voices.begin(), voices.end(), occupant_id) != voices.end();
}

/// Another nick of the account has no voice: the account does not get it back by one more.
bool IsVisitor(const Room& room, std::string_view bare) {
  const auto occupants = room.FindAccount(bare);
  return std::any_of(occupants.begin(), occupants.end(),
                     [](const v1::Occupant* occupant) { return occupant->role() == v1::ROLE_VISITOR; });
}

}  // namespace

void KeepVoiceOf(Turn& turn, const v1::Occupant& occupant, bool is_kicked) {
  Room& room = turn.room;
  if (!room.config().is_moderated()) return;
  const std::string bare(Room::AccountOf(occupant));
  const v1::Affiliation affiliation = turn.AffiliationOf(bare);
  const bool has_voice = occupant.role() >= v1::ROLE_PARTICIPANT;
  if (affiliation == v1::AFFILIATION_MEMBER) {
    if (room.FindAffiliated(bare)->is_without_voice() == has_voice)
      room.ChangeAffiliated(bare).set_is_without_voice(!has_voice);
    return;
  }
  const bool is_kept = affiliation == v1::AFFILIATION_NONE && has_voice && !is_kicked;
  const std::string& id = occupant.occupant_id();
  if (!is_kept && !HasKeptVoice(room, id)) return;
  auto& voices = *room.ChangeState().mutable_voices();
  voices.erase(std::remove(voices.begin(), voices.end(), id), voices.end());
  if (!is_kept) return;
  if (voices.size() >= kMaxKeptVoices) voices.DeleteSubrange(0, voices.size() - kMaxKeptVoices + 1);
  *voices.Add() = id;
}

v1::Role RoleOnEntry(const Turn& turn, std::string_view bare, std::string_view occupant_id,
                     v1::Affiliation affiliation, v1::Role role) {
  const Room& room = turn.room;
  if (!room.config().is_moderated()) return role;
  if (affiliation == v1::AFFILIATION_MEMBER) {
    const bool is_without_voice = room.FindAffiliated(bare)->is_without_voice() || IsVisitor(room, bare);
    return is_without_voice ? v1::ROLE_VISITOR : role;
  }
  const bool is_kept = affiliation == v1::AFFILIATION_NONE && HasKeptVoice(room, occupant_id);
  return is_kept ? v1::ROLE_PARTICIPANT : role;
}

}  // namespace rookery::muc
