#include "models/decoder.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <numeric>

#include "core/ops.h"

namespace evictbench {
namespace {

constexpr int kLogitRows = 64, kPrefillLogitRows = 512;  // whose logits an extend, a prefill gives at a time

// What a prefill fills in while it runs.
Observation::Parts empty_parts(Device& device, const KvShape& s, std::span<const std::int32_t> prompt,
                               const Needs& needs) {
  Observation::Parts parts;
  parts.shape = s;
  parts.wanted = needs.stats;
  parts.prompt_hash = XXH3_64bits(prompt.data(), prompt.size_bytes());
  parts.cache = DenseKv::of_prompt(device, s);
  parts.positions.emplace_back(static_cast<std::size_t>(s.tokens));
  std::iota(parts.positions[0].begin(), parts.positions[0].end(), 0);
  int window = 0;
  for (const Stat& stat : needs.stats) {
    window = std::max(window, std::min(stat.window, s.tokens));
    if (stat.kind == Stat::kColumnSums)
      parts.given.emplace(stat, Tensor::zeros(device, DType::kF32, {s.layers, s.q_heads, s.tokens}));
  }
  if (window > 0) {
    parts.queries = Tensor::zeros(device, s.dtype, {s.layers, s.q_heads, window, s.head_dim});
    parts.log_sums = Tensor::zeros(device, DType::kF32, {s.layers, s.q_heads, window});
  }
  return parts;
}

// Attention rows on their way to a tap: one task's [rows, heads, entries].
struct Tapped {
  int point, first_head, entries;
  std::vector<float> probabilities;
};

void tell(const AttentionTap& tap, int layer, const AttendTask& task, const Tapped& tapped) {
  for (int r = 0; r < task.rows; ++r)
    for (int h = 0; h < task.heads; ++h) {
      const std::size_t at =
          static_cast<std::size_t>(r * task.heads + h) * static_cast<std::size_t>(tapped.entries);
      tap.row({tapped.point, layer, tapped.first_head + h, task.position + r,
               std::span(tapped.probabilities).subspan(at, static_cast<std::size_t>(tapped.entries))});
    }
}

}  // namespace

struct Decoder::Rows {
  Rows(Device& device, const DecoderConfig& c, int n)
      : count(n),
        x(device, DType::kF32, {n, c.hidden}),
        normed(device, device.working(), {n, c.hidden}),
        delta(device, device.working(), {n, c.hidden}),
        qkv(device, device.working(), {n, (c.q_heads + 2 * c.kv_heads) * c.head_dim}),
        q(device, device.working(), {n, c.q_heads, c.head_dim}),
        k(device, device.working(), {n, c.kv_heads, c.head_dim}),
        v(device, device.working(), {n, c.kv_heads, c.head_dim}),
        mixed(device, device.working(), {n, c.q_heads, c.head_dim}),
        log_sums(device, DType::kF32, {n, c.q_heads}),
        gate_up(device, device.working(), {n, (c.gated ? 2 : 1) * c.intermediate}),
        gated(device, device.working(), {n, c.intermediate}) {}

  // Leaves of x and mixed the last n rows, and room for so many.
  void keep_last(Device& device, const DecoderConfig& c, int n) {
    Rows kept(device, c, n);
    const auto take = [&](const Tensor& from, Tensor& to) {
      std::vector<std::int32_t> chosen(static_cast<std::size_t>(to.rows()));
      std::iota(chosen.begin(), chosen.end(), static_cast<std::int32_t>(from.rows() - to.rows()));
      device.ops().take_rows(device, from, chosen, to);
    };
    take(x, kept.x);
    take(mixed, kept.mixed);
    *this = std::move(kept);
  }

