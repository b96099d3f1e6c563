// heads MODEL from end to end: the same bytes whatever threads and stops, scores that another path gives too, files that
// policies read, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/io/file.h"
#include "harness/head_measure.h"
#include "harness/head_sets.h"
#include "tests/support/fixtures.h"
#include "tests/support/random_decoder.h"
#include "tests/support/refusal.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kBundled = EVICTBENCH_SOURCE_DIR "/models/tiny-recall";

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  std::erase(names, ".lock");
  return names;
}

class HeadsTest : public testing::Test {
 protected:
  HeadMeasurement measurement(const std::string& out, const std::string& tasks = kTasks) const {
    HeadMeasurement m;
    m.tasks = folder_.write("trials.yaml", "version: 1\ntasks:\n" + tasks);
    m.model.path = kBundled;
    m.model.chat = "none";
    m.out = folder_ / out;
    m.json = true;
    return m;
  }
  int run(const HeadMeasurement& m) const {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    try {
      const int code = m.run();
      last_ = testing::internal::GetCapturedStdout();
      warnings_ = testing::internal::GetCapturedStderr();
      return code;
    } catch (...) {
      testing::internal::GetCapturedStdout();
      testing::internal::GetCapturedStderr();
      throw;
    }
  }
  void expect_same(const std::string& a, const std::string& b) const {
    EXPECT_EQ(names_in(folder_ / a), names_in(folder_ / b));
    for (const std::string& name : names_in(folder_ / a))
      EXPECT_EQ(read(folder_ / a + "/" + name), read(folder_ / b + "/" + name)) << name;
  }

  static constexpr const char* kTasks =
      "  - {name: recall, id: needle, scores: copy, kind: multi_key, lengths: [220], count: 3, max_new: 12}\n"
      "  - {name: recall, id: hops, scores: reasoning, kind: two_hop, lengths: [220], count: 3, max_new: "
      "24}\n";
  TempFolder folder_;
  mutable std::string last_, warnings_;
};

TEST_F(HeadsTest, WritesFilesThatPoliciesReadAndTheSameTwice) {
  HeadMeasurement one = measurement("one"), two = measurement("two");
  one.where.threads = 1;
  two.where.threads = 3;
  ASSERT_EQ(run(one), 0);
  EXPECT_THAT(last_, HasSubstr(R"({"kind":"copy","trials":3,"accepted":3,"best":[{"layer":1,)"));
  ASSERT_EQ(run(two), 0);
  expect_same("one", "two");
  for (const std::string kind : {"copy", "semantic", "semantic_multiplicity", "reasoning"}) {
    const HeadSet scores = read_head_set(folder_ / "one/" + kind + ".json"),
                  order = read_head_set(folder_ / "one/" + kind + "_order.json");
    EXPECT_EQ(scores.order.layers, 4);
    EXPECT_EQ(scores.order.heads, 8);
    EXPECT_EQ(scores.order.order, order.order.order) << kind;
    const auto sidecar = read_sidecar(folder_ / "one/" + kind + ".json");
    ASSERT_TRUE(sidecar) << kind;
    EXPECT_STREQ(name_of(sidecar->kind), kind.c_str());
    EXPECT_EQ(sidecar->made, 3);
    EXPECT_EQ(sidecar->accepted, 3);
    EXPECT_EQ(sidecar->examples.size(), 6U) << "what the model was shown";
    EXPECT_EQ(ranking(scores.means)[0] / 8, 1) << "the card of this model: block 1 looks up what to repeat";
  }
  EXPECT_THAT(read(folder_ / "one/heads.html"), HasSubstr("3 of 3 trials count"));
}

