// More damaged tokenizer files, by the rule that they break, and honest ones that look odd.
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>

#include "models/tokenizer.h"
#include "tests/support/dressed_sentencepiece.h"
#include "tests/support/refusal.h"
#include "tests/support/sentencepiece_writer.h"
#include "tests/support/tiny_tokenizer.h"

namespace evictbench {
namespace {

using nlohmann::json;

void expect_code(const std::string& message, const std::string& code, const std::string& name) {
  EXPECT_THAT(message, testing::ContainsRegex("^error\\[" + code + "\\]")) << name;
}

// --- The text of tokenizer.json ------------------------------------------------------------------------------------

TEST(DamagedText, IsNoJson) {
  const std::string good = tiny_tokenizer_json().dump();
  const std::string texts[] = {"[]",
                               "3",
                               "null",
                               "\"text\"",
                               "{",
                               "{}",
                               "{\"model\": NaN}",
                               "{\"model\": Infinity}",
                               "{'model': 1}",
                               "{\"model\": 1,}",
                               "{\"model\": 01}",
                               "{\"model\": \"\xff\"}",
                               "{\"model\": \"\\ud800\"}",
                               "{\"\\udc00\": 1}",
                               "// x\n" + good,
                               good + good,
                               good + "]",
                               "\xff\xfe{\0}\0",
                               "<!DOCTYPE html><html></html>",
                               "\x1f\x8b\x08",
                               "PK\x03\x04",
                               good.substr(1),
                               "{\"model\": " + std::string(200, '[') + std::string(200, ']') + "}",
                               "{\"model\": {}, \"model\": {}}"};
  for (const std::string& text : texts) {
    const TempFolder folder;
    folder.write("tokenizer.json", text);
    expect_code(refusal([&] { load_tokenizer(folder.path()); }), "E-TJ-(J0[1-7]|F[01][0-9])",
                printable(text));
  }
}

// --- tokenizer.json ------------------------------------------------------------------------------------------------

struct JsonCase {
  const char* code;   // a regular expression
  const char* at;     // the pointer of what is set
  const char* value;  // JSON; "" takes it away
};

constexpr const char* kKind = "E-TJ-J0[567]";  // a wrong kind, out of range, absent

const JsonCase kJsonCases[] = {
    // the model and its vocabulary
    {kKind, "/model", "null"},
    {kKind, "/model", "[]"},
    {kKind, "/model/type", "7"},
    {"E-TJ-02", "/model/type", "\"bpe\""},
    {"E-TJ-02", "/model/type", "\"\""},
    {"E-TJ-(03|06|J05)", "/model/type", "\"Unigram\""},
    {kKind, "/model/vocab", "null"},
    {kKind, "/model/vocab", ""},
    {kKind, "/model/vocab", "7"},
    {kKind, "/model/vocab/he", "null"},
    {kKind, "/model/vocab/he", "true"},
    {kKind, "/model/vocab/he", "[1]"},
    {"E-TJ-J0[1256]", "/model/vocab/he", "9223372036854775808"},
    {kKind, "/model/vocab/he", "4294967296"},
    {kKind, "/model/vocab/he", "2147483647"},
    {"E-TJ-(03|04)", "/model/vocab/he", "0"},
    // merges
    {kKind, "/model/merges", "null"},
    {kKind, "/model/merges", ""},
    {kKind, "/model/merges", "\"h e\""},
    {"E-TJ-04", "/model/merges/0", "\"\""},
    {"E-TJ-04", "/model/merges/0", "\" \""},
    {"E-TJ-04", "/model/merges/0", "\"h  e\""},
    {"E-TJ-04", "/model/merges/0", "\" h e\""},
    {"E-TJ-04", "/model/merges/0", "\"h e \""},
    {"E-TJ-04", "/model/merges/0", "[]"},
    {"E-TJ-04", "/model/merges/0", "[\"h\"]"},
    {"E-TJ-04", "/model/merges/0", "[\"h\", \"\"]"},
    {"E-TJ-(04|J05)", "/model/merges/0", "[[\"h\"], \"e\"]"},
    {"E-TJ-04", "/model/merges/0", "null"},
    {"E-TJ-04", "/model/merges/0", "{}"},
    {"E-TJ-04", "/model/merges/0", "\"hello hello\""},
    // settings of the model
    {kKind, "/model/dropout", "\"0.1\""},
    {kKind, "/model/dropout", "1.5"},
    {kKind, "/model/dropout", "-0.1"},
    {"E-TJ-08", "/model/dropout", "1e-9"},
    {kKind, "/model/unk_token", "7"},
    {"E-TJ-09", "/model/unk_token", "\"\""},
    {kKind, "/model/fuse_unk", "1"},
    {kKind, "/model/byte_fallback", "\"no\""},
    {kKind, "/model/continuing_subword_prefix", "7"},
    {"E-TJ-06", "/model/unk_id", "0"},
    // added tokens
    {"E-TJ-05", "/added_tokens", "true"},
    {kKind, "/added_tokens", "[7]"},
    {kKind, "/added_tokens", "[[]]"},
    {kKind, "/added_tokens", "[{}]"},
    {kKind, "/added_tokens", "[{\"id\": 262}]"},
    {kKind, "/added_tokens", "[{\"content\": \"<s>\"}]"},
    {kKind, "/added_tokens", "[{\"id\": \"262\", \"content\": \"<s>\"}]"},
    {kKind, "/added_tokens", "[{\"id\": 262.5, \"content\": \"<s>\"}]"},
    {kKind, "/added_tokens", "[{\"id\": 9999999, \"content\": \"<s>\"}]"},
    {kKind, "/added_tokens", "[{\"id\": 262, \"content\": 7}]"},
    {kKind, "/added_tokens", "[{\"id\": 262, \"content\": null}]"},
    {kKind, "/added_tokens", "[{\"id\": 262, \"content\": \"<s>\", \"special\": \"yes\"}]"},
    {kKind, "/added_tokens", "[{\"id\": 262, \"content\": \"<s>\", \"rstrip\": 1}]"},
    {"E-TJ-06", "/added_tokens", "[{\"id\": 262, \"content\": \"<s>\", \"regex\": true}]"},
    {"E-TJ-05", "/added_tokens",
     "[{\"id\": 262, \"content\": \"<s>\"}, {\"id\": 262, \"content\": \"</s>\"}]"},
    // pre-tokenizers, normalizers, decoders, post-processors
    {kKind, "/pre_tokenizer", "7"},
    {kKind, "/pre_tokenizer", "[]"},
    {kKind, "/pre_tokenizer", "{}"},
    {kKind, "/pre_tokenizer", "{\"type\": 7}"},
    {kKind, "/pre_tokenizer", "{\"type\": \"Sequence\"}"},
    {kKind, "/pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": {}}"},
    {"E-TJ-06", "/pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": [], \"order\": 1}"},
    {"E-TJ-06", "/pre_tokenizer", "{\"type\": \"BertPreTokenizer\"}"},
    {"E-TJ-06", "/pre_tokenizer", "{\"type\": \"CharDelimiterSplit\", \"delimiter\": \" \"}"},
    {"E-TJ-06", "/pre_tokenizer", "{\"type\": \"WhitespaceSplit\"}"},
    {"E-TJ-06", "/pre_tokenizer", "{\"type\": \"UnicodeScripts\"}"},
    {"E-TJ-06", "/pre_tokenizer", "{\"type\": \"bytelevel\"}"},
    {"E-TJ-06", "/pre_tokenizer", "{\"type\": \"Digits\", \"individual\": true}"},
    {kKind, "/pre_tokenizer", "{\"type\": \"Digits\", \"individual_digits\": 1}"},
    {kKind, "/pre_tokenizer", "{\"type\": \"ByteLevel\", \"use_regex\": \"yes\"}"},
    {kKind, "/pre_tokenizer", "{\"type\": \"Metaspace\"}"},
    {"E-TJ-06", "/pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"\"}"},
    {"E-TJ-06", "/pre_tokenizer",
     "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"last\"}"},
    {"E-TJ-06", "/pre_tokenizer",
     "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"}, {\"type\": \"Metaspace\", "
     "\"replacement\": \"_\"}]}"},
    {kKind, "/normalizer", "\"NFC\""},
    {kKind, "/normalizer", "{\"form\": \"NFC\"}"},
    {"E-TJ-06", "/normalizer", "{\"type\": \"NFC\", \"strict\": true}"},
    {"E-TJ-06", "/normalizer", "{\"type\": \"BertNormalizer\"}"},
    {"E-TJ-06", "/normalizer", "{\"type\": \"StripAccents\"}"},
    {"E-TJ-06", "/normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}"},
    {kKind, "/normalizer", "{\"type\": \"Strip\"}"},
    {kKind, "/normalizer", "{\"type\": \"Prepend\"}"},
    {kKind, "/normalizer", "{\"type\": \"Replace\", \"content\": \"\"}"},
    {"E-TJ-07", "/normalizer",
     "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, \"content\": \" \"}"},
    {"E-TJ-06", "/decoder", "{\"type\": \"BPEDecoder\", \"suffix\": \"</w>\"}"},
    {"E-TJ-06", "/decoder", "{\"type\": \"CTC\"}"},
    {"E-TJ-06", "/decoder", "{\"type\": \"Fuse\"}"},
    {"E-TJ-06", "/decoder", "{\"type\": \"Sequence\", \"decoders\": []}"},
    {kKind, "/decoder", "{\"type\": \"Sequence\"}"},
    {"E-TJ-06", "/post_processor", "{\"type\": \"RobertaProcessing\"}"},
    {kKind, "/post_processor", "{\"type\": \"TemplateProcessing\"}"},
    {kKind, "/post_processor", "{\"type\": \"TemplateProcessing\", \"single\": [{}]}"},
    {"E-TJ-10", "/post_processor", "{\"type\": \"TemplateProcessing\", \"single\": []}"},
    {"E-TJ-10", "/post_processor",
     "{\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"B\"}}]}"},
    {kKind, "/post_processor",
     "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}}]}"},
    {kKind, "/post_processor",
     "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}}], "
     "\"special_tokens\": "
     "{\"<s>\": {\"id\": \"<s>\", \"ids\": [\"1\"]}}}"},
    // patterns
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\"}, \"behavior\": \"Isolated\"}"},
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"Regex\": \".\"}, \"behavior\": \"Isolated\"}"},
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a|a)*b\"}, \"behavior\": \"Isolated\"}"},
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\s+$\"}, \"behavior\": \"Isolated\"}"},
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{N}{1,4}\"}, \"behavior\": \"Isolated\"}"},
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"String\": \"\"}, \"behavior\": \"Isolated\"}"},
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"Removed\"}"},
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{N}{1,3}\"}, \"behavior\": \"Removed\", "
     "\"invert\": true}"},
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"MergedWithNext\", \"invert\": "
     "true}"},
    {"E-TJ-07", "/pre_tokenizer",
     "{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"isolated\"}"},
    {kKind, "/pre_tokenizer", "{\"type\": \"Split\", \"pattern\": \"a\", \"behavior\": \"Isolated\"}"},
    {kKind, "/pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}}"},
};

