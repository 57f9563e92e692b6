#pragma once

#include <functional>
#include <memory>
#include <string>

#include "domain/outbound/consequences.h"
#include "google/protobuf/repeated_field.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::session_manager {

class Addresses;
class DirectedPresence;
class FeatureHooks;
class Outbox;
struct EndWrites;
struct Session;

/// Which presence that the log has refused is still worth saying, and who says it if we do not. I/O thread
/// only.
class PresenceNews final : public Consequences::News {
 public:
  PresenceNews(const Addresses& addresses, const FeatureHooks& features, Outbox& outbox,
               const DirectedPresence& directed)
      : addresses_(addresses), features_(features), outbox_(outbox), directed_(directed) {}

  /// Takes out of a stanza that was refused some time ago the recipients to whom something newer was said
  /// since. True: nobody is left.
  bool RemoveOutdated(Shard& shard, const xmpp::Stanza& stanza,
                      google::protobuf::RepeatedPtrField<std::string>* recipients) override;
  /// The log has refused what the session's presence is to tell others, and is asked again. The next owner
  /// tells them, if we do not come to it: the answer is called when we have.
  std::function<void()> OnRefused(const std::shared_ptr<Session>& session,
                                  const xmpp::Stanza& presence) override;

  /// Opens what follows from no stanza of the session's client and from no record: the next owner tells its
  /// presence anew if the log does not have all of it by then.
  std::shared_ptr<EndWrites> OpenUnasked(const std::shared_ptr<Session>& session);
  /// Likewise what the session says once more, since its presence has changed or the log has refused it. It
  /// joins what is being said so, which ends with both. Null: the session is told anew later, and the next
  /// owner knows that.
  std::shared_ptr<EndWrites> JoinUnasked(const std::shared_ptr<Session>& session);

 private:
  const Addresses& addresses_;
  const FeatureHooks& features_;
  Outbox& outbox_;
  const DirectedPresence& directed_;
};

}  // namespace rookery::session_manager