TEST_F(HeadsTest, GoesOnWhereItStopped) {
  ASSERT_EQ(run(measurement("whole")), 0);
  const std::string journal = read(folder_ / "whole/trials.jsonl");
  std::size_t lines = 0, cut = 0;
  for (std::size_t at = 0; at < journal.size(); at = journal.find('\n', at) + 1)
    if (++lines == 4) cut = at;  // behind the header and two trials
  ASSERT_EQ(lines, 7U);
  for (const std::size_t torn : {std::size_t{0}, std::size_t{1}, std::size_t{300}}) {
    fs::remove_all(folder_ / "stopped");
    fs::create_directory(folder_ / "stopped");
    folder_.write("stopped/trials.jsonl", journal.substr(0, cut + torn));
    ASSERT_EQ(run(measurement("stopped")), 0);
    expect_same("whole", "stopped");
  }
  folder_.write("stopped/trials.jsonl", journal.substr(0, 30));  // stopped in its first line
  ASSERT_EQ(run(measurement("stopped")), 0);
  expect_same("whole", "stopped");
}

TEST_F(HeadsTest, RefusesTrialsOfAnotherMeasurementAndDamagedOnes) {
  ASSERT_EQ(run(measurement("out")), 0);
  HeadMeasurement other = measurement("out");
  other.overrides = {"tasks.0.count=2"};
  expect_refusal([&] { run(other); }, "E-HD-05", "5 trials", Exit::kNotComparable);
  std::string journal = read(folder_ / "out/trials.jsonl");
  for (const auto& [from, to] : {std::pair{"\"recall\":1", "\"recall\":7"},
                                 {"\"copy\":[0,", "\"copy\":["},
                                 {"len220-0", "len220-9"},
                                 {"\"text\"", "\"test\""}}) {
    std::string damaged = journal;
    damaged.replace(damaged.find(from), std::string(from).size(), to);
    folder_.write("out/trials.jsonl", damaged);
    const std::string message = refusal([&] { run(measurement("out")); }, Exit::kOutput);
    EXPECT_THAT(message, HasSubstr("error[E-HD-")) << from;
    EXPECT_THAT(message, HasSubstr("trials.jsonl")) << from;
  }
}

TEST_F(HeadsTest, WithoutAnAnswerThereAreNoScores) {
  // Two tokens of a value of four words and more: no answer is right.
  HeadMeasurement none = measurement("none");
  none.overrides = {"tasks.0.max_new=1", "tasks.1.max_new=1"};
  expect_refusal([&] { run(none); }, "E-HD-07", "none of 6 trials counts", Exit::kFailedPoints);
  EXPECT_EQ(names_in(folder_ / "none"), (std::vector<std::string>{"trials.jsonl"}));

  HeadMeasurement copies = measurement("copies");
  copies.overrides = {"tasks.1.max_new=1"};
  EXPECT_EQ(run(copies), static_cast<int>(Exit::kFailedPoints));
  EXPECT_TRUE(fs::exists(folder_ / "copies/copy.json"));
  EXPECT_FALSE(fs::exists(folder_ / "copies/reasoning.json"));

  none.accept = Accept::kAll;  // the same trials, of which all count
  EXPECT_EQ(run(none), 0);
  EXPECT_TRUE(fs::exists(folder_ / "none/reasoning.json"));
  none.accept = Accept::kAnswered;
  EXPECT_THROW(run(none), Error);
  EXPECT_EQ(names_in(folder_ / "none"), (std::vector<std::string>{"trials.jsonl"})) << "the rest is stale";
}

