#pragma once

#include <string>

namespace evictbench {

// What a reader of scores must know of their data: what was found, "2 records of 200", and what that means, "scores over a
// part are not comparable". What means the same of several tasks is said once for all of them.
struct Warning {
  std::string found, meaning = {};

  Warning of(const std::string& task) const { return {task + " " + found, meaning}; }
  std::string at(const std::string& path) const {
    return path + ": " + found + (meaning.empty() ? "" : "; " + meaning);
  }
  bool operator==(const Warning&) const = default;
};

// The meaning of a number of records that is not the official one.
inline constexpr const char* kOfAPart = "scores over a part are not comparable";

}  // namespace evictbench
