// CompressKV: the heads that retrieve choose the tokens of their layer, and layers that suffer more keep more.
// Lin et al. 2025, arXiv:2508.02401.
//
//   score     attention from the window of the best `heads` of the layer, of `head_scores`, each pooled (`pool`) over
//             `kernel` tokens; their mean ranks for every lane of the layer
//   share     of a layer: 32 entries a lane, and by `layer_scores` what is above; at most 3 times the mean. Without
//             layer scores the same for every layer; of a head: the same
//   keep      the window, then the best scores

#include "policies/compresskv.h"

#include "policies/registry.h"

namespace evictbench {
namespace {

class CompressKv final : public RetrievalRanking {
 public:
  explicit CompressKv(const Options& o) : RetrievalRanking(o), layer_parts_(o) {}

  Needs needs(const KvShape& shape) const override {
    layer_parts_.check(shape);
    return RetrievalRanking::needs(shape);
  }

 protected:
  Shares allocate(const Scores&, const Ranking& ranking, const Budget& budget) const override {
    return layer_parts_.shares(ranking, budget);
  }

 private:
  LayerParts layer_parts_;
};

[[maybe_unused]] const int entry = registered<CompressKv>(
    "compresskv", "arXiv:2508.02401", "what the retrieval heads of a layer look at, for all its heads",
    "s[t] = mean over the best heads h of the layer of pool(sum over window rows r of A[h,r,t]); layer l: "
    "min(3 C, 32 + w[l] L (C - 32)), w: layer scores, sum 1");

}  // namespace
}  // namespace evictbench
