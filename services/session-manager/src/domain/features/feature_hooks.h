#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/runtime/task.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

struct Session;
struct Shard;
struct User;

/// A feature says no to a stanza.
struct Veto {
  /// The error that its sender is told; nothing: the stanza is dropped in silence.
  std::optional<xmpp::ErrorCondition> condition;
  /// Beside the condition (RFC 6120 section 8.3.2).
  std::optional<xmpp::Element> detail;
};

/// Which stanzas a feature wants to see: the others cost it nothing.
struct StanzaFilter {
  bool messages = true;
  bool presences = true;
  bool iqs = true;
  /// At least one of these traits; 0: any stanza.
  std::uint32_t traits = 0;

  bool Matches(const xmpp::Stanza& stanza) const {
    if (traits != 0 && (stanza.traits() & traits) == 0) return false;
    switch (stanza.kind()) {
      case common::v1::STANZA_KIND_MESSAGE:
        return messages;
      case common::v1::STANZA_KIND_PRESENCE:
        return presences;
      case common::v1::STANZA_KIND_IQ:
        return iqs;
      default:
        return false;
    }
  }
};

/// A feature that keeps something of its own for shards, users or sessions. Each step of their life is
/// told once, in the order of registration (modules/chain.cc).
class LifeHook {
 public:
  virtual ~LifeHook() = default;
  /// The sessions that gateways and the store have brought to a new owner are in their users' lists. What
  /// waits for the users is read, and then the log, when this is done.
  virtual Task<void> OnShardLoad(std::shared_ptr<Shard>) { co_return; }
  /// Whether nothing that was read before our fence waits for the feature. If something does, Settle
  /// waits until it does not, and the shard is not live before.
  virtual bool IsSettled(const Shard&) const { return true; }
  virtual Task<void> Settle(std::shared_ptr<Shard>) { co_return; }
  /// Live for the first time, or again after it was suspended. Then what gateways have said meanwhile is
  /// done.
  virtual void OnShardLive(Shard&) {}
  /// It is not ours any more. Its sessions have ended for us.
  virtual void OnShardForgotten(Shard&) {}
  /// Every 500 ms.
  virtual void OnSweep() {}
  /// It is in the user's list: begun by its client, or brought to a new owner of the shard.
  virtual void OnSessionBegun(Session&) {}
  /// Its presence is another one, or its client is back.
  virtual void OnSessionChanged(Session&) {}
  /// It is in the user's list no more, or the shard is not ours any more.
  virtual void OnSessionEnded(Session&) {}
  /// All of it is gone: what comes next is another account's.
  virtual void OnAccountRemoved(User&) {}
};

/// The say that features have in what goes through us, in the order in which they registered
/// (modules/chain.cc). The users' settings are known when they are asked.
class FeatureHooks {
 public:
  using Judge = std::function<std::optional<Veto>(const User&, const xmpp::Stanza&)>;
  using MayHear = std::function<bool(const User&, std::string_view recipient)>;

  void OnFromClient(StanzaFilter filter, Judge judge) { from_client_.push_back({filter, std::move(judge)}); }
  void OnToUser(StanzaFilter filter, Judge judge) { to_user_.push_back({filter, std::move(judge)}); }
  void OnRecipient(MayHear may_hear) { recipients_.push_back(std::move(may_hear)); }
  void OnLife(LifeHook& hook) { life_.push_back(&hook); }

  /// A stanza of the user's client to somebody else.
  std::optional<Veto> FromClient(const User& user, const xmpp::Stanza& stanza) const {
    return Ask(from_client_, user, stanza);
  }
  /// A stanza to the user, or to one of the user's resources.
  std::optional<Veto> ToUser(const User& user, const xmpp::Stanza& stanza) const {
    return Ask(to_user_, user, stanza);
  }
  /// Whether the recipient may hear what is said to several on the user's behalf.
  bool IsRecipient(const User& user, const std::string& recipient) const {
    return std::all_of(recipients_.begin(), recipients_.end(),
                       [&](const MayHear& may_hear) { return may_hear(user, recipient); });
  }
  /// Leaves out who may not.
  void FilterRecipients(const User& user, std::vector<std::string>& recipients) const {
    std::erase_if(recipients, [&](const std::string& recipient) { return !IsRecipient(user, recipient); });
  }
  /// Calls one step of every LifeHook: `Tell(&LifeHook::OnShardLive, shard)`.
  template <typename Step, typename... Arguments>
  void Tell(Step step, Arguments&... arguments) const {
    for (LifeHook* hook : life_) (hook->*step)(arguments...);
  }
  Task<void> Load(std::shared_ptr<Shard> shard) const;
  bool AreSettled(const Shard& shard) const;
  Task<void> Settle(std::shared_ptr<Shard> shard) const;

 private:
  struct Entry {
    StanzaFilter filter;
    Judge judge;
  };
  static std::optional<Veto> Ask(const std::vector<Entry>& entries, const User& user,
                                 const xmpp::Stanza& stanza) {
    for (const Entry& entry : entries) {
      if (!entry.filter.Matches(stanza)) continue;
      if (std::optional<Veto> veto = entry.judge(user, stanza)) return veto;
    }
    return std::nullopt;
  }

  std::vector<Entry> from_client_;
  std::vector<Entry> to_user_;
  std::vector<MayHear> recipients_;
  std::vector<LifeHook*> life_;
};

/// The error reply to a stanza that a feature has refused; only where it has a condition.
xmpp::Stanza MakeRefusal(const xmpp::Stanza& stanza, const Veto& veto);

}  // namespace rookery::session_manager
