// The operations of core/ops.h on the host: work is split by output, so threads never change a bit.
#include "core/ops.h"

#include <algorithm>
#include <cstring>

#include "core/cpu/attention.h"
#include "core/cpu/device.h"
#include "core/cpu/kernels.h"
#include "core/cpu/pack.h"
#include "core/cpu/score_ops.h"
#include "core/numerics.h"

namespace evictbench {
namespace {

std::vector<std::int32_t> best(Device& device, const Tensor& logits) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(logits.rows()));
  cpu_of(device).each(static_cast<int>(logits.rows()), [&](int n) {
    out[static_cast<std::size_t>(n)] = cpu_of(device).kernels().best(logits.row<float>(n), logits.columns());
  });
  return out;
}

void embed(Device& device, const PackedMatrix& table, std::span<const std::int32_t> ids, Tensor& out) {
  cpu_of(device).each(static_cast<int>(ids.size()), [&](int n) {
    const cpu::Place place(table, ids[static_cast<std::size_t>(n)]);
    float* row = out.row<float>(n);
    const auto fill = [&]<class Element>(const Element* all, const auto& widen) {
      for (int k = 0; k < table.depth; ++k) row[k] = widen(all[place.at(k)]);
    };
    if (table.dtype == DType::kF32)
      fill(table.panels.data<float>(), [](float x) { return x; });
    else if (table.dtype == DType::kF16)
      fill(table.panels.data<std::uint16_t>(), [](std::uint16_t x) { return f16_to_f32(x); });
    else
      fill(table.panels.data<std::uint16_t>(), [](std::uint16_t x) { return bf16_to_f32(x); });
  });
}

// A product is cut into tasks of one panel and a stretch of rows. A thread takes panels one after the other, as they lie.
struct Cut {
  Cut(int all_rows, int all_panels) : panels(all_panels) {
    constexpr int kRows = 144;  // fill the register tiles of every path
    rows = std::min(all_rows, kRows);
    stretches = (all_rows + rows - 1) / rows;
  }
  int panels, rows, stretches;
};

// Rows are whatever of x's shape stands before `depth` numbers ([N, H, D] for [N, H D]).
void matmul(Device& device, const Tensor& x, const PackedMatrix& w, Tensor& y) {
  const int rows = static_cast<int>(x.size() / static_cast<std::size_t>(w.depth));
  require(x.size() == static_cast<std::size_t>(rows) * static_cast<std::size_t>(w.depth) &&
              y.size() == static_cast<std::size_t>(rows) * static_cast<std::size_t>(w.outputs),
          "matmul: shapes do not fit");
  CpuDevice& cpu = cpu_of(device);
  const cpu::Kernels& kernels = cpu.kernels();
  const Cut cut(rows, cpu::panels_of(w.outputs));
  const auto rows_of = [&](int stretch) { return std::min(cut.rows, rows - stretch * cut.rows); };
  const int depth = w.pairs ? cpu::stored_depth(w) / 2 : w.depth;  // words of a row
  const float* in = x.data<float>();
  Tensor packed;  // [rows, depth]
  if (w.pairs || rows > 1) {
    packed = Tensor(device, DType::kF32, {rows, depth});
    cpu.each(cut.stretches, [&](int stretch) {
      const std::ptrdiff_t row = std::ptrdiff_t{stretch} * cut.rows;
      const float* from = x.data<float>() + row * w.depth;
      float* to = packed.data<float>() + row * depth;
      if (w.pairs)
        kernels.pack_pairs(from, rows_of(stretch), w.depth, to);
      else
        kernels.pack_rows(from, depth, rows_of(stretch), depth, to);
    });
    in = packed.data<float>();
  }
  const std::ptrdiff_t panel_size = std::ptrdiff_t{cpu::stored_depth(w)} * cpu::kWeightPanel;
  float* out = y.data<float>();
  cpu.each(cut.panels * cut.stretches, [&](int task) {
    static thread_local std::vector<float> scratch(cpu::kDepthPiece * cpu::kWeightPanel);
    const int panel = task % cut.panels, stretch = task / cut.panels;
    const std::ptrdiff_t row = std::ptrdiff_t{stretch} * cut.rows;
    const int first = panel * cpu::kWeightPanel, outputs = std::min(cpu::kWeightPanel, w.outputs - first);
    const void* mine = w.panels.at(panel * panel_size);
    float* to = out + row * w.outputs + first;
    if (w.pairs)
      kernels.gemm_pairs(in + row * depth, rows_of(stretch), mine, depth, outputs, to, w.outputs);
    else
      kernels.gemm(in + row * depth, rows_of(stretch), mine, w.dtype, depth, outputs, to, w.outputs,
                   scratch.data());
  });
}

