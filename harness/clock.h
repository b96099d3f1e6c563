#pragma once

#include <chrono>
#include <utility>

namespace evictbench {

// For timings, and nothing else.
class Clock {
 public:
  double lap() {  // seconds since the last one
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace evictbench
