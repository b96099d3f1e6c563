// The walk of metrics/common_subsequence.h against the whole table that it does not keep.
#include "datasets/metrics/common_subsequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace evictbench {
namespace {

using Tie = CommonSubsequence::Tie;

std::vector<std::size_t> by_table(const std::vector<int>& due, const std::vector<int>& said, Tie tie) {
  std::vector<std::vector<int>> lengths(due.size() + 1, std::vector<int>(said.size() + 1, 0));
  for (std::size_t i = 1; i <= due.size(); ++i)
    for (std::size_t j = 1; j <= said.size(); ++j)
      lengths[i][j] = due[i - 1] == said[j - 1] ? lengths[i - 1][j - 1] + 1
                                                : std::max(lengths[i - 1][j], lengths[i][j - 1]);
  std::vector<std::size_t> out;
  std::size_t i = due.size(), j = said.size();
  while (i > 0 && j > 0) {
    const int less_due = lengths[i - 1][j], less_said = lengths[i][j - 1];
    if (due[i - 1] == said[j - 1]) {
      out.push_back(i - 1);
      --i, --j;
    } else if (tie == Tie::kDue ? less_due >= less_said : less_due > less_said) {
      --i;
    } else {
      --j;
    }
  }
  return out;
}

TEST(CommonSubsequence, IsTheOneOfTheWholeTable) {
  std::mt19937 draw(3);
  CommonSubsequence common;  // used again for every pair
  const auto words = [&](std::size_t size, unsigned kinds) {
    std::vector<int> out(size);
    for (int& word : out) word = static_cast<int>(draw() % kinds);
    return out;
  };
  // The last two have tables of more cells than are kept in one piece.
  for (const auto& [due_size, said_size] :
       {std::pair{0, 0}, {0, 3}, {3, 0}, {1, 1}, {7, 5}, {40, 60}, {5000, 3500}, {3, 5600000}})
    for (const Tie tie : {Tie::kDue, Tie::kSaid}) {
      const auto due = words(static_cast<std::size_t>(due_size), 9),
                 said = words(static_cast<std::size_t>(said_size), 9);
      EXPECT_EQ(common.walk(due, said, tie), by_table(due, said, tie)) << due_size << " " << said_size;
    }
}

}  // namespace
}  // namespace evictbench
