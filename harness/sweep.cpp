#include "harness/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "core/io/file.h"
#include "harness/compute_modes.h"
#include "harness/yaml.h"
#include "models/chat.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

namespace fs = std::filesystem;

// A path as the file says it: no shell is at hand to expand it.
std::string path_text(const Yaml& value) {
  const std::string& text = value.text();
  const std::string found = fmt::format("\"{}\"", printable(text));
  if (text.empty()) value.reject(ym::kPath, "an empty path", "a path", "write one");
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    value.reject(ym::kPath, found + " holds a control character", "a path", "correct the path");
  if (text.starts_with('~') || text.find("${") != text.npos || text.find("$(") != text.npos)
    value.reject(ym::kExpansion, found + " would need a shell to expand it", "a plain path",
                 "write the path out");
  return text;
}

SweepModel read_model(const Yaml& from, const fs::path& folder) {
  from.only(
      {"path", "device", "compute", "chat", "threads", "in_flight", "allow_nonfinite", "allow_other_scores"});
  SweepModel model;
  const Yaml path = from.at("path");
  model.path = (folder / path_text(path)).lexically_normal().string();
  if (!is_folder(model.path) && !is_file(model.path))
    path.reject(ym::kPath, fmt::format("there is no \"{}\"", printable(model.path, 200)),
                "a model folder, seen from the sweep file's folder", "correct the path");
  if (const auto device = from.find("device")) model.device = device->choice({"cpu", "cuda", "reference"});
  const std::vector<std::string>& modes = compute_modes(model.device);
  model.compute = modes.front();
  if (const auto compute = from.find("compute")) {
    model.compute = compute->choice({"f32", "bf16dot", "bf16", "f16"});
    if (!std::ranges::count(modes, model.compute))
      compute->reject(ym::kUnavailable,
                      fmt::format("device {} cannot compute in \"{}\"", model.device, model.compute),
                      fmt::format("{}", fmt::join(modes, " or ")), "write compute: " + modes.front());
  }
  if (const auto chat = from.find("chat")) {
    std::vector<std::string> known = chat_template_names();
    known.insert(known.begin(), {"none", "auto"});
    model.chat = chat->choice(known);
  }
  if (const auto threads = from.find("threads")) model.threads = static_cast<int>(threads->integer(1, 1024));
  if (const auto many = from.find("in_flight"))
    model.in_flight = static_cast<int>(many->integer(1, kMostInFlight));
  if (const auto allow = from.find("allow_nonfinite")) model.allow_nonfinite = allow->boolean();
  if (const auto allow = from.find("allow_other_scores")) model.allow_other_scores = allow->boolean();
  return model;
}

// The values of an axis, each once.
template <class Value>
std::vector<Value> read_axis(const Yaml& from, const std::vector<std::string>& names) {
  std::vector<Value> out;
  for (const Yaml& element : from.elements()) {
    const std::string& name = element.choice(names);
    const auto value = static_cast<Value>(std::ranges::find(names, name) - names.begin());
    if (std::ranges::find(out, value) != out.end())
      element.reject(ym::kTwice, fmt::format("\"{}\" a second time", name), "every value once", "remove it");
    out.push_back(value);
  }
  if (out.empty())
    from.reject(ym::kCount, "an empty list leaves nothing to run", "one value or more", "add a value");
  return out;
}

void read_seed(const Yaml& protocol, Sweep& sweep) {
  if (const auto seed = protocol.find("seed"))
    sweep.seed = static_cast<std::uint64_t>(seed->integer(0, INT64_MAX));
}

void read_protocol(const Yaml& from, Sweep& sweep) {
  using Question = Protocol::Question;
  using First = Protocol::FirstToken;
  from.only({"question", "first_token", "fidelity", "seed"});
  const auto questions = read_axis<Question>(from.at("question"), {"inside", "after"});
  std::vector<First> first_tokens{First::kEvicted};
  if (const auto given = from.find("first_token")) {
    first_tokens = read_axis<First>(*given, {"evicted", "full"});
    if (questions == std::vector{Question::kAfter} && first_tokens == std::vector{First::kFull})
      given->reject(ym::kOptionValue, "\"full\" has no meaning with the question after",
                    "evicted, or the question inside", "remove first_token");
  }
  for (const Question question : questions) {
    if (question == Question::kAfter)
      sweep.protocols.push_back({question, First::kEvicted});
    else
      for (const First first : first_tokens) sweep.protocols.push_back({question, first});
  }
  if (const auto fidelity = from.find("fidelity"))
    sweep.fidelity = fidelity->choice({"answer", "reference"}) == "answer" ? Continuation::Kind::kAnswer
                                                                           : Continuation::Kind::kReference;
  read_seed(from, sweep);
}

