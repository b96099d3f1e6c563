// The gate: the same records pass; one changed answer, one changed byte or one changed share turns it red.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/baseline.h"
#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Manifest kManifest{{"evictbench", "1.0"}, {"model file model.safetensors", "aa"}, {"seed", "42"}};

std::vector<Record> records() {
  std::vector<Record> out(3);
  for (std::size_t i = 0; i < out.size(); ++i) {
    Record& r = out[i];
    r.task = "needle";
    r.example = "len512-" + std::to_string(i / 2);
    r.point = i % 2 == 0 ? "p0" : "p1";
    r.question = "inside";
    r.policy = "snapkv{window=16}";
    r.budget_unit = "ratio";
    r.budget = 0.1;
    r.answer_ids = {5, 6, static_cast<std::int32_t>(i)};
    r.kept = 100;
    r.retained_bytes = 6400;
  }
  return out;
}

class BaselineTest : public testing::Test {
 protected:
  BaselineTest() : file_(folder_.write("baseline.json", baseline_text(kManifest, records()))) {}
  BaselineCheck check(const std::vector<Record>& now, const Manifest& manifest = kManifest) const {
    return check_baseline(file_, "results", manifest, now);
  }
  std::vector<std::string> changes(const std::function<void(Record&)>& change) const {
    std::vector<Record> now = records();
    change(now[1]);
    return check(now).changes;
  }

  TempFolder folder_;
  std::string file_;
};

TEST_F(BaselineTest, TheSameRecordsPassInAnyOrder) {
  EXPECT_THAT(check(records()).changes, IsEmpty());
  std::vector<Record> now = records();
  std::swap(now[0], now[2]);
  EXPECT_THAT(check(now).changes, IsEmpty());
  EXPECT_EQ(check(now).records, 3U);
}

TEST_F(BaselineTest, OneChangeTurnsItRed) {
  EXPECT_THAT(changes([](Record& r) { r.answer_ids[2] = 7; }),
              ElementsAre(HasSubstr("needle len512-0 question inside snapkv{window=16} 0.1 ratio: tokens ")));
  EXPECT_THAT(changes([](Record& r) { r.answer_ids.pop_back(); }), ElementsAre(HasSubstr("tokens ")));
  EXPECT_THAT(changes([](Record& r) { r.kept = 99; }),
              ElementsAre(HasSubstr("kept 99, bytes 6400; was tokens")));
  EXPECT_THAT(changes([](Record& r) { r.retained_bytes = 6401; }), ElementsAre(HasSubstr("bytes 6401; was")));
  EXPECT_THAT(changes([](Record& r) { r.error = "out of luck"; }),
              ElementsAre(HasSubstr("failed: out of luck")));
  EXPECT_THAT(changes([](Record& r) { r.answer = "told otherwise"; }), IsEmpty())
      << "text follows from tokens";
}

TEST_F(BaselineTest, AnotherVersionOfTheProgramIsComparable) {
  Manifest manifest = kManifest;
  manifest[0].second = "2.0";
  EXPECT_THAT(check(records(), manifest).changes, IsEmpty());
}

TEST_F(BaselineTest, AnotherExperimentIsNot) {
  Manifest manifest = kManifest;
  manifest[1].second = "bb";
  expect_refusal([&] { check(records(), manifest); }, "E-BL-02",
                 "model.safetensors: there \"aa\", now \"bb\"", Exit::kNotComparable);
  std::vector<Record> now = records();
  now.pop_back();
  expect_refusal([&] { check(now); }, "E-BL-02", "2 records where .* has 3", Exit::kNotComparable);
  now = records();
  now[1].point = "p9";
  expect_refusal([&] { check(now); }, "E-BL-02", "a record of needle len512-0 that", Exit::kNotComparable);
}

TEST_F(BaselineTest, RefusesWhatIsNoBaseline) {
  for (const char* text : {"", "[]", "{\"schema\":2}", "{\"schema\":1,\"identity\":{},\"records\":[{}]}"}) {
    file_ = folder_.write("bad.json", text);
    EXPECT_NE(refusal([&] { check(records(), {{"evictbench", "1.0"}}); }), "") << text;
  }
  std::vector<Record> failed = records();
  failed[0].error = "out of luck";
  expect_refusal([&] { baseline_text(kManifest, failed); }, "E-BL-01", "out of luck", Exit::kFailedPoints);
}

}  // namespace
}  // namespace evictbench
