#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rookery/muc/v1/room_state.pb.h"
#include "rookery/xmpp/jid.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::muc {

/// Those to whom the same stanza goes, in a fixed order: full JIDs, but for SendToEach.
using Recipients = std::vector<std::string>;

/// All that follows from one record, in the order in which it is said. Two owners who apply the record make
/// the same.
struct Outcome {
  struct Said {
    /// Without `to` where there are recipients.
    xmpp::Stanza stanza;
    /// Null: it goes to stanza.to().
    std::shared_ptr<const Recipients> recipients;
    /// The account (bare JID) whose sessions among them are left out, so that what is said of each of many
    /// has one list. Empty: nobody is.
    std::string except = {};

    bool IsFor(std::string_view recipient) const {
      return except.empty() || xmpp::BareOf(recipient) != except;
    }
  };
  std::vector<Said> said;
  /// For the room's archive.
  std::vector<v1::PastMessage> archived;
  /// To how many all of it goes, those who are left out among them.
  std::size_t deliveries = 0;

  void Send(xmpp::Stanza stanza) {
    ++deliveries;
    said.push_back({std::move(stanza), nullptr});
  }
  void SendToAll(xmpp::Stanza stanza, std::shared_ptr<const Recipients> recipients,
                 std::string_view except = {}) {
    if (recipients->empty()) return;
    deliveries += recipients->size();
    said.push_back({std::move(stanza), std::move(recipients), std::string(except)});
  }
  void SendToAll(xmpp::Stanza stanza, Recipients recipients) {
    SendToAll(std::move(stanza), std::make_shared<const Recipients>(std::move(recipients)));
  }
  /// To sessions as SendToAll, to accounts (bare JIDs) each alone: only so it waits for who is away.
  void SendToEach(const xmpp::Stanza& stanza, const Recipients& recipients) {
    Recipients sessions;
    for (const std::string& recipient : recipients) {
      if (!xmpp::ResourceOf(recipient).empty()) {
        sessions.push_back(recipient);
        continue;
      }
      Send(stanza);
      said.back().stanza.set_to(recipient);
    }
    SendToAll(stanza, std::move(sessions));
  }
  void clear() {
    said.clear();
    archived.clear();
    deliveries = 0;
  }
};

}  // namespace rookery::muc
