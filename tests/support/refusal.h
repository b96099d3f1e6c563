#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "tests/support/well_formed.h"

namespace evictbench {

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
