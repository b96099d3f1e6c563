// The command bench: its figures by hand, the shape of its JSON, and what it refuses.
#include "harness/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "harness/bench_report.h"
#include "harness/free_memory.h"
#include "models/decoder.h"
#include "policies/registry.h"
#include "tests/support/fixtures.h"
#include "tests/support/program.h"
#include "tests/support/random_decoder.h"
#include "tests/support/refusal.h"

namespace evictbench {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

constexpr const char* kShape = EVICTBENCH_SOURCE_DIR "/tests/models/goldens/llama-llama3/config.json";

Point point_of(const std::string& spec, double budget) {
  const std::shared_ptr<const Policy> policy = make_policy(spec);
  return {spec, policy, policy->evicts() ? "entries" : "full", budget};
}

class Failing final : public Policy {
 public:
  Failing() { set_id("failing"); }
  Needs needs(const KvShape&) const override { return {}; }
  std::vector<Kept> select(const Observation&, std::span<const Budget>) const override {
    throw Error(Exit::kInput, "no scores of this model");
  }
};

TEST(Bench, SpreadOfRepeats) {
  const Spread odd = spread_of({3, 1, 2}), even = spread_of({4, 1, 2, 8}), one = spread_of({5});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.least, 1);
  EXPECT_EQ(odd.most, 3);
  EXPECT_EQ(even.median, 3);
  EXPECT_EQ(one.median, 5);
}

TEST(Bench, BatchTakesPointsInTurn) {
  BenchInput input;
  for (const char* spec : {"full", "snapkv", "adakv"}) input.points.push_back(point_of(spec, 8));
  input.together = 5;
  EXPECT_EQ(input.batch(), (std::vector<std::size_t>{0, 1, 2, 0, 1}));
  BenchPrompt prompt;
  for (const double seconds : {1, 2, 4}) {
    BenchRun run;
    run.step.median = seconds;
    run.total.median = 10 * seconds;
    prompt.alone.push_back(run);
  }
  EXPECT_DOUBLE_EQ(prompt.one_step(input), (1 + 2 + 4 + 1 + 2) / 5.0);
  EXPECT_DOUBLE_EQ(prompt.separate(input), 100);
}

// 2 layers, C 24, H 4, G 2, D 8, F 40, V 262: q 32, k and v 16 rows each, o, and three matrices of the feed-forward part.
TEST(Bench, FlopsByHand) {
  DecoderConfig config = config_of(RandomShape{});
  const double qkv = 24 * (32 + 16 + 16), rest = 32 * 24 + 3 * 24 * 40, head = 24 * 262;
  const double products = 2 * (10 * (2 * qkv + rest) + rest + head);
  const auto attention = [](double keys) { return 2 * 2 * 4 * 8 * keys; };
  EXPECT_DOUBLE_EQ(prefill_flops(config, 10), products + attention(55) + attention(10));
  config.forms[0].window = 3;  // 1 + 2 + 3 x 8 keys
  EXPECT_DOUBLE_EQ(prefill_flops(config, 10), products + attention(27) + attention(10));
  config.forms[1].window = 3;
  EXPECT_DOUBLE_EQ(prefill_flops(config, 10), products + attention(27) + attention(3));
}

TEST(Bench, AFailedPointHarmsNoOther) {
  const RandomShape shape;
  const Decoder model(host(), config_of(shape), usual_names(config_of(shape)), RandomWeights(shape, 1));
  BenchInput input{.points = {point_of("snapkv", 8), {"failing", std::make_shared<Failing>(), "entries", 8}},
                   .together = 2,
                   .max_new = 3,
                   .repeat = 2};
  int steps = 0;
  BenchReport report;
  report.config = config_of(shape);
  report.parameters = 1;
  report.input = input;
  report.prompts.push_back(bench_prompt(host(), model, input, 40, [&] { ++steps; }, {}));
  const BenchPrompt& prompt = report.prompts[0];
  EXPECT_EQ(steps, 2 * 4);
  EXPECT_EQ(prompt.alone[0].error, "");
  EXPECT_EQ(prompt.alone[0].kept, 8 * 2 * 2);
  EXPECT_EQ(prompt.alone[0].retained_bytes, (8 - 1) * 4 * 2 * 8 * 4);  // the last token is fed again
  EXPECT_EQ(prompt.alone[1].error, "no scores of this model");
  EXPECT_TRUE(report.failed());
  EXPECT_THAT(bench_table(report, prompt), HasSubstr("no scores of this model"));
  const Json json = Json::parse(bench_json(report));
  EXPECT_EQ(json["prompts"][0]["points"][1]["error"], "no scores of this model");
}

