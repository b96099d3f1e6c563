#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/numerics.h"
#include "models/rope.h"
#include "tests/support/random_decoder.h"

namespace evictbench {

// The transformer once more, one token at a time in plain loops, in the arithmetic order of core/numerics.h: what a
// token sees is a mask over all positions. It shares no cache, selection or kernel with the product, and must give its
// bits.
class ScalarDecoder {
 public:
  using Row = std::vector<float>;
  // Whether the query head sees the position; positions after the query's own are never asked about.
  using Visible = std::function<bool(int layer, int head, int position)>;

  ScalarDecoder(const DecoderConfig& config, const WeightSource& source)
      : c_(config), rope_(config.ropes.at(0)) {
    const WeightNames names = usual_names(c_);
    const auto load = [&](const std::string& name) { return source.load(name).widened(); };
    embedding_ = load(names.embedding[0]);
    head_ = c_.tied_embeddings ? embedding_ : load(names.head[0]);
    final_norm_ = load(names.final_norm[0]);
    for (int l = 0; l < c_.layers; ++l) {
      std::map<std::string, Row> w;
      const std::pair<const char*, const std::string*> parts[] = {{"an", &names.attention_norm[0]},
                                                                  {"q", &names.qkv[0]},
                                                                  {"k", &names.qkv[1]},
                                                                  {"v", &names.qkv[2]},
                                                                  {"o", &names.output[0]},
                                                                  {"mn", &names.mlp_norm[0]},
                                                                  {"g", &names.gate_up[0]},
                                                                  {"u", &names.gate_up[1]},
                                                                  {"d", &names.down[0]}};
      for (const auto& [key, pattern] : parts) w[key] = load(layer_name(*pattern, l));
      layers_.push_back(std::move(w));
    }
    keys_.resize(static_cast<std::size_t>(c_.layers * c_.kv_heads));
    values_ = keys_;
  }

  int length() const { return length_; }
  void cut(int length) {  // forget what was fed from there on
    length_ = length;
    for (auto* all : {&keys_, &values_})
      for (Row& lane : *all) lane.resize(static_cast<std::size_t>(length * c_.head_dim));
  }

  // Feeds one token at the next position -> logits [V].
  Row feed(std::int32_t token, const Visible& visible) {
    const int C = c_.hidden, H = c_.q_heads, G = c_.kv_heads, D = c_.head_dim, F = c_.intermediate;
    const std::int32_t position = length_++;
    const std::int32_t length = position + 1;
    const RotaryRows turn = rope_.rows(std::span(&position, 1), std::span(&length, 1));
    Row x(embedding_.begin() + token * C, embedding_.begin() + (token + 1) * C);
    for (int l = 0; l < c_.layers; ++l) {
      const auto& w = layers_[static_cast<std::size_t>(l)];
      const Row h = normed(x, w.at("an"));
      Row q = times(h, w.at("q"), H * D), k = times(h, w.at("k"), G * D);
      const Row v = times(h, w.at("v"), G * D);
      rotate(q, turn);
      rotate(k, turn);
      for (int g = 0; g < G; ++g) {
        const auto lane = static_cast<std::size_t>(l * G + g);
        keys_[lane].insert(keys_[lane].end(), k.begin() + g * D, k.begin() + (g + 1) * D);
        values_[lane].insert(values_[lane].end(), v.begin() + g * D, v.begin() + (g + 1) * D);
      }
      Row mixed(static_cast<std::size_t>(H * D));
      for (int head = 0; head < H; ++head)
        attend(l, head, position, q.data() + head * D, visible, mixed.data() + head * D);
      add(times(mixed, w.at("o"), C), x);
      const Row m = normed(x, w.at("mn"));
      Row gate = times(m, w.at("g"), F);
      const Row up = times(m, w.at("u"), F);
      for (std::size_t i = 0; i < gate.size(); ++i)
        gate[i] = gate[i] / (1.0f + numerics::exp(0.0f - gate[i])) * up[i];
      add(times(gate, w.at("d"), C), x);
    }
    return times(normed(x, final_norm_), head_, c_.vocabulary);
  }

