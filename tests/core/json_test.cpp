#include "core/io/json.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/refusal.h"

namespace evictbench {
namespace {

Json parse(const std::string& text) { return Json::from_text(text, "f.json", {}); }

TEST(Json, ReadsEveryKind) {
  const Json json = parse(
      R"({"i":-3,"d":0.5,"b":true,"n":null,"s":"a\u00e9\u0000b","a":[1,[],{}],"big":9223372036854775807})");
  EXPECT_EQ(json.at("i").integer(), -3);
  EXPECT_EQ(json.at("i").number(-10, 10), -3.0);
  EXPECT_EQ(json.at("d").number(0, 1), 0.5);
  EXPECT_TRUE(json.at("b").boolean());
  EXPECT_TRUE(json.at("n").is_null());
  EXPECT_EQ(json.at("s").string(), std::string("a\u00e9\0b", 5));
  EXPECT_EQ(json.at("big").integer(), INT64_MAX);
  EXPECT_EQ(json.at("a").size(), 3u);
  EXPECT_EQ(json.at("a")[1].size(), 0u);
  EXPECT_FALSE(json.find("n").has_value());
  EXPECT_FALSE(json.find("absent").has_value());
}

TEST(Json, KeepsFileOrderAndFindsEveryKey) {
  std::string text = "{";
  for (int i = 0; i < 5000; ++i)
    text += (i ? ",\"k" : "\"k") + std::to_string((i * 7919) % 5000) + "\":[" + std::to_string(i) + "]";
  const Json json = parse(text + "}");
  const auto items = json.items();
  ASSERT_EQ(items.size(), 5000u);
  for (int i = 0; i < 5000; ++i) {
    const auto& [key, value] = items[static_cast<std::size_t>(i)];
    ASSERT_EQ(key, "k" + std::to_string((i * 7919) % 5000));
    ASSERT_EQ(value[0].integer(), i);
    ASSERT_EQ(json.at(key)[0].integer(), i);
  }
}

TEST(Json, TellsPlaces) {
  const Json json = parse("{\n  \"a\": \"x\\\"{,\",\n  \"é/~\": [ 1, {\"b\" : 2.5}, \"t:\" ]}");
  EXPECT_EQ(json.at("a").position(), "2:8 /a");
  EXPECT_EQ(json.at("é/~")[0].position(), "3:12 /é~1~0/0");
  EXPECT_EQ(json.at("é/~")[1].at("b").position(), "3:22 /é~1~0/1/b");
  EXPECT_EQ(json.at("é/~")[2].position(), "3:28 /é~1~0/2");
  EXPECT_EQ(json.position(), "1:1");
}

TEST(Json, CountsBytesInsideABinaryFile) {
  JsonRules rules;
  rules.first_byte = 8;
  expect_refusal([&] { Json::from_text(R"({"a":"x"})", "m.bin", rules).at("a").integer(); }, "E-JS-J05",
                 "m.bin:byte 13 /a: a string");
}

struct BadText {
  std::string text, code, words;
};
TEST(Json, RefusesBadText) {
  const BadText kCases[] = {
      {"", "E-JS-F07", "empty"},
      {" \n\t", "E-JS-F07", "white space"},
      {"\xef\xbb\xbf{}", "E-JS-J01", "1:1: a byte-order mark"},
      {"{\"a\":1,}", "E-JS-J01", "1:8: this is not JSON"},
      {"[1,]", "E-JS-J01", "1:4"},
      {"{} x", "E-JS-J01", "1:4"},
      {"{}{}", "E-JS-J01", "1:3"},
      {"{\"a\":1 // c\n}", "E-JS-J01", "1:8"},
      {"[NaN]", "E-JS-J01", "NaN"},
      {"[Infinity]", "E-JS-J01", "not JSON"},
      {"[-Infinity]", "E-JS-J01", "not JSON"},
      {"[01]", "E-JS-J01", "not JSON"},
      {"[1.]", "E-JS-J01", "not JSON"},
      {"[.5]", "E-JS-J01", "not JSON"},
      {"[1e999]", "E-JS-J01", "overflow"},
      {"{'a':1}", "E-JS-J01", "1:2"},
      {"{\"a\":1", "E-JS-J01", "end of input"},
      {"[\"abc", "E-JS-J01", "not JSON"},
      {"[\"\n\"]", "E-JS-J01", "not JSON"},
      {"[\"\\x\"]", "E-JS-J01", "not JSON"},
      {"[\"\\ud800\"]", "E-JS-J01", "not JSON"},
      {"[\"\\udc00\\ud800\"]", "E-JS-J01", "not JSON"},
      {std::string("{}\0{}", 5), "E-JS-J01", "NUL"},
      {std::string("[\"\0\"]", 5), "E-JS-J01", "NUL"},
      {"[\"\xff\"]", "E-JS-J02", "1:3: bytes that are not UTF-8 near"},
      {"[\"\xc0\x80\"]", "E-JS-J02", "UTF-8"},
      {"[\"\xed\xa0\x80\"]", "E-JS-J02", "UTF-8"},
      {"[\"\xf5\x80\x80\x80\"]", "E-JS-J02", "UTF-8"},
      {"[\"\xe2\x82", "E-JS-J02", "UTF-8"},
      {std::string(65, '[') + std::string(65, ']'), "E-JS-J03", "1:65: nested more than 64 deep"},
      {std::string(1000000, '['), "E-JS-J03", "nested"},
      {"{\"a\":1,\"a\":2}", "E-JS-J04", "1:8 /a: the key \"a\" stands here and at 1:2"},
      {"{\"a\":1,\"b\":[2,{}],\n\"\\u0061\":2}", "E-JS-J04", "2:1 /a: .* at 1:2"},
      {"[{\"x\":{\"\":0,\"q\":1,\"\":2}}]", "E-JS-J04", "/0/x/: the key \"\""},
      {"nul", "E-JS-J01", "not JSON"},
      {"\xff\xfe{\0}\0", "E-JS-J02", "1:1"},
  };
  for (const BadText& bad : kCases) {
    SCOPED_TRACE(printable(bad.text));
    expect_refusal([&] { parse(bad.text); }, bad.code, bad.words);
  }
  EXPECT_EQ(parse(std::string(64, '[') + std::string(64, ']')).size(), 1u);
}

TEST(Json, RefusesWrongKindsAndRanges) {
  const Json json = parse(
      R"({"minus":-1,"half":4.7,"e":1e3,"t":true,"text":"5","two64":18446744073709551616,"two63":9223372036854775808,
          "long":-99999999999999999999999999,"list":[],"map":{}})");
  const auto integer = [&](const char* key, const char* code, const char* words) {
    SCOPED_TRACE(key);
    expect_refusal([&] { json.at(key).integer(0); }, code, words);
  };
  integer("minus", "E-JS-J06", "1:10 /minus: -1; expected an integer of at least 0");
  integer("half", "E-JS-J05", "a number '4.7");
  integer("e", "E-JS-J05", "1e3");
  integer("t", "E-JS-J05", "a boolean");
  integer("text", "E-JS-J05", "a string");
  integer("two64", "E-JS-J06", "18446744073709551616");
  integer("two63", "E-JS-J06", "9223372036854775808");
  integer("long", "E-JS-J06", "-9999");
  integer("list", "E-JS-J05", "an array");
  integer("map", "E-JS-J05", "an object");
  integer("absent", "E-JS-J07", "\"absent\" is absent");
  integer("hlf", "E-JS-J07", "is \"half\" meant");
  expect_refusal([&] { json.at("text").number(0, 1); }, "E-JS-J05", "a number");
  expect_refusal([&] { json.at("t").number(0, 1); }, "E-JS-J05", "a number");
  expect_refusal([&] { json.at("half").number(0, 1); }, "E-JS-J06", "4.7; expected a number from 0 to 1");
  expect_refusal([&] { json.at("minus").boolean(); }, "E-JS-J05", "true or false");
  expect_refusal([&] { json.at("minus").string(); }, "E-JS-J05", "a string");
  expect_refusal([&] { json.at("map")[0]; }, "E-JS-J05", "an array");
  expect_refusal([&] { json.at("list").items(); }, "E-JS-J05", "an object");
  expect_refusal([&] { json.at("minus").size(); }, "E-JS-J05", "array or an object");
}

TEST(Json, KeepsToItsLimits) {
  JsonRules rules;
  rules.values = 3;
  EXPECT_EQ(Json::from_text("[1,2]", "f", rules).size(), 2u);
  expect_refusal([&] { Json::from_text("[1,2,3]", "f", rules); }, "E-JS-J03", "more than 3 values");
  rules.bytes = 4;
  expect_refusal([&] { Json::from_text("[1,2]", "f", rules); }, "E-JS-J03", "5 bytes");
}

TEST(Json, ShowsHostileTextHarmlessly) {
  const std::string message =
      refusal([] { parse("{\"\\u202e\\u001b[31m" + std::string(500, 'x') + "\":1}").at("a"); });
  EXPECT_LT(message.size(), 400u);
  expect_refusal([] { parse("{\"a\\u202e\\u001b\":1}").items()[0].second.string(); }, "E-JS-J05",
                 R"(/a\\u202e\\x1b)");
}

// Every truncation and every change of a byte of a small document parses or is refused; nothing else happens.
TEST(Json, SurvivesEveryDamage) {
  const std::string good =
      R"({"a":[1,-2.5e3,{"b":"\u00e9x\n"}],"é":{"c":null,"d":[true,false]},"a1":"\ud83d\ude00"})";
  const auto walk = [](const std::string& text) {
    const Json json = Json::from_text(text, "f", {});
    if (json.is_object())
      for (const auto& [key, value] : json.items()) (void)value.position();
  };
  ASSERT_NO_THROW(walk(good));
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(refusal([&] { walk(good.substr(0, size)); }), "");
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      std::string bad = good;
      bad[at] = static_cast<char>(byte);
      refusal([&] { walk(bad); });
    }
}

TEST(Printable, EscapesAndCuts) {
  EXPECT_EQ(printable("plain é 漢"), "plain é 漢");
  EXPECT_EQ(printable("a\x1b[0m\n\x7f"), "a\\x1b[0m\\x0a\\x7f");
  EXPECT_EQ(printable("\u202e\u2066\u200b\ufeff\u0085"), "\\u202e\\u2066\\u200b\\ufeff\\u0085");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable(std::string(80, 'a')), std::string(80, 'a'));
  EXPECT_EQ(printable(std::string(81, 'a')), std::string(77, 'a') + "...");
  EXPECT_LE(printable(std::string(1000, '\n')).size(), 80u);
}

TEST(EditDistance, IsLevenshtein) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("window", "widnow"), 2u);
  EXPECT_EQ(edit_distance(std::string(1000, 'a'), std::string(900, 'a')), 100u);
  const std::vector<std::string> names = {"window_size", "kernel_size", "pooling"};
  EXPECT_EQ(nearest("windw_size", names), "window_size");
  EXPECT_EQ(nearest("zzzz", names), "");
}

}  // namespace
}  // namespace evictbench
