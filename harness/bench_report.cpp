#include "harness/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/plan.h"
#include "harness/sweep.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;

// Bytes of weights that a step reads: of the embedding table only a row, unless it is the head too.
double step_weight_bytes(const BenchReport& report) {
  const DecoderConfig& c = report.config;
  const double table = c.tied_embeddings ? 0 : static_cast<double>(c.vocabulary) * c.hidden,
               all = static_cast<double>(report.parameters);
  return static_cast<double>(report.packed_bytes) * (all - table) / all;
}

// Of weights and lanes, that a step of these points reads. Each batch reads the weights anew.
double step_bytes(const BenchReport& report, const BenchRun& run) {
  return step_weight_bytes(report) * run.batches + static_cast<double>(run.retained_bytes);
}

// Of the floating-point rate, or of the bandwidth.
std::string of_limit(double rate, const std::optional<double>& limit) {
  return limit ? fmt::format(", {:.1f} % of the device's", 100 * rate / *limit) : "";
}

std::string in_seconds(double s) {
  if (s >= 1) return fmt::format("{:.2f} s", s);
  return s >= 1e-3 ? fmt::format("{:.2f} ms", 1e3 * s) : fmt::format("{:.1f} us", 1e6 * s);
}

std::string with_range(const Spread& s) {
  if (s.least == s.most) return in_seconds(s.median);
  return fmt::format("{} ({}..{})", in_seconds(s.median), in_seconds(s.least), in_seconds(s.most));
}

std::string in_ms(const Spread& s) {
  if (s.least == s.most) return fmt::format("{:.2f}", 1e3 * s.median);
  return fmt::format("{:.2f} ({:.2f}..{:.2f})", 1e3 * s.median, 1e3 * s.least, 1e3 * s.most);
}

std::string amount_of(const Point& point) {
  if (!point.policy->evicts()) return "";
  return point.unit == "entries" ? fmt::format("{}", point.amount)
                                 : fmt::format("{} {}", point.amount, point.unit);
}

// The policy's name; with its options where another point has the same name and others.
std::string label(const std::vector<Point>& points, const Point& point) {
  const bool alone = std::ranges::all_of(points, [&](const Point& other) {
    return policy_name(other) != policy_name(point) || other.policy->id() == point.policy->id();
  });
  return alone ? policy_name(point) : point.policy->id();
}

std::string in_units_of(std::size_t bytes) { return in_units(static_cast<std::int64_t>(bytes)); }

std::string in_percent(double ratio) { return fmt::format("{:.2f}", 100 * ratio); }

using Cells = std::vector<std::string>;

Cells row_of(const BenchPrompt& prompt, const std::string& name, const std::string& budget,
             const BenchRun& run) {
  if (!run.error.empty()) return {name, budget, run.error};
  return {name,
          budget,
          in_units(run.retained_bytes),
          fmt::format("{:+.1f} %", 100 * (run.prefill.median / prompt.full.prefill.median - 1)),
          fmt::format("{:.2f}", 1e3 * run.select.median),
          fmt::format("{:.2f}", 1e3 * run.gather.median),
          in_percent(run.work() / prompt.full.prefill.median) + " %",
          in_ms(run.step),
          in_units_of(run.peaks.prefill),
          in_units_of(run.peaks.decode)};
}

// Columns as wide as they must be, the first to the left; a row that is short has its message last.
std::string aligned(const std::vector<Cells>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Cells& row : rows)
    for (std::size_t i = 0; i < row.size() && row.size() == widths.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  std::string out;
  for (const Cells& row : rows) {
    std::string line = fmt::format("  {:<{}}", row[0], widths[0]);
    for (std::size_t i = 1; i < row.size(); ++i)
      line += row.size() < widths.size() && i + 1 == row.size() ? "  " + row[i]
                                                                : fmt::format("  {:>{}}", row[i], widths[i]);
    out += line + "\n";
  }
  return out;
}