constexpr int kRowPiece = 16;  // rows of a task of an elementwise operation

template <class Row>
void each_row(Device& device, std::ptrdiff_t rows, const Row& row) {
  cpu_of(device).each(static_cast<int>((rows + kRowPiece - 1) / kRowPiece), [&](int piece) {
    const std::ptrdiff_t end = std::min<std::ptrdiff_t>(rows, std::ptrdiff_t{piece + 1} * kRowPiece);
    for (std::ptrdiff_t n = std::ptrdiff_t{piece} * kRowPiece; n < end; ++n) row(n);
  });
}

void rms_norm(Device& device, const Tensor& x, const Tensor& weight, float eps, Tensor& y) {
  const cpu::Kernels& kernels = cpu_of(device).kernels();
  each_row(device, x.rows(), [&](std::ptrdiff_t n) {
    kernels.rms_norm(x.row<float>(n), weight.data<float>(), x.columns(), eps, y.row<float>(n));
  });
}

void add(Device& device, const Tensor& x, Tensor& sum) {
  const cpu::Kernels& kernels = cpu_of(device).kernels();
  each_row(device, x.rows(),
           [&](std::ptrdiff_t n) { kernels.add(x.row<float>(n), sum.row<float>(n), x.columns()); });
}

void layer_norm(Device& device, const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                Tensor& y) {
  const cpu::Kernels& kernels = cpu_of(device).kernels();
  each_row(device, x.rows(), [&](std::ptrdiff_t n) {
    kernels.layer_norm(x.row<float>(n), weight.data<float>(), bias.data<float>(), x.columns(), eps,
                       y.row<float>(n));
  });
}

void add_bias(Device& device, const Tensor& bias, Tensor& rows) {
  const cpu::Kernels& kernels = cpu_of(device).kernels();
  each_row(device, rows.rows(),
           [&](std::ptrdiff_t n) { kernels.add(bias.data<float>(), rows.row<float>(n), rows.columns()); });
}

void scale(Device& device, float factor, Tensor& x) {
  const cpu::Kernels& kernels = cpu_of(device).kernels();
  each_row(device, x.rows(), [&](std::ptrdiff_t n) { kernels.scale(factor, x.row<float>(n), x.columns()); });
}

void softcap(Device& device, float cap, Tensor& x) {
  const cpu::Kernels& kernels = cpu_of(device).kernels();
  each_row(device, x.rows(), [&](std::ptrdiff_t n) { kernels.softcap(cap, x.row<float>(n), x.columns()); });
}

void take_rows(Device& device, const Tensor& table, std::span<const std::int32_t> rows, Tensor& out) {
  require(out.dtype() == table.dtype() && out.columns() == table.columns() && out.rows() == std::ssize(rows),
          "take_rows: shapes do not fit");
  const std::ptrdiff_t n = table.columns();
  each_row(device, out.rows(), [&](std::ptrdiff_t i) {
    std::memcpy(out.at(i * n), table.at(rows[static_cast<std::size_t>(i)] * n),
                static_cast<std::size_t>(n) * size_of(out.dtype()));
  });
}

void activate(Device& device, Activation kind, const Tensor& gate_up, Tensor& y) {
  const cpu::Kernels& kernels = cpu_of(device).kernels();
  const bool gated = gate_up.columns() != y.columns();
  each_row(device, y.rows(), [&](std::ptrdiff_t n) {
    const float* gate = gate_up.row<float>(n);
    kernels.activate(kind, gate, gated ? gate + y.columns() : nullptr, y.row<float>(n), y.columns());
  });
}

