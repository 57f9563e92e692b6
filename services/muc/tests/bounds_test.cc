// What bounds a room, against those who try to go beyond.
#include "staffed_room.h"

namespace rookery::muc {
namespace {

using ::testing::HasSubstr;
using testing::kOwner;

class Bounds : public testing::StaffedRoomTest {
 protected:
  Said Configure(const std::string& fields) {
    return Iq("set", kOwner,
              "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>" +
                  fields + "</x></query>");
  }
};

// Addresses are not even read of a list that is too long.
TEST_F(Bounds, AListOfOwnersThatIsTooLongIsRefusedUnread) {
  for (const char* var : {"muc#roomconfig_roomowners", "muc#roomconfig_roomadmins"}) {
    std::string field = "<field var='" + std::string(var) + "' type='jid-multi'>";
    for (int i = 0; i < 4096; ++i) field += "<value>@@" + std::to_string(i) + "</value>";
    const Said said = Configure(field + "</field>");
    EXPECT_EQ(RefusalIn(said), "modify not-acceptable");
    EXPECT_THAT(said.front(), HasSubstr("Too many owners or admins are changed at once.")) << var;
  }
}

}  // namespace
}  // namespace rookery::muc
