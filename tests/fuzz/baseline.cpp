// A baseline file, against a run of two records.
#include "harness/baseline.h"

#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {
namespace {

std::vector<Record> two_records() {
  std::vector<Record> records(2);
  for (Record& record : records) {
    record.task = "t";
    record.example = "0";
    record.policy_name = "full";
    record.answer_ids = {1, 2};
    record.kept = 8;
    record.retained_bytes = 64;
  }
  records[0].point = "p";
  records[1].point = "q";
  return records;
}

}  // namespace

void fuzz_one(std::string_view input) {
  static const MemoryFolder folder;
  static const Manifest manifest{{"model", "00"}};
  static const std::vector<Record> records = two_records();
  const BaselineCheck check =
      check_baseline(folder.write("baseline.json", input), "results", manifest, records);
  must(check.records == records.size() && check.changes.size() <= records.size(),
       "baseline: records that are not there");
}

}  // namespace evictbench