// The same trial again, its rows of attention out of one prefill of prompt and answer, and its scores from loops of
// their own.
TEST_F(HeadsTest, ScoresAreThoseOfAPrefillsAttention) {
  fs::create_directory(folder_ / "model");
  const RandomShape shape{.layers = 3, .q_heads = 4, .kv_heads = 2};
  write_random_checkpoint(folder_ / "model", shape, 5);
  SweepModel where;
  where.path = folder_ / "model";
  where.chat = "none";
  const std::string file = folder_.write(
      "niah.yaml",
      "version: 1\ntasks:\n  - {name: niah, haystack: generated, lengths: [250], depths: [0, 50, 100], "
      "needle: \"The "
      "word is {value}.\", question: \"Which word?\", values: [aaaabbbbccccddddeeeeffff], max_new: 12}\n");
  const TrialSet set(file, {}, where);
  const auto model = set.run.checkpoint.load(host());
  const Answering answering(host(), *model, set.run.checkpoint);
  for (const Trial& trial : set.trials) {
    const TrialRecord record = measure_trial(answering, trial, model->shape(0));
    Tokens all = trial.prompt;
    all.insert(all.end(), record.answer.begin(), record.answer.end());
    const int T = static_cast<int>(trial.prompt.size()), m = trial.evidence.size();
    HeadTotals expected(12);
    const AttentionTap tap{.row =
                               [&](const AttentionRow& row) {
                                 const int step = row.position - (T - 1);
                                 if (step < 0 || step >= std::ssize(record.answer)) return;
                                 const std::int32_t given = all[static_cast<std::size_t>(T + step)];
                                 const auto p =
                                     row.probabilities.first(static_cast<std::size_t>(row.position) + 1);
                                 const auto head = static_cast<std::size_t>(row.layer * 4 + row.head);
                                 for (int j = trial.evidence.first; j < trial.evidence.last; ++j) {
                                   const float mine = p[static_cast<std::size_t>(j)];
                                   int better = 0;
                                   for (int i = 0; i < std::ssize(p); ++i)
                                     better += p[static_cast<std::size_t>(i)] > mine ||
                                               (p[static_cast<std::size_t>(i)] == mine && i < j);
                                   if (better < m) expected.reasoning[head] += mine / static_cast<double>(m);
                                   bool given_is_there = false;
                                   for (int i = trial.evidence.first; i < trial.evidence.last; ++i) {
                                     const bool same = all[static_cast<std::size_t>(i)] == given;
                                     if (same) expected.semantic_multiplicity[head] += mine;
                                     given_is_there |= same;
                                   }
                                   if (given_is_there) expected.semantic[head] += mine;
                                   if (better == 0 && all[static_cast<std::size_t>(j)] == given)
                                     expected.copy[head] += 1.0 / m;
                                 }
                               },
                           .queries = {}};
    model->prefill(host(), all, {}, {.tap = &tap, .all_logits = {}, .checkpoint = {}});
    for (std::size_t i = 0; i < 12; ++i) {
      EXPECT_NEAR(record.totals.copy[i], expected.copy[i], 1e-12) << trial.example << " " << i;
      EXPECT_NEAR(record.totals.semantic[i], expected.semantic[i], 1e-12) << trial.example << " " << i;
      EXPECT_NEAR(record.totals.semantic_multiplicity[i], expected.semantic_multiplicity[i], 1e-12) << i;
      EXPECT_NEAR(record.totals.reasoning[i], expected.reasoning[i], 1e-12) << trial.example << " " << i;
    }
    EXPECT_GT(*std::ranges::max_element(record.totals.reasoning), 0);
  }
}

TEST(HeadTasks, ThatTheProgramBringsAlongAreThoseOfTheFileAndHaveEvidence) {
  SweepModel model;
  model.path = kBundled;
  model.chat = "none";
  const std::vector<std::string> fewer{"tasks.0.depths=[0, 89]", "tasks.1.limit=2", "tasks.2.limit=2",
                                       "tasks.3.limit=2", "tasks.4.limit=2"};
  const TrialSet built_in("", fewer, model);
  EXPECT_EQ(built_in.data,
            TrialSet(EVICTBENCH_SOURCE_DIR "/harness/calibration/needles.yaml", fewer, model).data);
  EXPECT_EQ(built_in.trials.size(), 6 + 2 + 2 + 2 + 2U);
  EXPECT_EQ(std::ranges::count_if(built_in.trials, &Trial::reasoning), 4);
  EXPECT_EQ(std::ranges::count_if(built_in.trials, &Trial::copy), 10);
}

