#include "models/rope.h"

#include <cstddef>

#include "core/numerics.h"

namespace evictbench {
namespace {

constexpr float kTwoPi = 6.283185307179586f;

// Long wavelengths are stretched by `factor`, short ones stay, those in between are blended ("llama3" of transformers).
float rescaled(float frequency, const RopeConfig& rope) {
  const float factor = static_cast<float>(rope.factor), low = static_cast<float>(rope.low_freq_factor),
              high = static_cast<float>(rope.high_freq_factor);
  const float original = static_cast<float>(rope.original_max_positions), wavelength = kTwoPi / frequency;
  if (wavelength > original / low) return frequency / factor;
  if (wavelength < original / high) return frequency;
  const float smooth = (original / wavelength - low) / (high - low);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

}  // namespace

std::vector<float> inverse_frequencies(const RopeConfig& rope, int head_dim) {
  std::vector<float> frequencies;  // [D / 2]
  const double log_theta = numerics::log(rope.theta);
  for (int i = 0; i < head_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(head_dim);
    const float frequency = 1.0f / static_cast<float>(numerics::exp(exponent * log_theta));
    frequencies.push_back(rope.kind == RopeConfig::Kind::kLlama3 ? rescaled(frequency, rope) : frequency);
  }
  return frequencies;
}

RotaryRows rotary_rows(std::span<const float> frequencies, std::span<const std::int32_t> positions) {
  RotaryRows rows;
  rows.cosines.reserve(frequencies.size() * positions.size());
  rows.sines.reserve(frequencies.size() * positions.size());
  for (const std::int32_t position : positions)
    for (const float frequency : frequencies) {
      const float angle = static_cast<float>(position) * frequency;
      const numerics::SinCos turn = numerics::sin_cos(static_cast<double>(angle));
      rows.cosines.push_back(static_cast<float>(turn.cosine));
      rows.sines.push_back(static_cast<float>(turn.sine));
    }
  return rows;
}

}  // namespace evictbench
