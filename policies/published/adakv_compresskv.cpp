// AdaKV in CompressKV: heads grouped in strides.
// Feng et al. 2024, arXiv:2407.11550; TUDa-HWAI/CompressKV (later revision).
//
//   score     as snapkv@compresskv
//   share     of a head: what it wins in its layer, blended with an equal share by `alpha`, in whole numbers
//   keep      the window, then the best scores

#include "policies/published/variants.h"
#include "policies/registry.h"

namespace evictbench {
namespace {

class AdaKvOfCompressKv final : public RoundedAda<StridedSnapKv> {
 public:
  explicit AdaKvOfCompressKv(const Options& o) : RoundedAda(o, kOfCompressKv) {}
};

[[maybe_unused]] const int entry = registered<AdaKvOfCompressKv>(
    "adakv@compresskv", "arXiv:2407.11550", "as adakv@adakv, with heads grouped in strides",
    "s as snapkv@compresskv; lane g: window + round((1 - alpha) won[g] + floor(alpha B)), won: its part of "
    "the best G B entries of the layer");

}  // namespace
}  // namespace evictbench
