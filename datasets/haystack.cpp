#include "datasets/haystack.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "core/error.h"
#include "core/io/file.h"
#include "datasets/unicode.h"

namespace evictbench {
namespace {

constexpr std::string_view kBlanks = " \t\n\v\f\r";

bool is_blank(char c) { return kBlanks.find(c) != std::string_view::npos; }

bool starts_character(std::string_view text, std::size_t at) {
  return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

std::size_t character_before(std::string_view text, std::size_t at) {
  do --at;
  while (at > 0 && !starts_character(text, at));
  return at;
}

std::vector<std::string> text_files(const std::string& folder) {
  const auto refuse = [&](std::string code, std::string found) {
    reject(Exit::kInput, {std::move(code), folder, "", std::move(found), "a folder with .txt files",
                          "correct the path after 'haystack:', or write 'haystack: generated'"});
  };
  if (!is_folder(folder)) refuse("E-NH-01", is_file(folder) ? "this is a file" : "there is no such folder");
  std::vector<std::string> files;
  std::error_code failure;
  std::filesystem::directory_iterator entry(folder, failure);
  for (; !failure && entry != std::filesystem::directory_iterator(); entry.increment(failure))
    if (entry->path().extension() == ".txt") files.push_back(entry->path().string());
  if (failure) refuse("E-NH-02", fmt::format("the folder cannot be read: {}", failure.message()));
  if (files.empty()) refuse("E-NH-03", "the folder has no .txt file");
  std::ranges::sort(files);
  return files;
}

void check_text(const std::string& file, std::string_view text) {
  if (const auto at = invalid_utf8(text); at != std::string_view::npos)
    reject(Exit::kInput, {"E-NH-04", file, fmt::format("byte {}", at),
                          fmt::format("invalid UTF-8 (\"{}\")", printable(text.substr(at, 4))), "UTF-8 text",
                          "convert the file, for instance with iconv -f WINDOWS-1252 -t UTF-8"});
  if (const auto at = text.find('\0'); at != std::string_view::npos)
    reject(Exit::kInput, {"E-NH-05", file, fmt::format("byte {}", at), "a NUL byte, as UTF-16 text has them",
                          "UTF-8 text", "convert the file, for instance with iconv -f UTF-16 -t UTF-8"});
}

// Adds `more` so that it starts on a line of its own.
void add_text(std::string& text, std::string_view more) {
  if (!text.empty() && !is_blank(text.back())) text += '\n';
  text += more;
}

// Whether the text may be cut before byte `at`: at a blank, or inside a script without blanks.
bool ends_word(std::string_view text, std::size_t at) {
  if (at == 0) return true;
  std::size_t first = character_before(text, at);
  const char32_t before = next_code_point(text, first);
  if (is_space(before)) return false;
  if (at == text.size()) return true;
  const char32_t after = next_code_point(text, at);
  return is_space(after) || ((is_unspaced(before) || is_unspaced(after)) && !is_mark(after));
}

bool is_closer(char32_t c) {
  return std::u32string_view(U"\"')]}*_\u2019\u201D\u00BB\u300D\u300F\uFF09\u3011\u300B").find(c) !=
         std::u32string_view::npos;
}

bool is_wide_stop(char32_t c) {
  return std::u32string_view(U"\u3002\uFF01\uFF1F\uFF61").find(c) != std::u32string_view::npos;
}

bool is_stop(char32_t c) { return c == '.' || c == '!' || c == '?' || c == 0x2026 || is_wide_stop(c); }

// The last character before `at` that is no closing quote or bracket (a few of them may stand there).
char32_t before_closers(std::string_view text, std::size_t at) {
  char32_t c = ' ';
  for (int closers = 0; at > 0 && closers <= 4; ++closers) {
    at = character_before(text, at);
    std::size_t next = at;
    c = next_code_point(text, next);
    if (!is_closer(c)) break;
  }
  return c;
}

}  // namespace

std::string read_haystack(const std::string& folder, bool joined) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;
  std::string all;
  for (const std::string& file : text_files(folder)) {
    const std::string text = read_text(file, Exit::kInput, "E-NH", kMostBytes - all.size());
    check_text(file, text);
    std::string_view body = text;
    if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);
    if (joined)
      all += body;
    else
      add_text(all, body);
    if (all.size() >= kMostBytes)
      reject(Exit::kInput, {"E-NH-06", folder, "", "the texts have more than 1 GiB", "less than 1 GiB in all",
                            "keep fewer files in the folder; the text is repeated as needed"});
  }
  const std::size_t first = std::min(all.find_first_not_of(kBlanks), all.size());
  if (first == all.size())
    reject(Exit::kInput, {"E-NH-07", folder, "", "the .txt files hold no words", "text to hide the needle in",
                          "put essays or books into the folder"});
  if (!joined) all.erase(0, first);
  return all;
}

