// RULER's needles and variables: lines hidden in noise, essays or lines of their own kind.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "datasets/haystack.h"
#include "datasets/ruler_scenes.h"
#include "datasets/ruler_words.h"
#include "datasets/unicode.h"

namespace evictbench {
namespace {

constexpr std::size_t kDepths = 40;  // of an essay, where needles may be: from 0 to 100 percent

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::vector<std::string_view> sentences_of(std::string_view text) {
  std::vector<std::string_view> sentences;
  std::size_t first = 0;
  for (std::size_t at = text.find(' '); at != text.npos; at = text.find(' ', at + 1))
    if (is_sentence_end(text, at)) {
      sentences.push_back(text.substr(first, at - first));
      first = at + 1;
    }
  if (first < text.size()) sentences.push_back(text.substr(first));
  return sentences;
}

// `hidden` put among `pieces`, in order, hidden[i] behind the first places[i] of them (in [0, 1]).
std::string among(const std::vector<std::string_view>& pieces, const std::vector<std::string>& hidden,
                  const std::vector<double>& places, char between) {
  std::string out;
  const auto add = [&](std::string_view piece) {
    if (!out.empty()) out += between;
    out += piece;
  };
  std::size_t next = 0;
  for (std::size_t i = 0; i <= pieces.size(); ++i) {
    while (next < hidden.size() &&
           static_cast<std::size_t>(places[next] * static_cast<double>(pieces.size())) <= i)
      add(hidden[next++]);
    if (i < pieces.size()) add(pieces[i]);
  }
  return out;
}

std::string noise(std::size_t bytes) {
  std::string out;
  while (out.size() < bytes) out.append(kRulerNoise).append("\n");
  return out.substr(0, bytes);
}

// n ascending places in [0, 1).
std::vector<double> drawn_places(Draws& draws, std::size_t n) {
  constexpr std::size_t kSteps = std::size_t{1} << 20;
  std::vector<double> places;
  for (std::size_t i = 0; i < n; ++i) places.push_back(static_cast<double>(draws.below(kSteps)) / kSteps);
  std::ranges::sort(places);
  return places;
}

// n of the depths of an essay, ascending: whole percents, as the program rounds them.
std::vector<double> drawn_depths(Draws& draws, std::size_t n) {
  std::vector<double> depths;
  for (std::size_t i = 0; i < kDepths; ++i)
    depths.push_back(std::nearbyint(100.0 * static_cast<double>(i) / (kDepths - 1)) / 100);
  shuffle(depths, draws);
  depths.resize(n);
  std::ranges::sort(depths);
  return depths;
}

class Needles final : public RulerScene {
 public:
  Needles(const RulerTask& task, const RulerSources& sources, Draws draws)
      : task_(task), essays_(sources.essays), words_(draws), type_(task.uuid_values ? "uuids" : "numbers") {
    std::vector<std::vector<std::string>> values;
    for (int k = 0; k < task.keys; ++k) {
      keys_.push_back(key(words_));
      values.emplace_back();
      for (int v = 0; v < task.values; ++v) {
        values.back().push_back(value(words_));
        needles_.push_back(ruler_needle(type_, keys_.back(), values.back().back()));
      }
    }
    std::vector<std::size_t> order(keys_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    shuffle(order, words_.draws());
    for (int q = 0; q < task.queries; ++q) {
      const std::size_t asked = order[static_cast<std::size_t>(q)];
      queries_.push_back(keys_[asked]);
      answers_.insert(answers_.end(), values[asked].begin(), values[asked].end());
    }
    if (answers_.size() == 1) needle_ = ruler_needle(type_, queries_[0], answers_[0]);
    shuffle(needles_, words_.draws());
    places_ = task.haystack == RulerTask::Haystack::kEssay ? drawn_depths(words_.draws(), needles_.size())
                                                           : drawn_places(words_.draws(), needles_.size());
  }

  RulerText text(std::size_t size, int) const override {
    RulerText out = ruler_needles_text(type_, answers_.size() == 1, haystack(size), queries_);
    out.answers = answers_;
    out.needle = needle_;
    return out;
  }

 private:
  std::string key(RulerWords& words) const { return task_.uuid_keys ? words.uuid() : words.words_key(); }
  std::string value(RulerWords& words) const { return task_.uuid_values ? words.uuid() : words.number(); }

  std::string haystack(std::size_t size) const {
    if (task_.haystack == RulerTask::Haystack::kEssay)
      return among(sentences_of(essays_->prefix(size)), needles_, places_, ' ');
    const std::string filler = task_.haystack == RulerTask::Haystack::kNoise ? noise(size) : others(size);
    return among(lines_of(filler), needles_, places_, '\n');
  }

  // Needles that nobody asks for.
  std::string others(std::size_t size) const {
    RulerWords words = words_;
    std::string out;
    while (out.size() < size) {
      const std::string one = key(words);
      out += ruler_needle(type_, one, value(words)) + '\n';
    }
    return out.substr(0, size);
  }

  const RulerTask& task_;
  std::shared_ptr<RulerEssays> essays_;
  RulerWords words_;
  std::string_view type_;
  std::vector<std::string> keys_, needles_, queries_, answers_;
  std::string needle_;
  std::vector<double> places_;
};

// A chain of assignments of one value: X1 = 12345, X2 = X1, ...
struct Chain {
  std::vector<std::string> names, lines;
  std::string value;

