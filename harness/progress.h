#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace evictbench {

// How far a run has come and how long it will take. One line that is written over on a terminal, plain lines elsewhere,
// at most one every few seconds.
class Progress {
 public:
  explicit Progress(std::size_t units, const char* called = "prompts");
  ~Progress();
  void skip();                          // a unit that was done before
  void step(const std::string& label);  // a unit that is done now

 private:
  using Clock = std::chrono::steady_clock;
  const char* called_;  // what the units are
  std::size_t units_, done_ = 0, skipped_ = 0;
  bool terminal_;
  Clock::time_point start_ = Clock::now(), last_{};
};

}  // namespace evictbench
