// What several commands read from the command line.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "core/cpu/device.h"
#include "core/cuda/open.h"
#include "core/io/file.h"
#include "harness/commands.h"
#include "harness/compute_modes.h"
#include "harness/score_files.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

[[noreturn]] void usage(const std::string& option, const std::string& found, const std::string& expected,
                        const std::string& mend) {
  reject(Exit::kUsage, {"E-CL-01", "command line", option, found, expected, mend});
}

Tokens parse_ids(const std::string& text) {
  Tokens ids;
  const char *at = text.data(), *end = at + text.size();
  while (at < end) {
    std::int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || id < 0 || (next != end && *next != ',') || next + 1 == end)
      usage("--ids", fmt::format("\"{}\"", printable(text)), "token ids like 1,5,9",
            "separate ids by single commas");
    ids.push_back(id);
    at = next + 1;
  }
  return ids;
}

// A CLI11 check: a number of entries.
std::string check_budget(const std::string& text) {
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool good = error == std::errc() && stop == text.data() + text.size() && value >= 1 &&
                    value <= std::numeric_limits<std::int32_t>::max();
  return good ? "" : "\"" + printable(text) + "\" is not a number of entries from 1 on";
}

constexpr const char* kBudgetIs = "mean entries per lane, sinks and window included";

}  // namespace

void Where::declare(CLI::App& app) {
  app.add_option("--device", device, "cpu, reference (float64, slow) or cuda")
      ->check(CLI::IsMember({"cpu", "cuda", "reference"}));
  const CLI::Option* given =
      app.add_option("--compute", compute, "compute mode: of cpu f32 or bf16dot; of cuda bf16, f16 or f32")
          ->check(CLI::IsMember({"f32", "bf16dot", "bf16", "f16"}));
  app.parse_complete_callback([this, given] {
    if (given->empty()) compute = compute_modes(device).front();
  });
  app.add_option("--threads", threads, "0: all cores")->check(CLI::Range(0, 1024));
  app.add_flag("--allow-nonfinite-weights", allow_nonfinite,
               "load weights that are NaN or infinite all the same");
}

std::unique_ptr<Device> make_device(const Where& where) {
  const std::vector<std::string>& modes = compute_modes(where.device);
  if (!std::ranges::count(modes, where.compute))
    usage("--compute", fmt::format("{}, which device {} does not have", where.compute, where.device),
          fmt::format("{}", fmt::join(modes, " or ")), "use --compute " + modes.front());
  if (where.device == "cuda") return open_cuda(working_type(where.compute));
  return std::make_unique<CpuDevice>(
      where.threads, "",
      where.compute == "bf16dot" ? CpuDevice::Products::kBf16Dot : CpuDevice::Products::kF32);
}

std::unique_ptr<const Model> load_model(const Checkpoint& checkpoint, const Where& where, Device& device) {
  return where.device == "reference" ? checkpoint.load_reference(where.allow_nonfinite)
                                     : checkpoint.load(device, where.allow_nonfinite);
}

Loaded::Loaded(const std::string& folder, const Where& where)
    : device(make_device(where)), checkpoint(folder), model(load_model(checkpoint, where, *device)) {}

CLI::Option_group* TextInput::declare(CLI::App& app, bool required) {
  auto* group = app.add_option_group("input", "what to encode");
  group->add_option("--text", text, "the text itself");
  group->add_option("--text-file", file, "a file that holds the text");
  group->add_option("--ids", ids, "token ids, 1,5,9");
  if (required) group->require_option(1);
  app.add_flag("--no-special", no_special, "leave out the specials that the tokenizer adds");
  app.add_flag("--parse-special", parse_special, "text that spells a special token becomes that token");
  app.add_option("--chat", chat, "chat template: none, auto or a name")->capture_default_str();
  return group;
}

std::string TextInput::body() const {
  std::string content = file.empty() ? text : read_text(file, Exit::kInput, "E-TX");
  if (const std::size_t at = utf8_only ? invalid_utf8(content) : content.npos; at != content.npos)
    reject(file.empty() ? Exit::kUsage : Exit::kInput,
           {"E-TX-01", file.empty() ? "--text" : file, fmt::format("byte {}", at), "no UTF-8",
            "text in UTF-8", "convert it, for instance with iconv"});
  return content;
}