TEST(DamagedJson, IsRefusedByItsRule) {
  for (const JsonCase& each : kJsonCases) {
    json damaged = tiny_tokenizer_json();
    const json::json_pointer at(each.at);
    if (*each.value)
      damaged[at] = json::parse(each.value);
    else
      damaged[at.parent_pointer()].erase(at.back());
    // The numbers that JSON libraries round are written by hand.
    expect_code(refusal([&] { load_tokenizer_json(damaged); }), each.code,
                std::string(each.at) + " " + each.value);
  }
}

// --- Unigram -------------------------------------------------------------------------------------------------------

json unigram_json() {
  const json space = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}};
  return {{"pre_tokenizer", space},
          {"decoder", space},
          {"model",
           {{"type", "Unigram"},
            {"unk_id", 0},
            {"vocab",
             {{"<unk>", 0.0},
              {"\u2581", -2.0},
              {"a", -3.0},
              {"b", -3.5},
              {"ab", -4.0},
              {"\u2581ab", -6.5},
              {"aba", -4.5}}}}}};
}

TEST(Unigram, TakesThePathOfTheBestScore) {
  const auto tokenizer = load_tokenizer_json(unigram_json());
  EXPECT_EQ(tokenizer->kind(), "unigram");
  EXPECT_EQ(tokenizer->encode("ab", {}), (Tokens{1, 4}));  // -2 - 4 beats -6.5
  EXPECT_EQ(tokenizer->encode("aba ab", {}), (Tokens{1, 6, 1, 4}));
  EXPECT_EQ(tokenizer->encode("axya", {}), (Tokens{1, 2, 0, 2}));  // unknown ones are one
  EXPECT_EQ(tokenizer->encode("", {}), Tokens{});
  EXPECT_EQ(tokenizer->decode(Tokens{1, 6, 1, 4}), "aba ab");
}

