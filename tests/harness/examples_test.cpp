// `examples` prints what a sweep asks, so that others can train or measure on the same text.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

TEST(Examples, OneObjectALine) {
  if (std::string(EVICTBENCH_BINARY).empty()) GTEST_SKIP() << "the program is not built here";
  const TempFolder folder;
  const std::string out = folder / "out",
                    sweep = EVICTBENCH_SOURCE_DIR + std::string("/harness/sweeps/gate.yaml"),
                    line = EVICTBENCH_BINARY + (" examples " + sweep) + " >" + out;
  ASSERT_EQ(std::system(line.c_str()), 0);
  std::ifstream in(out);
  std::set<std::string> tasks;
  int lines = 0;
  for (std::string text; std::getline(in, text); ++lines) {
    const auto e = nlohmann::json::parse(text);
    tasks.insert(e.at("task").get<std::string>());
    for (const char* key : {"example", "context", "question", "answer_prefix"})
      EXPECT_NE(e.at(key).get<std::string>(), "") << key;
    EXPECT_FALSE(e.at("answers").at(0).get<std::string>().empty());
    EXPECT_GE(e.at("length").get<int>(), 256);
  }
  EXPECT_EQ(lines, 9);
  EXPECT_EQ(tasks.size(), 8U);
}

}  // namespace
}  // namespace evictbench
