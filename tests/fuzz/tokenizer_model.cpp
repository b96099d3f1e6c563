// tokenizer.model: our own check, then the sentencepiece library with what passed it.
#include "models/sentencepiece_check.h"
#include "models/sentencepiece_tokenizer.h"
#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  check_sentencepiece(input, "tokenizer.model");
  const auto tokenizer = load_sentencepiece(folder.write("tokenizer.model", input), {});
  for (const std::string_view text : {"", "ab a  b abab", "<s>\xe2\x96\x81\xff\xf0\x9f\x98\x80</s>"})
    for (const bool special : {false, true}) {
      const Tokens ids = tokenizer->encode(text, {.add_special = special, .parse_special = special});
      for (const std::int32_t id : ids)
        must(id >= 0 && id < tokenizer->vocabulary(), "tokenizer.model: an id outside the vocabulary");
      tokenizer->decode(ids, special);
    }
}

}  // namespace evictbench
