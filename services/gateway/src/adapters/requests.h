#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "domain/shard_table.h"
#include "ports/cluster.h"
#include "rookery/base/clock.h"
#include "rookery/base/random.h"
#include "rookery/base/session_id.h"

namespace rookery::gateway {

// Requests of the protocols to a user's owner; each has one answer.
struct LookupRequest {
  std::string user;
  Cluster::OnLookup done;
};
struct CreateRequest {
  std::string user;
  std::string password;
  Cluster::OnCreated done;
};
struct StartRequest {
  Identity identity;
  std::string resource;
  SessionId session;
  SessionClient* client;
  Cluster::OnStarted done;
};
struct ResumeRequest {
  Identity identity;
  SessionId session;
  std::uint32_t handled;
  SessionClient* client;
  Cluster::OnResumed done;
};

/// Requests without an answer: by id, by shard in the order in which they came, and by age. All
/// have the same time, so the oldest is the first that is due. Bounded in number and bytes.
class Requests {
 public:
  using Id = Cluster::RequestId;
  using What = std::variant<LookupRequest, CreateRequest, StartRequest, ResumeRequest>;

  struct Request {
    What what;
    std::uint32_t shard = 0;
    SteadyTime deadline;
    /// The link whose end has it; 0: it waits for an owner.
    ShardTable::LinkId sent_to = 0;

   private:
    friend class Requests;
    std::list<Id>::iterator by_age;
    std::list<Id>::iterator by_shard;
  };

  Requests(std::size_t max_count, std::size_t max_bytes) : max_count_(max_count), max_bytes_(max_bytes) {}

  /// Until the number of shards is known all requests are in shard 0; `shard_of` tells where they
  /// belong then.
  void SetShards(std::uint32_t count, const std::function<std::uint32_t(std::string_view user)>& shard_of);
  /// Takes the request in, also beyond the bound: then it is due at once, and is to be answered
  /// before the loop's next turn is over.
  Id Add(What what, std::uint32_t shard, SteadyTime deadline);
  /// Beyond the bound.
  static bool IsRefused(const Request& request) { return request.deadline == SteadyTime::min(); }

  Request* Find(Id id);
  /// nullptr also when it is another kind of request.
  template <typename T>
  Request* Find(Id id) {
    Request* request = Find(id);
    return request != nullptr && std::holds_alternative<T>(request->what) ? request : nullptr;
  }
  /// 0: nobody starts that session.
  Id StartOf(SessionId session) const;
  /// Whether an attempt to resume the session has no answer yet.
  bool IsResuming(SessionId session) const { return resumes_.contains(session); }
  /// Those of the shard, in the order in which they came.
  std::vector<Id> InShard(std::uint32_t shard) const;

  /// It is there.
  What Take(Id id);
  /// The oldest, if it is due at `now`.
  std::optional<Id> Due(SteadyTime now) const;
  /// When the oldest is due; nothing where there is none.
  std::optional<SteadyTime> FirstDeadline() const;
  std::size_t size() const { return by_id_.size(); }

 private:
  static std::size_t SizeOf(const What& what);

  const std::size_t max_count_;
  const std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  /// An answer to an earlier process of this one's name must fit no request of this one.
  Id last_ = RandomU64() >> 16;
  absl::flat_hash_map<Id, std::unique_ptr<Request>> by_id_;
  absl::flat_hash_map<SessionId, Id> starts_;
  absl::flat_hash_map<SessionId, std::size_t> resumes_;  // how many
  std::list<Id> by_age_;
  std::vector<std::list<Id>> by_shard_{1};
};

std::string_view UserOf(const Requests::What& what);
/// Answers that nothing is known: trying later may help.
void FailTemporarily(const Requests::What& request);

}  // namespace rookery::gateway
