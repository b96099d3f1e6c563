// config.json, and generation_config.json behind a NUL byte, as every family reads them.
#include "models/config.h"

#include "models/config_reader.h"
#include "models/family.h"
#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {
namespace {

void check(const DecoderConfig& c) {
  must(c.layers > 0 && c.hidden > 0 && c.q_heads > 0 && c.kv_heads > 0 && c.head_dim > 0 &&
           c.vocabulary > 0 && c.max_positions > 0 && c.q_heads % c.kv_heads == 0,
       "config: sizes that no model has");
  must(std::ssize(c.forms) == c.layers, "config: layers without a form");
  for (const LayerForm& form : c.forms)
    must(form.window >= 0 && form.rope >= 0 && (c.ropes.empty() || form.rope < std::ssize(c.ropes)),
         "config: a layer's form that does not exist");
  for (const RopeConfig& rope : c.ropes)
    must(rope.dim > 0 && rope.dim % 2 == 0 && rope.dim <= c.head_dim, "config: dims that cannot turn");
  for (const std::int32_t id : c.eos_tokens)
    must(id >= 0 && id < c.vocabulary, "config: an end token outside the vocabulary");
}

}  // namespace

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  const Json json = Json::from_text(std::string(take_until(input, '\0')), "config.json", config_rules());
  if (!input.empty()) folder.write("generation_config.json", input);
  passes([&] { family_of(json); });
  for (const Family& family : all_families())
    passes([&] {
      DecoderConfig config = family.config(json);
      if (!input.empty()) read_generation_config(folder.path(), config);
      check(config);
    });
}

}  // namespace evictbench
