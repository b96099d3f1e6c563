#include "policies/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"

namespace evictbench {
namespace {

std::vector<PolicyEntry>& table() {
  static std::vector<PolicyEntry> entries;
  return entries;
}

const PolicyEntry& find(const Options& options) {
  std::vector<std::string> names;
  for (const PolicyEntry& entry : table()) {
    if (entry.name == options.policy()) return entry;
    names.push_back(entry.name);
  }
  const std::string near = nearest(options.policy(), names);
  options.fail("", "E-PO-01", fmt::format("unknown policy '{}'", printable(options.policy())),
               fmt::format("one of {}", fmt::join(names, ", ")),
               near.empty() ? "see `evictbench list policies`" : fmt::format("did you mean '{}'?", near));
}

}  // namespace

int register_policy(PolicyEntry entry) {
  auto& entries = table();
  const auto at = std::ranges::lower_bound(entries, entry.name, {}, &PolicyEntry::name);
  require(at == entries.end() || at->name != entry.name, "a policy is registered twice");
  entries.insert(at, std::move(entry));
  return static_cast<int>(entries.size());
}

const std::vector<PolicyEntry>& all_policies() { return table(); }

// Options say what they were asked for; those asked for only with another choice say so.
std::vector<OptionInfo> describe(const PolicyEntry& entry) {
  const Options plain(entry.name);
  entry.make(plain);
  std::vector<OptionInfo> infos;
  for (const auto& [key, asked] : plain.asked())
    infos.push_back({key, asked.fallback, asked.allowed, asked.unit, ""});
  for (const auto& [key, asked] : plain.asked())
    for (const std::string& choice : asked.choices) {
      const Options other(entry.name, {{key, choice}});
      entry.make(other);
      for (const auto& [more, info] : other.asked())
        if (std::ranges::find(infos, more, &OptionInfo::key) == infos.end())
          infos.push_back({more, info.fallback, info.allowed, info.unit, fmt::format("{}={}", key, choice)});
    }
  std::ranges::sort(infos, {}, &OptionInfo::key);
  return infos;
}

std::unique_ptr<const Policy> make_policy(const Options& options) {
  auto policy = find(options).make(options);
  options.reject_unknown();
  options.reject_missing();
  policy->set_id(options.canonical());
  return policy;
}

std::unique_ptr<const Policy> make_policy(std::string_view spec) { return make_policy(Options::parse(spec)); }

std::unique_ptr<const Policy> make_policy(const std::string& name,
                                          std::map<std::string, std::string> values) {
  return make_policy(Options(name, std::move(values)));
}

}  // namespace evictbench
