#pragma once

#include <span>
#include <string>
#include <vector>

#include "harness/journal.h"
#include "reports/record.h"

// What a run must give again, to the bit: of every record its answer's tokens, what it kept and its bytes.
namespace evictbench {

// JSON, a line for each record. A record that failed is an Error (exit 5).
std::string baseline_text(const Manifest& manifest, std::span<const Record> records);

struct BaselineCheck {
  std::size_t records = 0;
  std::vector<std::string> changes;  // a line for each record that is not as it was
};

// Errors: exit 4 for a file that is no baseline, exit 8 where `folder` holds another experiment or lacks records. The
// program's version may differ.
BaselineCheck check_baseline(const std::string& file, const std::string& folder, const Manifest& manifest,
                             std::span<const Record> records);

}  // namespace evictbench
