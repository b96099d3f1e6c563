#include "harness/head_output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/head_sets.h"
#include "reports/head_page.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;

constexpr const char *kPicture = "heads.svg", *kPage = "heads.html";
constexpr std::size_t kShown = 10;  // heads of a kind

// Scores, and the order that they make.
std::array<std::string, 2> score_files(ScoreKind kind) {
  return {std::string(name_of(kind)) + ".json", std::string(name_of(kind)) + "_order.json"};
}

std::string dumped(const Out& json) { return json.dump(-1, ' ', false, Out::error_handler_t::replace); }

std::string share_of_trials(const MeasuredKind& kind) {
  return fmt::format("{} of {} trials count", kind.counts.size(), kind.made);
}

struct Place {
  int layer, head;
  double score;
};
// The best heads of the whole model.
std::vector<Place> best_of(const MeasuredKind& kind, int heads) {
  std::vector<Place> out;
  if (kind.means.empty()) return out;
  for (const int i : ranking(kind.means)) {
    if (out.size() == kShown) break;
    out.push_back({i / heads, i % heads, kind.means[static_cast<std::size_t>(i)]});
  }
  return out;
}

HeadSet set_of(const MeasuredKind& kind, const ModelMark& model) {
  const std::string text = scores_text(model.layers, model.heads, kind.counts);
  return {read_head_order({name_of(kind.kind), text}), kind.means};
}

Sidecar sidecar_of(const MeasuredKind& kind, const TrialSet& set, const ModelMark& model,
                   const Facts& method) {
  Sidecar sidecar;
  sidecar.kind = kind.kind;
  sidecar.model = model;
  sidecar.method = method;
  sidecar.data = set.data;
  for (const Trial& trial : set.trials) sidecar.examples.push_back(example_hash(*trial.source));
  sidecar.made = kind.made;
  sidecar.accepted = std::ssize(kind.counts);
  return sidecar;
}

HeadTable table_of_best(const std::vector<MeasuredKind>& kinds, int heads) {
  HeadTable table{"best", "The best heads", "Layer-head and mean score, of the whole model.", {"rank"}, {}};
  for (std::size_t i = 0; i < kShown; ++i) table.rows.push_back({fmt::format("{}", i + 1)});
  for (const MeasuredKind& kind : kinds) {
    if (kind.means.empty()) continue;
    table.columns.emplace_back(name_of(kind.kind));
    const std::vector<Place> best = best_of(kind, heads);
    for (std::size_t i = 0; i < kShown; ++i)
      table.rows[i].push_back(
          i < best.size() ? fmt::format("{}-{}  {:.3f}", best[i].layer, best[i].head, best[i].score) : "");
  }
  return table;
}

HeadTable table_of_pairs(const std::vector<MeasuredKind>& kinds, const ModelMark& model) {
  constexpr int kOfALayer = 4;
  HeadTable table{
      "pairs",
      "What the kinds share",
      fmt::format("Of the best {} heads of a layer, and of the best 8 of the model; rank correlation "
                  "over all heads.",
                  std::min(kOfALayer, model.heads)),
      {"kinds", "of a layer", "by chance", "of the model", "correlation"},
      {}};
  for (std::size_t a = 0; a < kinds.size(); ++a)
    for (std::size_t b = a + 1; b < kinds.size(); ++b) {
      if (kinds[a].means.empty() || kinds[b].means.empty()) continue;
      const HeadComparison both = compare_heads(set_of(kinds[a], model), set_of(kinds[b], model), kOfALayer);
      table.rows.push_back({fmt::format("{}, {}", name_of(kinds[a].kind), name_of(kinds[b].kind)),
                            fmt::format("{:.2f}", both.mean_shared), fmt::format("{:.2f}", both.by_chance),
                            both.overall.empty() ? "" : fmt::format("{}", both.overall.front().second),
                            fmt::format("{:.3f}", *both.correlation)});
    }
  return table;
}

HeadPage page_of(const TrialSet& set, const ModelMark& model, const std::vector<MeasuredKind>& kinds,
                 const Facts& method) {
  HeadPage page;
  page.lead = fmt::format("{}: {} layers of {} query heads, {} trials.", model.name, model.layers,
                          model.heads, set.trials.size());
  for (const MeasuredKind& kind : kinds)
    if (!kind.means.empty())
      page.maps.push_back({name_of(kind.kind), share_of_trials(kind), model.layers, model.heads, kind.means});
  page.tables = {table_of_best(kinds, model.heads), table_of_pairs(kinds, model)};
  page.facts = {{"model hash", model.hash}};
  for (const Facts* facts : {&method, &set.data})
    page.facts.insert(page.facts.end(), facts->begin(), facts->end());
  return page;
}

}  // namespace

