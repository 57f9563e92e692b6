#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "domain/features/feature_hooks.h"
#include "domain/presence/client_caps.h"
#include "rookery/base/clock.h"
#include "rookery/base/session_id.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

struct Session;
struct Shard;
class Deliverer;
class SessionTable;
struct SessionManagerMetrics;

/// Finds out what the clients of our sessions can do (XEP-0115). A session announces a verification string in
/// its presence; one session of those that announce it is asked with disco#info, and only what hashes to the
/// string is believed, for all of them. Announcements without `hash` are not believed at all. Everything here
/// is derived from the sessions' presences, so that a new owner of a shard asks again.
class CapsTracker final : public LifeHook {
 public:
  CapsTracker(const Clock& clock, SessionManagerMetrics& metrics, const SessionTable& table,
              Deliverer& deliverer)
      : clock_(clock), metrics_(metrics), table_(table), deliverer_(deliverer) {}

  /// The session's features in order, or null while (or because) they are not known.
  static const std::vector<std::string>* FeaturesOf(const Session& session);

  void OnShardLive(Shard& shard) override;
  void OnSessionChanged(Session& session) override;
  void OnSessionEnded(Session& session) override;
  /// A result or an error from the session's client to its own account.
  void OnAnswer(Session& session, const xmpp::Stanza& iq);
  /// Every so often: who does not answer in time is given up, and somebody else is asked. Costs
  /// nothing while nobody is late.
  void OnSweep() override;

  std::size_t known() const { return by_key_.size(); }

 private:
  /// One verification string that nobody has proved yet.
  struct Question {
    std::string node;
    std::string hash;
    std::string ver;
    /// Sessions that announce it.
    absl::flat_hash_set<SessionId> waiting;
    /// Empty: nobody is asked at present.
    std::string iq_id;
    SessionId asked;
    int refusals = 0;
  };
  using Known = std::pair<std::string, std::shared_ptr<const ClientCaps>>;

  std::shared_ptr<const ClientCaps> Find(const std::string& key);
  void Keep(std::string key, std::shared_ptr<const ClientCaps> caps);
  void Ask(const std::string& key, Question& question, Session& session);
  void Leave(const SessionId& id);
  /// The asked session has proved nothing: it is not asked again until its presence changes.
  void Refuse(const std::string& key);
  void Forget(const std::string& key);

  const Clock& clock_;
  SessionManagerMetrics& metrics_;
  const SessionTable& table_;
  Deliverer& deliverer_;
  absl::flat_hash_map<std::string, Question> questions_;
  struct Due {
    SteadyTime at;
    std::string key;
    std::string iq_id;
  };
  /// When answers are due, in that order; some have come.
  std::deque<Due> due_;
  /// Questions of which somebody else should be asked.
  std::vector<std::string> open_;
  /// The key of the question that each waiting session waits for.
  absl::flat_hash_map<SessionId, std::string> waiting_;
  /// The newest used first.
  std::list<Known> known_;
  absl::flat_hash_map<std::string, std::list<Known>::iterator> by_key_;
  std::size_t known_bytes_ = 0;
};

}  // namespace rookery::session_manager
