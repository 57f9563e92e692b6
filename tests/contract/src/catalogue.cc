#include "catalogue.h"

#include <algorithm>
#include <set>

#include "rookery/common/v1/stanza.pb.h"
#include "rookery/disco/v1/disco_service.pb.h"
#include "rookery/events/v1/message_event.pb.h"
#include "rookery/events/v1/origin.pb.h"
#include "rookery/events/v1/presence_event.pb.h"
#include "rookery/events/v1/room_record.pb.h"
#include "rookery/events/v1/user_record.pb.h"
#include "rookery/muc/v1/room_state.pb.h"
#include "rookery/roster/v1/roster_service.pb.h"
#include "rookery/session/v1/session_link_service.pb.h"
#include "rookery/session/v1/session_state.pb.h"

namespace rookery::contract {

std::vector<const google::protobuf::FileDescriptor*> Files() {
  // One message of each file, so that the linker keeps it.
  std::vector<const google::protobuf::FileDescriptor*> files{
      common::v1::Stanza::descriptor()->file(),
      disco::v1::GetDiscoInfoRequest::descriptor()->file(),
      events::v1::MessageEvent::descriptor()->file(),
      events::v1::PresenceEvent::descriptor()->file(),
      events::v1::Origin::descriptor()->file(),
      events::v1::RoomRecord::descriptor()->file(),
      events::v1::UserRecord::descriptor()->file(),
      muc::v1::RoomState::descriptor()->file(),
      roster::v1::GetRosterRequest::descriptor()->file(),
      session::v1::LinkRequest::descriptor()->file(),
      session::v1::SessionManagerState::descriptor()->file(),
  };
  std::sort(files.begin(), files.end(), [](const auto* a, const auto* b) { return a->name() < b->name(); });
  return files;
}

std::vector<const google::protobuf::Descriptor*> Roots() {
  std::set<const google::protobuf::Descriptor*> roots{events::v1::UserRecord::descriptor(),
                                                      events::v1::RoomRecord::descriptor(),
                                                      events::v1::MessageEvent::descriptor(),
                                                      events::v1::PresenceEvent::descriptor(),
                                                      muc::v1::RoomState::descriptor(),
                                                      muc::v1::Affiliated::descriptor(),
                                                      muc::v1::Occupant::descriptor(),
                                                      muc::v1::PastMessage::descriptor(),
                                                      session::v1::SessionManagerState::descriptor()};
  for (const auto* file : Files()) {
    for (int s = 0; s < file->service_count(); ++s) {
      const auto* service = file->service(s);
      for (int m = 0; m < service->method_count(); ++m) {
        roots.insert(service->method(m)->input_type());
        roots.insert(service->method(m)->output_type());
      }
    }
  }
  std::vector<const google::protobuf::Descriptor*> sorted(roots.begin(), roots.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->full_name() < b->full_name(); });
  return sorted;
}

std::string Directory() { return ROOKERY_SOURCE_DIR "/tests/contract"; }

}  // namespace rookery::contract
