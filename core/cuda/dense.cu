// Operations on the elements of dense rows.
#include "core/cuda/ops.h"
#include "core/cuda/rows.h"

namespace evictbench::cuda {
namespace {

// Of any type, in units of 16, 4 or 2 bytes.
template <class Unit>
struct TakeRows {
  const Unit* table;
  const std::int32_t* rows;
  Unit* out;
  int columns;
  template <int W>
  __device__ void run(std::ptrdiff_t n, int column) const {
    out[n * columns + column] = table[std::ptrdiff_t{rows[n]} * columns + column];
  }
};

template <class In, class Out>
struct Embed {
  const In* table;  // [outputs, padded depth]
  const std::int32_t* ids;
  Out* out;  // [N, depth]
  int depth, stride;
  template <int W>
  __device__ void run(std::ptrdiff_t n, int column) const {
    float x[W];
    load(table + std::ptrdiff_t{ids[n]} * stride + column, x);
    store(out + n * depth + column, x);
  }
};

template <class X, class Sum>
struct Add {
  const X* x;
  Sum* sum;
  int columns;
  std::ptrdiff_t x_stride;  // 0: one row for all
  template <int W>
  __device__ void run(std::ptrdiff_t n, int column) const {
    float a[W], b[W];
    load(x + n * x_stride + column, a);
    load(sum + n * columns + column, b);
    for (int i = 0; i < W; ++i) b[i] += a[i];
    store(sum + n * columns + column, b);
  }
};

template <class T>
struct Scale {
  T* x;
  int columns;
  float factor;
  template <int W>
  __device__ void run(std::ptrdiff_t n, int column) const {
    float a[W];
    load(x + n * columns + column, a);
    for (float& v : a) v *= factor;
    store(x + n * columns + column, a);
  }
};

struct Softcap {
  float* x;
  int columns;
  float cap;
  template <int W>
  __device__ void run(std::ptrdiff_t n, int column) const {
    float a[W];
    load(x + n * columns + column, a);
    for (float& v : a) v = numerics::softcap(v, cap);
    store(x + n * columns + column, a);
  }
};

template <class T, Activation kind>
struct Activate {
  const T* gate;  // [N, stride], what multiplies it F further on
  T* y;           // [N, F]
  int columns, stride;
  bool gated;