Facts method_facts(const HeadMeasurement& how, const TrialSet& set) {
  return {{"device", how.where.device},
          {"compute", how.where.compute},
          {"chat template", set.run.chat.name},
          {"question", "inside"},
          {"accept", how.accept == Accept::kAll
                         ? "all trials"
                         : "answers with ROUGE-1 recall above 0.5; for reasoning, F1 above 0.5"},
          {"answers end", "at the checkpoint's end tokens, at a line feed, or at max_new tokens"}};
}

void remove_stale(const OutputFolder& folder, const std::vector<MeasuredKind>& kinds) {
  std::vector<std::string> stale{kPicture, kPage};
  for (const ScoreKind kind : kHeadKinds) {
    const auto now = std::ranges::find(kinds, kind, &MeasuredKind::kind);
    if (now == kinds.end() || now->means.empty())
      for (const std::string& name : score_files(kind)) stale.insert(stale.end(), {name, sidecar_path(name)});
  }
  for (const std::string& name : stale) {
    std::error_code error;
    std::filesystem::remove(folder.file(name), error);
    if (error)
      reject_io(folder.file(name), "it is stale and cannot be removed", error.value(), "a writable folder");
  }
}

void write_heads(const OutputFolder& folder, const TrialSet& set, const ModelMark& model,
                 const std::vector<MeasuredKind>& kinds, const Facts& method) {
  for (const MeasuredKind& kind : kinds) {
    if (kind.means.empty()) continue;
    const auto [scores, order] = score_files(kind.kind);
    const Sidecar sidecar = sidecar_of(kind, set, model, method);
    write_scores(folder.file(scores), scores_text(model.layers, model.heads, kind.counts), sidecar);
    write_scores(folder.file(order), order_text(set_of(kind, model).order), sidecar);
  }
  const HeadPage page = page_of(set, model, kinds, method);
  folder.write_file(kPicture, svg_head_maps(page.maps));
  folder.write_file(kPage, head_page(page));
}

std::string summary(const TrialSet& set, const ModelMark& model, const std::vector<MeasuredKind>& kinds) {
  std::string out = fmt::format("{}: {} layers of {} query heads, {} trials", model.name, model.layers,
                                model.heads, set.trials.size());
  for (const MeasuredKind& kind : kinds) {
    out += fmt::format("\n{:<22} {}:", name_of(kind.kind), share_of_trials(kind));
    for (const Place& place : best_of(kind, model.heads))
      out += fmt::format(" {}-{} {:.3f}", place.layer, place.head, place.score);
  }
  return out;
}

std::string summary_json(const TrialSet& set, const ModelMark& model,
                         const std::vector<MeasuredKind>& kinds) {
  Out out{{"model", model.name},
          {"layers", model.layers},
          {"heads", model.heads},
          {"trials", set.trials.size()},
          {"kinds", Out::array()}};
  for (const MeasuredKind& kind : kinds) {
    Out best = Out::array();
    for (const Place& place : best_of(kind, model.heads))
      best.push_back({{"layer", place.layer}, {"head", place.head}, {"score", place.score}});
    out["kinds"].push_back({{"kind", name_of(kind.kind)},
                            {"trials", kind.made},
                            {"accepted", kind.counts.size()},
                            {"best", std::move(best)}});
  }
  return dumped(out);
}

std::string dump_text(const TrialSet& set, const std::vector<TrialRecord>& records, Accept accept) {
  std::string out;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const Trial& trial = set.trials[i];
    const TrialRecord& record = records[i];
    const auto counts = [&](bool for_it, double score) { return for_it && is_accepted(score, accept); };
    const Out line{
        {"task", trial.task},
        {"example", trial.example},
        {"prompt", trial.prompt},
        {"max_new", trial.source->max_new},
        {"answer", record.answer},
        {"span", {trial.evidence.first, trial.evidence.last}},
        {"evidence", trial.source->context.substr(trial.source->evidence.begin, trial.source->evidence.size)},
        {"references", trial.source->answers},
        {"text", record.text},
        {"counts_for_copy", counts(trial.copy, record.recall)},
        {"counts_for_reasoning", counts(trial.reasoning, record.f1)}};
    out += dumped(line) + "\n";
  }
  return out;
}

}  // namespace evictbench
