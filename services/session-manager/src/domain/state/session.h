#pragma once

#include <algorithm>
#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/state/delivery.h"
#include "domain/state/inbound_ledger.h"
#include "domain/state/inbound_order.h"
#include "domain/state/session_phase.h"
#include "ports/gateway_peer.h"
#include "rookery/base/session_id.h"
#include "rookery/runtime/event.h"
#include "rookery/session/v1/session_link_service.pb.h"
#include "rookery/session/v1/session_state.pb.h"
#include "rookery/xmpp/jid.h"

namespace rookery::session_manager {

struct User;
struct ClientCaps;

/// An action of a gateway that cannot be done yet.
struct WaitingAction {
  std::string gateway;
  session::v1::GatewayAction action;
  /// Its place among all actions of gateways to this process, from 1, whatever holds it up.
  std::uint64_t arrival = 0;
};

/// Packets without acknowledgement, oldest first. Freed when empty.
class UnackedQueue {
 public:
  bool empty() const { return head_ == packets_.size(); }
  std::size_t size() const { return packets_.size() - head_; }
  UnackedPacket& front() { return packets_[head_]; }
  UnackedPacket& back() { return packets_.back(); }
  void push_back(UnackedPacket packet) { packets_.push_back(std::move(packet)); }
  void pop_front();
  auto begin() { return packets_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() { return packets_.end(); }
  auto begin() const { return packets_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() const { return packets_.end(); }

 private:
  std::vector<UnackedPacket> packets_;
  std::size_t head_ = 0;
};

/// The writes that follow from the end of a session and are not in the store or the log yet, and what is done
/// after the last of them.
struct EndWrites {
  /// The record of the end, which is not finished before all of this is; -1: there is none.
  std::int64_t record = -1;
  int open = 0;
  /// Done after the last of them, before `then`; may open more.
  std::function<void()> remove;
  std::vector<std::function<void()>> then;

  /// One of them is done.
  void Finish();
};

/// How much of XEP-0198 the client may use.
enum class StreamManagement : std::uint8_t { kOff, kOn, kResumable };

/// The row of a session in the waiting store (ParkedSession). One write at a time.
///
/// A next owner that finds the row, and no gateway that knows the session, goes on with it. So nothing that
/// it does not say is confirmed to the client before the log says that it is outdated (SessionBack).
struct ParkedRow {
  enum class Content : std::uint8_t {
    kNone,
    /// The session as it was before.
    kOutdated,
    /// The session as it is.
    kCurrent,
  };
  Content content = Content::kNone;
  /// A coroutine makes the row what it should be, until it is.
  bool is_busy = false;
  /// The state has changed since the row that is being written was made.
  bool is_behind = false;
  /// A row was written after the last SessionBack (or there was none): when the client returns, the log must
  /// call it outdated.
  bool is_fresh = false;
  /// The client is back, and neither the log nor the store says so yet: the row, or the gateway that the
  /// client has left, may be taken for the session.
  bool misleads = false;
  /// SessionBack is on its way into the log.
  bool is_telling = false;
  /// All that is known of the session is the row, which an earlier owner has written.
  bool is_source = false;
  /// The newest record of the shard when the row was written.
  std::int64_t written_at = -1;
  /// The newest SessionBack, and the resumptions that it counts; and the one that is not finished yet, or -1.
  std::int64_t told_at = -1;
  std::uint64_t told_resumptions = 0;
  std::int64_t held = -1;

  // What others than its keeper (SessionParker) find out.

  /// A newer snapshot of the session takes the place of one that had the row `before`. What the log has said
  /// of the session stays true; what the store may have shows the session as it was.
  void Succeed(const ParkedRow& before);
  /// The log, or the directory, says that the client has resumed so often: who knows of fewer is outdated.
  void OnResumed(std::uint64_t resumptions);
  /// A gateway has brought what it knows of the session, which is newer than what the row says.
  void OnGatewayNewer();
  /// A gateway has brought the session: no more is the row all that is known of it.
  void OnBrought();
  /// The gateway that the client has come to has the session. The one that it has left knows as little as a
  /// row, and so does one that was cut off before, of which we may not know: they mislead until the log says
  /// so. Unless the session is parked: then the row was written since, and is right.
  void OnHeard(SessionPhase phase);
  /// The store has a packet that leaves a gap behind the last one that the session knows: the client has
  /// acknowledged what is missing, so it has gone on since a session of `resumptions` was written. If the row
  /// is all that is known of the session, that is outdated.
  void NoteGap(std::uint64_t resumptions);
};

/// A session is told of its contacts anew, a portion at a time: the next one when its client has the one
/// before.
struct TellingAnew {
  /// It has been told of those up to this one, in the order of their addresses.
  std::string told_up_to;
  /// What is said of that: open until the log has all of it.
  std::shared_ptr<EndWrites> said;
  /// Session::presences_missed. If more was missed since, it begins anew.
  std::uint32_t missed = 0;
  /// The last packet of the portion that its client does not have yet; nothing: the next one is being told.
  std::optional<std::uint64_t> last_seq;
};

/// `unavailable` to one address that has been told of the session directly, on its way into the log.
struct Farewell {
  std::string address;
  std::uint64_t number = 0;
};

/// An attempt to resume that cannot be answered yet.
struct WaitingResume {
  WaitingAction asked;
  /// How long its client may wait: that it may resume at all is said by the gateway that it left.
  SteadyTime limit = SteadyTime::max();
};

/// What few sessions have at a time, apart, since there are many sessions.
struct RareState {
  /// New sessions of the same name, and resumptions, that wait for the end of this one.
  std::vector<WaitingAction> successors;
  /// The newest attempt to resume, while it waits; null when there is none.
  std::unique_ptr<WaitingResume> resume_waits;
  /// The gateway that the client left with the newest resumption, until it is told so.
  std::string left_gateway;
  /// Set when ParkedRow::is_busy and is_telling are so no more. Null: nobody waits for that.
  std::shared_ptr<runtime::Event> row_at_rest;
  std::shared_ptr<runtime::Event> row_told;
  /// The writes that its end still has to make; null when there are none.
  std::shared_ptr<EndWrites> end_writes;
  /// The newest to each address. Until the log has it, the address is one of `state.directed`.
  std::vector<Farewell> farewells;
  /// Null: it is not being told.
  std::shared_ptr<TellingAnew> telling_anew;
  /// The newest that is said of the session unasked, until the log has all of it.
  std::weak_ptr<EndWrites> unasked;
  /// Full JIDs whose presence it was sent by its own full JID while it was not available, as its
  /// predecessor of the same name may have asked for: its client sees them, and hears when they go. The
  /// newest.
  std::vector<std::string> seen_early;
};

using GatewayHook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// One resource of a user: the session that jabberd2 keeps in `sm`, whose connection
/// lies in a gateway, in none while its client is away (XEP-0198), or in another one
/// after it has resumed. As a list element it is one of its gateway's sessions.
struct Session : GatewayHook {
  SessionId id;
  User* user = nullptr;
  /// Full JID.
  xmpp::Jid jid;
  std::string_view resource() const { return jid.resource(); }

  SessionPhase phase() const { return phase_; }
  /// For those who only give packets: the client is away.
  bool detached() const { return IsDetached(phase_); }
  /// The session is over, and whoever still holds it stops.
  bool ended() const { return phase_ == SessionPhase::kEnded; }
  /// Checks that the move is one of the table's.
  void Move(SessionPhase to, SteadyTime now);
  /// Sets the first phase of a session that begins here, or comes from a gateway or the store, before
  /// anything else: it has not moved, and LiveSessions does not have it.
  void BeginAs(SessionPhase phase, SteadyTime now);
  /// From here on the session is one of `away` while its client is away, until its end.
  void CountIn(std::int64_t& away);

  /// Null while there is none, or while the link to it is being made again. Set by Gateways.
  GatewayPeer* gateway = nullptr;
  /// Stanzas of its client up to this one may have been handled by an earlier owner of the shard.
  std::uint64_t resent_up_to = 0;
  SteadyTime detached_since;
  /// When LiveSessions says that it is to be looked at; max: never.
  SteadyTime due = SteadyTime::max();

  ParkedRow row;
  /// The record of its end, once that is applied; -1: none, or an earlier owner has finished it.
  std::int64_t end_record = -1;
  /// RareState::end_writes, made when missing.
  const std::shared_ptr<EndWrites>& EndWritesOf();

  /// The number of the action (WaitingAction) that started or last resumed the session; 0 where it was
  /// started before this process had the shard.
  std::uint64_t arrival = 0;
  /// The attempt that its gateway was answered over its link when the client came there; 0: none was.
  std::uint64_t resumed_by = 0;

  InboundLedger inbound;
  /// Stanzas that are not done, and what waits for them. Null when there are none.
  std::unique_ptr<InboundOrder> inbound_order;

  std::uint64_t last_seq = 0;
  std::uint64_t acked_seq = 0;
  std::uint64_t base_seq = 0;
  /// The newest packet that its client may have.
  std::uint64_t sent_seq = 0;
  /// The newest packet that is on the link to its gateway. Those after it wait for room there, or for a
  /// gateway.
  std::uint64_t link_seq = 0;
  /// The size of the packets that are under way.
  std::size_t bytes_under_way = 0;
  /// The newest record given, and the newest that was addressed to this session.
  std::int64_t last_offset = -1;
  std::int64_t last_primary = -1;
  /// For a session that came when records had been read without it, by us or by an owner before us: the
  /// newest that had been addressed to it by then, else -1; and which of them were the first to be read so
  /// (late_sessions.h).
  std::int64_t late_offset = -1;
  std::int64_t late_since = 0;
  /// The epoch of the owner that its gateway has last brought it to; -1 where it has begun here.
  std::int64_t known_epoch = -1;
  UnackedQueue unacked;
  std::size_t unacked_bytes = 0;
  /// Set while the contents of some packets after this number are still unknown, because their records wait
  /// (record_order.h). No packet after it is sent meanwhile.
  std::optional<std::uint64_t> resend_after;

  // Flags, side by side since there are many sessions.

  /// Its client was away for too long, says the record of its end: it may come back until that is
  /// read.
  bool ends_by_timeout = false;
  /// Packets of it were put into the waiting store.
  bool has_rows = false;
  /// The gateway that the client has come to has said nothing of the session yet, so it may not know of it.
  /// If we die now, the next owner may be brought the session as it was before.
  bool is_unheard = false;
  /// Its gateway is to be sent a confirmation.
  bool confirm_due = false;
  /// Handling something of its client has failed half-way: nothing more of it is handled, and it ends.
  bool has_failed = false;
  /// Packets, or its state, wait for room on the link to its gateway.
  bool awaits_room = false;
  /// Its newest state is not on the link: it goes before any packet or confirmation that comes later.
  bool is_state_due = false;
  /// Outbox::Push comes at the end of this turn of the loop.
  bool is_push_posted = false;
  /// A confirmation waits for the state.
  bool awaits_state = false;
  /// In ShardDelivery::late.
  bool is_to_take_back = false;
  /// In ShardDelivery::unacknowledged.
  bool is_store_due = false;
  /// Presence was not kept for it, since its client had too much to take. It is told anew when there is room.
  bool was_spared_presence = false;
  /// It is being told of `state.missed_contacts`.
  bool is_catching_up = false;

  StreamManagement management = StreamManagement::kOff;
  bool is_resumable() const { return management == StreamManagement::kResumable; }

  /// How often MissPresence was called, for who tells of it.
  std::uint32_t presences_missed = 0;

  session::v1::SessionManagerState state;
  /// The capabilities that its client has proved to have (XEP-0115); null while they are not known.
  std::shared_ptr<const ClientCaps> caps;

  /// The log says that the client has resumed elsewhere since, and nobody has brought us that newer session.
  bool is_outdated() const {
    return state.resumptions() < row.told_resumptions || (row.is_source && row.told_at > row.written_at);
  }

  /// What it says to its contacts, or they to it, was missed: both are told anew, by the next owner if not
  /// by us.
  void MissPresence() {
    // What is being said does not say all of it any more.
    if (rare_) rare_->unasked.reset();
    state.set_presence_missed(true);
    ++presences_missed;
  }

  /// All empty where there is none.
  const RareState& rare() const { return rare_ != nullptr ? *rare_ : kNothingRare; }
  /// To change it.
  RareState& MakeRare() {
    if (rare_ == nullptr) rare_ = std::make_unique<RareState>();
    return *rare_;
  }

  bool available() const { return state.available(); }
  int priority() const { return state.priority(); }

 private:
  void Enter(SessionPhase to, SteadyTime now);

  static inline const RareState kNothingRare;

  std::unique_ptr<RareState> rare_;
  /// A counter of LiveSessions; null before that has the session.
  std::int64_t* away_ = nullptr;
  SessionPhase phase_ = SessionPhase::kConnected;
};

/// Whether the first of two sessions of one full JID is the newer one, which takes the place of the other
/// (README.md, SL2).
inline bool IsNewer(const Session& session, const Session& other) {
  const auto begun = [](const Session& s) {
    return std::pair(s.state.start_offset(), s.state.started_at_ms());
  };
  return begun(session) > begun(other);
}

/// The sessions of one gateway. A session leaves it by itself when it dies.
using GatewaySessions = boost::intrusive::list<Session, boost::intrusive::constant_time_size<false>>;

/// Whether the session's client has asked for the list of this namespace.
inline bool HasInterest(const Session& session, std::string_view ns) {
  const auto& interests = session.state.interests();
  return std::find(interests.begin(), interests.end(), ns) != interests.end();
}

}  // namespace rookery::session_manager
