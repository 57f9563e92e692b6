#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adapters/requests.h"
#include "domain/client_session.h"
#include "ports/cluster.h"
#include "rookery/base/clock.h"
#include "rookery/session/v1/session_link_service.pb.h"

namespace rookery::gateway {

/// Conversions of what the gateway keeps to what goes over the links, and back. `out_of_reach`: how long the
/// gateway has not been in touch with an owner of the session's shard.
void FillAttach(const ClientSession& session, SteadyTime::duration out_of_reach,
                session::v1::SessionAttach* attach);
void FillEnd(const ClientSession& session, session::v1::SessionEnd* end);
void FillStreamManagement(const ClientSession& session, session::v1::StreamManagementEnable* enable);
/// `id` is what the answer names.
void FillRequest(const Requests::What& what, Cluster::RequestId id, session::v1::GatewayAction* action);
ActionFailure ToActionFailure(const session::v1::Failure& failure);
/// Of one that has failed.
Cluster::Resumption ToRefusal(const session::v1::SessionResumed& resumed);
std::vector<ScramKey> ToScramKeys(const session::v1::Credentials& credentials);

}  // namespace rookery::gateway
