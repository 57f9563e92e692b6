#include "correspondence.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "domain/text.h"
#include "fuzz_input.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/xmpp/ns.h"

namespace rookery::fuzz {

namespace {

using gateway::Cat;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Fate = Correspondence::Fate;

gateway::XmppSettings Settings() {
  gateway::XmppSettings settings = HostileSettings();
  settings.limits = {};
  settings.limits.max_stanza_bytes = kMaxStanzaBytes;
  settings.stanza_rate = settings.network_stanza_rate = 0;
  // Presence of all the others, with such addresses.
  settings.max_queued_bytes = std::size_t{64} * 1024;
  return settings;
}

/// What the gateway reads, and what the cluster adds: a copy has three elements around the message.
xmpp::ParserLimits ReaderLimits() {
  xmpp::ParserLimits limits = Settings().limits;
  limits.max_stanza_bytes += xmpp::kStanzaReserveBytes;
  limits.max_depth += 3;
  limits.max_elements += 3;
  // Canonical XML declares a namespace on each element where it changes, a client once where it likes.
  limits.max_namespaces = std::numeric_limits<std::size_t>::max();
  return limits;
}

std::unique_ptr<Client> MakeClient(SmallCluster& cluster, const char* user, char device, bool is_websocket) {
  std::string resource(1023, '\'');
  resource.front() = device;
  return std::make_unique<Client>(*cluster.edge, cluster.ledger, user, std::move(resource), is_websocket,
                                  ReaderLimits());
}

/// XEP-0280: for another device of its sender or recipient.
bool IsCopyOf(const xmpp::Stanza& stanza, std::string_view id) {
  if (stanza.payload().find("<forwarded ") == std::string::npos) return false;
  const auto children = xmpp::ParsePayload(stanza.payload());
  Require(children.ok() && !children->empty(), "a copy can be read");
  const xmpp::Element* const forwarded = children->front().Find("forwarded", xmpp::ns::kForward);
  const xmpp::Element* const message =
      forwarded == nullptr ? nullptr : forwarded->Find("message", xmpp::ns::kClient);
  return message != nullptr && message->Attr("id") == id;
}

Fate FateOf(const std::optional<xmpp::Stanza>& stanza) {
  if (!stanza) return Fate::kStreamEnded;
  const bool fits = WrittenBytes(*stanza) <= kMaxStanzaBytes && stanza->id().size() <= xmpp::kMaxIdBytes &&
                    stanza->lang().size() <= xmpp::kMaxLangBytes;
  return fits ? Fate::kDelivered : Fate::kRefused;
}

}  // namespace

Correspondence::Correspondence()
    : cluster_(0, Settings()),
      clients_{MakeClient(cluster_, "ann@localhost", 'a', false),
               MakeClient(cluster_, "ann@localhost", 'w', true),
               MakeClient(cluster_, "bob@localhost", 'b', false),
               MakeClient(cluster_, "bob@localhost", 'v', true)} {
  cluster_.kafka().on_append = [this](std::string_view topic, std::int32_t, std::int64_t,
                                      std::string_view value) { OnAppend(topic, value); };
  for (std::size_t device = 0; device < kDevices; ++device) {
    clients_[device]->on_stanza = [this, device](const xmpp::Stanza& stanza) { OnStanza(device, stanza); };
    SignIn(*clients_[device]);
  }
}

Fate Correspondence::Send(const LargeMessage& message, const Way& way, std::size_t id_bytes) {
  const std::size_t writer = way.is_from_websocket ? kAnnOnWebSocket : kAnnOnTcp;
  const std::vector<std::size_t> readers = ReadersOf(way);
  Client& client = *clients_[writer];
  id_ = Cat("m", ++messages_);
  id_.resize(std::max(id_.size(), id_bytes), '\'');
  received_ = {};
  carbons_ = {};
  is_refused_ = false;
  deliveries_ = copies_ = 0;

  const Client& reader = *clients_[readers.front()];
  const std::string& to = way.to == Way::To::kAccount ? reader.user() : reader.full_jid();
  std::string xml = XmlOf(message, id_, client.full_jid(), to);
  const std::optional<xmpp::Stanza> sent = Read(xml, client.full_jid(), Settings().limits);
  client.SendStanza(std::move(xml));
  RunUntil(
      [&] {
        return is_refused_ || !client.is_bound() ||
               std::ranges::none_of(readers, [&](std::size_t device) { return received_[device].empty(); });
      },
      seconds(30));
  Settle();

  const Fate fate = FateOf(sent);
  Check(fate, sent, writer, readers);
  if (fate == Fate::kStreamEnded) SignIn(client);
  return fate;
}

void Correspondence::End() {
  for (const auto& client : clients_) client->Cut(true);
  cluster_.RequireSilence();
}

void Correspondence::SignIn(Client& client) {
  client.Connect(Client::Goal::kBound);
  RunUntil([&] { return client.is_bound(); }, seconds(30));
  Require(client.is_bound(), "a client signs in");
  client.SendEnable(true);
  client.SendStanza("<presence xmlns='jabber:client'/>");
  client.SendStanza(Cat("<iq xmlns='jabber:client' type='set' id='carbons'><enable xmlns='",
                        xmpp::ns::kCarbons, "'/></iq>"));
  Settle();
}

template <typename Condition>
void Correspondence::RunUntil(Condition condition, milliseconds limit) {
  cluster_.RunUntil(
      [&] {
        for (const auto& client : clients_) client->Reply();
        return condition();
      },
      limit);
}

void Correspondence::Settle() {
  RunUntil([] { return false; }, milliseconds(200));
}

std::vector<std::size_t> Correspondence::ReadersOf(const Way& way) const {
  switch (way.to) {
    case Way::To::kAccount:
      return {kBobOnTcp, kBobOnWebSocket};
    case Way::To::kTcp:
      return {kBobOnTcp};
    case Way::To::kWebSocket:
      return {kBobOnWebSocket};
  }
  return {};
}

void Correspondence::OnStanza(std::size_t device, const xmpp::Stanza& stanza) {
  if (IsCopyOf(stanza, id_)) ++carbons_[device];
  if (stanza.id() != id_) return;
  if (stanza.type() == "error") {
    is_refused_ = true;
  } else {
    received_[device].push_back(stanza);
  }
}

void Correspondence::OnAppend(std::string_view topic, std::string_view value) {
  largest_record_ = std::max(largest_record_, value.size());
  Require(value.size() <= kMaxStanzaBytes + xmpp::kStanzaReserveBytes, "a record is one that brokers take");
  if (topic != "users") return;
  events::v1::UserRecord record;
  Require(record.ParseFromArray(value.data(), static_cast<int>(value.size())), "a record can be read");
  if (record.delivery().stanza().id() == id_ && record.delivery().stanza().type() != "error") ++deliveries_;
  if (record.sent_copy().stanza().id() == id_) ++copies_;
}

void Correspondence::Check(Fate fate, const std::optional<xmpp::Stanza>& sent, std::size_t writer,
                           const std::vector<std::size_t>& readers) const {
  const bool is_delivered = fate == Fate::kDelivered;
  Require(is_refused_ == (fate == Fate::kRefused), "what is too large as written is answered with an error");
  for (std::size_t device = 0; device < kDevices; ++device) {
    const bool is_ended = fate == Fate::kStreamEnded && device == writer;
    Require(clients_[device]->is_bound() != is_ended, "a stream ends by what its own client says");
    const bool is_reader = std::ranges::find(readers, device) != readers.end();
    Require(received_[device].size() == (is_delivered && is_reader ? 1 : 0),
            "what is accepted is given once to each whom it is for");
    Require(carbons_[device] == (is_delivered && !is_reader && device != writer ? 1 : 0),
            "every other device is given one copy");
    for (xmpp::Stanza stanza : received_[device]) {
      // XEP-0359: where it is in its reader's archive.
      xmpp::RemovePayload(stanza, "stanza-id", xmpp::ns::kStanzaId, clients_[device]->user());
      xmpp::Stanza expected = *sent;
      expected.set_to(stanza.to());  // the ledger knows who it is
      Require(stanza.SerializeAsString() == expected.SerializeAsString(), "it is what was sent");
    }
  }
  // Brokers refuse a larger record: then there is none.
  Require(deliveries_ == (is_delivered ? 1 : 0), "what is accepted is in the log");
  Require(copies_ == (is_delivered ? 1 : 0), "and so is the copy for its sender's archive");
}

}  // namespace rookery::fuzz
