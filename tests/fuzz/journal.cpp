// A results folder that a run finds: records.jsonl, and before a NUL byte its manifest. What a journal cuts off stays off.
#include "harness/journal.h"

#include "reports/record_json.h"
#include "tests/fuzz/support/checked_line.h"
#include "tests/fuzz/support/files.h"
#include "tests/fuzz/support/target.h"

namespace evictbench {
namespace {

const Manifest kManifest{{"model", "00"}, {"points[0]", "full"}};
const std::vector<RecordKey> kPlan{{"t", "0", "p"}, {"t", "0", "q"}, {"t", "1", "p"}, {"t", "1", "q"}};

std::string lines_of(std::string_view input) {
  std::string out;
  while (!input.empty()) {
    const bool whole = input.find('\n') != input.npos;
    const std::string_view line = take_until(input, '\n');
    out += whole ? checked_line(line) + '\n' : std::string(line);
  }
  return out;
}

}  // namespace

void fuzz_one(std::string_view input) {
  static const MemoryFolder memory;
  static const OutputFolder folder(memory / "results");
  const bool has_manifest = input.find('\0') != input.npos;
  memory.write("results/manifest.json", has_manifest ? take_until(input, '\0') : manifest_text(kManifest));
  memory.write("results/records.jsonl", lines_of(input));
  passes([&] { read_manifest(folder.file("manifest.json")); });
  passes([&] { Journal(folder, kManifest, kPlan); });
  const Journal cut(folder, kManifest, kPlan, Journal::Damage::kCut);
  const Journal again(folder, kManifest, kPlan);
  must(again.notes().empty() && again.records().size() == cut.records().size(),
       "journal: a cut that did not last");
  for (std::size_t i = 0; i < again.records().size(); ++i)
    must(record_line(again.records()[i]) == record_line(cut.records()[i]), "journal: another record");
}

}  // namespace evictbench