TEST(Unigram, RefusesWhatIsBroken) {
  const std::pair<const char*, std::function<void(json&)>> cases[] = {
      {"E-TJ-03", [](json& m) { m["vocab"] = json::array(); }},
      {"E-TJ-03", [](json& m) { m["vocab"][2] = {"a"}; }},
      {"E-TJ-03",
       [](json& m) {
         m["vocab"][2] = {"a", -1, 2};
       }},
      {"E-TJ-03",
       [](json& m) {
         m["vocab"][2] = {"", -1};
       }},
      {"E-TJ-03",
       [](json& m) {
         m["vocab"][2] = {"b", -1};
       }},
      {"E-TJ-03",
       [](json& m) {
         m["vocab"][2] = {std::string(513, 'a'), -1};
       }},
      {"E-TJ-J05",
       [](json& m) {
         m["vocab"][2] = {"a", "-1"};
       }},
      {"E-TJ-J05",
       [](json& m) {
         m["vocab"][2] = {7, -1};
       }},
      {"E-TJ-J06",
       [](json& m) {
         m["vocab"][2] = {"a", 1e300};
       }},
      {"E-TJ-(03|J05)", [](json& m) { m["vocab"][2] = 7; }},
      {"E-TJ-J05", [](json& m) { m["vocab"] = 7; }},
      {"E-TJ-09", [](json& m) { m["unk_id"] = 7; }},
      {"E-TJ-09", [](json& m) { m["unk_id"] = -1; }},
      {"E-TJ-J05", [](json& m) { m["unk_id"] = "<unk>"; }},
      {"E-TJ-06", [](json& m) { m["merges"] = json::array(); }},
  };
  for (const auto& [code, damage] : cases) {
    json damaged = unigram_json();
    damage(damaged["model"]);
    expect_code(refusal([&] { load_tokenizer_json(damaged); }), code, damaged["model"].dump());
  }
  json unknown = unigram_json();
  unknown["model"]["unk_id"] = nullptr;
  const auto tokenizer = load_tokenizer_json(unknown);
  EXPECT_EQ(tokenizer->encode("ab", {}), (Tokens{1, 4}));
  expect_refusal([&] { tokenizer->encode("abc", {}); }, "E-TJ-09", "none that spells 'c'");
}

