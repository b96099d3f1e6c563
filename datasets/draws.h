#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace evictbench {

// splitmix64's finalizer.
constexpr std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

constexpr std::uint64_t mixed(std::uint64_t state, std::string_view text) {
  for (const char c : text) state = mixed(state + static_cast<unsigned char>(c) + 1);
  return state;
}

// Draws that depend on nothing but (seed, stream, how many were drawn before): splitmix64.
class Draws {
 public:
  Draws(std::uint64_t seed, std::uint64_t stream) : state_(mixed(mixed(seed) + stream)) {}

  std::size_t below(std::size_t n) {  // n is small: the bias of this rule is below n / 2^32
    state_ += 0x9E3779B97F4A7C15U;
    return static_cast<std::size_t>(((mixed(state_) >> 32) * n) >> 32);
  }
  template <class List>
  const auto& one_of(const List& list) {
    return list[below(std::size(list))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace evictbench
