#!/usr/bin/env python3
"""Writes tests/models/copying/: a Llama of two layers that copies what it has seen, its weights written here and not trained.

    venv/bin/python tests/oracles/make_copying_model.py tests/models/copying     # numpy, safetensors

Nothing here reads this project's code. Which heads copy is known by construction:

    layer 0, head 5           looks one token back and notes what stands there
    layer 1, heads 1, 4 and 6 look where the token before is the present one, and write what stands there

Every other head looks about at random and adds noise, some of it to what is read in the end. Each of the three copying heads
suffices; without them the model says its last token again.

The residual stream, C = 64: a code of the token (22), the code of the token before (22), a constant (1), nothing but noise (19).
Rotary positions: theta is so large that of the 16 pairs of a head the last eleven hardly turn within 4,096 tokens. Looking one
token back goes by the first four, comparing tokens by the last eleven.
"""
import json
import sys

import numpy as np
from safetensors.numpy import save_file

LAYERS, H, G, D, C, F = 2, 8, 4, 32, 64, 8  # layers, query heads, KV heads, head dim, width, MLP width
THETA, CONTEXT = 1e15, 4096  # theta: the greatest that the loader takes
TURNING, STILL = 4, 5  # pairs before TURNING tell distances; pairs from STILL on hardly move
PREVIOUS = 5  # query head of layer 0
COPYING = (1, 4, 6)  # query heads of layer 1
N = 22  # dims of a code
CODE, BEFORE, ONE = slice(0, N), slice(N, 2 * N), 2 * N
CONSTANT = 3.0  # in dim ONE of every token
COPIED = 1.5  # what one copying head writes, in codes: more than the token's own
NOISE = 0.06  # of what each other head writes into a dim
LOGITS = 120.0  # of attention, for what fits; per pair where a head looks back
MARGIN = 20.0  # logits: e^20 is far above any number of keys

WORDS = """Remember that What does mean means ? . , the a of and in is to
Tallinn Bergen Lisbon Cairo Quito Osaka Perth Turin Malmo Dakar
amber azure beaver bugle canyon cherry clover coral cougar dagger falcon galaxy garnet gazelle heron indigo island jaguar
lemon lilac lynx maple marble meteor nettle nutmeg oboe olive opal orbit otter oyster panther pearl pepper planet poppy prairie
quartz quince raven ruby saffron salmon silver spindle sulphur tiger topaz trumpet tulip tundra velvet walrus willow zircon""".split()


