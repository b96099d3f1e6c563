#include "models/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <thread>

#include "core/io/file.h"
#include "models/bpe.h"
#include "models/pretokenizer.h"
#include "models/unicode.h"
#include "tests/support/dressed_sentencepiece.h"
#include "tests/support/sentencepiece_writer.h"
#include "tests/support/tiny_tokenizer.h"

namespace evictbench {
namespace {

const std::string kData = std::string(EVICTBENCH_SOURCE_DIR) + "/../shared/data/tokenizers/";
constexpr Tokenizer::Encode kPlain{.add_special = false, .parse_special = false};
constexpr Tokenizer::Encode kParsed{.add_special = false, .parse_special = true};

const std::string kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const std::string kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kO200k =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kDeepSeek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string slurp(const std::string& path) { return read_text(path, Exit::kInput, "E-T"); }

Tokens read_ids(const std::string& path) {
  std::istringstream in(slurp(path));
  return {std::istream_iterator<std::int32_t>(in), {}};
}

// --- The published vectors: 47 texts, a line of ids each -----------------------------------------------------------

void expect_vectors(const Tokenizer& tokenizer, const std::string& name) {
  constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";
  const std::string texts = slurp(kData + "vectors/" + name + ".inp");
  std::istringstream lines(slurp(kData + "vectors/" + name + ".out"));
  int count = 0;
  for (std::size_t at = 0, end = 0; at <= texts.size(); at = end + kBetween.size(), ++count) {
    end = std::min(texts.find(kBetween, at), texts.size());
    const std::string text = texts.substr(at, end - at);
    std::string line;
    std::getline(lines, line);
    std::istringstream numbers(line);
    const Tokens expected{std::istream_iterator<std::int32_t>(numbers), {}};
    EXPECT_EQ(tokenizer.encode(text, kPlain), expected) << name << ": '" << text << "'";
    EXPECT_EQ(tokenizer.decode(expected), text) << name;
  }
  EXPECT_EQ(count, 47);
}

std::unique_ptr<const Tokenizer> load_text(const std::string& json) {
  const TempFolder folder;
  folder.write("tokenizer.json", json);
  return load_tokenizer(folder.path());
}

TEST(TokenizerVectors, Gpt2) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  expect_vectors(*load_text(gpt2_to_json(slurp(kData + "gpt2-bpe/gpt2-vocab.json"),
                                         slurp(kData + "gpt2-bpe/gpt2-merges.txt"))),
                 "gpt-2");
}

TEST(TokenizerVectors, Llama3) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  const auto tokenizer = load_text(tiktoken_to_json(
      slurp(kData + "llama3-bpe/ranks.tiktoken"),
      {kLlama3Pattern, {"<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"}, "<|begin_of_text|>", true}));
  expect_vectors(*tokenizer, "llama-bpe");
  EXPECT_EQ(tokenizer->encode("Hello", {}), (Tokens{128000, 9906}));
  EXPECT_EQ(tokenizer->encode("Hello<|eot_id|>", kParsed), (Tokens{9906, 128002}));
  EXPECT_GT(tokenizer->encode("Hello<|eot_id|>", kPlain).size(), 3U);
}

TEST(TokenizerVectors, Qwen2) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  expect_vectors(*load_text(tiktoken_to_json(slurp(kData + "qwen2-bpe/ranks.tiktoken"),
                                             {kQwen2Pattern, {"<|endoftext|>"}, "", false})),
                 "qwen2");
}

TEST(TokenizerVectors, Llama2) {
  if (!is_folder(kData)) GTEST_SKIP() << "no " << kData;
  const auto tokenizer = load_tokenizer(kData + "llama2-spm");
  expect_vectors(*tokenizer, "llama-spm");
  EXPECT_EQ(tokenizer->encode("Hello", {}), (Tokens{1, 15043}));
  EXPECT_EQ(tokenizer->vocabulary(), 32000);
}

