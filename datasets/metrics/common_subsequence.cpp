#include "datasets/metrics/common_subsequence.h"

#include <algorithm>
#include <cmath>

namespace evictbench {
namespace {

constexpr std::size_t kMostCells = std::size_t{1} << 24;  // of a table in one piece

// One row of lengths from the row above it; [said + 1] each.
void next_row(int word, std::span<const int> said, const int* above, int* row) {
  row[0] = 0;
  for (std::size_t j = 1; j <= said.size(); ++j)
    row[j] = word == said[j - 1] ? above[j - 1] + 1 : std::max(above[j], row[j - 1]);
}

}  // namespace

const std::vector<std::size_t>& CommonSubsequence::walk(std::span<const int> due, std::span<const int> said,
                                                        Tie tie) {
  indices_.clear();
  const std::size_t rows = due.size(), columns = said.size() + 1;
  if (rows == 0) return indices_;
  const bool whole = rows <= kMostCells / columns;
  const std::size_t height =
      whole ? rows : static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(rows))));
  const std::size_t pieces = (rows + height - 1) / height;
  kept_.assign(pieces * columns, 0);
  table_.assign((height + 1) * columns, 0);
  const auto fill = [&](std::size_t piece) {
    std::copy_n(kept_.begin() + static_cast<std::ptrdiff_t>(piece * columns), columns, table_.begin());
    const std::size_t end = std::min(height, rows - piece * height);
    for (std::size_t i = 0; i < end; ++i)
      next_row(due[piece * height + i], said, table_.data() + i * columns, table_.data() + (i + 1) * columns);
  };
  for (std::size_t piece = 0; piece + 1 < pieces; ++piece) {
    fill(piece);
    std::copy_n(table_.begin() + static_cast<std::ptrdiff_t>(height * columns), columns,
                kept_.begin() + static_cast<std::ptrdiff_t>((piece + 1) * columns));
  }
  std::size_t i = rows, j = said.size();
  for (std::size_t piece = pieces; piece-- > 0 && j > 0;) {
    fill(piece);
    while (i > piece * height && j > 0) {
      const int* row = table_.data() + (i - piece * height) * columns;
      const int less_due = *(row + j - columns), less_said = row[j - 1];
      if (due[i - 1] == said[j - 1]) {
        indices_.push_back(--i);
        --j;
      } else if (less_due > less_said || (less_due == less_said && tie == Tie::kDue)) {
        --i;
      } else {
        --j;
      }
    }
  }
  return indices_;
}

}  // namespace evictbench
