// perplexity sliding|chunks|rolling|streaming|evicted: how|streaming|evicted: how well a text is foretold, by sequence length.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/numerics.h"
#include "datasets/wikitext.h"
#include "harness/commands.h"
#include "harness/perplexity.h"
#include "harness/signals.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;

constexpr const char* kModelIs = "a Hugging Face folder or a .gguf file";

[[noreturn]] void usage(const std::string& option, const std::string& found, const std::string& expected,
                        const std::string& mend) {
  reject(Exit::kUsage, {"E-PX-01", "command line", option, found, expected, mend});
}

// What the protocols have in common.
struct Protocols {
  std::string model;
  Where where;
  TextInput input;
  bool json = false;

  void declare_common(CLI::App& app) {
    app.add_option("model", model, kModelIs)->required();
    app.add_flag("--json", json, "one JSON object");
    input.utf8_only = true;
    input.declare(app);
    where.declare(app);
  }

  // The ids of the text; those that a protocol scores first have one before them.
  Tokens ids_of(const Checkpoint& checkpoint) const {
    Tokens ids = input.tokens(checkpoint.path(), checkpoint.tokenizer_if_text(!input.ids.empty()),
                              checkpoint.config().vocabulary);
    if (ids.size() < 2)
      reject(Exit::kInput,
             {"E-PX-02", input.file.empty() ? "the text" : input.file, "", "1 token",
              "two or more: the first one has nothing before it and is not scored", "give a longer text"});
    return ids;
  }

  static bool begins_with_bos(const Checkpoint& checkpoint, const Tokens& ids) {
    return checkpoint.config().bos_token == ids.front();
  }

  // `lengths`, or that of all the text; none longer than the text.
  static std::vector<std::size_t> lengths_of(const std::vector<int>& lengths, const char* option,
                                             std::size_t text, std::size_t behind = 0) {
    std::vector<std::size_t> out;
    for (const int length : lengths) {
      out.push_back(static_cast<std::size_t>(length));
      if (out.back() + behind > text)
        usage(option, behind == 0 ? fmt::format("{}", length) : fmt::format("{} and {} more", length, behind),
              fmt::format("at most the {} tokens of the text", text), "take fewer, or give a longer text");
    }
    if (out.empty()) out.push_back(text);
    return out;
  }
};

// JSON has no infinity.
Out number(double x) { return std::isfinite(x) ? Out(x) : Out(nullptr); }

void add_likelihood(Out& row, const Likelihood& likelihood) {
  row["scored"] = likelihood.scored;
  row["nll"] = number(likelihood.nll());
  row["perplexity"] = number(likelihood.perplexity());
}

// Points at lengths as rows; where there is the full cache, it comes first.
class PointRows {
 public:
  PointRows(Out head, bool json) : out_(std::move(head)), json_(json) {
    out_["rows"] = Out::array();
    if (!json_)
      fmt::print("{:>7}  {:<40} {:>8} {:>10} {:>8} {:>9} {:>11} {:>9}\n", "tokens", "policy", "budget",
                 "kept", "scored", "nll", "perplexity", "to full");
  }

  void add(std::size_t tokens, std::span<const Point> points, std::span<const PointLikelihood> found) {
    const bool compared = !points[0].policy->evicts() && found[0].error.empty();
    for (std::size_t p = 0; p < points.size(); ++p) {
      const PointLikelihood& one = found[p];
      const bool evicts = points[p].policy->evicts();
      Out row{{"tokens", tokens}, {"policy", points[p].policy->id()}};
      row["budget"] = evicts ? Out(points[p].amount) : Out(nullptr);
      row["kept"] = one.kept;
      row["bytes"] = one.bytes;
      failed_ |= !one.error.empty();
      if (!one.error.empty()) {
        row["error"] = one.error;
        if (!json_) fmt::print("{:>7}  {:<40} {}\n", tokens, points[p].policy->id(), one.error);
      } else {
        add_likelihood(row, one.likelihood);
        const double more = compared ? one.likelihood.nll() - found[0].likelihood.nll() : NAN;
        row["delta_nll"] = number(more);
        if (!json_)
          fmt::print("{:>7}  {:<40} {:>8} {:>10} {:>8} {:>9.5f} {:>11.4f} {:>9}\n", tokens,
                     points[p].policy->id(), evicts ? fmt::format("{}", points[p].amount) : "", one.kept,
                     one.likelihood.scored, one.likelihood.nll(), one.likelihood.perplexity(),
                     compared ? fmt::format("{:+.5f}", more) : "");
      }
      out_["rows"].push_back(std::move(row));
    }
  }