// tests/models/tokenizer_oracle.py SMOLLM2 OUT writes the folder that EVICTBENCH_TOKENIZER_ORACLE names.
TEST(TokenizerOracle, SmolLm2EqualsHuggingFaceOnMixedText) {
  const char* model = std::getenv("EVICTBENCH_SMOLLM2");
  const char* oracle = std::getenv("EVICTBENCH_TOKENIZER_ORACLE");
  const std::string folder = model ? model : "/work/tmp/smollm2";
  const std::string out = std::string(oracle ? oracle : "/tmp/evictbench-tokenizer-oracle") + "/";
  if (!is_folder(folder) || !is_folder(out)) GTEST_SKIP() << "no " << folder << " or no " << out;
  const auto tokenizer = load_tokenizer(folder);
  const std::string text = slurp(out + "text.txt");
  const Tokens ids = tokenizer->encode(text, kPlain);
  EXPECT_TRUE(ids == read_ids(out + "ids.txt"));
  EXPECT_TRUE(tokenizer->encode(text, kParsed) == read_ids(out + "ids_special.txt"));
  EXPECT_TRUE(tokenizer->decode(ids, true) == slurp(out + "decoded.txt"));
}

// --- Byte-pair merging ---------------------------------------------------------------------------------------------

// By definition: the rule of lowest rank, leftmost, again and again.
Tokens merge_naively(Tokens piece, const std::map<std::pair<int, int>, std::pair<int, int>>& rules) {
  while (true) {
    int best = INT32_MAX;
    std::size_t where = 0;
    for (std::size_t i = 0; i + 1 < piece.size(); ++i)
      if (const auto rule = rules.find({piece[i], piece[i + 1]});
          rule != rules.end() && rule->second.first < best)
        best = rule->second.first, where = i;
    if (best == INT32_MAX) return piece;
    piece[where] = rules.at({piece[where], piece[where + 1]}).second;
    piece.erase(piece.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
}

TEST(BpeMerges, EqualTheDefinitionOnRandomRules) {
  std::mt19937 rng(7);
  const auto below = [&](int n) { return static_cast<int>(rng() % static_cast<unsigned>(n)); };
  BpeMerges::Workspace work;
  for (int round = 0; round < 300; ++round) {
    BpeMerges merges;
    std::map<std::pair<int, int>, std::pair<int, int>> rules;
    for (int rank = 0; rank < 40; ++rank) {  // any rule, even those no training would give
      const int left = below(3 + rank), right = below(3 + rank);
      const bool fresh = rules.try_emplace({left, right}, std::pair{rank, 3 + rank}).second;
      EXPECT_EQ(merges.add(left, right, rank, 3 + rank), fresh);
    }
    for (int text = 0; text < 20; ++text) {
      Tokens piece(static_cast<std::size_t>(below(60)));
      for (auto& symbol : piece) symbol = below(3);
      Tokens merged = {-7};
      merges.apply(piece, work, merged);
      Tokens expected = merge_naively(piece, rules);
      expected.insert(expected.begin(), -7);
      ASSERT_EQ(merged, expected) << "round " << round;
    }
  }
}

// --- Pre-tokenizer -------------------------------------------------------------------------------------------------

using Pieces = std::vector<std::string_view>;

TEST(PreTokenizer, CutsAsThePatternsSay) {
  PreTokenizer gpt2, llama3, digits;
  gpt2.add_gpt2();
  EXPECT_EQ(gpt2.split("I'm  it's 1234 a\n\n b!?"),
            (Pieces{"I", "'m", " ", " it", "'s", " 1234", " a", "\n\n", " b", "!?"}));
  ASSERT_TRUE(llama3.add_pattern(kLlama3Pattern));
  EXPECT_EQ(llama3.split("I'M 12345 a!\n\n  b"),
            (Pieces{"I", "'M", " ", "123", "45", " a", "!\n\n", " ", " b"}));
  EXPECT_EQ(llama3.split("'\u017f"), Pieces{"'\u017f"});  // the long s is an s in any case
  EXPECT_EQ(gpt2.split("a\u180e"), (Pieces{"a", "\u180e"}));
  EXPECT_EQ(gpt2.split("! \u180e"), (Pieces{"!", " \u180e"}));  // U+180E is no white space
  digits.add_digits(true);
  digits.add_gpt2();
  EXPECT_EQ(digits.split(" 12a 3"), (Pieces{" ", "1", "2", "a", " ", "3"}));
  PreTokenizer runs;
  runs.add_digits(false);
  EXPECT_EQ(runs.split("ab12\u00bdc"), (Pieces{"ab", "12\u00bd", "c"}));
  EXPECT_FALSE(runs.add_pattern("(a+)+$"));
  EXPECT_EQ(runs.split(""), Pieces{});
}

TEST(PreTokenizer, NewerPatternsCutAsTheySay) {
  const auto cut = [](const std::string& pattern, std::string_view text) {
    PreTokenizer one;
    EXPECT_TRUE(one.add_pattern(pattern)) << pattern;
    Pieces pieces = one.split(text);
    return pieces;
  };
  EXPECT_EQ(cut(kO200k, "HelloWorld's 1234 a/b/\n"),
            (Pieces{"Hello", "World's", " ", "123", "4", " a", "/b", "/\n"}));
  EXPECT_EQ(cut(kTekken, "HelloWorld's 12"), (Pieces{"Hello", "World", "'s", " ", "1", "2"}));
  EXPECT_EQ(cut(kTekken, "XMLFile e\u0301t"), (Pieces{"XMLFile", " e\u0301t"}));
  EXPECT_EQ(cut(kQwen35, "e\u0301t!\u0301 a"), (Pieces{"e\u0301t", "!\u0301", " a"}));
  EXPECT_EQ(cut(kQwen2Pattern, "e\u0301t"), (Pieces{"e", "\u0301t"}));
  // DeepSeek's do not cover the text: what is between stays a piece.
  EXPECT_EQ(cut(R"(\p{N}{1,3})", "a12345b"), (Pieces{"a", "123", "45", "b"}));
  EXPECT_EQ(cut("[\r\n]", "a\n\nb"), (Pieces{"a", "\n", "\n", "b"}));
  EXPECT_EQ(cut(R"([\r\n])", "\n"), Pieces{"\n"});  // spelled with escapes
}

TEST(PreTokenizer, BehaviorsMergeAsTheirNamesSay) {
  using Behavior = PreTokenizer::Behavior;
  const auto cut = [](Behavior behavior) {
    PreTokenizer one;
    one.add_text("-", behavior);
    return one.split("-a--b-");
  };
  EXPECT_EQ(cut(Behavior::kIsolated), (Pieces{"-", "a", "-", "-", "b", "-"}));
  EXPECT_EQ(cut(Behavior::kMergedWithPrevious), (Pieces{"-", "a-", "-", "b-"}));
  EXPECT_EQ(cut(Behavior::kMergedWithNext), (Pieces{"-a", "-", "-b", "-"}));
  EXPECT_EQ(cut(Behavior::kContiguous), (Pieces{"-", "a", "--", "b", "-"}));
}

double seconds_to_cut(const std::string& pattern, std::string_view unit, std::size_t bytes) {
  PreTokenizer one;
  one.add_pattern(pattern);
  std::string text;
  while (text.size() < bytes) text += unit;
  const std::clock_t start = std::clock();
  one.split(text);
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

TEST(PreTokenizer, LongRunsTakeNearLinearTime) {
  for (const std::string& pattern :
       {kLlama3Pattern, kO200k, kTekken, kQwen35, kDeepSeek3, std::string(R"(\s?\p{L}+)"),
        std::string(R"(\s?\p{P}+)"), std::string("[\r\n]")})
    for (const std::string unit :
         {"A", "a", "aA", " ", "\n", " \n", "\t ", "1", ".", "/", "\u0301", "'", "\u4e00", "\x01"}) {
      const double part = seconds_to_cut(pattern, unit, 1 << 16),
                   whole = seconds_to_cut(pattern, unit, 1 << 18);
      EXPECT_LT(whole, 12 * part + 0.05) << pattern << " '" << printable(unit) << "'";  // quadratic: 16
    }
}

// --- tokenizer.json ------------------------------------------------------------------------------------------------

TEST(TinyBpe, EncodesAndDecodesByHand) {
  const auto tokenizer = load_tokenizer_json(tiny_tokenizer_json());
  EXPECT_EQ(tokenizer->kind(), "bpe");
  EXPECT_EQ(tokenizer->vocabulary(), 262);
  EXPECT_EQ(tokenizer->encode("hello lo", {}), (Tokens{260, 261}));
  EXPECT_EQ(tokenizer->encode("hellhe", {}), (Tokens{259, 257}));
  EXPECT_EQ(tokenizer->encode("", {}), Tokens{});
  EXPECT_EQ(tokenizer->encode(std::string_view("\0\xc3\xa9", 3), {}), (Tokens{0, 0xc3, 0xa9}));
  EXPECT_EQ(tokenizer->id_of("hell"), 259);
  EXPECT_EQ(tokenizer->id_of("\u0120lo"), 261);  // of its own spelling
  EXPECT_EQ(tokenizer->id_of(" lo"), std::nullopt);
  EXPECT_EQ(tokenizer->decode(Tokens{0xe4, 0xbd}), "\uFFFD");
  EXPECT_EQ(tokenizer->decode(Tokens{0xe4, 0xbd, 0xa0}), "\u4f60");
  EXPECT_EQ(tokenizer->decode(Tokens{'a', 262, -1, 'b'}), "a\uFFFD\uFFFDb");
}

TEST(TinyBpe, RepairsTextThatIsNotUtf8) {
  const auto tokenizer = load_tokenizer_json(tiny_tokenizer_json());
  const std::pair<std::string, std::string> cases[] = {
      {"a\xff"
       "b",
       "a\uFFFDb"},                                      // no lead
      {"\x80\x80", "\uFFFD\uFFFD"},                      // each stray byte by itself
      {"\xe4\xbd", "\uFFFD"},                            // one cut-off character
      {"\xf0\x9f\x98x", "\uFFFDx"},                      //
      {"\xc0\x80", "\uFFFD\uFFFD"},                      // overlong
      {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},            // a surrogate
      {"\xf4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},  // above U+10FFFF
      {"\xe4\xbd\xe4\xbd\xa0", "\uFFFD\u4f60"},
  };
  for (const auto& [broken, repaired] : cases) {
    EXPECT_EQ(valid_utf8(broken), repaired);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(broken, {})), repaired);
  }
}

TEST(TinyBpe, DecodingUndoesEncoding) {
  nlohmann::json json = tiny_tokenizer_json();
  json["added_tokens"] = {added_token(262, "<s>"), added_token(263, "\u00e9\u0120", false)};
  const auto tokenizer = load_tokenizer_json(json);
  std::mt19937 rng(3);
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_text(rng, 40) + "<s> hello\u00e9\u0120 ";
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(text, kPlain)), text);
    ASSERT_EQ(tokenizer->decode(tokenizer->encode(text, kParsed), true), text);
  }
}

