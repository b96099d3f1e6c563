#include "harness/progress.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace evictbench {

Progress::Progress(std::size_t units, const char* called)
    : called_(called), units_(units), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (terminal_ && done_ > 0) std::fputc('\n', stderr);
}

void Progress::skip() { ++skipped_; }

void Progress::step(const std::string& label) {
  ++done_;
  const auto now = Clock::now();
  const bool over = done_ + skipped_ == units_;
  if (!over && now - last_ < std::chrono::seconds(terminal_ ? 0 : 5)) return;
  last_ = now;
  const std::size_t left = units_ - done_ - skipped_;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>((now - start_) * left / done_);
  const std::string line = fmt::format("{}/{} {}, {} left  {}", done_ + skipped_, units_, called_,
                                       fmt::format("{:%H:%M:%S}", seconds), label);
  const std::string shown = terminal_ ? fmt::format("\r{:<78.78}", line) : line + "\n";
  std::fputs(shown.c_str(), stderr);  // where nobody listens any more, the run goes on
}

}  // namespace evictbench
