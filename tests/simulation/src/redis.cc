#include "redis.h"

#include <algorithm>
#include <compare>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "scripts.h"

namespace rookery::simulation {

using redis::Reply;
using std::chrono::seconds;

namespace {

constexpr seconds kTimeout{2};
constexpr std::int64_t kForgottenMs = 60'000;

Reply Text(std::string text) {
  Reply reply;
  reply.type = Reply::Type::kText;
  reply.text = std::move(text);
  return reply;
}

Reply Integer(std::int64_t value) {
  Reply reply;
  reply.type = Reply::Type::kInteger;
  reply.integer = value;
  return reply;
}

std::int64_t Number(const std::string& text) { return std::strtoll(text.c_str(), nullptr, 10); }

/// Read from `<id>@<start>-<random part>`; nothing for another member.
struct Life {
  std::int64_t start;
  std::string random;
  friend auto operator<=>(const Life&, const Life&) = default;
};
std::optional<Life> LifeOf(const std::string& member, const std::string& id) {
  if (!absl::StartsWith(member, id + "@")) return std::nullopt;
  const std::size_t dash = member.find('-', id.size() + 1);
  if (dash == std::string::npos) return std::nullopt;
  return Life{Number(member.substr(id.size() + 1)), member.substr(dash + 1)};
}

Reply Holder(const Life& life) {
  Reply reply;
  reply.type = Reply::Type::kArray;
  reply.array = {Text(absl::StrCat(life.start)), Text(life.random)};
  return reply;
}

// libs/routing/src/scripts.cc, in its order.
Reply Announce(RedisData& data, const std::string& key, const std::vector<std::string>& args) {
  auto& set = data.sorted_sets[key];
  const std::string& id = args[1];
  Life mine{Number(args[3]), args[4]};
  const bool has_just_started = args[5] == "1";
  for (const auto& [member, score] : set) {
    const auto other = LifeOf(member, id);
    if (!other) continue;
    if (other->random == mine.random) {
      mine.start = std::max(mine.start, other->start);
    } else if (*other > mine) {
      if (!has_just_started) return Holder(*other);
      mine.start = other->start + 1;
    }
  }
  const std::string life = absl::StrCat(id, "@", mine.start, "-", mine.random);
  std::erase_if(set, [&](const auto& entry) {
    const std::string& member = entry.first;
    return member != args[0] && member != life &&
           (member == "-" + id || absl::StartsWith(member, id + " ") || absl::StartsWith(member, id + "@"));
  });
  set[args[0]] = set[life] = UnixMillis() + Number(args[2]);
  std::erase_if(set, [](const auto& entry) { return entry.second <= UnixMillis() - kForgottenMs; });
  return Holder(mine);
}

Reply Withdraw(RedisData& data, const std::string& key, const std::vector<std::string>& args) {
  auto& set = data.sorted_sets[key];
  const std::string& id = args[1];
  const Life mine{Number(args[3]), args[4]};
  std::string own;
  for (const auto& [member, score] : set) {
    const auto other = LifeOf(member, id);
    if (!other) continue;
    if (other->random == mine.random) {
      own = member;
    } else if (*other > mine) {
      return Holder(*other);
    }
  }
  set.erase(own);
  set.erase(args[0]);
  set["-" + id] = UnixMillis() + 2 * Number(args[2]);
  return Holder(mine);
}

Reply Read(RedisData& data, const std::string& key) {
  Reply reply;
  reply.type = Reply::Type::kArray;
  reply.array.push_back(Text(absl::StrCat(UnixMillis())));
  for (const auto& [member, score] : data.sorted_sets[key]) {
    reply.array.push_back(Text(member));
    reply.array.push_back(Text(absl::StrCat(score)));
  }
  return reply;
}

Reply Publish(RedisData& data, const std::string& key, const std::vector<std::string>& args) {
  auto& hash = data.hashes[key];
  for (std::size_t i = 1; i + 1 < args.size(); i += 2) {
    const auto current = hash.find(args[i]);
    if (current == hash.end() || Number(current->second) <= Number(args[i + 1]))
      hash[args[i]] = args[i + 1] + " " + args[0];
  }
  return Integer(1);
}

Reply WriteSessions(RedisData& data, const std::string& key, const std::vector<std::string>& args) {
  auto& hash = data.hashes[key];
  const bool has_owner = hash.contains("owner");
  const std::int64_t epoch = has_owner ? Number(hash["owner"]) : 0;
  const std::int64_t mine = Number(args[0]);
  if (has_owner && epoch > mine) return Integer(2);
  const bool is_afresh = args[2] == "1";
  const bool is_known = has_owner && epoch == mine;
  if (is_afresh || !is_known) {
    hash.clear();
    hash["owner"] = args[0] + " " + args[1];
  }
  const std::size_t first = 5 + static_cast<std::size_t>(Number(args[4]));
  for (std::size_t i = 5; i < first; ++i) hash.erase(args[i]);
  for (std::size_t i = first; i + 1 < args.size(); i += 2) hash[args[i]] = args[i + 1];
  return Integer(is_known || is_afresh ? 0 : 1);
}

Reply GetAll(RedisData& data, const std::string& key) {
  Reply reply;
  reply.type = Reply::Type::kArray;
  for (const auto& [field, value] : data.hashes[key]) {
    reply.array.push_back(Text(field));
    reply.array.push_back(Text(value));
  }
  return reply;
}

class Client final : public redis::Client {
 public:
  Client(World& world, Process& process, Process& redis, RedisData& data)
      : world_(world), process_(process), redis_(redis), data_(data) {}

  Task<absl::StatusOr<Reply>> Command(std::string, std::vector<std::string> arguments) override {
    return Run([&data = data_, arguments = std::move(arguments)]() -> absl::StatusOr<Reply> {
      if (arguments.size() == 2 && arguments[0] == "HGETALL") return GetAll(data, arguments[1]);
      return absl::FailedPreconditionError("a command that the simulation does not know");
    });
  }
  Task<absl::StatusOr<Reply>> Eval(const char* script, std::string key,
                                   std::vector<std::string> arguments) override {
    return Run([&data = data_, script, key = std::move(key),
                args = std::move(arguments)]() -> absl::StatusOr<Reply> {
      if (script == routing::kAnnounceScript) return Announce(data, key, args);
      if (script == routing::kWithdrawScript) return Withdraw(data, key, args);
      if (script == routing::kReadScript) return Read(data, key);
      if (script == routing::kPublishScript) return Publish(data, key, args);
      if (absl::StartsWith(key, "rookery:sessions:")) return WriteSessions(data, key, args);
      return absl::FailedPreconditionError("a script that the simulation does not know");
    });
  }
  bool is_connected() const override { return redis_.is_running() && world_.AreJoined(process_, redis_); }

 private:
  template <typename Handle>
  Task<absl::StatusOr<Reply>> Run(Handle handle) {
    return world_.Call<absl::StatusOr<Reply>>(process_, redis_, kTimeout, std::move(handle));
  }

  World& world_;
  Process& process_;
  Process& redis_;
  RedisData& data_;
};

}  // namespace

std::unique_ptr<redis::Client> MakeRedisClient(World& world, Process& process, Process& redis,
                                               RedisData& data) {
  return std::make_unique<Client>(world, process, redis, data);
}

}  // namespace rookery::simulation
