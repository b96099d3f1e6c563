#include "harness/baseline.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "core/io/json.h"
#include "reports/json_text.h"

namespace evictbench {
namespace {

constexpr int kSchema = 1;
const JsonRules kRules{.exit = Exit::kInput, .code_prefix = "E-BL"};

struct Facts {
  std::string tokens;  // XXH3 of the answer's ids, hex
  std::int64_t kept = 0, bytes = 0;
  bool operator==(const Facts&) const = default;
};
using Key = std::tuple<std::string, std::string, std::string>;  // task, example, point

Facts facts_of(const Record& r) {
  const auto size = r.answer_ids.size() * sizeof(std::int32_t);
  return {fmt::format("{:016x}", XXH3_64bits(r.answer_ids.data(), size)), r.kept, r.retained_bytes};
}

std::string shown(const Facts& facts) {
  return fmt::format("tokens {}, kept {}, bytes {}", printable(facts.tokens), facts.kept, facts.bytes);
}

// What another version of the program has in common with this one.
Manifest comparable(Manifest manifest) {
  std::erase_if(manifest, [](const auto& field) { return field.first == "evictbench"; });
  return manifest;
}

[[noreturn]] void refuse(const std::string& folder, const std::string& found) {
  reject(Exit::kNotComparable, {"E-BL-02", folder, "", found, "all records of the baseline's experiment",
                                "run its sweep to the end, or write a new baseline with --write"});
}

}  // namespace

std::string baseline_text(const Manifest& manifest, std::span<const Record> records) {
  JsonText head;
  head.open('{').key("schema").integer(kSchema).key("identity").open('{');
  for (const auto& [name, value] : comparable(manifest)) head.key(name).text(value);
  head.close();
  std::string lines;
  for (const Record& r : records) {
    if (!r.error.empty())
      reject(Exit::kFailedPoints, {"E-BL-01", r.task + "/" + r.example, "", printable(r.error),
                                   "records without errors", "mend the run before it becomes a baseline"});
    const Facts facts = facts_of(r);
    JsonText line;
    line.open('{').key("task").text(r.task).key("example").text(r.example).key("point").text(r.point);
    line.key("tokens").text(facts.tokens).key("kept").integer(facts.kept).key("bytes").integer(facts.bytes);
    lines += (lines.empty() ? "\n" : ",\n") + line.close().str();
  }
  return head.str() + ",\"records\":[" + lines + "\n]}\n";
}

BaselineCheck check_baseline(const std::string& file, const std::string& folder, const Manifest& manifest,
                             std::span<const Record> records) {
  const Json baseline = Json::from_file(file, kRules);
  baseline.at("schema").integer(kSchema, kSchema);
  Manifest identity;
  for (const auto& [name, value] : baseline.at("identity").items())
    identity.emplace_back(name, value.string());
  if (const auto lines = differences(identity, comparable(manifest)); !lines.empty())
    refuse(folder, fmt::format("another experiment than in {}: {}{}", file, lines.front(),
                               lines.size() > 1 ? fmt::format("; and {} more", lines.size() - 1) : ""));

  std::map<Key, Facts> due;
  const Json list = baseline.at("records");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json r = list[i];
    due[{r.at("task").string(), r.at("example").string(), r.at("point").string()}] = {
        r.at("tokens").string(), r.at("kept").integer(), r.at("bytes").integer()};
  }
  if (due.size() != records.size())
    refuse(folder, fmt::format("{} records where {} has {}", records.size(), file, due.size()));

  BaselineCheck check{records.size(), {}};
  for (const Record& r : records) {
    const auto found = due.find({r.task, r.example, r.point});
    if (found == due.end())
      refuse(folder, fmt::format("a record of {} {} that {} lacks", r.task, r.example, file));
    const std::string what = fmt::format("{} {} question {} {} {} {}", r.task, r.example, r.question,
                                         r.policy, shortest(r.budget), r.budget_unit);
    if (!r.error.empty())
      check.changes.push_back(fmt::format("{}: failed: {}", what, printable(r.error)));
    else if (facts_of(r) != found->second)
      check.changes.push_back(fmt::format("{}: {}; was {}", what, shown(facts_of(r)), shown(found->second)));
  }
  return check;
}

}  // namespace evictbench
