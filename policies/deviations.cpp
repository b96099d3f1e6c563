#include "policies/deviations.h"

#include <algorithm>
#include <charconv>
#include <ranges>

#include "core/error.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

// The cells of a row "| a | b |". A bar in a cell is written \|.
std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells;
  std::string cell;
  for (std::size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == '|') {
      cell += line[++i];
    } else if (line[i] == '|') {
      const auto first = cell.find_first_not_of(' '), last = cell.find_last_not_of(' ');
      cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
      cell.clear();
    } else {
      cell += line[i];
    }
  }
  return cells;
}

std::string plain(std::string text) {
  std::erase(text, '`');
  return text;
}

std::vector<Deviation> read(std::string_view text) {
  std::vector<Deviation> all;
  for (const auto part : std::views::split(text, '\n')) {
    const std::string_view line(part.begin(), part.end());
    if (!line.starts_with("| ")) continue;
    const auto cells = cells_of(line);
    Deviation row;
    const std::string& number = cells.at(0);
    if (std::from_chars(number.data(), number.data() + number.size(), row.number).ec != std::errc())
      continue;  // the head of the table
    require(cells.size() == 5, "DEVIATIONS.md: a row has five cells");
    row.policies = cells[1];
    row.from = plain(cells[2]), row.what = plain(cells[3]), row.effect = plain(cells[4]);
    all.push_back(std::move(row));
  }
  return all;
}

}  // namespace

const std::vector<Deviation>& all_deviations() {
  static const std::vector<Deviation> all = read(kDeviationsText);
  return all;
}

std::vector<Deviation> deviations_of(const std::string& policy) {
  const auto entry = std::ranges::find(all_policies(), policy, &PolicyEntry::name);
  require(entry != all_policies().end(), "deviations of no policy");
  const auto options = describe(*entry);
  const bool canonical = policy.find('@') == std::string::npos,
             windowed = std::ranges::find(options, "window", &OptionInfo::key) != options.end();
  std::vector<Deviation> mine;
  for (const Deviation& row : all_deviations())
    if (row.policies.find("`" + policy + "`") != std::string::npos ||
        (canonical && (row.policies == "all" || (windowed && row.policies == "all with a window"))))
      mine.push_back(row);
  return mine;
}

}  // namespace evictbench
