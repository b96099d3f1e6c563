#include "models/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <limits>

#include "core/error.h"

namespace evictbench {
namespace {

// As they are spelled in tokenizer.json. Together their alternatives match any text, so that a match always starts
// where the last one ended, and each gives back at most what it just took: linear time.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::array<std::string_view, 3> kKnown = {
    kGpt2,
    // Llama 3
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    // Qwen 2
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
};

// PCRE2's own \s holds U+180E, the property White_Space does not.
std::string with_white_space(std::string_view pattern) {
  constexpr std::string_view kWhite = R"(\x09-\x0d\x20\x85\p{Z})";
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && (pattern[i + 1] == 's' || pattern[i + 1] == 'S')) {
      if (in_class)
        out += kWhite;
      else
        (out += pattern[i + 1] == 's' ? "[" : "[^").append(kWhite) += ']';
      ++i;
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
  explicit Pattern(std::string_view pattern) : context_(pcre2_match_context_create(nullptr)) {
    const std::string own = with_white_space(pattern);
    int error = 0;
    std::size_t where = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(own.data()), own.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &error,
                              &where, nullptr));
    require(code_ && context_, "pre-tokenizer: a built-in pattern does not compile");
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // without it the interpreter runs, which is slower
    pcre2_set_match_limit(context_.get(), std::numeric_limits<std::uint32_t>::max());
    pcre2_set_heap_limit(context_.get(), 64 * 1024);  // KiB
  }

  // Appends the pieces of `text`, which is valid UTF-8.
  void split(std::string_view text, std::vector<std::string_view>& pieces) const {
    const std::unique_ptr<pcre2_match_data, Free> match(pcre2_match_data_create(1, nullptr));
    const auto* const start = reinterpret_cast<PCRE2_SPTR>(text.data());
    for (std::size_t at = 0; at < text.size();) {
      const int matched =
          pcre2_match(code_.get(), start, text.size(), at, PCRE2_NO_UTF_CHECK, match.get(), context_.get());
      require(matched > 0, "pre-tokenizer: the pattern does not cover the text");
      const std::size_t end = pcre2_get_ovector_pointer(match.get())[1];
      require(end > at, "pre-tokenizer: an empty match");
      pieces.push_back(text.substr(at, end - at));
      at = end;
    }
  }

 private:
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_context, Free> context_;
};

PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

void PreTokenizer::add(std::string_view pattern) {
  patterns_.push_back(std::make_unique<const Pattern>(pattern));
}

bool PreTokenizer::add_pattern(std::string_view pattern) {
  if (std::ranges::find(kKnown, pattern) == kKnown.end()) return false;
  add(pattern);
  return true;
}

void PreTokenizer::add_gpt2() { add(kGpt2); }

void PreTokenizer::add_digits(bool individual) { add(individual ? R"(\p{N}|\P{N}+)" : R"(\p{N}+|\P{N}+)"); }

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces;
  if (!text.empty()) pieces.push_back(text);
  for (const auto& pattern : patterns_) {
    std::vector<std::string_view> finer;
    for (const std::string_view piece : pieces) pattern->split(piece, finer);
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace evictbench
