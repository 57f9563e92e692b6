#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "domain/features/feature_hooks.h"
#include "rookery/events/homes.h"
#include "rookery/runtime/task.h"
#include "rookery/xmpp/element.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

struct Cause;
struct Session;
struct Shard;

/// The addressee of a request, among those that the server answers for.
enum class Target {
  kOwnAccount,    // no `to`, or the sender's own bare JID
  kOtherAccount,  // another user's bare JID; the asker may be anybody
  kServer,        // a domain of ours
  kService,       // search on a domain of ours
};

struct IqRequest {
  xmpp::Stanza iq;
  /// The request's only child.
  xmpp::Element payload;
  Target target = Target::kServer;
  bool is_set = false;
  std::shared_ptr<Shard> shard;
  /// The client that asks; null when it is gone, or the request is somebody else's.
  std::shared_ptr<Session> session;
  /// kOwnAccount, kOtherAccount: whose account.
  std::string account;
  /// The account of the name that has sent it, where it has come through the log; 0: not known.
  std::uint64_t generation = 0;
  /// kService: the home of the address.
  std::optional<events::Home> home;
  Cause* cause = nullptr;
  /// For a request that changes something: says that its outcome is in doubt and takes longer to find out, so
  /// that no stanza to the user waits for it. May be empty.
  std::function<void()> on_doubt;
};

/// The answer of a module: an empty result, a result with a payload, or an error.
struct IqReply {
  std::optional<xmpp::Element> payload;
  /// In its place, where it is stored so: canonical XML (Stanza.payload).
  std::string canonical;
  std::optional<xmpp::ErrorCondition> error;
  std::optional<xmpp::ErrorType> error_type;
  std::string text;
  /// A result that says the same of every account and of none. Like an error, it comes after a constant time
  /// where it is asked of another account.
  bool says_nothing = false;

  static IqReply Result() { return {}; }
  static IqReply Result(xmpp::Element payload);
  static IqReply CanonicalResult(std::string payload);
  static IqReply ResultThatSaysNothing(xmpp::Element payload);
  static IqReply Error(xmpp::ErrorCondition condition, std::string text = {});
  /// A backend that is away is an error of type wait.
  static IqReply FromStatus(const absl::Status& status);
};

using IqHandler = std::function<Task<IqReply>(IqRequest&)>;

class Hooks;

/// A feature: what it answers and what it advertises. One file each.
class Module {
 public:
  virtual ~Module() = default;
  virtual void Register(Hooks& hooks) = 0;
};

/// Where modules register; the order of registration is the order of chain.cc.
class Hooks {
 public:
  explicit Hooks(FeatureHooks& features) : features_(features) {}
  /// Beside IQs: stanzas from and to users, the life of shards and sessions.
  FeatureHooks& features() { return features_; }

  enum class Kind { kGet, kSet };
  /// The effect of a request on its sender's account.
  enum class Effect {
    kNone,
    /// Changes it, and records may follow: it goes through the log, one after the other.
    kChanges,
    /// Changes the user's settings, too: stanzas to the user wait meanwhile.
    kSettings,
    /// Changes it by what nobody may read in the log: it never goes there, but waits, for a while, for what
    /// its sender has under way there.
    kSecret,
  };
  void OnIq(Kind kind, std::string_view ns, std::string_view name, std::vector<Target> targets, Effect effect,
            IqHandler handler) {
    OnIq(
        kind, ns, name, std::move(targets), [effect](const xmpp::Stanza&) { return effect; },
        std::move(handler));
  }
  using EffectOfIq = std::function<Effect(const xmpp::Stanza& iq)>;
  void OnIq(Kind kind, std::string_view ns, std::string_view name, std::vector<Target> targets,
            EffectOfIq effect, IqHandler handler);
  /// disco#info features of the server, and of accounts.
  void ServerFeature(std::string_view feature) { server_features.emplace_back(feature); }
  void AccountFeature(std::string_view feature) { account_features.emplace_back(feature); }

  /// Returns the effect of a client's IQ to its own account or to a domain of ours.
  Effect EffectOf(const xmpp::Stanza& iq) const;

  struct Entry {
    std::vector<Target> targets;
    EffectOfIq effect;
    IqHandler handler;
  };
  /// Null: nobody answers that.
  const Entry* Find(const IqRequest& request) const;
  std::vector<std::string> server_features;
  std::vector<std::string> account_features;

 private:
  FeatureHooks& features_;
  std::map<std::string, Entry> handlers_;
};

}  // namespace rookery::session_manager
