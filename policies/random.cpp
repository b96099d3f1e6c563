// Random: keep tokens drawn at random. What a policy must beat to be worth its scores.
//
//   score     a hash of (`seed`, prompt, lane, slot)
//   share     the same for every lane
//   keep      the best scores; nothing is protected

#include <bit>

#include "policies/ranking_policy.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

// The output step of splitmix64: every bit of x moves every bit of the result.
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// One of 2^30 positive floats. Only their order matters, so they are drawn by their bits, which keeps ties rare.
float drawn(std::uint64_t key, int slot) {
  const std::uint64_t hash = mix(key ^ static_cast<std::uint64_t>(slot));
  return std::bit_cast<float>(static_cast<std::uint32_t>(hash >> 34) + 0x00800000u);
}

class Random final : public RankingPolicy {
 public:
  explicit Random(const Options& o) : seed_(o.seed()) {}

  Needs needs(const KvShape&) const override { return {}; }

 protected:
  Scores score(const Observation& seen) const override {
    const KvShape& s = seen.shape();
    const std::uint64_t prompt = mix(mix(static_cast<std::uint64_t>(seed_)) ^ seen.prompt_hash());
    std::vector<float> scores;  // [L, G, T]
    for (int lane = 0; lane < s.lanes(); ++lane) {
      const std::uint64_t key = mix(prompt ^ static_cast<std::uint64_t>(lane));
      for (int slot = 0; slot < s.tokens; ++slot) scores.push_back(drawn(key, slot));
    }
    return {s, Tensor::from_host<float>(seen.device(), scores, {s.layers, s.kv_heads, s.tokens}),
            seen.lengths(s.kv_heads)};
  }

 private:
  std::int64_t seed_;
};

[[maybe_unused]] const int entry =
    registered<Random>("random", "none", "tokens drawn at random; nothing is protected",
                       "s[lane,t] = hash(seed, prompt, lane, t)");

}  // namespace
}  // namespace evictbench
