#include "app.h"

#include "rookery/events/v1/room_record.pb.h"
#include "rookery/sharding/record_shards.h"

namespace rookery::muc {

App::App(app::Process& process, const Config& config)
    : MemberApp(process, config,
                {.service = events::Service::kMuc,
                 .consumer_group = std::string(kDescription.name),
                 .callers = {"session-manager"}},
                std::make_unique<sharding::RecordShards<events::v1::RoomRecord>>(),
                sharding::PlainInfo("conference", "text", "Rooms")) {}

}  // namespace rookery::muc
