// Checkpoints as published, where they are at hand.
#include <gtest/gtest.h>

#include "core/io/file.h"
#include "models/checkpoint.h"
#include "models/config.h"
#include "models/safetensors.h"
#include "models/weights_check.h"

namespace evictbench {
namespace {

TEST(RealModels, Load) {
  int loaded = 0;
  for (const std::string folder : {EVICTBENCH_SOURCE_DIR "/../shared/data/models/stories260K",
                                   EVICTBENCH_SOURCE_DIR "/../tmp/smollm2"}) {
    if (!is_file(folder + "/model.safetensors")) continue;
    const SafetensorsFolder weights(folder);
    const DecoderConfig config = read_config(folder);
    EXPECT_NO_THROW(check_tensors(weights, usual_names(config), config));
    std::vector<std::byte> norm(weights.find("model.norm.weight")->bytes);
    EXPECT_NO_THROW(weights.read("model.norm.weight", norm));
    ++loaded;
  }
  if (loaded == 0) GTEST_SKIP() << "no real model at hand";
}

// What `make real` fetches. The ids are those that the tokenizers package gives.
TEST(RealModels, SmolLm2AsAGgufFile) {
  const std::string path = EVICTBENCH_SOURCE_DIR "/.cache/real/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!is_file(path)) GTEST_SKIP() << "make real fetches it";
  const Checkpoint checkpoint(path);
  EXPECT_EQ(checkpoint.parameters(), 134'515'008U);
  EXPECT_EQ(checkpoint.config().kv_heads, 3);
  EXPECT_EQ(checkpoint.config().eos_tokens, (std::vector<std::int32_t>{2}));
  EXPECT_EQ(load_chat_template(path, "auto").name, "smollm2");
  EXPECT_EQ(checkpoint.tokenizer().encode("The year 1984, naïve 東京!", {}),
            (Tokens{504, 713, 216, 33, 41, 40, 36, 28, 15486, 46494, 17097, 247, 126, 16736, 122, 17}));
  EXPECT_NO_THROW(checkpoint.check_weights());
}

}  // namespace
}  // namespace evictbench
