#include "models/reference.h"

#include <xxhash.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/rope.h"

namespace evictbench {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

Matrix matrix_of(const WeightSource& source, const std::string& name) {
  const Weight weight = source.load(name);
  const std::vector<float> wide = weight.widened();
  return Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
             wide.data(), weight.shape.at(0), static_cast<Eigen::Index>(wide.size()) / weight.shape.at(0))
      .cast<double>();
}

Vector vector_of(const WeightSource& source, const std::string& name) {
  const std::vector<float> wide = source.load(name).widened();
  return Eigen::Map<const Eigen::VectorXf>(wide.data(), static_cast<Eigen::Index>(wide.size()))
      .cast<double>();
}

Matrix rms_norm(const Matrix& x, const Vector& weight, double eps) {
  Matrix y = x;
  for (Eigen::Index n = 0; n < x.rows(); ++n)
    y.row(n) = (x.row(n) / std::sqrt(x.row(n).squaredNorm() / static_cast<double>(x.cols()) + eps)).array() *
               weight.transpose().array();
  return y;
}

// Turns the halves of every head against each other, in place; x [N, heads * D].
void rotate(Matrix& x, const std::vector<float>& frequencies, std::span<const std::int32_t> positions) {
  const Eigen::Index half = std::ssize(frequencies), dim = 2 * half;
  for (Eigen::Index n = 0; n < x.rows(); ++n)
    for (Eigen::Index i = 0; i < half; ++i) {
      const float angle = static_cast<float>(positions[static_cast<std::size_t>(n)]) *
                          frequencies[static_cast<std::size_t>(i)];
      const double c = std::cos(static_cast<double>(angle)), s = std::sin(static_cast<double>(angle));
      for (Eigen::Index head = 0; head < x.cols(); head += dim) {
        const double a = x(n, head + i), b = x(n, head + i + half);
        x(n, head + i) = a * c - b * s;
        x(n, head + i + half) = b * c + a * s;
      }
    }
}

// softmax(logits) values; also the log-sum-exp of the logits.
Vector mix(const Vector& logits, const Matrix& values, double& log_sum) {
  const double top = logits.maxCoeff();
  const Vector weights = (logits.array() - top).exp();
  log_sum = top + std::log(weights.sum());
  return values.transpose() * (weights / weights.sum());
}

// The present keys and values of a lane up to a position, [entries, D], and the bias of their logits.
struct Seen {
  Matrix keys, values;
  Vector bias;
};

Seen seen_of(const LaneView& lane, std::int32_t last, int dim) {
  std::vector<std::pair<const Run*, int>> entries;
  for (const Run* run : {&lane.base, &lane.tail})
    for (int e = 0; e < run->entries && run->positions[e] <= last; ++e)
      if (run->has(e)) entries.emplace_back(run, e);
  const auto count = std::ssize(entries);
  Seen seen{Matrix(count, dim), Matrix(count, dim), Vector::Zero(count)};
  for (Eigen::Index i = 0; i < count; ++i) {
    const auto [run, e] = entries[static_cast<std::size_t>(i)];
    for (int d = 0; d < dim; ++d) {
      seen.keys(i, d) = static_cast<double>(run->keys[key_index(e, dim, d)]);
      seen.values(i, d) = static_cast<double>(run->values[std::ptrdiff_t{e} * dim + d]);
    }
    if (run->bias) seen.bias(i) = static_cast<double>(run->bias[e]);
  }
  return seen;
}

Tensor as_f32(Device& device, const Matrix& x, std::vector<int> dims) {
  const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> narrow = x.cast<float>();
  return Tensor::from_host<float>(device, std::span(narrow.data(), static_cast<std::size_t>(narrow.size())),
                                  std::move(dims));
}

}  // namespace

struct ReferenceDecoder::Weights {
  struct Layer {
    Vector attention_norm, mlp_norm;   // [C]
    Matrix query, key, value, output;  // [H D, C], [G D, C], [G D, C], [C, H D]
    Matrix gate, up, down;             // [F, C], [F, C], [C, F]
  };
  Matrix embedding, head;  // [V, C]; head is empty where the two are tied
  Vector final_norm;       // [C]
  std::vector<Layer> layers;

