#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "reports/record.h"

// A record as one line of JSON. Its last member, "check", is the XXH3-64 of the bytes before it, so that a line
// that was cut, mixed or flipped in a single bit is never taken for a result.
// Codes: E-RC-01 no check, -02 wrong check, -03 other schema version, -04 unknown member, -05 not one of the
// words allowed, and those of core/io/json.h.
namespace evictbench {

// Without the line end. Text that is not UTF-8 gets U+FFFD; a number outside its range is our bug (exit 9).
std::string record_line(const Record& record);

// `line` without the line end; `file` and `number` (from 1) are for messages.
Record parse_record(std::string_view line, const std::string& file, std::size_t number);

}  // namespace evictbench
