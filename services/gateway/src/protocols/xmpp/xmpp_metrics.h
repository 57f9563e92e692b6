#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>

#include "domain/sasl_exchange.h"
#include "protocols/xmpp/stream_error.h"
#include "rookery/telemetry/metrics.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::gateway {

/// The counters of XMPP streams. Process-wide.
class XmppMetrics {
 public:
  explicit XmppMetrics(telemetry::Metrics& metrics);

  void StanzaIn(common::v1::StanzaKind kind) { stanzas_in_[kind & 3]->Increment(); }
  void StanzaOut(common::v1::StanzaKind kind) { stanzas_out_[kind & 3]->Increment(); }
  void BytesIn(std::size_t bytes) { bytes_in_.Increment(static_cast<double>(bytes)); }
  void BytesOut(std::size_t bytes) { bytes_out_.Increment(static_cast<double>(bytes)); }
  void StreamErrorSent(StreamError error) { stream_errors_[static_cast<std::size_t>(error)]->Increment(); }
  /// `failure` kNone: it succeeded.
  void Authenticated(std::string_view mechanism, SaslFailure failure);

  prometheus::Counter& resumed;
  prometheus::Counter& resumptions_failed;
  prometheus::Counter& registered;
  prometheus::Counter& registrations_refused;
  prometheus::Counter& slow_readers;
  prometheus::Counter& origins_refused;
  prometheus::Counter& sign_ins_slowed;

 private:
  std::array<prometheus::Counter*, 4> stanzas_in_;
  std::array<prometheus::Counter*, 4> stanzas_out_;
  prometheus::Counter& bytes_in_;
  prometheus::Counter& bytes_out_;
  std::array<prometheus::Counter*, kStreamErrorNames.size()> stream_errors_;
  struct Auth {
    prometheus::Counter* success;
    prometheus::Counter* failure;
    prometheus::Counter* temporary;
  };
  std::map<std::string, Auth, std::less<>> auth_;
};

}  // namespace rookery::gateway
