#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "domain/room/outcome.h"
#include "ports/room_store.h"
#include "rookery/base/string_hash.h"
#include "rookery/muc/v1/room_state.pb.h"

namespace rookery::muc {

/// One room in memory: what it is, who is in it and who has been known to it. It holds no rules; it
/// remembers what has changed since the last checkpoint, which is all that changes through its `Change…`,
/// `Add…`, `Remove…` and `Remember`. Iteration is in a fixed order, so that two owners who apply the same
/// records say the same.
class Room {
 public:
  /// `jid`: bare, prepared.
  explicit Room(std::string jid) : jid_(std::move(jid)) {}
  explicit Room(StoredRoom stored);

  const std::string& jid() const { return jid_; }
  /// conference.example.org
  std::string_view service() const;
  /// The address of an occupant: room@service/nick.
  std::string AddressOf(std::string_view nick) const;

  /// It has been created and not destroyed. Nothing below is of use before.
  bool exists() const { return exists_; }
  void Create();
  /// Nobody is in it any more, and nothing of it remains.
  void Destroy();

  const v1::RoomState& state() const { return state_; }
  const v1::RoomConfig& config() const { return state_.config(); }
  v1::RoomState& ChangeState();

  // ---- occupants
  using Occupants = absl::btree_map<std::string, v1::Occupant, std::less<>>;
  /// By nick.
  const Occupants& occupants() const { return occupants_; }
  const v1::Occupant* FindNick(std::string_view nick) const;
  /// Returns the occupant who has this session (full JID) in the room.
  const v1::Occupant* FindSession(std::string_view full_jid) const;
  static const v1::OccupantSession* SessionOf(const v1::Occupant& occupant, std::string_view full_jid);
  /// The occupants of an account (several if its sessions have different nicks), by nick.
  std::vector<const v1::Occupant*> FindAccount(std::string_view bare) const;
  /// The bare JID behind an occupant.
  static std::string_view AccountOf(const v1::Occupant& occupant);
  /// Adds one without sessions. The nick is free.
  v1::Occupant& AddOccupant(std::string_view nick);
  /// Null: nobody has the nick. Sessions and nick are changed by the calls below only.
  v1::Occupant* ChangeOccupant(std::string_view nick);
  /// As ChangeOccupant, where its role and sessions stay as they are.
  v1::Occupant* ChangeKnown(std::string_view nick);
  /// Adds the session, or replaces what is known of it, at the occupant that has the nick. The session is in
  /// the room under no other nick.
  v1::OccupantSession& AddSession(std::string_view nick, std::string_view full_jid);
  /// Null: the session is not in the room.
  v1::OccupantSession* ChangeSession(std::string_view full_jid);
  /// True: it was the occupant's last one, who is gone with it.
  bool RemoveSession(std::string_view full_jid);
  /// Gives who it was; nobody, if nobody has the nick.
  v1::Occupant RemoveOccupant(std::string_view nick);
  /// `to` is free.
  void Rename(std::string_view from, std::string_view to);

  /// All sessions, in the order of nicks, and of entering within one. Cached until somebody comes or goes.
  std::shared_ptr<const Recipients> everyone() const;
  /// Those of moderators, and those of all others. Cached until somebody comes, goes or is changed.
  std::shared_ptr<const Recipients> moderators() const { return by_role().moderators; }
  std::shared_ptr<const Recipients> others() const { return by_role().others; }
  std::size_t session_count() const { return nick_by_session_.size(); }

