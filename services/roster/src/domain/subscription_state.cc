#include "domain/subscription_state.h"

namespace rookery::roster {

Transition Outbound(const SubscriptionState& state, Event event) {
  Transition next{state};
  switch (event) {
    case Event::kSubscribe:
      // A.2.1: always routed; pending unless the user sees the contact already.
      next.pass_on = true;
      if (!state.to) next.state.pending_out = true;
      break;
    case Event::kUnsubscribe:
      // A.2.2
      next.pass_on = true;
      next.state.to = false;
      next.state.pending_out = false;
      break;
    case Event::kSubscribed:
      // A.2.3: routed only as the answer to a request; else it approves beforehand.
      if (state.pending_in) {
        next.pass_on = true;
        next.state.pending_in = false;
        next.state.from = true;
      } else if (!state.from) {
        next.state.approved = true;
      }
      break;
    case Event::kUnsubscribed:
      // A.2.4
      next.pass_on = state.pending_in || state.from;
      next.state.pending_in = false;
      next.state.from = false;
      next.state.approved = false;
      break;
  }
  return next;
}

Transition Inbound(const SubscriptionState& state, Event event) {
  Transition next{state};
  switch (event) {
    case Event::kSubscribe:
      // A.3.1
      if (state.from) {
        next.auto_reply = true;
      } else if (state.approved) {
        next.state.from = true;
        next.state.pending_in = false;
        next.auto_reply = true;
      } else if (!state.pending_in) {
        next.state.pending_in = true;
        next.pass_on = true;
      }
      break;
    case Event::kUnsubscribe:
      // A.3.2
      next.pass_on = state.pending_in || state.from;
      next.state.pending_in = false;
      next.state.from = false;
      break;
    case Event::kSubscribed:
      // A.3.3
      if (state.pending_out) {
        next.pass_on = true;
        next.state.pending_out = false;
        next.state.to = true;
      }
      break;
    case Event::kUnsubscribed:
      // A.3.4
      next.pass_on = state.pending_out || state.to;
      next.state.pending_out = false;
      next.state.to = false;
      break;
  }
  return next;
}

}  // namespace rookery::roster
