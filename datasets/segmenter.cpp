#include "datasets/segmenter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/json.h"
#include "datasets/unicode.h"

namespace evictbench {
namespace {

constexpr const char* kUsualFolder = "/usr/lib/python3/dist-packages/jieba";
constexpr double kNever = -3.14e100;            // jieba's logarithm of nought
constexpr std::uint64_t kMostBytes = 1U << 28;  // of a dictionary

bool is_han(char32_t c) { return 0x4E00 <= c && c <= 0x9FD5; }
bool is_ascii_digit(char32_t c) { return '0' <= c && c <= '9'; }
bool is_ascii_plain(char32_t c) { return is_ascii_digit(c) || ('a' <= (c | 0x20) && (c | 0x20) <= 'z'); }
bool is_block(char32_t c) {
  return is_han(c) ||
         (c < 0x80 && (is_ascii_plain(c) ||
                       std::string_view("+#&._%-").find(static_cast<char>(c)) != std::string_view::npos));
}

}  // namespace

// Words as paths from the root of a tree of characters.
struct Segmenter::Dictionary {
  struct Node {
    double log_frequency = 0;  // of the word that ends here
    double frequency = 0;      // 0: none does
  };
  std::vector<Node> nodes{Node{}};
  std::unordered_map<std::uint64_t, std::uint32_t> next;  // node << 32 | character
  double log_total = 0;

  std::uint32_t child(std::uint32_t node, char32_t c) const {  // 0: there is none
    const auto found = next.find(std::uint64_t{node} << 32 | c);
    return found == next.end() ? 0 : found->second;
  }
  void add(std::string_view word, double frequency) {
    std::uint32_t node = 0;
    for (std::size_t at = 0; at < word.size();) {
      const auto [place, added] = next.try_emplace(std::uint64_t{node} << 32 | next_code_point(word, at),
                                                   static_cast<std::uint32_t>(nodes.size()));
      if (added) nodes.emplace_back();
      node = place->second;
    }
    nodes[node] = {std::log(frequency), frequency};
  }
  explicit Dictionary(const std::string& path);
};

Segmenter::Dictionary::Dictionary(const std::string& path) {
  const std::string text = read_text(path, Exit::kInput, "E-JB", kMostBytes);
  next.reserve(std::size_t{1} << 20);
  double total = 0;
  std::size_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view entry = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++line;
    const std::size_t space = entry.find(' ');
    std::int64_t frequency = -1;
    if (space != entry.npos) {
      const char* stop = entry.data() + entry.size();
      const auto [after, error] = std::from_chars(entry.data() + space + 1, stop, frequency);
      if (error != std::errc() || (after != stop && *after != ' ' && *after != '\r')) frequency = -1;
    }
    if (space == 0 || frequency < 0 || invalid_utf8(entry) != entry.npos)
      reject(Exit::kInput, {"E-JB-02", path, std::to_string(line), fmt::format("\"{}\"", printable(entry)),
                            "a word, its frequency and a tag, separated by single spaces",
                            "use the dict.txt of the Python package jieba 0.42.1"});
    add(entry.substr(0, space), static_cast<double>(frequency));
    total += static_cast<double>(frequency);
  }
  if (total <= 0)
    reject(Exit::kInput, {"E-JB-03", path, "", "a dictionary without words", "words and their frequencies",
                          "use the dict.txt of the Python package jieba 0.42.1"});
  log_total = std::log(total);
}

// Begin, middle and end of a word, and a word of one character. Probabilities are logarithms.
struct Segmenter::States {
  static constexpr std::string_view kNames = "BEMS";  // in order of the alphabet: of equals the last one wins
  std::array<double, 4> start{};
  std::array<std::array<double, 4>, 4> step{};                  // [from][to]
  std::array<std::unordered_map<char32_t, double>, 4> emits{};  // of characters; any other: never
  double emit(std::size_t state, char32_t c) const {
    const auto found = emits[state].find(c);
    return found == emits[state].end() ? kNever : found->second;
  }
  States(const Json& starts, const Json& steps, const Json& emissions) {
    for (std::size_t s = 0; s < 4; ++s) {
      const std::string_view name = kNames.substr(s, 1);
      start[s] = starts.at(name).number(kNever, 0);
      step[s].fill(kNever);
      const Json steps_from = steps.at(name);
      for (std::size_t to = 0; to < 4; ++to)
        if (const auto step_to = steps_from.find(kNames.substr(to, 1)))
          step[s][to] = step_to->number(kNever, 0);
      for (const auto& [character, value] : emissions.at(name).items()) {
        if (count_code_points(character) != 1)
          value.reject("04", fmt::format("the key \"{}\"", printable(character)), "one character",
                       "correct it");
        std::size_t at = 0;
        emits[s].emplace(next_code_point(character, at), value.number(kNever, 0));
      }
    }
  }
};

