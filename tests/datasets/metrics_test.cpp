// Every metric against the package that it is named after: vectors/metrics.json is what these gave
// (tests/oracles/make_metric_vectors.py), and ../shared holds more, of real answers.
#include "datasets/metrics/metric.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "datasets/metrics/bleu.h"
#include "datasets/metrics/code_similarity.h"
#include "datasets/metrics/labels.h"
#include "datasets/metrics/numbers.h"
#include "datasets/metrics/qa_f1.h"
#include "datasets/metrics/rouge.h"
#include "datasets/metrics/rouge_score.h"
#include "datasets/segmenter.h"

namespace evictbench {
namespace {

using nlohmann::json;
using testing::ElementsAre;

const std::string kOwn = EVICTBENCH_SOURCE_DIR "/tests/datasets/vectors/";
const std::string kShared = EVICTBENCH_SOURCE_DIR "/../shared/data/vectors/";

const json& own() {
  static const json vectors = json::parse(std::ifstream(kOwn + "metrics.json"));
  return vectors;
}

std::vector<json> shared(const std::string& name) {
  std::ifstream file(kShared + name);
  std::vector<json> out;
  for (std::string line; std::getline(file, line);) out.push_back(json::parse(line));
  return out;
}

double score(const std::string& name, const std::string& answer, const std::vector<std::string>& references,
             const std::vector<std::string>& classes = {}, const std::string& question = "") {
  return metric_named(name).score({answer, references, classes, question});
}

const Segmenter& small_segmenter() {
  static const auto segmenter = Segmenter::from_folder(kOwn + "segmenter");
  return *segmenter;
}

TEST(Rouge, IsThatOfTheTwoPackages) {
  for (const json& row : own()["texts"]) {
    const std::string answer = row["answer"], reference = row["reference"];
    SCOPED_TRACE(row.dump());
    EXPECT_NEAR(rouge_1(answer, reference), row["rouge"][0], 1e-12);
    EXPECT_NEAR(rouge_2(answer, reference), row["rouge"][1], 1e-12);
    EXPECT_NEAR(rouge_l(answer, reference), row["rouge"][2], 1e-12);
    EXPECT_NEAR(rouge1(answer, reference).f, row["rouge_score"][0], 1e-12);
    EXPECT_NEAR(rouge2(answer, reference).f, row["rouge_score"][1], 1e-12);
    EXPECT_NEAR(rouge_long(answer, reference).f, row["rouge_score"][2], 1e-12);
    EXPECT_NEAR(rouge_long_sum(answer, reference).f, row["rouge_score"][3], 1e-12);
  }
}

TEST(Rouge, AgreesOnRealAnswers) {
  const std::vector<json> rows = shared("rouge_l_vectors.jsonl");
  if (rows.empty()) GTEST_SKIP() << "no " << kShared;
  EXPECT_EQ(rows.size(), 230U);
  for (const json& row : rows)
    ASSERT_NEAR(rouge_l(row["pred"].get<std::string>(), row["ref"].get<std::string>()), row["f"], 1e-12)
        << row;
}

TEST(Bleu, IsThatOfSacrebleu) {
  BleuCounts corpus;
  for (const json& row : own()["texts"]) {
    const std::vector<std::string> references{row["reference"], row["other"]};
    EXPECT_NEAR(sentence_bleu(row["answer"].get<std::string>(), std::span(references).first(1)), row["bleu"],
                1e-12)
        << row;
    EXPECT_NEAR(sentence_bleu(row["answer"].get<std::string>(), references), row["bleu_two"], 1e-12) << row;
    corpus.add(row["answer"].get<std::string>(), std::span(references).first(1));
  }
  EXPECT_NEAR(corpus.score(false), own()["corpus_bleu"], 1e-12);
}

TEST(CodeSimilarity, IsThatOfDifflibAndOfInsertionsAndDeletions) {
  for (const json& row : own()["codes"]) {
    const std::string a = row["answer"], b = row["reference"];
    EXPECT_EQ(difflib_percent(a, b), row["difflib"]) << row;
    EXPECT_EQ(indel_percent(a, b), row["indel"]) << row;
  }
}

TEST(CodeSimilarity, AgreesOnRealAnswers) {
  const std::vector<json> rows = shared("code_sim_vectors.jsonl");
  if (rows.empty()) GTEST_SKIP() << "no " << kShared;
  EXPECT_EQ(rows.size(), 488U);
  for (const json& row : rows) {
    const std::string answer = row["pred"], reference = row["ref"];
    ASSERT_EQ(first_code_line(answer), row["line"].get<std::string>()) << row;
    ASSERT_EQ(difflib_percent(first_code_line(answer), reference), row["difflib"]) << row;
    ASSERT_EQ(indel_percent(first_code_line(answer), reference), row["indel"]) << row;
  }
}

TEST(CodeSimilarity, TakesTheFirstPlainLine) {
  EXPECT_EQ(first_code_line("\n\nx = 1\ny"), "x = 1");
  EXPECT_EQ(first_code_line("```python\n# a\nhttp://b\n  z"), "  z");
  EXPECT_EQ(first_code_line("a//b"), "");
  EXPECT_EQ(first_code_line("# a\n\nb"), "");  // a blank line is one
  EXPECT_EQ(first_code_line(""), "");
  EXPECT_EQ(score("code_sim", "x = 1", {"x = 2"}), 0.8);
  EXPECT_EQ(score("code_sim", "", {""}), 1);
}

TEST(Segmenter, CutsAsJieba) {
  for (const json& row : own()["cuts"]) {
    const std::string text = row["text"];
    EXPECT_EQ(json(small_segmenter().cut(text)), row["tokens"]) << text;
  }
}

TEST(Segmenter, CutsRealTextAsJieba) {
  const std::vector<json> rows = shared("jieba_cut_vectors.jsonl");
  if (rows.empty()) GTEST_SKIP() << "no " << kShared;
  EXPECT_EQ(rows.size(), 412U);
  const auto segmenter = Segmenter::from_folder(kShared);
  for (const json& row : rows) {
    const std::string text = row["text"];
    ASSERT_EQ(json(segmenter->cut(text)), row["tokens"]) << text;
  }
}

TEST(QaF1, ComparesWordsWithoutCasePunctuationAndArticles) {
  EXPECT_THAT(answer_words("The  end, of-A \u201cthe\u201d a. THE-end\u00a0an_x"),
              ElementsAre("end", "ofa", "\u201c", "\u201d", "theend", "anx"));
  EXPECT_THAT(answer_words("\u039f\u0394\u039f\u03a3 \u03a3"),
              ElementsAre("\u03bf\u03b4\u03bf\u03c2", "\u03c3"));
  EXPECT_EQ(qa_f1("", ""), 0);
  EXPECT_EQ(qa_f1("the", "a"), 0);
  EXPECT_EQ(qa_f1("a cat sat", "The cat"), 2 * 0.5 / 1.5);
  EXPECT_EQ(qa_f1("cat cat cat", "cat cat"), 2 * (2.0 / 3) / (2.0 / 3 + 1));
  EXPECT_EQ(score("qa_f1", "dog", {"cat", "dog"}), 1);
  EXPECT_EQ(score("exact_match", "The Cat.", {"cat"}), 1);
  EXPECT_EQ(score("exact_match", "cats", {"cat"}), 0);
}

TEST(QaF1Zh, ComparesWordsOfTheSegmenter) {
  EXPECT_EQ(qa_f1_zh(small_segmenter(), "天。", "天！"), 1);
  EXPECT_EQ(qa_f1_zh(small_segmenter(), "《", "《"), 1);  // not on the list of marks
  EXPECT_EQ(qa_f1_zh(small_segmenter(), "》", "》"), 0);
  EXPECT_EQ(rouge_l_zh(small_segmenter(), "", "天"), 0);
}

TEST(Numbers, CountDigitsOfAnyScript) {
  EXPECT_EQ(score("count", "There are 7 of 7, not 12", {"7"}), 2.0 / 3);
  EXPECT_EQ(score("count", "007", {"7"}), 0);
  EXPECT_EQ(score("count", "\uff17 7", {"7"}), 0.5);  // a full-width seven is a number, and another one
  EXPECT_EQ(score("count", "none", {"7"}), 0);
  EXPECT_EQ(score("retrieval", "Paragraph 3, or 4", {"Paragraph 3"}), 0.5);
  EXPECT_EQ(score("retrieval", "3", {"paragraph 3"}), 0);
  EXPECT_EQ(score("retrieval", "3", {"Paragraph x Paragraph 3"}), 1);
  EXPECT_EQ(score("retrieval_zh", "段落12", {"段落12"}), 1);
}

TEST(Labels, OneOfManyClasses) {
  const std::vector<std::string> classes{"City", "Country", "Other location"};
  EXPECT_EQ(score("classification", "City", {"City"}, classes), 1);
  EXPECT_EQ(score("classification", "City or Country", {"City"}, classes), 0.5);
  EXPECT_EQ(score("classification", "city", {"City"}, classes), 0);
  EXPECT_EQ(score("classification", "big City", {"big City"}, {"City", "big City", "x"}),
            1);  // a part of the due one
}

TEST(Labels, OfBabilong) {
  const std::vector<std::string> places{"garden", "kitchen", "office"}, counts{"none", "one", "two"},
      things{"apple", "football", "milk", "nothing"};
  const std::string where = "Where is Mary? ";
  EXPECT_EQ(score("babilong_match", "The Garden. Or kitchen", {"garden"}, places, where), 1);
  EXPECT_EQ(score("babilong_match", "garden or kitchen", {"garden"}, places, where), 0);
  EXPECT_EQ(
      score("babilong_match", "office, garden<context> kitchen", {"garden"}, places, "From the office?"), 1);
  EXPECT_EQ(score("babilong_match", "none", {"none"}, counts), 0);  // "one" stands in it
  EXPECT_EQ(score("babilong_words", "none", {"none"}, counts), 1);
  EXPECT_EQ(score("babilong_match", "milk and apple", {"apple,milk"}, things), 1);
  EXPECT_EQ(score("babilong_match", "milk", {"apple,milk"}, things), 0);
  EXPECT_EQ(score("babilong_match", "n,e", {"n,e"}, {"n,e", "e,n", "s,e"}), 1);
}

TEST(StringMatch, OfRuler) {
  EXPECT_EQ(score("ruler_all", "It is 12 and ABC", {"12", "abc", "x", "y"}), 0.5);
  EXPECT_EQ(score("ruler_any", "It is 12", {"x", "12"}), 1);
  EXPECT_EQ(score("ruler_all", "12", {}), 0);
  EXPECT_EQ(score("ruler_any", "\n\t12\u3000", {"\n12", "12\u3000"}),
            0);  // white space around an answer is gone
}

TEST(Metrics, AreListedByNameAndWithinOne) {
  std::string before;
  const std::vector<std::string> references{"Paragraph 10"}, number{"10"};
  for (const Metric& metric : all_metrics()) {
    EXPECT_LT(before, metric.name);
    before = metric.name;
    EXPECT_FALSE(metric.description.empty());
    const auto& due = metric.name == "count" ? number : references;
    EXPECT_NEAR(metric.score({due[0], due, due, "", &small_segmenter()}),
                metric.name == "retrieval_zh" ? 0 : 1, 1e-8)
        << metric.name;
    EXPECT_EQ(metric.score({"", due, due, "", &small_segmenter()}), 0) << metric.name;
  }
}

}  // namespace
}  // namespace evictbench
