#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

// Pictures of head scores: a map of layers x heads for each kind of score.
namespace evictbench {

struct HeadMap {
  std::string title;           // "copy"
  std::string note;            // what it says of itself, such as how many trials count
  int layers = 0, heads = 0;   // L, H
  std::vector<double> scores;  // [L * H], none negative
};

// All maps side by side, layers down, heads across; a cell is as dark as its share of its map's highest score.
std::string svg_head_maps(std::span<const HeadMap> maps);  // a document of its own

struct HeadTable {
  std::string id, title, lead;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

struct HeadPage {
  std::string lead;
  std::vector<HeadMap> maps;
  std::vector<HeadTable> tables;
  std::vector<std::pair<std::string, std::string>> facts;
};

// One page: no network, no script, light and dark.
std::string head_page(const HeadPage& page);

}  // namespace evictbench
