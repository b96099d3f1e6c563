// inspect kept --batch answers as inspect kept does, a prompt a line; list policies says what a variant differs in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/program.h"

namespace evictbench {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class InspectKept : public Program {
 protected:
  std::string batch(const std::string& lines) { return kept + " --batch " + folder_.write("batch", lines); }
  const std::string kept =  // H = 8, G = 2, L = 2
      "inspect kept " EVICTBENCH_SOURCE_DIR "/tests/models/goldens/llama-gqa4-tied-old";
};

TEST_F(InspectKept, ABatchAnswersAsSingleCallsDo) {
  const std::vector<std::string> prompts{"1,5,9,33,2,7,8,40,11,3", "60,2,2,5"};
  const std::vector<std::string> policies{"snapkv", "snapkv@snapkv", "knorm"};
  json points = json::array();
  for (const std::string& policy : policies) points.push_back({{"policy", policy}, {"budget", 3}});
  points.push_back({{"policy", "full"}});
  std::string lines;
  for (const std::string& ids : prompts)
    lines += json{{"ids", json::parse("[" + ids + "]")}, {"points", points}}.dump() + "\n";
  ASSERT_EQ(call(batch(lines)), 0) << said();
  std::istringstream answers(said());
  for (const std::string& ids : prompts) {
    std::string line;
    ASSERT_TRUE(std::getline(answers, line));
    const json answer = json::parse(line);
    EXPECT_EQ(answer.at("layers"), 2);
    ASSERT_EQ(answer.at("points").size(), policies.size() + 1);
    for (std::size_t p = 0; p < policies.size(); ++p) {
      ASSERT_EQ(call(kept + " --ids " + ids + " --policy " + policies[p] + " --budget 3 --json"), 0);
      const json alone = json::parse(said());
      for (const char* key : {"kv_heads", "kept", "bytes"})
        EXPECT_EQ(answer.at("points")[p].at(key), alone.at(key)) << policies[p] << " " << key;
    }
    EXPECT_EQ(answer.at("points")[1].at("kv_heads"), 8) << "a cache for every query head";
    EXPECT_EQ(answer.at("points")[1].at("bytes"), 2 * 8 * 3 * 2 * 8 * 4);
  }
}

TEST_F(InspectKept, ABadLineIsNamed) {
  const std::string good = R"({"ids":[1,2],"points":[]})"
                           "\n";
  for (const auto& [line, words] : std::vector<std::pair<std::string, std::string>>{
           {R"({"ids":[1,99],"points":[]})", "batch:2:11 /ids/1"},
           {R"({"ids":[],"points":[]})", "error[E-IK-01]"},
           {R"({"ids":[1]})", "points"},
           {R"({"ids":[1],"points":[{"policy":"snapvk","budget":2}]})", "did you mean 'snapkv'?"},
           {R"({"ids":[1],"points":[{"policy":"snapkv","budget":0}]})", "/points/0/budget"},
           {R"({"ids":[1],"points":)", "error[E-IK-J01]"}}) {
    EXPECT_EQ(call(batch(good + line + "\n")), 4) << line;
    EXPECT_THAT(said(), HasSubstr(words)) << line;
  }
  EXPECT_EQ(call(kept + " --ids 1,2 --batch x"), 2) << "one or the other";
}

TEST_F(InspectKept, PoliciesAreListedInFull) {
  ASSERT_EQ(call("list policies --verbose"), 0);
  EXPECT_THAT(
      said(),
      HasSubstr("\nsnapkv@compresskv: as snapkv, with heads grouped in strides [arXiv:2404.14469]\n"));
  EXPECT_THAT(said(), HasSubstr("kernel = 5 tokens  (1..65535 odd)\n"));
  EXPECT_THAT(said(),
              HasSubstr("46  snapkv: a KV head is scored by query heads g, g + G, ..., not by those"));
  ASSERT_EQ(call("list policies --json"), 0);
  for (const json& row : json::parse(said())) {
    const std::string name = row.at("name");
    EXPECT_NE(row.at("formula"), "") << name;
    EXPECT_EQ(row.at("deviations").empty(), false) << name;
    if (name == "snapkv@compresskv") {
      ASSERT_EQ(row.at("deviations").size(), 1u);
      EXPECT_EQ(row.at("deviations")[0].at("number"), 46);
    }
  }
  ASSERT_EQ(call("list policies"), 0);
  EXPECT_THAT(said(), testing::Not(HasSubstr("46  ")));
}

}  // namespace
}  // namespace evictbench
