#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// BLEU (Papineni et al. 2002) as sacrebleu 2 computes it by default: 13a tokens, runs of one to four, counts clipped to the
// reference that has most, the nearest reference's length, exponential smoothing.
namespace evictbench {

std::vector<std::string> tokens_13a(std::string_view text);

// The counts of answers, to be added up over a corpus.
struct BleuCounts {
  std::int64_t said = 0, due = 0;  // tokens of the answers and of their nearest references
  std::array<std::int64_t, 4> common{}, all{};

  void add(std::string_view answer, std::span<const std::string> references);
  // In [0, 1]. `effective_order`: only orders that the answer has count, as is usual for one sentence.
  double score(bool effective_order) const;
};

double sentence_bleu(std::string_view answer, std::span<const std::string> references);

}  // namespace evictbench
