#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>

// Scores over length and depth as a table of colours.
namespace evictbench {

struct HeatMap {
  struct Cell {
    std::optional<double> score = std::nullopt;  // mean, 0 to 1
    std::size_t answered = 0, failed = 0;
  };
  std::string caption, note;                     // HTML
  std::map<std::pair<double, int>, Cell> cells;  // depth in percent, length in tokens
};

std::string heat_table(const HeatMap& map);  // depths down, lengths across
std::string folded_heat_maps(bool open, const std::string& title, const std::string& maps);

extern const char* const kHeatLead;  // says how to read them

}  // namespace evictbench
