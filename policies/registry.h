#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policies/options.h"
#include "policies/policy.h"

namespace evictbench {

struct PolicyEntry {
  std::string name;     // "snapkv", or "snapkv@compresskv" for a published variant
  std::string paper;    // where the rule comes from
  std::string summary;  // what it keeps, in a line
  std::string formula;  // score s and shares, in the letters of kFormulaLetters
  std::unique_ptr<Policy> (*make)(const Options&);
};

struct OptionInfo {
  std::string key, fallback, allowed;  // "window", "32", "1..65536"
  std::string unit;                    // "tokens"; "" of a plain number, a word, a file
  std::string when;                    // "base=pyramidkv" if it exists only then
};

// What the letters of a formula stand for.
constexpr const char* kFormulaLetters =
    "A[h,r,t]: attention of query head h, in row r, to token t; g: a KV head and the query heads that read "
    "it; "
    "L, H, G: layers, query and KV heads; T: prompt tokens; C: budget, entries per lane; B = C - window; "
    "ties go to the "
    "lower t";

const std::vector<PolicyEntry>& all_policies();  // sorted by name
std::vector<OptionInfo> describe(const PolicyEntry& entry);

// Both give the policy its id, and throw on unknown names and options and on bad values.
std::unique_ptr<const Policy> make_policy(const Options& options);
std::unique_ptr<const Policy> make_policy(std::string_view spec);  // "snapkv{window=16}"
std::unique_ptr<const Policy> make_policy(const std::string& name, std::map<std::string, std::string> values);

int register_policy(PolicyEntry entry);

// The one line that puts a policy in the catalogue.
template <class P>
int registered(std::string name, std::string paper, std::string summary, std::string formula) {
  return register_policy(
      {std::move(name), std::move(paper), std::move(summary), std::move(formula),
       [](const Options& o) -> std::unique_ptr<Policy> { return std::make_unique<P>(o); }});
}

}  // namespace evictbench
