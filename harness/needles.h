#pragma once

#include <string>
#include <string_view>

#include "datasets/dataset.h"
#include "models/tokenizer.h"

// Needles among tokens, as programs derived from gkamradt's LLMTest_NeedleInAHaystack hide them.
namespace evictbench {

// The text of the first `tokens` tokens; the text itself if it has no more.
std::string first_tokens(const Tokenizer& tokenizer, std::string_view text, int tokens,
                         const NeedleRules& rules);

// The context is cut from its end until it has `tokens` tokens with the needle. At 100 percent the needle ends it; else it goes
// behind the last full stop within the first `depth` percent of the tokens, or in front of all without one.
HiddenNeedle hide_needle(const Tokenizer& tokenizer, std::string_view context, std::string_view needle,
                         int tokens, double depth, const NeedleRules& rules);

}  // namespace evictbench
