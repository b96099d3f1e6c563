// Needle in a haystack: one sentence hidden in a long text, then asked for.
//
//   context    texts of a folder (repeated as needed) or generated, with the needle after a sentence
//   length     of the whole prompt in tokens, at most
//   answer     the pair's value
//   rules      under a published protocol: its prompt, in no chat template

#include "datasets/niah.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "datasets/haystack.h"
#include "datasets/metrics/rouge_score.h"
#include "datasets/option_names.h"
#include "datasets/registry.h"
#include "datasets/text_metrics.h"

namespace evictbench {
namespace {

constexpr std::string_view kGenerated = "generated";
constexpr int kMostLength = 1 << 24;                         // tokens of one prompt
constexpr std::int64_t kMostTokens = std::int64_t{1} << 28;  // of all prompts together
constexpr std::int64_t kSlack = 3;                           // tokens that a prompt may lack

// Programs that the field's heat maps were made with: run_needle_in_haystack.py of TUDa-HWAI/CompressKV (needle/, cca1c92) and
// of Zefan-Cai/KVCache-Factory (c97f9d7).
struct Protocol {
  const char* name;
  NeedleRules needle;
  int max_new;
  bool line_ends;
};
constexpr Protocol kProtocols[] = {
    {"compresskv", {.specials = true}, 50, false},
    {"kvcache-factory", {.any_stop = true}, 30, true},
};

const Protocol* protocol_named(std::string_view name) {  // null: our own
  const auto found = std::ranges::find(kProtocols, name, &Protocol::name);
  return found == std::end(kProtocols) ? nullptr : found;
}
constexpr int kPublishedRoom = 200;  // tokens of the nominal length that are left for question and answer
constexpr std::string_view kPublishedOpening = "<|im_start|> This is a very long story book: <book> ",
                           kPublishedClosing = " </book>.\n Based on the content of the book,";

// One pair with all texts filled in.
struct Pair {
  std::string key, value;
  std::string needle, question, answer_prefix;
  Extent evidence;  // of the needle
};

// A placeholder is a pair of braces without blanks or braces inside.
std::size_t placeholder_size(std::string_view text) {
  const std::size_t close = text.find_first_of("{} \t\r\n", 1);
  return close != text.npos && text[close] == '}' ? close + 1 : 0;
}

// One pass: braces in keys and values are not read again.
std::string fill_in(std::string_view text, const std::string& key, const std::string& value) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = text[0] == '{' ? placeholder_size(text) : 0;
    if (size == 0)
      out += text[0];
    else
      out += text.substr(0, size) == "{key}" ? key : value;
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

// The part of a key that an id can hold: letters, digits, dots and hyphens; at most 40 bytes.
std::string id_part(std::string_view key) {
  std::string out;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = ('a' <= (c | 0x20) && (c | 0x20) <= 'z') || byte >= 0x80;
    const bool plain = letter || ('0' <= c && c <= '9') || c == '.' || c == '_';
    if (plain)
      out += c;
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  std::size_t size = std::min<std::size_t>(out.size(), 40);
  while (size > 0 && size < out.size() && (static_cast<unsigned char>(out[size]) & 0xC0) == 0x80) --size;
  out.resize(size);
  while (out.ends_with('-')) out.pop_back();
  return out;
}

class Niah final : public Dataset {
 public:
  explicit Niah(NiahOptions options) : options_(std::move(options)) {
    protocol_ = protocol_named(options_.protocol);
    check_numbers();
    check_pairs();
    for (std::size_t i = 0; i < options_.values.size(); ++i) add_pair(i);
    if (options_.haystack != kGenerated) essays_ = read_haystack(options_.haystack, protocol_ != nullptr);
  }

  std::string name() const override { return options_.id; }
  std::string main_score() const override { return "exact"; }
  std::vector<Example> examples(const TokenCounter& count) const override;
  std::vector<Warning> warnings() const override;

  ScoreMap score(const Example& example, std::string_view answer) const override {
    ScoreMap scores = {
        {"exact", 0}, {"rouge1_recall", rouge1_recall(answer, example.needle)}, {"word_overlap", 0}};
    for (const std::string& reference : example.answers) {
      scores["exact"] = std::max(scores["exact"], exact(answer, reference));
      scores["word_overlap"] = std::max(scores["word_overlap"], word_overlap(answer, reference));
    }
    return scores;
  }

