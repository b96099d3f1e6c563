// The names of all metrics. One that compares an answer with one reference scores by the best of them.

#include <algorithm>

#include "core/error.h"
#include "datasets/metrics/bleu.h"
#include "datasets/metrics/code_similarity.h"
#include "datasets/metrics/labels.h"
#include "datasets/metrics/metric.h"
#include "datasets/metrics/numbers.h"
#include "datasets/metrics/qa_f1.h"
#include "datasets/metrics/rouge.h"
#include "datasets/metrics/rouge_score.h"
#include "datasets/metrics/string_match.h"
#include "datasets/text_metrics.h"

namespace evictbench {
namespace {

template <double (*kScore)(std::string_view answer, std::string_view reference)>
double best(const MetricInput& in) {
  double most = 0;
  for (const std::string& reference : in.references) most = std::max(most, kScore(in.answer, reference));
  return most;
}

template <double (*kScore)(const Segmenter&, std::string_view answer, std::string_view reference)>
double best_chinese(const MetricInput& in) {
  require(in.segmenter != nullptr, "a Chinese metric without a segmenter");
  double most = 0;
  for (const std::string& reference : in.references)
    most = std::max(most, kScore(*in.segmenter, in.answer, reference));
  return most;
}

template <Rouge (*kScore)(std::string_view answer, std::string_view reference)>
double f_measure(std::string_view answer, std::string_view reference) {
  return kScore(answer, reference).f;
}

constexpr const char* kLongBench = "LongBench";
constexpr const char* kRouge = "rouge 1.0.1";
constexpr const char* kRougeScore = "rouge_score 0.1.2";

std::vector<Metric> metrics() {
  return {
      {"babilong_match", "1 if the answer's first sentence names the due labels and no other", "BABILong",
       babilong_match, false, true},
      {"babilong_words", "babilong_match with labels as whole words, so that \"none\" can score", "",
       babilong_words, false, true},
      {"bleu", "BLEU of one sentence: 13a tokens, exponential smoothing, orders that exist",
       "sacrebleu 2.6.0", [](const MetricInput& in) { return sentence_bleu(in.answer, in.references); }},
      {"classification", "1 / classes named if the due one is among them", kLongBench,
       [](const MetricInput& in) {
         double most = 0;
         for (const std::string& reference : in.references)
           most = std::max(most, classification(in.answer, reference, in.classes));
         return most;
       },
       false, true},
      {"code_sim", "similarity of the first line of code, by difflib, in whole percent",
       "LongBench with fuzzywuzzy 0.18.0 on difflib", best<code_sim>},
      {"code_sim_levenshtein",
       "similarity of the first line of code, by insertions and deletions, in whole percent",
       "LongBench with fuzzywuzzy 0.18.0 on Levenshtein", best<code_sim_levenshtein>},
      {"count", "share of the numbers in the answer that are the due one", kLongBench, best<count_numbers>},
      {"exact", "1 if the reference stands in the answer as whole words, letter case and punctuation aside",
       "", best<exact>},
      {"exact_match", "1 if answer and reference are the same but for case, punctuation and articles",
       "SQuAD", best<exact_match>},
      {"qa_f1", "F1 of words, without case, punctuation and articles", kLongBench, best<qa_f1>},
      {"qa_f1_zh", "F1 of Chinese words, without punctuation", "LongBench with jieba 0.42.1",
       best_chinese<qa_f1_zh>, true},
      {"retrieval", "share of the numbers in the answer that are the due paragraph's", kLongBench,
       best<retrieval>},
      {"retrieval_zh", "share of the numbers in the answer that are the due paragraph's, in Chinese",
       kLongBench, best<retrieval_zh>},
      {"rouge1_f", "ROUGE-1 F with Porter stemming", kRougeScore, best<f_measure<rouge1>>},
      {"rouge1_recall", "ROUGE-1 recall with Porter stemming", kRougeScore, best<rouge1_recall>},
      {"rouge2_f", "ROUGE-2 F with Porter stemming", kRougeScore, best<f_measure<rouge2>>},
      {"rougeL_f", "ROUGE-L F of the whole text, with Porter stemming", kRougeScore,
       best<f_measure<rouge_long>>},
      {"rougeLsum_f", "ROUGE-L F over lines, with Porter stemming", kRougeScore,
       best<f_measure<rouge_long_sum>>},
      {"rouge_1", "ROUGE-1 F of distinct words, as the package `rouge` computes it", kRouge, best<rouge_1>},
      {"rouge_2", "ROUGE-2 F of distinct word pairs, as the package `rouge` computes it", kRouge,
       best<rouge_2>},
      {"rouge_l", "ROUGE-L F of distinct words over sentences, as the package `rouge` computes it", kRouge,
       best<rouge_l>},
      {"rouge_l_zh", "rouge_l of Chinese words", "LongBench with rouge 1.0.1 and jieba 0.42.1",
       best_chinese<rouge_l_zh>, true},
      {"ruler_all", "share of the references that stand in the answer, letter case aside", "RULER",
       ruler_all},
      {"ruler_any", "1 if any reference stands in the answer, letter case aside (RULER's part)", "RULER",
       ruler_any},
      {"word_overlap", "share of the reference's distinct words found in the answer (published heat maps)",
       "", best<word_overlap>},
  };
}

}  // namespace

const std::vector<Metric>& all_metrics() {
  static const std::vector<Metric> all = [] {
    std::vector<Metric> out = metrics();
    std::ranges::sort(out, {}, &Metric::name);
    return out;
  }();
  return all;
}

const Metric& metric_named(std::string_view name) {
  const auto found = std::ranges::find(all_metrics(), name, &Metric::name);
  require(found != all_metrics().end(), "a metric that is not in the catalogue");
  return *found;
}

}  // namespace evictbench
