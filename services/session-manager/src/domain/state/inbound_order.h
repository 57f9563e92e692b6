#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "rookery/session/v1/session_link_service.pb.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

/// The addressee of a client's stanza, as far as order goes (RFC 6120 section 10.1), and whether anything of
/// it goes into the log.
struct Errand {
  enum class Kind : std::uint8_t {
    /// A request that the server answers, in its own name or that of `to`. Nothing of it goes into the log.
    kQuestion,
    /// A request that goes through the log: it changes something, or comes behind one that does.
    kChange,
    /// To another user, or to a room.
    kToUser,
    /// To users whom only the server knows, such as all contacts.
    kToMany,
  };
  Kind kind = Kind::kToUser;
  /// Bare JID; empty for kToMany.
  std::string to;
  /// An earlier owner of the shard may have said it (O4).
  bool is_resent = false;
  /// A kQuestion that must not come into the log, whatever is under way there (O5).
  bool is_secret = false;
};

/// Whether a stanza of a session must wait for an earlier one that is not done (README.md, O1 and O2):
/// 1. what goes into the log, for anything that goes into the log;
/// 2. a request, for one to the same address: answers come in the order of the requests.
bool MustWait(const Errand& later, const Errand& earlier);

/// The stanzas of one session that are not done, and those that wait for them. Exists only where
/// there are some. Not bounded here: the gateway bounds what a client may send unconfirmed.
class InboundOrder {
 public:
  bool HasToWait(const Errand& errand) const;
  /// Whether a request to the address that goes through the log has not gone yet.
  bool HasChangeTo(std::string_view address) const;
  /// Stanza `count` is being handled and takes its time.
  void Begin(std::uint64_t count, Errand errand);
  void Wait(session::v1::ClientStanza stanza, Errand errand);
  /// Stanza `count` is done.
  void End(std::uint64_t count);
  struct Waiting {
    session::v1::ClientStanza stanza;
    Errand errand;
  };
  /// The next waiting stanza that may be handled now, taken out. `is_ready`: nothing else keeps it.
  std::optional<Waiting> TakeNext(const std::function<bool(const Errand&)>& is_ready = [](const Errand&) {
    return true;
  });
  /// The errand of stanza `count`, if it waits; else null.
  const Errand* FindWaiting(std::uint64_t count) const;
  /// Takes it out, if it waits.
  std::optional<Waiting> Take(std::uint64_t count);
  /// Whether stanza `count` is a request that is being answered, or one that waits and `is_harmless`.
  bool IsUnanswered(std::uint64_t count, const std::function<bool(const xmpp::Stanza&)>& is_harmless) const;
  bool empty() const { return entries_.empty(); }
  /// Set while what TakeNext has taken out is being handled: who ends then leaves the next to that.
  bool is_draining = false;

 private:
  struct Entry {
    std::uint64_t count = 0;
    Errand errand;
    /// Set while it waits.
    std::optional<session::v1::ClientStanza> stanza;
  };
  /// By count.
  std::deque<Entry> entries_;
};

}  // namespace rookery::session_manager
