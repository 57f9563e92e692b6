#include "adapters/requests.h"

#include <utility>

namespace rookery::gateway {
namespace {

// The memory that a request takes besides its texts, in bytes.
constexpr std::size_t kOverhead = 256;

}  // namespace

std::string_view UserOf(const Requests::What& what) {
  return std::visit(
      [](const auto& request) -> std::string_view {
        if constexpr (requires { request.identity; }) {
          return request.identity.user;
        } else {
          return request.user;
        }
      },
      what);
}

void FailTemporarily(const Requests::What& request) {
  const ActionFailure refusal{"resource-constraint", "", true};
  if (const auto* lookup = std::get_if<LookupRequest>(&request)) {
    lookup->done({true, {}});
  } else if (const auto* create = std::get_if<CreateRequest>(&request)) {
    create->done(&refusal);
  } else if (const auto* start = std::get_if<StartRequest>(&request)) {
    start->done(nullptr, refusal);
  } else {
    Cluster::Resumption resumption;
    resumption.refusal = refusal;
    std::get<ResumeRequest>(request).done(resumption);
  }
}

std::size_t Requests::SizeOf(const What& what) {
  std::size_t text = 0;
  if (const auto* create = std::get_if<CreateRequest>(&what)) text = create->password.size();
  if (const auto* start = std::get_if<StartRequest>(&what)) text = start->resource.size();
  return UserOf(what).size() + text + kOverhead;
}

void Requests::SetShards(std::uint32_t count,
                         const std::function<std::uint32_t(std::string_view user)>& shard_of) {
  std::list<Id> all = std::move(by_shard_[0]);
  by_shard_ = std::vector<std::list<Id>>(count);
  while (!all.empty()) {
    Request& request = *by_id_.find(all.front())->second;
    request.shard = shard_of(UserOf(request.what));
    auto& list = by_shard_[request.shard];
    list.splice(list.end(), all, all.begin());
  }
}

Requests::Id Requests::Add(What what, std::uint32_t shard, SteadyTime deadline) {
  const std::size_t bytes = SizeOf(what);
  const bool is_refused = by_id_.size() >= max_count_ || bytes_ + bytes > max_bytes_;
  const Id id = ++last_;
  bytes_ += bytes;
  if (const auto* start = std::get_if<StartRequest>(&what)) starts_[start->session] = id;
  if (const auto* resume = std::get_if<ResumeRequest>(&what)) ++resumes_[resume->session];
  auto request = std::make_unique<Request>();
  request->what = std::move(what);
  request->shard = shard;
  request->deadline = is_refused ? SteadyTime::min() : deadline;
  request->by_age = by_age_.insert(is_refused ? by_age_.begin() : by_age_.end(), id);
  request->by_shard = by_shard_[shard].insert(by_shard_[shard].end(), id);
  by_id_.emplace(id, std::move(request));
  return id;
}

Requests::Request* Requests::Find(Id id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.get();
}

Requests::Id Requests::StartOf(SessionId session) const {
  const auto found = starts_.find(session);
  return found == starts_.end() ? 0 : found->second;
}

std::vector<Requests::Id> Requests::InShard(std::uint32_t shard) const {
  return {by_shard_[shard].begin(), by_shard_[shard].end()};
}

Requests::What Requests::Take(Id id) {
  const auto found = by_id_.find(id);
  Request& request = *found->second;
  What what = std::move(request.what);
  bytes_ -= SizeOf(what);
  if (const auto* start = std::get_if<StartRequest>(&what)) starts_.erase(start->session);
  if (const auto* resume = std::get_if<ResumeRequest>(&what)) {
    const auto count = resumes_.find(resume->session);
    if (--count->second == 0) resumes_.erase(count);
  }
  by_age_.erase(request.by_age);
  by_shard_[request.shard].erase(request.by_shard);
  by_id_.erase(found);
  return what;
}

std::optional<Requests::Id> Requests::Due(SteadyTime now) const {
  const auto first = FirstDeadline();
  if (!first || *first > now) return std::nullopt;
  return by_age_.front();
}

std::optional<SteadyTime> Requests::FirstDeadline() const {
  if (by_age_.empty()) return std::nullopt;
  return by_id_.find(by_age_.front())->second->deadline;
}

}  // namespace rookery::gateway
