#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "domain/features/feature_state.h"
#include "domain/state/backlog.h"
#include "domain/state/session.h"
#include "rookery/base/string_hash.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard.h"

namespace rookery::session_manager {

struct Shard;
struct UserDelivery;
struct UserSettings;

/// The part of a roster that routing needs; kept while the user has an available session.
struct ContactState {
  roster::v1::Subscription subscription = roster::v1::SUBSCRIPTION_NONE;
  bool from() const {
    return subscription == roster::v1::SUBSCRIPTION_FROM || subscription == roster::v1::SUBSCRIPTION_BOTH;
  }
  bool to() const {
    return subscription == roster::v1::SUBSCRIPTION_TO || subscription == roster::v1::SUBSCRIPTION_BOTH;
  }
};

struct Contacts {
  std::unordered_map<std::string, ContactState, StringHash, std::equal_to<>> by_jid;

  /// Whether the contact, a bare JID, is told of the user's presence.
  bool MaySee(std::string_view contact) const {
    const auto it = by_jid.find(contact);
    return it != by_jid.end() && it->second.from();
  }
};

/// Stanzas of the user's clients to one address that go through the log of their own shard.
struct OutboundRoute {
  /// Not in the log yet.
  int appending = 0;
  /// The newest of them in the log.
  std::int64_t newest = -1;
};

/// A record that is to be applied.
struct PendingRecord final : sharding::Record {
  events::v1::UserRecord record;
  /// When it was read from the log.
  SteadyTime read_at = SteadyTime::min();
  /// The places of its recipients among all, where it is the part of a fan-out that waited for what one user
  /// was given before. Empty: it is whole.
  std::vector<std::uint32_t> places;
  /// Its entry in Backlog; 0: none.
  std::uint64_t entry_id = 0;
  bool is_finished_later = false;
};

/// A user of a shard of ours, for as long as they have sessions or something is under way.
struct User {
  std::string bare;
  Shard* shard = nullptr;
  std::vector<std::shared_ptr<Session>> sessions;
  std::unique_ptr<Contacts> contacts;
  /// Null: not known yet (SettingsKeeper).
  std::shared_ptr<const UserSettings> settings;
  bool settings_loading = false;
  /// Records or stanzas may wait for them, in order: they are not known before these can go.
  bool settings_awaited = false;
  /// Where the user's clients must not overtake their own stanzas that go through the log: by address.
  std::unique_ptr<std::unordered_map<std::string, OutboundRoute, StringHash, std::equal_to<>>> outbound;

  /// Null when nothing is: that is nearly always.
  std::unique_ptr<Backlog> backlog;
  /// How much is under way in `delivery`: the user is not forgotten meanwhile.
  int storing = 0;
  /// Null before something waits for the user.
  std::shared_ptr<UserDelivery> delivery;
  /// Something in the offline store may be for a session that is available already: handed out when the
  /// shard is read.
  bool offline_due = false;
  /// Notified when the user has fewer sessions, or less under way in `delivery`; null: nobody waits for that.
  std::shared_ptr<runtime::Event> idle;
  FeatureState features;

  Session* FindResource(std::string_view resource) {
    auto it = std::find_if(sessions.begin(), sessions.end(),
                           [&](const auto& session) { return session->resource() == resource; });
    return it == sessions.end() ? nullptr : it->get();
  }
  /// The session that a record at `offset` is addressed to. If two have that name, of which the older one is
  /// about to end, it is the newest that began before the record.
  Session* FindResource(std::string_view resource, std::int64_t offset) {
    Session* const first = FindResource(resource);
    if (first == nullptr || offset > first->state.start_offset()) return first;
    for (const auto& session : sessions)
      if (session->resource() == resource && offset > session->state.start_offset()) return session.get();
    return first;
  }
  bool HasAvailable() const {
    return std::any_of(sessions.begin(), sessions.end(),
                       [](const auto& session) { return session->available(); });
  }
};

}  // namespace rookery::session_manager
