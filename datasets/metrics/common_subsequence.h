#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace evictbench {

// A longest common subsequence of two texts whose words are numbers. Of several, the one that a walk back through the table
// of their lengths finds, from the ends of both texts. Reusable, to save allocations.
class CommonSubsequence {
 public:
  enum class Tie { kDue, kSaid };  // the text whose word is passed over where either may be

  // Indices into `due`, descending. Valid until the next call.
  const std::vector<std::size_t>& walk(std::span<const int> due, std::span<const int> said, Tie tie);

 private:
  std::vector<int> table_;  // [rows of a piece + 1, said + 1] lengths
  std::vector<int>
      kept_;  // [pieces, said + 1] the row before each piece of a table that is too large to be kept
  std::vector<std::size_t> indices_;
};

}  // namespace evictbench
