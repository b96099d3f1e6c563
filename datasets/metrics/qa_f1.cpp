#include "datasets/metrics/qa_f1.h"

#include <algorithm>
#include <map>

#include "datasets/unicode.h"

namespace evictbench {
namespace {

bool is_ascii_punctuation(char32_t c) {
  return ('!' <= c && c <= '/') || (':' <= c && c <= '@') || ('[' <= c && c <= '`') || ('{' <= c && c <= '~');
}

// LongBench's list; the opening mark U+300A is not on it.
bool is_chinese_punctuation(char32_t c) {
  static const std::u32string kMarks =
      U"！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘"
      U"〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏.";
  return kMarks.find(c) != kMarks.npos;
}

// Every a, an and the that stands alone becomes one space.
std::u32string without_articles(const std::u32string& text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    const std::u32string_view word(text.data() + at, end - at);
    if (word == U"a" || word == U"an" || word == U"the")
      out += ' ';
    else
      out += word;
    if (end < text.size()) out += text[end++];
    at = end;
  }
  return out;
}

// Twice the common words, with their counts, over all words of both.
double f1(const std::vector<std::string>& said, const std::vector<std::string>& due) {
  std::map<std::string_view, int> left;
  for (const std::string& word : due) ++left[word];
  int common = 0;
  for (const std::string& word : said)
    if (const auto found = left.find(word); found != left.end() && found->second > 0) {
      --found->second;
      ++common;
    }
  if (common == 0) return 0;
  const double precision = 1.0 * common / static_cast<double>(said.size());
  const double recall = 1.0 * common / static_cast<double>(due.size());
  return 2 * precision * recall / (precision + recall);
}

std::vector<std::string> chinese_words(const Segmenter& segmenter, std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view token : segmenter.cut(text)) {
    std::string word;
    for (const char32_t c : code_points(lower(token)))
      if (!is_ascii_punctuation(c) && !is_chinese_punctuation(c) && !is_space(c)) append_code_point(word, c);
    if (!word.empty()) out.push_back(std::move(word));
  }
  return out;
}

}  // namespace

std::vector<std::string> answer_words(std::string_view text) {
  std::u32string kept = code_points(lower(text));
  std::erase_if(kept, is_ascii_punctuation);
  std::vector<std::string> out;
  bool open = false;
  for (const char32_t c : without_articles(kept)) {
    if (is_space(c)) {
      open = false;
      continue;
    }
    if (!open) out.emplace_back();
    open = true;
    append_code_point(out.back(), c);
  }
  return out;
}

double qa_f1(std::string_view answer, std::string_view reference) {
  return f1(answer_words(answer), answer_words(reference));
}

double exact_match(std::string_view answer, std::string_view reference) {
  return answer_words(answer) == answer_words(reference) ? 1 : 0;
}

double qa_f1_zh(const Segmenter& segmenter, std::string_view answer, std::string_view reference) {
  return f1(chinese_words(segmenter, answer), chinese_words(segmenter, reference));
}

}  // namespace evictbench
