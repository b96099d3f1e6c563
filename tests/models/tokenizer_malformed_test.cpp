// Damaged and unsupported tokenizer files: every one is refused with its code, exit 4 and a message of five parts.
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "models/tokenizer.h"
#include "tests/support/no_file.h"
#include "tests/support/refusal.h"
#include "tests/support/sentencepiece_writer.h"
#include "tests/support/tiny_tokenizer.h"

namespace evictbench {
namespace {

using nlohmann::json;

// --- tokenizer.json ------------------------------------------------------------------------------------------------

struct JsonCase {
  const char* name;
  const char* code;
  const char* words;  // in the message
  std::function<void(json&)> damage;
};

json step(const char* type) { return {{"type", type}}; }

json template_of(const json& single, const json& specials) {
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", json::array()},
          {"special_tokens", specials}};
}

json nested(int depth) {
  json inner = step("NFC");
  for (int i = 0; i < depth; ++i) inner = {{"type", "Sequence"}, {"normalizers", json::array({inner})}};
  return inner;
}

const json kText = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
const json kBos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};

const JsonCase kJsonCases[] = {
    {"NoModel", "E-TJ-J07", "model", [](json& j) { j.erase("model"); }},
    {"UnknownTopKey", "E-TJ-06", "'extra'", [](json& j) { j["extra"] = 1; }},
    {"TooDeep", "E-TJ-J03", "", [](json& j) { j["normalizer"] = nested(100); }},
    {"WordPiece", "E-TJ-02", "'WordPiece'", [](json& j) { j["model"]["type"] = "WordPiece"; }},
    {"WordLevel", "E-TJ-02", "'WordLevel'", [](json& j) { j["model"]["type"] = "WordLevel"; }},
    {"UnknownModel", "E-TJ-02", "'Trigram'", [](json& j) { j["model"]["type"] = "Trigram"; }},
    {"UnknownModelKey", "E-TJ-06", "'max_input'", [](json& j) { j["model"]["max_input"] = 1; }},
    {"EmptyVocabulary", "E-TJ-03", "empty", [](json& j) { j["model"]["vocab"] = json::object(); }},
    {"VocabularyIsAList", "E-TJ-J05", "object", [](json& j) { j["model"]["vocab"] = json::array({"a"}); }},
    {"NegativeId", "E-TJ-J06", "-1", [](json& j) { j["model"]["vocab"]["zz"] = -1; }},
    {"FractionId", "E-TJ-J05", "", [](json& j) { j["model"]["vocab"]["zz"] = 1.5; }},
    {"TextId", "E-TJ-J05", "", [](json& j) { j["model"]["vocab"]["zz"] = "7"; }},
    {"HugeId", "E-TJ-J06", "2147483648", [](json& j) { j["model"]["vocab"]["zz"] = 2147483648U; }},
    {"FarId", "E-TJ-J06", "100000", [](json& j) { j["model"]["vocab"]["zz"] = 100000; }},
    {"TwoTokensOfOneId", "E-TJ-03", "id 5 .*'zz'", [](json& j) { j["model"]["vocab"]["zz"] = 5; }},
    {"EmptyToken", "E-TJ-03", "empty token", [](json& j) { j["model"]["vocab"][""] = 262; }},
    {"MergeOfOne", "E-TJ-04", "two tokens", [](json& j) { j["model"]["merges"][0] = "he"; }},
    {"MergeOfThree", "E-TJ-04", "two tokens", [](json& j) { j["model"]["merges"][0] = "h e l"; }},
    {"MergeOfThreeParts", "E-TJ-04", "two tokens",
     [](json& j) {
       j["model"]["merges"][0] = {"h", "e", "l"};
     }},
    {"MergeOfNothing", "E-TJ-04", "two tokens",
     [](json& j) {
       j["model"]["merges"][0] = {"", "e"};
     }},
    {"MergeOfNumbers", "E-TJ-J05", "string",
     [](json& j) {
       j["model"]["merges"][0] = {1, 2};
     }},
    {"MergeOfStranger", "E-TJ-04", "'qq'",
     [](json& j) {
       j["model"]["merges"][0] = {"qq", "e"};
     }},
    {"MergeIntoStranger", "E-TJ-04", "'ez'",
     [](json& j) {
       j["model"]["merges"][0] = {"e", "z"};
     }},
    {"MergeTwice", "E-TJ-04", "second time", [](json& j) { j["model"]["merges"].push_back("h e"); }},
    {"MergesAreAnObject", "E-TJ-J05", "array",
     [](json& j) {
       j["model"]["merges"] = {{"a", "b"}};
     }},
    {"Dropout", "E-TJ-08", "dropout", [](json& j) { j["model"]["dropout"] = 0.1; }},
    {"Prefix", "E-TJ-06", "subword", [](json& j) { j["model"]["continuing_subword_prefix"] = "##"; }},
    {"Suffix", "E-TJ-06", "suffix", [](json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }},
    {"ByteFallback", "E-TJ-13", "byte level", [](json& j) { j["model"]["byte_fallback"] = true; }},
    {"IgnoreMergesIsText", "E-TJ-J05", "true or false", [](json& j) { j["model"]["ignore_merges"] = "yes"; }},
    {"UnknownTokenAbsent", "E-TJ-09", "'<unk>'", [](json& j) { j["model"]["unk_token"] = "<unk>"; }},
    {"AddedIdClash", "E-TJ-05", "'<s>'", [](json& j) { j["added_tokens"] = {added_token(5, "<s>")}; }},
    {"AddedOtherId", "E-TJ-05", "257", [](json& j) { j["added_tokens"] = {added_token(262, "he")}; }},
    {"AddedEmpty", "E-TJ-05", "0 bytes", [](json& j) { j["added_tokens"] = {added_token(262, "")}; }},
    {"AddedLong", "E-TJ-05", "5000 bytes",
     [](json& j) { j["added_tokens"] = {added_token(262, std::string(5000, 'a'))}; }},
    {"AddedTwice", "E-TJ-05", "second time",
     [](json& j) {
       j["added_tokens"] = {added_token(262, "<s>"), added_token(262, "<s>")};
     }},
    {"AddedIsAnObject", "E-TJ-05", "no list", [](json& j) { j["added_tokens"] = json::object(); }},
    {"AddedIsText", "E-TJ-05", "no list", [](json& j) { j["added_tokens"] = "<s>"; }},
    {"AddedIsANumber", "E-TJ-05", "no list", [](json& j) { j["added_tokens"] = 7; }},
    {"AddedNegative", "E-TJ-J06", "-3", [](json& j) { j["added_tokens"] = {added_token(-3, "<s>")}; }},
    {"AddedSameNormalized", "E-TJ-05", "normalisation",
     [](json& j) {
       j["normalizer"] = step("Lowercase");
       j["added_tokens"] = {added_token(262, "<A>"), added_token(263, "<a>")};
       j["added_tokens"][0]["normalized"] = j["added_tokens"][1]["normalized"] = true;
     }},
    {"NormalizerUnknown", "E-TJ-06", "'Nmt'", [](json& j) { j["normalizer"] = step("Nmt"); }},
    {"NormalizerRegex", "E-TJ-07", "plain string",
     [](json& j) {
       j["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"content", ""}};
     }},
    {"NormalizerEmptyPattern", "E-TJ-07", "plain string",
     [](json& j) {
       j["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", "x"}};
     }},
    {"NormalizersThatGrowATextWithoutEnd", "E-TJ-07", "more than 64 times as long",
     [](json& j) {
       const json twelve = {
           {"type", "Replace"}, {"pattern", {{"String", "l"}}}, {"content", std::string(12, 'l')}};
       j["normalizer"] = {{"type", "Sequence"}, {"normalizers", {twelve, twelve}}};
     }},
    {"NormalizerOfALongPrefix", "E-TJ-07", "/normalizer/prepend: .*more than 64 times as long",
     [](json& j) {
       j["normalizer"] = {{"type", "Prepend"}, {"prepend", std::string(100000, 'x')}};
     }},
    {"PreTokenizerUnknown", "E-TJ-06", "'Whitespace'",
     [](json& j) { j["pre_tokenizer"] = step("Whitespace"); }},
    {"PreTokenizerPunctuation", "E-TJ-06", "'Punctuation'",
     [](json& j) { j["pre_tokenizer"] = step("Punctuation"); }},
    {"SplitByOtherRegex", "E-TJ-07", "a\\+\\)\\+",
     [](json& j) {
       j["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}};
     }},
    {"SplitRemoved", "E-TJ-07", "'Removed'",
     [](json& j) {
       j["pre_tokenizer"] = {
           {"type", "Split"},
           {"pattern",
            {{"Regex", R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"}}},
           {"behavior", "Removed"}};
     }},
    {"StepAfterByteLevel", "E-TJ-06", "after ByteLevel",
     [](json& j) {
       j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {j["pre_tokenizer"], step("Digits")}}};
     }},
    {"PrefixSpaceInSequence", "E-TJ-06", "add_prefix_space",
     [](json& j) {
       j["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {step("Digits"), step("ByteLevel")}}};
     }},
    {"ByteLevelSetting", "E-TJ-06", "'fast'", [](json& j) { j["pre_tokenizer"]["fast"] = true; }},
    {"DecoderUnknown", "E-TJ-06", "'WordPiece'", [](json& j) { j["decoder"] = step("WordPiece"); }},
    {"DecoderAbsent", "E-TJ-06", "undo", [](json& j) { j["decoder"] = nullptr; }},
    {"PostProcessorUnknown", "E-TJ-06", "'BertProcessing'",
     [](json& j) { j["post_processor"] = step("BertProcessing"); }},
    {"TemplateOfStranger", "E-TJ-10", "'<s>'",
     [](json& j) {
       j["post_processor"] = template_of({kBos, kText}, json::object());
     }},
    {"TemplateIdOutside", "E-TJ-10", "id 999",
     [](json& j) {
       j["post_processor"] = template_of({kBos, kText}, {{"<s>", {{"id", "<s>"}, {"ids", {999}}}}});
     }},
    {"TemplateIdNegative", "E-TJ-10", "id -1",
     [](json& j) {
       j["post_processor"] = template_of({kBos, kText}, {{"<s>", {{"id", "<s>"}, {"ids", {-1}}}}});
     }},
    {"TemplateWithoutText", "E-TJ-10", "without text",
     [](json& j) {
       j["post_processor"] = template_of(json::array({kBos}), {{"<s>", {{"id", "<s>"}, {"ids", {1}}}}});
     }},
    {"TemplateTwoTexts", "E-TJ-10", "second text",
     [](json& j) {
       j["post_processor"] = template_of({kText, kText}, json::object());
     }},
};

class MalformedJson : public ::testing::TestWithParam<JsonCase> {};

TEST_P(MalformedJson, IsRefused) {
  json damaged = tiny_tokenizer_json();
  GetParam().damage(damaged);
  expect_refusal([&] { load_tokenizer_json(damaged); }, GetParam().code, GetParam().words);
}

INSTANTIATE_TEST_SUITE_P(TokenizerJson, MalformedJson, ::testing::ValuesIn(kJsonCases),
                         [](const auto& test) { return test.param.name; });

TEST(MalformedJson, TextOfTheFile) {
  const auto load = [](const std::string& text) {
    return [text] {
      const TempFolder folder;
      folder.write("tokenizer.json", text);
      load_tokenizer(folder.path());
    };
  };
  const std::string good = tiny_tokenizer_json().dump();
  expect_refusal(load(""), "E-TJ-F07", "empty");
  expect_refusal(load("{\"a\": 1, \"a\": 2}"), "E-TJ-J04", "");
  expect_refusal(load(good + "x"), "E-TJ-J01", "");
  expect_refusal(load("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"), "E-TJ-F13",
                 "LFS");
  expect_refusal(load(std::string(1'000'000, '[')), "E-TJ-J03", "");
  for (std::size_t size = 0; size < good.size(); size += 7)
    EXPECT_FALSE(refusal(load(good.substr(0, size))).empty()) << size;
}

TEST(MalformedJson, NoTokenizerAtAll) {
  const TempFolder folder;
  expect_refusal([&] { load_tokenizer(folder.path()); }, "E-TK-01", "tokenizer.json or tokenizer.model");
  expect_refusal([&] { load_tokenizer(folder / "absent"); }, "E-TK-01", "");
  expect_refusal([] { load_tokenizer(""); }, "E-TK-F01", "the path is empty");
}

TEST(MalformedTokenizer, IsNoFile) {
  const TempFolder folder;
  const auto load = [&] { load_tokenizer(folder.path()); };
  expect_no_file_is_refused(folder / "tokenizer.json", "E-TJ", load);
  expect_no_file_is_refused(folder / "tokenizer.model", "E-TM", load);
  folder.write("tokenizer.json", tiny_tokenizer_json().dump());
  expect_no_file_is_refused(folder / "tokenizer.model", "E-TM", load);
  folder.write("tokenizer.model", SentencePieceFile().bytes());
  expect_no_file_is_refused(folder / "tokenizer.json", "E-TJ", load);
  expect_no_file_is_refused(folder / "tokenizer_config.json", "E-TC", load);
}

// --- tokenizer.model -----------------------------------------------------------------------------------------------

struct ModelCase {
  const char* name;
  const char* code;
  const char* words;
  std::function<void(SentencePieceFile&)> damage;
};

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                kInfinity = std::numeric_limits<float>::infinity();

// Damage to a charsmap that a lookup would fall into.
std::function<void(SentencePieceFile&)> charsmap(const std::function<void(CharsMap&)>& damage) {
  return [damage](SentencePieceFile& file) {
    CharsMap map;
    damage(map);
    file.charsmap = map.bytes();
  };
}

std::function<void(SentencePieceFile&)> tail(const std::string& bytes) {
  return [bytes](SentencePieceFile& file) { file.tail = bytes; };
}

std::function<void(SentencePieceFile&)> byte_piece(const std::string& spelling) {
  return [spelling](SentencePieceFile& file) { file.with_bytes().pieces.back().text = spelling; };
}

std::string many(int count, const std::string& bytes) {
  std::string out;
  for (int i = 0; i < count; ++i) out += bytes;
  return out;
}

const std::string kLongVarint = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";

const ModelCase kModelCases[] = {
    {"VarintTooLong", "E-TM-01", "64 bits", tail(kLongVarint)},
    {"VarintOf65Bits", "E-TM-01", "64 bits", tail("\x50\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")},
    {"VarintCutOff", "E-TM-01", "cut off", tail("\x50\xff")},
    {"TagCutOff", "E-TM-01", "cut off", tail("\xff")},
    {"LengthBeyondFile", "E-TM-02", "of 5 bytes",
     tail("\x52\x05"
          "abc")},
    {"LengthOf2To31", "E-TM-02", "2147483648", tail(proto_varint(82) + proto_varint(1ULL << 31))},
    {"LengthOf2To64", "E-TM-02", "18446744073709551615", tail(proto_varint(82) + proto_varint(~0ULL))},
    {"Fixed32CutOff", "E-TM-02", "cut off",
     tail("\x55"
          "ab")},
    {"Fixed64CutOff", "E-TM-02", "cut off",
     tail("\x51"
          "abcdefg")},
    {"PieceInsideTooLong", "E-TM-02", "of 9 bytes",
     tail(proto_bytes(1,
                      "\x0a\x09"
                      "ab"))},
    {"FieldZero", "E-TM-03", "field number 0", tail(std::string("\0\0", 2))},
    {"FieldTooHigh", "E-TM-03", "field number", tail(proto_varint(1ULL << 40) + "x")},
    {"GroupStart", "E-TM-03", "wire type 3", tail("\x53\x54")},
    {"GroupEnd", "E-TM-03", "wire type 4", tail("\x54")},
    {"WireType7", "E-TM-03", "wire type 7", tail("\x57")},
    {"PiecesAsNumber", "E-TM-03", "wire type 0", tail(proto_number(1, 5))},
    {"TextAsNumber", "E-TM-03", "wire type 0", tail(proto_bytes(1, proto_number(1, 5)))},
    {"ScoreAsNumber", "E-TM-03", "wire type 0",
     tail(proto_bytes(1, proto_bytes(1, "q") + proto_number(2, 5)))},
    {"TypeAsFloat", "E-TM-03", "wire type 5", tail(proto_bytes(1, proto_bytes(1, "q") + proto_float(3, 1)))},
    {"HugeNumber", "E-TM-03", "32 bits", [](auto& f) { f.trainer[40] = std::int64_t{1} << 40; }},
    {"ManyUnknownFields", "E-TM-03", "more than 1000", tail(many(1001, proto_number(99, 1)))},
    {"NoPieces", "E-TM-04", "no pieces", [](auto& f) { f.pieces.clear(); }},
    {"EmptyPiece", "E-TM-05", "piece 4", [](auto& f) { f.pieces[4].text = ""; }},
    {"PieceNotUtf8", "E-TM-05", "UTF-8", [](auto& f) { f.pieces[4].text = "\xff"; }},
    {"LongPiece", "E-TM-06", "100000 bytes", [](auto& f) { f.pieces[4].text = std::string(100'000, 'a'); }},
    {"PieceTwice", "E-TM-08", "'a' a second", [](auto& f) { f.pieces[5].text = "a"; }},
    {"ScoreNan", "E-TM-09", "nan", [](auto& f) { f.pieces[4].score = kNan; }},
    {"ScoreInfinite", "E-TM-09", "inf", [](auto& f) { f.pieces[4].score = -kInfinity; }},
    {"TypeZero", "E-TM-10", "type 0", [](auto& f) { f.pieces[4].type = 0; }},
    {"TypeSeven", "E-TM-10", "type 7", [](auto& f) { f.pieces[4].type = 7; }},
    {"TypeNegative", "E-TM-10", "type -1", [](auto& f) { f.pieces[4].type = -1; }},
    {"LetterUnused", "E-TM-10", "'a'", [](auto& f) { f.pieces[4].type = 5; }},
    {"LetterIsControl", "E-TM-10", "'a'", [](auto& f) { f.pieces[4].type = 3; }},
    {"NoUnknown", "E-TM-11", "0 unknown", [](auto& f) { f.pieces[0].type = 1; }},
    {"TwoUnknown", "E-TM-11", "2 unknown", [](auto& f) { f.pieces[4].type = 2; }},
    {"UnknownRenamed", "E-TM-11", "'<unk>'", [](auto& f) { f.pieces[0].text = "?"; }},
    {"BytePieceNegative", "E-TM-12", "<0x-1>", byte_piece("<0x-1>")},
    {"BytePieceNoDigits", "E-TM-12", "<0xZZ>", byte_piece("<0xZZ>")},
    {"BytePieceShort", "E-TM-12", "<0x1>", byte_piece("<0x1>")},
    {"BytePieceBeyond", "E-TM-12", "<0x100>", byte_piece("<0x100>")},
    {"BytePieceLowerCase", "E-TM-12", "<0xff>", byte_piece("<0xff>")},
    {"BytePieceMissing", "E-TM-12", "255 byte", [](auto& f) { f.with_bytes().pieces.pop_back(); }},
    {"BytesWithoutFallback", "E-TM-12", "256 byte", [](auto& f) { f.with_bytes().trainer[35] = 0; }},
    {"FallbackWithoutBytes", "E-TM-12", "0 byte", [](auto& f) { f.trainer[35] = 1; }},
    {"UnkIdOutside", "E-TM-13", "unk_id 9", [](auto& f) { f.trainer[40] = 9; }},
    {"BosIdOutside", "E-TM-13", "bos_id 1000", [](auto& f) { f.trainer[41] = 1000; }},
    {"EosIdNegative", "E-TM-13", "eos_id -2", [](auto& f) { f.trainer[42] = -2; }},
    {"CharsMapOf1", "E-TM-14", "1 bytes", [](auto& f) { f.charsmap = "a"; }},
    {"CharsMapOf3", "E-TM-14", "3 bytes", [](auto& f) { f.charsmap = "abc"; }},
    {"CharsMapTrieTooLong", "E-TM-14", "4294967280",
     [](auto& f) {
       f.charsmap =
           "\xf0\xff\xff\xff"
           "abcd";
     }},
    {"CharsMapNoTrie", "E-TM-14", "0 bytes", charsmap([](CharsMap& m) { m.units.clear(); })},
    {"CharsMapOddTrie", "E-TM-14", "multiple", [](auto& f) { f.charsmap = little_endian(6) + "abcdefgh"; }},
    {"CharsMapSmallTrie", "E-TM-14", "node 0", charsmap([](CharsMap& m) { m.units.resize(255); })},
    {"CharsMapCutBlock", "E-TM-14", "node 0", charsmap([](CharsMap& m) { m.units.resize(511); })},
    {"CharsMapRootLeaf", "E-TM-14", "empty text", charsmap([](CharsMap& m) { m.units[0] |= 1U << 8; })},
    {"CharsMapRootOutside", "E-TM-14", "node 0", charsmap([](CharsMap& m) { m.units[0] = 512U << 10; })},
    {"CharsMapNodeOutside", "E-TM-14", "node 353",
     charsmap([](CharsMap& m) { m.units[353] = 'a' | 1U << 21; })},
    {"CharsMapLeafOutside", "E-TM-14", "replacement 2",
     charsmap([](CharsMap& m) { m.units[352] = 1U << 31 | 2; })},
    {"CharsMapNoNul", "E-TM-14", "NUL", charsmap([](CharsMap& m) { m.replacements = "bc"; })},
    {"CharsMapNotUtf8", "E-TM-14", "UTF-8",
     charsmap([](CharsMap& m) { m.replacements = std::string("\xff\0", 2); })},
    {"CharsMapNoReplacements", "E-TM-14", "trie of", charsmap([](CharsMap& m) { m.replacements.clear(); })},
    {"ModelTypeWord", "E-TM-15", "WORD", [](auto& f) { f.trainer[3] = 3; }},
    {"ModelTypeChar", "E-TM-15", "CHAR", [](auto& f) { f.trainer[3] = 4; }},
    {"ModelTypeUnknown", "E-TM-15", "model type 9", [](auto& f) { f.trainer[3] = 9; }},
    {"SpaceAsSuffix", "E-TM-15", "suffix", [](auto& f) { f.trainer[24] = 1; }},
    {"SpacesNotEscaped", "E-TM-15", "escape", tail(proto_bytes(3, proto_number(5, 0)))},
    {"Denormalizer", "E-TM-15", "decoded", tail(proto_bytes(5, proto_bytes(2, "x")))},
    {"TrailingBytes", "E-TM-03", "", tail("trailing bytes")},
    {"NegativeVocabularySize", "E-TM-17", "vocab_size -5", [](auto& f) { f.trainer[4] = -5; }},
    {"NegativeSoftVocabularySize", "E-TM-17", "vocab_size -1",
     [](auto& f) { f.trainer[4] = -1, f.trainer[33] = 0; }},
    {"HugeSoftVocabularySize", "E-TM-17", "vocab_size 2147483647",
     [](auto& f) { f.trainer[4] = 2147483647, f.trainer[33] = 0; }},
    {"FewerPiecesThanTrained", "E-TM-17", "9 pieces", [](auto& f) { f.trainer[4] = 10; }},
};

class MalformedModel : public ::testing::TestWithParam<ModelCase> {};

TEST_P(MalformedModel, IsRefused) {
  SentencePieceFile file;
  GetParam().damage(file);
  expect_refusal([&] { load_tokenizer_model(file.bytes()); }, GetParam().code, GetParam().words);
}

INSTANTIATE_TEST_SUITE_P(TokenizerModel, MalformedModel, ::testing::ValuesIn(kModelCases),
                         [](const auto& test) { return test.param.name; });

TEST(MalformedModel, HonestVariantsAreTaken) {
  SentencePieceFile soft;  // a vocabulary may end below a soft limit, and grow after training
  soft.trainer[4] = 100;
  soft.trainer[33] = 0;
  EXPECT_EQ(load_tokenizer_model(soft.bytes())->vocabulary(), 9);
  SentencePieceFile grown;
  grown.trainer[4] = 5;
  grown.trainer[43] = -1;
  grown.tail = proto_number(200, 1) + proto_bytes(4, "");  // an extension, an empty self test
  EXPECT_EQ(load_tokenizer_model(grown.bytes())->vocabulary(), 9);
}

// Loads it or refuses it in good form; what loads encodes and decodes, or says which rule the library found broken.
bool survives(const std::string& bytes) {
  static const TempFolder folder;
  folder.write("tokenizer.model", bytes);
  std::unique_ptr<const Tokenizer> tokenizer;
  const std::string message = refusal([&] { tokenizer = load_tokenizer(folder.path()); });
  if (!tokenizer) return !message.empty();
  const std::string later = refusal([&] {
    const Tokens ids =
        tokenizer->encode("abab a\n\u4f60<s> ba", {.add_special = true, .parse_special = true});
    tokenizer->decode(ids, true);
  });
  return later.empty() || later.starts_with("error[E-TM-");
}

TEST(MalformedModel, EveryTruncationIsSurvived) {
  SentencePieceFile with_map;
  with_map.charsmap = CharsMap().bytes();
  for (const std::string& whole : {SentencePieceFile().with_bytes().bytes(), with_map.bytes()})
    for (std::size_t size = 0; size < whole.size(); ++size)
      ASSERT_TRUE(survives(whole.substr(0, size))) << size << " bytes";
}

TEST(MalformedModel, EveryFlippedBitIsSurvived) {
  for (const int type : {1, 2}) {
    SentencePieceFile file;
    file.trainer[3] = type;
    const std::string whole = file.bytes();
    for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      ASSERT_TRUE(survives(damaged)) << "bit " << bit;
    }
  }
}

TEST(MalformedModel, EveryFlippedBitOfACharsMapIsSurvived) {
  CharsMap map;
  SentencePieceFile file;
  const std::string good = map.bytes();
  for (std::size_t byte = 0; byte < good.size();
       byte += good[byte] == 0 ? 7 : 1)  // all that is set, some that is not
    for (int bit = 0; bit < 8; ++bit) {
      file.charsmap = good;
      file.charsmap[byte] = static_cast<char>(file.charsmap[byte] ^ (1 << bit));
      ASSERT_TRUE(survives(file.bytes())) << "byte " << byte << " bit " << bit;
    }
}

}  // namespace
}  // namespace evictbench
