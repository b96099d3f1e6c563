// A line of records.jsonl. What is accepted is written again so that it reads the same.
#include "reports/record_json.h"
#include "tests/fuzz/support/checked_line.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {

void fuzz_one(std::string_view input) {
  const Record record = parse_record(checked_line(input), "records.jsonl", 1);
  const std::string line = record_line(record);
  must(record_line(parse_record(line, "records.jsonl", 1)) == line,
       "record: another one when written and read");
}

}  // namespace evictbench
