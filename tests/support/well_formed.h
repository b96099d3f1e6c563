#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace evictbench {

// error[CODE] FILE:POSITION: FOUND; expected EXPECTED. Mend: MEND.   on one line, without control characters
inline bool is_well_formed(const std::string& message) {
  std::size_t at = 0;
  for (const char* part : {"error[E-", "] ", ": ", "; expected ", ". Mend: "}) {
    const std::size_t found = message.find(part, at);
    const bool nothing_between = found == at && at > 0;
    if (found == message.npos || nothing_between || (at == 0 && found != 0)) return false;
    at = found + std::string_view(part).size();
  }
  const bool ends = message.size() > at + 1 && (message.back() == '.' || message.back() == '?');
  return ends &&
         std::none_of(message.begin(), message.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace evictbench
