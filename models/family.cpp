#include "models/family.h"

#include <algorithm>

#include "core/error.h"

namespace evictbench {
namespace {

std::vector<Family>& table() {
  static std::vector<Family> families;
  return families;
}

}  // namespace

int register_family(Family family) {
  auto& families = table();
  const auto at = std::ranges::lower_bound(families, family.model_type, {}, &Family::model_type);
  require(at == families.end() || at->model_type != family.model_type, "family registered twice");
  families.insert(at, std::move(family));
  return static_cast<int>(families.size());
}

const std::vector<Family>& all_families() { return table(); }

const Family& family_of(const Json& config) {
  const std::string model_type = model_type_of(config);
  std::string known;
  for (const Family& family : table()) {
    if (family.model_type == model_type) return family;
    known += (known.empty() ? "" : ", ") + family.model_type;
  }
  config.at("model_type")
      .reject("02", "model_type \"" + printable(model_type) + "\"", "one of: " + known,
              "use a checkpoint of a supported family (evictbench list families)");
}

}  // namespace evictbench
