#include "trace.h"

#include <sys/mman.h>

#include <cstring>

#include "rookery/base/check.h"

namespace rookery::simulation {

namespace {

// Reserved, not used: pages become real when they are written.
constexpr std::size_t kReserved = std::size_t{4} << 30;
constexpr std::uint64_t kPrime = 0x100000001b3ULL;  // FNV-1a

}  // namespace

Trace::Trace(bool keep) : keep_(keep) {
  void* memory =
      ::mmap(nullptr, kReserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ROOKERY_CHECK(memory != MAP_FAILED);
  memory_ = static_cast<char*>(memory);
}

Trace::~Trace() { ::munmap(memory_, kReserved); }

void Trace::Add(std::int64_t at_us, std::string_view lane, std::string_view what, std::string_view text) {
  Mix(static_cast<std::uint64_t>(at_us));
  for (const std::string_view part : {lane, what, text}) Mix(part);
  if (!keep_ || size_ + lane.size() + what.size() + text.size() + 64 > kReserved) return;
  std::memcpy(memory_ + size_, &at_us, sizeof at_us);
  size_ += sizeof at_us;
  for (const std::string_view part : {lane, what, text}) Put(part);
}

void Trace::Put(std::string_view bytes) {
  const auto length = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(memory_ + size_, &length, sizeof length);
  size_ += sizeof length;
  std::memcpy(memory_ + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

std::vector<Trace::Entry> Trace::Entries() const {
  std::vector<Entry> entries;
  for (std::size_t at = 0; at < size_;) {
    Entry& entry = entries.emplace_back();
    std::memcpy(&entry.at_us, memory_ + at, sizeof entry.at_us);
    at += sizeof entry.at_us;
    for (std::string* part : {&entry.lane, &entry.what, &entry.text}) {
      std::uint32_t length;
      std::memcpy(&length, memory_ + at, sizeof length);
      at += sizeof length;
      part->assign(memory_ + at, length);
      at += length;
    }
  }
  return entries;
}

void Trace::Mix(std::string_view text) {
  for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * kPrime;
  hash_ = (hash_ ^ 0xffU) * kPrime;
}

void Trace::Mix(std::uint64_t number) {
  for (int i = 0; i < 8; ++i) hash_ = (hash_ ^ ((number >> (8 * i)) & 0xffU)) * kPrime;
}

}  // namespace rookery::simulation
