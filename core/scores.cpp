#include "core/scores.h"

namespace evictbench {

void reject_nan_score(int layer, int head, int slot) {
  reject(Exit::kInput, {.code = "E-SC-01",
                        .file = "scores",
                        .position = "layer " + std::to_string(layer) + ", head " + std::to_string(head) +
                                    ", slot " + std::to_string(slot),
                        .found = "NaN",
                        .expected = "numbers only, since NaN has no rank",
                        .mend = "check the weights of the model: its attention overflowed"});
}

}  // namespace evictbench
