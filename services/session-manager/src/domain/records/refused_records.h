#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "domain/records/returned_record.h"
#include "domain/records/shard.h"
#include "google/protobuf/repeated_field.h"
#include "rookery/events/topics.h"
#include "rookery/runtime/task.h"
#include "rookery/sharding/shard_owner.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Shards;
struct Session;
struct SessionManagerMetrics;
struct Settings;

/// Records that this service has to say by itself (presence, answers, errors, the archive's events) and that
/// the log has refused: they are said again until it takes them, with pauses that grow. Of what a client has
/// sent, its presence and the copies of its messages are among them; of the rest the client is told. I/O
/// thread only.
class RefusedRecords {
 public:
  /// Knows what was said since.
  class News {
   public:
    /// Of a stanza that was refused some time ago: takes out those recipients to whom something newer was
    /// said since. `recipients` null: it is for `stanza.to`. True: nobody is left.
    virtual bool RemoveOutdated(Shard& shard, const xmpp::Stanza& stanza,
                                google::protobuf::RepeatedPtrField<std::string>* recipients) = 0;
    /// The session's presence is refused. What this returns, unless it is empty, is called when the log has
    /// it.
    virtual std::function<void()> OnRefused(const std::shared_ptr<Session>& session,
                                            const xmpp::Stanza& presence) = 0;

   protected:
    ~News() = default;
  };

  RefusedRecords(const Settings& settings, SessionManagerMetrics& metrics, sharding::ShardOwner& owner,
                 const Shards& shards)
      : settings_(settings), metrics_(metrics), owner_(owner), shards_(shards) {}
  /// Before the first record.
  void SetNews(News& news) { news_ = &news; }
  bool is_wired() const { return news_ != nullptr; }
  News& news() const { return *news_; }

  /// `why`: the log's answer, which carries the record. `done` is called when the log has it, or when that
  /// cannot be: it is larger than the log takes. It is not called when the shard goes to another owner. It
  /// may be empty: then the record is lost if very many wait already. Whether it will be said again.
  bool SayAgain(Shard& from, events::Topic topic, std::uint32_t partition, const absl::Status& why,
                std::function<void()> done);

  /// The log has refused a record: what a client sent is answered with an error, what we say ourselves is
  /// said again.
  void NoteRefusal(const absl::Status& status);
  /// And it will never have it.
  void NoteLoss();

  std::size_t waiting() const { return waiting_; }

 private:
  /// One that waits, for as long as it does.
  class Counted {
   public:
    explicit Counted(std::size_t& waiting) : waiting_(waiting) { ++waiting_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --waiting_; }

   private:
    std::size_t& waiting_;
  };
  /// A coroutine of the shard.
  Task<void> Repeat(std::unique_ptr<Counted> counted, std::shared_ptr<Shard> from, events::Topic topic,
                    std::uint32_t partition, ReturnedRecord record, std::function<void()> done);

  const Settings& settings_;
  SessionManagerMetrics& metrics_;
  sharding::ShardOwner& owner_;
  const Shards& shards_;
  News* news_ = nullptr;
  std::size_t waiting_ = 0;
};

}  // namespace rookery::session_manager