TEST(TinyBpe, AddedTokens) {
  nlohmann::json json = tiny_tokenizer_json();
  json["added_tokens"] = {added_token(262, "<s>"), added_token(263, "<s>>"), added_token(264, "he", false)};
  json["added_tokens"][2]["id"] = 257;  // is in the vocabulary
  auto tokenizer = load_tokenizer_json(json);
  EXPECT_EQ(tokenizer->vocabulary(), 264);
  EXPECT_EQ(tokenizer->encode("<s>>a<s>", kParsed), (Tokens{263, 'a', 262}));
  EXPECT_EQ(tokenizer->encode("<s>", kPlain), (Tokens{'<', 's', '>'}));
  EXPECT_EQ(tokenizer->encode("hello", kPlain), (Tokens{257, 258, 'o'}));  // cut out first, special or not
  EXPECT_EQ(tokenizer->decode(Tokens{'a', 262, 'b'}), "ab");
  EXPECT_EQ(tokenizer->decode(Tokens{'a', 262, 'b'}, true), "a<s>b");

  json["added_tokens"] = {added_token(262, "<m>"), added_token(263, "it", false)};
  json["added_tokens"][0]["lstrip"] = json["added_tokens"][0]["rstrip"] = true;
  json["added_tokens"][1]["single_word"] = true;
  tokenizer = load_tokenizer_json(json);
  EXPECT_EQ(tokenizer->encode("a \n<m>\u3000 b", kParsed), (Tokens{'a', 262, 'b'}));
  EXPECT_EQ(tokenizer->encode("it bit it", kPlain), (Tokens{263, ' ', 'b', 'i', 't', ' ', 263}));
}