std::string together_text(const BenchReport& report, const BenchPrompt& prompt) {
  const BenchRun& all = prompt.together;
  const int P = report.input.together;
  const std::string points = P == 1 ? "1 point" : fmt::format("{} points", P);
  if (prompt.failed()) return fmt::format("  {} together: some points failed\n", points);
  const double bytes = step_bytes(report, all) / all.step.median;
  std::string out = fmt::format("  {} together: a point's policy work {} % of the prefill\n", points,
                                in_percent(all.work() / P / prompt.full.prefill.median));
  out += fmt::format(
      "    step   {}{}: {:.2f} x one sequence's {}; {:.1f} tokens/s; {}/s of weights and lanes{}\n",
      with_range(all.step), all.batches == 1 ? "" : fmt::format(" in {} batches", all.batches),
      all.step.median / prompt.one_step(report.input), in_seconds(prompt.one_step(report.input)),
      P / all.step.median, in_units(static_cast<std::int64_t>(bytes)), of_limit(bytes, report.copy_bytes));
  out += fmt::format("    sweep  {}: {:.2f} x the full cache's run of {}; runs of their own {}, {:.1f} x\n",
                     with_range(all.total), all.total.median / prompt.full.total.median,
                     in_seconds(prompt.full.total.median), in_seconds(prompt.separate(report.input)),
                     prompt.separate(report.input) / all.total.median);
  out += fmt::format("    peak   prefill {}, select {}, gather {}, decode {}\n",
                     in_units_of(all.peaks.prefill), in_units_of(all.peaks.select),
                     in_units_of(all.peaks.gather), in_units_of(all.peaks.decode));
  return out;
}

Out json_of(const Spread& s) { return {{"median", s.median}, {"least", s.least}, {"most", s.most}}; }

Out json_of(const std::optional<double>& x) { return x ? Out(*x) : Out(nullptr); }

Out share(double rate, const std::optional<double>& limit) {
  return limit ? Out(rate / *limit) : Out(nullptr);
}

Out json_of(const BenchReport& report, const BenchPrompt& prompt, const BenchRun& run, int points) {
  const double bytes = step_bytes(report, run), rate = bytes / run.step.median;
  return {{"kept", run.kept},
          {"retained_bytes", run.retained_bytes},
          {"prefill_s", json_of(run.prefill)},
          {"select_s", json_of(run.select)},
          {"gather_s", json_of(run.gather)},
          {"step_s", json_of(run.step)},
          {"total_s", json_of(run.total)},
          {"work_of_prefill", run.work() / points / prompt.full.prefill.median},
          {"tokens_per_s", points / run.step.median},
          {"step_bytes", bytes},
          {"step_bytes_of_limit", share(rate, report.copy_bytes)},
          {"batches", run.batches},
          {"peak_bytes",
           {{"prefill", run.peaks.prefill},
            {"select", run.peaks.select},
            {"gather", run.peaks.gather},
            {"decode", run.peaks.decode}}}};
}

Out json_of(const BenchReport& report, const BenchPrompt& prompt) {
  const BenchInput& input = report.input;
  const double seconds = prompt.full.prefill.median, flops = prefill_flops(report.config, prompt.tokens);
  Out out{{"tokens", prompt.tokens},
          {"prefill",
           {{"tokens_per_s", prompt.tokens / seconds},
            {"flops", flops},
            {"flops_per_s", flops / seconds},
            {"of_limit", share(flops / seconds, report.matrix_flops)}}},
          {"full", json_of(report, prompt, prompt.full, 1)},
          {"points", Out::array()}};
  for (std::size_t p = 0; p < input.points.size(); ++p) {
    const Point& point = input.points[p];
    Out row{{"policy", point.policy->id()},
            {"unit", point.unit},
            {"budget", point.policy->evicts() ? Out(point.amount) : Out(nullptr)},
            {"error", prompt.alone[p].error}};
    row.update(json_of(report, prompt, prompt.alone[p], 1));
    out["points"].push_back(std::move(row));
  }
  Out all{{"points", input.together}, {"error", prompt.together.error}};
  all.update(json_of(report, prompt, prompt.together, input.together));
  all["step_over_one"] = prompt.together.step.median / prompt.one_step(input);
  all["sweep_over_full"] = prompt.together.total.median / prompt.full.total.median;
  all["separate_s"] = prompt.separate(input);
  all["separate_over_sweep"] = prompt.separate(input) / prompt.together.total.median;
  out["together"] = std::move(all);
  return out;
}

}  // namespace