 private:
  [[noreturn]] void refuse(std::string_view code, const std::string& key, const std::string& found,
                           const std::string& expected, const std::string& mend) const {
    const auto place = options_.positions.find(key);
    reject(Exit::kSweep, {"E-NH-" + std::string(code), options_.file,
                          place == options_.positions.end() ? key : place->second, found, expected, mend});
  }
  void check_numbers() const;
  void check_pairs() const;
  void check_placeholders(const std::string& key, std::string_view text) const;
  void add_pair(std::size_t i);
  Extent evidence_in(const Pair& pair) const;
  std::vector<std::string> phrases() const;  // all keys and values
  std::vector<Example> published_examples(const TokenCounter& count) const;
  std::string haystack_of(int tokens, const TokenCounter& count) const;
  std::string free_id(std::set<std::string>& ids, int length, double depth, const Pair& pair) const;
  Haystack haystack() const {
    return options_.haystack == kGenerated ? Haystack(options_.seed, phrases()) : Haystack(essays_);
  }

  NiahOptions options_;
  const Protocol* protocol_ = nullptr;
  std::vector<Pair> pairs_;
  std::string essays_;
};

void Niah::check_numbers() const {
  if (options_.haystack.empty())
    refuse("10", "haystack", "'haystack' is empty", "a folder or 'generated'", "name one");
  if (options_.lengths.empty()) refuse("11", "lengths", "no lengths", "one length or more", "add a length");
  if (options_.depths.empty()) refuse("11", "depths", "no depths", "one depth or more", "add a depth");
  std::int64_t tokens = 0;
  for (const int length : options_.lengths) {
    if (length < 1 || length > kMostLength)
      refuse("12", "lengths", fmt::format("length {}", length), fmt::format("1 to {} tokens", kMostLength),
             "correct the length");
    tokens += length;
  }
  for (const double depth : options_.depths)
    if (!(depth >= 0 && depth <= 100))
      refuse("13", "depths", fmt::format("depth {}", depth), "0 to 100 percent", "correct the depth");
  if (options_.max_new < 1 || options_.max_new > 65536)
    refuse("14", "max_new", fmt::format("max_new {}", options_.max_new), "1 to 65536 tokens", "correct it");
  const double all = static_cast<double>(tokens) * static_cast<double>(options_.depths.size()) *
                     static_cast<double>(options_.values.size());
  if (all > static_cast<double>(kMostTokens))
    refuse("15", "lengths", fmt::format("all prompts together have {:.0f} tokens", all),
           fmt::format("at most {}", kMostTokens), "split the task, or use fewer lengths, depths or values");
}

void Niah::check_placeholders(const std::string& key, std::string_view text) const {
  for (std::size_t at = text.find('{'); at < text.size(); at = text.find('{', at + 1)) {
    const std::string_view name = text.substr(at, placeholder_size(text.substr(at)));
    if (name.empty() || name == "{value}") continue;
    if (name != "{key}")
      refuse("16", key, fmt::format("unknown placeholder {} in '{}'", printable(name), key),
             "{key} or {value}", "correct the placeholder");
    if (options_.keys.empty())
      refuse("17", "keys", fmt::format("'{}' holds {{key}}, but there are no keys", key),
             "a key for each value", "add 'keys:'");
  }
}

void Niah::check_pairs() const {
  const std::size_t keys = options_.keys.size(), values = options_.values.size();
  if (values == 0) refuse("11", "values", "no values", "one value or more", "add a value");
  if (keys != 0 && keys != values)
    refuse("17", "keys", fmt::format("{} keys and {} values", keys, values), "a key for each value",
           "make the lists equally long");
  check_placeholders("needle", options_.needle);
  check_placeholders("question", options_.question);
  check_placeholders("answer_prefix", options_.answer_prefix);
  check_placeholders("evidence", options_.evidence);
  if (protocol_ != nullptr && (options_.question.empty() || !options_.answer_prefix.empty()))
    refuse("24", options_.question.empty() ? "question" : "answer_prefix",
           options_.question.empty() ? "no question" : "an answer prefix",
           fmt::format("a question and no answer prefix, as the prompt of {} has it", protocol_->name),
           "put all of it into 'question:'");
  if (options_.question.empty() && options_.answer_prefix.empty())
    refuse("18", "question", "no question and no answer prefix", "at least one of them", "add 'question:'");
  for (const std::string& value : options_.values)
    if (words_of(value).empty())
      refuse("19", "values", fmt::format("the value \"{}\" holds no word", printable(value)),
             "a letter, digit or symbol in each value", "correct the value");
}

void Niah::add_pair(std::size_t i) {
  const std::string key = options_.keys.empty() ? "" : options_.keys[i];
  const std::string& value = options_.values[i];
  const auto filled = [&](const std::string& text) { return fill_in(text, key, value); };
  pairs_.push_back(
      {key, value, filled(options_.needle), filled(options_.question), filled(options_.answer_prefix), {}});
  if (exact(pairs_.back().needle, value) != 1)
    refuse("21", "needle", fmt::format("the needle does not hold the value \"{}\"", printable(value)),
           "{value} in the needle, as words of its own", "put {value} into the needle");
  pairs_.back().evidence = evidence_in(pairs_.back());
}

// Where the two texts have it; else, as where the needle spells its value out, where they have it when filled in.
Extent Niah::evidence_in(const Pair& pair) const {
  const std::string evidence = fill_in(options_.evidence, pair.key, pair.value);
  const std::size_t written = options_.needle.find(options_.evidence);
  const std::size_t begin =
      written != std::string::npos
          ? fill_in(std::string_view(options_.needle).substr(0, written), pair.key, pair.value).size()
          : pair.needle.find(evidence);
  if (evidence.empty() || begin == std::string::npos) {
    if (!options_.positions.contains("evidence")) return {0, pair.needle.size()};  // in other letter case
    refuse("23", "evidence", fmt::format("the needle does not hold \"{}\"", printable(evidence)),
           "a part of the needle, letter by letter", "correct 'evidence'");
  }
  return {begin, evidence.size()};
}

std::vector<std::string> Niah::phrases() const {
  std::vector<std::string> out = options_.keys;
  out.insert(out.end(), options_.values.begin(), options_.values.end());
  return out;
}

// An id that no example of `ids` has yet.
std::string Niah::free_id(std::set<std::string>& ids, int length, double depth, const Pair& pair) const {
  const std::string part = id_part(options_.keys.empty() ? "" : pair.key);
  const std::string base = fmt::format("len{}-depth{}{}{}", length, depth, part.empty() ? "" : "-", part);
  std::string id = base;
  for (int n = 2; !ids.insert(id).second; ++n) id = fmt::format("{}-{}", base, n);
  return id;
}

// The haystack, over and over until it has so many tokens.
std::string Niah::haystack_of(int tokens, const TokenCounter& count) const {
  Haystack hay = haystack();
  std::string text = essays_;
  for (std::size_t bytes = static_cast<std::size_t>(tokens) * 4; text.empty() || count(text) < tokens;
       bytes *= 2)
    text = essays_.empty() ? std::string(hay.prefix(bytes)) : text + text;
  return text;
}

std::vector<Example> Niah::published_examples(const TokenCounter& count) const {
  for (const Pair& pair : pairs_)
    for (const int length : options_.lengths)
      if (const int least = kPublishedRoom + 3 + count(pair.needle); length < least)
        refuse("22", "lengths", fmt::format("length {} has no room for the needle and the question", length),
               fmt::format("at least {} tokens", least), "raise the length");
  const auto rules = std::make_shared<const PromptRules>(PromptRules{.chat = false});
  const std::string all = haystack_of(std::ranges::max(options_.lengths), count);
  std::vector<Example> out;
  std::set<std::string> ids;
  for (const int length : options_.lengths) {
    const std::string first = count.first(all, length, protocol_->needle);
    for (const double depth : options_.depths)
      for (const Pair& pair : pairs_) {
        const HiddenNeedle hidden =
            count.hide(first, pair.needle, length - kPublishedRoom, depth, protocol_->needle);
        Example& example = out.emplace_back();
        example.id = free_id(ids, length, depth, pair);
        example.context = fmt::format("{}{}{}", kPublishedOpening, hidden.text, kPublishedClosing);
        example.question = fmt::format(" Question: {}\nAnswer:", pair.question);
        example.answers = {pair.value};
        example.needle = pair.needle;
        example.length = length;
        example.depth = depth;
        example.max_new = options_.max_new;
        example.rules = rules;
        example.line_ends = protocol_->line_ends;
        if (const std::size_t at = example.context.find(pair.needle); at != std::string::npos)
          example.evidence = {at + pair.evidence.begin, pair.evidence.size};
      }
  }
  return out;
}

std::vector<Example> Niah::examples(const TokenCounter& count) const {
  if (protocol_ != nullptr) return published_examples(count);
  std::vector<std::int64_t> fixed;  // tokens of a pair's prompt beside its context
  std::int64_t least = 0;           // tokens of the longest prompt without any haystack
  for (const Pair& pair : pairs_) {
    fixed.push_back(count.beside(pair.question, pair.answer_prefix));
    least = std::max(least, fixed.back() + count(pair.needle));
  }
  for (const int length : options_.lengths)
    if (length < least)
      refuse("22", "lengths", fmt::format("length {} has no room for the needle and the question", length),
             fmt::format("at least {} tokens", least), "raise the length");

  std::vector<Example> out;
  std::set<std::string> ids;
  Haystack hay = haystack();
  for (const int length : options_.lengths) {
    std::size_t bytes =
        static_cast<std::size_t>(length) * 4;  // of the haystack; the last example's is a good guess
    for (const double depth : options_.depths)
      for (std::size_t i = 0; i < pairs_.size(); ++i) {
        const Pair& pair = pairs_[i];
        const auto context = [&](std::string_view text) { return insert_needle(text, pair.needle, depth); };
        bytes = hay.fit(length - fixed[i], kSlack, bytes, [&](auto text) { return count(context(text)); });
        const std::string id = free_id(ids, length, depth, pair);
        const std::string_view text = hay.prefix(bytes);
        const std::string full = context(text);
        const std::size_t needle = full.find(pair.needle, needle_position(text, depth));
        out.push_back({id,
                       full,
                       pair.question,
                       pair.answer_prefix,
                       {pair.value},
                       pair.needle,
                       length,
                       depth,
                       options_.max_new,
                       {needle + pair.evidence.begin, pair.evidence.size}});
      }
  }
  return out;
}

template <class T>
bool has_duplicates(std::vector<T> list) {
  std::ranges::sort(list);
  return std::ranges::adjacent_find(list) != list.end();
}

std::vector<Warning> Niah::warnings() const {
  std::vector<Warning> out;
  if (has_duplicates(options_.lengths)) out.push_back({"a length is listed twice"});
  if (has_duplicates(options_.depths)) out.push_back({"a depth is listed twice"});
  if (options_.keys.empty() ? has_duplicates(options_.values) : has_duplicates(options_.keys))
    out.push_back({"a key or value is listed twice"});
  for (const Pair& pair : pairs_) {
    if (exact(pair.question, pair.value) == 1 || exact(pair.answer_prefix, pair.value) == 1)
      out.push_back({fmt::format("the question or answer prefix gives \"{}\" away", printable(pair.value))});
  }
  if (options_.haystack == kGenerated) return out;  // holds no key and no value
  const std::size_t seen = static_cast<std::size_t>(std::ranges::max(options_.lengths)) * 8;  // bytes, about
  const auto words = words_of(std::string_view(essays_).substr(0, seen));
  for (const std::string& phrase : phrases())
    if (contains_words(words, words_of(phrase)))
      out.push_back({fmt::format("the haystack holds \"{}\" already", printable(phrase))});
  return out;
}

std::unique_ptr<const Dataset> make(const TaskOptions& task) {
  NiahOptions options;
  options.id = task.text_or("id", "niah");
  options.haystack = task.text("haystack");
  if (options.haystack != kGenerated && !options.haystack.empty())
    options.haystack = task.resolve(options.haystack);
  options.lengths = task.integers("lengths");
  options.depths = task.numbers("depths");
  options.needle = task.text("needle");
  options.question = task.text_or("question", "");
  options.answer_prefix = task.text_or("answer_prefix", "");
  options.evidence = task.text_or("evidence", options.evidence);
  options.keys = task.texts_or_none("keys");
  options.values = task.texts("values");
  if (task.has("protocol"))
    options.protocol = OptionReader{task, "E-NH"}.name("protocol", {kProtocols[0].name, kProtocols[1].name});
  const Protocol* protocol = protocol_named(options.protocol);
  options.max_new = task.integer_or("max_new", protocol == nullptr ? options.max_new : protocol->max_new);
  options.seed = task.seed;
  options.file = task.file;
  for (const auto& [key, option] : task.options) options.positions[key] = option.position;
  return make_niah(std::move(options));
}

const int entry =
    register_dataset({"niah",
                      "needle in a haystack: one sentence hidden in a long text, then asked for",
                      {"exact", "rouge1_recall", "word_overlap"},
                      {"haystack", "lengths", "depths", "needle", "question", "answer_prefix", "evidence",
                       "keys", "values", "max_new", "protocol"},
                      make});

}  // namespace

std::unique_ptr<const Dataset> make_niah(NiahOptions options) {
  return std::make_unique<const Niah>(std::move(options));
}

}  // namespace evictbench
