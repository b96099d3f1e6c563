#include "harness/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "datasets/registry.h"
#include "harness/memory.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

constexpr std::size_t kMostLengths = 6;  // columns of the table

KvShape with_tokens(KvShape shape, int tokens) {
  shape.tokens = tokens;
  return shape;
}

// Every length there is; of many, some from the shortest to the longest.
std::vector<int> lengths_of(const std::vector<int>& tokens) {
  const std::set<int> distinct(tokens.begin(), tokens.end());
  const std::vector<int> all(distinct.begin(), distinct.end());
  if (all.size() <= kMostLengths) return all;
  std::vector<int> some;
  for (std::size_t i = 0; i < kMostLengths; ++i)
    some.push_back(all[i * (all.size() - 1) / (kMostLengths - 1)]);
  return some;
}

std::vector<int> lengths_of(const Plan& plan) {
  std::vector<int> tokens;
  for (const PlanTask& task : plan.tasks) tokens.insert(tokens.end(), task.tokens.begin(), task.tokens.end());
  return lengths_of(tokens);
}

int longest(const Plan& plan) {
  const std::vector<int> lengths = lengths_of(plan);
  return lengths.empty() ? 0 : lengths.back();
}

std::int64_t bytes_of(std::int64_t entries, const KvShape& shape) { return entries * shape.entry_bytes(); }

std::int64_t snapshot_bytes(const Plan& plan, const KvShape& shape) {
  return bytes_of(std::int64_t{longest(plan)} * shape.lanes(), shape);
}

std::int64_t kept_bytes(const Plan& plan, const KvShape& shape) {
  std::int64_t sum = 0;
  for (const Point& point : plan.points) sum += predict(point, with_tokens(shape, longest(plan))).bytes;
  return sum;
}

std::string label(const Protocol& protocol) {
  return fmt::format("question {}, first token {}", name_of(protocol.question),
                     name_of(protocol.first_token));
}

std::size_t examples_of(const Plan& plan) {
  std::size_t sum = 0;
  for (const PlanTask& task : plan.tasks) sum += task.examples.size();
  return sum;
}

PlanTask make_task(const Sweep& sweep, std::size_t entry, std::shared_ptr<const Dataset> dataset,
                   const TokenCounter& count) {
  const SweepTask& from = sweep.tasks[entry];
  PlanTask task{.id = dataset->name(),
                .dataset = dataset,
                .examples = dataset->examples(count),
                .tokens = {},
                .beside = {},
                .entry = entry};
  if (from.limit && task.examples.size() > static_cast<std::size_t>(*from.limit))
    task.examples.resize(static_cast<std::size_t>(*from.limit));
  if (task.examples.empty())
    reject(Exit::kInput, {"E-PL-01", from.options.file, from.options.position,
                          fmt::format("the task \"{}\" has no examples", printable(task.id)), "one or more",
                          "check its data and options"});
  for (const Example& example : task.examples) {
    if (example.rules) {
      const auto [all, beside] = count.prompt(example);
      task.tokens.push_back(all);
      task.beside.push_back(beside);
      continue;
    }
    task.beside.push_back(count.beside(example.question, example.answer_prefix));
    task.tokens.push_back(example.length > 0 ? example.length : count(example.context) + task.beside.back());
  }
  return task;
}

}  // namespace

Plan make_plan(const Sweep& sweep, const TokenCounter& count) {
  Plan plan{{},
            sweep.protocols,
            sweep.points,
            sweep.model.compute,
            sweep.fidelity,
            sweep.model.examples_in_flight()};
  std::set<std::string> ids;
  for (std::size_t entry = 0; entry < sweep.tasks.size(); ++entry) {
    const TaskOptions& options = sweep.tasks[entry].options;
    for (auto& dataset : make_datasets(options)) {
      plan.tasks.push_back(make_task(sweep, entry, std::move(dataset), count));
      if (const std::string& id = plan.tasks.back().id; !ids.insert(id).second)
        reject(Exit::kSweep,
               {"E-PL-02", options.file, options.position, fmt::format("a second task \"{}\"", printable(id)),
                "every task once", "give one of them another \"id\""});
    }
  }
  return plan;
}

std::vector<PlanUnit> Plan::units() const {
  std::vector<PlanUnit> out;
  std::size_t number = 0;
  for (std::size_t task = 0; task < tasks.size(); ++task)
    for (std::size_t protocol = 0; protocol < protocols.size(); ++protocol)
      for (std::size_t example = 0; example < tasks[task].examples.size(); ++example)
        if (shard.has(number++)) out.push_back({task, example, protocol});
  return out;
}

std::vector<RecordKey> Plan::keys() const {
  std::vector<std::vector<std::string>> ids(protocols.size());  // [protocols][points]
  for (std::size_t i = 0; i < protocols.size(); ++i)
    for (const Point& point : points) ids[i].push_back(point_id(point, protocols[i], compute));
  std::vector<RecordKey> out;
  for (const PlanUnit& unit : units())
    for (const std::string& id : ids[unit.protocol])
      out.push_back({tasks[unit.task].id, tasks[unit.task].examples[unit.example].id, id});
  return out;
}

std::int64_t Plan::cells() const {
  return static_cast<std::int64_t>(examples_of(*this) * protocols.size() * points.size());
}