Tokens TextInput::tokens(const std::string& folder, const Tokenizer* tokenizer, int vocabulary) const {
  Tokens out;
  if (!ids.empty()) {
    out = parse_ids(ids);
    if (chat != "auto") load_chat_template(folder, chat);  // refuses a name that is none
  } else {
    const ChatTemplate chat_template = load_chat_template(folder, chat);
    if (chat_template.name == "none") {
      out = tokenizer->encode(body(), {.add_special = !no_special, .parse_special = parse_special});
    } else {
      const Prompt prompt = encode_prompt(*tokenizer, chat_template, body(), "", "");
      out = prompt.context;
      out.insert(out.end(), prompt.question.begin(), prompt.question.end());
    }
  }
  if (out.empty() && !file.empty())
    reject(Exit::kInput, {"E-TX-02", file, "", "no tokens", "at least one", "name a file with some text"});
  if (out.empty()) usage("--text", "no tokens", "at least one", "give some text or ids");
  for (const std::int32_t id : out)
    if (id >= vocabulary)
      usage("--ids", fmt::format("id {}", id), fmt::format("ids below the vocabulary of {}", vocabulary),
            "check the ids");
  return out;
}

void PolicyInput::declare_common(CLI::App& app) {
  app.add_option("--seed", seed, "of policies that draw at random")->check(CLI::NonNegativeNumber);
  app.add_flag("--allow-other-scores", allow_other_scores,
               "use score files that were measured on another model all the same");
}

void PolicyInput::declare(CLI::App& app) {
  app.add_option("--policy", name, "a policy of `evictbench list policies`")->capture_default_str();
  app.add_option("--set", settings, "an option of the policy, key=value")->allow_extra_args(false);
  app.add_option("--budget", budget, kBudgetIs)->check(check_budget);
  declare_common(app);
}

void PolicyInput::check(const Point& point, const Checkpoint& checkpoint) const {
  const auto model = [&] { return mark_of(checkpoint, checkpoint.digests()); };
  check_scores(std::span(&point, 1), model, allow_other_scores);
}

Point PolicyInput::point() const {
  std::map<std::string, std::string> options;
  for (const std::string& setting : settings) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos || equals == 0)
      usage("--set", fmt::format("\"{}\"", printable(setting)), "key=value", "write --set window=32");
    options[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  Point point;
  try {
    Options given = options.empty() ? Options::parse(name) : Options(name, options);
    point.policy = make_policy(given.with_seed(seed));
    point.score_files = given.score_files();
  } catch (const Error& error) {
    throw Error(error.exit() == Exit::kSweep ? Exit::kUsage : error.exit(),
                error.what());  // a bad file stays one
  }
  point.name = name;
  point.unit = point.policy->evicts() ? "entries" : "full";
  point.amount = budget;
  if (point.policy->evicts() && budget <= 0)
    usage("--policy", name + " without --budget", "the mean entries per lane", "add --budget 128");
  return point;
}

void PoliciesInput::declare(CLI::App& app) {
  app.add_option("--policy", names, "policies of `evictbench list policies`, as NAME or 'NAME{key=value,..}'")
      ->required();
  app.add_option("--budget", budgets, kBudgetIs)->check(check_budget);
  each.declare_common(app);
}

std::vector<Point> PoliciesInput::points(const Checkpoint& checkpoint) const {
  std::vector<Point> points{PolicyInput{}.point()};
  for (const std::string& name : names) {
    PolicyInput one = each;
    one.name = name;
    one.budget = budgets.empty() ? 0 : budgets[0];
    Point point = one.point();
    if (!point.policy->evicts()) continue;  // it comes first in any case
    one.check(point, checkpoint);
    for (const double budget : budgets) {
      point.amount = budget;
      points.push_back(point);
    }
  }
  return points;
}

void check_length(const Checkpoint& checkpoint, std::size_t tokens, const std::string& mend) {
  const auto most = static_cast<std::size_t>(checkpoint.config().context());
  if (tokens > most)
    reject(Exit::kUsage, {"E-CF-10", checkpoint.path(), "", fmt::format("{} tokens", tokens),
                          fmt::format("at most {}, the context of the model", most), mend});
}

Prompt encode_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat, const std::string& context,
                     const std::string& question, const std::string& answer_prefix) {
  constexpr Tokenizer::Encode kText{.add_special = false};
  const std::string asked = question.empty() ? "" : "\n\n" + question;
  Prompt prompt;
  const auto append = [](Tokens& to, const Tokens& more) { to.insert(to.end(), more.begin(), more.end()); };
  if (chat.name == "none") {
    prompt.context = tokenizer.encode(context, {.add_special = true});
    append(prompt.question,
           tokenizer.encode(asked + (answer_prefix.empty() ? "" : "\n" + answer_prefix), kText));
    return prompt;
  }
  prompt.context = encode_opening(tokenizer, chat, context);
  prompt.question = tokenizer.encode(asked, kText);
  append(prompt.question, encode_closing(tokenizer, chat, answer_prefix));
  return prompt;
}

}  // namespace evictbench
