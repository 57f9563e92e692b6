#pragma once

#include <memory>
#include <string_view>

namespace rookery::session_manager {

struct Session;
struct User;

/// The sender of a stanza that is being handled: a client just now, or through the log, when its session may
/// be gone.
struct Sender {
  User& user;
  /// Null: gone.
  std::shared_ptr<Session> session;
};

/// The types of presence that manage subscriptions (RFC 6121 section 3).
constexpr bool IsSubscription(std::string_view presence_type) {
  return presence_type == "subscribe" || presence_type == "subscribed" || presence_type == "unsubscribe" ||
         presence_type == "unsubscribed";
}

}  // namespace rookery::session_manager
