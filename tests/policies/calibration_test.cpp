// Files of head scores, orders of heads and layer scores: placed by key, checked against the model, refused in one line.
#include "policies/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "core/error.h"
#include "core/io/file.h"
#include "policies/registry.h"
#include "tests/support/calibration_files.h"
#include "tests/support/fixtures.h"

namespace evictbench {
namespace {

using testing::HasSubstr;

std::string refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    EXPECT_EQ(e.exit(), Exit::kInput) << e.what();
    EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
    EXPECT_THAT(e.what(), HasSubstr("scores.json")) << "names the file";
    EXPECT_THAT(e.what(), HasSubstr("Mend: "));
    return e.what();
  }
  return "";
}

const KvShape kModel{2, 2, 1, 4, 50};  // L = 2, H = 2, G = 1

Options::File file(const std::string& text) { return {"scores.json", text}; }

void use_heads(const std::string& text) { read_head_scores(file(text)).lane_weights(kModel, 1); }
void use_order(const std::string& text) { read_head_order(file(text)).best(kModel, 2); }
void use_layers(const std::string& text) { read_layer_scores(file(text)).of(kModel); }

struct Bad {
  const char *text, *code;
};

// What no reader of head scores takes, as scores or as an order made of them.
const Bad kBadHeads[] = {
    {"", "E-HS-F07"},
    {" ", "E-HS-F07"},
    {"null", "E-HS-02"},
    {"[]", "E-HS-02"},
    {"{}", "E-HS-02"},
    {"\"0-0\"", "E-HS-02"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-1": [1])", "E-HS-J01"},      // cut
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-1": [1]} {})", "E-HS-J01"},  // a second value
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-1": [1],})", "E-HS-J01"},    // a comma too many
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "0-0": [1]})", "E-HS-J04"},     // a key twice
    {R"({"0-0": [1], "0-1": [1], "1-0": [1]})", "E-HS-02"},                  // a head is absent
    {R"({"0-0": [1], "0-1": [1], "1-1": [1]})", "E-HS-02"},                  // one in between
    {R"({"0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-02"},                  // the first
    {R"({"0-0": [1], "0-1": [1], "2-0": [1], "2-1": [1]})", "E-HS-02"},      // a layer is absent
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1_1": [1]})", "E-HS-02"},      // garbled keys
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-01": [1]})", "E-HS-02"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "01-1": [1]})", "E-HS-02"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-+1": [1]})", "E-HS-02"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1--1": [1]})", "E-HS-02"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-1 ": [1]})", "E-HS-02"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-": [1]})", "E-HS-02"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-1-1": [1]})", "E-HS-02"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-0x1": [1]})", "E-HS-02"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-99999999999": [1]})", "E-HS-02"},
    {R"({"0-0": [1], "65535-65535": [1]})", "E-HS-02"},                               // no huge table is made
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-1": [1], "note": [1]})", "E-HS-02"},  // no head
    {R"({"0-0": [], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-04"},                // no mean
    {R"({"0-0": 1, "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-04"},
    {R"({"0-0": null, "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-04"},
    {R"({"0-0": {"a": 1}, "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-04"},
    {R"({"0-0": ["1"], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-J05"},
    {R"({"0-0": [[1]], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-J05"},
    {R"({"0-0": [true], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-J05"},
    {R"({"0-0": [NaN], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-J01"},
    {R"({"0-0": [Infinity], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-J01"},
    {R"({"0-0": [1e999], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-J0"},
    {R"({"0-0": [1e13], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-J06"},
    {R"({"0-0": [-0.1], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-J06"},
    {R"({"0-0": [0], "0-1": [0, 0], "1-0": [0], "1-1": [0]})", "E-HS-06"},  // 0 / 0
    {R"({"0-0": [1], "0-1": [1]})", "E-HS-03"},                             // another model's
    {R"({"0-0": [1], "1-0": [1]})", "E-HS-03"},                             // one score per KV head
    {R"({"0-0": [1], "0-1": [1], "0-2": [1], "1-0": [1], "1-1": [1], "1-2": [1]})", "E-HS-03"},
    {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-1": [1], "2-0": [1], "2-1": [1]})", "E-HS-03"},
};

TEST(Calibration, BadHeadScoresAreRefused) {
  for (const Bad& bad : kBadHeads) {
    EXPECT_THAT(refusal([&] { use_heads(bad.text); }), HasSubstr(bad.code)) << bad.text;
    EXPECT_THAT(refusal([&] { use_order(bad.text); }), HasSubstr(bad.code)) << bad.text;
  }
  EXPECT_THAT(refusal([] { use_heads(R"({"0": [0, 1], "1": [1, 0]})"); }),
              HasSubstr("an order of heads has no scores"));
}

TEST(Calibration, BadOrdersAreRefused) {
  const Bad bad[] = {
      {R"({"0": [0, 1]})", "E-HS-03"},
      {R"({"0": [0, 1], "1": [1, 0], "2": [0, 1]})", "E-HS-03"},
      {R"({"0": [0], "1": [0]})", "E-HS-03"},
      {R"({"0": [0, 1], "2": [1, 0]})", "E-HS-02"},
      {R"({"1": [0, 1], "2": [1, 0]})", "E-HS-02"},
      {R"({"0": [0, 1], "01": [1, 0]})", "E-HS-02"},
      {R"({"0": [0, 1], "avg": [1, 0]})", "E-HS-02"},
      {R"({"0": [0, 1], "1-0": [1]})", "E-HS-02"},
      {R"({"0": [0, 0], "1": [1, 0]})", "E-HS-07"},
      {R"({"0": [0, 1], "1": [1, 2]})", "E-HS-07"},
      {R"({"0": [0, 1], "1": [1, -1]})", "E-HS-07"},
      {R"({"0": [0, 1], "1": [1]})", "E-HS-07"},
      {R"({"0": [0, 1], "1": [1, 0, 2]})", "E-HS-07"},
      {R"({"0": [], "1": [1, 0]})", "E-HS-07"},
      {R"({"0": 0, "1": [1, 0]})", "E-HS-07"},
      {R"({"0": [0, 1.5], "1": [1, 0]})", "E-HS-J05"},
      {R"({"0": [0, "1"], "1": [1, 0]})", "E-HS-J05"},
      {R"({"0": [0, 99999999999999999999], "1": [1, 0]})", "E-HS-J0"},
  };
  for (const Bad& b : bad) EXPECT_THAT(refusal([&] { use_order(b.text); }), HasSubstr(b.code)) << b.text;
  EXPECT_THAT(refusal([] { read_head_order(file(R"({"0": [0, 1], "1": [1, 0]})")).best(kModel, 3); }),
              HasSubstr("E-HS-08"));
}

TEST(Calibration, BadLayerScoresAreRefused) {
  const Bad bad[] = {
      {"", "E-HS-F07"},
      {"[0.5, 0.5]", "E-HS-02"},
      {"{}", "E-HS-02"},
      {R"({"avg_score": [0.5]})", "E-HS-03"},
      {R"({"avg_score": [0.5, 0.25, 0.25]})", "E-HS-03"},
      {R"({"avg_score": []})", "E-HS-09"},
      {R"({"avg_score": 0.5})", "E-HS-09"},
      {R"({"avg_score": [0.5, NaN]})", "E-HS-J01"},
      {R"({"avg_score": [0.5, null]})", "E-HS-J05"},
      {R"({"avg_score": [1.5, -0.5]})", "E-HS-J06"},
      {R"({"avg_score": [0, 0]})", "E-HS-06"},
      {R"({"avg_score": [0.5, 0.5], "avg_score": [0.5, 0.5]})", "E-HS-J04"},
      {"{\"a\": [0.5, 0.5]}\n{\"b\": [0.5, 0.5]}",
       "E-HS-J01"},  // lines, of which published code reads the first
      {R"({"a": [0.5, 0.5], "b": [1]})", "E-HS-09"},
      {R"({"a": [0.5, 0.5], "b": "none"})", "E-HS-09"},
      {R"({"a": [0.5, 0.5], "b": [0, 0]})", "E-HS-06"},
      {R"({"0-0": [1], "0-1": [1], "1-0": [1], "1-1": [1]})", "E-HS-03"},  // head scores
  };
  for (const Bad& b : bad) EXPECT_THAT(refusal([&] { use_layers(b.text); }), HasSubstr(b.code)) << b.text;
}

TEST(Calibration, WhatIsWrongIsNamedWhereItIs) {
  EXPECT_THAT(refusal([] { use_heads("{\"0-0\": [1],\n \"0-1\": [1, -2], \"1-0\": [1], \"1-1\": [1]}"); }),
              HasSubstr("scores.json:2:"));
  EXPECT_THAT(refusal([] { use_heads(R"({"0-0": [1], "0-1": [1, -2], "1-0": [1], "1-1": [1]})"); }),
              HasSubstr("/0-1/1"));
  EXPECT_THAT(refusal([] { use_heads(R"({"0-0": [1], "0-1": [1], "1-1": [1]})"); }),
              HasSubstr("no key for layer 1, head 0"));
  EXPECT_THAT(refusal([] { use_heads(R"({"0-0": [1], "0-1": [1]})"); }),
              HasSubstr("1 layers of 2 heads; expected 2 layers of 2 query heads"));
}

TEST(Calibration, EverySliceOfAFileIsRefused) {
  const std::string good = some_head_scores(2, 2), layers = some_layer_scores(2);
  use_heads(good);
  use_layers(layers);
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_NE(refusal([&] { use_heads(good.substr(0, n)); }), "") << n;
  for (std::size_t n = 0; n < layers.size(); ++n)
    EXPECT_NE(refusal([&] { use_layers(layers.substr(0, n)); }), "") << n;
}

TEST(Calibration, HeadsArePlacedByTheirKeys) {
  const std::string in_order = R"({"0-0": [1, 0], "0-1": [2], "1-0": [3], "1-1": [4.5, 3.5]})",
                    shuffled = R"({"1-1": [4.5, 3.5], "0-1": [2], "1-0": [3], "0-0": [1, 0]})";
  for (const std::string& text : {in_order, shuffled}) {
    const HeadScores scores = read_head_scores(file(text));
    EXPECT_EQ(scores.means, (std::vector<double>{.5, 2, 3, 4}));
    EXPECT_EQ(scores.lane_weights({2, 2, 2, 4, 9}, 1),
              (std::vector<double>{.5 / 9.5, 2 / 9.5, 3 / 9.5, 4 / 9.5}));
    EXPECT_EQ(read_head_order(file(text)).order, (std::vector<int>{1, 0, 1, 0}));
  }
  EXPECT_EQ(read_head_order(file(R"({"1": [1, 0], "0": [0, 1]})")).order, (std::vector<int>{0, 1, 1, 0}));
  std::string many = "{";  // "10-0" comes before "2-0" where keys are sorted as texts
  for (int layer = 0; layer < 12; ++layer)
    many += fmt::format("{}\"{}-0\": [{}]", layer ? ", " : "", layer, layer);
  const HeadScores scores = read_head_scores(file(many + "}"));
  EXPECT_EQ(scores.layers, 12);
  for (std::size_t layer = 0; layer < 12; ++layer) EXPECT_EQ(scores.means[layer], static_cast<double>(layer));
}

TEST(Calibration, EqualHeadsStandInTheirOrder) {
  EXPECT_EQ(read_head_order(file(R"({"0-0": [1], "0-1": [2], "0-2": [2], "0-3": [1]})")).order,
            (std::vector<int>{1, 2, 0, 3}));
}

TEST(Calibration, TemperatureSharpensOrFlattens) {
  const HeadScores scores = read_head_scores(file(R"({"0-0": [1], "0-1": [3], "0-2": [0], "0-3": [4]})"));
  const KvShape grouped{1, 4, 2, 4, 9};
  const auto weights = [&](double temperature) { return scores.lane_weights(grouped, temperature); };
  const auto expect = [&](double temperature, double first) {
    EXPECT_NEAR(weights(temperature)[0], first, 1e-15) << temperature;
    EXPECT_NEAR(weights(temperature)[0] + weights(temperature)[1], 1, 1e-15);
  };
  expect(1, .5);
  expect(2, 10.0 / 26);
  expect(0, .5);
  expect(.5, (1 + std::sqrt(3)) / (3 + std::sqrt(3)));
}

TEST(Calibration, LayerScoresSumToOne) {
  const auto scores = [](const std::string& text) { return read_layer_scores(file(text)).scores; };
  EXPECT_EQ(scores(R"({"avg_score": [0.25, 0.75]})"), (std::vector<double>{.25, .75}));
  EXPECT_EQ(scores(R"({"avg_score": [2, 6]})"), (std::vector<double>{.25, .75}));
  EXPECT_EQ(scores(R"({"avg_score": [0.25, 0.75], "more": "is not read"})"), (std::vector<double>{.25, .75}));
  EXPECT_EQ(scores(R"({"a": [1, 1], "b": [0, 8]})"), (std::vector<double>{.25, .75}))
      << "datasets count the same";
}

TEST(Calibration, DatasetsAreReadFromAnObjectAndFromLines) {
  const DatasetScores expected{{"a", {.25, .75}}, {"b", {0, 1}}};
  for (const char* text : {R"({"a": [1, 3], "avg_score": [1, 0], "b": [0, 8]})",
                           "{\n \"a\": [1, 3],\n \"b\": [0, 8]}\n", "{\"a\": [1, 3]}\n{\"b\": [0, 8]}",
                           "{\"a\": [1, 3]} \r\n\n{\"b\": [0, 8], \"avg_score\": [1, 0]}\n\n"})
    EXPECT_EQ(read_dataset_scores(file(text)), expected) << text;
  EXPECT_EQ(average_of(expected), (std::vector<double>{.125, .875}));
  const Bad bad[] = {
      {"", "E-HS-F07"},
      {"{\"a\": [1, 3]}\n{\"a\": [0, 8]}", "E-HS-10"},
      {"{\"a\": [1, 3]}\n{\"b\": [8]}", "E-HS-09"},
      {"{\"a\": [1, 3]}\n{\"b\": [0, 0]}", "E-HS-06"},
      {"{\"a\": [1, 3]}\n{\"b\": [0, 8]", "E-HS-J01"},
      {"{\"a\": [1, 3]}\n{\"b\": [0, -8]}", "scores.json:2:"},
      {"{\"a\": [1, 3]}\n{}", "E-HS-02"},
      {"{\"a\": [1, 3]}\nb", "E-HS-J01"},
      {R"({"avg_score": [1, 3]})", "E-HS-09"},
  };
  for (const Bad& b : bad)
    EXPECT_THAT(refusal([&] { read_dataset_scores(file(b.text)); }), HasSubstr(b.code)) << b.text;
}

TEST(Calibration, PublishedAveragesAreTheMeansOfTheirDatasets) {
  int files = 0;
  for (const char* model : {"Llama-3.1-8B-Instruct", "Mistral-7B-Instruct-v0.3"}) {
    const std::string path =
        fmt::format("{}/../shared/data/head_scores/{}_layer_score.jsonl", EVICTBENCH_SOURCE_DIR, model);
    if (!is_file(path)) continue;
    ++files;
    const Options::File published{path, read_text(path, Exit::kInput, "E-HS")};
    const DatasetScores datasets = read_dataset_scores(published);
    EXPECT_EQ(datasets.size(), 16u);
    const std::vector<double> mean = average_of(datasets), shipped = read_layer_scores(published).scores;
    ASSERT_EQ(mean.size(), 32u);
    for (std::size_t l = 0; l < 32; ++l) EXPECT_NEAR(mean[l], shipped[l], 1e-15) << model << " layer " << l;
  }
  if (files < 2) GTEST_SKIP() << files << " of 2 published files are there";
}

TEST(Calibration, AnotherModelsFileIsRefusedBeforeAnythingRuns) {
  const KvShape mine{2, 4, 2, 8, 40}, deeper{3, 4, 2, 8, 40}, wider{2, 8, 2, 8, 40};
  for (const char* spec : {"headkv", "compresskv", "headcompresskv", "compresskv{layer_scores=@}"}) {
    const auto policy = make_policy_for(spec, mine);
    EXPECT_NO_THROW(policy->needs(mine));
    for (const KvShape& other : {deeper, wider}) {
      EXPECT_THROW(policy->needs(other), Error) << spec;
      const Observation seen(random_parts(other, policy->needs(mine), 1));
      EXPECT_THROW(policy->select(seen, std::vector<Budget>{{9}}), Error) << spec;
    }
  }
}

TEST(Calibration, FilesAreReadStrictly) {
  const TempFolder folder;
  const auto complaint = [&](const std::string& path) -> std::string {
    try {
      make_policy("headkv{head_scores=" + path + "}");
    } catch (const Error& e) {
      EXPECT_EQ(e.exit(), Exit::kInput);
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(complaint(folder / "absent.json"), HasSubstr("E-HS-F01"));
  EXPECT_THAT(complaint(folder.path()), HasSubstr("E-HS-F"));
  EXPECT_THAT(complaint("/dev/zero"), HasSubstr("E-HS-F"));
  EXPECT_THAT(
      complaint(folder.write("lfs.json", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
      HasSubstr("E-HS-"));
  EXPECT_THAT(complaint(folder.write("binary.json", std::string("\0\1\2", 3))), HasSubstr("E-HS-J01"));
  EXPECT_THAT(complaint(folder.write("latin.json", "{\"0-0\xe9\": [1]}")), HasSubstr("E-HS-J02"));
  EXPECT_THAT(complaint(folder.write("deep.json", "{\"0-0\": [[[[[[1]]]]]]}")), HasSubstr("E-HS-J03"));
}

}  // namespace
}  // namespace evictbench