  int finish() const {
    if (json_) std::puts(out_.dump().c_str());
    return static_cast<int>(failed_ ? Exit::kFailedPoints : Exit::kGood);
  }

 private:
  Out out_;
  bool json_, failed_ = false;
};

[[noreturn]] void refuse_not_finite(const std::string& model) {
  reject(Exit::kInput, {"E-RN-02", model, "", "a logit that is not a number", "finite ones",
                        "look at the weights, or at the compute mode's range"});
}

// The tokens that a model sees: `window`, or its context where that is 0.
int window_of(int window, const Checkpoint& checkpoint) {
  const auto context = std::min<std::int64_t>(checkpoint.config().context(), INT32_MAX);
  const int W = window > 0 ? window : static_cast<int>(context);
  check_length(checkpoint, static_cast<std::size_t>(W), "take a smaller --window");
  return W;
}

struct SlidingCommand : Protocols {
  std::vector<int> lengths;
  int window = 0, stride = 0;  // 0: not given
  bool chunks = false;         // windows on their own, whole ones alone

  explicit SlidingCommand(bool on_their_own = false) : chunks(on_their_own) {}

  void declare(CLI::App& app) {
    declare_common(app);
    app.add_option("--tokens", lengths, "of the text: a row for each of these lengths; all if absent")
        ->check(CLI::Range(2, INT32_MAX));
    app.add_option("--window", window, "tokens that the model sees; its context if absent")
        ->check(CLI::Range(2, INT32_MAX));
    if (chunks) return;
    app.add_option("--stride", stride,
                   "tokens between the beginnings of windows; 512, or the window, if absent")
        ->check(CLI::Range(1, INT32_MAX));
  }

  int run() const {
    Loaded loaded(model, where);
    const Tokens ids = ids_of(loaded.checkpoint);
    const auto texts = lengths_of(lengths, "--tokens", ids.size());
    const int W = window_of(window, loaded.checkpoint);
    int S = chunks ? W : std::min(512, W);
    if (stride > 0) S = stride;
    if (S > W)
      usage("--stride", fmt::format("{}", S), fmt::format("at most the window of {}", W),
            "take a smaller stride: tokens between windows would be left out");
    for (const std::size_t length : texts)
      if (chunks && length < static_cast<std::size_t>(W))
        usage("--window", fmt::format("{}", W), fmt::format("at most the {} tokens of the text", length),
              "take a smaller window: less than one is not scored");
    Out out{{"protocol", chunks ? "chunks" : "sliding"},
            {"window", W},
            {"stride", S},
            {"bos", begins_with_bos(loaded.checkpoint, ids)},
            {"rows", Out::array()}};
    if (!json)
      fmt::print("{:>7} {:>8} {:>8} {:>9} {:>11}\n", "tokens", "windows", "scored", "nll", "perplexity");
    for (const std::size_t length : texts) {
      const std::size_t used = chunks ? length - length % static_cast<std::size_t>(W) : length;
      const auto found = sliding_likelihood(*loaded.device, *loaded.model, std::span(ids).first(used), W, S,
                                            check_signals_unstored);
      if (!std::isfinite(found.all.sum)) refuse_not_finite(model);
      Out row{{"tokens", length}, {"windows", found.windows}};
      add_likelihood(row, found.all);
      if (!chunks) row["nll_published"] = number(found.published);
      out["rows"].push_back(std::move(row));
      if (!json)
        fmt::print("{:>7} {:>8} {:>8} {:>9.5f} {:>11.4f}\n", length, found.windows, found.all.scored,
                   found.all.nll(), found.all.perplexity());
    }
    if (json) std::puts(out.dump().c_str());
    return static_cast<int>(Exit::kGood);
  }
};

struct ChunksCommand : SlidingCommand {
  ChunksCommand() : SlidingCommand(true) {}
};

// lm-eval's: documents on their own, words and bytes counted.
struct RollingCommand {
  std::string model, file, format = "text";
  Where where;
  int window = 0, documents = 0;  // 0: not given
  std::int32_t prefix = -1;       // -1: not given
  bool no_special = false, json = false;

  void declare(CLI::App& app) {
    app.add_option("model", model, kModelIs)->required();
    app.add_flag("--json", json, "one JSON object");
    app.add_option("--text-file", file, "a file that holds the text")->required();
    app.add_flag("--no-special", no_special, "leave out the specials that the tokenizer adds");
    app.add_option(
           "--format", format,
           "text: one document; wikitext: the pages of a WikiText file, detokenised before they are read")
        ->check(CLI::IsMember({"text", "wikitext"}));
    app.add_option("--documents", documents, "the first ones alone")->check(CLI::Range(1, INT32_MAX));
    app.add_option("--window", window, "tokens that the model sees; its context if absent")
        ->check(CLI::Range(1, INT32_MAX));
    app.add_option("--prefix", prefix,
                   "the id before a document; the model's BOS, or its first EOS, if absent")
        ->check(CLI::Range(0, INT32_MAX));
    where.declare(app);
  }

