#pragma once

#include <string>
#include <utility>
#include <vector>

// What every page is made of: one file, no network, no script, light and dark.
namespace evictbench {

struct PageFrame {
  std::string title, heading;  // plain text
  std::string lead;            // this and the rest are HTML
  std::string navigation, body, footer;
  std::string style;  // CSS beyond that of every page
};
std::string page_of(const PageFrame& frame);

std::string section(const char* id, const char* title, const std::string& lead, const std::string& body);
std::string facts_list(const std::vector<std::pair<std::string, std::string>>& facts);  // of plain text

}  // namespace evictbench
