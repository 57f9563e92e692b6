#include "rookery/base/random.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "absl/strings/escaping.h"
#include "rookery/base/check.h"

namespace rookery {
namespace {

constexpr std::uint64_t kSplitMixStep = 0x9e3779b97f4a7c15ULL;

// Whether a test has seeded us, and where its sequence is.
std::atomic<bool> is_seeded{false};
std::atomic<std::uint64_t> seeded_state{0};

std::uint64_t Mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::uint64_t NextSeeded() { return Mix(seeded_state.fetch_add(kSplitMixStep) + kSplitMixStep); }

void FillSeeded(char* out, std::size_t size) {
  while (size > 0) {
    const std::uint64_t word = NextSeeded();
    const std::size_t part = std::min(size, sizeof word);
    std::memcpy(out, &word, part);
    out += part;
    size -= part;
  }
}

void FillFromKernel(char* out, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::getrandom(out, size, 0);
    if (got < 0 && errno == EINTR) continue;
    // Without randomness nothing that we promise about secrets holds.
    ROOKERY_CHECK(got > 0);
    out += got;
    size -= static_cast<std::size_t>(got);
  }
}

/// Bytes of the kernel that nobody has been given yet: a log-in needs several small secrets, and a call for
/// each costs more than they do. What is given is not kept. Of one thread.
class Reserve {
 public:
  void Take(char* out, std::size_t size) {
    if (size > sizeof bytes_ / 4) return FillFromKernel(out, size);
    if (size > left_) {
      FillFromKernel(bytes_, sizeof bytes_);
      left_ = sizeof bytes_;
    }
    left_ -= size;
    std::memcpy(out, bytes_ + left_, size);
    ::explicit_bzero(bytes_ + left_, size);
  }
  void Clear() { left_ = 0; }

 private:
  char bytes_[256] = {};
  std::size_t left_ = 0;
};

thread_local Reserve reserve;

void Fill(char* out, std::size_t size) {
  if (is_seeded.load(std::memory_order_relaxed)) return FillSeeded(out, size);
  // Else a child would give the same bytes as its parent.
  static const int at_fork = ::pthread_atfork(nullptr, nullptr, [] { reserve.Clear(); });
  ROOKERY_CHECK(at_fork == 0);
  reserve.Take(out, size);
}

}  // namespace

std::string RandomBytes(std::size_t size) {
  std::string bytes(size, '\0');
  Fill(bytes.data(), size);
  return bytes;
}

std::string RandomToken(std::size_t bytes) {
  std::string token;
  absl::WebSafeBase64Escape(RandomBytes(bytes), &token);
  while (!token.empty() && token.back() == '=') token.pop_back();
  return token;
}

std::uint64_t RandomU64() {
  if (is_seeded.load(std::memory_order_relaxed)) return NextSeeded();
  // SplitMix64 from a random start, one sequence per thread.
  thread_local std::uint64_t state = [] {
    std::uint64_t seed;
    char bytes[sizeof seed];
    Fill(bytes, sizeof bytes);
    std::memcpy(&seed, bytes, sizeof seed);
    return seed;
  }();
  state += kSplitMixStep;
  return Mix(state);
}

void SeedRandomForTest(std::optional<std::uint64_t> seed) {
  seeded_state = seed.value_or(0);
  is_seeded = seed.has_value();
}

}  // namespace rookery
