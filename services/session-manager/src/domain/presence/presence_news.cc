#include "domain/presence/presence_news.h"

#include <algorithm>
#include <string_view>

#include "domain/addresses.h"
#include "domain/features/feature_hooks.h"
#include "domain/outbound/outbox.h"
#include "domain/presence/directed_presence.h"
#include "domain/state/shard.h"
#include "domain/state/user.h"

namespace rookery::session_manager {

bool PresenceNews::RemoveOutdated(Shard& shard, const xmpp::Stanza& stanza,
                                  google::protobuf::RepeatedPtrField<std::string>* recipients) {
  const std::string_view resource = xmpp::ResourceOf(stanza.from());
  if (resource.empty()) return false;
  User* user = shard.FindUser(xmpp::BareOf(stanza.from()));
  const Session* session = user == nullptr ? nullptr : user->FindResource(resource);
  // That a room has nobody there is outdated when somebody has come, and may have entered it.
  if (stanza.type() == "error") return session != nullptr && addresses_.IsOfRooms(stanza.to());
  const bool is_unavailable = stanza.type() == "unavailable";
  if (stanza.kind() != common::v1::STANZA_KIND_PRESENCE || (!stanza.type().empty() && !is_unavailable))
    return false;
  const bool is_available = session != nullptr && session->available();
  if (!is_unavailable && (!is_available || session->state.presence().payload() != stanza.payload()))
    return true;
  if (session == nullptr) return false;
  // That the session is back was said to all who may see it; whom it sent presence directly since, knows it
  // too. Who may not see it any more, or from whom the user hides since (XEP-0191), has been told so.
  const auto is_outdated = [&](const std::string& recipient) {
    const std::string_view bare = xmpp::BareOf(recipient);
    const bool is_hidden = !features_.IsRecipient(*user, recipient);
    if (!is_unavailable) {
      const bool sees_nothing = bare != user->bare && user->contacts && !user->contacts->MaySee(bare);
      return is_hidden || (sees_nothing && !directed_.IsTold(*session, recipient));
    }
    if (is_hidden) return false;
    if (directed_.IsTold(*session, recipient) && !directed_.IsBeingLeft(*session, recipient)) return true;
    if (!is_available) return false;
    return bare == user->bare || (user->contacts && user->contacts->MaySee(bare));
  };
  if (recipients == nullptr) return is_outdated(stanza.to());
  recipients->erase(std::remove_if(recipients->begin(), recipients->end(), is_outdated), recipients->end());
  return recipients->empty();
}

std::function<void()> PresenceNews::OnRefused(const std::shared_ptr<Session>& session,
                                              const xmpp::Stanza& presence) {
  // Probes are said with the presence that they belong to.
  const bool is_unavailable = presence.type() == "unavailable";
  if (is_unavailable == session->available()) return {};  // not its presence any more
  if (!is_unavailable) {
    const std::shared_ptr<EndWrites> said = JoinUnasked(session);
    if (!said) return {};
    outbox_.Publish(*session);
    return [said] { said->Finish(); };
  }
  const auto mark = [this](const std::shared_ptr<Session>& of, bool value) {
    if (of->ended()) return;
    of->state.set_unavailable_untold(value);
    outbox_.Publish(*of);
  };
  if (session->state.unavailable_untold()) return {};
  mark(session, true);
  return [mark, session] { mark(session, false); };
}

std::shared_ptr<EndWrites> PresenceNews::OpenUnasked(const std::shared_ptr<Session>& session) {
  session->MissPresence();
  auto said = std::make_shared<EndWrites>();
  ++said->open;
  session->MakeRare().unasked = said;
  // The session may own it (TellingAnew).
  said->then.push_back([this, of = std::weak_ptr(session), missed = session->presences_missed] {
    const std::shared_ptr<Session> session = of.lock();
    // Else more was missed meanwhile.
    if (!session || session->ended() || session->presences_missed != missed) return;
    session->state.set_presence_missed(false);
    outbox_.Publish(*session);
  });
  return said;
}

std::shared_ptr<EndWrites> PresenceNews::JoinUnasked(const std::shared_ptr<Session>& session) {
  if (!session->state.presence_missed()) return OpenUnasked(session);
  std::shared_ptr<EndWrites> said = session->rare().unasked.lock();
  if (said) ++said->open;
  return said;
}

}  // namespace rookery::session_manager
