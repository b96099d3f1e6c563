#include "harness/sweep.h"
#include "harness/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/io/json.h"
#include "harness/plan.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"
#include "tests/support/token_counting.h"

namespace evictbench {
namespace {

using Question = Protocol::Question;
using First = Protocol::FirstToken;

// A good sweep, section by section, so that a test can replace one.
const std::map<std::string, std::string>& good() {
  static const std::map<std::string, std::string> sections{
      {"a version", "version: 1\n"},
      {"b model", "model: {path: model, device: cpu, compute: f32, chat: none}\n"},
      {"c protocol", "protocol: {question: [inside, after], first_token: evicted, seed: 7}\n"},
      {"d policies", "policies:\n  - {name: full}\n  - {name: snapkv, window: [8, 16], kernel: 5}\n"},
      {"e budgets", "budgets: {unit: entries, values: [64, 128]}\n"},
      {"f tasks",
       "tasks:\n  - name: niah\n    haystack: generated\n    lengths: [256, 512]\n    depths: [0, 50]\n"
       "    needle: \"The word of {key} is {value}.\"\n    question: \"What is the word of {key}?\"\n"
       "    answer_prefix: \"It is\"\n    keys: [Tallinn, Bergen]\n    values: [saffron, mustard]\n    "
       "max_new: 4\n"},
      {"g output", "output: {dir: results}\n"}};
  return sections;
}

class SweepTest : public testing::Test {
 protected:
  SweepTest() {
    std::filesystem::create_directory(folder_ / "model");
    folder_.write("model/config.json", "{}");
  }

  // The good sweep with the section `name` ("b model") as `text`.
  std::string file(const std::string& name = "", const std::string& text = "") const {
    std::string all;
    for (const auto& [section, good_text] : good()) all += section == name ? text : good_text;
    return folder_.write("sweep.yaml", all);
  }
  Sweep load(const std::string& name = "", const std::string& text = "",
             const std::vector<std::string>& overrides = {}) const {
    return load_sweep(file(name, text), overrides);
  }

