#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocols/xmpp/stream_error.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::gateway {

// The text of what a server says on a stream besides stanzas. With Framing::kWebSocket each is a document of
// its own (RFC 7395 section 3.3).

/// An empty text of the thread to write into: what is written goes to the transport before
/// anything else is.
std::string& StreamScratch();

struct StreamHeader {
  std::string_view from;
  std::string_view to;  // empty: left out
  std::string_view id;
};
void AppendStreamHeader(std::string& out, xmpp::Framing framing, const StreamHeader& header);
void AppendStreamClose(std::string& out, xmpp::Framing framing);

struct StreamErrorText {
  StreamError condition;
  std::string_view text;         // English; empty: none
  std::string_view application;  // an element, empty: none (RFC 6120 section 4.9.4)
};
void AppendStreamError(std::string& out, xmpp::Framing framing, const StreamErrorText& error);

struct StreamLimits {
  std::size_t max_bytes = 0;
  std::int64_t idle_seconds = 0;  // 0: not said
};
struct FeaturesBeforeAuth {
  bool starttls = false;
  bool starttls_required = false;  // then nothing else is offered
  std::vector<std::string_view> mechanisms;
  std::vector<std::string_view> channel_bindings;
  bool registration = false;
  StreamLimits limits;
};
void AppendFeatures(std::string& out, xmpp::Framing framing, const FeaturesBeforeAuth& features);
struct FeaturesAfterAuth {
  StreamLimits limits;
  std::string_view caps_node;  // XEP-0115; empty: not said
  std::string_view caps_ver;
};
/// Order: XEP-0170.
void AppendFeaturesAfterAuth(std::string& out, xmpp::Framing framing, const FeaturesAfterAuth& features);

/// RFC 6120 section 6.4.5.
void AppendSaslFailure(std::string& out, std::string_view condition);
/// <challenge/> or <success/> with `data` in base64.
void AppendSaslData(std::string& out, std::string_view element, std::string_view data);

struct StreamManagementEnabled {
  std::string_view id;            // empty: the session cannot be resumed
  std::uint32_t max_seconds = 0;  // that it waits for its client; 0: not said
};
/// XEP-0198 section 3.
void AppendEnabled(std::string& out, const StreamManagementEnabled& enabled);
/// The application condition of a stream error (XEP-0198 section 6).
std::string HandledCountTooHigh(std::uint32_t h, std::uint32_t sent);
/// XEP-0198 section 6.
void AppendStreamManagementFailed(std::string& out, std::string_view condition, const std::uint32_t* h);

}  // namespace rookery::gateway
