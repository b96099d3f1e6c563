// tokenizer.json. What is accepted encodes any text to ids that it has, and decodes them.
#include "models/bpe_tokenizer.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  const Json json =
      Json::from_text(std::string(input), "tokenizer.json", {.code_prefix = "E-TJ", .values = 1 << 16});
  const auto tokenizer = make_bpe_tokenizer(read_tokenizer_json(json));
  for (const std::string_view text : {"", "hello lo 12345\n\n  a\u0301b ab", "<s> <|x|>\xff\xf0\x9f\x98\x80"})
    for (const bool special : {false, true}) {
      const Tokens ids = tokenizer->encode(text, {.add_special = special, .parse_special = special});
      for (const std::int32_t id : ids)
        must(id >= 0 && id < tokenizer->vocabulary(), "tokenizer.json: an id outside the vocabulary");
      tokenizer->decode(ids, special);
    }
}

}  // namespace evictbench
