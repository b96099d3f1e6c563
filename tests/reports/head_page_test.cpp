// Maps of head scores: every head at its place, as dark as its score, and nothing that a file could smuggle in.
#include "reports/head_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "tests/support/html_fault.h"

namespace evictbench {
namespace {

using testing::HasSubstr;
using testing::Not;

HeadMap map_of(int layers, int heads) {
  HeadMap map{"copy", "7 of 9 trials count", layers, heads, {}};
  for (int i = 0; i < layers * heads; ++i) map.scores.push_back(i % 5 / 4.0);
  return map;
}

std::size_t count(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  return static_cast<std::size_t>(
      std::distance(std::sregex_iterator(text.begin(), text.end(), expression), std::sregex_iterator()));
}

struct Cell {
  int x, y;
  double opacity;
};
Cell cell_of(const std::string& svg, int layer, int head) {
  std::smatch found;
  const std::regex cell(
      "<rect x=\"(\\d+)\" y=\"(\\d+)\" width=\"\\d+\" height=\"\\d+\" "
      "fill-opacity=\"([0-9.]+)\"><title>layer " +
      std::to_string(layer) + ", head " + std::to_string(head) + ":");
  if (!std::regex_search(svg, found, cell)) return {-1, -1, -1};
  return {std::stoi(found[1]), std::stoi(found[2]), std::stod(found[3])};
}

TEST(HeadMaps, EveryHeadHasItsCell) {
  const HeadMap map = map_of(3, 4);
  const std::string svg = svg_head_maps(std::span(&map, 1));
  EXPECT_EQ(count(svg, "<title>"), 12U);
  const Cell first = cell_of(svg, 0, 0), right = cell_of(svg, 0, 1), below = cell_of(svg, 1, 0);
  EXPECT_GT(right.x, first.x);
  EXPECT_EQ(right.y, first.y);
  EXPECT_EQ(below.x, first.x);
  EXPECT_GT(below.y, first.y);
  EXPECT_EQ(first.opacity, 0);
  EXPECT_EQ(right.opacity, .25);
  EXPECT_EQ(cell_of(svg, 1, 0).opacity, 1) << "score 1 of at most 1";
}

TEST(HeadMaps, StandSideBySide) {
  const std::vector<HeadMap> maps{map_of(2, 2), map_of(2, 2), map_of(2, 2)};
  const std::string svg = svg_head_maps(maps);
  EXPECT_EQ(count(svg, "<g transform=\"translate\\(\\d+ 0\\)\">"), 3U);
  EXPECT_EQ(count(svg, "<title>"), 12U);
  EXPECT_EQ(html_fault(svg), "");
  EXPECT_THAT(svg, HasSubstr("xmlns=\"http://www.w3.org/2000/svg\""));
}

TEST(HeadMaps, OfScoresThatAreAllZeroAreBlank) {
  HeadMap map = map_of(2, 2);
  map.scores.assign(4, 0.0);
  const std::string svg = svg_head_maps(std::span(&map, 1));
  EXPECT_EQ(count(svg, "fill-opacity=\"0.000\""), 4U);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(HeadPage, HoldsMapsTablesAndFactsAndEscapesThem) {
  HeadPage page;
  page.lead = "<script>alert(1)</script>";
  page.maps = {map_of(2, 3)};
  page.tables = {{"best", "The best heads", "Mean.", {"rank", "<b>"}, {{"1", "0-2 & more"}}}};
  page.facts = {{"model hash", "<i>"}};
  const std::string html = head_page(page);
  EXPECT_EQ(count(html, "<rect x"), 6U);
  EXPECT_EQ(html_fault(html), "");
  EXPECT_THAT(html, HasSubstr("7 of 9 trials count"));
  EXPECT_THAT(html, HasSubstr("0-2 &amp; more"));
  EXPECT_THAT(html, HasSubstr("&lt;i&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("http:")));
}

}  // namespace
}  // namespace evictbench
