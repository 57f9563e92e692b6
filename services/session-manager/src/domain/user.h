#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "domain/delivery/carbons.h"
#include "domain/session.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard.h"

namespace rookery::session_manager {

struct Shard;
struct UserDelivery;

/// What routing needs of a roster; kept while the user has an available session.
struct ContactState {
  roster::v1::Subscription subscription = roster::v1::SUBSCRIPTION_NONE;
  bool from() const {
    return subscription == roster::v1::SUBSCRIPTION_FROM || subscription == roster::v1::SUBSCRIPTION_BOTH;
  }
  bool to() const {
    return subscription == roster::v1::SUBSCRIPTION_TO || subscription == roster::v1::SUBSCRIPTION_BOTH;
  }
};

/// Lets a map of strings be searched by string_view.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

struct Contacts {
  std::unordered_map<std::string, ContactState, StringHash, std::equal_to<>> by_jid;
};

/// A record that waits for its turn.
struct PendingRecord final : sharding::Record {
  events::v1::UserRecord record;
  /// The part of a fan-out that waited behind one user's turns.
  bool in_turn = false;
  std::uint32_t parts = 0;
};

/// A user of a shard of ours, for as long as they have sessions or something is under way.
struct User {
  std::string bare;
  Shard* shard = nullptr;
  std::vector<std::shared_ptr<Session>> sessions;
  std::unique_ptr<Contacts> contacts;

  /// Work of this user that takes turns: what changes the roster or empties the offline
  /// store, and the records that came after it.
  struct Turn {
    std::shared_ptr<PendingRecord> record;
    std::function<Task<void>()> run;
  };
  std::unique_ptr<std::deque<Turn>> turns;
  bool busy = false;
  /// What is under way in `delivery`: the user is not forgotten meanwhile.
  int storing = 0;
  /// Null before something waits for the user.
  std::shared_ptr<UserDelivery> delivery;
  /// Something in the offline store may be for a session that is available already: handed out when the
  /// shard is read.
  bool offline_due = false;
  /// Null unless copies were made (XEP-0280).
  std::unique_ptr<CopiedMessages> copied;

  Session* FindResource(std::string_view resource) {
    auto it = std::find_if(sessions.begin(), sessions.end(),
                           [&](const auto& session) { return session->resource() == resource; });
    return it == sessions.end() ? nullptr : it->get();
  }
  bool HasAvailable() const {
    return std::any_of(sessions.begin(), sessions.end(),
                       [](const auto& session) { return session->available(); });
  }
};

}  // namespace rookery::session_manager
