// config.json, and generation_config.json behind a NUL byte, as every family reads them.
#include "models/config.h"

#include "models/family.h"
#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  folder.write("config.json", take_until(input, '\0'));
  if (input.empty())
    folder.remove("generation_config.json");
  else
    folder.write("generation_config.json", input);
  passes([&] { family_of(model_type_of(folder.path()), folder.path()); });
  for (const Family& family : all_families())
    passes([&] {
      const DecoderConfig config = family.config(folder.path());
      must(config.layers > 0 && config.hidden > 0 && config.q_heads > 0 && config.kv_heads > 0 &&
               config.head_dim > 0 && config.vocabulary > 0 && config.q_heads % config.kv_heads == 0,
           "config: sizes that no model has");
      for (const std::int32_t id : config.eos_tokens)
        must(id >= 0 && id < config.vocabulary, "config: an end token outside the vocabulary");
    });
}

}  // namespace evictbench