// --- vocab.json and merges.txt -------------------------------------------------------------------------------------

struct TwoFiles {
  TwoFiles() {
    const json tiny = tiny_tokenizer_json();
    vocab = tiny["model"]["vocab"];
    for (const auto& merge : tiny["model"]["merges"])
      merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  std::unique_ptr<const Tokenizer> load() const {
    const TempFolder folder;
    folder.write("vocab.json", vocab.dump());
    folder.write("merges.txt", merges);
    if (!config.empty()) folder.write("tokenizer_config.json", config);
    return load_tokenizer(folder.path());
  }
  json vocab;
  std::string merges = "#version: 0.2\n", config;
};

TEST(VocabAndMerges, ReadAsTheSameInTokenizerJson) {
  TwoFiles files;
  files.vocab["<|endoftext|>"] = 262;
  const auto tokenizer = files.load();
  const auto json_one = load_tokenizer_json(tiny_tokenizer_json());
  for (const std::string text : {"hello lo", "hellhe \u00e9", "a\xff\n  b"})
    EXPECT_EQ(tokenizer->encode(text, {}), json_one->encode(text, {}));
  EXPECT_EQ(tokenizer->encode("he<|endoftext|>", {.add_special = true, .parse_special = true}),
            (Tokens{257, 262}));
  EXPECT_EQ(tokenizer->decode(Tokens{257, 262}), "he");
  files.config = R"({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true, "add_bos_token": true,
                     "bos_token": "<b>", "added_tokens_decoder": {"263": {"content": "<b>", "special": true}}})";
  EXPECT_EQ(files.load()->encode("lo", {}), (Tokens{263, 261}));
  files.config = R"({"tokenizer_class": "Qwen2TokenizerFast"})";
  EXPECT_EQ(files.load()->encode("e\u0301", {}), (Tokens{0xc3, 0xa9}));
}

