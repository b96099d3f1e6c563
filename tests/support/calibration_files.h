#pragma once

#include <fmt/format.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "policies/registry.h"
#include "tests/support/temp_folder.h"

namespace evictbench {

// Head scores made up for a model of this shape, as files have them: some heads score nothing.
inline std::string some_head_scores(int layers, int heads) {
  std::mt19937 rng(static_cast<unsigned>(layers * 1000 + heads));
  std::string text = "{";
  for (int layer = 0; layer < layers; ++layer)
    for (int head = 0; head < heads; ++head)
      text += fmt::format("{}\"{}-{}\": [{}, {}]", text.size() > 1 ? ", " : "", layer, head,
                          layer + head == 0 ? 3 : rng() % 4, 0.25 * static_cast<double>(rng() % 3));
  return text + "}";
}

inline std::string some_layer_scores(int layers) {
  std::vector<double> scores;
  for (int layer = 0; layer < layers; ++layer) scores.push_back(1 + (layer * 7) % 5);
  double sum = 0;
  for (const double score : scores) sum += score;
  std::string text = "{\"avg_score\": [";
  for (int layer = 0; layer < layers; ++layer)
    text += fmt::format("{}{}", layer ? ", " : "", scores[static_cast<std::size_t>(layer)] / sum);
  return text + "]}";
}

// A policy for a model of this shape, whatever it asks for: files that it needs, or that `spec` names "@", are made up.
inline std::unique_ptr<const Policy> make_policy_for(const std::string& spec, const KvShape& shape) {
  static const TempFolder folder;
  const std::string name = spec.substr(0, spec.find('{'));
  std::map<std::string, std::string> values;
  if (spec != name) {
    std::string body = spec.substr(name.size() + 1);
    for (body.pop_back(); !body.empty();) {
      const auto pair = body.substr(0, body.find(','));
      values[pair.substr(0, pair.find('='))] = pair.substr(pair.find('=') + 1);
      body.erase(0, pair.size() + 1);
    }
  }
  const Options plain(name);
  for (const PolicyEntry& entry : all_policies())
    if (entry.name == name) entry.make(plain);
  for (const auto& [key, asked] : plain.asked())
    if (!asked.missing.empty() || (values.contains(key) && values[key] == "@")) {
      const bool heads = key == "head_scores";
      const std::string file = fmt::format("{}-{}-{}.json", key, shape.layers, shape.q_heads);
      values[key] = folder.write(
          file, heads ? some_head_scores(shape.layers, shape.q_heads) : some_layer_scores(shape.layers));
    }
  if (plain.asked().contains("heads") && !values.contains("heads"))
    values["heads"] = std::to_string(std::min(4, shape.q_heads));
  return make_policy(name, values);
}

}  // namespace evictbench
