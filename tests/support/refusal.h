#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "core/error.h"

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

// The message of the Error that `act` throws, after checking its exit code and form; "" where nothing was refused.
template <class Act>
std::string refusal(Act&& act, Exit exit = Exit::kInput) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit(), exit) << error.what();
    EXPECT_TRUE(is_well_formed(error.what())) << printable(error.what(), 4096);
    return error.what();
  }
  return "";
}

// `act` is refused under this code, in words that match this (POSIX extended) regular expression.
template <class Act>
void expect_refusal(Act&& act, const std::string& code, const std::string& words, Exit exit = Exit::kInput) {
  const std::string message = refusal(act, exit);
  EXPECT_THAT(message, testing::StartsWith("error[" + code + "]"));
  EXPECT_THAT(message, testing::ContainsRegex(words));
}

}  // namespace evictbench
