// perplexity sliding|streaming|evicted: how well a text is foretold, by sequence length.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/commands.h"
#include "harness/perplexity.h"
#include "harness/signals.h"

namespace evictbench {
namespace {

using Out = nlohmann::ordered_json;

[[noreturn]] void usage(const std::string& option, const std::string& found, const std::string& expected,
                        const std::string& mend) {
  reject(Exit::kUsage, {"E-PX-01", "command line", option, found, expected, mend});
}

// What the three protocols have in common.
struct Protocols {
  std::string model;
  Where where;
  TextInput input;
  bool json = false;

  void declare_common(CLI::App& app) {
    app.add_option("model", model, "a Hugging Face folder or a .gguf file")->required();
    app.add_flag("--json", json, "one JSON object");
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

// Points at lengths as rows; the full cache comes first at each.
class PointRows {
 public:
  PointRows(Out head, bool json) : out_(std::move(head)), json_(json) {
    out_["rows"] = Out::array();
    if (!json_)
      fmt::print("{:>7}  {:<40} {:>8} {:>10} {:>8} {:>9} {:>11} {:>9}\n", "tokens", "policy", "budget",
                 "kept", "scored", "nll", "perplexity", "to full");
  }

  void add(std::size_t tokens, std::span<const Point> points, std::span<const PointLikelihood> found) {
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
        const double more = one.likelihood.nll() - found[0].likelihood.nll();
        row["delta_nll"] = found[0].error.empty() ? number(more) : Out(nullptr);
        if (!json_)
          fmt::print("{:>7}  {:<40} {:>8} {:>10} {:>8} {:>9.5f} {:>11.4f} {:>+9.5f}\n", tokens,
                     points[p].policy->id(), evicts ? fmt::format("{}", points[p].amount) : "", one.kept,
                     one.likelihood.scored, one.likelihood.nll(), one.likelihood.perplexity(), more);
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

struct SlidingCommand : Protocols {
  std::vector<int> lengths;
  int window = 0, stride = 0;  // 0: not given

  void declare(CLI::App& app) {
    declare_common(app);
    app.add_option("--tokens", lengths, "of the text: a row for each of these lengths; all if absent")
        ->check(CLI::Range(2, INT32_MAX));
    app.add_option("--window", window, "tokens that the model sees; its context if absent")
        ->check(CLI::Range(2, INT32_MAX));
    app.add_option("--stride", stride,
                   "tokens between the beginnings of windows; 512, or the window, if absent")
        ->check(CLI::Range(1, INT32_MAX));
  }

  int run() const {
    Loaded loaded(model, where);
    const Tokens ids = ids_of(loaded.checkpoint);
    const auto texts = lengths_of(lengths, "--tokens", ids.size());
    const auto context = std::min<std::int64_t>(loaded.checkpoint.config().context(), INT32_MAX);
    const int W = window > 0 ? window : static_cast<int>(context);
    check_length(loaded.checkpoint, static_cast<std::size_t>(W), "take a smaller --window");
    const int S = stride > 0 ? stride : std::min(512, W);
    if (S > W)
      usage("--stride", fmt::format("{}", S), fmt::format("at most the window of {}", W),
            "take a smaller stride: tokens between windows would be left out");
    Out out{{"protocol", "sliding"}, {"window", W}, {"stride", S}, {"rows", Out::array()}};
    if (!json)
      fmt::print("{:>7} {:>8} {:>8} {:>9} {:>11}\n", "tokens", "windows", "scored", "nll", "perplexity");
    for (const std::size_t length : texts) {
      const auto found = sliding_likelihood(*loaded.device, *loaded.model, std::span(ids).first(length), W, S,
                                            check_signals);
      if (!std::isfinite(found.all.sum))
        reject(Exit::kInput, {"E-RN-02", model, "", "a logit that is not a number", "finite ones",
                              "look at the weights, or at the compute mode's range"});
      Out row{{"tokens", length}, {"windows", found.windows}};
      add_likelihood(row, found.all);
      row["nll_published"] = number(found.published);
      out["rows"].push_back(std::move(row));
      if (!json)
        fmt::print("{:>7} {:>8} {:>8} {:>9.5f} {:>11.4f}\n", length, found.windows, found.all.scored,
                   found.all.nll(), found.all.perplexity());
    }
    if (json) std::puts(out.dump().c_str());
    return static_cast<int>(Exit::kGood);
  }
};

struct StreamingCommand : Protocols {
  std::vector<int> lengths;
  PoliciesInput policies;

  void declare(CLI::App& app) {
    declare_common(app);
    policies.declare(app);
    app.add_option("--tokens", lengths, "of the text: rows for each of these lengths; all if absent")
        ->check(CLI::Range(2, INT32_MAX));
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
    for (const std::size_t length : texts) check_length(loaded.checkpoint, length, "take fewer --tokens");
    PointRows rows({{"protocol", "streaming"}}, json);
    for (const std::size_t length : texts)
      rows.add(length, points,
               streaming_likelihood(*loaded.device, *loaded.model, std::span(ids).first(length), points,
                                    check_signals));
    return rows.finish();
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
    PointRows rows({{"protocol", "evicted"}, {"continue", more}}, json);
    for (const std::size_t length : prefills)
      rows.add(length, points,
               evicted_likelihood(*loaded.device, *loaded.model, std::span(ids).first(length + behind),
                                  static_cast<int>(length), points, check_signals));
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
  declare<StreamingCommand>(*perplexity, "streaming", "token by token, evicting after each", action);
  declare<EvictedCommand>(*perplexity, "evicted", "behind a prompt that was prefilled and evicted", action);
}

}  // namespace evictbench