  int count;                    // N
  Tensor x;                     // [N, C] f32; log_sums too, all else of the device's working type
  Tensor normed, delta;         // [N, C]
  Tensor qkv;                   // [N, (H + 2G) D]
  Tensor q, k, v;               // [N, H, D], [N, G, D], [N, G, D]
  Tensor mixed;                 // [N, H, D] what attention gives
  Tensor log_sums;              // [N, H]
  Tensor gate_up, gated;        // [N, 2F] (or [N, F]), [N, F]
  Tensor shadow, shadow_delta;  // as mixed and delta, over a second point; empty without one
};

std::int64_t Decoder::step_bytes(const DecoderConfig& c, DType working, std::int64_t rows,
                                 std::int64_t logits) {
  constexpr std::int64_t kFloat = sizeof(float);
  const std::int64_t C = c.hidden, F = c.intermediate, HD = std::int64_t{c.q_heads} * c.head_dim,
                     QKV = HD + 2 * std::int64_t{c.kv_heads} * c.head_dim;
  // As Rows has them, and the copy that a matrix product makes of its input.
  const std::int64_t row = 2 * C + 2 * QKV + HD + (c.gated ? 3 : 2) * F + std::max({C, HD, F}),
                     element = static_cast<std::int64_t>(size_of(working));
  return rows * (kFloat * (C + c.q_heads) + element * row) +
         logits * (kFloat * (C + c.vocabulary) + element * C);
}

std::int64_t Decoder::prefill_bytes(const DecoderConfig& c, std::int64_t tokens, DType working,
                                    std::int64_t rows) {
  return step_bytes(c, working, std::min(tokens, rows), 1);
}

// Brings a decoder's weights from a source into a device's layout.
class Decoder::Loader {
 public:
  Loader(Device& device, const WeightSource& weights, bool transposed, bool norm_adds_one)
      : device_(device), weights_(weights), transposed_(transposed), norm_adds_one_(norm_adds_one) {}

  void set_layer(int layer) { layer_ = layer; }

  // The parts one after the other; empty if there are none.
  Tensor vector(const WeightNames::Parts& parts) const {
    std::vector<float> all;
    for (const std::string& part : parts) {
      const std::vector<float> host = weights_.load(named(part)).widened();
      all.insert(all.end(), host.begin(), host.end());
    }
    return all.empty() ? Tensor() : Tensor::from_host<float>(device_, all, {static_cast<int>(all.size())});
  }
  Tensor norm_weight(const WeightNames::Parts& parts) const {
    Tensor weight = vector(parts);
    if (!norm_adds_one_ || weight.empty()) return weight;
    std::vector<float> host = weight.to_host<float>();
    for (float& w : host) w += 1.0f;
    return Tensor::from_host<float>(device_, host, weight.dims());
  }
  Norm norm(const WeightNames::Parts& weight, const WeightNames::Parts& bias) const {
    return {norm_weight(weight), vector(bias)};
  }
  PackedMatrix table(const WeightNames::Parts& parts) const { return pack(parts, false); }
  Linear linear(const WeightNames::Parts& parts, const WeightNames::Parts& bias) const {
    return {pack(parts, transposed_), vector(bias)};
  }

 private:
  std::string named(const std::string& pattern) const {
    return pattern.find("{}") == pattern.npos ? pattern : layer_name(pattern, layer_);
  }
  PackedMatrix pack(const WeightNames::Parts& parts, bool transpose) const {
    std::vector<WeightRows> rows;
    int depth = 0;
    for (const std::string& part : parts) {
      WeightRowReader reader =
          transpose ? rows_of(transposed(weights_.load(named(part)))) : weights_.rows(named(part));
      depth = reader.columns;
      rows.push_back({reader.dtype, reader.rows, nullptr, std::move(reader.read)});
    }
    return device_.ops().pack(device_, rows, depth);
  }

