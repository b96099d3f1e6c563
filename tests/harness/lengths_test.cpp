// CF-10: prompts and answers that a model has no positions for are refused before a weight is read.
#include <fstream>

#include "harness/prepared.h"
#include "tests/support/random_decoder.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

TEST(Lengths, FitTheModelsPositions) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "m");
  write_random_checkpoint(folder / "m", {}, 1);
  std::ifstream in(folder / "m/config.json");
  nlohmann::json config = nlohmann::json::parse(in);
  const auto prepare = [&](int positions) {
    config["max_position_embeddings"] = positions;
    folder.write("m/config.json", config.dump());
    const std::string sweep =
        folder.write("sweep.yaml",
                     "version: 1\nmodel: {path: m}\nprotocol: {question: inside}\n"
                     "policies: [{name: full}]\nbudgets: {unit: entries, values: [64]}\n"
                     "tasks: [{name: recall, kind: needle, lengths: [512], count: 1}]\noutput: {dir: out}\n");
    Prepared(sweep, {});
  };
  EXPECT_EQ(refusal([&] { prepare(4096); }, Exit::kSweep), "");
  expect_refusal([&] { prepare(300); }, "E-CF-10",
                 "[0-9]+ prompt tokens and [0-9]+ new ones in example .*; expected at most 300 together",
                 Exit::kSweep);
}

}  // namespace
}  // namespace evictbench
