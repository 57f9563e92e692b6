#include "siphash.h"

#include <bit>
#include <cstddef>

namespace rookery::telemetry {
namespace {

struct Lanes {
  std::uint64_t a, b, c, d;
  void Round() {
    a += b;
    b = std::rotl(b, 13) ^ a;
    a = std::rotl(a, 32);
    c += d;
    d = std::rotl(d, 16) ^ c;
    a += d;
    d = std::rotl(d, 21) ^ a;
    c += b;
    b = std::rotl(b, 17) ^ c;
    c = std::rotl(c, 32);
  }
  void Absorb(std::uint64_t word) {
    d ^= word;
    Round();
    Round();
    a ^= word;
  }
};

}  // namespace

std::uint64_t SipHash(const std::array<std::uint64_t, 2>& key, std::string_view text) {
  Lanes lanes{key[0] ^ 0x736f6d6570736575ULL, key[1] ^ 0x646f72616e646f6dULL, key[0] ^ 0x6c7967656e657261ULL,
              key[1] ^ 0x7465646279746573ULL};
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    word |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[i])) << (8 * (i % 8));
    if (i % 8 == 7) {
      lanes.Absorb(word);
      word = 0;
    }
  }
  // The last word carries the length, modulo 256, in its highest byte.
  lanes.Absorb(word | static_cast<std::uint64_t>(text.size()) << 56);
  lanes.c ^= 0xff;
  for (int i = 0; i < 4; ++i) lanes.Round();
  return lanes.a ^ lanes.b ^ lanes.c ^ lanes.d;
}

}  // namespace rookery::telemetry
