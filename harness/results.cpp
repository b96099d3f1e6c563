#include "harness/results.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/io/file.h"
#include "core/io/json.h"
#include "datasets/json_lines.h"
#include "datasets/metrics/metric.h"
#include "reports/record_json.h"
#include "reports/report.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;
const JsonRules kRules{.exit = Exit::kOutput, .code_prefix = "E-RS"};

std::string seconds(double s) { return fmt::format("{:.2f} s", s); }

std::string rate(double count, double s) {
  return s > 0 ? fmt::format("{:.0f} per second", count / s) : "none";
}

// Gives `use` a way to look up the numbers of each line of a timings.jsonl. A line that cannot be read is left out: nothing
// depends on it.
template <class Use>
void each_timing(const std::string& path, const Use& use) {
  if (!is_file(path)) return;
  std::istringstream lines(read_text(path, Exit::kOutput, "E-RS"));
  for (std::string line; std::getline(lines, line);) {
    const Out one = Out::parse(line, nullptr, false);
    if (!one.is_object()) continue;
    use([&](const char* key) {
      return one.contains(key) && one[key].is_number() ? one[key].get<double>() : 0.0;
    });
  }
}

std::vector<std::pair<std::string, std::string>> timings_of(const OutputFolder& folder) {
  if (!is_file(folder.file("timings.jsonl"))) return {};
  double prefill = 0, select = 0, gather = 0, decode = 0, fidelity = 0, prompt_tokens = 0, decoded = 0,
         peak = 0;
  each_timing(folder.file("timings.jsonl"), [&](const auto& number) {
    prefill += number("prefill_s");
    select += number("select_s");
    gather += number("gather_s");
    decode += number("decode_s");
    fidelity += number("fidelity_s");
    prompt_tokens += number("prompt_tokens");
    decoded += number("decoded_tokens");
    peak = std::max(peak, number("peak_bytes"));
  });
  std::vector<std::pair<std::string, std::string>> out{
      {"prefill", seconds(prefill)},
      {"prompt tokens", rate(prompt_tokens, prefill)},
      {"score, rank and select", seconds(select)},
      {"compaction", seconds(gather)},
      {"question and answers", seconds(decode)},
      {"tokens fed to all points", rate(decoded, decode)},
      {"largest device memory of one prompt", fmt::format("{:.0f} MB", peak / 1e6)}};
  if (fidelity > 0) out.insert(out.end() - 1, {"fidelity", seconds(fidelity)});
  return out;
}

std::vector<std::pair<std::string, std::string>> texts_of(const Json& object) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [key, value] : object.items()) out.emplace_back(key, value.string());
  return out;
}

}  // namespace

void write_notes(const OutputFolder& folder, const ExampleNotes& notes) {
  Out leaks = Out::array();
  for (const Leak& leak : notes.leaks)
    leaks.push_back({{"policy", leak.policy}, {"task", leak.task}, {"shared", leak.shared}});
  Out judges = Out::object();
  for (const auto& [task, judge] : notes.judges)
    judges[task] = {{"metric", judge.metric}, {"part", name_of(judge.part)}};
  const Out out{{"warnings", notes.warnings},     {"main_scores", notes.main_scores},
                {"references", notes.references}, {"judges", std::move(judges)},
                {"answers", notes.answers},       {"classes", notes.classes},
                {"questions", notes.questions},   {"leaks", std::move(leaks)}};
  folder.write_file("examples.json", out.dump(1, ' ', false, Out::error_handler_t::replace) + "\n");
}

void write_results(const OutputFolder& folder, const std::vector<Record>& records, const ExampleNotes& notes,
                   const Manifest& manifest) {
  const ReportInput input{records,           manifest,         timings_of(folder), notes.warnings,
                          notes.main_scores, notes.references, notes.leaks};
  for (const auto& [name, content] : derived_files(input)) folder.write_file(name, content);
  spdlog::info("results in {}: report.html, results.md, results.csv, results.json", folder.path());
}

std::vector<Record> read_records(const std::string& folder) {
  const std::string path = folder + "/records.jsonl";
  if (!is_file(path))
    reject(Exit::kUsage,
           {"E-RS-01", folder, "", "no records.jsonl", "a results folder", "name the output.dir of a run"});
  std::vector<Record> records;
  std::istringstream lines(read_text(path, Exit::kOutput, "E-RS"));
  for (std::string line; std::getline(lines, line);)
    records.push_back(parse_record(line, path, records.size() + 1));
  return records;
}

ExampleNotes read_notes(const std::string& folder) {
  const Json examples = Json::from_file(folder + "/examples.json", kRules);
  ExampleNotes notes;
  notes.warnings = strings_of(examples.at("warnings"));
  for (const auto& [key, value] : texts_of(examples.at("main_scores"))) notes.main_scores[key] = value;
  for (const auto& [key, value] : texts_of(examples.at("references"))) notes.references[key] = value;
  if (const auto judges = examples.find("judges"))
    for (const auto& [task, judge] : judges->items()) {
      const auto part = part_named(judge.at("part").string());
      const std::string metric = judge.at("metric").string();
      if (!part) judge.at("part").reject("04", "no such part", "a part that this version knows", "run again");
      if (std::ranges::find(all_metrics(), metric, &Metric::name) == all_metrics().end())
        judge.at("metric").reject("05", "no such metric", "one of evictbench list metrics", "run again");
      notes.judges[task] = {metric, *part};
    }
  if (const auto leaks = examples.find("leaks"))
    for (std::size_t i = 0; i < leaks->size(); ++i) {
      const Json leak = (*leaks)[i];
      notes.leaks.push_back({leak.at("policy").string(), leak.at("task").string(),
                             static_cast<std::size_t>(leak.at("shared").integer(0))});
    }
  for (const auto& [key, to] : {std::pair{"answers", &notes.answers}, {"classes", &notes.classes}})
    if (const auto lists = examples.find(key))
      for (const auto& [name, list] : lists->items()) (*to)[name] = strings_of(list);
  if (const auto questions = examples.find("questions"))
    for (const auto& [key, value] : texts_of(*questions)) notes.questions[key] = value;
  return notes;
}

double peak_bytes(const std::string& folder) {
  double peak = 0;
  each_timing(folder + "/timings.jsonl",
              [&](const auto& number) { peak = std::max(peak, number("peak_bytes")); });
  return peak;
}

int rebuild_results(const std::string& path) {
  const std::vector<Record> records = read_records(path);
  const OutputFolder folder(path);
  write_results(folder, records, read_notes(path), read_manifest(folder.file("manifest.json")));
  return 0;
}

}  // namespace evictbench
