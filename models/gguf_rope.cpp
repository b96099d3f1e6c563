#include <algorithm>
#include <cmath>

#include "core/numerics.h"
#include "models/gguf_config.h"

namespace evictbench {
namespace {

// Factor number i of D / 2, as converters compute it.
double factor_at(const Llama3Scaling& scaling, double theta, std::size_t i, std::size_t count) {
  constexpr double kTwoPi = 6.283185307179586;
  const double exponent = static_cast<double>(i) / static_cast<double>(count),
               wavelength = kTwoPi * numerics::exp(exponent * numerics::log(theta)),
               turns = scaling.original / wavelength;  // in the original context
  if (turns > scaling.high) return 1;
  if (turns < scaling.low) return scaling.factor;
  const double smooth = (turns - scaling.low) / (scaling.high - scaling.low);
  return 1 / ((1 - smooth) / scaling.factor + smooth);
}

}  // namespace

std::optional<Llama3Scaling> llama3_scaling(const std::vector<float>& factors, double theta) {
  constexpr double kTolerance =
      1e-4;  // converters compute in f32, and near an end of the slope differences cancel
  Llama3Scaling scaling;
  if (std::ranges::all_of(factors, [](float f) { return f == 1; })) return scaling;
  scaling.factor = static_cast<double>(factors.back());
  if (!(scaling.factor > 1 && scaling.factor <= 1e6)) return std::nullopt;
  // Published models have low 1, high 4 and a power of two; 8192 first: few frequencies do not tell them apart.
  std::vector<int> originals{8192};
  for (int power = 9; power <= 20; ++power) originals.push_back(1 << power);
  for (const int original : originals) {
    scaling.original = original;
    const auto fits = [&](std::size_t i) {
      const double off = static_cast<double>(factors[i]) - factor_at(scaling, theta, i, factors.size());
      return std::abs(off) <= kTolerance * scaling.factor;
    };
    std::size_t i = 0;
    while (i < factors.size() && fits(i)) ++i;
    if (i == factors.size()) return scaling;
  }
  return std::nullopt;
}

}  // namespace evictbench
