// Data, stored answers and dictionaries that lie: one line each, exit code 4, little time and memory.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "datasets/longbench_data.h"
#include "datasets/longbench_predictions.h"
#include "datasets/segmenter.h"
#include "tests/support/longbench_files.h"
#include "tests/support/malformed.h"
#include "tests/support/no_file.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

using nlohmann::json;

const std::set<std::string> kOfLines{"JL-01", "JL-02", "JL-03", "JL-04", "JL-05",
                                     "JL-06", "JL-07", "JL-08", "JL-09", "JL-10"};

std::set<std::string> with_lines(std::set<std::string> ids) {
  ids.insert(kOfLines.begin(), kOfLines.end());
  return ids;
}

std::string bytes(std::initializer_list<int> codes) {
  std::string out;
  for (const int code : codes) out += static_cast<char>(code);
  return out;
}

// What no JSON lines may be, whatever they hold. `good` is a whole line; codes are with the given prefix.
std::vector<Malformed> bad_lines(const std::string& prefix, const std::string& good) {
  const std::string half = good.substr(0, good.size() / 2);
  std::string many = "{\"a\":[1";
  for (int i = 0; i < 1 << 20; ++i) many += ",1";
  std::string twice = good;
  twice.insert(1, "\"length\":3,");
  return {
      {"JL-01", "", prefix + "-L04", "an empty file"},
      {"JL-02", "\n", prefix + "-L01", ":1: a blank line"},
      {"JL-02", good + "\n" + good, prefix + "-L01", ":2: a blank line"},
      {"JL-02", good + "\n", prefix + "-L01", ":2: a blank line"},
      {"JL-02", "  \r\n" + good, prefix + "-L01", ":1: a blank line"},
      {"JL-03", good + half, prefix + "-L02", ":2: the last line breaks off"},
      {"JL-03", half, prefix + "-L02", ":1: the last line breaks off"},
      {"JL-03", good.substr(0, good.size() - 2), prefix + "-L02", ":1: the last line breaks off"},
      {"JL-04", half + "\n" + good, prefix + "-J01", ":1:[0-9]+"},
      {"JL-04", good + half + "\n", prefix + "-J01", ":2:[0-9]+"},
      {"JL-05", "[]\n", prefix + "-L03", ":1: a value that is no object"},
      {"JL-05", "null\n", prefix + "-L03", "no object"},
      {"JL-05", "\"text\"\n", prefix + "-L03", "no object"},
      {"JL-06", good.substr(0, good.size() - 1) + good, prefix + "-J01", ":1:[0-9]+"},
      {"JL-06", "[\n" + good + "]\n", prefix + "-J01", ":1:"},
      {"JL-06", "{'pred': 'single quotes'}\n", prefix + "-J01", ":1:2"},
      {"JL-07", twice, prefix + "-J04", "length"},
      {"JL-08", "{\"a\":NaN}\n", prefix + "-J01", ":1:"},
      {"JL-08", "{\"a\":\"" + bytes({0xff, 0xfe}) + "\"}\n", prefix + "-J02", "UTF-8"},
      {"JL-08", "{\"a\":\"\\ud800\"}\n", prefix + "-J01", ":1:"},
      {"JL-08", "{\"a\":\"" + bytes({0}) + "\"}\n", prefix + "-J01", ":1:"},
      {"JL-09", "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}\n", prefix + "-J03", "deep"},
      {"JL-09", many + "]}\n", prefix + "-J03", ":1:[0-9]+ /a: more than 1048576 values"},
      {"JL-10", bytes({0x1f, 0x8b, 8, 0}) + "gzip", prefix + "-F13", "gzip"},
      {"JL-10", bytes({'P', 'K', 3, 4}) + "zip", prefix + "-F13", "zip"},
      {"JL-10", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", prefix + "-F13",
       "LFS"},
      {"JL-10", "<!DOCTYPE html><html>", prefix + "-F14", "HTML"},
  };
}

