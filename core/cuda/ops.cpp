#include "core/cuda/ops.h"

#include "core/cuda/device.h"

namespace evictbench {

const Ops& CudaDevice::ops() const {
  static constexpr Ops table{
      .pack = cuda::pack,
      .best = cuda::best,
      .embed = cuda::embed,
      .matmul = cuda::matmul,
      .rms_norm = cuda::rms_norm,
      .layer_norm = cuda::layer_norm,
      .add = cuda::add,
      .add_bias = cuda::add_bias,
      .scale = cuda::scale,
      .softcap = cuda::softcap,
      .take_rows = cuda::take_rows,
      .activate = cuda::activate,
      .norm_heads = cuda::norm_heads,
      .split_rotate = cuda::split_rotate,
      .rotate = cuda::rotate,
      .store = cuda::store,
      .attend = cuda::attend,
      .add_column_sums = cuda::add_column_sums,
      .keep_window = cuda::keep_window,
      .gather = cuda::gather,
      .combine = cuda::combine,
      .put_rows = cuda::put_rows,
      .window_attention = cuda::window_attention,
      .key_norms = cuda::key_norms,
      .value_norms = cuda::value_norms,
      .negate = cuda::negate,
      .reduce_heads = cuda::reduce_heads,
      .pool = cuda::pool,
      .rank = cuda::rank,
      .contest = cuda::contest,
      .prefix = cuda::prefix,
  };
  return table;
}

}  // namespace evictbench