  Chain(RulerWords& words, std::size_t letters)
      : value(fmt::format("{}", 10000 + words.draws().below(89999))) {
    constexpr std::size_t kHops = 4;
    for (std::size_t i = 0; i <= kHops; ++i) {
      names.push_back(words.letters('A', letters));
      lines.push_back(i == 0 ? fmt::format("VAR {} = {}", names[0], value)
                             : fmt::format("VAR {} = VAR {} ", names[i], names[i - 1]));
    }
  }
  RulerText text(std::string_view haystack) const {
    RulerText out = ruler_variables_text(haystack, value, names.size());
    out.answers = names;
    return out;
  }
};

class Variables final : public RulerScene {
 public:
  Variables(const RulerSources& sources, Draws draws)
      : words_(draws), chain_(words_, 5), shown_(shown(sources)) {
    places_ = drawn_places(words_.draws(), chain_.lines.size());
  }

  RulerText text(std::size_t size, int) const override {
    RulerText out = chain_.text(among(lines_of(noise(size)), chain_.lines, places_, '\n'));
    out.context = shown_ + out.context;
    return out;
  }

 private:
  // An example with its answer, of 500 tokens with those of an answer, or less.
  std::string shown(const RulerSources& sources) {
    constexpr int kTokens = 500 - 30;
    const Chain chain(words_, 3);
    const std::vector<double> places = drawn_places(words_.draws(), chain.lines.size());
    std::string best;
    for (std::size_t lines = chain.lines.size() + 1;; ++lines) {
      const std::string filler = noise(lines * (kRulerNoise.size() + 1));
      const RulerText text = chain.text(among(lines_of(filler), chain.lines, places, '\n'));
      std::string next = fmt::format("{}{}{} {}\n\n", text.context, text.question, text.answer_prefix,
                                     fmt::join(chain.names, " "));
      if (!best.empty() && sources.count(next) > kTokens) return best;
      best = std::move(next);
    }
  }

  RulerWords words_;
  Chain chain_;
  std::string shown_;
  std::vector<double> places_;
};

}  // namespace

std::string_view cut_to(std::string_view text, std::size_t bytes) {
  if (bytes >= text.size()) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

RulerEssays::RulerEssays(std::string text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    if (!is_space(next_code_point(text, at)))
      text_.append(text, start, at - start);
    else if (!text_.empty() && text_.back() != ' ')
      text_ += ' ';
  }
  require(!text_.empty(), "essays without a word");
  if (text_.back() != ' ') text_ += ' ';
  period_ = text_.size();
}

std::string_view RulerEssays::prefix(std::size_t bytes) {
  if (generated_ && text_.size() <= bytes) text_ = RulerEssays(generated_->grown_to(2 * bytes + 4096)).text_;
  while (text_.size() <= bytes) text_.append(text_, 0, period_);
  return cut_to(text_, bytes);
}

std::unique_ptr<const RulerScene> ruler_needles_scene(const RulerTask& task, const RulerSources& sources,
                                                      Draws draws) {
  return std::make_unique<const Needles>(task, sources, draws);
}

std::unique_ptr<const RulerScene> ruler_variables_scene(const RulerSources& sources, Draws draws) {
  return std::make_unique<const Variables>(sources, draws);
}

}  // namespace evictbench