std::vector<Malformed> bad_records() {
  const auto one = [](const json& changes) { return longbench_line("a", changes); };
  std::vector<Malformed> cases = bad_lines("E-LB", longbench_line("a"));
  for (const char* key : {"input", "context", "answers", "length", "_id"})
    cases.push_back({"LB-01", one({{key, nullptr}}), "E-LB-J07", key});
  for (const char* key : {"input", "context", "_id"})
    for (const json& value : {json(3), json::array({"x"}), json(true)})
      cases.push_back({"LB-02", one({{key, value}}), "E-LB-J05", key});
  const std::vector<Malformed> more{
      {"LB-02", one({{"answers", "this"}}), "E-LB-J05", "answers"},
      {"LB-02", one({{"answers", {1, 2}}}), "E-LB-J05", "/answers/0"},
      {"LB-02", one({{"answers", {"a", {"b"}}}}), "E-LB-J05", "/answers/1"},
      {"LB-02", one({{"all_classes", "x"}}), "E-LB-J05", "all_classes"},
      {"LB-02", one({{"dataset", 4}}), "E-LB-J05", "dataset"},
      {"LB-03", one({{"answers", json::array()}}), "E-LB-03", "no answer"},
      {"LB-03", one({{"_id", ""}}), "E-LB-02", "empty id"},
      {"LB-03", one({{"context", ""}}), "E-LB-04", "empty context"},
      {"LB-04", one({{"length", -1}}), "E-LB-J06", "length"},
      {"LB-04", one({{"length", 1.5}}), "E-LB-J05", "length"},
      {"LB-04", one({{"length", "8616"}}), "E-LB-J05", "length"},
      {"LB-04", one({{"length", 4294967296}}), "E-LB-J06", "length"},
      {"LB-05", longbench_line("a") + longbench_line("b") + longbench_line("a"), "E-LB-07",
       ":3:.*of line 1 again"},
      {"LB-06", one({{"input", nullptr}, {"answer_prefix", "Answer:"}, {"question", "?"}}), "E-LB-01",
       "Xnhyacinth/LongBench.*data.zip"},
  };
  cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

TEST(Malformed, LongBenchData) {
  const TempFolder folder;
  expect_all_refused(bad_records(), 48, with_lines({"LB-01", "LB-02", "LB-03", "LB-04", "LB-05", "LB-06"}),
                     [&](const std::string& content) {
                       read_longbench(folder.write("hotpotqa.jsonl", content), *longbench_task("hotpotqa"),
                                      false);
                     });
}

TEST(Malformed, LongBenchTasksOfTheirOwnRules) {
  const TempFolder folder;
  const std::vector<Malformed> cases{
      {"LB-07", longbench_line("a"), "E-LB-06", "no all_classes"},
      {"LB-07", longbench_line("a", {{"all_classes", json::array()}}), "E-LB-06", "no all_classes"},
      {"LB-08", longbench_line("a", {{"all_classes", {"x"}}, {"input", ""}}), "E-LB-05", "empty input"},
  };
  expect_all_refused(cases, 3, {"LB-07", "LB-08"}, [&](const std::string& content) {
    read_longbench(folder.write("trec.jsonl", content), *longbench_task("trec"), false);
  });
}

TEST(Malformed, StoredAnswers) {
  const TempFolder folder;
  std::vector<Malformed> cases = bad_lines("E-PR", prediction_line());
  const auto one = [](const json& changes) { return prediction_line(changes); };
  for (const char* key : {"pred", "answers", "length"})
    cases.push_back({"PR-01", one({{key, nullptr}}), "E-PR-J07", key});
  const std::vector<Malformed> more{
      {"PR-02", one({{"pred", 3}}), "E-PR-J05", "pred"},
      {"PR-02", one({{"pred", {"a"}}}), "E-PR-J05", "pred"},
      {"PR-02", one({{"answers", "a"}}), "E-PR-J05", "answers"},
      {"PR-02", one({{"answers", {json::array(), "b"}}}), "E-PR-J05", "/answers/0"},
      {"PR-02", one({{"all_classes", 1}}), "E-PR-J05", "all_classes"},
      {"PR-02", one({{"_id", 7}}), "E-PR-J05", "_id"},
      {"PR-03", one({{"answers", json::array()}}), "E-PR-01", "no answer to compare with"},
      {"PR-04", one({{"length", -5}}), "E-PR-J06", "length"},
      {"PR-04", one({{"length", 1e300}}), "E-PR-J05", "length"},
      {"PR-05", prediction_line() + one({{"answers", nullptr}}), "E-PR-J07", ":2:"},
  };
  cases.insert(cases.end(), more.begin(), more.end());
  expect_all_refused(cases, 36, with_lines({"PR-01", "PR-02", "PR-03", "PR-04", "PR-05"}),
                     [&](const std::string& content) {
                       score_predictions(folder.write("hotpotqa.jsonl", content), *longbench_task("hotpotqa"),
                                         LongBench::kByLength, nullptr);
                     });
  expect_refusal(
      [&] {
        score_predictions(folder.write("trec.jsonl", prediction_line()), *longbench_task("trec"),
                          LongBench::kWhole, nullptr);
      },
      "E-PR-02", "no all_classes in the last line");
  expect_refusal(
      [&] {
        score_predictions(folder.write("hotpotqa.jsonl", prediction_line()), *longbench_task("hotpotqa"),
                          LongBench::kWhole, nullptr, "babilong_match");
      },
      "E-PR-02", "no all_classes in the last line");
}

TEST(Malformed, Dictionaries) {
  const TempFolder folder;
  folder.write("jieba_hmm.json", R"({"start":{},"trans":{},"emit":{}})");
  const std::vector<Malformed> cases{
      {"JB-01", "", "E-JB-03", "without words"},
      {"JB-01", "\xE4\xB8\xAD 0 n\n", "E-JB-03", "without words"},
      {"JB-02", "\xE4\xB8\xAD\n", "E-JB-02", ":1:"},
      {"JB-02", "a 3 n\n\xE4\xB8\xAD three n\n", "E-JB-02", ":2:"},
      {"JB-02", "a -3 n\n", "E-JB-02", ":1:"},
      {"JB-02", "a 3.5 n\n", "E-JB-02", ":1:"},
      {"JB-02", "a 99999999999999999999 n\n", "E-JB-02", ":1:"},
      {"JB-02", " 3 n\n", "E-JB-02", ":1:"},
      {"JB-02", "a 3 n\n\nb 2 n\n", "E-JB-02", ":2:"},
      {"JB-02", "\xff 3 n\n", "E-JB-02", ":1:"},
      {"JB-02", "a 3 n\n<html>", "E-JB-02", ":2:"},
  };
  expect_all_refused(cases, 11, {"JB-01", "JB-02"}, [&](const std::string& content) {
    folder.write("jieba_dict.txt", content);
    Segmenter::from_folder(folder.path());
  });
}

TEST(Malformed, TablesOfADictionary) {
  const TempFolder folder;
  folder.write("jieba_dict.txt", "a 3 n\n");
  const std::string row = R"({"B":-1,"E":-1,"M":-1,"S":-1})";
  const auto all = [&](const std::string& start, const std::string& trans, const std::string& emit) {
    return R"({"start":)" + start + R"(,"trans":)" + trans + R"(,"emit":)" + emit + "}";
  };
  const std::string rows = R"({"B":{},"E":{},"M":{},"S":{}})";
  folder.write("jieba_hmm.json", all(row, rows, rows));
  EXPECT_EQ(Segmenter::from_folder(folder.path())->cut("ab").size(), 1U);
  const std::vector<Malformed> cases{
      {"JB-03", "{}", "E-JB-J07", "start"},
      {"JB-03", all("{}", rows, rows), "E-JB-J07", "B"},
      {"JB-03", all(row, row, rows), "E-JB-J05", "/trans/B"},
      {"JB-03", all(row, rows, R"({"B":{}})"), "E-JB-J07", "E"},
      {"JB-04", all(R"({"B":1,"E":-1,"M":-1,"S":-1})", rows, rows), "E-JB-J06", "/start/B"},
      {"JB-04", all(R"({"B":-1e200,"E":-1,"M":-1,"S":-1})", rows, rows), "E-JB-J06", "/start/B"},
      {"JB-04", all(row, rows, R"({"B":{"ab":-1},"E":{},"M":{},"S":{}})"), "E-JB-04", "one character"},
      {"JB-05", "[]", "E-JB-J05", "object"},
  };
  expect_all_refused(cases, 8, {"JB-03", "JB-04", "JB-05"}, [&](const std::string& content) {
    folder.write("jieba_hmm.json", content);
    Segmenter::from_folder(folder.path());
  });
  const TempFolder package;
  package.write("dict.txt", "a 3 n\n");
  std::filesystem::create_directory(package / "finalseg");
  for (const char* name : {"start", "trans", "emit"})
    package.write(std::string("finalseg/prob_") + name + ".py", "P=[]");
  expect_refusal([&] { Segmenter::from_folder(package.path()); }, "E-JB-05", "no table P=");
  std::filesystem::remove(package / "finalseg/prob_start.py");
  EXPECT_NE(refusal([&] { Segmenter::from_folder(package.path()); }).find("prob_start.py"),
            std::string::npos);
}

TEST(Malformed, FilesThatAreNone) {  // are refused by what they are, not passed over
  const TempFolder folder;
  const LongBenchTask& task = *longbench_task("hotpotqa");
  expect_no_file_is_refused(folder / "hotpotqa.jsonl", "E-LB",
                            [&] { read_longbench(longbench_path(folder.path(), task, false), task, false); });
}

}  // namespace
}  // namespace evictbench