  // ---- affiliations
  using Affiliations = absl::btree_map<std::string, v1::Affiliated, std::less<>>;
  /// By bare JID (outcasts also by domain); those who have none any more among them (XEP-0463).
  const Affiliations& affiliations() const { return affiliations_; }
  const v1::Affiliated* FindAffiliated(std::string_view jid) const;
  /// Returns the affiliation of a bare JID, a ban of its domain considered.
  v1::Affiliation AffiliationOf(std::string_view bare) const;
  /// Returns who has reserved the nick, or null.
  const v1::Affiliated* FindReserved(std::string_view nick) const;
  /// Whether another account than `bare` has this nick or one that looks the same, or has reserved one.
  bool IsOfAnother(std::string_view nick, std::string_view bare) const;
  /// Returns what nicks that look alike have in common: xmpp::SkeletonOf, without spaces at the ends, and one
  /// where there are several. Empty: nothing of the nick is seen.
  static std::string LookOf(std::string_view nick);
  /// The entry, made if there was none.
  v1::Affiliated& ChangeAffiliated(std::string_view jid);
  void SetReservedNick(std::string_view jid, std::string_view nick);
  void ForgetAffiliated(std::string_view jid);
  std::size_t CountOf(v1::Affiliation affiliation) const;

  // ---- history
  /// Oldest first.
  const std::deque<v1::PastMessage>& history() const { return history_; }
  /// The newest message. Those beyond `max_messages` or `max_bytes` are forgotten.
  void Remember(v1::PastMessage message, std::size_t max_messages, std::size_t max_bytes);
  /// Null: it is not remembered.
  const v1::PastMessage* FindRemembered(std::uint64_t archive_id) const;
  /// In place of the remembered one with its archive id.
  void ReplaceRemembered(v1::PastMessage message);
  /// The next id of the archive: rises, and is not below `least` (XEP-0359).
  std::uint64_t TakeArchiveId(std::uint64_t least);

  // ---- checkpoint
  bool has_changed() const { return has_changed_; }
  /// Returns what has changed since the last call. `applied` is filled by the caller.
  RoomChanges TakeChanges();
  /// Returns about how many bytes of it are in memory. It follows from what the room has, so it is the same
  /// for every owner.
  std::size_t bytes() const;

 private:
  using NickSets = absl::flat_hash_map<std::string, absl::btree_set<std::string, std::less<>>, StringHash,
                                       std::equal_to<>>;
  static void Erase(NickSets& sets, std::string_view key, std::string_view nick);
  void NoteOccupants();
  struct ByRole {
    std::shared_ptr<Recipients> moderators;
    std::shared_ptr<Recipients> others;
  };
  const ByRole& by_role() const;
  /// The entry with this key changes: it is measured again when bytes() is asked for.
  void Unmeasure(std::string_view nick);
  void UnmeasureAffiliated(std::string_view jid);
  /// The nick is an occupant's or reserved; it may be neither any more.
  void NoteNick(std::string_view nick);
  void ForgetNick(std::string_view nick);

  std::string jid_;
  bool exists_ = false;
  v1::RoomState state_;
  Occupants occupants_;
  absl::flat_hash_map<std::string, std::string, StringHash, std::equal_to<>> nick_by_session_;
  NickSets nicks_by_account_;
  /// The nicks of occupants, and reserved ones.
  NickSets nicks_by_look_;
  Affiliations affiliations_;
  absl::btree_map<std::string, std::string, std::less<>> jid_by_reserved_nick_;
  std::deque<v1::PastMessage> history_;
  std::size_t history_bytes_ = 0;
  mutable std::shared_ptr<const Recipients> everyone_;
  mutable ByRole by_role_;

  /// The sizes of all but those that are to be measured.
  mutable std::size_t occupant_bytes_ = 0;
  mutable std::size_t affiliation_bytes_ = 0;
  mutable absl::btree_set<std::string, std::less<>> unmeasured_nicks_;
  mutable absl::btree_set<std::string, std::less<>> unmeasured_jids_;

  // Since the last checkpoint.
  bool has_changed_ = false;
  bool is_new_ = false;
  bool was_destroyed_ = false;
  absl::btree_set<std::string, std::less<>> changed_nicks_;
  absl::btree_set<std::string, std::less<>> changed_affiliations_;
  absl::btree_set<std::uint64_t> changed_messages_;
};

/// Whether the entry says more than that there was one (`settings.max_affiliations`).
bool IsRemembered(const v1::Affiliated& entry);

}  // namespace rookery::muc
