#include "modules/account_access.h"

#include "domain/presence/presence_tracker.h"
#include "domain/state/cause.h"
#include "domain/state/shard.h"

namespace rookery::session_manager {

Task<absl::StatusOr<bool>> MaySee(Roster& rosters, const IqRequest& request) {
  if (request.target == Target::kOwnAccount) co_return true;
  const std::string asker(xmpp::BareOf(request.iq.from()));
  const User* user = request.shard->FindUser(request.account);
  if (user != nullptr && user->contacts) {
    const auto it = user->contacts->by_jid.find(asker);
    co_return it != user->contacts->by_jid.end() && it->second.from();
  }
  roster::v1::GetRosterRequest get;
  get.set_user(request.account);
  get.set_contact(asker);
  auto roster = co_await rosters.Get(std::move(get), request.cause->trace_id);
  if (!roster.ok()) co_return roster.status();
  for (const auto& item : roster->items())
    if (item.jid() == asker) co_return ContactState{item.subscription()}.from();
  co_return false;
}

}  // namespace rookery::session_manager
