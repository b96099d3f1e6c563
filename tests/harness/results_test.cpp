// What `report` makes again from a results folder: also what the records do not know.
#include "harness/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/io/file.h"
#include "tests/reports/synthetic.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

TEST(Results, LeaksAreThereAgain) {
  const TempFolder temporary;
  const std::string path = temporary / "results";
  Record record = synthetic::blank("niah", "inside", 512, 0, 0);
  record.policy = "compresskv{layer_scores=xxh3:0123456789abcdef}";
  record.policy_name = "compresskv";
  record.point = "p";
  record.budget_unit = "entries";
  record.budget = 64;
  record.scores["exact"] = 1;
  const ExampleNotes notes{.warnings = {},
                           .main_scores = {{"niah", "exact"}},
                           .references = {},
                           .leaks = {{record.policy, "niah", 1}},
                           .judges = {},
                           .answers = {},
                           .classes = {}};
  std::string first;
  {
    const OutputFolder folder(path);
    const std::vector<RecordKey> keys{{record.task, record.example, record.point}};
    Journal journal(folder, {{"evictbench", "test"}}, keys);
    journal.append(std::vector<Record>{record});
    write_notes(folder, notes);
    write_results(folder, journal.records(), notes, {{"evictbench", "test"}});
    first = read_text(path + "/results.json", Exit::kInput, "E-RS");
  }
  EXPECT_THAT(first, testing::HasSubstr("compresskv (leak)"));
  EXPECT_EQ(rebuild_results(path), 0);
  EXPECT_EQ(read_text(path + "/results.json", Exit::kInput, "E-RS"), first);

  // A folder of an earlier version has no leaks.
  temporary.write("results/examples.json", R"({"warnings": [], "main_scores": {}, "references": {}})");
  EXPECT_EQ(rebuild_results(path), 0);
  EXPECT_THAT(read_text(path + "/results.json", Exit::kInput, "E-RS"),
              testing::Not(testing::HasSubstr("leak)")));
}

}  // namespace
}  // namespace evictbench
