#pragma once

#include <string>
#include <string_view>

namespace rookery::gateway {

/// /.well-known/host-meta and host-meta.json with the WebSocket's address (XEP-0156).
std::string HostMetaXml(std::string_view websocket_url);
std::string HostMetaJson(std::string_view websocket_url);

}  // namespace rookery::gateway
