// HeadKV: heads that retrieve, or reason over what they retrieve, get more of one pool for the whole model.
// Fu et al. 2024, arXiv:2410.19258.
//
//   score     attention from the window, mean of the group, pooled (`pool`) over `kernel` tokens
//   share     1 / `beta` of what is beyond the window is pooled and goes to lanes by the scores in the file
//             `head_scores`: (mean / sum)^`temperature`, added up over the heads of a group; the rest is for all alike
//   keep      the window, then the best scores

#include "policies/head_pool.h"
#include "policies/registry.h"
#include "policies/snapkv.h"

namespace evictbench {
namespace {

class HeadKv final : public HeadPooled<SnapKv> {
 public:
  explicit HeadKv(const Options& o)
      : HeadPooled(o, SnapKv::Defaults{.window = 8, .kernel = 7, .pool = "max"}) {}
};

[[maybe_unused]] const int entry = registered<HeadKv>(
    "headkv", "arXiv:2410.19258", "as snapkv, with more entries for heads that are known to retrieve",
    "s as snapkv; lane g: window + B - B / beta + w[g] L G B / beta, w: head scores, (mean / "
    "sum)^temperature, added up over g, sum 1");

}  // namespace
}  // namespace evictbench
