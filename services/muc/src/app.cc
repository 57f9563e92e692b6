#include "app.h"

#include "rookery/events/v1/room_record.pb.h"
#include "rookery/sharding/record_shards.h"

namespace rookery::muc {

App::App(app::Process& process, const Config& config)
    : MemberApp(process, config,
                {.service = std::string(kDescription.name),
                 .topic = events::Topic::kRooms,
                 .shards = std::make_unique<sharding::RecordShards<events::v1::RoomRecord>>(),
                 .info = sharding::PlainInfo("conference", "text", "Rooms")}) {}

}  // namespace rookery::muc