// The command line.
class HeadsLineTest : public HeadsTest {
 protected:
  int line(std::vector<std::string> arguments) const {
    CLI::App app;
    Action action;
    add_heads(app, action);
    std::ranges::reverse(arguments);
    arguments.push_back("heads");
    app.parse(arguments);
    testing::internal::CaptureStdout();
    try {
      const int code = action();
      last_ = testing::internal::GetCapturedStdout();
      return code;
    } catch (...) {
      testing::internal::GetCapturedStdout();
      throw;
    }
  }
};

TEST_F(HeadsLineTest, AScoreFileBecomesAnOrder) {
  const std::string scores = folder_.write("s.json", R"({"0-1":[3,1],"0-0":[2],"1-0":[0],"1-1":[0]})");
  EXPECT_EQ(line({"--from", scores}), 0);
  EXPECT_EQ(last_, "{\"0\":[0,1],\"1\":[0,1]}\n");
  EXPECT_EQ(line({"--from", scores, "--out", folder_ / "order.json"}), 0);
  EXPECT_EQ(read(folder_ / "order.json"), "{\"0\":[0,1],\"1\":[0,1]}\n");
  EXPECT_FALSE(read_sidecar(folder_ / "order.json")) << "where it comes from had none";
}

TEST_F(HeadsLineTest, TheSidecarGoesAlongWithTheOrder) {
  ASSERT_EQ(run(measurement("out")), 0);
  ASSERT_EQ(line({"--from", folder_ / "out/semantic.json", "--out", folder_ / "order.json"}), 0);
  EXPECT_EQ(read(folder_ / "order.json"), read(folder_ / "out/semantic_order.json"));
  EXPECT_EQ(read(folder_ / "order.json.meta.json"), read(folder_ / "out/semantic_order.json.meta.json"));
}

TEST_F(HeadsLineTest, TwoFilesCompare) {
  const std::string a = folder_.write("a.json", R"({"0-0":[2],"0-1":[1]})"),
                    b = folder_.write("b.json", R"({"0":[1,0]})");
  EXPECT_EQ(line({"--compare", a, b, "--top", "1", "--json"}), 0);
  EXPECT_THAT(last_, HasSubstr(R"("of_a_layer":{"k":1,"shared":[0],"mean":0.0,"by_chance":0.5,)"));
  EXPECT_THAT(last_, HasSubstr(R"("rank_correlation":null)"));
  EXPECT_EQ(line({"--compare", a, a}), 0);
  EXPECT_THAT(last_, HasSubstr("best 2 of each layer: 2.00 shared"));
}

TEST_F(HeadsLineTest, RefusesWhatMakesNoSense) {
  const auto refused = [&](std::vector<std::string> arguments, const std::string& words) {
    expect_refusal([&] { line(arguments); }, "E-CL-04", words, Exit::kUsage);
  };
  refused({}, "nothing to do");
  refused({kBundled, "--tasks", "t"}, "no --out");
  refused({kBundled, "--tasks", "t", "--out", folder_ / "o", "--device", "reference"}, "--device reference");
  refused({kBundled, "--tasks", "t", "--out", folder_ / "o", "--ablate"}, "without --scores");
  const std::vector<std::string> nonsense[] = {{kBundled, "--from", "x"},
                                               {"--from", "x", "--compare", "a", "b"},
                                               {"--from", "x", "--tasks", "t"},
                                               {"--from", "x", "--top", "4"},
                                               {"--compare", "a"},
                                               {"--compare", "a", "b", "--out", "o"},
                                               {kBundled, "--scores", "s"},
                                               {kBundled, "--ablate", "--accept", "all"},
                                               {kBundled, "--accept", "some"}};
  for (const auto& arguments : nonsense)
    EXPECT_THROW(line(arguments), CLI::ParseError) << testing::PrintToString(arguments);
  EXPECT_NE(refusal([&] { line({"--from", folder_ / "absent.json"}); }), "");
  const std::string empty = folder_.write("t.yaml", "version: 1\ntasks: []\n");
  EXPECT_NE(refusal([&] { line({kBundled, "--tasks", empty, "--out", folder_ / "o"}); }, Exit::kSweep), "");
}

}  // namespace
}  // namespace evictbench