Share predict(const Point& point, const KvShape& shape) {
  const std::int64_t lanes = std::int64_t{shape.layers} * point.policy->heads(shape);
  const std::int64_t all = lanes * shape.tokens;
  const std::int64_t asked =
      point.unit == "full" ? all : point.budget(shape).total(shape) * lanes / shape.lanes();
  const std::int64_t entries = std::min(all, asked);
  return {entries, static_cast<double>(entries) / shape.lanes(), bytes_of(entries, shape), asked >= all};
}

std::string in_units(std::int64_t bytes) {
  constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string describe(const Plan& plan, const KvShape& shape, const MemoryForecast& memory) {
  std::string out = "tasks\n";
  for (const PlanTask& task : plan.tasks)
    out += fmt::format("  {}: {} examples, prompts of {} tokens\n", printable(task.id), task.examples.size(),
                       fmt::join(lengths_of(task.tokens), ", "));
  out += "protocols\n";
  for (const Protocol& protocol : plan.protocols) out += fmt::format("  {}\n", label(protocol));

  std::size_t width = 0;
  for (const Point& point : plan.points) width = std::max(width, point.name.size());
  const std::vector<int> lengths = lengths_of(plan);
  out += fmt::format("points: mean entries per lane and bytes kept, of a prompt of\n  {:{}}", "", width);
  for (const int tokens : lengths) out += fmt::format("  {:>20}", fmt::format("{} tokens", tokens));
  for (const Point& point : plan.points) {
    out += fmt::format("\n  {:{}}", point.name, width);
    for (const int tokens : lengths) {
      const Share share = predict(point, with_tokens(shape, tokens));
      out += fmt::format("  {:>8.1f}{} {:>10}", share.mean, share.whole ? '*' : ' ', in_units(share.bytes));
    }
  }
  out += fmt::format("\n  * the whole prompt\ncells: {} examples x {} protocols x {} points = {} records\n",
                     examples_of(plan), plan.protocols.size(), plan.points.size(), plan.cells());
  out += fmt::format("KV memory at {} tokens: {} for the prompt, {} kept by all points together\n",
                     longest(plan), in_units(snapshot_bytes(plan, shape)), in_units(kept_bytes(plan, shape)));
  const bool several = memory.in_flight > 1;
  out += fmt::format(
      "peak memory{}: {} = weights {} + prompt{} {} + the greater of: prefill{} {}; statistics {} "
      "+ caches {} + step {}{}\n",
      several ? fmt::format(" of {} examples in flight", memory.in_flight) : "", in_units(memory.peak()),
      in_units(memory.weights), several ? "s" : "", in_units(memory.snapshot),
      several ? " and the caches of the others" : "", in_units(memory.prefill), in_units(memory.tables),
      in_units(memory.kept), in_units(memory.step),
      memory.fidelity > 0 ? " + fidelity " + in_units(memory.fidelity) : "");
  return out;
}

std::string describe_json(const Plan& plan, const KvShape& shape, const MemoryForecast& memory) {
  JsonText out(2);
  out.open('{').key("tasks").open('[');
  for (const PlanTask& task : plan.tasks) {
    out.open('{')
        .key("task")
        .text(task.id)
        .key("examples")
        .integer(static_cast<std::int64_t>(task.examples.size()));
    out.key("tokens").open('[');
    for (const int tokens : lengths_of(task.tokens)) out.integer(tokens);
    out.close().close();
  }
  out.close().key("protocols").open('[');
  for (const Protocol& protocol : plan.protocols)
    out.open('{')
        .key("question")
        .text(name_of(protocol.question))
        .key("first_token")
        .text(name_of(protocol.first_token))
        .close();
  out.close().key("points").open('[');
  for (const Point& point : plan.points) {
    out.open('{').key("name").text(point.name).key("policy").text(point.policy->id());
    out.key("unit").text(point.unit).key("amount").number(point.amount).key("ids").open('[');
    for (const Protocol& protocol : plan.protocols) out.text(point_id(point, protocol, plan.compute));
    out.close().key("shares").open('[');
    for (const int tokens : lengths_of(plan)) {
      const Share share = predict(point, with_tokens(shape, tokens));
      out.open('{').key("tokens").integer(tokens).key("mean_entries").number(share.mean);
      out.key("entries").integer(share.entries).key("bytes").integer(share.bytes).close();
    }
    out.close().close();
  }
  out.close().key("records").integer(plan.cells());
  out.key("prompt_bytes")
      .integer(snapshot_bytes(plan, shape))
      .key("kept_bytes")
      .integer(kept_bytes(plan, shape));
  out.key("memory").open('{').key("in_flight").integer(memory.in_flight);
  out.key("peak").integer(memory.peak()).key("weights").integer(memory.weights);
  out.key("snapshot").integer(memory.snapshot).key("prefill").integer(memory.prefill);
  out.key("statistics")
      .integer(memory.tables)
      .key("caches")
      .integer(memory.kept)
      .key("step")
      .integer(memory.step);
  if (memory.fidelity > 0) out.key("fidelity").integer(memory.fidelity);
  out.close();
  return out.close().str() + "\n";
}

}  // namespace evictbench