// One text being cut.
class Segmenter::Cutter {
 public:
  Cutter(const Segmenter& by, std::string_view text) : by_(by), text_(text) {
    for (std::size_t at = 0; at < text.size();) {
      offsets_.push_back(at);
      characters_.push_back(next_code_point(text, at));
    }
    offsets_.push_back(text.size());
  }

  std::vector<std::string_view> run() {
    const std::size_t size = characters_.size();
    for (std::size_t at = 0; at < size;) {
      const std::size_t end = run_end(at, size, is_block);
      if (end > at) {
        block(at, end);
        at = end;
      } else {  // any other character is a token, but for the pair that ends a line
        const bool pair = characters_[at] == '\r' && at + 1 < size && characters_[at + 1] == '\n';
        emit(at, at + (pair ? 2 : 1));
        at += pair ? 2 : 1;
      }
    }
    return std::move(words_);
  }

 private:
  void emit(std::size_t from, std::size_t to) {
    if (from < to) words_.push_back(text_.substr(offsets_[from], offsets_[to] - offsets_[from]));
  }
  template <class Test>
  std::size_t run_end(std::size_t at, std::size_t end, Test test) const {
    while (at < end && test(characters_[at])) ++at;
    return at;
  }

  // The likeliest path, from the right: `to[i]` ends the word that begins at i.
  std::vector<std::size_t> path(std::size_t from, std::size_t end) const {
    const Dictionary& words = *by_.dictionary_;
    std::vector<double> best(end - from + 1, 0);
    std::vector<std::size_t> to(end - from);
    for (std::size_t at = end; at-- > from;) {
      double most = 0;
      std::size_t choice = 0;
      std::uint32_t node = 0;
      for (std::size_t i = at; i < end && (node = words.child(node, characters_[i])) != 0; ++i) {
        if (words.nodes[node].frequency <= 0) continue;
        const double value = words.nodes[node].log_frequency - words.log_total + best[i + 1 - from];
        if (choice == 0 || value >= most) {
          most = value;
          choice = i + 1;
        }
      }
      if (choice == 0) {  // no word begins here: as one of frequency 1
        choice = at + 1;
        most = 0.0 - words.log_total + best[choice - from];
      }
      best[at - from] = most;
      to[at - from] = choice;
    }
    return to;
  }

  void block(std::size_t from, std::size_t end) {
    const std::vector<std::size_t> to = path(from, end);
    std::size_t singles = from;  // where the run of single characters before `at` begins
    for (std::size_t at = from; at < end;) {
      const std::size_t next = to[at - from];
      if (next - at > 1) {
        unknown(singles, at);
        emit(at, next);
        singles = next;
      }
      at = next;
    }
    unknown(singles, end);
  }

  bool is_entry(std::size_t from, std::size_t end) const {
    std::uint32_t node = 0;
    for (std::size_t i = from; i < end; ++i)
      if ((node = by_.dictionary_->child(node, characters_[i])) == 0) return false;
    return by_.dictionary_->nodes[node].frequency > 0;
  }

  // Characters that the dictionary leaves single.
  void unknown(std::size_t from, std::size_t end) {
    if (end - from <= 1 || is_entry(from, end)) {
      for (std::size_t i = from; i < end; ++i) emit(i, i + 1);
      return;
    }
    for (std::size_t at = from; at < end;) {
      const std::size_t han = run_end(at, end, is_han);
      if (han > at) markov(at, han);
      const std::size_t other = run_end(han, end, [](char32_t c) { return !is_han(c); });
      foreign(han, other);
      at = other;
    }
  }

  // Letters and digits, with a fraction and a percent sign, are one token; so is what stands between such.
  void foreign(std::size_t from, std::size_t end) {
    std::size_t rest = from;
    for (std::size_t at = from; at < end;) {
      std::size_t stop = run_end(at, end, is_ascii_plain);
      if (stop == at) {
        ++at;
        continue;
      }
      if (stop < end && characters_[stop] == '.')
        if (const std::size_t fraction = run_end(stop + 1, end, is_ascii_digit); fraction > stop + 1)
          stop = fraction;
      if (stop < end && characters_[stop] == '%') ++stop;
      emit(rest, at);
      emit(at, stop);
      rest = at = stop;
    }
    emit(rest, end);
  }