TEST(Bench, MemoryIsComparedBeforeAnythingIsAllocated) {
  const DecoderConfig config = config_of(RandomShape{});
  BenchInput input{.points = {point_of("full", 0), point_of("snapkv", 32)}, .together = 2};
  const auto check = [&](std::int64_t free) { check_bench_memory(input, "x.json", config, 1000, 512, free); };
  check(std::int64_t{1} << 40);
  expect_refusal([&] { check(999); }, "E-BN-02", "weights need 1000 bytes; expected at most the 999");
  // 4 lanes of 512 entries of 64 bytes are more than this.
  expect_refusal([&] { check(100'000); }, "E-BN-02", "a prompt of 512 tokens and 2 points need",
                 Exit::kUsage);
  std::int64_t least = 1000, most = std::int64_t{1} << 40;  // the least that is enough
  while (least + 1 < most) {
    const std::int64_t middle = (least + most) / 2;
    (refusal([&] { check(middle); }, Exit::kUsage).empty() ? most : least) = middle;
  }
  EXPECT_GT(most, 1000 + 4 * 512 * 64);
  EXPECT_LT(most, 4'000'000);
  input.together = 64;
  EXPECT_NE(refusal([&] { check(most); }, Exit::kUsage), "");
}

TEST(FreeMemory, IsWhatKernelAndGroupLeave) {
  const TempFolder root;
  std::filesystem::create_directories(root / "proc");
  std::filesystem::create_directories(root / "sys/fs/cgroup");
  EXPECT_EQ(free_memory(root.path()), std::nullopt);
  root.write("proc/meminfo", "MemTotal:  900 kB\nMemFree:   100 kB\nMemAvailable:   300 kB\nBuffers: 7 kB\n");
  EXPECT_EQ(free_memory(root.path()), 300 * 1024);
  root.write("sys/fs/cgroup/memory.current", "100000\n");
  root.write("sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(free_memory(root.path()), 300 * 1024);
  root.write("sys/fs/cgroup/memory.max", "200000\n");
  EXPECT_EQ(free_memory(root.path()), 100'000);
  root.write("sys/fs/cgroup/memory.stat", "anon 60000\ninactive_file 30000\n");
  EXPECT_EQ(free_memory(root.path()), 130'000);
  root.write("sys/fs/cgroup/memory.current", "300000\n");
  EXPECT_EQ(free_memory(root.path()), 0);
  EXPECT_GT(free_memory().value_or(1), 0);
}

class BenchCommandTest : public Program {
 protected:
  Json bench(const std::string& arguments, int code = 0) {
    EXPECT_EQ(call("bench --json " + arguments), code) << said();
    return Json::parse(text("said"));
  }
  // The refusal, after a look at its exit code: one line, and nothing on standard output.
  std::string refused(const std::string& arguments, int code) {
    EXPECT_EQ(call("bench " + arguments), code) << arguments;
    EXPECT_EQ(text("said"), "") << arguments;
    std::string error = text("errors");
    EXPECT_EQ(std::ranges::count(error, '\n'), 1) << error;
    return error;
  }
  const std::string random_ = std::string("--random-weights ") + kShape + " ";
};

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;  // in order of names
}

// The shape of the document is an interface.
TEST_F(BenchCommandTest, JsonHasItsShape) {
  const Json all = bench(random_ + "--tokens 40,24 --budgets 8,16 --max-new 3 --points 9 --repeat 2");
  EXPECT_THAT(keys_of(all),
              testing::ElementsAre("device", "left_out", "max_new", "model", "prompts", "repeat", "seed"));
  EXPECT_THAT(
      keys_of(all["model"]),
      testing::ElementsAre("family", "head_dim", "hidden", "intermediate", "kv_heads", "layers", "load_s",
                           "packed_bytes", "parameters", "path", "q_heads", "vocabulary", "weights"));
  EXPECT_THAT(keys_of(all["device"]),
              testing::ElementsAre("compute", "copy_bytes_per_s", "matrix_flops_per_s", "name", "threads"));
  EXPECT_TRUE(all["device"]["copy_bytes_per_s"].is_null());
  EXPECT_EQ(all["model"]["weights"], "random");
  EXPECT_EQ(all["model"]["path"], kShape);

  ASSERT_EQ(all["left_out"].size(), 2u);
  EXPECT_EQ(all["left_out"][0]["policy"], "headkv");
  EXPECT_THAT(all["left_out"][0]["why"], HasSubstr("head_scores"));
  EXPECT_EQ(all["left_out"][1]["policy"], "compresskv");

  ASSERT_EQ(all["prompts"].size(), 2u);
  const Json& prompt = all["prompts"][0];
  EXPECT_EQ(prompt["tokens"], 40);
  EXPECT_THAT(keys_of(prompt), testing::ElementsAre("full", "points", "prefill", "together", "tokens"));
  EXPECT_THAT(keys_of(prompt["prefill"]),
              testing::ElementsAre("flops", "flops_per_s", "of_limit", "tokens_per_s"));
  const std::vector<std::string> run{
      "batches",        "gather_s", "kept",           "peak_bytes",          "prefill_s",
      "retained_bytes", "select_s", "step_bytes",     "step_bytes_of_limit", "step_s",
      "tokens_per_s",   "total_s",  "work_of_prefill"};
  EXPECT_THAT(keys_of(prompt["full"]), testing::ElementsAreArray(run));
  ASSERT_EQ(prompt["points"].size(), 7u);  // full, and three policies at two budgets
  for (const Json& point : prompt["points"])
    for (const std::string& key : run) EXPECT_TRUE(point.contains(key)) << key;
  EXPECT_EQ(prompt["points"][0]["budget"], nullptr);
  EXPECT_EQ(prompt["points"][2]["budget"], 16);
  EXPECT_THAT(prompt["points"][2]["policy"], testing::StartsWith("snapkv{"));
  const Json& together = prompt["together"];
  EXPECT_EQ(together["points"], 9);
  for (const char* key : {"step_over_one", "sweep_over_full", "separate_s", "separate_over_sweep"})
    EXPECT_GT(together[key], 0) << key;
  const Json& seconds = prompt["points"][1]["step_s"];
  EXPECT_LE(seconds["least"], seconds["median"]);
  EXPECT_LE(seconds["median"], seconds["most"]);
  EXPECT_GT(prompt["points"][1]["peak_bytes"]["decode"], all["model"]["packed_bytes"]);
}

// What is no time is the same in every run, whatever the threads.
TEST_F(BenchCommandTest, KeepsTheSameWhateverTheThreads) {
  const auto figures = [&](const std::string& arguments) {
    Json out = Json::array();
    const Json all = bench(random_ + "--tokens 64 --budgets 8 --max-new 2 --repeat 1 " + arguments);
    for (const Json& point : all["prompts"][0]["points"])
      out.push_back({point["policy"], point["kept"], point["retained_bytes"]});
    return out;
  };
  const Json one = figures("--threads 1");
  EXPECT_EQ(one, figures("--threads 2"));
  EXPECT_EQ(one, figures("--threads 2 --points 3"));
}

TEST_F(BenchCommandTest, TheTableNamesEveryPointOnce) {
  ASSERT_EQ(call("bench " + random_ + "--tokens 40 --budgets 8 --max-new 2 --repeat 1"), 0) << said();
  const std::string table = text("said");
  for (const char* part : {"left out: headkv", "prompt of 40 tokens", "prefill", "TFLOP/s", "full", "snapkv",
                           "pyramidkv", "adakv", "4 points together", "x the full cache's run"})
    EXPECT_THAT(table, HasSubstr(part));
  EXPECT_EQ(table.find("snapkv"), table.rfind("snapkv"));
}

// A context of no more than prompt and answer: warming up may not go beyond it either.
TEST_F(BenchCommandTest, TheShortestContextIsEnough) {
  Json config = Json::parse(std::ifstream(EVICTBENCH_SOURCE_DIR "/tests/models/goldens/gpt2/config.json"));
  config["n_positions"] = 12;
  const std::string path = folder_.write("short.json", config.dump());
  const std::string all = "--random-weights " + path + " --budgets 4 --max-new 2 --repeat 1 --tokens ";
  EXPECT_EQ(bench(all + "10")["prompts"][0]["tokens"], 10);
  EXPECT_THAT(refused(all + "11", 2), HasSubstr("11 tokens and 2 new ones; expected at most the 12"));
}

// With random weights, any scores of as many heads will do.
TEST_F(BenchCommandTest, TakesPoliciesThatNeedScoreFiles) {
  const std::string scores =
      folder_.write("heads.json", R"({"0-0": [1], "0-1": [2], "1-0": [3], "1-1": [1]})");
  const Json all = bench(
      random_ + "--tokens 40 --budgets 8 --max-new 2 --repeat 1 --policy 'headkv{head_scores=" + scores +
      "}' --policy 'compresskv{heads=1,head_scores=" + scores + "}'");
  ASSERT_EQ(all["prompts"][0]["points"].size(), 2u);
  for (const Json& point : all["prompts"][0]["points"]) EXPECT_EQ(point["kept"], 8 * 2);
  EXPECT_TRUE(all["left_out"].empty());
  const std::string other = folder_.write("other.json", R"({"0-0": [1], "0-1": [2]})");
  EXPECT_THAT(refused(random_ + "--tokens 40 --policy 'headkv{head_scores=" + other + "}'", 4),
              HasSubstr("other.json"));
}

TEST_F(BenchCommandTest, OfASweepFileWithAnyModel) {
  const std::string sweep =
      folder_.write("sweep.yaml", "version: 1\nmodel: {path: " EVICTBENCH_SOURCE_DIR
                                  "/models/tiny-recall, chat: none}\nprotocol: {question: inside}\n"
                                  "policies: [{name: snapkv, window: [4, 8]}, {name: full}]\nbudgets: {unit: "
                                  "ratio, values: [0.25, 0.5]}\n"
                                  "tasks: [{name: recall, kind: needle, lengths: [200]}]\noutput: {dir: " +
                                      (folder_ / "out") + "}\n");
  const std::string small = sweep + " --tokens 40 --max-new 2 --repeat 1";
  const Json own = bench(small);
  EXPECT_EQ(own["model"]["weights"], "checkpoint");
  const Json& points = own["prompts"][0]["points"];
  ASSERT_EQ(points.size(), 5u);
  EXPECT_EQ(points[1]["unit"], "ratio");
  EXPECT_EQ(points[1]["budget"], 0.5);
  EXPECT_EQ(points[1]["kept"].get<int>() * 2, points[4]["kept"].get<int>());
  EXPECT_EQ(bench(small + " " + random_)["model"]["path"], kShape);
  EXPECT_EQ(bench(small + " --set 'budgets.values=[0.1]'")["prompts"][0]["points"].size(), 3u);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

TEST_F(BenchCommandTest, RefusesBadInputInOneLine) {
  struct Case {
    int code;
    std::string arguments, words;
  };
  const std::string small = random_ + "--tokens 40 ";
  const std::string no_json = folder_.write("torn.json", "{\"model_type\": \"llama\"");
  Json config = Json::parse(std::ifstream(kShape));
  config["head_dim"] = 7;
  const std::string odd = folder_.write("odd.json", config.dump());
  for (const Case& c :
       std::vector<Case>{{2, "", "nothing to bench"},
                         {2, random_ + "--model models/tiny-recall", "--model"},
                         {2, random_ + "--set a=b", "a sweep file"},
                         {2, random_ + "--tokens 1", "--tokens"},
                         {2, random_ + "--tokens 16777217", "--tokens"},
                         {2, random_ + "--tokens 16777216", "at most the"},
                         {2, random_ + "--max-new 0", "--max-new"},
                         {2, random_ + "--repeat 0", "--repeat"},
                         {2, random_ + "--points 0", "--points"},
                         {2, random_ + "--budgets 0", "--budgets"},
                         {2, random_ + "--budgets 1,x", "--budgets"},
                         {2, random_ + "--budgets nan", "--budgets"},
                         {2, random_ + "--batch-gb 0", "--batch-gb"},
                         {2, random_ + "--policy snap", "snapkv"},
                         {2, random_ + "--policy headkv", "head_scores"},
                         {2, random_ + "--policy 'snapkv{window=0}'", "window"},
                         {2, small + "--compute bf16", "which device cpu does not have"},
                         {3, folder_ / "absent.yaml", "no such file"},
                         {4, "--random-weights " + no_json, "torn.json"},
                         {4, "--tokens 40 --random-weights " + odd, "E-CF-"},
                         {4, "--random-weights " + (folder_ / "absent.json"), "no such file"},
                         {4, "--model " + (folder_ / "absent"), "absent"},
                         {4, random_ + "--policy 'headkv{head_scores=" + no_json + "}'", "torn.json"}})
    EXPECT_THAT(refused(c.arguments, c.code), HasSubstr(c.words)) << c.arguments;
}

// 70 PB of weights: refused at once, with both figures.
TEST_F(BenchCommandTest, RefusesAShapeThatNoMemoryHolds) {
  Json config = Json::parse(std::ifstream(kShape));
  config["hidden_size"] = 1 << 20;
  config["intermediate_size"] = 1 << 24;
  config["num_hidden_layers"] = 600;
  config["layer_types"] = nullptr;
  const std::string path = folder_.write("huge.json", config.dump());
  EXPECT_THAT(
      refused("--tokens 40 --random-weights " + path, 4),
      testing::ContainsRegex("E-BN-02.*weights need [0-9]{14,} bytes; expected at most the [0-9]+ that "
                             "are free"));
}

}  // namespace
}  // namespace evictbench