  Matrix embed(std::span<const std::int32_t> ids) const {
    Matrix x(std::ssize(ids), embedding.cols());
    for (std::size_t n = 0; n < ids.size(); ++n) x.row(static_cast<Eigen::Index>(n)) = embedding.row(ids[n]);
    return x;
  }

  // attend(layer, q [N, H D], k [N, G D], v [N, G D]) -> [N, H D]
  template <class Attend>
  Matrix forward(std::span<const std::int32_t> ids, std::span<const std::int32_t> positions,
                 const std::vector<float>& frequencies, double eps, const PassOptions& options,
                 const Attend& attend) const {
    Matrix x = embed(ids);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const Layer& w = layers[l];
      const Matrix h = rms_norm(x, w.attention_norm, eps);
      Matrix q = h * w.query.transpose(), k = h * w.key.transpose();
      const Matrix v = h * w.value.transpose();
      rotate(q, frequencies, positions);
      rotate(k, frequencies, positions);
      x += attend(static_cast<int>(l), q, k, v) * w.output.transpose();
      const Matrix m = rms_norm(x, w.mlp_norm, eps), gate = m * w.gate.transpose();
      const Matrix silu = gate.array() / (1 + (-gate.array()).exp());
      x += (silu.array() * (m * w.up.transpose()).array()).matrix() * w.down.transpose();
      if (options.checkpoint) options.checkpoint();
    }
    return rms_norm(x, final_norm, eps);
  }

  Matrix logits(const Matrix& normed) const { return normed * (head.size() ? head : embedding).transpose(); }
};

ReferenceDecoder::ReferenceDecoder(DecoderConfig config, const WeightNames& names, const WeightSource& source)
    : config_(std::move(config)), frequencies_(inverse_frequencies(config_.rope, config_.head_dim)) {
  auto weights = std::make_unique<Weights>();
  weights->embedding = matrix_of(source, names.embedding);
  if (!config_.tied_embeddings) weights->head = matrix_of(source, names.head);
  weights->final_norm = vector_of(source, names.final_norm);
  for (int l = 0; l < config_.layers; ++l) {
    const auto matrix = [&](const std::string& pattern) { return matrix_of(source, layer_name(pattern, l)); };
    weights->layers.push_back({vector_of(source, layer_name(names.attention_norm, l)),
                               vector_of(source, layer_name(names.mlp_norm, l)), matrix(names.query),
                               matrix(names.key), matrix(names.value), matrix(names.output),
                               matrix(names.gate), matrix(names.up), matrix(names.down)});
  }
  weights_ = std::move(weights);
}

ReferenceDecoder::~ReferenceDecoder() = default;

