// RULER's common words and frequent words.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "datasets/ruler_scenes.h"
#include "datasets/ruler_words.h"

namespace evictbench {
namespace {

constexpr std::size_t kCommon = 10;  // words that an answer names

// "1. talbost 2. kelm ..."
std::string numbered(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i)
    out += fmt::format("{}{}. {}", i == 0 ? "" : " ", i + 1, words[i]);
  return out;
}

// Ten words that come often and others that come seldom, shuffled. `size` is the number of seldom entries.
class CommonWords final : public RulerScene {
 public:
  CommonWords(const RulerSources& sources, Draws draws) : words_(draws) {
    const bool is_short = sources.length < 4096;
    often_ = is_short ? 6 : 30;
    seldom_ = is_short ? 1 : 3;
    for (std::size_t i = 0; i < kCommon; ++i) common_.push_back(words_.word());
    shown_ = shown(is_short ? 20 : 40, is_short ? 3 : 10, is_short ? 1 : 3);
  }

  int variants() const override { return 24; }
  std::size_t most(int tokens) const override { return static_cast<std::size_t>(tokens); }

  RulerText text(std::size_t size, int variant) const override {
    RulerWords words = words_;
    std::vector<std::string> list = repeated(common_, often_);
    for (std::size_t i = 0; i < size; i += seldom_) {
      const bool last = i + seldom_ >= size;
      for (int skip = 0; last && skip < variant; ++skip) words.word(1);
      const std::string word = words.word(last ? 1 + static_cast<std::size_t>(variant) % 4 : 2);
      for (std::size_t n = i; n < std::min(i + seldom_, size); ++n) list.push_back(word);
    }
    shuffle(list, words.draws());
    RulerText out = ruler_common_words_text(numbered(list));
    out.context = shown_ + "\n" + out.context;
    out.answers = common_;
    return out;
  }

 private:
  static std::vector<std::string> repeated(const std::vector<std::string>& words, std::size_t times) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < times; ++i) out.insert(out.end(), words.begin(), words.end());
    return out;
  }

  // A short list with its answer.
  std::string shown(std::size_t count, std::size_t often, std::size_t seldom) {
    std::vector<std::string> common, others;
    for (std::size_t i = 0; i < count; ++i) (i < kCommon ? common : others).push_back(words_.word());
    std::vector<std::string> list = repeated(common, often);
    for (const std::string& word : repeated(others, seldom)) list.push_back(word);
    shuffle(list, words_.draws());
    const RulerText text = ruler_common_words_text(numbered(list));
    return text.context + text.question + text.answer_prefix + numbered(common);
  }

  RulerWords words_;
  std::size_t often_ = 0, seldom_ = 0;
  std::vector<std::string> common_;
  std::string shown_;
};

// Words of six letters, the k-th of them floor(size / (k^2 zeta(2))) times, the first as dots. A variant has so many more dots.
class FrequentWords final : public RulerScene {
 public:
  FrequentWords(const RulerSources& sources, Draws draws) : words_(draws) {
    constexpr int kTokensPerWord = 50, kLeast = 6;
    vocabulary_.emplace_back("...");
    for (int i = 1; i < std::max(sources.length / kTokensPerWord, kLeast); ++i)
      vocabulary_.push_back(words_.letters('a', 6));
  }

  int variants() const override { return 24; }
  std::size_t most(int tokens) const override { return static_cast<std::size_t>(tokens) * 2; }

  RulerText text(std::size_t size, int variant) const override {
    constexpr double kZeta2 = 1.6449340668482264;
    Draws draws = RulerWords(words_).draws();
    std::vector<std::string> list(static_cast<std::size_t>(variant), vocabulary_[0]);
    for (std::size_t k = 1; k <= vocabulary_.size(); ++k) {
      const double times = static_cast<double>(size) / (static_cast<double>(k * k) * kZeta2);
      list.insert(list.end(), static_cast<std::size_t>(times), vocabulary_[k - 1]);
    }
    shuffle(list, draws);
    RulerText out = ruler_frequent_words_text(fmt::format("{}", fmt::join(list, " ")));
    out.answers.assign(vocabulary_.begin() + 1, vocabulary_.begin() + 4);
    return out;
  }

 private:
  RulerWords words_;
  std::vector<std::string> vocabulary_;
};

}  // namespace

std::unique_ptr<const RulerScene> ruler_common_words_scene(const RulerSources& sources, Draws draws) {
  return std::make_unique<const CommonWords>(sources, draws);
}

std::unique_ptr<const RulerScene> ruler_frequent_words_scene(const RulerSources& sources, Draws draws) {
  return std::make_unique<const FrequentWords>(sources, draws);
}

}  // namespace evictbench
