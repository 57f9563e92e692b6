#pragma once

#include <string_view>

namespace rookery {

/// Whether only this machine can connect to `address`, or be reached by it: host:port, the host an IP address
/// (IPv6 in brackets) or `localhost`. False of any other name: nobody knows yet what it means.
bool IsLoopback(std::string_view address);

}  // namespace rookery
