#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "reports/statistics.h"

// Inline SVG line charts. Colours come from the page (classes s0..s7), so that they follow light and dark.
namespace evictbench {

struct ChartPoint {
  double x = 0, y = 0;
  std::optional<Interval> interval;  // of y: a whisker
  std::string title;                 // shown on hover
};

struct ChartLine {
  std::size_t style = 0;                        // which colour, marker and dash
  std::vector<std::vector<ChartPoint>> pieces;  // a hole in the data cuts the line
};

struct Axis {
  double low = 0, high = 1;
  bool log = false;
  std::vector<double> ticks;
  std::string label;
  std::vector<std::string> names = {};  // of the ticks; empty: their numbers
};

struct Chart {
  std::string description;  // for readers that do not see it
  Axis x, y;
  std::vector<ChartLine> lines;
  std::optional<double> full;  // y of a dashed line across
  bool spread = false;  // set the lines a few pixels apart, so that whiskers of equal x can be told apart
  std::size_t marker_every = 1;  // points; each line begins one point apart from the one before
};

// Axes whose ticks are round numbers. Log: 1, 2, 5, 10 ... around [low, high], low > 0.
Axis log_axis(double low, double high, const std::string& label);
Axis linear_axis(double high, const std::string& label);  // from 0

std::string svg_chart(const Chart& chart);
std::string svg_key(std::size_t style);  // a piece of line with its marker, for legends and tables
std::string svg_key_full();              // the dashed line of the full cache

}  // namespace evictbench
