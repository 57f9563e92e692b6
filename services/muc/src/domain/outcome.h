#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rookery/muc/v1/room_state.pb.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// Full JIDs to whom the same stanza goes, in a fixed order.
using Recipients = std::vector<std::string>;

/// What follows from one record, in the order in which it is said. Two owners who apply the record make
/// the same.
struct Outcome {
  struct Said {
    /// Without `to` where there are recipients.
    xmpp::Stanza stanza;
    /// Null: it goes to stanza.to().
    std::shared_ptr<const Recipients> recipients;
  };
  std::vector<Said> said;
  /// For the room's archive.
  std::vector<v1::PastMessage> archived;

  void Send(xmpp::Stanza stanza) { said.push_back({std::move(stanza), nullptr}); }
  void SendToAll(xmpp::Stanza stanza, std::shared_ptr<const Recipients> recipients) {
    if (recipients->empty()) return;
    said.push_back({std::move(stanza), std::move(recipients)});
  }
  void SendToAll(xmpp::Stanza stanza, Recipients recipients) {
    SendToAll(std::move(stanza), std::make_shared<const Recipients>(std::move(recipients)));
  }
  void clear() {
    said.clear();
    archived.clear();
  }
};

}  // namespace rookery::muc
