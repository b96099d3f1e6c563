// Configs, weights and tokenizers that are good each by itself, but not together; ids of the robustness contract.
#include "models/checkpoint.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/malformed.h"
#include "tests/support/random_decoder.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using nlohmann::json;

json config_of(const TempFolder& folder) {
  std::ifstream in(folder / "config.json");
  return json::parse(in);
}

// A change of config.json, as a JSON merge patch, in front of weights that it does not fit.
TEST(MalformedCheckpoints, AreRefusedBeforeAnythingIsLoaded) {
  const TempFolder folder;
  write_random_checkpoint(folder.path(), {}, 1);
  const json good = config_of(folder);
  std::vector<Malformed> cases;
  const auto add = [&](const char* id, const char* code, const char* words,
                       const std::vector<json>& patches) {
    for (const json& patch : patches) cases.push_back({id, patch.dump(), code, words});
  };
  add("CF-03", "E-ST-31", "expected \\[.*\\] \\(.*(hidden_size|intermediate_size|vocab_size)",
      {{{"hidden_size", 1 << 20}},
       {{"hidden_size", 25}},
       {{"intermediate_size", 1 << 24}},
       {{"intermediate_size", 1}},
       {{"vocab_size", 1 << 26}}});
  add("ST-32", "E-ST-32", "layers 0 to 1; expected layers 0 to (0|2|65535) .num_hidden_layers",
      {{{"num_hidden_layers", 1}}, {{"num_hidden_layers", 3}}, {{"num_hidden_layers", 1 << 16}}});
  add("CF-04", "E-ST-31", "k_proj.weight: shape \\[16, 24\\].*num_key_value_heads\": 2; correct config.json",
      {{{"num_key_value_heads", 1}}, {{"num_key_value_heads", 4}}});
  add("CF-05", "E-ST-31", "q_proj.weight: shape \\[32, 24\\].*the file fits 8: set \"head_dim\": 8",
      {{{"head_dim", 16}}, {{"head_dim", 4}}, {{"head_dim", nullptr}}});  // absent, it is 24 / 4
  add("CF-07", "E-ST-30", "lm_head.weight: the tensor is absent.*tie_word_embeddings",
      {{{"tie_word_embeddings", false}}});
  add("CF-07", "E-ST-30", "q_proj.bias: the tensor is absent", {{{"attention_bias", true}}});
  add("CF-07", "E-ST-30", "_proj.bias: the tensor is absent", {{{"mlp_bias", true}}});
  add("CF-11", "E-ST-31", "embed_tokens.weight: shape \\[262, 24\\]; expected \\[26[13], 24\\]",
      {{{"vocab_size", 263}}});
  expect_all_refused(cases, 15, {"CF-03", "CF-04", "CF-05", "CF-07", "CF-11", "ST-32"},
                     [&](const std::string& patch) {
                       json changed = good;
                       changed.merge_patch(json::parse(patch));
                       folder.write("config.json", changed.dump());
                       Checkpoint(folder.path());
                     });
}

// CF-11: more ids than the model has; fewer are common, since tables are padded.
TEST(MalformedCheckpoints, HaveTokenizersOfOtherModels) {
  const TempFolder small, large;
  write_random_checkpoint(small.path(), {.vocabulary = 100}, 1);
  json config = config_of(small);
  config["eos_token_id"] = 99;
  small.write("config.json", config.dump());
  expect_refusal([&] { Checkpoint(small.path()).tokenizer(); }, "E-CF-11",
                 "a tokenizer of 262 ids; expected at most vocab_size = 100 of config.json");
  write_random_checkpoint(large.path(), {.vocabulary = 320}, 1);
  EXPECT_EQ(refusal([&] { Checkpoint(large.path()).tokenizer(); }), "");
}

}  // namespace
}  // namespace evictbench