  // Viterbi over the four states.
  void markov(std::size_t from, std::size_t end) {
    const States& states = *by_.states_;
    constexpr std::size_t kB = 0, kE = 1, kM = 2, kS = 3;
    constexpr std::array<std::array<std::size_t, 2>, 4> kBefore{{{kE, kS}, {kB, kM}, {kB, kM}, {kE, kS}}};
    std::vector<std::array<std::size_t, 4>> from_state(end - from);
    std::array<double, 4> value{};
    for (std::size_t s = 0; s < 4; ++s) value[s] = states.start[s] + states.emit(s, characters_[from]);
    for (std::size_t at = from + 1; at < end; ++at) {
      std::array<double, 4> now{};
      for (std::size_t s = 0; s < 4; ++s) {
        const double emitted = states.emit(s, characters_[at]);
        const auto [a, b] = kBefore[s];
        const double by_a = value[a] + states.step[a][s] + emitted,
                     by_b = value[b] + states.step[b][s] + emitted;
        from_state[at - from][s] = by_b >= by_a ? b : a;
        now[s] = std::max(by_a, by_b);
      }
      value = now;
    }
    std::vector<std::size_t> path(end - from);
    path.back() = value[kS] >= value[kE] ? kS : kE;
    for (std::size_t i = path.size() - 1; i > 0; --i) path[i - 1] = from_state[i][path[i]];
    std::size_t begin = from, next = from;
    for (std::size_t i = from; i < end; ++i) {
      const std::size_t state = path[i - from];
      if (state == kB) begin = i;
      if (state == kE || state == kS) {
        emit(state == kE ? begin : i, i + 1);
        next = i + 1;
      }
    }
    emit(next, end);
  }

  const Segmenter& by_;
  std::string_view text_;
  std::u32string characters_;
  std::vector<std::size_t> offsets_;  // of each character, and of the end
  std::vector<std::string_view> words_;
};

namespace {

// `P={'B': {'\u4e00': -3.65, ...}}`, the one literal of a table of the package, is JSON but for its quotes.
Json read_python_table(const std::string& path) {
  const JsonRules rules{.code_prefix = "E-JB"};
  std::string text = read_text(path, Exit::kInput, "E-JB", kMostBytes);
  const std::size_t start = text.find("P={");
  if (start == text.npos)
    reject(Exit::kInput,
           {"E-JB-05", path, "", "no table P={..}", "a table of the Python package jieba 0.42.1",
            "use the file as the package has it"});
  text.erase(0, start + 2);
  std::ranges::replace(text, '\'', '"');
  return Json::from_text(std::move(text), path, rules);
}

}  // namespace

Segmenter::Segmenter() = default;
Segmenter::~Segmenter() = default;

std::unique_ptr<const Segmenter> Segmenter::from_folder(const std::string& folder) {
  std::unique_ptr<Segmenter> out(new Segmenter);
  const bool package = is_file(folder + "/dict.txt");
  if (!package && !is_file(folder + "/jieba_dict.txt"))
    reject(Exit::kInput, {"E-JB-01", folder, "", "no dictionary in this folder",
                          "dict.txt and finalseg/prob_*.py, or jieba_dict.txt and jieba_hmm.json",
                          how_to_get_a_segmenter()});
  out->dictionary_ = std::make_unique<Dictionary>(folder + (package ? "/dict.txt" : "/jieba_dict.txt"));
  if (package) {
    const Json start = read_python_table(folder + "/finalseg/prob_start.py");
    const Json steps = read_python_table(folder + "/finalseg/prob_trans.py");
    out->states_ =
        std::make_unique<States>(start, steps, read_python_table(folder + "/finalseg/prob_emit.py"));
  } else {
    const Json all = Json::from_file(folder + "/jieba_hmm.json", {.code_prefix = "E-JB"});
    const Json start = all.at("start"), steps = all.at("trans");
    out->states_ = std::make_unique<States>(start, steps, all.at("emit"));
  }
  return out;
}

std::vector<std::string_view> Segmenter::cut(std::string_view text) const {
  return Cutter(*this, text).run();
}

std::string usual_segmenter_folder() {
  return is_file(std::string(kUsualFolder) + "/dict.txt") ? kUsualFolder : "";
}

std::string how_to_get_a_segmenter() {
  return "install Debian's python3-jieba, or name the folder of the Python package jieba 0.42.1";
}

}  // namespace evictbench
