// Checkpoints as published, where they are at hand.
#include <gtest/gtest.h>

#include "core/io/file.h"
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

}  // namespace
}  // namespace evictbench
