"""What make_goldens.py makes: one entry a checkpoint. A spec is

    name: (family, changes to the family's base config, options)

Options
    dtype       of the stored weights: "f32", "bf16" or "f16"
    old         config.json as transformers 4 and the published checkpoints spell it, and then
    drop        keys taken out of it (their defaults must be the same values),
    add         keys put in, without effect,
    both_types  the rope's kind given twice
    eos         of generation_config.json
    shard       bytes a shard may hold
    names       "gpt2": the names that the published GPT-2 files give to weights, and their masks
    store_head  the tied head is in the file as well
    long        tokens of the longest prompt
    decode      which prompts are continued greedily
"""

BASE = {
    "llama": dict(vocab_size=71, hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=1024, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2),
    "mistral": dict(vocab_size=67, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, max_position_embeddings=1024, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2),
    "qwen2": dict(vocab_size=69, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=1024, rms_norm_eps=1e-6, bos_token_id=66, eos_token_id=68),
    "qwen3": dict(vocab_size=69, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, head_dim=12,
                  num_key_value_heads=2, max_position_embeddings=1024, rms_norm_eps=1e-6, bos_token_id=66, eos_token_id=68),
    "gpt2": dict(vocab_size=65, n_embd=32, n_head=4, n_layer=2, n_positions=256, bos_token_id=64, eos_token_id=64),
    "phi3": dict(vocab_size=73, hidden_size=32, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=4, max_position_embeddings=1024, original_max_position_embeddings=1024, rms_norm_eps=1e-5,
                 bos_token_id=1, eos_token_id=70, pad_token_id=70),
    "gemma2": dict(vocab_size=67, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, head_dim=12,
                   num_key_value_heads=2, max_position_embeddings=1024, query_pre_attn_scalar=10, sliding_window=20,
                   attn_logit_softcapping=3.0, final_logit_softcapping=4.0),
    "gemma3_text": dict(vocab_size=67, hidden_size=32, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4,
                        head_dim=12, num_key_value_heads=1, max_position_embeddings=1024, query_pre_attn_scalar=14,
                        sliding_window=20, layer_types=["sliding_attention", "full_attention"]),
}

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}


