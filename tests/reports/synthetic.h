#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "reports/report.h"

// A made-up sweep of realistic shape: three tasks, two protocols, six policies at six budgets, 30 layers.
namespace evictbench::synthetic {

constexpr int kLayers = 30, kHeads = 3, kRowBytes = 2 * 64 * 4;

struct Shape {
  std::vector<int> lengths{512, 1024, 2048, 4096};
  std::vector<double> depths{0, 25, 50, 75, 100};
  int repeats = 2;
  bool fidelity = false;
};

// In [0, 1), from the names alone.
inline double chance(const std::string& text) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  hash ^= hash >> 29;
  hash *= 0xbf58476d1ce4e5b9u;
  return static_cast<double>((hash ^ (hash >> 32)) >> 11) * 0x1p-53;
}

struct MadeUpPolicy {
  const char *policy, *name;
  double half;  // kept share at which half of the answers survive
};

inline const std::vector<MadeUpPolicy>& policies() {
  static const std::vector<MadeUpPolicy> all = {
      {"snapkv{kernel=7,pool=max,window=32}", "snapkv", 0.035},
      {"snapkv{kernel=7,pool=max,window=16}", "snapkv", 0.045},
      {"adakv{alpha=0.2,base=snapkv}", "adakv", 0.028},
      {"pyramidkv{beta=20,kernel=7,pool=max,window=32}", "pyramidkv", 0.04},
      {"streaming_llm{sinks=4}", "streaming_llm", 0.35},
      {"random{seed=42}", "random", 0.55}};
  return all;
}

inline Record blank(const std::string& task, const std::string& question, int length, double depth,
                    int repeat) {
  Record r;
  r.task = task;
  r.example = task + "-" + std::to_string(length) + "-" + std::to_string(static_cast<int>(depth)) + "-" +
              std::to_string(repeat);
  r.length = length;
  r.depth = depth;
  r.question = question;
  r.first_token = "evicted";
  r.compute = "f32";
  r.prompt_tokens = length;
  r.prompt_hash = "hash-" + r.example;
  r.full_entries = std::int64_t{length} * kLayers * kHeads;
  return r;
}

inline void answer(Record& r, double share, double half, bool graded) {
  const double hard = r.question == "after" ? 2.2 : 1;
  const double survives = 0.97 / (1 + std::pow(half * hard / share, 1.6));
  const double draw = chance(r.task + r.example) * 0.7 + 0.3 * chance(r.policy + r.example);
  const double score = draw < survives ? 1 : graded ? 0.25 * std::floor(4 * survives / draw) : 0;
  r.scores["exact"] = score == 1 ? 1 : 0;
  r.scores["recall"] = score;
  r.answer = score == 1 ? " saffron, as the cook in Tallinn says."
                        : " the soup is " + std::string(draw > .6 ? "old." : "not in the text.");
  r.answer_ids = {static_cast<std::int32_t>(r.answer.size()), 7};
}

inline void keep(Record& r, std::int64_t per_lane) {
  r.asked = r.kept = std::min<std::int64_t>(per_lane, r.prompt_tokens) * kLayers * kHeads;
  r.retained_bytes = r.kept * kRowBytes;
  for (int l = 0; l < kLayers; ++l) {
    double weight = 1;
    if (r.policy_name == "pyramidkv") weight = 1.9 - 1.8 * l / (kLayers - 1);
    if (r.policy_name == "adakv") weight = 0.7 + 0.6 * chance("layer" + std::to_string(l));
    r.kept_by_layer.push_back(static_cast<std::int64_t>(weight * static_cast<double>(r.kept) / kLayers));
  }
}

// Of a point that keeps so much; the full cache's is exact.
inline Fidelity nearness(const Record& r, double share, double half) {
  if (r.budget_unit == "full") return {12, 0, 1, 0, 1, std::vector<double>(kLayers, 1)};
  const double lost = half / (half + share) * (0.5 + 0.5 * chance(r.policy + r.example));
  Fidelity out{12, 2 * lost * lost, 1 - lost / 2, lost * lost - 0.02, 1 - lost / 3, {}};
  for (int l = 0; l < kLayers; ++l)
    out.mass_by_layer.push_back(1 - lost * chance("mass" + std::to_string(l) + r.policy));
  return out;
}

inline ReportInput sweep(const Shape& shape) {
  ReportInput input;
  for (const std::string task : {"niah_words", "niah_numbers", "fables_qa"})
    for (const std::string question : {"inside", "after"})
      for (const int length : shape.lengths)
        for (const double depth : shape.depths)
          for (int repeat = 0; repeat < shape.repeats; ++repeat) {
            Record full = blank(task, question, length, task == "fables_qa" ? -1 : depth, repeat);
            full.example += "-" + std::to_string(static_cast<int>(depth));
            input.references[task + "/" + full.example] = "saffron";
            const Record base = full;
            full.policy = full.policy_name = full.budget_unit = "full";
            full.point = "full-" + question;
            keep(full, length);
            answer(full, 1, 0.01, task == "fables_qa");
            if (shape.fidelity) full.fidelity = nearness(full, 1, 0);
            input.records.push_back(full);
            for (const MadeUpPolicy& policy : policies())
              for (const int budget : {32, 64, 96, 128, 256, 512}) {
                Record r = base;
                r.policy = policy.policy;
                r.policy_name = policy.name;
                r.budget_unit = "entries";
                r.budget = budget;
                r.point = std::string(policy.policy) + std::to_string(budget) + question;
                const bool dead = r.policy_name == "adakv" && budget == 64 && task == "niah_words";
                if (dead || (r.policy_name == "random" && budget == 512 && length == 4096 && depth == 50)) {
                  r.error = "out of host memory (limit 8 GiB)";
                } else {
                  keep(r, budget);
                  answer(r, std::min(1.0, static_cast<double>(budget) / length),
                         policy.half * (task == "niah_numbers" ? 2 : 1), task == "fables_qa");
                  if (shape.fidelity)
                    r.fidelity =
                        nearness(r, std::min(1.0, static_cast<double>(budget) / length), policy.half);
                }
                input.records.push_back(r);
              }
          }
  for (const char* task : {"niah_words", "niah_numbers"}) input.main_scores[task] = "exact";
  input.main_scores["fables_qa"] = "recall";
  input.facts = {{"Model", "SmolLM2-135M-Instruct (30 layers, 9 query heads, 3 KV heads)"},
                 {"Model hash", "8d1b4f7f1ae53a90"},
                 {"Device", "cpu, compute f32, 2 threads"},
                 {"Sweep", "harness/sweeps/smollm2.yaml"},
                 {"Command", "evictbench run harness/sweeps/smollm2.yaml --threads 2"},
                 {"Build", "0.1.0, g++ 12.2, Release"}};
  input.timings = {{"Prefill", "41.2 s (12,400 tokens/s)"}, {"Decode", "88.0 s"}, {"Peak memory", "1.9 GiB"}};
  input.warnings = {
      "niah_words: the median answer has 2 tokens; first_token: full would hide most of the eviction."};
  return input;
}

}  // namespace evictbench::synthetic
