#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace evictbench {

// One step that changes text before it is cut into pieces.
struct Normalization {
  enum class Kind : std::uint8_t {
    kNfc,
    kNfd,
    kNfkc,
    kNfkd,
    kLowercase,
    kStrip,    // white space at the ends
    kPrepend,  // `to` in front
    kReplace,  // every `from` by `to`
  };
  Kind kind;
  std::string from = {}, to = {};  // from: not empty where it counts
  bool left = true, right = true;  // kStrip
};

// Text that is empty, or becomes so, stays empty. Linear in the text, which is valid UTF-8.
std::string normalize(std::string text, const std::vector<Normalization>& steps);

}  // namespace evictbench
