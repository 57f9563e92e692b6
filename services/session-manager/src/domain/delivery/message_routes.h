#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "domain/state/delivery.h"

namespace rookery::session_manager {

class Bounces;
class Deliverer;
class HandOuts;
class Outbox;
class WaitingStanzas;
struct Session;
struct SessionManagerMetrics;
struct Settings;
struct User;

/// Decides where a user's message goes, as it comes and when the session that had it ends without its
/// client's word: to sessions, with copies to others, to wait, or back to its sender (RFC 6121 section 8.5,
/// XEP-0160, XEP-0280). `message_routing.h` has the rules, this also knows what sessions can take just now,
/// and what an earlier owner has decided. I/O thread only.
class MessageRoutes {
 public:
  MessageRoutes(const Settings& settings, SessionManagerMetrics& metrics, Outbox& outbox, Bounces& bounces,
                WaitingStanzas& waiting, HandOuts& hand_outs, Deliverer& deliverer)
      : settings_(settings),
        metrics_(metrics),
        outbox_(outbox),
        bounces_(bounces),
        waiting_(waiting),
        hand_outs_(hand_outs),
        deliverer_(deliverer) {}

  /// A message from a record to the user.
  void Route(User& user, const std::shared_ptr<Delivery>& message, bool recovering);
  /// The session has ended: what its client did not acknowledge goes where a message to
  /// an absent resource goes.
  void Abandon(User& user, Session& session);

 private:
  /// Finds, for a record that is read again, the same delivery in packets from the store, if they have it.
  /// What becomes of one of them matters to all.
  static std::shared_ptr<Delivery> FindRestored(const User& user, std::int64_t offset);
  void CopyToOthers(User& user, std::span<Session* const> sessions, const Delivery& message, bool recovering);
  /// The rest of Route for a record that an earlier owner may have applied.
  void RouteRecovered(User& user, const std::shared_ptr<Delivery>& message,
                      std::span<const std::size_t> targets, bool to_account);
  /// Finds the message among what an earlier owner gave to the user's sessions.
  void FindGiven(User& user, const std::shared_ptr<Delivery>& message, std::span<const std::size_t> copies);
  /// `recovering`: an earlier owner may have stored it.
  void StoreOrBounce(User& user, const std::shared_ptr<Delivery>& message, bool recovering);
  /// Routes what a session that has ended leaves and must not be stored. `is_logged`: its record is not
  /// finished.
  void RouteUnstored(User& user, Session& ended, const Delivery& delivery, bool is_logged);

  const Settings& settings_;
  SessionManagerMetrics& metrics_;
  Outbox& outbox_;
  Bounces& bounces_;
  WaitingStanzas& waiting_;
  HandOuts& hand_outs_;
  Deliverer& deliverer_;
};

}  // namespace rookery::session_manager