void norm_heads(Device& device, const Tensor& weight, float eps, int first_head, int heads, Tensor& rows) {
  const cpu::Kernels& kernels = cpu_of(device).kernels();
  const int D = weight.columns();
  each_row(device, rows.rows(), [&](std::ptrdiff_t n) {
    float* head = rows.row<float>(n) + std::ptrdiff_t{first_head} * D;
    for (int h = 0; h < heads; ++h, head += D) kernels.rms_norm(head, weight.data<float>(), D, eps, head);
  });
}

void split_rotate(Device& device, const Tensor& qkv, const Tensor& cosines, const Tensor& sines, Tensor& q,
                  Tensor& k, Tensor& v) {
  const int H = q.dim(1), G = k.dim(1), D = q.dim(2), pairs = cosines.columns();
  const cpu::Kernels& kernels = cpu_of(device).kernels();
  each_row(device, qkv.rows(), [&](std::ptrdiff_t n) {
    const float* from = qkv.row<float>(n);
    const auto turn = [&](Tensor& to, int heads) {
      for (int h = 0; h < heads; ++h, from += D)
        kernels.rotate(from, cosines.row<float>(n), sines.row<float>(n), D, pairs,
                       to.row<float>(n * heads + h));
    };
    turn(q, H);
    turn(k, G);
    std::memcpy(v.row<float>(n * G), from,
                sizeof(float) * static_cast<std::size_t>(G) * static_cast<std::size_t>(D));
  });
}

void rotate(Device& device, const Tensor& cosines, const Tensor& sines, Tensor& rows) {
  const int D = rows.columns(), pairs = cosines.columns();
  each_row(device, rows.rows(), [&](std::ptrdiff_t n) {
    float* row = rows.row<float>(n);
    cpu_of(device).kernels().rotate(row, cosines.row<float>(n), sines.row<float>(n), D, pairs, row);
  });
}

Tensor key_norms(Device& device, const DenseKv& cache, int tokens) {
  const int L = cache.layers(), G = cache.heads(), D = cache.dim();
  Tensor out(device, DType::kF32, {L, G, tokens});
  cpu_of(device).each(L * G, [&](int lane) {
    float norms[kPanel];
    for (int t = 0; t < tokens; t += kPanel) {
      cpu_of(device).kernels().key_norms(cache.lane_keys<float>(lane) + std::ptrdiff_t{t} * D, D, norms);
      std::copy(norms, norms + std::min(kPanel, tokens - t), out.row<float>(lane) + t);
    }
  });
  return out;
}

Tensor value_norms(Device& device, const DenseKv& cache, int tokens) {
  const int L = cache.layers(), G = cache.heads(), D = cache.dim();
  Tensor out(device, DType::kF32, {L, G, tokens});
  cpu_of(device).each(L * G, [&](int lane) {
    for (int t = 0; t < tokens; ++t)
      out.row<float>(lane)[t] =
          cpu_of(device).kernels().norm(cache.lane_values<float>(lane) + std::ptrdiff_t{t} * D, D);
  });
  return out;
}

}  // namespace

const Ops& CpuDevice::ops() const {
  static constexpr Ops table{
      .pack = cpu::pack,
      .best = best,
      .embed = embed,
      .matmul = matmul,
      .rms_norm = rms_norm,
      .layer_norm = layer_norm,
      .add = add,
      .add_bias = add_bias,
      .scale = scale,
      .softcap = softcap,
      .take_rows = take_rows,
      .activate = activate,
      .norm_heads = norm_heads,
      .split_rotate = split_rotate,
      .rotate = rotate,
      .store = cpu::store,
      .attend = cpu::attend,
      .add_column_sums = cpu::add_column_sums,
      .keep_window = cpu::keep_window,
      .gather = cpu::gather,
      .combine = cpu::combine,
      .put_rows = cpu::put_rows,
      .window_attention = cpu::window_attention,
      .key_norms = key_norms,
      .value_norms = value_norms,
      .negate = cpu::negate,
      .reduce_heads = cpu::reduce_heads,
      .pool = cpu::pool,
      .rank = cpu::rank,
      .contest = cpu::contest,
      .prefix = cpu::prefix,
  };
  return table;
}

}  // namespace evictbench
