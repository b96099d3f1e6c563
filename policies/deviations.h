#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace evictbench {

// A row of DEVIATIONS.md, where alone they are written; the program carries that file.
struct Deviation {
  int number = 0;
  std::string policies;            // "`snapkv`", "`adakv` with `base: pyramidkv`", "all", "all with a window"
  std::string from, what, effect;  // the rest of the row, without code marks

  bool general() const { return policies.starts_with("all"); }
};

extern const std::string_view kDeviationsText;  // made from DEVIATIONS.md by CMakeLists.txt

const std::vector<Deviation>& all_deviations();  // by number
// Those that name the policy, and of canonical ones those of "all" and "all with a window".
std::vector<Deviation> deviations_of(const std::string& policy);

}  // namespace evictbench