  Device& device_;
  const WeightSource& weights_;
  bool transposed_, norm_adds_one_;
  int layer_ = 0;
};

Decoder::Decoder(Device& device, DecoderConfig config, const WeightNames& names, const WeightSource& weights)
    : config_(std::move(config)), working_(device.working()) {
  device.enter(Phase::kLoad);
  for (const RopeConfig& rope : config_.ropes) ropes_.emplace_back(rope);
  Loader load(device, weights, names.transposed, config_.norm_adds_one);
  embedding_ = load.table(names.embedding);
  if (config_.learned_positions()) positions_ = load.table(names.positions);
  if (!config_.tied_embeddings) head_ = load.table(names.head);
  final_norm_ = load.norm(names.final_norm, names.final_norm_bias);
  for (int l = 0; l < config_.layers; ++l) {
    load.set_layer(l);
    layers_.push_back({.attention_norm = load.norm(names.attention_norm, names.attention_norm_bias),
                       .attention_post_norm = load.norm(names.attention_post_norm, {}),
                       .mlp_norm = load.norm(names.mlp_norm, names.mlp_norm_bias),
                       .mlp_post_norm = load.norm(names.mlp_post_norm, {}),
                       .qkv = load.linear(names.qkv, names.qkv_bias),
                       .query_norm = load.norm_weight(names.query_norm),
                       .key_norm = load.norm_weight(names.key_norm),
                       .output = load.linear(names.output, names.output_bias),
                       .gate_up = load.linear(names.gate_up, names.gate_up_bias),
                       .down = load.linear(names.down, names.down_bias)});
  }
}

void Decoder::embed(Device& device, const Fed& fed, Rows& rows) const {
  const Ops& ops = device.ops();
  ops.embed(device, embedding_, fed.ids, rows.x);
  if (config_.embedding_scale != 1) ops.scale(device, static_cast<float>(config_.embedding_scale), rows.x);
  if (!config_.learned_positions()) return;
  if (*std::ranges::max_element(fed.positions) >= config_.max_positions)
    throw Error(Exit::kInput, fmt::format("position {} is beyond the {} that the model has learned",
                                          *std::ranges::max_element(fed.positions), config_.max_positions));
  ops.embed(device, positions_, fed.positions, rows.delta);
  ops.add(device, rows.delta, rows.x);
}

void Decoder::normalize(Device& device, const Tensor& x, const Norm& norm, Tensor& y) const {
  const float eps = static_cast<float>(config_.norm_eps);
  if (config_.norm == DecoderConfig::Norm::kRms)
    device.ops().rms_norm(device, x, norm.weight, eps, y);
  else
    device.ops().layer_norm(device, x, norm.weight, norm.bias, eps, y);
}

void Decoder::add_back(Device& device, const Norm& post_norm, Rows& rows) const {
  if (!post_norm.weight.empty()) normalize(device, rows.delta, post_norm, rows.normed);
  device.ops().add(device, post_norm.weight.empty() ? rows.delta : rows.normed, rows.x);
}

template <class Attend>
void Decoder::forward(Device& device, const Fed& fed, Rows& rows, int wanted, const PassOptions& options,
                      const Attend& attend) const {
  const Ops& ops = device.ops();
  const int H = config_.q_heads, G = config_.kv_heads;
  const float eps = static_cast<float>(config_.norm_eps);
  const auto times = [&](const Tensor& x, const Linear& linear, Tensor& y) {
    ops.matmul(device, x, linear.matrix, y);
    if (!linear.bias.empty()) ops.add_bias(device, linear.bias, y);
  };
  std::vector<std::pair<Tensor, Tensor>> turns;  // cosines and sines of each scheme, [N, dim / 2]
  for (const Rope& rope : ropes_) {
    const RotaryRows host = rope.rows(fed.positions, fed.lengths);
    const std::vector<int> dims{rows.count, rope.pairs()};
    turns.emplace_back(Tensor::from_host<float>(device, host.cosines, dims),
                       Tensor::from_host<float>(device, host.sines, dims));
  }
  if (turns.empty()) turns.emplace_back();
  embed(device, fed, rows);
  for (int l = 0; l < config_.layers; ++l) {
    const Layer& layer = layers_[static_cast<std::size_t>(l)];
    const LayerForm& form = config_.forms[static_cast<std::size_t>(l)];
    const auto& [cosines, sines] = turns[static_cast<std::size_t>(form.rope)];
    normalize(device, rows.x, layer.attention_norm, rows.normed);
    times(rows.normed, layer.qkv, rows.qkv);
    if (!layer.query_norm.empty()) ops.norm_heads(device, layer.query_norm, eps, 0, H, rows.qkv);
    if (!layer.key_norm.empty()) ops.norm_heads(device, layer.key_norm, eps, H, G, rows.qkv);
    ops.split_rotate(device, rows.qkv, cosines, sines, rows.q, rows.k, rows.v);
    if (form.query_scale != 1) ops.scale(device, static_cast<float>(form.query_scale), rows.q);
    if (options.tap && options.tap->queries) options.tap->queries(l, rows.q);
    attend(l);
    if (l + 1 == config_.layers && wanted < rows.count) {
      if (wanted == 0) return;
      rows.keep_last(device, config_, wanted);
    }
    times(rows.mixed, layer.output, rows.delta);
    if (!rows.shadow.empty()) {
      times(rows.shadow, layer.output, rows.shadow_delta);
      options.tap->outputs(l, rows.delta, rows.shadow_delta);
    }
    add_back(device, layer.attention_post_norm, rows);
    normalize(device, rows.x, layer.mlp_norm, rows.normed);
    times(rows.normed, layer.gate_up, rows.gate_up);
    ops.activate(device, config_.activation, rows.gate_up, rows.gated);
    times(rows.gated, layer.down, rows.delta);
    add_back(device, layer.mlp_post_norm, rows);
    if (options.checkpoint) options.checkpoint();
  }
}

Tensor Decoder::logits(Device& device, const Rows& rows, std::span<const int> chosen) const {
  const int n = static_cast<int>(chosen.size()), C = config_.hidden;
  Tensor x(device, DType::kF32, {n, C}), normed(device, device.working(), {n, C});
  device.ops().take_rows(device, rows.x, chosen, x);
  normalize(device, x, final_norm_, normed);
  Tensor out(device, DType::kF32, {n, config_.vocabulary});
  device.ops().matmul(device, normed, config_.tied_embeddings ? embedding_ : head_, out);
  if (config_.logit_softcap != 0)
    device.ops().softcap(device, static_cast<float>(config_.logit_softcap), out);
  return out;
}

void Decoder::tell_logits(Device& device, const Rows& rows, int first_row, int most,
                          const PassOptions& options) const {
  for (int first = 0; options.all_logits && first < rows.count; first += most) {
    std::vector<int> piece(static_cast<std::size_t>(std::min(most, rows.count - first)));
    std::iota(piece.begin(), piece.end(), first);
    options.all_logits(first_row + first, logits(device, rows, piece));
  }
}

std::shared_ptr<const Snapshot> Decoder::prefill(Device& device, std::span<const std::int32_t> prompt,
                                                 const Needs& needs, const PassOptions& options) const {
  const int T = static_cast<int>(prompt.size()), G = config_.kv_heads, group = config_.q_heads / G;
  require(T > 0, "prefill: an empty prompt");
  device.enter(Phase::kPrefill);
  const bool tapped = options.tap && options.tap->row;
  const int chunk = tapped ? 64 : device.prefill_rows();  // a tap's rows are held for one chunk
  Observation::Parts parts = empty_parts(device, shape(T), prompt, needs);
  for (int l = 0; l < config_.layers; ++l) parts.forms.push_back(config_.attention_form(l));
  const auto& positions = parts.positions[0];
  const Tokens lengths(prompt.size(), T);  // in pieces, but one pass
  const auto sums = parts.given.find(Stat{Stat::kColumnSums});
  // The last layer's keys and values are all wanted, its attention by a window alone, its outputs by the last token.
  const bool everything = options.tap || options.all_logits || sums != parts.given.end();
  const int window = parts.log_sums.empty() ? 1 : parts.log_sums.columns();
  std::vector<float> last_logits;
  for (int first = 0; first < T; first += chunk) {
    const int n = std::min(chunk, T - first), last_token = first + n == T ? 1 : 0;
    const int wanted = everything ? n : last_token,
              unseen = everything ? 0 : std::clamp(T - window - first, 0, n);
    Rows rows(device, config_, n);
    const auto piece = [&](const auto& all) {
      return std::span(all).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(n));
    };
    forward(device, {piece(prompt), piece(positions), piece(lengths)}, rows, wanted, options, [&](int layer) {
      const StoreTask store{&parts.cache, 0, n, first};
      device.ops().store(device, rows.k, rows.v, layer, std::span(&store, 1));
      const int from = layer + 1 == config_.layers ? unseen : 0;
      if (from == n) return;
      std::vector<AttendTask> tasks;
      std::vector<Tapped> taps(tapped ? static_cast<std::size_t>(G) : 0);
      for (int g = 0; g < G; ++g) {
        const Run run{.keys = parts.cache.lane_keys(layer * G + g),
                      .values = parts.cache.lane_values(layer * G + g),
                      .positions = positions.data(),
                      .entries = first + n,
                      .dtype = parts.cache.dtype()};
        tasks.push_back(
            {{run, {}}, from, n - from, g * group, group, first + from, config_.attention_form(layer)});
        if (!tapped) continue;
        Tapped& tap = taps[static_cast<std::size_t>(g)];
        tap = {0, g * group, first + n,
               std::vector<float>(static_cast<std::size_t>(n * group) * static_cast<std::size_t>(first + n))};
        tasks.back().probabilities = tap.probabilities.data();
      }
      device.ops().attend(device, tasks, rows.q, rows.mixed, rows.log_sums);
      for (std::size_t g = 0; g < taps.size(); ++g) tell(*options.tap, layer, tasks[g], taps[g]);
      if (!parts.queries.empty())
        device.ops().keep_window(device, rows.q, rows.log_sums, layer, first, T, parts.queries,
                                 parts.log_sums);
      if (sums != parts.given.end())
        device.ops().add_column_sums(device, parts.cache, layer, config_.attention_form(layer), rows.q,
                                     rows.log_sums, first, sums->second);
    });
    tell_logits(device, rows, first, kPrefillLogitRows, options);
    if (first + n == T) {
      const int last = rows.count - 1;
      last_logits = logits(device, rows, std::span(&last, 1)).to_host<float>();
    }
  }
  const auto snapshot = std::make_shared<Snapshot>(std::move(parts), std::move(last_logits));
  for (const Probe& probe : needs.probes) run_probe(device, probe, prompt, snapshot, options);
  return snapshot;
}

