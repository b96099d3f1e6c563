#pragma once

#include <functional>
#include <string>

#include "core/io/json.h"

namespace evictbench {

// Calls `visit` with every line of a file, a JSON object each, and its number from 1. Lines end at \n alone: texts hold other
// separators. A blank line, one that is no object, a last line that was cut off and an empty file are Errors of the rules'
// exit code (L01 to L04 after the prefix), as is all that core/io/json.h refuses, of 2^20 values in a line at most; positions
// count lines of the file.
void read_json_lines(const std::string& path, const JsonRules& rules,
                     const std::function<void(const Json& line, std::size_t number)>& visit);

// A required list of strings.
std::vector<std::string> strings_of(const Json& list);

}  // namespace evictbench