bool BenchReport::failed() const { return std::ranges::any_of(prompts, &BenchPrompt::failed); }

std::string bench_head(const BenchReport& report) {
  const DecoderConfig& c = report.config;
  std::string out = fmt::format("{}: {}, {:.2f} G parameters{}, L {} C {} F {} H {} G {} D {} V {}\n",
                                report.model, c.model_type, static_cast<double>(report.parameters) / 1e9,
                                report.source == "random" ? " at random" : "", c.layers, c.hidden,
                                c.intermediate, c.q_heads, c.kv_heads, c.head_dim, c.vocabulary);
  out += fmt::format("{} in {}, {}: {} of weights, ready after {}\n", report.device, report.compute,
                     report.threads > 0
                         ? fmt::format("{} thread{}", report.threads, report.threads == 1 ? "" : "s")
                         : "all cores",
                     in_units(static_cast<std::int64_t>(report.packed_bytes)), in_seconds(report.load));
  if (report.matrix_flops && report.copy_bytes)
    out += fmt::format("the device at most: {:.1f} TFLOP/s in products, {}/s copied\n",
                       *report.matrix_flops / 1e12, in_units(static_cast<std::int64_t>(*report.copy_bytes)));
  for (const auto& [policy, why] : report.left_out)
    out += fmt::format("left out: {}, which {}\n", policy, why);
  return out;
}

std::string bench_table(const BenchReport& report, const BenchPrompt& prompt) {
  const double flops = prefill_flops(report.config, prompt.tokens) / prompt.full.prefill.median;
  std::string out = fmt::format("\nprompt of {} tokens, {} new ones; ", prompt.tokens, report.input.max_new);
  out += report.input.repeat == 1 ? "one run\n"
                                  : fmt::format("medians (least..most) of {} runs\n", report.input.repeat);
  out += fmt::format("  prefill {}: {:.0f} tokens/s, {:.3f} TFLOP/s{}\n", with_range(prompt.full.prefill),
                     prompt.tokens / prompt.full.prefill.median, flops / 1e12,
                     of_limit(flops, report.matrix_flops));
  std::vector<Cells> rows{{"each alone", "budget", "kept", "prefill", "select ms", "gather ms", "of prefill",
                           "step ms", "prefill holds", "decode"},
                          row_of(prompt, "full", "", prompt.full)};
  const std::vector<Point>& points = report.input.points;
  for (std::size_t p = 0; p < points.size(); ++p)
    if (points[p].policy->evicts())
      rows.push_back(row_of(prompt, label(points, points[p]), amount_of(points[p]), prompt.alone[p]));
  return out + aligned(rows) + together_text(report, prompt);
}

std::string bench_json(const BenchReport& report) {
  const DecoderConfig& c = report.config;
  const BenchInput& input = report.input;
  Out out{{"model",
           {{"path", report.model},
            {"weights", report.source},
            {"family", c.model_type},
            {"parameters", report.parameters},
            {"packed_bytes", report.packed_bytes},
            {"layers", c.layers},
            {"hidden", c.hidden},
            {"intermediate", c.intermediate},
            {"q_heads", c.q_heads},
            {"kv_heads", c.kv_heads},
            {"head_dim", c.head_dim},
            {"vocabulary", c.vocabulary},
            {"load_s", report.load}}},
          {"device",
           {{"name", report.device},
            {"compute", report.compute},
            {"threads", report.threads},
            {"matrix_flops_per_s", json_of(report.matrix_flops)},
            {"copy_bytes_per_s", json_of(report.copy_bytes)}}},
          {"max_new", input.max_new},
          {"repeat", input.repeat},
          {"seed", input.seed},
          {"left_out", Out::array()},
          {"prompts", Out::array()}};
  for (const auto& [policy, why] : report.left_out)
    out["left_out"].push_back({{"policy", policy}, {"why", why}});
  for (const BenchPrompt& prompt : report.prompts) out["prompts"].push_back(json_of(report, prompt));
  return out.dump();
}

}  // namespace evictbench
