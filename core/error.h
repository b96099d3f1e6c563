#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace evictbench {

// Exit codes of the program: part of its interface (README, "Exit codes").
enum class Exit : int {
  kGood = 0,
  kRegression = 1,     // a gate failed
  kUsage = 2,          // command line
  kSweep = 3,          // sweep file
  kInput = 4,          // model, tokenizer, data or score file
  kFailedPoints = 5,   // finished, but some points failed
  kOutput = 6,         // output I/O; run again to resume
  kLocked = 7,         // another run holds the results folder
  kNotComparable = 8,  // not the same experiment
  kInternal = 9,       // our bug
  kRequeue = 75,       // the card was lost twice; run again to resume
  kInterrupted = 130,  // SIGINT; run again to resume
  kTerminated = 143,   // SIGTERM; run again to resume
};

// What every message about bad input says.
//   error[CODE] FILE:POSITION: FOUND; expected EXPECTED. Mend: MEND
struct Problem {
  std::string code;      // stable: "E-ST-02"
  std::string file;      // as the user typed it
  std::string position;  // "byte 12", "3:14", "/layers/0", or empty
  std::string found, expected, mend;
};

class Error : public std::runtime_error {
 public:
  Error(Exit exit, const std::string& message) : std::runtime_error(message), exit_(exit) {}
  Exit exit() const { return exit_; }

 private:
  Exit exit_;
};

// Throws an Error whose one line is `problem`.
[[noreturn]] void reject(Exit exit, const Problem& problem);

// Untrusted text for a message: at most `most` bytes, control characters, bidi marks and bad UTF-8 escaped.
std::string printable(std::string_view text, std::size_t most = 80);

std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `name`, for "did you mean"; "" if none is near. Names: any range of strings.
template <class Names>
std::string nearest(std::string_view name, const Names& names) {
  std::string best;
  std::size_t best_distance = name.size() / 2 + 2;
  for (const auto& candidate : names)
    if (const std::size_t d = edit_distance(name, candidate); d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  return best;
}

// A promise of our own code; broken means a bug (exit 9).
inline void require(bool holds, const char* what) {
  if (!holds) throw Error(Exit::kInternal, what);
}

}  // namespace evictbench