 private:
  static Row times(const Row& x, const Row& w, int outputs) {
    Row y(static_cast<std::size_t>(outputs));
    const int depth = static_cast<int>(x.size());
    for (int m = 0; m < outputs; ++m)
      y[static_cast<std::size_t>(m)] = numerics::dot(x.data(), w.data() + std::ptrdiff_t{m} * depth, depth);
    return y;
  }
  static void add(const Row& delta, Row& x) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += delta[i];
  }
  Row normed(const Row& x, const Row& weight) const {
    const int n = static_cast<int>(x.size());
    const float scale = 1.0f / std::sqrt(numerics::square_sum(x.data(), n) / static_cast<float>(n) +
                                         static_cast<float>(c_.norm_eps));
    Row y = x;
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[i] * scale * weight[i];
    return y;
  }
  void rotate(Row& x, const RotaryRows& turn) const {
    const std::size_t D = static_cast<std::size_t>(c_.head_dim), half = D / 2;
    for (std::size_t head = 0; head < x.size(); head += D)
      for (std::size_t i = 0; i < half; ++i) {
        const float a = x[head + i], b = x[head + i + half];
        x[head + i] = numerics::fma(-b, turn.sines[i], a * turn.cosines[i]);
        x[head + i + half] = numerics::fma(a, turn.sines[i], b * turn.cosines[i]);
      }
  }

  // Dense attention over every position up to the query's, in blocks of 128; what is not visible is skipped.
  void attend(int layer, int head, int last, const float* q, const Visible& visible, float* out) const {
    const int D = c_.head_dim;
    const auto lane = static_cast<std::size_t>(layer * c_.kv_heads + head * c_.kv_heads / c_.q_heads);
    const float scale = 1.0f / std::sqrt(static_cast<float>(D));
    float row_max = 0, row_total = -1;  // total < 0: nothing yet
    Row mix(static_cast<std::size_t>(D));
    for (int block = 0; block <= last; block += 128) {
      const int size = std::min(128, last + 1 - block);
      float logit[128], weight[128] = {}, top = -INFINITY;
      bool present[128];
      for (int j = 0; j < size; ++j) {
        logit[j] = numerics::dot(q, keys_[lane].data() + (block + j) * D, D) * scale;
        present[j] = block + j == last || visible(layer, head, block + j);
        if (present[j]) top = std::max(top, logit[j]);
      }
      if (top == -INFINITY) continue;
      Row part(static_cast<std::size_t>(D));
      for (int j = 0; j < size; ++j) {
        if (!present[j]) continue;
        weight[j] = numerics::exp(logit[j] - top);
        for (int d = 0; d < D; ++d)
          part[static_cast<std::size_t>(d)] =
              numerics::fma(weight[j], values_[lane][static_cast<std::size_t>((block + j) * D + d)],
                            part[static_cast<std::size_t>(d)]);
      }
      const float total = numerics::row_sum(weight, 128);
      if (row_total < 0) {
        mix = part;
        row_total = total;
        row_max = top;
        continue;
      }
      const float both = std::max(row_max, top), a = numerics::exp(row_max - both),
                  b = numerics::exp(top - both);
      for (std::size_t d = 0; d < mix.size(); ++d) mix[d] = numerics::fma(mix[d], a, part[d] * b);
      row_total = numerics::fma(row_total, a, total * b);
      row_max = both;
    }
    for (int d = 0; d < D; ++d) out[d] = mix[static_cast<std::size_t>(d)] / row_total;
  }

  DecoderConfig c_;
  Rope rope_;
  Row embedding_, head_, final_norm_;
  std::vector<std::map<std::string, Row>> layers_;
  std::vector<Row> keys_, values_;  // [L * G][positions * D]
  int length_ = 0;
};

}  // namespace evictbench
