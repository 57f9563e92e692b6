#pragma once

namespace rookery::roster {

/// One contact's subscription as RFC 6121 appendix A names it, with pre-approval.
struct SubscriptionState {
  bool to = false;    // the user sees the contact
  bool from = false;  // the contact sees the user
  bool pending_out = false;
  bool pending_in = false;
  bool approved = false;  // section 3.4
  friend bool operator==(const SubscriptionState&, const SubscriptionState&) = default;
};

enum class Event { kSubscribe, kSubscribed, kUnsubscribe, kUnsubscribed };

struct Transition {
  SubscriptionState state;
  /// Outbound: the stanza goes on to the contact. Inbound: it is shown to the user.
  bool pass_on = false;
  /// Inbound: `subscribed` is answered on the user's behalf.
  bool auto_reply = false;
};

/// RFC 6121 appendix A.2: the user sends.
Transition Outbound(const SubscriptionState& state, Event event);
/// Appendix A.3: the user receives.
Transition Inbound(const SubscriptionState& state, Event event);

}  // namespace rookery::roster
