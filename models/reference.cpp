#include "models/reference.h"

#include <xxhash.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "models/rope.h"

namespace evictbench {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

Matrix matrix_of(const WeightSource& source, const std::string& name, bool transpose) {
  Weight weight = source.load(name);
  if (transpose) weight = transposed(weight);
  const std::vector<float> wide = weight.widened();
  return Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>(
             wide.data(), weight.shape.at(0), static_cast<Eigen::Index>(wide.size()) / weight.shape.at(0))
      .cast<double>();
}

// The parts of a matrix, one below the other; no parts: no rows.
Matrix matrix_of(const WeightSource& source, const WeightNames::Parts& names, bool transpose = false) {
  Matrix all;
  for (const std::string& name : names) {
    const Matrix part = matrix_of(source, name, transpose);
    Matrix more(all.rows() + part.rows(), part.cols());
    if (all.rows() > 0) more.topRows(all.rows()) = all;
    more.bottomRows(part.rows()) = part;
    all = std::move(more);
  }
  return all;
}

Vector vector_of(const WeightSource& source, const WeightNames::Parts& names) {
  std::vector<double> all;
  for (const std::string& name : names)
    for (const float x : source.load(name).widened()) all.push_back(static_cast<double>(x));
  return Eigen::Map<const Vector>(all.data(), std::ssize(all));
}

// What a family calls the weights of one layer.
WeightNames::Parts of_layer(WeightNames::Parts names, int layer) {
  for (std::string& name : names) name = layer_name(name, layer);
  return names;
}

struct Norm {
  Vector weight, bias;  // [C]
};

// No weight: as it is.
Matrix normalized(const Matrix& x, const Norm& norm, const DecoderConfig& c) {
  if (norm.weight.size() == 0) return x;
  Matrix y = x;
  for (Eigen::Index n = 0; n < x.rows(); ++n) {
    if (c.norm == DecoderConfig::Norm::kLayer) y.row(n).array() -= y.row(n).mean();
    y.row(n) = y.row(n) / std::sqrt(y.row(n).squaredNorm() / static_cast<double>(x.cols()) + c.norm_eps);
    const double one = c.norm_adds_one ? 1 : 0;
    y.row(n) = y.row(n).array() * (norm.weight.transpose().array() + one);
    if (norm.bias.size() > 0) y.row(n) += norm.bias.transpose();
  }
  return y;
}

struct Linear {
  Matrix weight;  // [outputs, inputs]
  Vector bias;    // [outputs], or empty
};

Matrix times(const Matrix& x, const Linear& linear) {
  Matrix y = x * linear.weight.transpose();
  if (linear.bias.size() > 0) y.rowwise() += linear.bias.transpose();
  return y;
}

Matrix activated(const Matrix& x, Activation kind) {
  const auto a = x.array();
  if (kind == Activation::kSilu) return a / (1 + (-a).exp());
  return 0.5 * a * (1 + (std::sqrt(2 / std::numbers::pi) * (a + 0.044715 * a.cube())).tanh());
}

// Norms each head on its own; x [N, heads D].
void norm_heads(Matrix& x, const Vector& weight, const DecoderConfig& c) {
  if (weight.size() == 0) return;
  for (Eigen::Index head = 0; head < x.cols(); head += c.head_dim)
    x.middleCols(head, c.head_dim) = normalized(x.middleCols(head, c.head_dim), {weight, {}}, c);
}

// cos and sin of every row's turn, [N, dim / 2].
struct Turns {
  Matrix cosines, sines;
};

Turns turns_of(const RopeConfig& rope, std::span<const std::int32_t> positions,
               std::span<const std::int32_t> lengths) {
  const auto rows = std::ssize(positions);
  Turns turns{Matrix(rows, rope.dim / 2), Matrix(rows, rope.dim / 2)};
  for (Eigen::Index n = 0; n < rows; ++n) {
    const auto at = static_cast<std::size_t>(n);
    const std::vector<float> frequencies = inverse_frequencies(rope, lengths[at]);
    for (Eigen::Index i = 0; i < rope.dim / 2; ++i) {
      const float angle = static_cast<float>(positions[at]) * frequencies[static_cast<std::size_t>(i)];
      turns.cosines(n, i) = std::cos(static_cast<double>(angle)) * rope.attention_factor;
      turns.sines(n, i) = std::sin(static_cast<double>(angle)) * rope.attention_factor;
    }
  }
  return turns;
}

// Turns the halves of the first dims of every head against each other, in place; x [N, heads * D].
void rotate(Matrix& x, const Turns& turns, int dim) {
  const Eigen::Index half = turns.cosines.cols();
  for (Eigen::Index n = 0; n < x.rows(); ++n)
    for (Eigen::Index i = 0; i < half; ++i) {
      const double c = turns.cosines(n, i), s = turns.sines(n, i);
      for (Eigen::Index head = 0; head < x.cols(); head += dim) {
        const double a = x(n, head + i), b = x(n, head + i + half);
        x(n, head + i) = a * c - b * s;
        x(n, head + i + half) = b * c + a * s;
      }
    }
}

double capped(double x, double cap) { return cap > 0 ? cap * std::tanh(x / cap) : x; }

struct Logits {
  const DecoderConfig& c;
  Vector operator()(const Matrix& keys, const Vector& query) const {
    const Vector plain = keys * query / std::sqrt(static_cast<double>(c.head_dim));
    return plain.unaryExpr([&](double x) { return capped(x, c.attention_softcap); });
  }
};

// softmax(logits); also the log-sum-exp of the logits.
Vector softmax(const Vector& logits, double& log_sum) {
  const double top = logits.maxCoeff();
  const Vector weights = (logits.array() - top).exp();
  log_sum = top + std::log(weights.sum());
  return weights / weights.sum();
}

// The present keys and values of a lane that a query at position `last` sees, [entries, D], and the bias of their logits.
struct Seen {
  Matrix keys, values;
  Vector bias;
  std::vector<std::size_t> slots;  // [entries] which of the present ones
};

Seen seen_of(const LaneView& lane, std::int32_t last, int window, int dim) {
  std::vector<std::pair<const Run*, int>> entries;
  std::vector<std::size_t> slots;
  std::size_t slot = 0;
  for (const Run* run : {&lane.base, &lane.tail})
    for (int e = 0; e < run->entries && run->positions[e] <= last; ++e) {
      if (!run->has(e)) continue;
      if (window == 0 || run->positions[e] > last - window) {
        entries.emplace_back(run, e);
        slots.push_back(slot);
      }
      ++slot;
    }
  const auto count = std::ssize(entries);
  Seen seen{Matrix(count, dim), Matrix(count, dim), Vector::Zero(count), std::move(slots)};
  for (Eigen::Index i = 0; i < count; ++i) {
    const auto [run, e] = entries[static_cast<std::size_t>(i)];
    for (int d = 0; d < dim; ++d) {
      seen.keys(i, d) = static_cast<double>(static_cast<const float*>(run->keys)[key_index(e, dim, d)]);
      seen.values(i, d) =
          static_cast<double>(static_cast<const float*>(run->values)[std::ptrdiff_t{e} * dim + d]);
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
    Norm attention_norm, attention_post_norm, mlp_norm, mlp_post_norm;
    Linear qkv;                    // [(H + 2G) D, C]
    Vector query_norm, key_norm;   // [D], or empty
    Linear output, gate_up, down;  // [C, H D], [2F or F, C], [C, F]
  };
  Weights(const WeightNames& names, const WeightSource& source, const DecoderConfig& config) : c(config) {
    embedding = matrix_of(source, names.embedding);
    if (c.learned_positions()) positions = matrix_of(source, names.positions);
    if (!c.tied_embeddings) head = matrix_of(source, names.head);
    final_norm = {vector_of(source, names.final_norm), vector_of(source, names.final_norm_bias)};
    for (int l = 0; l < c.layers; ++l) {
      const auto vector = [&](const WeightNames::Parts& parts) {
        return vector_of(source, of_layer(parts, l));
      };
      const auto linear = [&](const WeightNames::Parts& parts, const WeightNames::Parts& bias) {
        return Linear{matrix_of(source, of_layer(parts, l), names.transposed), vector(bias)};
      };
      layers.push_back({{vector(names.attention_norm), vector(names.attention_norm_bias)},
                        {vector(names.attention_post_norm), {}},
                        {vector(names.mlp_norm), vector(names.mlp_norm_bias)},
                        {vector(names.mlp_post_norm), {}},
                        linear(names.qkv, names.qkv_bias),
                        vector(names.query_norm),
                        vector(names.key_norm),
                        linear(names.output, names.output_bias),
                        linear(names.gate_up, names.gate_up_bias),
                        linear(names.down, names.down_bias)});
    }
  }

  const DecoderConfig& c;
  Matrix embedding, head;  // [V, C]; head is empty where the two are tied
  Matrix positions;        // [max_positions, C], or empty
  Norm final_norm;
  std::vector<Layer> layers;

  Matrix embed(std::span<const std::int32_t> ids, std::span<const std::int32_t> at) const {
    Matrix x(std::ssize(ids), embedding.cols());
    const double scale = static_cast<double>(static_cast<float>(c.embedding_scale));
    for (std::size_t n = 0; n < ids.size(); ++n) {
      const auto row = static_cast<Eigen::Index>(n);
      x.row(row) = embedding.row(ids[n]) * scale;
      if (c.learned_positions()) x.row(row) += positions.row(at[n]);
    }
    return x;
  }

  // attend(layer, q [N, H D], k [N, G D], v [N, G D]) -> [N, H D]
  template <class Attend>
  Matrix forward(std::span<const std::int32_t> ids, std::span<const std::int32_t> at,
                 std::span<const std::int32_t> lengths, const PassOptions& options,
                 const Attend& attend) const {
    const Eigen::Index Q = Eigen::Index{c.q_heads} * c.head_dim, K = Eigen::Index{c.kv_heads} * c.head_dim,
                       F = c.intermediate;
    std::vector<Turns> turns;
    for (const RopeConfig& rope : c.ropes) turns.push_back(turns_of(rope, at, lengths));
    Matrix x = embed(ids, at);
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const Layer& w = layers[l];
      const Matrix qkv = times(normalized(x, w.attention_norm, c), w.qkv);
      Matrix q = qkv.leftCols(Q), k = qkv.middleCols(Q, K);
      norm_heads(q, w.query_norm, c);
      norm_heads(k, w.key_norm, c);
      if (!turns.empty()) {
        const Turns& turn = turns[static_cast<std::size_t>(c.forms[l].rope)];
        rotate(q, turn, c.head_dim);
        rotate(k, turn, c.head_dim);
      }
      q *= c.forms[l].query_scale;
      x += normalized(times(attend(static_cast<int>(l), q, k, qkv.rightCols(K)), w.output),
                      w.attention_post_norm, c);
      const Matrix wide = times(normalized(x, w.mlp_norm, c), w.gate_up);
      Matrix inner = activated(wide.leftCols(F), c.activation);
      if (c.gated) inner.array() *= wide.rightCols(F).array();
      x += normalized(times(inner, w.down), w.mlp_post_norm, c);
      if (options.checkpoint) options.checkpoint();
    }
    return normalized(x, final_norm, c);
  }

  Matrix logits(const Matrix& normed) const {
    Matrix y = normed * (head.size() ? head : embedding).transpose();
    return y.unaryExpr([&](double x) { return capped(x, c.logit_softcap); });
  }
};

ReferenceDecoder::ReferenceDecoder(DecoderConfig config, const WeightNames& names, const WeightSource& source)
    : config_(std::move(config)), weights_(std::make_unique<Weights>(names, source, config_)) {}

ReferenceDecoder::~ReferenceDecoder() = default;

std::shared_ptr<const Snapshot> ReferenceDecoder::prefill(Device& device,
                                                          std::span<const std::int32_t> prompt,
                                                          const Needs& needs,
                                                          const PassOptions& options) const {
  const int T = static_cast<int>(prompt.size()), H = config_.q_heads, G = config_.kv_heads,
            D = config_.head_dim;
  const Logits logits_of{config_};
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
  for (int l = 0; l < config_.layers; ++l) parts.forms.push_back(config_.attention_form(l));
  const Matrix normed = weights_->forward(
      prompt, parts.positions[0], Tokens(prompt.size(), T), options,
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
            const int reach = config_.forms[static_cast<std::size_t>(layer)].window;
            const int first = reach > 0 ? std::max(0, t + 1 - reach) : 0;
            out.row(t).segment(h * D, D) =
                values.middleRows(first, t + 1 - first).transpose() *
                softmax(logits_of(keys.middleRows(first, t + 1 - first), query), log_sum);
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
  const Logits logits_of{config_};
  const AttentionTap* tap = options.tap;
  require(!tap || (!tap->queries && !tap->outputs), "reference: taps of attention rows alone");
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
        mine, positions, Tokens(mine.size(), first + n), options,
        [&](int layer, const Matrix& q, const Matrix& k, const Matrix& v) {
          const StoreTask store{&cache.tail(p), 0, n, entry};
          device.ops().store(device, as_f32(device, k, {n, G, D}), as_f32(device, v, {n, G, D}), layer,
                             std::span(&store, 1));
          Matrix mixed(n, H * D);
          for (int h = 0; h < H; ++h)
            for (int r = 0; r < n; ++r) {
              const LaneView lane = cache.view(p, layer, h * lane_heads / H);
              const Seen seen =
                  seen_of(lane, first + r, config_.forms[static_cast<std::size_t>(layer)].window, D);
              const Vector query = q.row(r).segment(h * D, D).transpose();
              double log_sum = 0;
              const Vector paid = softmax(logits_of(seen.keys, query) + seen.bias, log_sum);
              mixed.row(r).segment(h * D, D) = seen.values.transpose() * paid;
              if (!tap || !tap->row) continue;
              std::vector<float> slots(static_cast<std::size_t>(lane.present_entries()));
              for (std::size_t i = 0; i < seen.slots.size(); ++i)
                slots[seen.slots[i]] = static_cast<float>(paid(static_cast<Eigen::Index>(i)));
              tap->row({p, layer, h, first + r, slots});
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