  int run() const {
    const std::vector<std::string> texts = read();
    Loaded loaded(model, where);
    const int W = window_of(window, loaded.checkpoint);
    const std::int32_t before = prefix_of(loaded.checkpoint.config());
    Likelihood all;
    std::int64_t words = 0, bytes = 0;
    for (const std::string& text : texts) {
      words += count_split_words(text);
      bytes += std::ssize(text);
      const Tokens ids = loaded.checkpoint.tokenizer().encode(
          format == "wikitext" ? wikitext_detokenized(text) : text, {.add_special = !no_special});
      const Likelihood one =
          rolling_likelihood(*loaded.device, *loaded.model, ids, before, W, check_signals_unstored);
      all.sum += one.sum;
      all.scored += one.scored;
    }
    if (all.scored == 0)
      reject(Exit::kInput, {"E-PX-02", file, "", "no tokens", "one or more", "name a file with some text"});
    if (!std::isfinite(all.sum)) refuse_not_finite(model);
    print(W, before, std::ssize(texts), all, words, bytes);
    return static_cast<int>(Exit::kGood);
  }

 private:
  std::vector<std::string> read() const {
    TextInput input;
    input.file = file;
    input.utf8_only = true;
    std::vector<std::string> texts{input.body()};
    if (format == "wikitext") texts = wikitext_pages(texts[0]);
    const auto given = static_cast<std::size_t>(documents);
    if (given > texts.size())
      usage("--documents", fmt::format("{}", documents),
            fmt::format("at most the {} of the file", texts.size()), "take fewer");
    if (given > 0) texts.resize(given);
    return texts;
  }

  std::int32_t prefix_of(const DecoderConfig& config) const {
    std::optional<std::int32_t> id = config.bos_token;
    if (!id && !config.eos_tokens.empty()) id = config.eos_tokens[0];
    if (prefix >= 0) id = prefix;
    if (!id)
      usage("--prefix", "none, and the model has neither BOS nor EOS", "the id before a document",
            "give one");
    if (*id >= config.vocabulary)
      usage("--prefix", fmt::format("{}", *id),
            fmt::format("an id below the vocabulary of {}", config.vocabulary), "take another");
    return *id;
  }

  void print(int W, std::int32_t before, std::int64_t count, const Likelihood& all, std::int64_t words,
             std::int64_t bytes) const {
    const Likelihood by_words{all.sum, words}, by_bytes{all.sum, bytes};
    const double bits = by_bytes.nll() / numerics::log(2.0);
    if (!json) {
      fmt::print("{:>9} {:>8} {:>8} {:>9} {:>9} {:>11} {:>16} {:>16} {:>14}\n", "documents", "scored",
                 "words", "bytes", "nll", "perplexity", "word_perplexity", "byte_perplexity",
                 "bits_per_byte");
      fmt::print("{:>9} {:>8} {:>8} {:>9} {:>9.5f} {:>11.4f} {:>16.4f} {:>16.6f} {:>14.6f}\n", count,
                 all.scored, words, bytes, all.nll(), all.perplexity(), by_words.perplexity(),
                 by_bytes.perplexity(), bits);
      return;
    }
    Out row{{"documents", count}, {"words", words}, {"bytes", bytes}};
    add_likelihood(row, all);
    row["word_perplexity"] = number(by_words.perplexity());
    row["byte_perplexity"] = number(by_bytes.perplexity());
    row["bits_per_byte"] = number(bits);
    const Out out{{"protocol", "rolling"},
                  {"format", format},
                  {"window", W},
                  {"prefix", before},
                  {"rows", Out::array({row})}};
    std::puts(out.dump().c_str());
  }
};

struct StreamingCommand : Protocols {
  std::vector<int> lengths;
  PoliciesInput policies;
  std::string positions = "own";

  void declare(CLI::App& app) {
    declare_common(app);
    policies.declare(app);
    app.add_option("--tokens", lengths, "of the text: rows for each of these lengths; all if absent")
        ->check(CLI::Range(2, INT32_MAX));
    app.add_option("--positions", positions,
                   "own: keys stay where they were read; slots: where they are in the cache")
        ->check(CLI::IsMember({"own", "slots"}))
        ->capture_default_str();
  }

