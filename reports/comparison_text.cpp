// What a comparison says: for a terminal, as JSON, and as JUnit's XML, which programs of continuous integration show.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/comparison.h"
#include "reports/html_text.h"
#include "reports/json_text.h"
#include "reports/labels.h"

namespace evictbench {
namespace {

std::string heading(const ComparedSetting& s) {
  return fmt::format("{}, question {}, first token {}", s.task, s.question, s.first_token);
}

std::string interval_of(const Estimate& difference) {
  if (!difference.interval) return "";
  return fmt::format(" ({:+.1f} .. {:+.1f})", 100 * difference.interval->low,
                     100 * difference.interval->high);
}

std::string bytes_of(const ComparedPoint& point) {
  if (point.base_bytes == point.now_bytes) return bytes_label(point.now_bytes);
  return fmt::format("{} -> {}", bytes_label(point.base_bytes), bytes_label(point.now_bytes));
}

// "lower, more bytes in 3", or nothing where nothing got worse
std::string regression_of(const ComparedPoint& point) {
  std::vector<std::string> what;
  if (point.lower) what.emplace_back("lower");
  if (point.more_bytes > 0) what.push_back(fmt::format("more bytes in {}", point.more_bytes));
  if (point.failed > 0) what.push_back(fmt::format("{} failed", point.failed));
  return fmt::format("{}", fmt::join(what, ", "));
}

std::string peaks_of(const Comparison& comparison) {
  const auto shown = [](double bytes) { return bytes > 0 ? bytes_label(bytes) : "not known"; };
  return fmt::format("{} -> {}", shown(comparison.base_peak), shown(comparison.now_peak));
}

std::string p_of(double p) { return p < 0.0001 ? "<0.0001" : fmt::format("{:.2g}", p); }

std::string line_of(const ComparedPoint& point, std::size_t width) {
  if (point.pairs == 0) return fmt::format("  {:{}}  WORSE: {}\n", point.label, width, regression_of(point));
  const std::string worse = regression_of(point);
  return fmt::format("  {:{}} {:6.1f} {:6.1f}  {:<24} {:>7} {:>5} {:>5}  {:>11}  {}{}\n", point.label, width,
                     100 * point.base, 100 * point.now,
                     fmt::format("{:+.1f}{}", 100 * point.difference.mean, interval_of(point.difference)),
                     p_of(point.corrected_p), point.better, point.worse,
                     fmt::format("{} of {}", point.same_answers, point.pairs), bytes_of(point),
                     !worse.empty() ? "  WORSE: " + worse
                     : point.higher ? "  better"
                                    : "");
}

}  // namespace

std::string comparison_table(const Comparison& comparison) {
  std::size_t width = 5;
  for (const ComparedSetting& setting : comparison.settings)
    for (const ComparedPoint& point : setting.points) width = std::max(width, point.label.size());
  std::string out;
  for (const ComparedSetting& setting : comparison.settings) {
    out += fmt::format("{}: {}\n", heading(setting), setting.score);
    out += fmt::format("  {:{}} {:>6} {:>6}  {:<24} {:>7} {:>5} {:>5}  {:>11}  {}\n", "point", width, "base",
                       "now", "difference (95 %)", "p", "more", "less", "same text", "bytes");
    for (const ComparedPoint& point : setting.points) out += line_of(point, width);
  }
  out += fmt::format("peak of a run's memory: {}{}\n", peaks_of(comparison),
                     comparison.more_peak ? "  WORSE" : "");
  if (comparison.alone > 0) out += fmt::format("left out: {} answers without a partner\n", comparison.alone);
  return out + fmt::format("{} of {} points and means are worse{}\n", comparison.regressions(),
                           comparison.points(), comparison.more_peak ? ", and more memory is needed" : "");
}

std::string comparison_json(const Comparison& comparison) {
  JsonText out;
  const auto count = [&](const char* name, std::size_t n) {
    out.key(name).integer(static_cast<std::int64_t>(n));
  };
  out.open('{').key("settings").open('[');
  for (const ComparedSetting& setting : comparison.settings) {
    out.open('{').key("task").text(setting.task).key("question").text(setting.question);
    out.key("first_token").text(setting.first_token).key("score").text(setting.score).key("points").open('[');
    for (const ComparedPoint& point : setting.points) {
      out.open('{').key("point").text(point.label).key("policy").text(point.policy);
      out.key("policy_now").text(point.policy_now).key("budget_unit").text(point.budget_unit);
      out.key("budget").number(point.budget);
      count("pairs", point.pairs);
      out.key("base").number(point.base).key("now").number(point.now);
      out.key("difference").number(point.difference.mean);
      if (point.difference.interval)
        out.key("low")
            .number(point.difference.interval->low)
            .key("high")
            .number(point.difference.interval->high);
      else
        out.key("low").null().key("high").null();
      out.key("p").number(point.p).key("corrected_p").number(point.corrected_p);
      count("better", point.better);
      count("worse", point.worse);
      count("same_answers", point.same_answers);
      out.key("base_bytes").number(point.base_bytes).key("now_bytes").number(point.now_bytes);
      count("more_bytes", point.more_bytes);
      count("failed", point.failed);
      out.key("higher").boolean(point.higher).key("lower").boolean(point.lower);
      out.key("regression").boolean(point.is_regression()).close();
    }
    out.close().close();
  }
  out.close();
  count("points", comparison.points());
  count("regressions", comparison.regressions());
  count("alone", comparison.alone);
  for (const auto& [name, bytes] :
       {std::pair("base_peak", comparison.base_peak), {"now_peak", comparison.now_peak}})
    bytes > 0 ? out.key(name).number(bytes) : out.key(name).null();
  out.key("more_peak").boolean(comparison.more_peak);
  return out.close().str() + "\n";
}

std::string comparison_junit(const Comparison& comparison) {
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"evictbench compare\" tests=\"{}\" "
      "failures=\"{}\">\n",
      comparison.points() + 1, comparison.regressions() + (comparison.more_peak ? 1 : 0));
  for (const ComparedSetting& setting : comparison.settings)
    for (const ComparedPoint& point : setting.points) {
      out += fmt::format("  <testcase classname=\"{}\" name=\"{}\"", escape_html(heading(setting)),
                         escape_html(point.label));
      if (point.is_regression())
        out += fmt::format(
            ">\n    <failure message=\"{}\">{}</failure>\n  </testcase>\n", escape_html(regression_of(point)),
            escape_html(fmt::format("{} {:.1f} -> {:.1f}, {:+.1f}{}, corrected p {}, {} pairs; {}",
                                    setting.score, 100 * point.base, 100 * point.now,
                                    100 * point.difference.mean, interval_of(point.difference),
                                    p_of(point.corrected_p), point.pairs, bytes_of(point))));
      else
        out += "/>\n";
    }
  out += "  <testcase classname=\"run\" name=\"peak of memory\"";
  out += comparison.more_peak ? fmt::format("><failure message=\"more memory\">{}</failure></testcase>\n",
                                            escape_html(peaks_of(comparison)))
                              : "/>\n";
  return out + "</testsuite>\n";
}

}  // namespace evictbench
