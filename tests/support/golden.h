#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/snapshot.h"
#include "models/model.h"
#include "tests/support/base64.h"

// tests/models/goldens/<name>/: a tiny checkpoint and what transformers computes with it (its README says how).
namespace evictbench {

struct Golden {
  struct Prompt {
    Tokens ids;                          // [T]
    std::vector<int> positions;          // rows whose logits are stored
    std::vector<float> logits;           // [positions, V], float64 rounded to f32
    std::vector<std::int32_t> best_ids;  // [T]
  };
  struct Greedy {
    std::size_t prompt;
    Tokens ids;  // that follow it
  };
  struct Half {         // errors of plain torch in the dtype of the stored weights, over all stored rows
    std::string dtype;  // "bfloat16" or "float16"
    double most, mean, kl_mean;
  };

  std::string name, folder;
  int vocabulary = 0;  // V
  double sigma = 0;    // of all logits of all prompts: the unit of every error
  std::vector<Prompt> prompts;
  std::vector<Greedy> greedy;
  std::optional<Half> half;
};

inline std::filesystem::path goldens_folder() {
  return std::filesystem::path(EVICTBENCH_SOURCE_DIR) / "tests/models/goldens";
}

inline std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(goldens_folder()))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

inline Golden read_golden(const std::string& name) {
  Golden golden;
  golden.name = name;
  golden.folder = (goldens_folder() / name).string();
  std::ifstream file(golden.folder + "/golden.json");
  const auto json = nlohmann::json::parse(file);
  json.at("vocabulary").get_to(golden.vocabulary);
  json.at("sigma").get_to(golden.sigma);
  for (const auto& p : json.at("prompts")) {
    Golden::Prompt prompt{p.at("ids"), p.at("positions"), {}, p.at("best")};
    const std::string bytes = from_base64(p.at("logits").get_ref<const std::string&>());
    prompt.logits.resize(prompt.positions.size() * static_cast<std::size_t>(golden.vocabulary));
    if (bytes.size() != prompt.logits.size() * sizeof(float)) throw std::runtime_error(name + ": logits");
    std::memcpy(prompt.logits.data(), bytes.data(), bytes.size());
    golden.prompts.push_back(std::move(prompt));
  }
  for (const auto& g : json.at("greedy")) golden.greedy.push_back({g.at("prompt"), g.at("ids")});
  if (json.contains("half"))
    golden.half = Golden::Half{json["half"].at("dtype"), json["half"].at("max"), json["half"].at("mean"),
                               json["half"].at("kl_mean")};
  return golden;
}

struct Prefilled {
  std::shared_ptr<const Snapshot> snapshot;
  std::vector<float> logits;  // [T, V]
};

inline Prefilled prefill_all(Device& device, const Model& model, std::span<const std::int32_t> ids) {
  Prefilled out;
  PassOptions options;
  options.all_logits = [&](int first, const Tensor& rows) {
    if (first * rows.columns() != static_cast<std::int64_t>(out.logits.size()))
      throw std::logic_error("rows of logits in order");
    const auto host = rows.to_host<float>();
    out.logits.insert(out.logits.end(), host.begin(), host.end());
  };
  out.snapshot = model.prefill(device, ids, {}, options);
  return out;
}

inline std::span<const float> row_of(std::span<const float> logits, std::size_t row, int vocabulary) {
  const auto V = static_cast<std::size_t>(vocabulary);
  return logits.subspan(row * V, V);
}

inline std::int32_t best_of(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// Over stored rows. A NaN anywhere makes the error a NaN or infinite.
struct LogitError {
  double worst = 0;               // largest difference, in logits
  double squares = 0, power = 0;  // sums of squared differences and of squared reference logits

  void add(const Golden::Prompt& prompt, std::span<const float> logits, int vocabulary) {
    for (std::size_t i = 0; i < prompt.positions.size(); ++i) {
      const auto want = row_of(prompt.logits, i, vocabulary),
                 have = row_of(logits, static_cast<std::size_t>(prompt.positions[i]), vocabulary);
      for (std::size_t v = 0; v < want.size(); ++v) {
        const double difference = static_cast<double>(have[v]) - static_cast<double>(want[v]);
        worst = std::isnan(difference) ? HUGE_VAL : std::max(worst, std::abs(difference));
        squares += difference * difference;
        power += static_cast<double>(want[v]) * static_cast<double>(want[v]);
      }
    }
  }
};

}  // namespace evictbench
