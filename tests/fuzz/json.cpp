// The strict JSON reader. What it accepts says what nlohmann's own tree says.
#include "core/io/json.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/fuzz/support/target.h"

namespace evictbench {
namespace {

using Tree = nlohmann::json;

void compare(const Json& ours, const Tree& theirs) {
  must(ours.is_null() == theirs.is_null() && ours.is_boolean() == theirs.is_boolean() &&
           ours.is_string() == theirs.is_string() && ours.is_array() == theirs.is_array() &&
           ours.is_object() == theirs.is_object() && ours.is_number() == theirs.is_number(),
       "json: another kind");
  if (ours.is_boolean()) must(ours.boolean() == theirs.get<bool>(), "json: another boolean");
  if (ours.is_string()) must(ours.string() == theirs.get_ref<const std::string&>(), "json: another text");
  if (theirs.is_number_integer() && !(theirs.is_number_unsigned() && theirs.get<std::uint64_t>() > INT64_MAX))
    must(ours.integer() == theirs.get<std::int64_t>(), "json: another integer");
  if (theirs.is_number_float())
    must(ours.number(std::numeric_limits<double>::lowest(), std::numeric_limits<double>::max()) ==
             theirs.get<double>(),
         "json: another number");
  if (ours.is_array()) {
    must(ours.size() == theirs.size(), "json: another length");
    for (std::size_t i = 0; i < theirs.size(); ++i) compare(ours[i], theirs[i]);
  }
  if (ours.is_object()) {
    must(ours.size() == theirs.size(), "json: another number of members");
    for (const auto& [key, value] : ours.items()) {
      compare(value, theirs.at(key));
      const auto found = ours.find(key);
      must(found.has_value() != value.is_null(), "json: a member that is not found");
    }
  }
}

}  // namespace

void fuzz_one(std::string_view input) {
  JsonRules rules;
  rules.depth = 16;
  rules.values = 1 << 12;
  const Json root = Json::from_text(std::string(input), "input.json", rules);
  compare(root, Tree::parse(input));
  const Json deep = root.is_object() ? root.at("key") : root[0];  // refusals with their place
  deep.position();
  deep.number(0, 1);
}

}  // namespace evictbench