TEST(TinyBpe, AddSpecialFollowsTheTemplate) {
  nlohmann::json json = tiny_tokenizer_json();
  json["added_tokens"] = {added_token(262, "<s>"), added_token(263, "</s>")};
  const auto special = [](const std::string& name) -> nlohmann::json {
    return {{"SpecialToken", {{"id", name}, {"type_id", 0}}}};
  };
  const nlohmann::json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {special("<s>"), text, special("</s>")}},
                            {"pair", nlohmann::json::array()},
                            {"special_tokens",
                             {{"<s>", {{"id", "<s>"}, {"ids", {262}}, {"tokens", {"<s>"}}}},
                              {"</s>", {{"id", "</s>"}, {"ids", {263}}, {"tokens", {"</s>"}}}}}}};
  const auto tokenizer = load_tokenizer_json(json);
  EXPECT_EQ(tokenizer->encode("he", {}), (Tokens{262, 257, 263}));
  EXPECT_EQ(tokenizer->encode("he", kPlain), (Tokens{257}));
}

TEST(TinyBpe, SettingsOfTheModel) {
  nlohmann::json json = tiny_tokenizer_json();
  json["model"]["vocab"]["oll"] = 262;  // made by no merge
  EXPECT_EQ(load_tokenizer_json(json)->encode("oll", {}), (Tokens{'o', 258}));
  json["model"]["ignore_merges"] = true;
  EXPECT_EQ(load_tokenizer_json(json)->encode("oll", {}), (Tokens{262}));
  EXPECT_EQ(load_tokenizer_json(json)->encode("olla", {}), (Tokens{'o', 258, 'a'}));

  json["model"]["vocab"].erase("a");
  EXPECT_EQ(load_tokenizer_json(json)->encode("laal", {}), (Tokens{258}));  // what nothing expresses vanishes
  json["model"]["unk_token"] = "z";
  EXPECT_EQ(load_tokenizer_json(json)->encode("laal", {}), (Tokens{'l', 'z', 'z', 'l'}));
  json["model"]["fuse_unk"] = true;
  EXPECT_EQ(load_tokenizer_json(json)->encode("laal", {}), (Tokens{'l', 'z', 'l'}));
}