  int run() const {
    Loaded loaded(model, where);
    const std::vector<Point> points = policies.points(loaded.checkpoint);
    for (const Point& point : points)
      if (!can_stream(*point.policy, loaded.model->shape(1)))
        usage("--policy", point.name,
              "a policy that ranks what is in a cache: streaming_llm, knorm, h2o, random and others without "
              "a window of queries",
              "take one of these, or `perplexity evicted`");
    const Tokens ids = ids_of(loaded.checkpoint);
    const auto texts = lengths_of(lengths, "--tokens", ids.size());
    std::optional<KeyMover> slots;
    if (positions == "slots") slots.emplace(loaded.checkpoint.config());
    std::vector<std::vector<Point>> all;
    for (const std::size_t length : texts)
      all.push_back(within_context(points, length, slots.has_value(), loaded.checkpoint));
    PointRows rows({{"protocol", "streaming"},
                    {"positions", positions},
                    {"bos", begins_with_bos(loaded.checkpoint, ids)}},
                   json);
    for (std::size_t i = 0; i < texts.size(); ++i)
      rows.add(texts[i], all[i],
               streaming_likelihood(*loaded.device, *loaded.model, std::span(ids).first(texts[i]), all[i], {},
                                    slots ? &*slots : nullptr, check_signals_unstored));
    return rows.finish();
  }

 private:
  // Where what is cached is numbered anew, a text may be longer than the context: then there is no full cache to compare with.
  static std::vector<Point> within_context(std::vector<Point> points, std::size_t length, bool slots,
                                           const Checkpoint& checkpoint) {
    const bool evicting = std::ranges::any_of(points, [](const Point& p) { return p.policy->evicts(); });
    if (!slots || !evicting) check_length(checkpoint, length, "take fewer --tokens, or --positions slots");
    if (std::cmp_less_equal(length, checkpoint.config().context())) return points;
    std::erase_if(points, [](const Point& point) { return !point.policy->evicts(); });
    for (const Point& point : points)
      check_length(checkpoint, static_cast<std::size_t>(point.amount) + 1, "take a smaller --budget");
    return points;
  }
};

struct EvictedCommand : Protocols {
  std::vector<int> lengths;
  int more = 512;
  PoliciesInput policies;

  void declare(CLI::App& app) {
    declare_common(app);
    policies.declare(app);
    app.add_option("--prefill", lengths, "tokens before the eviction: rows for each of these lengths")
        ->required()
        ->check(CLI::Range(2, INT32_MAX));
    app.add_option("--continue", more, "tokens that are scored after it")
        ->capture_default_str()
        ->check(CLI::Range(1, INT32_MAX));
  }

  int run() const {
    Loaded loaded(model, where);
    const std::vector<Point> points = policies.points(loaded.checkpoint);
    const Tokens ids = ids_of(loaded.checkpoint);
    const auto behind = static_cast<std::size_t>(more);
    const auto prefills = lengths_of(lengths, "--prefill", ids.size(), behind);
    for (const std::size_t length : prefills)
      check_length(loaded.checkpoint, length + behind, "take a smaller --prefill or --continue");
    PointRows rows(
        {{"protocol", "evicted"}, {"continue", more}, {"bos", begins_with_bos(loaded.checkpoint, ids)}},
        json);
    for (const std::size_t length : prefills)
      rows.add(length, points,
               evicted_likelihood(*loaded.device, *loaded.model, std::span(ids).first(length + behind),
                                  static_cast<int>(length), points, {}, check_signals_unstored));
    return rows.finish();
  }
};

template <class Command>
void declare(CLI::App& app, const std::string& name, const std::string& what, Action& action) {
  auto command = std::make_shared<Command>();
  CLI::App* sub = app.add_subcommand(name, what);
  command->declare(*sub);
  sub->callback([command, &action] { action = [command] { return command->run(); }; });
}

}  // namespace

void add_perplexity(CLI::App& app, Action& action) {
  CLI::App* perplexity = app.add_subcommand("perplexity", "how well a text is foretold, by sequence length");
  perplexity->require_subcommand(1);
  declare<SlidingCommand>(*perplexity, "sliding", "by windows of the text, as transformers' documentation",
                          action);
  declare<ChunksCommand>(*perplexity, "chunks",
                         "by windows on their own, whole ones alone, as GPTQ's program", action);
  declare<RollingCommand>(*perplexity, "rolling",
                          "by documents, per token, word and byte, as lm-eval's task wikitext", action);
  declare<StreamingCommand>(*perplexity, "streaming", "token by token, evicting after each", action);
  declare<EvictedCommand>(*perplexity, "evicted", "behind a prompt that was prefilled and evicted", action);
}

}  // namespace evictbench
