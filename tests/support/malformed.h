#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <ctime>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "tests/support/refusal.h"

namespace evictbench {

// A file that lies, and what is said of it.
struct Malformed {
  std::string id;       // of the contract: "ST-14"
  std::string content;  // of the file
  std::string code;     // "E-ST-14"
  std::string words;    // that the message holds, a POSIX extended regular expression
};

inline long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// `open(content)` refuses each case with exit code 4 and one line of five parts, within 2 s of processor time and with
// little memory, and there are at least `least` cases, some for each of `ids`.
template <class Open>
void expect_all_refused(std::span<const Malformed> cases, std::size_t least, const std::set<std::string>& ids,
                        const Open& open) {
  constexpr long kMostGrowthKib = 64 << 10;
  std::set<std::string> seen;
  for (const Malformed& each : cases) {
    SCOPED_TRACE(each.id + " " + printable(each.content, 300));
    const std::clock_t start = std::clock();
    const long before = peak_kib();
    const std::string message = refusal([&] { open(each.content); });
    EXPECT_LT(peak_kib() - before, kMostGrowthKib + 3 * static_cast<long>(each.content.size() >> 10));
    EXPECT_LT(std::clock() - start, 2 * CLOCKS_PER_SEC);
    EXPECT_THAT(message, testing::StartsWith("error[" + each.code + "] "));
    EXPECT_THAT(message, testing::ContainsRegex(
                             "^error\\[E-[A-Z]+-[A-Z0-9]+\\] .+: .+; expected .+\\. Mend: .+[.?]$"));
    EXPECT_THAT(message, testing::ContainsRegex(each.words));
    seen.insert(each.id);
  }
  EXPECT_EQ(seen, ids);
  EXPECT_GE(cases.size(), least);
}

}  // namespace evictbench