TEST(TinyBpe, NormalizersAndPrefixSpace) {
  nlohmann::json json = tiny_tokenizer_json();
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  EXPECT_EQ(load_tokenizer_json(json)->encode("e\u0301", {}), (Tokens{0xc3, 0xa9}));
  json["normalizer"] = {{"type", "NFD"}};
  EXPECT_EQ(load_tokenizer_json(json)->encode("\u00e9", {}), (Tokens{'e', 0xcc, 0x81}));
  json["normalizer"] = {{"type", "NFKC"}};
  EXPECT_EQ(load_tokenizer_json(json)->encode("\ufb01", {}), (Tokens{'f', 'i'}));
  // A mark of Unicode 13, for the tokenizers package no mark: it stays in the way.
  EXPECT_EQ(load_tokenizer_json(json)->decode(load_tokenizer_json(json)->encode("e\u1ac0\u0301", {})),
            "e\u1ac0\u0301");
  json["normalizer"] = nullptr;
  json["pre_tokenizer"]["add_prefix_space"] = true;
  EXPECT_EQ(load_tokenizer_json(json)->encode("lo", {}), (Tokens{261}));
  EXPECT_EQ(load_tokenizer_json(json)->encode(" lo", {}), (Tokens{261}));
}

TEST(TinyBpe, LowercaseAndStrip) {
  nlohmann::json json = tiny_tokenizer_json();
  json["normalizer"] = {{"type", "Lowercase"}};
  EXPECT_EQ(load_tokenizer_json(json)->encode("HELLO", {}), (Tokens{260}));
  EXPECT_EQ(load_tokenizer_json(json)->decode(load_tokenizer_json(json)->encode("\u0130\u00c9", {})),
            "i\u0307\u00e9");
  json["normalizer"] = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}};
  EXPECT_EQ(load_tokenizer_json(json)->encode(" \u3000he ", {}), (Tokens{257, ' '}));
  json["normalizer"]["strip_right"] = true;
  EXPECT_EQ(load_tokenizer_json(json)->encode(" he\n\n", {}), (Tokens{257}));
  EXPECT_EQ(load_tokenizer_json(json)->encode(" \n", {}), Tokens{});
}

