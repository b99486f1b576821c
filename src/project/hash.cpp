#include "assay/project/hash.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "assay/core/file.h"

namespace assay::project {
namespace {

constexpr std::array<uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using State = std::array<uint32_t, 8>;

uint32_t mix(uint32_t value, int first, int second, int third) {
  return std::rotr(value, first) ^ std::rotr(value, second) ^
         std::rotr(value, third);
}

void absorb(State& state, const unsigned char* chunk) {
  std::array<uint32_t, 64> words{};
  for (size_t index = 0; index < 16; ++index) {
    for (size_t byte = 0; byte < 4; ++byte) {
      words[index] = words[index] << 8 | chunk[4 * index + byte];
    }
  }
  for (size_t index = 16; index < 64; ++index) {
    auto early = words[index - 15];
    auto late = words[index - 2];
    words[index] = words[index - 16] + words[index - 7] +
                   (std::rotr(early, 7) ^ std::rotr(early, 18) ^ early >> 3) +
                   (std::rotr(late, 17) ^ std::rotr(late, 19) ^ late >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (size_t index = 0; index < 64; ++index) {
    auto first = h + mix(e, 6, 11, 25) + ((e & f) ^ (~e & g)) + kRound[index] +
                 words[index];
    auto second = mix(a, 2, 13, 22) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + second;
  }
  State round = {a, b, c, d, e, f, g, h};
  for (size_t index = 0; index < 8; ++index) {
    state[index] += round[index];
  }
}

}  // namespace

std::string sha256(std::string_view bytes) {
  State state = {0x6a09e667,
                 0xbb67ae85,
                 0x3c6ef372,
                 0xa54ff53a,
                 0x510e527f,
                 0x9b05688c,
                 0x1f83d9ab,
                 0x5be0cd19};
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  size_t whole = bytes.size() / 64 * 64;
  for (size_t at = 0; at < whole; at += 64) {
    absorb(state, data + at);
  }
  std::string tail(bytes.substr(whole));
  tail += '\x80';
  while (tail.size() % 64 != 56) {
    tail += '\0';
  }
  uint64_t bits = uint64_t{bytes.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) {
    tail += static_cast<char>(bits >> shift & 0xff);
  }
  for (size_t at = 0; at < tail.size(); at += 64) {
    absorb(state, reinterpret_cast<const unsigned char*>(tail.data()) + at);
  }
  // No formatting library: thousands of tasks get their ids at each start.
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (auto word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) {
      hex += kDigits[word >> shift & 15];
    }
  }
  return hex;
}

std::string sha256_file(const std::filesystem::path& path) {
  return sha256(MappedFile(path).text());
}

}  // namespace assay::project