struct Amount {
  double value;
  std::string position;
};
struct Budgets {
  std::string unit;
  std::vector<Amount> values;
};

double read_budget(const Yaml& from, const std::string& unit) {
  const double value = from.number(std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max());
  const std::string found = fmt::format("\"{}\"", from.text());
  if (value <= 0) from.reject(ym::kBudget, found + " keeps nothing", "a budget above 0", "raise it");
  if (unit == "ratio") {
    if (value > 1)
      from.reject(ym::kBudget, found + " is more than the whole prompt", "a ratio of at most 1",
                  "write the kept share of the prompt, such as 0.25, or choose unit: entries");
    return value;
  }
  if (value < 1)
    from.reject(ym::kBudget, fmt::format("{} of unit {} is less than one", found, unit), "a whole number",
                "choose unit: ratio if a share of the prompt is meant");
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (value > (unit == "entries" ? 2147483647.0 : kExact))
    from.reject(ym::kBudget, found + " is beyond any cache", "a budget that a prompt can have", "lower it");
  return static_cast<double>(from.integer(1, INT64_MAX));
}

Budgets read_budgets(const Yaml& from) {
  from.only({"unit", "values"});
  Budgets budgets{from.at("unit").choice({"entries", "ratio", "bytes"}), {}};
  const Yaml values = from.at("values");
  for (const Yaml& value : values.elements())
    budgets.values.push_back({read_budget(value, budgets.unit), value.position()});
  if (budgets.values.empty())
    values.reject(ym::kCount, "no budget: the sweep has no points", "one value or more", "add a budget");
  return budgets;
}

// One policy line of the file: its options, of which a list stands for each of its values in turn.
struct Axis {
  std::string key;
  std::vector<Yaml> values;
};
std::vector<Axis> read_axes(const Yaml& policy) {
  std::vector<Axis> axes;
  for (const auto& [key, value] : policy.items()) {
    if (key == "name") continue;
    axes.push_back({key, value.elements()});
    for (const Yaml& element : axes.back().values) element.plain();
    if (axes.back().values.empty())
      value.reject(ym::kCount, "an empty list leaves no point of this policy", "one value or more",
                   "add a value");
  }
  return axes;
}

// Calls `visit` with every choice of one value per axis, the last axis fastest.
template <class Visit>
void each_product(const std::vector<Axis>& axes, Visit visit) {
  std::vector<std::size_t> at(axes.size(), 0);
  for (std::size_t axis = axes.size() + 1; axis > 0;) {
    visit(at);
    for (axis = axes.size(); axis > 0; --axis) {
      if (++at[axis - 1] < axes[axis - 1].values.size()) break;
      at[axis - 1] = 0;
    }
  }
}

class PointReader {
 public:
  PointReader(const Yaml& root, std::uint64_t seed, std::vector<Point>& points)
      : points_(points), policies_(root.at("policies")), seed_(static_cast<std::int64_t>(seed)) {
    if (const auto given = root.find("budgets")) budgets_ = read_budgets(*given);
    file_ = root.file();
    if (!policies_.is_list() || policies_.elements().empty())
      policies_.reject(policies_.is_list() ? ym::kCount : ym::kKind, "no list of policies",
                       "a list with one policy or more", "write \"- {name: snapkv}\" lines");
    for (const Yaml& policy : policies_.elements()) add(policy);
  }

 private:
  void add(const Yaml& policy) {
    const Yaml name = policy.at("name");
    name.text();
    const std::vector<Axis> axes = read_axes(policy);
    count(axes);
    each_product(axes, [&](const std::vector<std::size_t>& at) {
      std::map<std::string, std::string> values;
      Options::Source source{file_, {{"", name.position()}}};
      for (std::size_t i = 0; i < axes.size(); ++i) {
        values[axes[i].key] = axes[i].values[at[i]].plain();
        source.positions[axes[i].key] = axes[i].values[at[i]].position();
      }
      Options options(name.text(), std::move(values), std::move(source));
      std::shared_ptr<const Policy> made = make_policy(options.with_seed(seed_));
      add(policy, std::move(made), options.score_files());
    });
  }

  void add(const Yaml& line, std::shared_ptr<const Policy> policy, const std::vector<ScoreFile>& files) {
    if (!policy->evicts()) return add(line, {policy->id(), policy, "full", 0}, line.position());
    if (!budgets_)
      line.reject(ym::kAbsent, "this policy needs budgets, and \"budgets\" is absent", "unit and values",
                  "add for instance \"budgets: {unit: entries, values: [128]}\"");
    for (const Amount& amount : budgets_->values)
      add(line,
          {fmt::format("{} {} {}", policy->id(), amount.value, budgets_->unit), policy, budgets_->unit,
           amount.value, files},
          fmt::format("{} with {}", line.position(), amount.position));
  }