Haystack::Haystack(std::string text) : text_(std::move(text)) {
  require(text_.find_first_not_of(kBlanks) != text_.npos, "a haystack is blank");
  if (!is_blank(text_.back())) text_ += '\n';
  period_ = text_.size();
}

Haystack::Haystack(std::uint64_t seed, const std::vector<std::string>& forbidden)
    : generated_({seed, forbidden}) {}

std::string_view Haystack::prefix(std::size_t bytes) {
  constexpr std::size_t kLongestRun = 256;
  if (!generated_)
    while (text_.size() <= bytes) text_.append(text_, 0, period_);
  const std::string_view text = generated_ ? generated_->grown_to(bytes + 1) : text_;
  std::size_t at = bytes;
  while (!starts_character(text, at)) --at;
  const std::size_t longest = at;
  while (!ends_word(text, at)) {
    at = character_before(text, at);
    if (longest - at > kLongestRun && !is_blank(text[at])) return text.substr(0, longest);
  }
  return text.substr(0, at);
}

std::size_t Haystack::fit(std::int64_t budget, std::int64_t slack, std::size_t start,
                          const std::function<int(std::string_view)>& tokens) {
  constexpr std::size_t kMostBytesPerToken = 32;
  constexpr int kGuesses = 12;  // after these, plain halving
  std::size_t fits = 0, too_long = static_cast<std::size_t>(budget) * kMostBytesPerToken + 1;
  std::size_t guess = start;
  for (int tries = 0;; ++tries) {
    if (tries >= kGuesses || guess <= fits || guess >= too_long) guess = fits + (too_long - fits) / 2;
    std::size_t bytes = prefix(guess).size();
    if (bytes <= fits) bytes = prefix(too_long - 1).size();
    if (bytes <= fits) return fits;
    const std::int64_t n = tokens(prefix(bytes));
    const std::int64_t missing = budget - n;
    if (0 <= missing && missing <= slack) return bytes;
    (missing >= 0 ? fits : too_long) = bytes;
    const double bytes_per_token =
        static_cast<double>(bytes) / static_cast<double>(std::max<std::int64_t>(n, 1));
    const double aim = static_cast<double>(bytes) + static_cast<double>(missing - 1) * bytes_per_token;
    guess = static_cast<std::size_t>(std::clamp(aim, 0.0, static_cast<double>(too_long)));
  }
}

bool is_sentence_end(std::string_view text, std::size_t at) {
  if (at == 0 || !starts_character(text, at)) return false;
  const std::string_view before = text.substr(0, at), after = text.substr(at);
  if (!after.empty() && !is_blank(after[0]) && is_blank(before.back())) {
    const std::size_t last = before.find_last_not_of(kBlanks);
    const auto run = before.substr(last == before.npos ? 0 : last + 1);
    return std::ranges::count(run, '\n') >= 2;
  }
  const char32_t stop = before_closers(text, at);
  if (!is_stop(stop)) return false;
  const std::size_t word = after.find_first_not_of(kBlanks);
  if (word == after.npos) return true;
  std::size_t next = word;
  const char32_t c = next_code_point(after, next);
  if (word == 0) return is_wide_stop(stop) && !is_closer(c) && !is_stop(c);
  return !('a' <= c && c <= 'z');
}

std::size_t needle_position(std::string_view text, double depth) {
  if (depth >= 100) return text.size();
  const auto characters = static_cast<double>(count_code_points(text));
  const auto target = static_cast<std::size_t>(characters * depth / 100);
  std::size_t at = 0;
  for (std::size_t i = 0; i < target; ++i) next_code_point(text, at);
  while (at > 0 && !is_sentence_end(text, at)) at = character_before(text, at);
  return at;
}

std::string insert_needle(std::string_view text, std::string_view needle, double depth) {
  const std::size_t at = needle_position(text, depth);
  const std::string_view before = text.substr(0, at), after = text.substr(at);
  std::string out(before);
  if (!before.empty() && !is_blank(before.back()) && !is_blank(needle.front()))
    out += is_sentence_end(text, at) ? ' ' : '\n';  // at 100 the text may stop inside a sentence
  out += needle;
  if (!after.empty() && !is_blank(after[0]) && !is_blank(needle.back())) out += ' ';
  out += after;
  return out;
}

}  // namespace evictbench
