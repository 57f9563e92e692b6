#include "app.h"

#include "rookery/events/v1/message_event.pb.h"
#include "rookery/sharding/record_shards.h"

namespace rookery::search {

App::App(app::Process& process, const Config& config)
    : MemberApp(process, config,
                {.service = events::Service::kSearch,
                 .consumer_group = std::string(kDescription.name),
                 .callers = {"session-manager"}},
                std::make_unique<sharding::RecordShards<events::v1::MessageEvent>>(),
                member::PlainInfo("directory", "user", "Search")) {}

}  // namespace rookery::search