void Decoder::run_probe(Device& device, const Probe& probe, std::span<const std::int32_t> prompt,
                        std::shared_ptr<Snapshot> snapshot, const PassOptions& options) const {
  const KvShape s = snapshot->shape();
  const Tokens tokens = probe.tokens(prompt);
  const Kept everything{Selection::everything(s.layers, s.kv_heads, s.tokens), {}, {}};
  RaggedCache cache(snapshot, std::span(&everything, 1), s.tokens, static_cast<int>(tokens.size()));
  std::vector<float> most(static_cast<std::size_t>(s.layers * s.q_heads) *
                          static_cast<std::size_t>(s.tokens));  // [L, H, T]
  const AttentionTap tap{.row =
                             [&](const AttentionRow& row) {
                               float* out =
                                   most.data() + std::ptrdiff_t{row.layer * s.q_heads + row.head} * s.tokens;
                               for (int t = 0; t < s.tokens; ++t)
                                 out[t] = std::max(out[t], row.probabilities[static_cast<std::size_t>(t)]);
                             },
                         .queries = {}};
  extend(device, cache, std::span(&tokens, 1),
         {.tap = &tap, .all_logits = {}, .checkpoint = options.checkpoint});
  snapshot->observation.add_probe(probe.name,
                                  Tensor::from_host<float>(device, most, {s.layers, s.q_heads, s.tokens}));
}

