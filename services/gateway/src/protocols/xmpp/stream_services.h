#pragma once

#include "domain/account_names.h"
#include "domain/address_limiter.h"
#include "domain/guess_guard.h"
#include "ports/cluster.h"
#include "ports/password_checker.h"
#include "protocols/xmpp/peer_log.h"
#include "protocols/xmpp/stanza_budgets.h"
#include "protocols/xmpp/xmpp_metrics.h"
#include "protocols/xmpp/xmpp_settings.h"

namespace rookery::gateway {

/// The services that all XMPP streams of the process share. Outlives them.
struct StreamServices {
  Cluster& cluster;
  PasswordChecker& passwords;
  const XmppSettings& settings;
  XmppMetrics& metrics;
  AddressLimiter& registrations;
  const AccountNames& names;
  GuessGuard& guesses;
  PeerLog& peers;
  StanzaBudgets& account_budgets;
  StanzaBudgets& network_budgets;
};

}  // namespace rookery::gateway