TEST(TinyBpe, AddedTokensAreLookedForAfterNormalisationToo) {
  nlohmann::json json = tiny_tokenizer_json();
  json["normalizer"] = {{"type", "Lowercase"}};
  json["added_tokens"] = {added_token(262, "<A>", false), added_token(263, "<B>", false)};
  json["added_tokens"][0]["normalized"] = true;
  const auto tokenizer = load_tokenizer_json(json);
  EXPECT_EQ(tokenizer->encode("<a><A>", {}), (Tokens{262, 262}));
  EXPECT_EQ(tokenizer->encode("<B>", {}), (Tokens{263}));
  EXPECT_EQ(tokenizer->encode("<b>", {}), (Tokens{'<', 'b', '>'}));
}

// A special token that is not asked for hides what is spelled inside it.
TEST(TinyBpe, NothingIsCutOutOfASpecialTokenThatStaysText) {
  nlohmann::json json = tiny_tokenizer_json();
  json["added_tokens"] = {added_token(262, "<he>"), added_token(257, "he", false)};
  json["model"]["merges"] = nlohmann::json::array();
  const auto tokenizer = load_tokenizer_json(json);
  EXPECT_EQ(tokenizer->encode("<he>he", kPlain), (Tokens{'<', 'h', 'e', '>', 257}));
  EXPECT_EQ(tokenizer->encode("<he>he", kParsed), (Tokens{262, 257}));
}

// --- All kinds -----------------------------------------------------------------------------------------------------

double seconds_to_encode(const Tokenizer& tokenizer, std::string_view unit, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  const std::clock_t start = std::clock();
  tokenizer.encode(text, kPlain);
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

TEST(Tokenizer, LongRunsTakeNearLinearTime) {
  nlohmann::json llama3 = tiny_tokenizer_json();
  llama3["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", kLlama3Pattern}}}, {"behavior", "Isolated"}};
  llama3["pre_tokenizer"] = {{"type", "Sequence"},
                             {"pretokenizers",
                              {llama3["pre_tokenizer"],
                               {{"type", "ByteLevel"}, {"use_regex", false}, {"add_prefix_space", false}}}}};
  const std::unique_ptr<const Tokenizer> all[] = {
      load_tokenizer_json(tiny_tokenizer_json()), load_tokenizer_json(llama3),
      load_tokenizer_model(SentencePieceFile().with_bytes().bytes())};
  for (const auto& tokenizer : all)
    for (const std::string unit :
         {"A", "l", " ", "\n", " \n", "\r\n", "1", ".", "aB", "ab", "\u0301", "\xff", "'"}) {
      const double quarter = seconds_to_encode(*tokenizer, unit, 1 << 17);
      const double whole = seconds_to_encode(*tokenizer, unit, 1 << 19);
      EXPECT_LT(whole, 12 * quarter + 0.05)
          << tokenizer->kind() << " '" << printable(unit) << "'";  // quadratic: 16
      EXPECT_LT(whole, 5) << tokenizer->kind() << " '" << printable(unit) << "'";
    }
}

// Marks of classes that want sorting: the usual library takes quadratic time.
TEST(Tokenizer, TowersOfMarksTakeNearLinearTime) {
  nlohmann::json json = tiny_tokenizer_json();
  for (const char* form : {"NFC", "NFD", "NFKC", "NFKD"}) {
    json["normalizer"] = {{"type", form}};
    const auto tokenizer = load_tokenizer_json(json);
    const double part = seconds_to_encode(*tokenizer, "\u0301\u0323", 1 << 16);
    EXPECT_LT(seconds_to_encode(*tokenizer, "\u0301\u0323", 1 << 18), 12 * part + 0.05) << form;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\u0301\u0323\u0301", kPlain)),
              std::string(form).ends_with("C") ? "\u1ea1\u0301\u0301" : "a\u0323\u0301\u0301");
  }
}

