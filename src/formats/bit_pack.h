#pragma once

// MLX's packing of small integers: a stream of bits, the first value lowest,
// without gaps (eight values of B bits are B bytes). For this room and the
// vector kernels.

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace assay {

/** `count` values (a multiple of 8) of Bits bits each, to count * Bits / 8
 * bytes. The values must not exceed 2^Bits - 1. */
template <int Bits>
void pack_bits(const uint8_t* values, size_t count, std::byte* out) {
  // Neighbours move together: 8 values in lanes of 8 bits, then 4 pairs in
  // lanes of 16, then 2 fours in lanes of 32.
  constexpr uint64_t kBytes = 0x00ff00ff00ff00ff;
  constexpr uint64_t kPairs = 0x0000ffff0000ffff;
  for (size_t i = 0; i < count; i += 8) {
    uint64_t x = 0;
    std::memcpy(&x, values + i, sizeof(x));
    x = (x & kBytes) | ((x >> 8) & kBytes) << Bits;
    x = (x & kPairs) | ((x >> 16) & kPairs) << (2 * Bits);
    x = (x & 0xffffffff) | (x >> 32) << (4 * Bits);
    std::memcpy(out, &x, Bits);
    out += Bits;
  }
}

/** The reverse. */
template <int Bits>
void unpack_bits(const std::byte* in, size_t count, uint8_t* values) {
  constexpr uint64_t kOne = (uint64_t{1} << Bits) - 1;
  constexpr uint64_t kTwo = (uint64_t{1} << (2 * Bits)) - 1;
  constexpr uint64_t kFour = (uint64_t{1} << (4 * Bits)) - 1;
  constexpr uint64_t kOnes = kOne * 0x0001000100010001;
  constexpr uint64_t kTwos = kTwo * 0x0000000100000001;
  for (size_t i = 0; i < count; i += 8) {
    uint64_t x = 0;
    std::memcpy(&x, in, Bits);
    in += Bits;
    x = (x & kFour) | (x >> (4 * Bits)) << 32;
    x = (x & kTwos) | ((x >> (2 * Bits)) & kTwos) << 16;
    x = (x & kOnes) | ((x >> Bits) & kOnes) << 8;
    std::memcpy(values + i, &x, sizeof(x));
  }
}

}  // namespace assay