TEST(VocabAndMerges, RefusesWhatIsBroken) {
  const std::tuple<const char*, const char*, std::function<void(TwoFiles&)>> cases[] = {
      {"E-TJ-04", "merges.txt:line 8: a merge that is not of two tokens: 'he'",
       [](auto& f) { f.merges += "he\n"; }},
      {"E-TJ-04", "line 8", [](auto& f) { f.merges += "h e l\n"; }},
      {"E-TJ-04", "line 8.*'qq'", [](auto& f) { f.merges += "qq e\n"; }},
      {"E-TJ-04", "second time", [](auto& f) { f.merges += "h e\n"; }},
      {"E-TJ-04", "line 1", [](auto& f) { f.merges = "#comment\n"; }},
      {"E-TJ-F07", "empty", [](auto& f) { f.merges = ""; }},
      {"E-TJ-03", "empty vocabulary", [](auto& f) { f.vocab = json::object(); }},
      {"E-TJ-J05", "", [](auto& f) { f.vocab = json::array(); }},
      {"E-TJ-03", "id 5", [](auto& f) { f.vocab["zz"] = 5; }},
      {"E-TC-02", "'BertTokenizer'", [](auto& f) { f.config = R"({"tokenizer_class": "BertTokenizer"})"; }},
      {"E-TC-J05", "", [](auto& f) { f.config = R"({"add_prefix_space": "yes"})"; }},
      {"E-TC-0?5|E-TC-J05", "",
       [](auto& f) { f.config = R"({"added_tokens_decoder": {"x": {"content": "a"}}})"; }},
      {"E-TC-05", "", [](auto& f) { f.config = R"({"added_tokens_decoder": {"9": {"content": ""}}})"; }},
  };
  for (const auto& [code, words, damage] : cases) {
    TwoFiles files;
    damage(files);
    const std::string message = refusal([&] { files.load(); });
    EXPECT_THAT(message, testing::ContainsRegex(words));
    EXPECT_THAT(message, testing::StartsWith("error[E-T")) << code;
  }
}

// --- tokenizer.model -----------------------------------------------------------------------------------------------

TEST(DamagedModel, IsRefusedByItsRule) {
  using Model = SentencePieceFile;
  const std::pair<const char*, std::function<void(Model&)>> cases[] = {
      {"01", [](Model& f) { f.tail = std::string(11, '\x80'); }},
      {"0[12]", [](Model& f) { f.tail = "\x0a\x80"; }},
      {"02", [](Model& f) { f.tail = "\x12\x7f"; }},
      {"02", [](Model& f) { f.tail = "\x1a\x05\x12\x09" "ABC"; }},
      {"02", [](Model& f) { f.tail = proto_varint(1 << 3 | 2) + proto_varint(1ULL << 40); }},
      {"02",
       [](Model& f) {
         f.tail = proto_bytes(1,
                              "\x15"
                              "ab");
       }},
      {"03", [](Model& f) { f.tail = proto_float(1, 1); }},
      {"03", [](Model& f) { f.tail = proto_number(2, 1); }},
      {"03", [](Model& f) { f.tail = proto_number(3, 1); }},
      {"03", [](Model& f) { f.tail = proto_bytes(2, proto_bytes(3, "x")); }},
      {"03", [](Model& f) { f.tail = proto_bytes(2, proto_number(45, 1)); }},
      {"03", [](Model& f) { f.tail = proto_bytes(3, proto_number(2, 1)); }},
      {"03", [](Model& f) { f.tail = proto_bytes(3, proto_bytes(3, "x")); }},
      {"03", [](Model& f) { f.tail = proto_bytes(1, std::string("\x0b")); }},
      {"05", [](Model& f) { f.tail = proto_bytes(1, ""); }},
      {"05",
       [](Model& f) {
         f.pieces.push_back({"\xed\xa0\x80", -1, 1});
       }},
      {"05",
       [](Model& f) {
         f.pieces.push_back({"\xc0\x80", -1, 1});
       }},
      {"06",
       [](Model& f) {
         f.pieces.push_back({std::string(4097, 'b'), -1, 1});
       }},
      {"08", [](Model& f) { f.pieces.push_back(f.pieces.back()); }},
      {"08",
       [](Model& f) {
         f.pieces.push_back({"<unk>", 0, 1});
       }},
      {"09", [](Model& f) { f.pieces[6].score = std::numeric_limits<float>::infinity(); }},
      {"09", [](Model& f) { f.pieces[0].score = -std::numeric_limits<float>::quiet_NaN(); }},
      {"10", [](Model& f) { f.pieces[6].type = 100; }},
      {"10", [](Model& f) { f.pieces[5].type = 5; }},
      {"11", [](Model& f) { f.pieces[0].type = 3; }},
      {"12",
       [](Model& f) {
         f.pieces.push_back({"<0x41>", 0, 6});
       }},
      {"12",
       [](Model& f) {
         f.pieces.push_back({"A", 0, 6});
       }},
      {"13", [](Model& f) { f.trainer[43] = 9; }},
      {"13", [](Model& f) { f.trainer[40] = -2; }},
      {"13", [](Model& f) { f.trainer[42] = 2147483647; }},
      {"14", [](Model& f) { f.charsmap = std::string(2, 'a'); }},
      {"14", [](Model& f) { f.charsmap = little_endian(1024); }},
      {"14", [](Model& f) { f.charsmap = little_endian(0) + "abc"; }},
      {"15", [](Model& f) { f.trainer[3] = 0; }},
      {"15", [](Model& f) { f.trainer[3] = -1; }},
      {"17", [](Model& f) { f.trainer[4] = 1000000; }},
  };
  int at = 0;
  for (const auto& [code, damage] : cases) {
    SentencePieceFile file;
    damage(file);
    expect_code(refusal([&] { load_tokenizer_model(file.bytes()); }), std::string("E-TM-") + code,
                "case " + std::to_string(at++));
  }
}

