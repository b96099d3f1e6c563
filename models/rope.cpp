#include "models/rope.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <utility>

#include "core/numerics.h"

namespace evictbench {
namespace {

using Kind = RopeConfig::Kind;

constexpr float kTwoPi = 6.283185307179586f;

float narrow(double x) { return static_cast<float>(x); }

double power(double base, double exponent) { return numerics::exp(exponent * numerics::log(base)); }

// theta^(2i / dim), the exponent and the power rounded.
std::vector<float> wavelengths(double theta, int dim) {
  std::vector<float> powers;
  const double log_theta = numerics::log(theta);
  for (int i = 0; i < dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dim);
    powers.push_back(narrow(numerics::exp(exponent * log_theta)));
  }
  return powers;
}

// Long wavelengths are stretched by `factor`, short ones stay, those in between are blended.
float llama3(float frequency, const RopeConfig& rope) {
  const float factor = narrow(rope.factor), low = narrow(rope.low_freq_factor),
              high = narrow(rope.high_freq_factor);
  const float original = static_cast<float>(rope.original_max_positions), wavelength = kTwoPi / frequency;
  if (wavelength > original / low) return frequency / factor;
  if (wavelength < original / high) return frequency;
  const float smooth = (original / wavelength - low) / (high - low);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

// The base of the dynamic scheme for a pass of `length` tokens.
double grown_theta(const RopeConfig& rope, int length) {
  const float factor = narrow(rope.factor), original = static_cast<float>(rope.original_max_positions),
              tokens = static_cast<float>(std::max(length, rope.original_max_positions));
  const float growth = factor * tokens / original - (factor - 1);
  return narrow(rope.theta) * narrow(power(growth, rope.dim / (rope.dim - 2.0)));
}

// The dim whose wavelength makes so many turns in the original context.
double dim_of_turns(double turns, const RopeConfig& rope) {
  return rope.dim * numerics::log(rope.original_max_positions / (turns * 2 * std::numbers::pi)) /
         (2 * numerics::log(rope.theta));
}

void yarn(const std::vector<float>& waves, const RopeConfig& rope, std::vector<float>& frequencies) {
  double low = dim_of_turns(rope.beta_fast, rope), high = dim_of_turns(rope.beta_slow, rope);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, rope.dim - 1.0);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < waves.size(); ++i) {
    const float ramp = std::clamp((static_cast<float>(i) - narrow(low)) / narrow(high - low), 0.0f, 1.0f);
    const float stays = 1 - ramp;
    frequencies[i] = 1.0f / (narrow(rope.factor) * waves[i]) * (1 - stays) + 1.0f / waves[i] * stays;
  }
}

}  // namespace

std::vector<float> inverse_frequencies(const RopeConfig& rope, int length) {
  const std::vector<float> waves =
      wavelengths(rope.kind == Kind::kDynamic ? grown_theta(rope, length) : rope.theta, rope.dim);
  std::vector<float> frequencies;  // [dim / 2]
  for (const float wave : waves) frequencies.push_back(1.0f / wave);
  switch (rope.kind) {
    case Kind::kDefault:
    case Kind::kDynamic:
      break;
    case Kind::kLinear:
      for (float& f : frequencies) f /= narrow(rope.factor);
      break;
    case Kind::kLlama3:
      for (float& f : frequencies) f = llama3(f, rope);
      break;
    case Kind::kYarn:
      yarn(waves, rope, frequencies);
      break;
    case Kind::kLongRope:
      const auto& factors = length > rope.original_max_positions ? rope.long_factors : rope.short_factors;
      for (std::size_t i = 0; i < waves.size(); ++i) frequencies[i] = 1.0f / (narrow(factors[i]) * waves[i]);
      break;
  }
  return frequencies;
}

Rope::Rope(RopeConfig config)
    : config_(std::move(config)),
      by_length_(config_.kind == Kind::kDynamic || config_.kind == Kind::kLongRope),
      frequencies_(inverse_frequencies(config_)) {}

RotaryRows Rope::rows(std::span<const std::int32_t> positions, std::span<const std::int32_t> lengths) const {
  RotaryRows rows;
  rows.cosines.reserve(frequencies_.size() * positions.size());
  rows.sines.reserve(frequencies_.size() * positions.size());
  const float scale = narrow(config_.attention_factor);
  std::vector<float> own = frequencies_;
  std::int32_t length = 0;
  for (std::size_t n = 0; n < positions.size(); ++n) {
    if (by_length_ && lengths[n] != length) own = inverse_frequencies(config_, length = lengths[n]);
    for (const float frequency : own) {
      const float angle = static_cast<float>(positions[n]) * frequency;
      const numerics::SinCos turn = numerics::sin_cos(static_cast<double>(angle));
      rows.cosines.push_back(static_cast<float>(turn.cosine) * scale);
      rows.sines.push_back(static_cast<float>(turn.sine) * scale);
    }
  }
  return rows;
}

}  // namespace evictbench
