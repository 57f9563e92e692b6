#include "domain/presence/caps_tracker.h"

#include <algorithm>
#include <optional>

#include "domain/delivery/deliverer.h"
#include "domain/metrics.h"
#include "domain/presence/caps_hash.h"
#include "domain/presence/client_caps.h"
#include "domain/state/session_table.h"
#include "domain/state/shard.h"
#include "rookery/base/random.h"
#include "rookery/xmpp/ns.h"

namespace rookery::session_manager {

namespace {

/// Bounds of what is remembered of verified strings; sessions keep theirs beyond it.
constexpr std::size_t kMaxKnown = 1'000;
constexpr std::size_t kMaxKnownBytes = 4 * 1024 * 1024;
/// A client with more features than fit here is none that we have ever seen.
constexpr std::size_t kMaxBytes = 16 * 1024;
constexpr std::size_t kMaxAttribute = 512;
constexpr std::chrono::seconds kPatience{30};
/// After so many wrong answers a string is left alone until somebody announces it anew.
constexpr int kMaxRefusals = 8;

struct Announced {
  std::string hash, node, ver;
};

std::optional<Announced> ReadAnnounced(const xmpp::Stanza& presence) {
  // Most updates of presence cost no more than this look.
  if (presence.payload().find(xmpp::ns::kCaps) == std::string::npos) return std::nullopt;
  auto children = xmpp::ParsePayload(presence.payload());
  if (!children.ok()) return std::nullopt;
  for (const xmpp::Element& child : *children) {
    if (!child.Is("c", xmpp::ns::kCaps)) continue;
    Announced announced{std::string(child.Attr("hash")), std::string(child.Attr("node")),
                        std::string(child.Attr("ver"))};
    if (announced.ver.empty() || announced.ver.size() > kMaxAttribute ||
        announced.node.size() > kMaxAttribute || !IsCapsHash(announced.hash))
      return std::nullopt;
    return announced;
  }
  return std::nullopt;
}

/// The features of a disco#info result that proves `ver`; null when it does not.
std::shared_ptr<const ClientCaps> Verify(const xmpp::Stanza& result, const std::string& hash,
                                         const std::string& ver) {
  auto children = xmpp::ParsePayload(result.payload());
  if (!children.ok() || children->size() != 1) return nullptr;
  const xmpp::Element& query = children->front();
  if (!query.Is("query", xmpp::ns::kDiscoInfo) || CapsVer(query, hash) != ver) return nullptr;
  auto caps = std::make_shared<ClientCaps>();
  caps->hash = hash;
  caps->ver = ver;
  caps->bytes = hash.size() + ver.size();
  for (const xmpp::Element& child : query.children()) {
    if (!child.Is("feature", xmpp::ns::kDiscoInfo)) continue;
    caps->features.emplace_back(child.Attr("var"));
    caps->bytes += caps->features.back().size() + sizeof(std::string);
  }
  if (caps->bytes > kMaxBytes) return nullptr;
  std::sort(caps->features.begin(), caps->features.end());
  return caps;
}

}  // namespace

const std::vector<std::string>* CapsTracker::FeaturesOf(const Session& session) {
  return session.caps == nullptr ? nullptr : &session.caps->features;
}

// ---- what sessions announce ---------------------------------------------------

void CapsTracker::OnSessionChanged(Session& session) {
  // Before the shard is live its sessions' packets have no numbers of ours.
  if (session.ended() || !session.user->shard->live()) return;
  std::optional<Announced> announced;
  if (session.available()) announced = ReadAnnounced(session.state.presence());
  if (!announced) {
    session.caps.reset();
    Leave(session.id);
    return;
  }
  if (session.caps != nullptr && session.caps->ver == announced->ver && session.caps->hash == announced->hash)
    return;
  const std::string key = announced->hash + " " + announced->ver;
  session.caps = Find(key);
  if (session.caps != nullptr) {
    Leave(session.id);
    return;
  }
  if (const auto it = waiting_.find(session.id); it == waiting_.end() || it->second != key) {
    Leave(session.id);
    waiting_[session.id] = key;
    Question& added = questions_[key];
    added.waiting.insert(session.id);
    added.hash = announced->hash;
    added.ver = announced->ver;
  }
  Question& question = questions_[key];
  if (!question.iq_id.empty() || session.gateway == nullptr || session.detached()) return;
  question.node = announced->node;
  Ask(key, question, session);
}

void CapsTracker::OnShardLive(Shard& shard) {
  for (const auto& [bare, user] : shard.users)
    for (const auto& session : user->sessions) OnSessionChanged(*session);
}

void CapsTracker::OnSessionEnded(Session& session) {
  session.caps.reset();
  Leave(session.id);
}

void CapsTracker::Leave(const SessionId& id) {
  const auto waiting = waiting_.find(id);
  if (waiting == waiting_.end()) return;
  const auto it = questions_.find(waiting->second);
  waiting_.erase(waiting);
  Question& question = it->second;
  question.waiting.erase(id);
  if (question.waiting.empty()) {
    questions_.erase(it);
  } else if (!question.iq_id.empty() && question.asked == id) {
    question.iq_id.clear();
    open_.push_back(it->first);
  }
}

// ---- asking --------------------------------------------------------------------

void CapsTracker::Ask(const std::string& key, Question& question, Session& session) {
  question.iq_id = "caps-" + RandomToken(9);
  question.asked = session.id;
  xmpp::Stanza iq;
  iq.set_kind(common::v1::STANZA_KIND_IQ);
  iq.set_type("get");
  iq.set_id(question.iq_id);
  iq.set_from(session.user->bare);
  iq.set_to(std::string(session.jid.str()));
  xmpp::Element query("query", xmpp::ns::kDiscoInfo);
  query.SetAttr("node", question.node + "#" + question.ver);
  xmpp::SetPayload(iq, query);
  metrics_.caps_asked.Increment();
  due_.push_back({clock_.Now() + kPatience, key, question.iq_id});
  deliverer_.Reply(session, std::move(iq));
}

void CapsTracker::OnAnswer(Session& session, const xmpp::Stanza& iq) {
  const auto waiting = waiting_.find(session.id);
  if (waiting == waiting_.end()) return;
  const std::string key = waiting->second;
  Question& question = questions_.find(key)->second;
  if (question.iq_id.empty() || question.asked != session.id || question.iq_id != iq.id()) return;
  std::shared_ptr<const ClientCaps> caps;
  if (iq.type() == "result") caps = Verify(iq, question.hash, question.ver);
  if (caps == nullptr) {
    Refuse(key);
    return;
  }
  metrics_.caps_verified.Increment();
  for (const SessionId& id : question.waiting)
    if (const auto other = table_.Find(id)) other->caps = caps;
  Forget(key);
  Keep(key, std::move(caps));
}

void CapsTracker::Refuse(const std::string& key) {
  Question& question = questions_.find(key)->second;
  metrics_.caps_refused.Increment();
  if (++question.refusals >= kMaxRefusals) {
    Forget(key);
    return;
  }
  const SessionId asked = question.asked;
  Leave(asked);
}

void CapsTracker::Forget(const std::string& key) {
  const auto it = questions_.find(key);
  for (const SessionId& id : it->second.waiting) waiting_.erase(id);
  questions_.erase(it);
}

void CapsTracker::OnSweep() {
  const SteadyTime now = clock_.Now();
  while (!due_.empty() && due_.front().at < now) {
    const Due due = std::move(due_.front());
    due_.pop_front();
    const auto it = questions_.find(due.key);
    if (it != questions_.end() && it->second.iq_id == due.iq_id) Refuse(due.key);
  }
  for (const std::string& key : std::exchange(open_, {})) {
    const auto it = questions_.find(key);
    if (it == questions_.end() || !it->second.iq_id.empty()) continue;
    // Nobody now: whose client comes back asks for itself.
    for (const SessionId& id : it->second.waiting) {
      const auto session = table_.Find(id);
      if (!session || session->gateway == nullptr || session->detached()) continue;
      Ask(key, it->second, *session);
      break;
    }
  }
}

// ---- what is known --------------------------------------------------------------

std::shared_ptr<const ClientCaps> CapsTracker::Find(const std::string& key) {
  const auto it = by_key_.find(key);
  if (it == by_key_.end()) return nullptr;
  known_.splice(known_.begin(), known_, it->second);
  return it->second->second;
}

void CapsTracker::Keep(std::string key, std::shared_ptr<const ClientCaps> caps) {
  known_bytes_ += caps->bytes;
  known_.emplace_front(key, std::move(caps));
  by_key_[std::move(key)] = known_.begin();
  while (known_.size() > kMaxKnown || known_bytes_ > kMaxKnownBytes) {
    known_bytes_ -= known_.back().second->bytes;
    by_key_.erase(known_.back().first);
    known_.pop_back();
  }
  metrics_.caps_known.Set(static_cast<double>(known_.size()));
}

}  // namespace rookery::session_manager
