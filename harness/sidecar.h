#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "datasets/dataset.h"
#include "models/checkpoint.h"

// What a score file was measured on: a small JSON file beside it, FILE.meta.json, so that scores of another model are
// refused and scores that saw the examples they are judged by are known. Published score files have none.
namespace evictbench {

enum class ScoreKind { kCopy, kSemantic, kSemanticMultiplicity, kReasoning, kLayerError };
const char* name_of(
    ScoreKind kind);  // "copy", "semantic", "semantic_multiplicity", "reasoning", "layer_error"

// The checkpoint that scores belong to.
struct ModelMark {
  std::string name;  // of its folder or file, for messages
  std::string hash;  // XXH3-128, in hex, of the digests of config and weights; tokenizer and template apart
  int layers = 0, heads = 0;  // L, H
};
// `digests`: of the checkpoint's files, as Checkpoint::digests() gives them.
ModelMark mark_of(const Checkpoint& checkpoint,
                  const std::vector<std::pair<std::string, std::string>>& digests);

struct Sidecar {
  using Facts = std::vector<std::pair<std::string, std::string>>;  // names and values, in order, for readers

  ScoreKind kind = ScoreKind::kSemantic;
  ModelMark model;
  Facts method, data;                 // settings; tasks with their options, and the seed
  std::vector<std::string> examples;  // example_hash() of each example measured on; made ascending and unique
  std::int64_t made = 0;              // trials
  std::int64_t accepted = 0;          // and those that count in the scores
  std::string scores = {};            // "xxh3:0123456789abcdef" of the score file: write_scores() fills it in
  std::string program = {};           // the version that wrote it, too
};

// XXH3-64, in hex, of context and question: what a sweep and a measurement have in common, whatever their protocols,
// templates and tokenizers.
std::string example_hash(std::string_view context, std::string_view question);
inline std::string example_hash(const Example& example) {
  return example_hash(example.context, example.question);
}

std::string score_hash(std::string_view text);            // "xxh3:...", as in a policy's identity
std::string sidecar_path(const std::string& score_file);  // FILE.meta.json

// Both files, each all or nothing, the sidecar first: whatever stops in between leaves a pair that is refused, never a
// score file beside a sidecar of another.
void write_scores(const std::string& score_file, std::string_view text, Sidecar sidecar);

// Nothing if the score file has none; one that is malformed is an Error (exit 4).
std::optional<Sidecar> read_sidecar(const std::string& score_file);

}  // namespace evictbench