def tokenizer():
    """Whole words where we have them, and bytes."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    pieces += [(f"<0x{byte:02X}>", -30.0) for byte in range(256)]
    pieces += [(word if word in "?.," else "\u2581" + word, -1.0) for word in WORDS] + [("\u2581", -2.0)]
    special = lambda i: {"id": i, "content": pieces[i][0], "single_word": False, "lstrip": False, "rstrip": False,
                         "normalized": False, "special": True}
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [special(i) for i in range(3)],
            "normalizer": None, "pre_tokenizer": metaspace, "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": True, "vocab": pieces}}


def codes(count):
    """[count, 22] of +-1, any two alike in at most 14 places: the extended Golay code without its last two message bits."""
    generator = 0b110001110101  # x^11 + x^10 + x^6 + x^5 + x^4 + x^2 + 1
    assert count < 1 << 10
    words = []
    for message in range(1, count + 1):
        word = 0
        for bit in range(10):
            if message >> bit & 1: word ^= generator << bit
        bits = [word >> i & 1 for i in range(N - 1)]
        words.append(bits + [sum(bits) % 2])
    out = 1.0 - 2.0 * np.array(words)
    assert (out @ out.T - 2 * N * np.eye(count)).max() <= 6
    return out


def layer_names(i):
    names = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
             "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
             "norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
    return {short: f"model.layers.{i}.{name}.weight" for short, name in names.items()}


def plain_layer(draw):
    """Heads that look about softly and write noise; an MLP that does nothing."""
    o = draw.standard_normal((C, H * D)) * NOISE / D**0.5
    o[BEFORE], o[ONE] = 0, 0
    return {"q": draw.standard_normal((H * D, C)) / C**0.5, "k": draw.standard_normal((G * D, C)) / C**0.5,
            "v": draw.standard_normal((G * D, C)) / C**0.5, "o": o,
            "gate": np.zeros((F, C)), "up": np.zeros((F, C)), "down": np.zeros((C, F)),
            "norm": np.ones(C), "mlp_norm": np.ones(C)}


def head(weight, index):
    return weight[index * D:(index + 1) * D]


def clear(layer, q_head):
    """-> the query, key and value rows and output columns of a head, all zero; [D, C] but for the last, [C, D]"""
    group = H // G
    q, k, v = head(layer["q"], q_head), head(layer["k"], q_head // group), head(layer["v"], q_head // group)
    o = layer["o"][:, q_head * D:(q_head + 1) * D]
    for w in (q, k, v, o): w[:] = 0
    return q, k, v, o


def write_previous(layer):
    """One token back: the query is turned back by one step, so that it fits the key before best."""
    rms = ((N + CONSTANT**2) / C) ** 0.5
    sharp = (LOGITS * D**0.5) ** 0.5 * rms / CONSTANT
    frequencies = THETA ** (-np.arange(TURNING) * 2 / D)
    q, k, v, o = clear(layer, PREVIOUS)
    k[:TURNING, ONE] = sharp
    q[:TURNING, ONE] = sharp * np.cos(frequencies)
    q[D // 2:][:TURNING, ONE] = -sharp * np.sin(frequencies)
    v[:N, CODE] = np.eye(N) * rms
    o[BEFORE, :N] = np.eye(N)
    fits = LOGITS * np.cos(np.outer(np.arange(-1, CONTEXT), frequencies)).sum(1)  # of keys 0, 1, 2, ... back
    assert np.argmax(fits) == 1 and np.sort(fits)[-2] < fits[1] - MARGIN


def write_copying(layer):
    """Where the token before is the present one: code against code, by the dims that hardly turn."""
    rms = ((2 * N + CONSTANT**2) / C) ** 0.5
    still = np.r_[STILL:D // 2, D // 2 + STILL:D]
    assert len(still) == N and LOGITS * (1 - 6 / N) > MARGIN
    sharp = (LOGITS / N * D**0.5) ** 0.5 * rms
    for q_head in COPYING:
        q, k, v, o = clear(layer, q_head)
        q[still, CODE] = np.eye(N) * sharp
        k[still, BEFORE] = np.eye(N) * sharp
        v[:N, CODE] = np.eye(N) * rms
        o[CODE, :N] = np.eye(N) * COPIED


def main(folder):
    draw = np.random.default_rng(7)
    vocabulary = tokenizer()
    V = len(vocabulary["model"]["vocab"])
    code = codes(V)
    embedding = np.zeros((V, C))
    embedding[:, CODE], embedding[:, ONE] = code, CONSTANT
    layers = [plain_layer(draw) for _ in range(LAYERS)]
    write_previous(layers[0])
    write_copying(layers[1])
    tensors = {"model.embed_tokens.weight": embedding, "model.norm.weight": np.ones(C)}
    for i, layer in enumerate(layers):
        tensors |= {name: layer[short] for short, name in layer_names(i).items()}
    save_file({name: np.ascontiguousarray(w, dtype=np.float16) for name, w in tensors.items()},
              folder + "/model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": C,
              "intermediate_size": F, "num_hidden_layers": LAYERS, "num_attention_heads": H, "num_key_value_heads": G,
              "head_dim": D, "vocab_size": V, "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5,
              "rope_theta": THETA, "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False,
              "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float16"}
    plain = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    for name, value in (("config.json", config), ("tokenizer_config.json", plain), ("tokenizer.json", vocabulary)):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as f:
            json.dump(value, f, indent=1 if "config" in name else None, ensure_ascii=False)
            f.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