  // e^x; where the result becomes two bytes, as fast as the card can
  __device__ static float exp(float x) {
    if constexpr (std::is_same_v<T, float>)
      return numerics::exp(x);
    else
      return fast_exp2(x * numerics::kLog2e);
  }
  // silu(x) = x / (1 + e^-x); gelu(x) = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
  __device__ static float activated(float x) {
    float slope = x;
    if constexpr (kind == Activation::kGelu)
      slope = 2 * 0.7978845608f * numerics::fma(0.044715f * (x * x), x, x);
    return x / (1.0f + exp(0.0f - slope));
  }
  template <int W>
  __device__ void run(std::ptrdiff_t n, int column) const {
    float a[W], up[W];
    load(gate + n * stride + column, a);
    if (gated) load(gate + n * stride + columns + column, up);
    for (int i = 0; i < W; ++i) a[i] = gated ? activated(a[i]) * up[i] : activated(a[i]);
    store(y + n * columns + column, a);
  }
};

// Halves of a head are turned against each other: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin). Element i < pairs stands
// for a pair, each further one for an element that stays as it is. May be done in place.
template <int W, class T>
__device__ void turn(const T* x, const float* cosines, const float* sines, int pairs, int i, T* y) {
  float a[W], b[W], c[W], s[W], second[W];
  load(x + pairs + i, b);
  if (i >= pairs) return store(y + pairs + i, b);
  load(x + i, a);
  load(cosines + i, c);
  load(sines + i, s);
  for (int j = 0; j < W; ++j) {
    second[j] = numerics::fma(a[j], s[j], b[j] * c[j]);
    a[j] = numerics::fma(-b[j], s[j], a[j] * c[j]);
  }
  store(y + i, a);
  store(y + pairs + i, second);
}

template <class T>
struct SplitRotate {
  const T* qkv;                  // [N, (H + 2G) D]
  const float *cosines, *sines;  // [N, pairs]
  T *q, *k, *v;                  // [N, H, D], [N, G, D], [N, G, D]
  int q_heads, kv_heads, dim, pairs;
  __device__ __host__ int turned() const { return (q_heads + kv_heads) * (dim - pairs); }
  __device__ __host__ int columns() const { return turned() + kv_heads * dim; }
  template <int W>
  __device__ void run(std::ptrdiff_t n, int column) const {
    const T* from = qkv + n * (q_heads + 2 * kv_heads) * dim;
    if (column >= turned()) {
      float x[W];
      load(from + (q_heads + kv_heads) * dim + (column - turned()), x);
      return store(v + n * kv_heads * dim + (column - turned()), x);
    }
    const int head = column / (dim - pairs);
    T* to = head < q_heads ? q + (n * q_heads + head) * dim : k + (n * kv_heads + head - q_heads) * dim;
    turn<W>(from + head * dim, cosines + n * pairs, sines + n * pairs, pairs, column % (dim - pairs), to);
  }
};

template <class T>
struct Rotate {
  T* rows;                       // [n, D]
  const float *cosines, *sines;  // [n, pairs]
  int dim, pairs;
  template <int W>
  __device__ void run(std::ptrdiff_t n, int column) const {
    T* row = rows + n * dim;
    turn<W>(row, cosines + n * pairs, sines + n * pairs, pairs, column, row);
  }
};

template <class Unit>
void take(Device& device, const Tensor& table, const std::int32_t* rows, std::size_t row_bytes, Tensor& out) {
  const int columns = static_cast<int>(row_bytes / sizeof(Unit));
  each_element(device, TakeRows<Unit>{elements<Unit>(table), rows, elements<Unit>(out), columns}, out.rows(),
               columns);
}

}  // namespace

void take_rows(Device& device, const Tensor& table, std::span<const std::int32_t> rows, Tensor& out) {
  require(out.dtype() == table.dtype() && out.columns() == table.columns() && out.rows() == std::ssize(rows),
          "take_rows: shapes do not fit");
  const Table<std::int32_t> chosen(device, rows);
  const std::size_t bytes = static_cast<std::size_t>(out.columns()) * size_of(out.dtype());
  if (bytes % sizeof(Bytes16) == 0)
    take<Bytes16>(device, table, chosen.data(), bytes, out);
  else if (bytes % 4 == 0)
    take<std::uint32_t>(device, table, chosen.data(), bytes, out);
  else
    take<std::uint16_t>(device, table, chosen.data(), bytes, out);
}

void embed(Device& device, const PackedMatrix& table, std::span<const std::int32_t> ids, Tensor& out) {
  const Table<std::int32_t> chosen(device, ids);
  with_type(table.dtype, [&]<class In>(In) {
    with_type(out.dtype(), [&]<class Out>(Out) {
      if constexpr (std::is_same_v<Out, float> || std::is_same_v<Out, In>)
        each_pack(device,
                  Embed<In, Out>{elements<In>(table.panels), chosen.data(), elements<Out>(out), table.depth,
                                 table.panels.columns()},
                  std::ssize(ids), table.depth, whole_packs(table.depth));
      else
        require(false, "embed: rows are f32, or of the table's type");
    });
  });
}

void add(Device& device, const Tensor& x, Tensor& sum) {
  require(sum.dtype() == DType::kF32 && sum.size() == x.size(), "add: to f32 rows of the same shape");
  with_type(x.dtype(), [&]<class X>(X) {
    each_pack(device, Add<X, float>{elements<X>(x), elements<float>(sum), x.columns(), x.columns()}, x.rows(),
              x.columns(), whole_packs(x.columns()));
  });
}

void add_bias(Device& device, const Tensor& bias, Tensor& rows) {
  with_type(rows.dtype(), [&]<class T>(T) {
    each_pack(device, Add<float, T>{elements<float>(bias), elements<T>(rows), rows.columns(), 0}, rows.rows(),
              rows.columns(), whole_packs(rows.columns()));
  });
}

void scale(Device& device, float factor, Tensor& x) {
  with_type(x.dtype(), [&]<class T>(T) {
    each_pack(device, Scale<T>{elements<T>(x), x.columns(), factor}, x.rows(), x.columns(),
              whole_packs(x.columns()));
  });
}

void softcap(Device& device, float cap, Tensor& x) {
  require(x.dtype() == DType::kF32, "softcap: logits are f32");
  each_pack(device, Softcap{elements<float>(x), x.columns(), cap}, x.rows(), x.columns(),
            whole_packs(x.columns()));
}

void activate(Device& device, Activation kind, const Tensor& gate_up, Tensor& y) {
  require(gate_up.dtype() == y.dtype(), "activate: keeps the type");
  const int columns = y.columns(), stride = gate_up.columns();
  with_type(y.dtype(), [&]<class T>(T) {
    const auto as = [&]<Activation which>() {
      each_pack(device,
                Activate<T, which>{elements<T>(gate_up), elements<T>(y), columns, stride, stride != columns},
                y.rows(), columns, whole_packs(columns));
    };
    if (kind == Activation::kSilu)
      as.template operator()<Activation::kSilu>();
    else
      as.template operator()<Activation::kGelu>();
  });
}

void split_rotate(Device& device, const Tensor& qkv, const Tensor& cosines, const Tensor& sines, Tensor& q,
                  Tensor& k, Tensor& v) {
  with_type(qkv.dtype(), [&]<class T>(T) {
    const SplitRotate<T> body{elements<T>(qkv),
                              elements<float>(cosines),
                              elements<float>(sines),
                              elements<T>(q),
                              elements<T>(k),
                              elements<T>(v),
                              q.dim(1),
                              k.dim(1),
                              q.dim(2),
                              cosines.columns()};
    each_pack(device, body, qkv.rows(), body.columns(), whole_packs(body.dim) && whole_packs(body.pairs));
  });
}

void rotate(Device& device, const Tensor& cosines, const Tensor& sines, Tensor& rows) {
  with_type(rows.dtype(), [&]<class T>(T) {
    const Rotate<T> body{elements<T>(rows), elements<float>(cosines), elements<float>(sines), rows.columns(),
                         cosines.columns()};
    each_pack(device, body, rows.rows(), body.pairs, whole_packs(body.dim) && whole_packs(body.pairs));
  });
}

}  // namespace evictbench::cuda
