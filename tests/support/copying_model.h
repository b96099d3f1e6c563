#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "harness/sweep.h"

// tests/models/copying, as tests/oracles/make_copying_model.py writes it, and needles that it answers.
namespace evictbench::copying {

constexpr const char* kFolder = EVICTBENCH_SOURCE_DIR "/tests/models/copying";
constexpr int kAllHeads = 16;                     // L * H
inline const std::vector<int> kHeads{9, 12, 14};  // those that copy: 1-1, 1-4 and 1-6

inline SweepModel model() {
  SweepModel model;
  model.path = kFolder;
  model.chat = "none";
  return model;
}

// A file of tasks: 3 lengths x 4 depths x 2 needles.
inline std::string needles(int seed = 42) {
  return fmt::format(R"(version: 1
protocol: {{seed: {}}}
tasks:
  - name: niah
    haystack: generated
    lengths: [200, 400, 700]
    depths: [0, 30, 60, 100]
    needle: "Remember that {{key}} means {{value}}."
    question: "What does {{key}} mean?"
    answer_prefix: "{{key}} means"
    keys: [Cairo, Quito]
    values: [amber azure beaver bugle, lemon lilac lynx maple]
    max_new: 6
)",
                     seed);
}

}  // namespace evictbench::copying
