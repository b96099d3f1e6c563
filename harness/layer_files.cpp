#include "harness/layer_files.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <ranges>

#include "core/io/file.h"
#include "harness/output_folder.h"
#include "harness/score_files.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

[[noreturn]] void refuse(const std::string& file, const std::string& found, const std::string& expected) {
  reject(Exit::kInput,
         {"E-LY-02", file, "", found, expected, "average files of one model, each dataset once"});
}

void append(DatasetScores& all, const DatasetScores& more, const std::string& file) {
  for (const auto& [dataset, scores] : more) {
    if (std::ranges::count(std::views::keys(all), dataset))
      refuse(file, fmt::format("the dataset '{}' again", printable(dataset)),
             "every dataset in one file alone");
    if (!all.empty() && scores.size() != all[0].second.size())
      refuse(file, fmt::format("scores of {} layers", scores.size()),
             fmt::format("{}, as in the files before", all[0].second.size()));
    all.emplace_back(dataset, scores);
  }
}

void append(Sidecar& all, const Sidecar& more) {
  all.method.insert(all.method.end(), more.method.begin(), more.method.end());
  all.data.insert(all.data.end(), more.data.begin(), more.data.end());
  all.examples.insert(all.examples.end(), more.examples.begin(), more.examples.end());
  all.made += more.made;
  all.accepted += more.accepted;
}

// Facts of several files have names of their own: "1 seed", "2 seed".
Sidecar numbered(Sidecar sidecar, std::size_t number) {
  for (auto* facts : {&sidecar.method, &sidecar.data})
    for (auto& [name, value] : *facts) name = fmt::format("{} {}", number, name);
  return sidecar;
}

}  // namespace

std::string layer_scores_text(const DatasetScores& datasets) {
  JsonText out(1);
  out.open('{');
  const auto add = [&](const std::string& name, const std::vector<double>& scores) {
    out.key(name).open('[');
    for (const double score : scores) out.number(score);
    out.close();
  };
  for (const auto& [dataset, scores] : datasets) add(dataset, scores);
  add("avg_score", average_of(datasets));
  return out.close().str() + "\n";
}

void average_layer_files(const std::vector<std::string>& files, const std::string& out) {
  DatasetScores all;
  std::optional<Sidecar> sidecar;
  std::string without;  // a file that has none
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string text = read_text(files[i], Exit::kInput, "E-HS");
    append(all, read_dataset_scores({files[i], text}), files[i]);
    const auto first = [&] { return sidecar ? sidecar->model : read_sidecar(files[i])->model; };
    const auto checked = check_scores({"layer_scores", files[i], score_hash(text)}, first, false).sidecar;
    if (!checked)
      without = files[i];
    else if (Sidecar mine = numbered(*checked, i + 1); sidecar)
      append(*sidecar, mine);
    else
      sidecar = std::move(mine);
  }
  const std::string text = layer_scores_text(all);
  if (sidecar && without.empty()) return write_scores(out, text, *std::move(sidecar));
  if (sidecar) spdlog::warn("no sidecar is written, as {} has none", without);
  write_file(out, text);
}

}  // namespace evictbench
