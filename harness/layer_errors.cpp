#include "harness/layer_errors.h"

#include <cmath>
#include <optional>

#include "core/error.h"

namespace evictbench {
namespace {

double norm_of(std::span<const double> x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return std::sqrt(sum);
}

// Everything, and what the policy keeps.
std::vector<Kept> both_caches(const Policy& policy, const Snapshot& snapshot) {
  const KvShape& s = snapshot.shape();
  Kept everything{Selection::everything(s.layers, s.kv_heads, s.tokens), {}, {}};
  if (s.tokens <= kErrorBudget) return {everything, everything};
  const Budget budget{kErrorBudget};
  return {everything, policy.select(snapshot.observation, std::span(&budget, 1)).at(0)};
}

// The greedy token, or nothing where the answer ends.
std::optional<std::int32_t> next_token(Device& device, const Tensor& logits, const DecodeLimits& limits,
                                       bool first) {
  std::int32_t token = device.ops().best(device, logits).at(0);
  if (first) token = limits.first_token(logits, 0, token);
  if (token < 0)
    throw Error(Exit::kInput,
                "error[E-LY-01] the model gives a logit that is not a number. Mend: check its weights "
                "with `validate --check-weights`.");
  if (limits.ends(token)) return std::nullopt;
  return token;
}

}  // namespace

double output_error(std::span<const float> kept, std::span<const float> full) {
  require(kept.size() == full.size(), "output_error: two rows of one size");
  std::vector<double> off, whole(full.begin(), full.end());
  for (std::size_t i = 0; i < full.size(); ++i) off.push_back(double{kept[i]} - double{full[i]});
  return norm_of(off) / (norm_of(whole) + 1e-5);
}

LayerErrors layer_errors(Device& device, const Model& model, std::span<const std::int32_t> prompt,
                         const Policy& policy, const DecodeLimits& limits,
                         const std::function<void()>& checkpoint) {
  const KvShape shape = model.shape(static_cast<int>(prompt.size()));
  const auto snapshot = model.prefill(device, prompt, policy.needs(shape),
                                      {.tap = nullptr, .all_logits = {}, .checkpoint = checkpoint});
  RaggedCache cache(snapshot, both_caches(policy, *snapshot), shape.tokens, limits.max_new);
  LayerErrors out{std::vector<double>(static_cast<std::size_t>(shape.layers)), 0, {}};
  const AttentionTap tap{
      .row = {}, .queries = {}, .outputs = [&](int layer, const Tensor& full, const Tensor& kept) {
        out.sums[static_cast<std::size_t>(layer)] += output_error(kept.to_floats(), full.to_floats());
      }};
  Tensor logits = Tensor::from_host<float>(device, snapshot->last_logits,
                                           {1, static_cast<int>(snapshot->last_logits.size())});
  while (const auto token = next_token(device, logits, limits, out.answer.empty())) {
    out.answer.push_back(*token);
    if (std::ssize(out.answer) == limits.max_new) break;
    logits = model.extend(device, cache, std::vector<Tokens>{{*token}, {}},
                          {.tap = &tap, .all_logits = {}, .checkpoint = checkpoint});
    ++out.steps;
  }
  return out;
}

}  // namespace evictbench