void Decoder::attend_shadow(Device& device, const RaggedCache& cache, int layer, std::int32_t position,
                            Rows& rows) const {
  const int heads = cache.heads(1), group = config_.q_heads / heads;
  std::vector<AttendTask> tasks;
  for (int g = 0; g < heads; ++g)
    tasks.push_back(
        {cache.view(1, layer, g), 0, rows.count, g * group, group, position, config_.attention_form(layer)});
  device.ops().attend(device, tasks, rows.q, rows.shadow, rows.log_sums);
}

Tensor Decoder::extend(Device& device, RaggedCache& cache, std::span<const Tokens> tokens,
                       const PassOptions& options) const {
  require(std::ssize(tokens) == cache.points(), "extend: tokens of every point");
  device.enter(Phase::kDecode);
  struct Sequence {
    int point, first_row, rows, first_entry;
    std::int32_t position;
  };
  std::vector<Sequence> fed;
  Tokens ids, positions, lengths;  // [N]
  std::vector<int> last;           // row of each fed point's last token
  for (int p = 0; p < cache.points(); ++p) {
    const Tokens& mine = tokens[static_cast<std::size_t>(p)];
    if (mine.empty()) continue;
    const std::int32_t position = cache.next_position(p);
    const int n = static_cast<int>(mine.size());
    fed.push_back({p, static_cast<int>(ids.size()), n, cache.reserve(p, n), position});
    ids.insert(ids.end(), mine.begin(), mine.end());
    for (int i = 0; i < n; ++i) positions.push_back(position + i);
    lengths.insert(lengths.end(), mine.size(), position + n);
    last.push_back(static_cast<int>(ids.size()) - 1);
  }
  require(!ids.empty(), "extend: nothing to feed");
  const int N = static_cast<int>(ids.size()), H = config_.q_heads;
  Rows rows(device, config_, N);
  int shadow_entry = 0;
  if (options.tap && options.tap->outputs) {
    require(cache.points() == 2 && fed.size() == 1 && fed[0].point == 0 &&
                cache.next_position(1) == fed[0].position,
            "extend: the second of two points follows the first");
    shadow_entry = cache.reserve(1, N);
    rows.shadow = Tensor(device, device.working(), rows.mixed.dims());
    rows.shadow_delta = Tensor(device, device.working(), rows.delta.dims());
  }
  forward(device, {ids, positions, lengths}, rows, N, options, [&](int layer) {
    std::vector<StoreTask> stores;
    std::vector<AttendTask> tasks;
    std::vector<Tapped> taps;
    for (const Sequence& f : fed)
      stores.push_back({&cache.tail(f.point), f.first_row, f.rows, f.first_entry});
    if (!rows.shadow.empty()) stores.push_back({&cache.tail(1), 0, N, shadow_entry});
    device.ops().store(device, rows.k, rows.v, layer, stores);
    for (int g = 0; g < H; ++g) {  // points that share a lane of the snapshot one after the other
      for (const Sequence& f : fed) {
        const int lane_heads = cache.heads(f.point), group = H / lane_heads;
        if (g >= lane_heads) continue;
        tasks.push_back({cache.view(f.point, layer, g), f.first_row, f.rows, g * group, group, f.position,
                         config_.attention_form(layer)});
        if (!options.tap || !options.tap->row) continue;
        const int entries = tasks.back().lane.present_entries();
        taps.push_back({f.point, g * group, entries,
                        std::vector<float>(static_cast<std::size_t>(f.rows * group) *
                                           static_cast<std::size_t>(entries))});
      }
    }
    for (std::size_t i = 0; i < taps.size(); ++i) tasks[i].probabilities = taps[i].probabilities.data();
    device.ops().attend(device, tasks, rows.q, rows.mixed, rows.log_sums);
    for (std::size_t i = 0; i < taps.size(); ++i) tell(*options.tap, layer, tasks[i], taps[i]);
    if (!rows.shadow.empty()) attend_shadow(device, cache, layer, fed[0].position, rows);
  });
  tell_logits(device, rows, 0, kLogitRows, options);
  return logits(device, rows, last);
}

}  // namespace evictbench