def rope(kind, theta=10000.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


def yarn(theta=10000.0, factor=4.0, original=64, **more):
    return rope("yarn", theta, factor=factor, original_max_position_embeddings=original, **more)


def longrope(pairs, theta=10000.0, **more):  # factors that differ from dimension to dimension, as trained ones do
    short = [round(1.0 + 0.07 * i, 2) for i in range(pairs)]
    long = [round(1.3 + 1.9 * i * i / pairs, 3) for i in range(pairs)]
    return rope("longrope", theta, short_factor=short, long_factor=long, **more)


SLIDE, FULL = "sliding_attention", "full_attention"

SPECS = {
    # llama: groups, biases, head sizes, every rope kind.
    "llama-mha": ("llama", dict(num_key_value_heads=4), dict(dtype="f32")),
    "llama-gqa4-tied-old": ("llama", dict(num_attention_heads=8, head_dim=8, tie_word_embeddings=True,
                                          rope_parameters=rope("default", 500000.0)),
                            dict(dtype="bf16", old=True, eos=[2, 7, 70])),
    "llama-mqa": ("llama", dict(num_key_value_heads=1, rms_norm_eps=1e-6), dict(dtype="f16")),
    "llama-bias": ("llama", dict(attention_bias=True, mlp_bias=True), dict(dtype="bf16")),
    "llama-bias-attention-tied": ("llama", dict(attention_bias=True, tie_word_embeddings=True, num_key_value_heads=1),
                                  dict(dtype="f16", eos=3)),
    "llama-odd-sizes": ("llama", dict(hidden_size=48, head_dim=10, intermediate_size=37, vocab_size=101), dict(dtype="bf16")),
    "llama-head6-three-layers": ("llama", dict(hidden_size=35, head_dim=6, num_attention_heads=5, num_key_value_heads=1,
                                               num_hidden_layers=3, intermediate_size=29, vocab_size=64), dict(dtype="f16")),
    "llama-minimal-old": ("llama", dict(num_key_value_heads=4, rms_norm_eps=1e-6),
                          dict(dtype="f16", old=True, drop=["head_dim", "num_key_value_heads", "rope_theta", "rope_scaling",
                                                            "tie_word_embeddings", "attention_bias", "mlp_bias"])),
    "llama-linear-old": ("llama", dict(rope_parameters=rope("linear", factor=4)), dict(dtype="bf16", old=True)),
    "llama-dynamic": ("llama", dict(max_position_embeddings=96, rope_parameters=rope("dynamic", factor=2.0)),
                      dict(dtype="bf16", long=530)),
    "llama-dynamic-old": ("llama", dict(max_position_embeddings=72, num_key_value_heads=1, head_dim=10,
                                        rope_parameters=rope("dynamic", 5000.0, factor=4.0)), dict(dtype="f16", old=True)),
    "llama-llama3": ("llama", dict(num_attention_heads=2, num_key_value_heads=1, head_dim=16,
                                   rope_parameters={**LLAMA3, "rope_theta": 500000.0}), dict(dtype="f32")),
    "llama-llama3-old": ("llama", dict(num_attention_heads=6, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True,
                                       rope_parameters={**LLAMA3, "factor": 32.0, "rope_theta": 500000.0}),
                         dict(dtype="bf16", old=True, shard=20_000, eos=[2, 3, 70])),
    "llama-yarn": ("llama", dict(head_dim=16, num_key_value_heads=1, rope_parameters=yarn()), dict(dtype="bf16")),
    "llama-yarn-mscale": ("llama", dict(head_dim=12, rope_parameters=yarn(mscale=1.4, mscale_all_dim=0.3)), dict(dtype="bf16")),
    "llama-yarn-attention-factor-old": ("llama", dict(head_dim=16, rope_parameters=yarn(
        original=256, attention_factor=1.3, beta_fast=8.0, beta_slow=2.0)), dict(dtype="f16", old=True, long=300)),
    "llama-yarn-untruncated": ("llama", dict(head_dim=20, num_attention_heads=2, rope_parameters=yarn(truncate=False)),
                               dict(dtype="bf16")),
    "llama-longrope": ("llama", dict(rope_parameters=longrope(4, factor=8.0, original_max_position_embeddings=128)),
                       dict(dtype="bf16")),
    "llama-head-stored-twice": ("llama", dict(tie_word_embeddings=True), dict(dtype="bf16", store_head=True)),
    "llama-sharded": ("llama", dict(num_hidden_layers=3), dict(dtype="f16", shard=16_000)),
    # mistral: window on every layer, none, longer than the prompt; Nemo's head size.
    "mistral-window": ("mistral", dict(sliding_window=24), dict(dtype="f32", long=530)),
    "mistral-nemo-old": ("mistral", dict(sliding_window=None, head_dim=12, rope_parameters=rope("default", 1000000.0)),
                         dict(dtype="bf16", old=True)),
    "mistral-v1-old": ("mistral", dict(sliding_window=4096, num_key_value_heads=1),
                       dict(dtype="f16", old=True, drop=["head_dim"])),
    "mistral-window3": ("mistral", dict(sliding_window=3, num_key_value_heads=4), dict(dtype="bf16")),
    "mistral-yarn-window": ("mistral", dict(sliding_window=40, head_dim=16, num_key_value_heads=1, rope_parameters=yarn(
        theta=50000.0, factor=16.0)), dict(dtype="bf16")),
    "mistral-linear-tied": ("mistral", dict(sliding_window=100, tie_word_embeddings=True, rope_parameters=rope(
        "linear", factor=2.5)), dict(dtype="f16")),
    # qwen2: biases on q, k, v; windows from a layer on, or by layer types.
    "qwen2-mha": ("qwen2", dict(num_key_value_heads=4), dict(dtype="f32")),
    "qwen2-gqa4-tied-old": ("qwen2", dict(num_attention_heads=8, tie_word_embeddings=True,
                                          rope_parameters=rope("default", 1000000.0)),
                            dict(dtype="bf16", old=True, eos=[68, 66], add=dict(  # a window that is not used
                                sliding_window=24, max_window_layers=0))),
    "qwen2-window": ("qwen2", dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=20, max_window_layers=1),
                     dict(dtype="bf16")),
    "qwen2-layer-types": ("qwen2", dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=33, num_key_value_heads=1,
                                        layer_types=[SLIDE, FULL, SLIDE]), dict(dtype="f16")),
    "qwen2-yarn-old": ("qwen2", dict(head_dim=16, rope_parameters=yarn(theta=1000000.0)),
                       dict(dtype="bf16", old=True, both_types=True)),
    "qwen2-dynamic-sharded": ("qwen2", dict(max_position_embeddings=80, rope_parameters=rope("dynamic", factor=3.0)),
                              dict(dtype="f16", shard=16_000)),
    # qwen3: norms of queries and keys.
    "qwen3-gqa2": ("qwen3", {}, dict(dtype="f32")),
    "qwen3-tied-old": ("qwen3", dict(num_attention_heads=8, head_dim=16, tie_word_embeddings=True, max_window_layers=28,
                                     rope_parameters=rope("default", 1000000.0)),
                       dict(dtype="bf16", old=True, eos=[68, 66])),
    "qwen3-bias": ("qwen3", dict(attention_bias=True, num_key_value_heads=4, head_dim=6), dict(dtype="bf16")),
    "qwen3-yarn": ("qwen3", dict(num_key_value_heads=1, head_dim=16, rope_parameters=yarn(theta=1000000.0)), dict(dtype="bf16")),
    "qwen3-window": ("qwen3", dict(num_hidden_layers=3, use_sliding_window=True, sliding_window=20, max_window_layers=2),
                     dict(dtype="f16")),
    # gpt2: learned positions, LayerNorm, Conv1D.
    "gpt2": ("gpt2", dict(n_positions=200, n_inner=64), dict(dtype="f32", long=200)),
    "gpt2-published-old": ("gpt2", dict(n_positions=136, n_embd=24), dict(dtype="bf16", old=True, names="gpt2", long=136, decode=[1])),
    "gpt2-inverse-layer": ("gpt2", dict(n_inner=52, scale_attn_by_inverse_layer_idx=True, n_layer=3, n_embd=30, n_head=3,
                                        layer_norm_epsilon=1e-6), dict(dtype="f16", long=250)),
    "gpt2-sharded": ("gpt2", dict(n_positions=200, n_embd=36, n_head=3, tie_word_embeddings=False), dict(dtype="bf16", shard=24_000, long=200)),
    # phi3: fused projections, part of a head turned, longrope below and above its original context.
    "phi3-mini-old": ("phi3", dict(sliding_window=2047), dict(dtype="bf16", old=True)),
    "phi3-window": ("phi3", dict(sliding_window=30, num_key_value_heads=1), dict(dtype="f16")),
    "phi3-longrope-old": ("phi3", dict(original_max_position_embeddings=200, max_position_embeddings=6400, sliding_window=262144,
                                       rope_parameters=longrope(4)), dict(dtype="f32", old=True, long=260, decode=[2, 3])),
    "phi3-mini4-old": ("phi3", dict(original_max_position_embeddings=208, max_position_embeddings=6656, num_key_value_heads=2,
                                    hidden_size=48, num_attention_heads=6, tie_word_embeddings=True, sliding_window=262144,
                                    partial_rotary_factor=0.75, rope_parameters=longrope(3)),
                       dict(dtype="bf16", old=True, long=530, decode=[2, 3], eos=[70, 71])),
    "phi3-partial": ("phi3", dict(num_key_value_heads=2, partial_rotary_factor=0.5), dict(dtype="bf16")),
    "phi3-longrope-attention-factor": ("phi3", dict(original_max_position_embeddings=96, num_key_value_heads=1,
                                                    rope_parameters=longrope(4, attention_factor=1.25)),
                                       dict(dtype="f16", decode=[3])),
    # gemma2: soft caps, every other layer local, four norms a layer, scaled embeddings.
    "gemma2": ("gemma2", {}, dict(dtype="f32")),
    "gemma2-old": ("gemma2", dict(num_hidden_layers=3), dict(dtype="bf16", old=True)),
    "gemma2-uncapped": ("gemma2", dict(attn_logit_softcapping=None, final_logit_softcapping=None, num_key_value_heads=4,
                                       head_dim=8), dict(dtype="bf16")),
    "gemma2-untied": ("gemma2", dict(tie_word_embeddings=False, attention_bias=True, num_key_value_heads=1, head_dim=10,
                                     layer_types=[FULL, SLIDE]), dict(dtype="f16")),
    # gemma3: norms of queries and keys, two ropes.
    "gemma3": ("gemma3_text", {}, dict(dtype="f32")),
    "gemma3-linear-old": ("gemma3_text", dict(num_hidden_layers=4, num_key_value_heads=2, layer_types=[SLIDE, FULL] * 2,
                                              rope_parameters={FULL: rope("linear", 100000.0, factor=8.0),
                                                               SLIDE: rope("default", 1000.0)}),
                          dict(dtype="bf16", old=True, eos=[1, 66])),
    "gemma3-pattern6-old": ("gemma3_text", dict(num_hidden_layers=6, head_dim=8, intermediate_size=24, vocab_size=67,
                                                hidden_size=24, layer_types=[SLIDE] * 5 + [FULL]),
                            dict(dtype="bf16", old=True)),
    "gemma3-llama3": ("gemma3_text", dict(num_key_value_heads=4, head_dim=10, rope_parameters={
        FULL: {**LLAMA3, "rope_theta": 1000000.0}, SLIDE: rope("default", 10000.0)}), dict(dtype="bf16")),
    "gemma3-capped": ("gemma3_text", dict(final_logit_softcapping=2.5, tie_word_embeddings=False, attention_bias=True,
                                          layer_types=[FULL, SLIDE]), dict(dtype="f16")),
}
