#include "datasets/judge.h"

#include <gtest/gtest.h>

namespace evictbench {
namespace {

using Part = Judge::Part;

TEST(Judge, LooksAtAPartOfAnAnswer) {
  const std::string answer = "\n\n \u3000one\ntwo";
  EXPECT_EQ(judged_part(Part::kAll, answer), answer);
  EXPECT_EQ(judged_part(Part::kFirstLine, answer), " \u3000one");
  EXPECT_EQ(judged_part(Part::kFirstText, answer), "one");
  EXPECT_EQ(judged_part(Part::kBeforeStop, " one\n\ntwo###three###"), " one\n\ntwo");
  EXPECT_EQ(judged_part(Part::kBeforeStop, "one##"), "one##");
  for (const Part part : {Part::kFirstLine, Part::kFirstText}) {
    EXPECT_EQ(judged_part(part, ""), "");
    EXPECT_EQ(judged_part(part, "\n\n"), "");
    EXPECT_EQ(judged_part(part, "one"), "one");
  }
}

TEST(Judge, NamesItsParts) {
  for (const Part part : {Part::kAll, Part::kFirstLine, Part::kFirstText, Part::kBeforeStop})
    EXPECT_EQ(part_named(name_of(part)), part);
  EXPECT_EQ(part_named("last line"), std::nullopt);
}

}  // namespace
}  // namespace evictbench
