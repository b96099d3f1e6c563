#include "models/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "models/unicode.h"

namespace evictbench {
namespace {

struct Known {
  std::string_view pattern;
  // Its alternatives together match any text: a match always starts where the last one ended.
  bool covers;
};

// As they are spelled in tokenizer.json. Every alternative gives back at most what it just took, and what it took is
// then taken by a later one: linear time.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr Known kKnown[] = {
    {kGpt2, true},
    // Llama 3, Phi-4
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     true},
    // Qwen 2, 2.5 and 3
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     true},
    // Qwen 3.5
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     true},
    // o200k: Phi-4-mini
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
     R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     true},
    // Tekken: Mistral Nemo
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
     R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
     R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     true},
    // DeepSeek V3 and R1, three in a row
    {R"(\p{N}{1,3})", false},
    {"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", false},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)"
     R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
     false},
    // DeepSeek Coder, four in a row
    {R"([\r\n])", false},
    {R"(\s?\p{L}+)", false},
    {R"(\s?\p{P}+)", false},
    {"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", false},
};

// Some files spell a line feed as \n, some as itself.
std::string escaped(std::string_view pattern) {
  return replace_all(replace_all(pattern, "\r", "\\r"), "\n", "\\n");
}

const Known* find_known(std::string_view pattern) {
  const auto* const found = std::ranges::find(kKnown, escaped(pattern), &Known::pattern);
  return found == std::end(kKnown) ? nullptr : found;
}

// PCRE2's own \s holds U+180E, the property White_Space does not.
std::string with_white_space(std::string_view pattern) {
  constexpr std::string_view kWhite = R"(\x09-\x0d\x20\x85\p{Z})";
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      const char next = pattern[++i];
      if (next != 's' && next != 'S')
        (out += '\\') += next;
      else if (in_class)
        out += kWhite;
      else
        (out += next == 's' ? "[" : "[^").append(kWhite) += ']';
      continue;
    }
    if (pattern[i] == '[') in_class = true;
    if (pattern[i] == ']') in_class = false;
    out += pattern[i];
  }
  return out;
}

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

}  // namespace

class PreTokenizer::Pattern {
 public:
  enum class Kind : std::uint8_t { kCovering, kSearching, kText };

  Pattern(std::string_view pattern, Kind kind)
      : covers_(kind == Kind::kCovering), context_(pcre2_match_context_create(nullptr)) {
    const std::string own = kind == Kind::kText ? std::string(pattern) : with_white_space(pattern);
    const std::uint32_t options =
        PCRE2_UTF | (kind == Kind::kText ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C);
    int error = 0;
    std::size_t where = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(own.data()), own.size(),
                              options | (covers_ ? PCRE2_ANCHORED : 0), &error, &where, nullptr));
    require(code_ && context_, "pre-tokenizer: a built-in pattern does not compile");
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // without it the interpreter runs, which is slower
    pcre2_set_match_limit(context_.get(), std::numeric_limits<std::uint32_t>::max());
    pcre2_set_heap_limit(context_.get(), 64 * 1024);  // KiB
  }

  // Calls `take` with every match in valid UTF-8 and all that is between two, in order: its text, and whether it is a
  // match.
  template <class Take>
  void each(std::string_view text, Take&& take) const {
    const std::unique_ptr<pcre2_match_data, Free> match(pcre2_match_data_create(1, nullptr));
    const auto* const start = reinterpret_cast<PCRE2_SPTR>(text.data());
    for (std::size_t at = 0; at < text.size();) {
      const int matched =
          pcre2_match(code_.get(), start, text.size(), at, PCRE2_NO_UTF_CHECK, match.get(), context_.get());
      if (matched == PCRE2_ERROR_NOMATCH && !covers_) return take(text.substr(at), false);
      require(matched > 0, "pre-tokenizer: the pattern does not cover the text");
      const std::size_t from = pcre2_get_ovector_pointer(match.get())[0],
                        to = pcre2_get_ovector_pointer(match.get())[1];
      require(to > from, "pre-tokenizer: an empty match");
      if (from > at) take(text.substr(at, from - at), false);
      take(text.substr(from, to - from), true);
      at = to;
    }
  }

 private:
  bool covers_;
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_context, Free> context_;
};

PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

bool PreTokenizer::add_pattern(std::string_view pattern, Behavior behavior) {
  const Known* known = find_known(pattern);
  if (!known) return false;
  const auto kind = known->covers ? Pattern::Kind::kCovering : Pattern::Kind::kSearching;
  steps_.push_back({std::make_unique<const Pattern>(known->pattern, kind), behavior});
  return true;
}

void PreTokenizer::add_text(std::string_view text, Behavior behavior) {
  steps_.push_back({std::make_unique<const Pattern>(text, Pattern::Kind::kText), behavior});
}

void PreTokenizer::add_gpt2() { add_pattern(kGpt2); }

void PreTokenizer::add_digits(bool individual) {
  steps_.push_back({std::make_unique<const Pattern>(individual ? R"(\p{N}|\P{N}+)" : R"(\p{N}+|\P{N}+)",
                                                    Pattern::Kind::kCovering),
                    Behavior::kIsolated});
}

std::optional<bool> PreTokenizer::covers(std::string_view pattern) {
  const Known* known = find_known(pattern);
  return known ? std::optional(known->covers) : std::nullopt;
}

// Appends the pieces that one step makes of `text`.
void PreTokenizer::cut(const Step& step, std::string_view text, std::vector<std::string_view>& pieces) {
  bool first = true, last_matched = false;
  step.pattern->each(text, [&](std::string_view part, bool matched) {
    bool joins = false;  // the piece before it; what follows a match that takes what follows joins that
    if (step.behavior == Behavior::kMergedWithPrevious)
      joins = matched && !last_matched;
    else if (step.behavior == Behavior::kMergedWithNext)
      joins = last_matched && !matched;
    else if (step.behavior == Behavior::kContiguous)
      joins = matched == last_matched;
    if (joins && !first)
      pieces.back() = {pieces.back().data(), pieces.back().size() + part.size()};
    else
      pieces.push_back(part);
    first = false;
    last_matched = matched;
  });
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  if (!text.empty()) pieces.push_back(text);
  for (const Step& step : steps_) {
    std::vector<std::string_view> finer;
    for (const std::string_view piece : pieces) cut(step, piece, finer);
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace evictbench
