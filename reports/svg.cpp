#include "reports/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "reports/html_text.h"

namespace evictbench {
namespace {

constexpr double kWidth = 410, kHeight = 285;
constexpr double kLeft = 48, kRight = 32, kTop = 12, kBottom = 46;
constexpr double kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;
constexpr std::size_t kColours = 8;
constexpr double kMostSpread = 15;  // pixels from the first line's points to the last line's

// Outlines of about equal area around (0, 0).
constexpr std::array<const char*, kColours> kMarkers = {
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",                                              // disc
    "M-3.6-3.6H3.6V3.6H-3.6Z",                                                          // square
    "M0-4.8L4.6 3.4H-4.6Z",                                                             // triangle
    "M0-5.2L4.4 0L0 5.2L-4.4 0Z",                                                       // diamond
    "M0 4.8L4.6-3.4H-4.6Z",                                                             // triangle, down
    "M-1.5-4.8H1.5V-1.5H4.8V1.5H1.5V4.8H-1.5V1.5H-4.8V-1.5H-1.5Z",                      // plus
    "M0-5L4.8-1.5L2.9 4.1H-2.9L-4.8-1.5Z",                                              // pentagon
    "M0-2.2L2.8-5L5-2.8L2.2 0L5 2.8L2.8 5L0 2.2L-2.8 5L-5 2.8L-2.2 0L-5-2.8L-2.8-5Z"};  // cross

// The colour repeats after eight lines, marker and dash move on, so that no two of the first 64 look alike.
std::size_t colour(std::size_t style) { return style % kColours; }
const char* marker(std::size_t style) { return kMarkers[(style + style / kColours) % kColours]; }
const char* dash(std::size_t style) { return style / kColours % 2 == 0 ? "" : " stroke-dasharray=\"5 2\""; }

std::string px(double value) {
  const std::string text = fmt::format("{:.1f}", value);
  return text == "-0.0" ? "0.0" : text;
}

double share_of(const Axis& axis, double value) {
  if (axis.log) return std::log(value / axis.low) / std::log(axis.high / axis.low);
  return (value - axis.low) / (axis.high - axis.low);
}
double x_of(const Chart& chart, double value) { return kLeft + kPlotWidth * share_of(chart.x, value); }
double y_of(const Chart& chart, double value) { return kTop + kPlotHeight * (1 - share_of(chart.y, value)); }

std::string line(const char* style, double x1, double y1, double x2, double y2) {
  return fmt::format("<line class=\"{}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>", style, px(x1), px(y1),
                     px(x2), px(y2));
}

std::string words(const char* anchor, double x, double y, const std::string& text) {
  return fmt::format("<text text-anchor=\"{}\" x=\"{}\" y=\"{}\">{}</text>", anchor, px(x), px(y),
                     escape_html(text));
}

std::string tick_name(const Axis& axis, std::size_t i) {
  return axis.names.empty() ? fmt::format("{:.6g}", axis.ticks[i]) : axis.names.at(i);
}

std::string axes(const Chart& chart) {
  std::string out;
  const double right = kWidth - kRight, bottom = kHeight - kBottom;
  for (std::size_t i = 0; i < chart.y.ticks.size(); ++i) {
    const double y = y_of(chart, chart.y.ticks[i]);
    out += line("grid", kLeft, y, right, y);
    out += words("end", kLeft - 7, y + 3.8, tick_name(chart.y, i));
  }
  for (std::size_t i = 0; i < chart.x.ticks.size(); ++i) {
    const double x = x_of(chart, chart.x.ticks[i]);
    out += line("axis", x, bottom, x, bottom + 4);
    out += words("middle", x, bottom + 16, tick_name(chart.x, i));
  }
  out += line("axis", kLeft, bottom, right, bottom);
  out += words("middle", kLeft + kPlotWidth / 2, kHeight - 7, chart.x.label);
  return out +
         fmt::format("<text text-anchor=\"middle\" transform=\"translate(11 {}) rotate(-90)\">{}</text>",
                     px(kTop + kPlotHeight / 2), escape_html(chart.y.label));
}

// `shift` in pixels; `index` is the number of the first point, for the markers.
std::string drawn(const Chart& chart, const ChartLine& some, double shift, std::size_t index) {
  std::string strokes, marks;
  for (const auto& piece : some.pieces) {
    std::string path;
    for (const ChartPoint& point : piece) {
      const double x = x_of(chart, point.x) + shift, y = y_of(chart, point.y);
      path += fmt::format("{}{} {}", path.empty() ? "M" : "L", px(x), px(y));
      if (point.interval)
        strokes += line("whisker", x, y_of(chart, point.interval->low), x, y_of(chart, point.interval->high));
      if (index++ % chart.marker_every == 0)
        marks += fmt::format(
            "<path class=\"mark\" transform=\"translate({} {})\" d=\"{}\"><title>{}</title></path>", px(x),
            px(y), marker(some.style), escape_html(point.title));
    }
    strokes += fmt::format("<path class=\"curve\"{} d=\"{}\"/>", dash(some.style), path);
  }
  return fmt::format("<g class=\"s{}\">{}{}</g>", colour(some.style), strokes, marks);
}

}  // namespace

Axis log_axis(double low, double high, const std::string& label) {
  Axis axis{low, high, true, {}, label};
  constexpr double kSteps[] = {1, 2, 5};
  const int first = static_cast<int>(std::floor(std::log10(low))) - 1;
  const int last = static_cast<int>(std::ceil(std::log10(high))) + 1;
  std::vector<double> steps;
  for (int decade = first; decade <= last; ++decade)
    for (const double step : kSteps) steps.push_back(step * std::pow(10.0, decade));
  axis.low = *(std::upper_bound(steps.begin(), steps.end(), low * (1 + 1e-9)) - 1);
  axis.high = *std::lower_bound(steps.begin(), steps.end(), high * (1 - 1e-9));
  if (axis.high <= axis.low) axis.low = axis.high / 2;
  for (const double step : steps)
    if (step >= axis.low * (1 - 1e-9) && step <= axis.high * (1 + 1e-9)) axis.ticks.push_back(step);
  return axis;
}

Axis linear_axis(double high, const std::string& label) {
  const double decade = std::pow(10.0, std::floor(std::log10(std::max(high, 1e-9) / 2)));
  double step = decade;
  for (const double wider : {2.0, 5.0, 10.0})
    if (high / step > 6) step = decade * wider;
  Axis axis{0, std::max(step, step * std::ceil(high / step - 1e-9)), false, {}, label};
  for (int i = 0; step * i <= axis.high * (1 + 1e-9); ++i) axis.ticks.push_back(step * i);
  return axis;
}

std::string svg_chart(const Chart& chart) {
  std::string out = fmt::format("<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
                                kWidth, kHeight, escape_html(chart.description));
  out += axes(chart);
  if (chart.full) {
    const double y = y_of(chart, *chart.full);
    out += line("full", kLeft, y, kWidth - kRight, y) + words("start", kWidth - kRight + 5, y + 3.8, "full");
  }
  const double gaps = std::max<double>(static_cast<double>(chart.lines.size()) - 1, 1);
  const double gap = chart.spread ? std::min(4.0, kMostSpread / gaps) : 0;
  for (std::size_t i = 0; i < chart.lines.size(); ++i)
    out += drawn(chart, chart.lines[i],
                 gap * (static_cast<double>(i) - static_cast<double>(chart.lines.size() - 1) / 2), i);
  return out + "</svg>";
}

std::string svg_key(std::size_t style) {
  return fmt::format(
      "<svg class=\"key s{}\" viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"curve\"{} d=\"M1 "
      "6H25\"/>"
      "<path class=\"mark\" transform=\"translate(13 6)\" d=\"{}\"/></svg>",
      colour(style), dash(style), marker(style));
}

std::string svg_key_full() {
  return "<svg class=\"key\" viewBox=\"0 0 26 12\" aria-hidden=\"true\">" + line("full", 1, 6, 25, 6) +
         "</svg>";
}

}  // namespace evictbench
