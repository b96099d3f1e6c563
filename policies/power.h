#pragma once

#include <algorithm>

#include "core/numerics.h"

namespace evictbench {

// x^exponent for x >= 0, the same bits on every machine; x itself where the exponent is 1.
inline double power(double x, double exponent) {
  if (exponent == 1) return x;
  if (x <= 0) return exponent == 0 ? 1 : 0;
  return numerics::exp(std::clamp(exponent * numerics::log(x), -690.0, 690.0));
}

}  // namespace evictbench
