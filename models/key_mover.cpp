#include "models/key_mover.h"

#include <fmt/format.h>

#include "core/ops.h"

namespace evictbench {
namespace {

[[noreturn]] void refuse(const DecoderConfig& config, const std::string& found) {
  reject(Exit::kUsage, {"E-CF-12", config.model_type, "", found,
                        "rotary positions that do not follow a length", "leave keys at their own positions"});
}

}  // namespace

KeyMover::KeyMover(const DecoderConfig& config) {
  if (config.learned_positions()) refuse(config, "keys that cannot be moved: positions are learned");
  for (RopeConfig rope : config.ropes) {
    if (rope.kind == RopeConfig::Kind::kDynamic || rope.kind == RopeConfig::Kind::kLongRope)
      refuse(config, fmt::format("keys that cannot be moved: rotary scheme {}", name_of(rope.kind)));
    rope.attention_factor = 1;  // is in the keys already
    ropes_.emplace_back(rope);
  }
  for (const LayerForm& form : config.forms) rope_of_.push_back(form.rope);
}

void KeyMover::operator()(int layer, std::span<const std::int32_t> from, std::span<const std::int32_t> to,
                          Tensor& keys) const {
  const Rope& rope = ropes_[static_cast<std::size_t>(rope_of_[static_cast<std::size_t>(layer)])];
  RotaryRows turns, one;
  for (std::size_t n = 0; n < from.size(); ++n) {
    const std::int32_t way = to[n] - from[n], length = 0;
    if (n == 0 || way != to[n - 1] - from[n - 1]) one = rope.rows(std::span(&way, 1), std::span(&length, 1));
    turns.cosines.insert(turns.cosines.end(), one.cosines.begin(), one.cosines.end());
    turns.sines.insert(turns.sines.end(), one.sines.begin(), one.sines.end());
  }
  Device& device = keys.device();
  const std::vector<int> dims{static_cast<int>(from.size()), rope.pairs()};
  device.ops().rotate(device, Tensor::from_host<float>(device, turns.cosines, dims),
                      Tensor::from_host<float>(device, turns.sines, dims), keys);
}

}  // namespace evictbench
