// Any bytes as text, through a tokenizer of each kind. Decoding gives back what is valid UTF-8, repaired where it is not;
// where U+2581 stands for a space, it comes back as one.
#include "models/token_table.h"
#include "models/tokenizer.h"
#include "tests/fuzz/support/target.h"
#include "tests/support/dressed_sentencepiece.h"
#include "tests/support/tiny_tokenizer.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  static const auto bytes = load_tokenizer_json(tiny_tokenizer_json());
  static const auto characters = load_tokenizer_json(dressed_json());
  static const auto pieces = load_tokenizer(EVICTBENCH_SOURCE_DIR "/models/tiny-recall");
  const std::string text = text_to_encode(input);
  for (const Tokenizer* tokenizer : {bytes.get(), characters.get(), pieces.get()}) {
    const Tokens ids = tokenizer->encode(input, {.add_special = false});
    for (const std::int32_t id : ids) must(id >= 0 && id < tokenizer->vocabulary(), "text: an id outside");
    must(tokenizer->decode(ids) == (tokenizer == bytes.get() ? text : spaces_for_marks(text)),
         "text: decoding gives another text");
    tokenizer->decode(tokenizer->encode(input, {.add_special = true, .parse_special = true}), true);
  }
}

}  // namespace evictbench
