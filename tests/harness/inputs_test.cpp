#include <gtest/gtest.h>

#include "harness/commands.h"
#include "tests/support/refusal.h"

namespace evictbench {
namespace {

TEST(TextInput, RefusesAWrongTemplateBesideIdsToo) {
  TextInput input;
  input.ids = "1,2";
  for (const char* chat : {"none", "auto", "llama-3.1"}) {
    input.chat = chat;
    EXPECT_EQ(input.tokens("", nullptr, 10), (Tokens{1, 2}));
  }
  input.chat = "lama-3";
  expect_refusal([&] { input.tokens("", nullptr, 10); }, "E-CT-03", "no chat template 'lama-3'",
                 Exit::kUsage);
}

}  // namespace
}  // namespace evictbench
