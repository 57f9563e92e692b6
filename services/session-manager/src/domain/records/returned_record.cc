#include "domain/records/returned_record.h"

#include <utility>

#include "rookery/events/log.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/events/v1/presence_event.pb.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

namespace {

using Brings = ReturnedRecord::Brings;

void Describe(events::v1::UserRecord& record, ReturnedRecord& returned) {
  returned.trace_id = record.trace_id();
  returned.origin = record.mutable_origin();
  const auto brings = [&](Brings how, const xmpp::Stanza& stanza) {
    returned.brings = how;
    returned.stanza = &stanza;
  };
  if (record.has_delivery()) {
    brings(Brings::kDelivery, record.delivery().stanza());
    returned.key = xmpp::BareOf(returned.stanza->to());
  } else if (record.has_fanout()) {
    brings(Brings::kFanout, record.fanout().stanza());
    returned.recipients = record.mutable_fanout()->mutable_recipients();
  } else if (record.has_sent_copy()) {
    brings(Brings::kSentCopy, record.sent_copy().stanza());
    returned.key = xmpp::BareOf(returned.stanza->from());
  } else if (record.has_outbound()) {
    brings(Brings::kOutbound, record.outbound().stanza());
    returned.key = xmpp::BareOf(returned.stanza->from());
  } else if (record.has_account_removed()) {
    returned.key = record.account_removed().jid();
  } else if (record.has_credentials_changed()) {
    returned.key = record.credentials_changed().jid();
  }
}

void Describe(events::v1::RoomRecord& record, ReturnedRecord& returned) {
  returned.trace_id = record.trace_id();
  returned.origin = record.mutable_origin();
  if (!record.has_delivery()) return;
  returned.brings = Brings::kDelivery;
  returned.stanza = &record.delivery().stanza();
  returned.key = xmpp::BareOf(returned.stanza->to());
}

void Describe(events::v1::MessageEvent& event, ReturnedRecord& returned) { returned.key = event.owner(); }

void Describe(events::v1::PresenceEvent& event, ReturnedRecord& returned) {
  returned.key = xmpp::BareOf(event.jid());
}

template <typename Message>
std::optional<ReturnedRecord> Read(const std::string& bytes) {
  auto message = std::make_unique<Message>();
  if (!message->ParseFromString(bytes)) return std::nullopt;
  ReturnedRecord returned;
  Describe(*message, returned);
  returned.message = std::move(message);
  return returned;
}

}  // namespace

std::optional<ReturnedRecord> ReadReturned(events::Topic topic, const absl::Status& refusal) {
  const std::optional<std::string> bytes = events::RefusedRecord(refusal);
  if (!bytes) return std::nullopt;
  switch (topic) {
    case events::Topic::kUsers:
      return Read<events::v1::UserRecord>(*bytes);
    case events::Topic::kRooms:
      return Read<events::v1::RoomRecord>(*bytes);
    case events::Topic::kMessages:
      return Read<events::v1::MessageEvent>(*bytes);
    case events::Topic::kPresence:
      return Read<events::v1::PresenceEvent>(*bytes);
  }
  return std::nullopt;
}

}  // namespace rookery::session_manager
