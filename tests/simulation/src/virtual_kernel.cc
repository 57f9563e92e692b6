#include "virtual_kernel.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdlib>

#include "rookery/base/check.h"

namespace rookery::simulation {

void FixAddresses(char** argv) {
  constexpr char kIsFixed[] = "ROOKERY_SIMULATOR_FIXED";
  const int old = ::personality(0xffffffff);
  if (old < 0 || (old & ADDR_NO_RANDOMIZE) != 0 || std::getenv(kIsFixed) != nullptr) return;
  if (::personality(static_cast<unsigned long>(old) | ADDR_NO_RANDOMIZE) < 0) return;
  ::setenv(kIsFixed, "1", 1);
  ::execv("/proc/self/exe", argv);
}

}  // namespace rookery::simulation

// Most of what a simulation would cost is what Asio asks the kernel: it arms a timerfd whenever its earliest
// timer changes, and looks at its descriptors on each turn of a loop. In virtual time its timer is always due
// at once (runtime/timer.h), and its descriptors are the only ones: a look that finds the timer needs no
// kernel.
namespace {
constexpr int kMaxDescriptors = 1024;
int g_newest_timer = -1;                   // its loop begins to look at it next
epoll_data_t g_timer_of[kMaxDescriptors];  // by the descriptor of the loop
}  // namespace

extern "C" int timerfd_create(int, int) { return g_newest_timer = ::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC); }
extern "C" int timerfd_settime(int, int, const itimerspec*, itimerspec*) { return 0; }
extern "C" int epoll_ctl(int loop, int operation, int descriptor, epoll_event* event) {
  ROOKERY_CHECK(loop >= 0 && loop < kMaxDescriptors);
  if (operation == EPOLL_CTL_ADD && descriptor == g_newest_timer) g_timer_of[loop] = event->data;
  return static_cast<int>(::syscall(SYS_epoll_ctl, loop, operation, descriptor, event));
}
extern "C" int epoll_wait(int loop, epoll_event* events, int, int) {
  events[0] = {EPOLLIN, g_timer_of[loop]};
  return 1;
}