// --- Honest files that look odd ------------------------------------------------------------------------------------

TEST(HonestTokenizer, IsTaken) {
  const std::pair<const char*, std::function<void(json&)>> cases[] = {
      {"truncation and padding are the experiment's affair",
       [](json& j) {
         j["truncation"] = {{"max_length", 512}, {"strategy", "LongestFirst"}};
         j["padding"] = {{"strategy", "BatchLongest"}, {"pad_id", 0}};
       }},
      {"ids with a hole", [](json& j) { j["model"]["vocab"]["zz"] = 300; }},
      {"merges of either spelling", [](json& j) { j["model"]["merges"][1] = "h e"; }},
      {"a model without its type", [](json& j) { j["model"].erase("type"); }},
      {"dropout 0", [](json& j) { j["model"]["dropout"] = 0.0; }},
      {"empty affixes", [](json& j) { j["model"]["continuing_subword_prefix"] = ""; }},
      {"a token within another",
       [](json& j) {
         j["added_tokens"] = {added_token(262, "<s>"), added_token(263, "<s><s>"), added_token(264, "s")};
       }},
      {"many added tokens",
       [](json& j) {
         for (int i = 0; i < 3000; ++i)
           j["added_tokens"].push_back(added_token(262 + i, "<x" + std::to_string(i) + ">"));
       }},
      {"nested sequences",
       [](json& j) {
         json inner = {{"type", "NFC"}};
         for (int i = 0; i < 20; ++i) inner = {{"type", "Sequence"}, {"normalizers", json::array({inner})}};
         j["normalizer"] = inner;
       }},
      {"an empty sequence",
       [](json& j) {
         j["normalizer"] = {{"type", "Sequence"}, {"normalizers", json::array()}};
       }},
      {"a pattern that is isolated either way",
       [](json& j) {
         j["pre_tokenizer"] = {
             {"type", "Sequence"},
             {"pretokenizers",
              {{{"type", "Split"},
                {"pattern", {{"Regex", "[\r\n]"}}},
                {"behavior", "Isolated"},
                {"invert", true}},
               {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
       }},
  };
  for (const auto& [name, change] : cases) {
    json odd = tiny_tokenizer_json();
    change(odd);
    EXPECT_EQ(load_tokenizer_json(odd)->encode("hello lo", {}), (Tokens{260, 261})) << name;
  }
}

TEST(HonestTokenizer, UserDefinedSymbolsMayOverlap) {
  SentencePieceFile file;
  file.pieces.push_back({"aba", 0, 4});
  file.pieces.push_back({"bab", 0, 4});
  const auto tokenizer = load_tokenizer_model(file.bytes());
  const Tokens ids = tokenizer->encode("ababab", {.add_special = false});
  EXPECT_EQ(tokenizer->decode(ids), "ababab");
  EXPECT_EQ(ids, (Tokens{3, 9, 10}));
}

}  // namespace
}  // namespace evictbench
