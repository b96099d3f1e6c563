#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "tests/support/gguf_writer.h"

namespace evictbench {

// A whole model of 1 layer, 8 wide, 2 heads of 4, 1 KV head, 8 tokens, as a converter would write it. It knows nothing.
inline GgufToWrite tiny_gguf() {
  GgufToWrite file;
  file.keys = {
      {"general.architecture", gguf::string("llama")},
      {"general.type", gguf::string("model")},
      {"llama.block_count", gguf::u32(1)},
      {"llama.context_length", gguf::u32(64)},
      {"llama.embedding_length", gguf::u32(8)},
      {"llama.feed_forward_length", gguf::u32(32)},
      {"llama.attention.head_count", gguf::u32(2)},
      {"llama.attention.head_count_kv", gguf::u32(1)},
      {"llama.attention.layer_norm_rms_epsilon", gguf::f32(1e-5F)},
      {"llama.rope.freq_base", gguf::f32(10000)},
      {"llama.vocab_size", gguf::u32(8)},
      {"tokenizer.ggml.model", gguf::string("llama")},
      {"tokenizer.ggml.tokens", gguf::texts({"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "\u2581ab"})},
      {"tokenizer.ggml.scores", gguf::f32s({0, 0, 0, -4, -3, -2, -1, -0.5F})},
      {"tokenizer.ggml.token_type", gguf::i32s({2, 3, 3, 1, 1, 1, 1, 1})},
      {"tokenizer.ggml.bos_token_id", gguf::u32(1)},
      {"tokenizer.ggml.eos_token_id", gguf::u32(2)}};
  unsigned seed = 1;
  const auto add = [&](const std::string& name, std::vector<std::uint64_t> dims,
                       std::uint32_t type = gguf::kTypeF32) {
    std::size_t count = 1;
    for (const std::uint64_t dim : dims) count *= dim;
    std::string data;
    for (std::size_t i = 0; i < count; ++i) {
      seed = seed * 1664525 + 1013904223;
      if (type == gguf::kTypeF32) data += gguf::raw(static_cast<float>(seed >> 20) / 4096 - 0.5F);
      if (type == gguf::kTypeF16) data += gguf::raw(static_cast<std::uint16_t>(seed >> 18));
      if (type == gguf::kTypeQ8_0) {
        if (i % 32 == 0) data += gguf::raw(std::uint16_t{0x2000});
        data += static_cast<char>(seed >> 24);
      }
    }
    file.tensors.push_back({name, std::move(dims), type, std::move(data)});
  };
  add("token_embd.weight", {8, 8});
  add("blk.0.attn_norm.weight", {8});
  add("blk.0.attn_q.weight", {8, 8});
  add("blk.0.attn_k.weight", {8, 4}, gguf::kTypeF16);
  add("blk.0.attn_v.weight", {8, 4});
  add("blk.0.attn_output.weight", {8, 8});
  add("blk.0.ffn_norm.weight", {8});
  add("blk.0.ffn_gate.weight", {8, 32});
  add("blk.0.ffn_up.weight", {8, 32});
  add("blk.0.ffn_down.weight", {32, 8}, gguf::kTypeQ8_0);
  add("output_norm.weight", {8});
  return file;
}

// The same with a byte-level tokenizer of 8 tokens, cut as GPT-2 cuts.
inline GgufToWrite tiny_bpe_gguf() {
  GgufToWrite file = tiny_gguf();
  file.set("tokenizer.ggml.model", gguf::string("gpt2"));
  file.set("tokenizer.ggml.pre", gguf::string("gpt-2"));
  file.set("tokenizer.ggml.tokens", gguf::texts({"<|end|>", "a", "b", "c", "ab", "abc", "\u0120", "[PAD7]"}));
  file.set("tokenizer.ggml.token_type", gguf::i32s({3, 1, 1, 1, 1, 1, 1, 5}));
  file.set("tokenizer.ggml.merges", gguf::texts({"a b", "ab c"}));
  file.set("tokenizer.ggml.bos_token_id", gguf::u32(0));
  file.set("tokenizer.ggml.eos_token_id", gguf::u32(0));
  file.erase("tokenizer.ggml.scores");
  return file;
}

}  // namespace evictbench