  void add(const Yaml& line, Point point, std::string position) {
    const auto [first, added] = seen_.try_emplace(point.name, position);
    if (!added)
      line.reject(ym::kTwice,
                  fmt::format("the point \"{}\" is there twice: from {} and from {}",
                              printable(point.name, 200), first->second, position),
                  "every point once", "remove one of them");
    points_.push_back(std::move(point));
  }

  void count(const std::vector<Axis>& axes) {
    std::vector<std::size_t> factors;
    bool fits = true;
    std::int64_t product = 1;
    const auto times = [&](std::size_t factor) {
      factors.push_back(factor);
      fits = fits && !__builtin_mul_overflow(product, factor, &product);
    };
    for (const Axis& axis : axes) times(axis.values.size());
    if (budgets_) times(budgets_->values.size());
    if (!fits || product > kMostPoints - total_)
      policies_.reject(
          ym::kCount, fmt::format("{} points and, in one policy, {} more", total_, fmt::join(factors, " x ")),
          fmt::format("at most {} points", kMostPoints), "shorten the lists");
    total_ += product;
  }

  std::vector<Point>& points_;
  Yaml policies_;
  std::int64_t seed_;
  std::optional<Budgets> budgets_;
  std::string file_;
  std::int64_t total_ = 0;
  std::map<std::string, std::string> seen_;  // name -> position
};

TaskOptions::Option read_option(const std::string& key, const Yaml& value) {
  TaskOptions::Option option{{}, value.key_position(), value.is_list()};
  for (const Yaml& element : value.elements()) {
    if (element.is_list() || element.is_map())
      element.reject(ym::kKind,
                     fmt::format("a {} in \"{}\"", element.is_list() ? "list" : "map", printable(key)),
                     "a value, or a list of values", "write plain values here");
    option.values.push_back(
        {element.is_null() ? "" : element.text(), element.position(), element.is_quoted()});
  }
  return option;
}

SweepTask read_task(const Yaml& from, const Sweep& sweep, const std::string& folder) {
  SweepTask task;
  task.id = from.at(from.find("id") ? "id" : "name").text();
  if (task.id.empty()) from.reject(ym::kScalar, "an empty name", "a name", "write one");
  task.options = {sweep.file, from.position(), folder, sweep.seed, {}};
  for (const auto& [key, value] : from.items()) {
    if (key == "limit")
      task.limit = static_cast<int>(value.integer(1, INT32_MAX));
    else
      task.options.options.emplace(key, read_option(key, value));
  }
  return task;
}

void read_tasks(const Yaml& from, const std::string& folder, Sweep& sweep) {
  if (!from.is_list() || from.elements().empty())
    from.reject(from.is_list() ? ym::kCount : ym::kKind, "no list of tasks", "a list with one task or more",
                "write \"- name: niah\" and its options");
  for (const Yaml& element : from.elements()) {
    SweepTask task = read_task(element, sweep, folder);
    if (std::ranges::find(sweep.tasks, task.id, &SweepTask::id) != sweep.tasks.end())
      element.reject(ym::kTwice, fmt::format("a second task with the id \"{}\"", printable(task.id)),
                     "every id once", "give one of them another \"id\"");
    sweep.tasks.push_back(std::move(task));
  }
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto [at, unused] = std::ranges::mismatch(folder, path);
  return at == folder.end() || (at->empty() && std::next(at) == folder.end());
}

std::string read_output(const Yaml& from, const Sweep& sweep) {
  from.only({"dir"});
  const Yaml dir = from.at("dir");
  std::string output = path_text(dir);
  std::error_code error, ignored;
  const fs::path real = fs::weakly_canonical(output, error);
  if (error)
    dir.reject(ym::kOutput, fmt::format("\"{}\": {}", printable(output, 200), error.message()),
               "a folder to write to", "correct the path");
  const auto wrong = [&](const char* what) {
    dir.reject(ym::kOutput, fmt::format("\"{}\" {}", printable(output, 200), what),
               "a folder of its own, seen from the current folder", "choose another folder");
  };
  if (is_file(output)) wrong("is a file");
  if (is_inside(real, fs::weakly_canonical(sweep.model.path, ignored))) wrong("lies in the model folder");
  return output;
}

void check_version(const Yaml& root) {
  const auto version = root.find("version");
  if (!version)
    root.reject(ym::kVersion, "\"version\" is absent", "version: 1", "add \"version: 1\" as the first line");
  if (const std::int64_t number = version->integer(INT64_MIN, INT64_MAX); number != 1)
    version->reject(ym::kVersion, fmt::format("version {}", number), "version 1",
                    "write version: 1, or use the program that this file was written for");
}

