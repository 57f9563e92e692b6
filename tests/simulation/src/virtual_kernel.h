#pragma once

// The part of the kernel that a program needs which lives in virtual time. Whoever lists virtual_kernel.cc
// among its sources has its epoll and timers.
namespace rookery::simulation {

/// Starts the program again with addresses that do not change from run to run: hash tables mix them into
/// their order. Returns when that is so, or cannot be had.
void FixAddresses(char** argv);

}  // namespace rookery::simulation
