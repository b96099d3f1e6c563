#include "harness/yaml.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/support/refusal.h"
#include "tests/support/temp_folder.h"

namespace evictbench {
namespace {

constexpr std::int64_t kLeast = INT64_MIN, kMost = INT64_MAX;

Yaml parse(const std::string& text) { return Yaml::from_text(text, "sweep.yaml"); }

std::string repeated(const std::string& piece, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += piece;
  return out;
}

struct Malformed {
  const char* name;
  std::string text;
  const char* code;
  const char* words;  // a regular expression
};

void PrintTo(const Malformed& malformed, std::ostream* out) { *out << malformed.name; }

class MalformedYaml : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedYaml, IsRefused) {
  const Malformed& c = GetParam();
  const auto start = std::chrono::steady_clock::now();
  expect_refusal([&] { parse(c.text); }, c.code, c.words, Exit::kSweep);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

// Each list holds the one before it ten times.
std::string bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before +
            repeated(", " + before, 9) + "]\n";
  }
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    All, MalformedYaml,
    testing::Values(
        Malformed{"UnterminatedList", "a: [1, 2\n", "E-YM-01", "sweep.yaml:[12]:"},
        Malformed{"UnterminatedMap", "a: {b: 1\nc: 2\n", "E-YM-01", "sweep.yaml:"},
        Malformed{"UnterminatedQuote", "a: \"text\nb: 1\n", "E-YM-01", "sweep.yaml:"},
        Malformed{"UnterminatedSingleQuote", "a: 1\nb: 'it''s\nc: 1\n", "E-YM-01",
                  "2:4: this quoted text has no end"},
        Malformed{"UnterminatedAfterEscape", "\u00e9: \"\\\"\nc: 1\n", "E-YM-01", "no end"},
        Malformed{"UnterminatedAnchored", "a: &x \"text\nc: 1\n", "E-YM-01", "no end"},
        Malformed{"UnterminatedBlock", "m: [\"text\n", "E-YM-01", "sweep.yaml:2:1"},
        Malformed{"UnclosedRootList", "[1, 2\n", "E-YM-09", "close the bracket"},
        Malformed{"TwoColons", "a: b: c\n", "E-YM-01", "sweep.yaml:1:5"},
        Malformed{"BadEscape", "a: \"\\q\"\n", "E-YM-01", "sweep.yaml:1:"},
        Malformed{"BadIndent", "a:\n    b: 1\n  c: 2\n", "E-YM-01", "sweep.yaml:3:"},
        Malformed{"TabIndents", "a:\n\tb: 1\n", "E-YM-01", "sweep.yaml:2:1: a tab indents.*use spaces"},
        Malformed{"TabAfterSpaces", "a:\n  \tb: 1\n", "E-YM-01", "sweep.yaml:2:3: a tab"},
        Malformed{"ListAndMap", "- a\nb: 1\n", "E-YM-04", "sweep.yaml:2:"},
        Malformed{"CloseOnly", "]\n", "E-YM-01", "sweep.yaml:1:"},
        Malformed{"NotUtf8", "a: \xff\n", "E-YM-01", "sweep.yaml:1:4: byte 0xff is not UTF-8"},
        Malformed{"Utf16",
                  std::string("\xff\xfe"
                              "a\0:\0",
                              6),
                  "E-YM-01", "not UTF-8"},
        Malformed{"EscapedSurrogate", "a: \"\\ud800\"\n", "E-YM-01", "sweep.yaml:1:"},
        Malformed{"EndOfTransmission", "a: 1\n\x04\nb: 2\n", "E-YM-01",
                  "sweep.yaml:2:1: control character 0x04"},
        Malformed{"Nul", std::string("a: 1\0\n", 6), "E-YM-01", "control character 0x00"},
        Malformed{"Directive", "%YAML 3.0\n---\na: 1\n", "E-YM-01", "sweep.yaml:1:"},
        Malformed{"DuplicateKey", "a: 1\nb: 2\na: 3\n", "E-YM-03",
                  "3:1: the key \"a\" stands here and in line 1"},
        Malformed{"DuplicateInside", "m:\n  - {x: 1,\n     x: 2}\n", "E-YM-03",
                  "3:6 m\\[0\\]: the key \"x\".*line 2"},
        Malformed{"DuplicateQuoted", "a: 1\n\"a\": 2\n", "E-YM-03", "line 1"},
        Malformed{"TwoDocuments", "a: 1\n---\nb: 2\n", "E-YM-04", "another document"},
        Malformed{"DocumentAfterEnd", "a: 1\n...\nb: 2\n", "E-YM-04", "another document"},
        Malformed{"UndefinedAlias", "a: *nowhere\n", "E-YM-05",
                  "sweep.yaml:1:4: the referenced anchor is not defined"},
        Malformed{"SelfAlias", "a: &a [1, *a]\n", "E-YM-05",
                  "1:11 a: this alias stands inside what it names"},
        Malformed{"AliasBomb", bomb(), "E-YM-05", "grows too large"},
        Malformed{"AliasOfLongText", "a: &a " + std::string(300'000, 'x') + "\nb: [*a, *a, *a, *a]\n",
                  "E-YM-05", "at most 10000 values and 1048576 bytes"},
        Malformed{"TooManyValues", "a: [" + repeated("1,", 10'000) + "1]\n", "E-YM-05",
                  "at most 10000 values"},
        Malformed{"TooDeep", "a: " + repeated("[", 40) + repeated("]", 40), "E-YM-05", "depth of at most 32"},
        Malformed{"VeryDeepLists", repeated("[", 400'000) + repeated("]", 400'000), "E-YM-05",
                  "nested too deep"},
        Malformed{"VeryDeepMaps", repeated("{a: ", 200'000) + repeated("}", 200'000), "E-YM-05",
                  "nested too deep"},
        Malformed{"VeryDeepBlocks", repeated("- ", 400'000), "E-YM-05", "nested too deep"},
        Malformed{"DeepThroughAlias",
                  "a: &a " + repeated("[", 20) + repeated("]", 20) + "\nb: " + repeated("[", 20) + "*a" +
                      repeated("]", 20) + "\n",
                  "E-YM-05", "nested too deep"},
        Malformed{"TooLong", "a: " + std::string(1'100'000, 'x'), "E-YM-05", "at most 1048576 bytes"},
        Malformed{"PythonTag", "a: !!python/object:os.system x\n", "E-YM-06", "1:4 a: the tag .*python"},
        Malformed{"FunctionTag", "a: !function f.g\n", "E-YM-06", "tag"},
        Malformed{"IncludeTag", "a: !include other.yaml\n", "E-YM-06", "tag"},
        Malformed{"StringTag", "a: !!str 5\n", "E-YM-06", "tag"},
        Malformed{"TagOnMap", "a: !!map {b: 1}\n", "E-YM-06", "tag"},
        Malformed{"TagOnList", "a: !!set [b]\n", "E-YM-06", "tag"},
        Malformed{"MergeKey", "a: &a {x: 1}\nb:\n  <<: *a\n", "E-YM-07", "3:3 b: the merge key"},
        Malformed{"KeyIsList", "? [a, b]\n: 1\n", "E-YM-09", "a list stands where a key is due"},
        Malformed{"KeyIsMap", "? {a: b}\n: 1\n", "E-YM-09", "a map stands where a key is due"},
        Malformed{"KeyIsNull", "~: 1\n", "E-YM-09", "no text stands where a key is due"},
        Malformed{"KeyIsAlias", "a: &x y\n*x : 1\n", "E-YM-09", "an alias stands where a key is due"},
        Malformed{"Empty", "", "E-YM-10", "nothing is written"},
        Malformed{"Comment", "# later\n\n", "E-YM-10", "nothing is written"},
        Malformed{"Null", "~\n", "E-YM-10", "nothing is written"},
        Malformed{"OnlyDashes", "---\n", "E-YM-10", "nothing is written"}),
    [](const auto& test) { return test.param.name; });

TEST(Yaml, FilesThatAreNone) {
  const TempFolder folder;
  expect_refusal([&] { Yaml::from_file(folder / "none.yaml"); }, "E-YM-F01", "no such file", Exit::kSweep);
  expect_refusal([&] { Yaml::from_file(folder.path()); }, "E-YM-F03", "folder", Exit::kSweep);
  const std::string large = folder.write("large.yaml", std::string(1'048'577, '#'));
  expect_refusal([&] { Yaml::from_file(large); }, "E-YM-F08", "1048576", Exit::kSweep);
}

struct BadScalar {
  const char* name;
  const char* written;
  const char* code;
  const char* words;
};

void PrintTo(const BadScalar& bad, std::ostream* out) { *out << bad.name; }

class BadInteger : public testing::TestWithParam<BadScalar> {};

TEST_P(BadInteger, IsRefused) {
  const Yaml root = parse(std::string("list:\n  - a: ") + GetParam().written + "\n");
  const Yaml value = root.at("list").elements()[0].at("a");
  expect_refusal([&] { value.integer(-100, 100); }, GetParam().code, GetParam().words, Exit::kSweep);
  expect_refusal([&] { value.integer(-100, 100); }, GetParam().code,
                 "sweep.yaml:2:[58] list\\[0\\]\\.a: ", Exit::kSweep);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadInteger,
    testing::Values(BadScalar{"Octal", "010", "E-YM-08", "not plainly an integer"},
                    BadScalar{"Hex", "0x10", "E-YM-08", "not plainly"},
                    BadScalar{"Underscore", "1_000", "E-YM-08", "underscore"},
                    BadScalar{"Exponent", "1e1", "E-YM-08", "write 10"},
                    BadScalar{"Point", "5.0", "E-YM-08", "write 5"},
                    BadScalar{"Fraction", "0.5", "E-YM-08", "not plainly"},
                    BadScalar{"Plus", "+5", "E-YM-08", "not plainly"},
                    BadScalar{"Quoted", "\"5\"", "E-YM-08", "in quotes.*remove the quotes"},
                    BadScalar{"SingleQuoted", "'5'", "E-YM-08", "in quotes"},
                    BadScalar{"Sexagesimal", "12:30", "E-YM-08", "not plainly"},
                    BadScalar{"Null", "~", "E-YM-08", "no value"},
                    BadScalar{"Absent", "", "E-YM-08", "no value"},
                    BadScalar{"True", "true", "E-YM-08", "not plainly"},
                    BadScalar{"Nan", ".nan", "E-YM-08", "not plainly"},
                    BadScalar{"List", "[5]", "E-YM-09", "a list; expected an integer"},
                    BadScalar{"Map", "{b: 5}", "E-YM-09", "a map; expected an integer"},
                    BadScalar{"TooLarge", "101", "E-YM-16", "from -100 to 100"},
                    BadScalar{"TooSmall", "-101", "E-YM-16", "from -100 to 100"},
                    BadScalar{"Huge", "18446744073709551616", "E-YM-16", "out of range"}),
    [](const auto& test) { return test.param.name; });

TEST(Yaml, Numbers) {
  for (const char* bad :
       {"nan", ".nan", "inf", "-.inf", "1e999", "0x1p3", "1_0.5", "05", "50%", "'0.5'", "yes"})
    expect_refusal([&] { parse(std::string("[") + bad + "]").elements()[0].number(-1e9, 1e9); }, "E-YM-08",
                   "number", Exit::kSweep);
  expect_refusal([] { parse("1.5").number(0, 1); }, "E-YM-16", "from 0 to 1", Exit::kSweep);
  EXPECT_EQ(parse("-0.25").number(-1, 1), -0.25);
  EXPECT_EQ(parse("1e3").number(0, 1e9), 1000);
  EXPECT_EQ(parse("7").number(0, 10), 7);
  EXPECT_EQ(parse("-9223372036854775808").integer(kLeast, kMost), INT64_MIN);
  EXPECT_EQ(parse("0").integer(kLeast, kMost), 0);
}

TEST(Yaml, OnlyTrueAndFalseAreBooleans) {
  for (const char* bad : {"yes", "no", "on", "off", "y", "n", "True", "FALSE", "1", "0", "'true'", "~"})
    expect_refusal([&] { parse(std::string("a: ") + bad).at("a").boolean(); }, "E-YM-08", "true or false",
                   Exit::kSweep);
  EXPECT_TRUE(parse("true").boolean());
  EXPECT_FALSE(parse("false").boolean());
}

TEST(Yaml, TextForReadersThatSeeNoQuotes) {
  for (const char* bad : {"010", "0x10", "1_000", "12:30", "'7'", "\"0.5\"", "-08", "1.2.3"})
    expect_refusal([&] { parse(std::string("a: ") + bad).at("a").plain(); }, "E-YM-08", " a: ", Exit::kSweep);
  EXPECT_EQ(parse("a: max").at("a").plain(), "max");
  EXPECT_EQ(parse("a: 0.5").at("a").plain(), "0.5");
  EXPECT_EQ(parse("a: 'max'").at("a").plain(), "max");
}

TEST(Yaml, KeysAndChoices) {
  const Yaml root = parse("model: {paht: x}\nlevel: hgih\n");
  expect_refusal(
      [&] {
        root.at("model").only({"path", "device"});
      },
      "E-YM-02",
      "sweep.yaml:1:9 model.paht: unknown key; expected one of path, device. Mend: did you mean path\\?",
      Exit::kSweep);
  expect_refusal(
      [&] {
        root.at("level").choice({"low", "high"});
      },
      "E-YM-14", "2:8 level: .*did you mean high", Exit::kSweep);
  expect_refusal([&] { root.at("tasks"); }, "E-YM-20", "\"tasks\" is absent", Exit::kSweep);
  expect_refusal([&] { root.at("level").at("x"); }, "E-YM-09", "a single value; expected a map",
                 Exit::kSweep);
}

TEST(Yaml, HostileKeysAreShownSafely) {
  const Yaml root = parse("\"\\e[31m\\u202e\": 1\n");
  expect_refusal([&] { root.only({"a"}); }, "E-YM-02", "x1b\\[31m.u202e", Exit::kSweep);
}

TEST(Yaml, SingleValuesAreListsOfOne) {
  const Yaml root = parse("a: 5\nb: [5, 6]\nc: {x: 1}\n");
  EXPECT_EQ(root.at("a").elements().size(), 1u);
  EXPECT_EQ(root.at("b").elements()[1].integer(0, 9), 6);
  EXPECT_EQ(root.at("c").elements()[0].at("x").integer(0, 9), 1);
}

TEST(Yaml, AliasesAreWrittenOut) {
  const Yaml root = parse("a: &a {x: [1, 2], y: ~}\nb: [*a, *a]\n");
  EXPECT_EQ(root.at("b").elements()[1].at("x").elements()[1].integer(0, 9), 2);
  EXPECT_EQ(root.at("b").elements()[1].at("x").elements()[1].position(), "1:15 b[1].x[1]");
  EXPECT_TRUE(root.at("b").elements()[0].at("y").is_null());
}

TEST(Yaml, WhatIsAllowed) {
  const Yaml root = parse(
      "\xef\xbb\xbf# first\r\n---\r\na: |\r\n  two\r\n  lines\r\n\"b\": 'it''s'\r\nnull_text: 'null'\r\n");
  EXPECT_EQ(root.at("a").text(), "two\nlines\n");
  EXPECT_EQ(root.at("b").text(), "it's");
  EXPECT_EQ(root.at("null_text").text(), "null");
  EXPECT_EQ(parse("a: no").at("a").text(), "no");
}

TEST(Yaml, SetReplacesAndAdds) {
  Yaml root = parse("a: {b: [1, {c: 2}]}\n");
  root.set("a.b.1.c=[7, 8]");
  root.set("a.b.0=x");
  root.set("new.deep.key={k: 9}");
  EXPECT_EQ(root.at("a").at("b").elements()[1].at("c").elements()[1].integer(0, 9), 8);
  EXPECT_EQ(root.at("a").at("b").elements()[0].text(), "x");
  EXPECT_EQ(root.at("new").at("deep").at("key").at("k").integer(0, 9), 9);
  EXPECT_EQ(root.at("new").at("deep").at("key").at("k").position(), "(--set) new.deep.key.k");
  root.set("a=1=2");
  EXPECT_EQ(root.at("a").text(), "1=2");
}

TEST(Yaml, SetRefuses) {
  const auto set = [](const std::string& assignment) {
    return [assignment] { parse("a: {b: [1, 2]}\nc: text\n").set(assignment); };
  };
  expect_refusal(set("a.b"), "E-YM-22", "no \"path=value\"", Exit::kUsage);
  expect_refusal(set("=5"), "E-YM-22", "no \"path=value\"", Exit::kUsage);
  expect_refusal(set("a.b.2=5"), "E-YM-22", "--set a.b.2: .*from 0 to 1", Exit::kSweep);
  expect_refusal(set("a.b.x=5"), "E-YM-22", "names no element", Exit::kSweep);
  expect_refusal(set("a.b.-1=5"), "E-YM-22", "names no element", Exit::kSweep);
  expect_refusal(set("a..b=5"), "E-YM-22", "empty step", Exit::kSweep);
  expect_refusal(set("c.d=5"), "E-YM-22", "inside a single value", Exit::kSweep);
  expect_refusal(set("c={a: 1"), "E-YM-09", "--set c:1:1.*close the bracket", Exit::kSweep);
  expect_refusal(set("c=!!str 5"), "E-YM-06", "--set c:1:1", Exit::kSweep);
  expect_refusal(set("c="), "E-YM-10", "--set c:1:1", Exit::kSweep);
}

}  // namespace
}  // namespace evictbench
