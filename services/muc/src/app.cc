#include "app.h"

namespace rookery::muc {

App::App(app::Process& process, const Config& config)
    : bytes_read_(process.metrics.Counter("read_bytes_total", "Bytes of the records read from `rooms`")),
      member_(process, config,
              {.service = std::string(kDescription.name),
               .topic = "rooms",
               .start = sharding::Start::kEnd,
               .on_record = [this](const kafka::Record& record) {
                 bytes_read_.Increment(static_cast<double>(record.value.size()));
               }}) {}

Task<absl::Status> App::Start() { return member_.Start({}); }
Task<void> App::Stop() { return member_.Stop(); }
std::string App::NotReadyReason() const { return member_.NotReadyReason(); }

}  // namespace rookery::muc
