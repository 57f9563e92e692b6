#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message_lite.h"
#include "google/protobuf/repeated_field.h"
#include "rookery/events/topics.h"
#include "rookery/events/v1/origin.pb.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

/// A record that the log has refused and given back, of any of the topics that we write to.
struct ReturnedRecord {
  /// How it brings its stanza, if it brings one.
  enum class Brings : std::uint8_t { kNothing, kDelivery, kFanout, kSentCopy, kOutbound };

  std::unique_ptr<google::protobuf::MessageLite> message;
  /// As it was when it was said first (protos/README.md).
  std::string key;
  Brings brings = Brings::kNothing;
  std::uint64_t trace_id = 0;
  // Of the message.
  const xmpp::Stanza* stanza = nullptr;
  /// Of a fan-out.
  google::protobuf::RepeatedPtrField<std::string>* recipients = nullptr;
  /// Of those topics where it may name a client's stanza.
  events::v1::Origin* origin = nullptr;
};

/// `refusal`: the log's answer. Nothing where it does not give the record back.
std::optional<ReturnedRecord> ReadReturned(events::Topic topic, const absl::Status& refusal);

}  // namespace rookery::session_manager
