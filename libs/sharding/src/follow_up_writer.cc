#include "rookery/sharding/follow_up_writer.h"

#include "rookery/base/status.h"
#include "rookery/telemetry/log.h"

namespace rookery::sharding {

FollowUpWriter::Lane::~Lane() {
  writer.lanes_.erase(id);
  writer.waiting_ -= records.size();
}

void FollowUpWriter::FillOrigin(Shard& from, const Cause& cause, events::v1::Origin& origin) const {
  if (cause.part) {
    owner_.FillOrigin(from, cause.offset, *cause.part, origin);
  } else {
    owner_.FillOrigin(from, origin);
  }
}

void FollowUpWriter::NoteRefusal(events::Topic topic, std::uint32_t partition,
                                 const absl::Status& why) const {
  owner_.metrics().records_refused.Increment();
  telemetry::LogError("record.refused",
                      {{"topic", events::Name(topic)}, {"partition", partition}, {"error", Message(why)}});
}

void FollowUpWriter::OnFailure(Shard& from, std::int64_t cause, const std::exception& failure) {
  if (cause >= 0) return owner_.NoteFailed(from, cause, failure);
  owner_.NoteStepFailed(from, "follow-up", failure);
}

void FollowUpWriter::NoteLoss(events::Topic topic, std::uint32_t partition) const {
  owner_.metrics().records_lost.Increment();
  telemetry::LogError("record.lost", {{"topic", events::Name(topic)}, {"partition", partition}});
}

void FollowUpWriter::SayAgain(Shard& from, events::Topic topic, std::uint32_t partition,
                              std::unique_ptr<Waiting> record) {
  ++waiting_;
  from.refused_bytes += record->bytes();
  const LaneId id{&from, topic, partition};
  if (const auto found = lanes_.find(id); found != lanes_.end()) {
    found->second->records.push_back(std::move(record));
    return;
  }
  std::unique_ptr<Lane> lane(new Lane{*this, id});
  lane->records.push_back(std::move(record));
  lanes_.emplace(id, lane.get());
  from.Spawn("record.say_again", SayAllAgain(from.shared_from_this(), std::move(lane)));
}

Task<void> FollowUpWriter::SayAllAgain(std::shared_ptr<Shard> from, std::unique_ptr<Lane> lane) {
  const events::Topic topic = std::get<events::Topic>(lane->id);
  const std::uint32_t partition = std::get<std::uint32_t>(lane->id);
  co_await runtime::Sleep(ShardOwner::kSayAgain.first);
  while (!lane->records.empty()) {
    Waiting& first = *lane->records.front();
    // A limit may have been lowered since.
    bool is_too_large = false;
    bool has_failed = false;
    const auto next = [&]() -> const google::protobuf::MessageLite* {
      if (is_too_large) return nullptr;
      try {
        return first.Next(*from);
      } catch (const std::exception& failure) {
        OnFailure(*from, first.offset(), failure);
        has_failed = true;
        return nullptr;
      }
    };
    const auto refused = [&](const absl::Status& why) { is_too_large = absl::IsInvalidArgument(why); };
    const std::int64_t offset = co_await owner_.AppendUntilTaken(
        from, ShardOwner::Place{topic, partition, first.key()}, next, refused);
    // The shard is acquired afresh: its next life says this one, and those behind it.
    if (has_failed) co_return;
    if (is_too_large) NoteLoss(topic, partition);
    const std::unique_ptr<Waiting> said = std::move(lane->records.front());
    lane->records.pop_front();
    --waiting_;
    from->refused_bytes -= said->bytes();
    try {
      said->Done(*from, offset);
    } catch (const std::exception& failure) {
      OnFailure(*from, said->offset(), failure);
      co_return;
    }
    from->window.Release(said->offset());
  }
  // Before anybody can add to it.
  lane.reset();
}

}  // namespace rookery::sharding
