#pragma once

#include "datasets/dataset.h"

namespace evictbench {

// Parts counted apart, and `overhead` more.
using CountTokens = std::function<int(std::string_view)>;
inline TokenCounter counting(const CountTokens& count, int overhead = 0) {
  return {.text = count, .beside = [=](std::string_view question, std::string_view answer_prefix) {
            return count(question) + count(answer_prefix) + overhead;
          }};
}

}  // namespace evictbench
