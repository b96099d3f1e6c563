#pragma once

#include <cstddef>
#include <string>

#include "reports/json_text.h"
#include "reports/statistics.h"

namespace evictbench {

// RFC 4180, with line ends of one byte.
class Csv {
 public:
  Csv& text(const std::string& value) {
    if (!row_start_) out_ += ',';
    row_start_ = false;
    const std::string clean = valid_utf8(value);
    if (clean.find_first_of(",\"\r\n") == clean.npos) {
      out_ += clean;
      return *this;
    }
    out_ += '"';
    for (const char c : clean) out_ += c == '"' ? "\"\"" : std::string(1, c);
    out_ += '"';
    return *this;
  }
  Csv& number(double value) { return text(shortest(value)); }
  Csv& count(std::size_t value) { return text(std::to_string(value)); }
  Csv& estimate(const Estimate* estimate) {  // mean, low, high
    const bool known = estimate != nullptr && estimate->count > 0;
    text(known ? shortest(estimate->mean) : "");
    const bool wide = known && estimate->interval;
    text(wide ? shortest(estimate->interval->low) : "");
    return text(wide ? shortest(estimate->interval->high) : "");
  }
  void end_row() {
    out_ += '\n';
    row_start_ = true;
  }
  const std::string& str() const { return out_; }

 private:
  std::string out_;
  bool row_start_ = true;
};

}  // namespace evictbench
