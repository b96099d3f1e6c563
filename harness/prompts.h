#pragma once

#include "datasets/dataset.h"
#include "harness/evaluate.h"
#include "models/chat.h"
#include "models/tokenizer.h"

namespace evictbench {

// The ids of an example's prompt: as its own rules have it, or else by encode_prompt (harness/commands.h). Where the rules
// encode it in one piece, `question` begins at the first token that the question changes. In texts under rules of their own,
// whatever spells a special token becomes that token, as it does for the published programs.
Prompt encode_example(const Tokenizer& tokenizer, const ChatTemplate& chat, const Example& example);

}  // namespace evictbench