Yaml read_root(Yaml root, const std::vector<std::string>& overrides) {
  if (!root.is_map())
    root.reject(ym::kKind, "this is no map",
                "the keys version, model, protocol, policies, budgets, tasks and output",
                "see harness/sweeps for examples");
  for (const std::string& assignment : overrides) root.set(assignment);
  root.only({"version", "model", "protocol", "policies", "budgets", "tasks", "output"});
  check_version(root);
  return root;
}

Sweep tasks_in(const Yaml& root, const std::string& folder, SweepModel model) {
  Sweep sweep;
  sweep.file = root.file();
  sweep.model = std::move(model);
  if (const auto protocol = root.find("protocol")) read_seed(*protocol, sweep);
  read_tasks(root.at("tasks"), folder, sweep);
  return sweep;
}

}  // namespace

Sweep load_sweep(const std::string& path, const std::vector<std::string>& overrides) {
  const Yaml root = read_root(Yaml::from_file(path), overrides);
  const fs::path folder = fs::path(path).parent_path();
  Sweep sweep;
  sweep.file = path;
  sweep.model = read_model(root.at("model"), folder);
  read_protocol(root.at("protocol"), sweep);
  PointReader(root, sweep.seed, sweep.points);
  read_tasks(root.at("tasks"), folder.string(), sweep);
  sweep.output = read_output(root.at("output"), sweep);
  return sweep;
}

Sweep load_tasks(const std::string& path, const std::vector<std::string>& overrides, SweepModel model) {
  return tasks_in(read_root(Yaml::from_file(path), overrides), fs::path(path).parent_path().string(),
                  std::move(model));
}

Sweep load_tasks_text(const std::string& text, const std::string& name,
                      const std::vector<std::string>& overrides, SweepModel model) {
  return tasks_in(read_root(Yaml::from_text(text, name), overrides), "", std::move(model));
}

const char* name_of(Protocol::Question question) {
  return question == Protocol::Question::kInside ? "inside" : "after";
}

const char* name_of(Protocol::FirstToken first_token) {
  return first_token == Protocol::FirstToken::kEvicted ? "evicted" : "full";
}

const char* name_of(Continuation::Kind fidelity) {
  using Kind = Continuation::Kind;
  return fidelity == Kind::kAnswer ? "answer" : fidelity == Kind::kReference ? "reference" : "none";
}

std::string policy_name(const Point& point) {
  const std::string& id = point.policy->id();
  return id.substr(0, id.find('{'));
}

std::string point_id(const Point& point, const Protocol& protocol, const std::string& compute) {
  const std::string text = fmt::format(
      "policy={}\nunit={}\namount={}\nquestion={}\nfirst_token={}\ncompute={}\n", point.policy->id(),
      point.unit, point.amount, name_of(protocol.question), name_of(protocol.first_token), compute);
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

std::vector<std::pair<std::string, std::string>> identity(const Sweep& sweep) {
  std::vector<std::pair<std::string, std::string>> out{{"model.device", sweep.model.device},
                                                       {"model.compute", sweep.model.compute},
                                                       {"model.chat", sweep.model.chat},
                                                       {"protocol.seed", fmt::format("{}", sweep.seed)}};
  if (sweep.fidelity != Continuation::Kind::kNone)
    out.emplace_back("protocol.fidelity", name_of(sweep.fidelity));
  for (std::size_t i = 0; i < sweep.protocols.size(); ++i)
    out.emplace_back(fmt::format("protocols[{}]", i),
                     fmt::format("question {}, first_token {}", name_of(sweep.protocols[i].question),
                                 name_of(sweep.protocols[i].first_token)));
  for (std::size_t i = 0; i < sweep.points.size(); ++i)
    out.emplace_back(fmt::format("points[{}]", i), sweep.points[i].name);
  const auto tasks = identity(sweep.tasks);
  out.insert(out.end(), tasks.begin(), tasks.end());
  return out;
}

std::vector<std::pair<std::string, std::string>> identity(const std::vector<SweepTask>& tasks) {
  std::vector<std::pair<std::string, std::string>> out;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::string task = fmt::format("tasks[{}].", i);
    if (tasks[i].limit) out.emplace_back(task + "limit", fmt::format("{}", *tasks[i].limit));
    for (const auto& [key, option] : tasks[i].options.options) {
      std::vector<std::string> texts;
      for (const auto& scalar : option.values) texts.push_back(scalar.text);
      out.emplace_back(task + key, fmt::format("{}", texts));
    }
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> data_facts(const Sweep& sweep) {
  std::vector<std::pair<std::string, std::string>> facts{{"seed", fmt::format("{}", sweep.seed)}};
  for (auto& fact : identity(sweep.tasks)) facts.push_back(std::move(fact));
  return facts;
}

}  // namespace evictbench
