#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/subscription_state.h"
#include "rookery/runtime/task.h"

namespace rookery::roster {

/// One contact of one user as it is stored.
struct Contact {
  std::string jid;
  std::string name;
  std::vector<std::string> groups;
  SubscriptionState state;
  /// The user's clients see an item; false for a mere request received.
  bool listed = false;
  /// The request as it was received (a serialised stanza), while pending_in.
  std::string request;
  /// Rises with each change; 0: not stored yet.
  std::int64_t revision = 0;
};

struct StoredRoster {
  std::uint64_t version = 0;
  std::vector<Contact> contacts;
  /// The user blocks somebody.
  bool has_blocked = false;
  /// As in VcardMark.
  std::optional<std::string> avatar_hash;
};

/// XEP-0191.
struct BlockList {
  /// The oldest first, each once.
  std::vector<std::string> jids;
  /// Rises with each change; 0: not stored yet.
  std::int64_t revision = 0;
};

/// The size of a roster: its items, the requests that wait, and their texts in bytes.
struct Totals {
  std::int64_t items = 0;
  std::int64_t item_bytes = 0;
  std::int64_t requests = 0;
  std::int64_t request_bytes = 0;
  friend bool operator==(const Totals&, const Totals&) = default;
};

/// The answer that was given to one request.
struct Answer {
  /// A serialised response, or a refusal (domain/refusal.h).
  std::string response;
  /// The roster's version after the change.
  std::uint64_t version = 0;
};

/// All that the next change of one contact rests on.
struct Snapshot {
  /// When it was read, by the store's clock (ms since 1970).
  std::int64_t read_at_ms = 0;
  std::optional<Contact> contact;
  Totals totals;
  /// Set when the same request was answered before.
  std::optional<Answer> answer;
};

/// What everybody's presence and settings say of a vCard (XEP-0054), which itself may be long.
struct VcardMark {
  /// Of its image, in hex (XEP-0153); empty: there is none in it. Unset: there was never a vCard.
  std::optional<std::string> avatar_hash;
  /// Rises with each change; 0: not stored yet.
  std::int64_t revision = 0;
};

/// All that the next change of a user's settings rests on.
struct SettingsSnapshot {
  /// As in Snapshot.
  std::int64_t read_at_ms = 0;
  BlockList list;
  VcardMark vcard;
  /// Set when the same request was answered before.
  std::optional<Answer> answer;
};

/// A change of a block list with what is remembered of it, made as one.
struct BlockChange {
  /// When that was read which the change rests on.
  std::int64_t read_at_ms = 0;
  /// As it is to be; its revision is the one that was read.
  BlockList list;
  /// Empty: nothing is remembered.
  std::string request_id;
  /// A serialised response.
  std::string response;
};

/// Likewise of a vCard.
struct VcardChange {
  std::int64_t read_at_ms = 0;
  /// As XML; may be empty.
  std::string vcard;
  std::string avatar_hash;
  /// The one that was read.
  std::int64_t revision = 0;
  std::string request_id;
  std::string response;
};

/// A change of one contact with what is remembered of it, made as one.
struct Change {
  enum class Kind {
    kNone,    // only the answer is kept
    kSave,    // the contact as it is to be; its revision is the one that was read
    kRemove,  // likewise; only the address and the revision matter
  };
  Kind kind = Kind::kNone;
  /// When that was read which the change rests on.
  std::int64_t read_at_ms = 0;
  Contact contact;
  /// Clients see it: the version rises.
  bool is_visible = false;
  /// The totals that the roster gains (or loses).
  Totals added;
  /// Empty: nothing is remembered.
  std::string request_id;
  /// A serialised response.
  std::string response;
};

/// The removal of all that is kept of one owner, with what is remembered of it, made as one.
struct Removal {
  /// When that was read which the removal rests on.
  std::int64_t read_at_ms = 0;
  /// Empty: nothing is remembered.
  std::string request_id;
  /// A serialised response.
  std::string response;
};

/// Rosters. Every method: UNAVAILABLE or DEADLINE_EXCEEDED when the store is away; a
/// change may then have been made or not. A change that rests on what was read too long ago is not
/// made (FAILED_PRECONDITION): its request may have been answered since, and the answer forgotten.
class RosterStore {
 public:
  virtual ~RosterStore() = default;
  virtual Task<absl::StatusOr<StoredRoster>> Load(std::string owner) = 0;
  /// The version, and those contacts that have asked to subscribe.
  virtual Task<absl::StatusOr<StoredRoster>> LoadPending(std::string owner) = 0;
  /// `jid` may be empty: then no contact comes; so may `request_id`.
  virtual Task<absl::StatusOr<Snapshot>> Read(std::string owner, std::string jid, std::string request_id) = 0;
  /// The answer is the roster's version, the next one if clients see the change. Versions
  /// begin at the time of the first change, not at 1: a client's copy of a roster that was
  /// deleted must not pass for one of the roster that came after it. ABORTED: somebody was
  /// quicker with the contact or with the request; read it again.
  virtual Task<absl::StatusOr<std::uint64_t>> Apply(std::string owner, Change change) = 0;
  /// `request_id` may be empty.
  virtual Task<absl::StatusOr<SettingsSnapshot>> ReadSettings(std::string owner, std::string request_id) = 0;
  /// ABORTED: somebody was quicker with the list or with the request; read it again.
  virtual Task<absl::Status> SaveBlockList(std::string owner, BlockChange change) = 0;
  /// As XML; empty where there is none.
  virtual Task<absl::StatusOr<std::string>> LoadVcard(std::string owner) = 0;
  /// ABORTED: somebody was quicker with the vCard or with the request; read it again.
  virtual Task<absl::Status> SaveVcard(std::string owner, VcardChange change) = 0;
  /// Everything but the answers, and others' approvals of the user before a request. ABORTED: the request has
  /// been answered meanwhile.
  virtual Task<absl::Status> RemoveAll(std::string owner, Removal removal) = 0;
  /// Forgets all answers that nobody can ask for again, each user's in a step of its own, with pauses.
  virtual Task<absl::Status> ForgetOldAnswers() = 0;
};

}  // namespace rookery::roster