// Any tokens, good or not: what a stream gives, put together, is the decoded text.
TEST(Tokenizer, StreamedTextEqualsDecodedText) {
  nlohmann::json bytes = tiny_tokenizer_json(), meta = dressed_json();
  bytes["added_tokens"] = {added_token(262, "<s>"), added_token(263, "\u00e9", false)};
  meta["normalizer"] = nullptr;
  meta["pre_tokenizer"] = meta["decoder"] = {
      {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "first"}, {"split", false}};
  const std::unique_ptr<const Tokenizer> all[] = {
      load_tokenizer_json(bytes), load_tokenizer_json(dressed_json()), load_tokenizer_json(meta),
      load_tokenizer_model(SentencePieceFile().with_bytes().bytes())};
  std::mt19937 rng(17);
  for (const auto& tokenizer : all)
    for (int round = 0; round < 400; ++round) {
      Tokens ids = tokenizer->encode(random_text(rng, 6), {});
      for (int k = 0; k < 12; ++k)
        ids.push_back(static_cast<std::int32_t>(rng() % static_cast<unsigned>(tokenizer->vocabulary() + 3)) -
                      1);
      for (const bool keep : {false, true}) {
        const auto stream = tokenizer->stream(keep);
        std::string text;
        for (const std::int32_t id : ids) {
          const std::string more = stream->add(id);
          ASSERT_EQ(more, valid_utf8(more));  // never half a character
          text += more;
        }
        ASSERT_EQ(text + stream->finish(), tokenizer->decode(ids, keep));
        const std::size_t some = rng() % (ids.size() + 1);
        const auto shorter = tokenizer->stream(keep);
        std::string start;
        for (std::size_t i = 0; i < some; ++i) start += shorter->add(ids[i]);
        ASSERT_TRUE(text.starts_with(start));  // what was given stays
      }
    }
}

TEST(Tokenizer, MetaspacePutsItsSpaceWhereItsSchemeSays) {
  nlohmann::json json = dressed_json();
  json["normalizer"] = nullptr;
  const auto load = [&](const char* scheme) {
    json["pre_tokenizer"] = json["decoder"] = {
        {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", scheme}, {"split", true}};
    return load_tokenizer_json(json);
  };
  EXPECT_EQ(load("always")->encode("ab<s>ab", kParsed), (Tokens{6, 1, 6}));
  EXPECT_EQ(load("first")->encode("ab<s>ab", kParsed), (Tokens{6, 1, 5}));
  EXPECT_EQ(load("first")->encode("<s>ab", kParsed), (Tokens{1, 5}));
  EXPECT_EQ(load("never")->encode("ab ab", kParsed), (Tokens{5, 6}));
  EXPECT_EQ(load("first")->encode(" ab", {.add_special = false, .continues = true}), (Tokens{6}));
  EXPECT_EQ(load("first")->encode("ab", {.add_special = false, .continues = true}), (Tokens{5}));
  for (const char* scheme : {"always", "first", "never"})
    for (const std::string text : {"ab", "ab ab", "a\u4f60b"})
      EXPECT_EQ(load(scheme)->decode(load(scheme)->encode(text, {})), text) << scheme;
}

TEST(Tokenizer, ThreadsGetTheSameIds) {
  const std::unique_ptr<const Tokenizer> all[] = {
      load_tokenizer_json(tiny_tokenizer_json()),
      load_tokenizer_model(SentencePieceFile().with_bytes().bytes())};
  for (const auto& tokenizer : all) {
    std::mt19937 rng(2);
    const std::string text = random_text(rng, 5000) + "hello ab ab";
    const Tokens expected = tokenizer->encode(text, {});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) EXPECT_TRUE(tokenizer->encode(text, {}) == expected);
      });
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace evictbench