  TempFolder folder_;
};

TEST_F(SweepTest, ReadsEveryKey) {
  const Sweep sweep = load();
  EXPECT_EQ(sweep.model.path, folder_ / "model");
  EXPECT_EQ(sweep.model.device, "cpu");
  EXPECT_EQ(sweep.model.chat, "none");
  EXPECT_FALSE(sweep.model.threads);
  EXPECT_EQ(sweep.model.examples_in_flight(), 1);
  EXPECT_EQ(sweep.seed, 7u);
  EXPECT_EQ(sweep.output, "results");
  ASSERT_EQ(sweep.protocols.size(), 2u);
  EXPECT_EQ(sweep.protocols[1].question, Question::kAfter);
  ASSERT_EQ(sweep.tasks.size(), 1u);
  EXPECT_EQ(sweep.tasks[0].id, "niah");
  EXPECT_EQ(sweep.tasks[0].options.integers("lengths"), (std::vector{256, 512}));
  EXPECT_EQ(sweep.tasks[0].options.texts("keys"), (std::vector<std::string>{"Tallinn", "Bergen"}));
  EXPECT_EQ(sweep.tasks[0].options.seed, 7u);
  EXPECT_EQ(sweep.tasks[0].options.base_folder, folder_.path());
}

TEST_F(SweepTest, ListsExpandToProductsAndFullIsOnePoint) {
  const Sweep sweep = load();
  std::vector<std::string> names;
  for (const Point& point : sweep.points) names.push_back(point.name);
  EXPECT_EQ(names, (std::vector<std::string>{"full", "snapkv{kernel=5,pool=max,window=8} 64 entries",
                                             "snapkv{kernel=5,pool=max,window=8} 128 entries",
                                             "snapkv{kernel=5,pool=max,window=16} 64 entries",
                                             "snapkv{kernel=5,pool=max,window=16} 128 entries"}));
  EXPECT_EQ(sweep.points[0].unit, "full");
  EXPECT_EQ(sweep.points[1].policy, sweep.points[2].policy);  // ranked once
  EXPECT_EQ(policy_name(sweep.points[1]), "snapkv");
  EXPECT_EQ(sweep.points[4].amount, 128);
}

TEST_F(SweepTest, ProductsTakeTheLastOptionFastest) {
  const Sweep sweep = load("d policies", "policies: [{name: snapkv, window: [8, 16], kernel: [3, 5, 7]}]\n");
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < sweep.points.size(); i += 2) ids.push_back(sweep.points[i].policy->id());
  ASSERT_EQ(ids.size(), 6u);
  EXPECT_EQ(ids[0], "snapkv{kernel=3,pool=max,window=8}");
  EXPECT_EQ(ids[1], "snapkv{kernel=5,pool=max,window=8}");
  EXPECT_EQ(ids[3], "snapkv{kernel=3,pool=max,window=16}");
}

TEST_F(SweepTest, TheSeedOfTheProtocolReachesPoliciesThatHaveNoneOfTheirOwn) {
  const Sweep sweep = load("d policies", "policies: [{name: random}, {name: random, seed: 3}]\n");
  EXPECT_EQ(sweep.points.at(0).policy->id(), "random{seed=7}");
  EXPECT_EQ(sweep.points.at(2).policy->id(), "random{seed=3}");
}

TEST_F(SweepTest, ProtocolAxis) {
  const auto protocols = [&](const std::string& text) {
    std::vector<std::pair<Question, First>> out;
    for (const Protocol& p : load("c protocol", "protocol: " + text + "\n").protocols)
      out.emplace_back(p.question, p.first_token);
    return out;
  };
  using List = std::vector<std::pair<Question, First>>;
  EXPECT_EQ(protocols("{question: inside}"), (List{{Question::kInside, First::kEvicted}}));
  EXPECT_EQ(protocols("{question: [inside, after], first_token: [full, evicted]}"),
            (List{{Question::kInside, First::kFull},
                  {Question::kInside, First::kEvicted},
                  {Question::kAfter, First::kEvicted}}));
}

TEST_F(SweepTest, FidelityIsMeasuredWhereItIsAskedFor) {
  using Kind = Continuation::Kind;
  EXPECT_EQ(load().fidelity, Kind::kNone);
  EXPECT_EQ(load("", "", {"protocol.fidelity=answer"}).fidelity, Kind::kAnswer);
  const Sweep sweep = load("", "", {"protocol.fidelity=reference"});
  EXPECT_EQ(sweep.fidelity, Kind::kReference);
  EXPECT_EQ(make_plan(sweep, counting([](std::string_view) { return 1; })).fidelity, Kind::kReference);
  EXPECT_EQ(point_id(sweep.points[0], sweep.protocols[0], "f32"),
            point_id(load().points[0], load().protocols[0], "f32"))
      << "it changes no answer";
}

TEST_F(SweepTest, OverridesComeBeforeChecks) {
  const Sweep sweep = load("e budgets", "budgets: {unit: entries, values: [0]}\n",
                           {"budgets.values=[32]", "policies.1.window=4", "protocol.question=after",
                            "model.threads=3", "output.dir=elsewhere", "tasks.0.limit=1"});
  ASSERT_EQ(sweep.points.size(), 2u);
  EXPECT_EQ(sweep.points[1].name, "snapkv{kernel=5,pool=max,window=4} 32 entries");
  EXPECT_EQ(sweep.protocols.size(), 1u);
  EXPECT_EQ(sweep.model.threads, 3);
  EXPECT_EQ(sweep.output, "elsewhere");
  EXPECT_EQ(sweep.tasks[0].limit, 1);
  expect_refusal([&] { load("", "", {"policies.1.windw=4"}); }, "E-PO-02",
                 "\\(--set\\) policies\\[1\\].windw.*window", Exit::kSweep);
}

TEST_F(SweepTest, BudgetsMayBeAbsentForFullAlone) {
  std::string text;
  for (const auto& [name, section] : good())
    if (name != "e budgets") text += name == "d policies" ? "policies: [{name: full}]\n" : section;
  EXPECT_EQ(load_sweep(folder_.write("full.yaml", text)).points.size(), 1u);
}

TEST_F(SweepTest, PointIdsTellApartAllThatChangesAnAnswer) {
  const Sweep sweep =
      load("c protocol", "protocol: {question: [inside, after], first_token: [evicted, full]}\n");
  std::set<std::string> ids;
  for (const Point& point : sweep.points)
    for (const Protocol& protocol : sweep.protocols)
      for (const char* compute : {"f32", "bf16"}) ids.insert(point_id(point, protocol, compute));
  EXPECT_EQ(ids.size(), 5u * 3 * 2);
  EXPECT_EQ(ids.begin()->size(), 16u);
  // A changed id means that nothing is comparable with older results: change this line knowingly.
  EXPECT_EQ(point_id(sweep.points[0], sweep.protocols[0], "f32"), "84a7739e6acd8a10");
}

TEST_F(SweepTest, IdentityLeavesOutWhatCannotChangeResults) {
  const auto plain = identity(load());
  EXPECT_EQ(identity(load("", "", {"model.threads=2", "model.in_flight=3", "output.dir=other"})), plain);
  for (const char* change : {"protocol.seed=8", "model.chat=chatml", "model.device=reference",
                             "policies.1.kernel=7", "protocol.fidelity=answer", "tasks.0.lengths=[256]",
                             "tasks.0.limit=1", "protocol.question=inside", "budgets.unit=bytes"})
    EXPECT_NE(identity(load("", "", {change})), plain) << change;
}

struct BadSection {
  const char* name;
  const char* section;
  std::string text;
  const char* code;
  const char* words;
};
void PrintTo(const BadSection& bad, std::ostream* out) { *out << bad.name; }

class BadSweep : public SweepTest, public testing::WithParamInterface<BadSection> {};

TEST_P(BadSweep, IsRefused) {
  const BadSection& c = GetParam();
  expect_refusal([&] { load(c.section, c.text); }, c.code, std::string("sweep.yaml:.*") + c.words,
                 Exit::kSweep);
}

std::string model(const std::string& rest) { return "model: {" + rest + "}\n"; }
std::string protocol(const std::string& rest) { return "protocol: {" + rest + "}\n"; }
std::string policies(const std::string& one) { return "policies:\n  - " + one + "\n"; }
std::string budgets(const std::string& unit, const std::string& values) {
  return "budgets: {unit: " + unit + ", values: " + values + "}\n";
}
std::string tasks(const std::string& list) { return "tasks: " + list + "\n"; }

std::string numbers(int count) {
  std::string out = "1";
  for (int i = 2; i <= count; ++i) out += "," + std::to_string(i);
  return out;
}

INSTANTIATE_TEST_SUITE_P(
    File, BadSweep,
    testing::Values(
        BadSection{"VersionAbsent", "a version", "", "E-YM-21", "\"version\" is absent"},
        BadSection{"VersionTwo", "a version", "version: 2\n", "E-YM-21", "1:10 version: version 2"},
        BadSection{"VersionQuoted", "a version", "version: '1'\n", "E-YM-08", "1:10 version: .*quotes"},
        BadSection{"VersionFraction", "a version", "version: 1.0\n", "E-YM-08", "write 1"},
        BadSection{"UnknownSection", "a version", "version: 1\nbudget: 5\n", "E-YM-02",
                   "2:1 budget: .*budgets"},
        BadSection{"Include", "a version", "version: 1\ninclude: other.yaml\n", "E-YM-02",
                   "include: unknown key"},
        BadSection{"ModelAbsent", "b model", "", "E-YM-20", "\"model\" is absent"},
        BadSection{"ProtocolAbsent", "c protocol", "", "E-YM-20", "\"protocol\" is absent"},
        BadSection{"PoliciesAbsent", "d policies", "", "E-YM-20", "\"policies\" is absent"},
        BadSection{"BudgetsAbsent", "e budgets", "", "E-YM-20", "policies\\[1\\]: this policy needs budgets"},
        BadSection{"TasksAbsent", "f tasks", "", "E-YM-20", "\"tasks\" is absent"},
        BadSection{"OutputAbsent", "g output", "", "E-YM-20", "\"output\" is absent"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Model, BadSweep,
    testing::Values(
        BadSection{"NoMap", "b model", "model: smollm2\n", "E-YM-09",
                   "2:8 model: a single value; expected a map"},
        BadSection{"UnknownKey", "b model", model("path: model, devise: cpu"), "E-YM-02",
                   "2:22 model.devise: .*device"},
        BadSection{"NoPath", "b model", model("device: cpu"), "E-YM-20", "model: \"path\" is absent"},
        BadSection{"PathMissing", "b model", model("path: none"), "E-YM-19",
                   "2:15 model.path: there is no \".*/none\""},
        BadSection{"PathEmpty", "b model", model("path: ''"), "E-YM-19", "an empty path"},
        BadSection{"PathNul", "b model", model("path: \"a\\0b\""), "E-YM-19", "control character"},
        BadSection{"PathHome", "b model", model("path: ~/model"), "E-YM-18", "shell"},
        BadSection{"PathVariable", "b model", model("path: \"${HOME}/m\""), "E-YM-18", "write the path out"},
        BadSection{"PathList", "b model", model("path: [model]"), "E-YM-09", "a list"},
        BadSection{"DeviceUnknown", "b model", model("path: model, device: gpu"), "E-YM-14",
                   "model.device: .*cpu"},
        BadSection{"ComputeCuda", "b model", model("path: model, device: cuda, compute: bf16dot"), "E-YM-14",
                   "device cuda.*bf16 or f16 or f32"},
        BadSection{"ComputeUnknown", "b model", model("path: model, compute: f31"), "E-YM-14",
                   "did you mean f32"},
        BadSection{"ComputeBf16", "b model", model("path: model, compute: bf16"), "E-YM-14",
                   "\"bf16\".*f32 or bf16dot"},
        BadSection{"ComputeF16", "b model", model("path: model, compute: f16"), "E-YM-14", "\"f16\""},
        BadSection{"ChatUnknown", "b model", model("path: model, chat: chatlm"), "E-YM-14",
                   "did you mean chatml"},
        BadSection{"ChatNo", "b model", model("path: model, chat: no"), "E-YM-14",
                   "model.chat: unknown value \"no\""},
        BadSection{"ThreadsZero", "b model", model("path: model, threads: 0"), "E-YM-16", "from 1 to 1024"},
        BadSection{"ThreadsMany", "b model", model("path: model, threads: 1000000"), "E-YM-16",
                   "from 1 to 1024"},
        BadSection{"InFlightZero", "b model", model("path: model, in_flight: 0"), "E-YM-16", "from 1 to 64"},
        BadSection{"InFlightMany", "b model", model("path: model, in_flight: 65"), "E-YM-16", "from 1 to 64"},
        BadSection{"ThreadsText", "b model", model("path: model, threads: all"), "E-YM-08", "an integer"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Protocol, BadSweep,
    testing::Values(
        BadSection{"UnknownKey", "c protocol", protocol("question: inside, sead: 1"), "E-YM-02",
                   "did you mean seed"},
        BadSection{"QueryAware", "c protocol", protocol("query_aware: true"), "E-YM-02",
                   "query_aware: unknown key"},
        BadSection{"QuestionAbsent", "c protocol", protocol("seed: 1"), "E-YM-20", "\"question\" is absent"},
        BadSection{"QuestionUnknown", "c protocol", protocol("question: [inside, outside]"), "E-YM-14",
                   "3:31 protocol.question\\[1\\]: .*inside"},
        BadSection{"QuestionTwice", "c protocol", protocol("question: [after, after]"), "E-YM-15",
                   "a second time"},
        BadSection{"QuestionNone", "c protocol", protocol("question: []"), "E-YM-10",
                   "leaves nothing to run"},
        BadSection{"QuestionMap", "c protocol", protocol("question: {inside: true}"), "E-YM-09", "a map"},
        BadSection{"FirstUnknown", "c protocol", protocol("question: inside, first_token: first"), "E-YM-14",
                   "evicted, full"},
        BadSection{"FirstFullAfter", "c protocol", protocol("question: after, first_token: full"), "E-YM-12",
                   "no meaning"},
        BadSection{"FidelityUnknown", "c protocol", protocol("question: inside, fidelity: full"), "E-YM-14",
                   "answer, reference"},
        BadSection{"FidelityList", "c protocol", protocol("question: inside, fidelity: [answer, reference]"),
                   "E-YM-09", "a list"},
        BadSection{"SeedNegative", "c protocol", protocol("question: inside, seed: -1"), "E-YM-16",
                   "protocol.seed: .*out of range"},
        BadSection{"SeedHuge", "c protocol", protocol("question: inside, seed: 18446744073709551616"),
                   "E-YM-16", "out of range"},
        BadSection{"SeedFraction", "c protocol", protocol("question: inside, seed: 4.2"), "E-YM-08",
                   "not plainly"},
        BadSection{"SeedHex", "c protocol", protocol("question: inside, seed: 0x2a"), "E-YM-08",
                   "not plainly"},
        BadSection{"SeedNull", "c protocol", protocol("question: inside, seed: ~"), "E-YM-08", "no value"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Policies, BadSweep,
    testing::Values(
        BadSection{"NoList", "d policies", "policies: {name: full}\n", "E-YM-09", "no list of policies"},
        BadSection{"Empty", "d policies", "policies: []\n", "E-YM-10", "no list of policies"},
        BadSection{"Text", "d policies", policies("full"), "E-YM-09",
                   "5:5 policies\\[0\\]: a single value; expected a map"},
        BadSection{"NoName", "d policies", policies("{window: 8}"), "E-YM-20",
                   "policies\\[0\\]: \"name\" is absent"},
        BadSection{"NameUnknown", "d policies", policies("{name: snapvk}"), "E-PO-01",
                   "5:12 policies\\[0\\].name: .*snapkv"},
        BadSection{"NameList", "d policies", policies("{name: [full, snapkv]}"), "E-YM-09", "a list"},
        BadSection{"OptionUnknown", "d policies", policies("{name: snapkv, windw: 8}"), "E-PO-02",
                   "windw.*window"},
        BadSection{"OptionOfAnother", "d policies", policies("{name: streaming_llm, kernel: 7}"), "E-PO-02",
                   "kernel"},
        BadSection{"OptionOfFull", "d policies", policies("{name: full, window: 8}"), "E-PO-02", "window"},
        BadSection{"OptionNull", "d policies", policies("{name: snapkv, window: ~}"), "E-YM-08",
                   "window: no value"},
        BadSection{"OptionEmptyList", "d policies", policies("{name: snapkv, window: []}"), "E-YM-10",
                   "window: an empty list"},
        BadSection{"OptionMap", "d policies", policies("{name: snapkv, window: {a: 1}}"), "E-YM-09", "a map"},
        BadSection{"OptionNested", "d policies", policies("{name: snapkv, window: [[8]]}"), "E-YM-09",
                   "a list"},
        BadSection{"OptionQuoted", "d policies", policies("{name: snapkv, window: '8'}"), "E-YM-08",
                   "in quotes"},
        BadSection{"OptionOctal", "d policies", policies("{name: snapkv, window: 010}"), "E-YM-08",
                   "leading zero"},
        BadSection{"OptionHex", "d policies", policies("{name: snapkv, window: 0x10}"), "E-YM-08",
                   "not plainly"},
        BadSection{"OptionExponent", "d policies", policies("{name: snapkv, window: 1e1}"), "E-PO-03",
                   "window"},
        BadSection{"WindowZero", "d policies", policies("{name: snapkv, window: 0}"), "E-PO-03",
                   "5:28 policies\\[0\\].window: window = '0' of policy snapkv"},
        BadSection{"WindowSecondInList", "d policies", policies("{name: snapkv, window: [8, -1]}"), "E-PO-03",
                   "policies\\[0\\].window\\[1\\]"},
        BadSection{"KernelEven", "d policies", policies("{name: snapkv, kernel: 4}"), "E-PO-03", "odd"},
        BadSection{"PoolUnknown", "d policies", policies("{name: snapkv, pool: maks}"), "E-PO-03", "max"},
        BadSection{"AlphaAboveOne", "d policies", policies("{name: adakv, alpha: 1.5}"), "E-PO-03", "alpha"},
        BadSection{"BaseUnknown", "d policies", policies("{name: adakv, base: full}"), "E-PO-03", "base"},
        BadSection{"BetaBelowOne", "d policies", policies("{name: pyramidkv, beta: 0.5}"), "E-PO-03", "beta"},
        BadSection{"SamePolicyTwice", "d policies",
                   "policies:\n  - {name: snapkv}\n  - {name: snapkv, window: 32}\n", "E-YM-15",
                   "from 5:5 policies\\[0\\] with .* and from 6:5 policies\\[1\\] with"},
        BadSection{"SameValueTwice", "d policies", policies("{name: snapkv, window: [8, 16, 8]}"), "E-YM-15",
                   "is there twice"},
        BadSection{"FullTwice", "d policies", "policies: [{name: full}, {name: full}]\n", "E-YM-15",
                   "\"full\" is there twice"},
        BadSection{"TooManyPoints", "d policies",
                   policies("{name: snapkv, window: [" + numbers(800) + "], kernel: [" + numbers(800) + "]}"),
                   "E-YM-10", "0 points and, in one policy, 800 x 800 x 2 more; expected at most 1000000"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Budgets, BadSweep,
    testing::Values(
        BadSection{"UnknownKey", "e budgets", "budgets: {unit: entries, vals: [1]}\n", "E-YM-02",
                   "did you mean values"},
        BadSection{"UnitAbsent", "e budgets", "budgets: {values: [64]}\n", "E-YM-20", "\"unit\" is absent"},
        BadSection{"UnitUnknown", "e budgets", budgets("tokens", "[64]"), "E-YM-14",
                   "one of entries, ratio, bytes"},
        BadSection{"ValuesAbsent", "e budgets", "budgets: {unit: ratio}\n", "E-YM-20",
                   "\"values\" is absent"},
        BadSection{"ValuesNone", "e budgets", budgets("ratio", "[]"), "E-YM-10", "no budget"},
        BadSection{"Zero", "e budgets", budgets("entries", "[64, 0]"), "E-YM-11",
                   "budgets.values\\[1\\]: \"0\" keeps nothing"},
        BadSection{"Negative", "e budgets", budgets("entries", "-1"), "E-YM-11",
                   "budgets.values: \"-1\" keeps nothing"},
        BadSection{"HalfAnEntry", "e budgets", budgets("entries", "[0.5]"), "E-YM-11",
                   "less than one.*unit: ratio"},
        BadSection{"HalfEntries", "e budgets", budgets("entries", "[64.5]"), "E-YM-08",
                   "not plainly an integer"},
        BadSection{"Exponent", "e budgets", budgets("entries", "[1e3]"), "E-YM-08", "write 1000"},
        BadSection{"PerCent", "e budgets", budgets("ratio", "[50%]"), "E-YM-08", "per cent"},
        BadSection{"RatioTwo", "e budgets", budgets("ratio", "[0.5, 2]"), "E-YM-11",
                   "at most 1.*unit: entries"},
        BadSection{"RatioZero", "e budgets", budgets("ratio", "[0.0]"), "E-YM-11", "keeps nothing"},
        BadSection{"RatioNegative", "e budgets", budgets("ratio", "[-0.5]"), "E-YM-11", "keeps nothing"},
        BadSection{"Nan", "e budgets", budgets("ratio", "[.nan]"), "E-YM-08", "finite"},
        BadSection{"Infinite", "e budgets", budgets("entries", "[.inf]"), "E-YM-08", "finite"},
        BadSection{"Quoted", "e budgets", budgets("entries", "['64']"), "E-YM-08", "quotes"},
        BadSection{"Null", "e budgets", budgets("entries", "[64, ~]"), "E-YM-08", "no value"},
        BadSection{"BeyondAnyCache", "e budgets", budgets("entries", "[4294967296]"), "E-YM-11",
                   "beyond any cache"},
        BadSection{"HalfAByte", "e budgets", budgets("bytes", "[0.5]"), "E-YM-11", "less than one"},
        BadSection{"Twice", "e budgets", budgets("ratio", "[0.5, 0.50]"), "E-YM-15",
                   "values\\[0\\] and from .*values\\[1\\]"},
        BadSection{"Nested", "e budgets", budgets("entries", "[[64]]"), "E-YM-09", "a list"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    TasksAndOutput, BadSweep,
    testing::Values(
        BadSection{"TasksMap", "f tasks", tasks("{name: niah}"), "E-YM-09", "no list of tasks"},
        BadSection{"TasksNone", "f tasks", tasks("[]"), "E-YM-10", "no list of tasks"},
        BadSection{"TaskText", "f tasks", tasks("[niah]"), "E-YM-09", "tasks\\[0\\]: a single value"},
        BadSection{"TaskNoName", "f tasks", tasks("[{lengths: 512}]"), "E-YM-20", "\"name\" is absent"},
        BadSection{"TaskNameNull", "f tasks", tasks("[{name: ~}]"), "E-YM-08", "no value"},
        BadSection{"TaskTwice", "f tasks", tasks("[{name: niah}, {name: niah}]"), "E-YM-15",
                   "second task.*\"niah\""},
        BadSection{"TaskIdTwice", "f tasks", tasks("[{name: niah, id: a}, {name: niah, id: a}]"), "E-YM-15",
                   "\"a\""},
        BadSection{"TaskMap", "f tasks", tasks("[{name: niah, lengths: {a: 1}}]"), "E-YM-09",
                   "tasks\\[0\\].lengths: a map"},
        BadSection{"TaskNested", "f tasks", tasks("[{name: niah, lengths: [[1]]}]"), "E-YM-09",
                   "lengths\\[0\\]: a list"},
        BadSection{"LimitZero", "f tasks", tasks("[{name: niah, limit: 0}]"), "E-YM-16",
                   "tasks\\[0\\].limit"},
        BadSection{"LimitNegative", "f tasks", tasks("[{name: niah, limit: -5}]"), "E-YM-16", "limit"},
        BadSection{"LimitList", "f tasks", tasks("[{name: niah, limit: [1, 2]}]"), "E-YM-09",
                   "limit: a list"},
        BadSection{"OutputText", "g output", "output: results\n", "E-YM-09",
                   "output: a single value; expected a map"},
        BadSection{"OutputKey", "g output", "output: {dri: results}\n", "E-YM-02", "did you mean dir"},
        BadSection{"OutputEmpty", "g output", "output: {dir: ''}\n", "E-YM-19", "an empty path"},
        BadSection{"OutputVariable", "g output", "output: {dir: \"${OUT}\"}\n", "E-YM-18", "shell"},
        BadSection{"OutputNull", "g output", "output: {dir: }\n", "E-YM-08", "no value"}),
    [](const auto& test) { return test.param.name; });

TEST_F(SweepTest, OutputMustHaveAFolderOfItsOwn) {
  const auto output = [&](const std::string& dir) {
    return [this, dir] { load("g output", "output: {dir: " + dir + "}\n"); };
  };
  expect_refusal(output(folder_ / "model"), "E-YM-17", "lies in the model folder", Exit::kSweep);
  expect_refusal(output(folder_ / "model/results/a"), "E-YM-17", "lies in the model folder", Exit::kSweep);
  expect_refusal(output(folder_ / "other/../model/x"), "E-YM-17", "lies in the model folder", Exit::kSweep);
  std::filesystem::create_directory_symlink(folder_ / "model", folder_ / "link");
  expect_refusal(output(folder_ / "link/results"), "E-YM-17", "lies in the model folder", Exit::kSweep);
  expect_refusal(output(folder_ / "sweep.yaml"), "E-YM-17", "is a file", Exit::kSweep);
  EXPECT_NO_THROW(output(folder_ / "model-results")());
}

TEST_F(SweepTest, TasksOfADataset) {
  const auto plan = [&](const std::string& list) {
    return [this, list] {
      make_plan(load("f tasks", tasks(list)), counting([](std::string_view) { return 1; }));
    };
  };
  expect_refusal(plan("[{name: nia}]"), "E-TK-07", "sweep.yaml:.*tasks\\[0\\].name.*niah", Exit::kSweep);
  expect_refusal(plan("[{name: niah, lenghts: [512]}]"), "E-TK-01", "tasks\\[0\\].lenghts.*lengths",
                 Exit::kSweep);
  expect_refusal(plan("[{name: niah}]"), "E-TK-02", "8:9 tasks\\[0\\]: the task has no", Exit::kSweep);
}

int words(std::string_view text) {
  return text.empty() ? 0 : 1 + static_cast<int>(std::count(text.begin(), text.end(), ' '));
}

TEST_F(SweepTest, PlanListsEveryCellInOrder) {
  const Plan plan = make_plan(load("", "", {"tasks.0.limit=3"}), counting(words));
  EXPECT_EQ(plan.cells(), 3 * 2 * 5);
  const std::vector<RecordKey> keys = plan.keys();
  ASSERT_EQ(keys.size(), 30u);
  std::set<std::string> distinct;
  for (const RecordKey& key : keys) distinct.insert(key.task + key.example + key.point);
  EXPECT_EQ(distinct.size(), 30u);
  EXPECT_EQ(keys[0].point, point_id(plan.points[0], plan.protocols[0], "f32"));
  EXPECT_EQ(keys[4].example, keys[0].example);
  EXPECT_NE(keys[5].example, keys[0].example);
  EXPECT_EQ(keys[15].example, keys[0].example);
  EXPECT_EQ(keys[15].point, point_id(plan.points[0], plan.protocols[1], "f32"));
}

TEST_F(SweepTest, PlanPredictsSharesAndBytes) {
  const KvShape shape{.layers = 4, .q_heads = 8, .kv_heads = 2, .head_dim = 16, .tokens = 1000};
  const Sweep sweep = load("e budgets", budgets("entries", "[100, 2000]"));
  const Share full = predict(sweep.points[0], shape), some = predict(sweep.points[1], shape),
              more = predict(sweep.points[2], shape);
  EXPECT_EQ(full.entries, 8000);
  EXPECT_EQ(full.bytes, 8000 * 16 * 2 * 4);
  EXPECT_EQ(some.entries, 800);
  EXPECT_EQ(some.mean, 100);
  EXPECT_FALSE(some.whole);
  EXPECT_EQ(more.entries, 8000);
  EXPECT_TRUE(more.whole);
  const Sweep ratio = load("e budgets", budgets("ratio", "[0.9]"));
  EXPECT_EQ(predict(ratio.points[1], shape).entries, 7200);
  const Sweep bytes = load("e budgets", budgets("bytes", "[102400]"));
  EXPECT_EQ(predict(bytes.points[1], shape).bytes, 102400);
}

TEST_F(SweepTest, PlanIsDescribed) {
  const KvShape shape{.layers = 4, .q_heads = 8, .kv_heads = 2, .head_dim = 16, .tokens = 0};
  const Plan plan = make_plan(load(), counting(words));
  const MemoryForecast memory{
      .weights = 1'000'000, .snapshot = 20'000, .prefill = 5, .tables = 3'000, .kept = 400, .step = 50};
  const std::string text = describe(plan, shape, memory);
  for (const char* part :
       {"niah: 8 examples, prompts of 256, 512 tokens", "question after, first token evicted",
        "snapkv{kernel=5,pool=max,window=16} 128 entries", "256 tokens", "512 tokens",
        "8 examples x 2 protocols x 5 points = 80 records",
        "peak memory: 1.0 MB = weights 1.0 MB + prompt 20.0 kB + the greater of: prefill 5 B; statistics 3.0 "
        "kB"})
    EXPECT_NE(text.find(part), text.npos) << part << "\n" << text;
  const Json json = Json::from_text(describe_json(plan, shape, memory), "plan", {});
  EXPECT_EQ(json.at("records").integer(), 80);
  EXPECT_EQ(json.at("memory").at("peak").integer(), 1'023'450);
  const Json point = json.at("points")[1];
  EXPECT_EQ(point.at("ids").size(), 2u);
  EXPECT_EQ(point.at("shares")[1].at("tokens").integer(), 512);
  EXPECT_EQ(point.at("shares")[1].at("entries").integer(), 64 * 8);
  EXPECT_EQ(point.at("shares")[1].at("bytes").integer(), 64 * 8 * 16 * 2 * 4);
}

}  // namespace
}  // namespace evictbench
