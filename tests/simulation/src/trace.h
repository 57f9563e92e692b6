#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rookery::simulation {

/// All that has happened, in order. Always hashed, so that two runs of one seed can be compared; kept only
/// where somebody will read it. Keeping must not change what happens, not even where the heap places things,
/// so entries go into memory of their own that is reserved in any case.
class Trace {
 public:
  struct Entry {
    std::int64_t at_us = 0;  // of virtual time, from the start
    std::string lane;        // a process or client, or "world"
    std::string what;        // one word, for filters and colours
    std::string text;
  };

  explicit Trace(bool keep);
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  void Add(std::int64_t at_us, std::string_view lane, std::string_view what, std::string_view text);

  std::uint64_t hash() const { return hash_; }
  /// Everything kept. Only after the run: it allocates.
  std::vector<Entry> Entries() const;

 private:
  void Mix(std::string_view text);
  void Mix(std::uint64_t number);
  void Put(std::string_view bytes);

  const bool keep_;
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
  char* memory_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace rookery::simulation