std::shared_ptr<const Snapshot> ReferenceDecoder::prefill(Device& device,
                                                          std::span<const std::int32_t> prompt,
                                                          const Needs& needs,
                                                          const PassOptions& options) const {
  const int T = static_cast<int>(prompt.size()), H = config_.q_heads, G = config_.kv_heads,
            D = config_.head_dim;
  int window = 0;
  bool sums = !needs.probes.empty() || options.tap != nullptr;
  for (const Stat& stat : needs.stats) {
    window = std::max(window, std::min(stat.window, T));
    sums = sums || stat.kind == Stat::kColumnSums;
  }
  if (sums)
    throw Error(Exit::kUsage,
                "--device reference offers no probes, taps or column sums; use --device cpu for this policy");
  Observation::Parts parts;
  parts.shape = shape(T);
  parts.prompt_hash = XXH3_64bits(prompt.data(), prompt.size_bytes());
  parts.cache = DenseKv(device, config_.layers, G, T, D);
  parts.positions.emplace_back(static_cast<std::size_t>(T));
  std::iota(parts.positions[0].begin(), parts.positions[0].end(), 0);
  if (window > 0) {
    parts.queries = Tensor::zeros(device, DType::kF32, {config_.layers, H, window, D});
    parts.log_sums = Tensor::zeros(device, DType::kF32, {config_.layers, H, window});
  }
  const Matrix normed = weights_->forward(
      prompt, parts.positions[0], frequencies_, config_.rms_eps, options,
      [&](int layer, const Matrix& q, const Matrix& k, const Matrix& v) {
        const StoreTask store{&parts.cache, 0, T, 0};
        device.ops().store(device, as_f32(device, k, {T, G, D}), as_f32(device, v, {T, G, D}), layer,
                           std::span(&store, 1));
        Matrix out(T, H * D);
        for (int h = 0; h < H; ++h) {
          const int g = h * G / H;
          const Matrix keys = k.middleCols(g * D, D), values = v.middleCols(g * D, D);
          for (int t = 0; t < T; ++t) {
            const Vector query = q.row(t).segment(h * D, D).transpose();
            double log_sum = 0;
            out.row(t).segment(h * D, D) =
                mix(keys.topRows(t + 1) * query / std::sqrt(static_cast<double>(D)), values.topRows(t + 1),
                    log_sum);
            const int newest = T - 1 - t;
            if (newest >= window) continue;
            const std::ptrdiff_t row = std::ptrdiff_t{layer} * H + h;
            parts.log_sums.row<float>(row)[newest] = static_cast<float>(log_sum);
            for (int d = 0; d < D; ++d)
              parts.queries.row<float>(row * window + newest)[d] = static_cast<float>(query(d));
          }
        }
        return out;
      });
  const Matrix last = weights_->logits(normed.bottomRows(1));
  if (options.all_logits)
    options.all_logits(0, as_f32(device, weights_->logits(normed), {T, config_.vocabulary}));
  const Tensor last_logits = as_f32(device, last, {1, config_.vocabulary});
  return std::make_shared<Snapshot>(std::move(parts), last_logits.to_host<float>());
}

Tensor ReferenceDecoder::extend(Device& device, RaggedCache& cache, std::span<const Tokens> tokens,
                                const PassOptions& options) const {
  const int H = config_.q_heads, G = config_.kv_heads, D = config_.head_dim;
  require(!options.tap, "reference: no taps");
  std::vector<float> out;  // [points fed, V]
  int fed = 0, row = 0;
  for (int p = 0; p < cache.points(); ++p) {  // one point after the other: nothing to share
    const Tokens& mine = tokens[static_cast<std::size_t>(p)];
    if (mine.empty()) continue;
    const std::int32_t first = cache.next_position(p);
    const int n = static_cast<int>(mine.size()), entry = cache.reserve(p, n), lane_heads = cache.heads(p);
    Tokens positions(mine.size());
    std::iota(positions.begin(), positions.end(), first);
    const Matrix normed = weights_->forward(
        mine, positions, frequencies_, config_.rms_eps, options,
        [&](int layer, const Matrix& q, const Matrix& k, const Matrix& v) {
          const StoreTask store{&cache.tail(p), 0, n, entry};
          device.ops().store(device, as_f32(device, k, {n, G, D}), as_f32(device, v, {n, G, D}), layer,
                             std::span(&store, 1));
          Matrix mixed(n, H * D);
          for (int h = 0; h < H; ++h)
            for (int r = 0; r < n; ++r) {
              const Seen seen = seen_of(cache.view(p, layer, h * lane_heads / H), first + r, D);
              const Vector query = q.row(r).segment(h * D, D).transpose();
              double log_sum = 0;
              mixed.row(r).segment(h * D, D) = mix(
                  seen.keys * query / std::sqrt(static_cast<double>(D)) + seen.bias, seen.values, log_sum);
            }
          return mixed;
        });
    if (options.all_logits)
      options.all_logits(row, as_f32(device, weights_->logits(normed), {n, config_.vocabulary}));
    row += n;
    const Tensor last = as_f32(device, weights_->logits(normed.bottomRows(1)), {1, config_.vocabulary});
    const auto host = last.to_host<float>();
    out.insert(out.end(), host.begin(), host.end());
    ++fed;
  }
  require(fed > 0, "extend: nothing to feed");
  return Tensor::from_host<float>(device, out, {fed, config_.vocabulary});
}

}  // namespace evictbench
