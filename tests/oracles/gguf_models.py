#!/usr/bin/env python3
"""Small random models, each as a Hugging Face folder and as a GGUF file: evictbench must see one and the same in both.

    python3 tests/oracles/gguf_models.py EVICTBENCH [FOLDER] [--only NAME]

Writes every pair with the `gguf` package, as converters do (rows of q and k paired for llama, matrices of GPT-2 turned,
1 added to Gemma's norms, quantised matrices in blocks; the folder holds what the blocks dequantise to), and compares
all logits, greedy tokens and token ids, bit for bit. Exit code 1 unless all agree. Families that this evictbench lacks are
left out. Needs numpy, gguf, safetensors, tokenizers and sentencepiece.
"""
import argparse
import io
import json
import math
import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np
import sentencepiece
from gguf.constants import GGMLQuantizationType as Q
from gguf.quants import dequantize, quantize
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = ("The clerk, whose name nobody knew, wrote 1984 lines about rivers and 3.14 bridges; it's what he'd do. "
        "Don't ask why:\n\n  tabs\tand   spaces, naïve façades, 東京タワー, Ünïcödé, Привет, e\u0301, 🙂👩‍🚀!\r\n")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
PRE = {"gpt-2": [], "smollm": [pre_tokenizers.Digits(individual_digits=True)],
       "llama-bpe": [pre_tokenizers.Split(Regex(LLAMA3), "isolated")],
       "qwen2": [pre_tokenizers.Split(Regex(QWEN2), "isolated")]}


class Pair:
    """One model in its two forms. Sizes: layers L, hidden C, feed-forward F, heads H, KV heads G, head dim D, V tokens."""

    def __init__(self, folder, name, arch, sizes, seed):
        self.arch, self.s = arch, sizes
        self.folder, self.file = os.path.join(folder, name), os.path.join(folder, name + ".gguf")
        os.makedirs(self.folder, exist_ok=True)
        self.rng, self.tensors, self.config = np.random.default_rng(seed), {}, {}
        self.writer = gguf.GGUFWriter(self.file, arch)

    def add(self, hf, name, shape, kind=Q.F32, scale=0.2, heads=0, transposed=False, plus=0.0, centre=0.0):
        """shape: of the folder, [out, in]; transposed: the folder has [in, out]."""
        w = (self.rng.standard_normal(shape) * scale + centre).astype(np.float32)
        if plus or kind == Q.BF16:  # few bits, as published weights have
            w = (w.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        elements, _ = gguf.GGML_QUANT_SIZES[kind]
        if elements > 1 or kind == Q.F16:
            w = dequantize(quantize(w, kind), kind).reshape(shape).astype(np.float32)
        stored = w.copy()
        if heads:  # rows (i, i + D/2) side by side
            stored = stored.reshape(heads, 2, shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(shape)
        # Blocks of the folder's own values give these values again, or the file would not be a conversion of it.
        raw = quantize(np.ascontiguousarray(stored + np.float32(plus)), kind) if kind != Q.F32 else stored + np.float32(plus)
        if elements > 1:
            again = dequantize(raw, kind).reshape(shape)
            if heads:
                again = again.reshape(heads, shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(shape)
            w = np.ascontiguousarray(again)
        self.writer.add_tensor(name, raw, raw_dtype=None if kind == Q.F32 else kind)
        out = np.ascontiguousarray(w.T if transposed else w)
        self.tensors[hf] = out.astype(np.float16) if kind == Q.F16 else out

    def save(self, tokenizer):
        tokenizer(self)
        save_file(self.tensors, os.path.join(self.folder, "model.safetensors"), metadata={"format": "pt"})
        with open(os.path.join(self.folder, "config.json"), "w") as file:
            json.dump(self.config, file, indent=1)
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def sizes_to_both(p, class_name, model_type, eps=1e-5, theta=10000.0, context=512, turned=None):
    s, w = p.s, p.writer
    w.add_block_count(s["L"])
    w.add_context_length(context)
    w.add_embedding_length(s["C"])
    w.add_feed_forward_length(s["F"])
    w.add_head_count(s["H"])
    w.add_head_count_kv(s["G"])
    w.add_key_length(s["D"])
    w.add_value_length(s["D"])
    w.add_rope_dimension_count(turned or s["D"])
    w.add_layer_norm_rms_eps(eps)
    w.add_rope_freq_base(theta)
    w.add_vocab_size(s["V"])
    p.config.update(architectures=[class_name], model_type=model_type, hidden_size=s["C"], intermediate_size=s["F"],
                    num_hidden_layers=s["L"], num_attention_heads=s["H"], num_key_value_heads=s["G"], head_dim=s["D"],
                    max_position_embeddings=context, rms_norm_eps=eps, rope_theta=theta, vocab_size=s["V"])


def rotary_layers(p, kinds, bias=False, head_norms=False, gemma=False):
    s, add = p.s, p.add
    plus = 1.0 if gemma else 0.0
    norm = dict(scale=0.1, centre=0.0 if gemma else 1.0, plus=plus)
    add("model.embed_tokens.weight", "token_embd.weight", (s["V"], s["C"]), kinds[0])
    for layer in range(s["L"]):
        hf, gg = f"model.layers.{layer}.", f"blk.{layer}."
        turn = p.arch == "llama"
        add(hf + "input_layernorm.weight", gg + "attn_norm.weight", (s["C"],), **norm)
        for part, heads in (("q", s["H"]), ("k", s["G"]), ("v", s["G"])):
            turned = heads if turn and part != "v" else 0
            add(f"{hf}self_attn.{part}_proj.weight", f"{gg}attn_{part}.weight", (heads * s["D"], s["C"]), kinds[1], heads=turned)
            if bias:
                add(f"{hf}self_attn.{part}_proj.bias", f"{gg}attn_{part}.bias", (heads * s["D"],), heads=turned)
            if head_norms and part != "v":
                add(f"{hf}self_attn.{part}_norm.weight", f"{gg}attn_{part}_norm.weight", (s["D"],), **norm)
        add(hf + "self_attn.o_proj.weight", gg + "attn_output.weight", (s["C"], s["H"] * s["D"]), kinds[2])
        if gemma:
            add(hf + "post_attention_layernorm.weight", gg + "post_attention_norm.weight", (s["C"],), **norm)
            add(hf + "pre_feedforward_layernorm.weight", gg + "ffn_norm.weight", (s["C"],), **norm)
            add(hf + "post_feedforward_layernorm.weight", gg + "post_ffw_norm.weight", (s["C"],), **norm)
        else:
            add(hf + "post_attention_layernorm.weight", gg + "ffn_norm.weight", (s["C"],), **norm)
        add(hf + "mlp.gate_proj.weight", gg + "ffn_gate.weight", (s["F"], s["C"]), kinds[3])
        add(hf + "mlp.up_proj.weight", gg + "ffn_up.weight", (s["F"], s["C"]), kinds[3])
        add(hf + "mlp.down_proj.weight", gg + "ffn_down.weight", (s["C"], s["F"]), kinds[4])
    add("model.norm.weight", "output_norm.weight", (s["C"],), **norm)


def head(p, tied, kind):
    p.config["tie_word_embeddings"] = tied
    if not tied:
        p.add("lm_head.weight", "output.weight", (p.s["V"], p.s["C"]), kind)


def llama(p, kinds, tied=False, bias=False, llama3=False, scaling=None):
    sizes_to_both(p, "LlamaForCausalLM", "llama", theta=500000.0 if llama3 else 10000.0, context=16384 if llama3 else 512)
    p.config.update(hidden_act="silu", attention_bias=False)
    rotary_layers(p, kinds)
    head(p, tied, kinds[0])
    if scaling:
        p.config["rope_scaling"] = dict(rope_type="linear", factor=scaling)
        p.writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        p.writer.add_rope_scaling_factor(scaling)
    if llama3:
        rope = dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)
        p.config["rope_scaling"] = rope
        factors = []
        for i in range(0, p.s["D"], 2):
            wavelength = 2 * math.pi * 500000.0 ** (i / p.s["D"])
            turns = 8192 / wavelength
            smooth = (turns - 1) / 3
            factors.append(1.0 if turns > 4 else 32.0 if turns < 1 else 1 / ((1 - smooth) / 32.0 + smooth))
        p.writer.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))


def mistral(p, kinds):
    """Under the name of llama; the window tells them apart."""
    sizes_to_both(p, "MistralForCausalLM", "mistral")
    p.config.update(hidden_act="silu", sliding_window=16)
    p.writer.add_sliding_window(16)
    rotary_layers(p, kinds)
    head(p, False, kinds[0])


def qwen2(p, kinds, yarn=False):
    sizes_to_both(p, "Qwen2ForCausalLM", "qwen2", eps=1e-6, theta=1000000.0)
    if yarn:
        p.config["rope_scaling"] = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=128)
        p.writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        p.writer.add_rope_scaling_factor(4.0)
        p.writer.add_rope_scaling_orig_ctx_len(128)
    p.config.update(hidden_act="silu", use_sliding_window=False)
    rotary_layers(p, kinds, bias=True)
    head(p, True, kinds[0])


def qwen3(p, kinds):
    sizes_to_both(p, "Qwen3ForCausalLM", "qwen3", eps=1e-6, theta=1000000.0)
    p.config.update(hidden_act="silu", attention_bias=False, use_sliding_window=False)
    rotary_layers(p, kinds, head_norms=True)
    head(p, True, kinds[0])


def gemma2(p, kinds):
    sizes_to_both(p, "Gemma2ForCausalLM", "gemma2", eps=1e-6)
    p.config.update(hidden_activation="gelu_pytorch_tanh", sliding_window=16, query_pre_attn_scalar=p.s["D"],
                    attn_logit_softcapping=50.0, final_logit_softcapping=30.0,
                    layer_types=[("full" if (i + 1) % 2 == 0 else "sliding") + "_attention" for i in range(p.s["L"])])
    p.writer.add_sliding_window(16)
    p.writer.add_attn_logit_softcapping(50.0)
    p.writer.add_final_logit_softcapping(30.0)
    rotary_layers(p, kinds, gemma=True)
    head(p, True, kinds[0])


def gemma3(p, kinds):
    sizes_to_both(p, "Gemma3ForCausalLM", "gemma3_text", eps=1e-6, theta=1000000.0)
    p.config.update(hidden_activation="gelu_pytorch_tanh", sliding_window=16, query_pre_attn_scalar=p.s["D"], rope_local_base_freq=10000.0,
                    layer_types=[("full" if (i + 1) % 6 == 0 else "sliding") + "_attention" for i in range(p.s["L"])])
    p.writer.add_sliding_window(16)
    rotary_layers(p, kinds, head_norms=True, gemma=True)
    head(p, True, kinds[0])


def phi3(p, kinds, longrope=False, part=False):
    s, add = p.s, p.add
    sizes_to_both(p, "Phi3ForCausalLM", "phi3", turned=s["D"] * 3 // 4 if part else None)
    if part:
        p.config["partial_rotary_factor"] = 0.75
    p.config.update(hidden_act="silu")
    add("model.embed_tokens.weight", "token_embd.weight", (s["V"], s["C"]), kinds[0])
    for layer in range(s["L"]):
        hf, gg = f"model.layers.{layer}.", f"blk.{layer}."
        add(hf + "input_layernorm.weight", gg + "attn_norm.weight", (s["C"],), scale=0.1, centre=1.0)
        add(hf + "self_attn.qkv_proj.weight", gg + "attn_qkv.weight", ((s["H"] + 2 * s["G"]) * s["D"], s["C"]), kinds[1])
        add(hf + "self_attn.o_proj.weight", gg + "attn_output.weight", (s["C"], s["H"] * s["D"]), kinds[2])
        add(hf + "post_attention_layernorm.weight", gg + "ffn_norm.weight", (s["C"],), scale=0.1, centre=1.0)
        add(hf + "mlp.gate_up_proj.weight", gg + "ffn_up.weight", (2 * s["F"], s["C"]), kinds[3])
        add(hf + "mlp.down_proj.weight", gg + "ffn_down.weight", (s["C"], s["F"]), kinds[4])
    add("model.norm.weight", "output_norm.weight", (s["C"],), scale=0.1, centre=1.0)
    head(p, False, kinds[0])
    if longrope:
        short = np.linspace(1, 1.5, s["D"] // 2).astype(np.float32)
        long = np.linspace(1, 20, s["D"] // 2).astype(np.float32)
        p.config.update(original_max_position_embeddings=64)
        p.config["rope_scaling"] = dict(type="longrope", short_factor=[float(x) for x in short], long_factor=[float(x) for x in long])
        p.writer.add_rope_scaling_orig_ctx_len(64)
        p.writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(512 / 64) / math.log(64)))
        p.writer.add_tensor("rope_factors_short.weight", short)
        p.writer.add_tensor("rope_factors_long.weight", long)


def gpt2(p, kinds):
    s, w, add = p.s, p.writer, p.add
    w.add_block_count(s["L"])
    w.add_context_length(256)
    w.add_embedding_length(s["C"])
    w.add_feed_forward_length(s["F"])
    w.add_head_count(s["H"])
    w.add_layer_norm_eps(1e-5)
    p.config.update(architectures=["GPT2LMHeadModel"], model_type="gpt2", n_embd=s["C"], n_layer=s["L"], n_head=s["H"], n_inner=s["F"],
                    n_positions=256, layer_norm_epsilon=1e-5, activation_function="gelu_new", vocab_size=s["V"], tie_word_embeddings=True)
    add("transformer.wte.weight", "token_embd.weight", (s["V"], s["C"]), kinds[0])
    add("transformer.wpe.weight", "position_embd.weight", (256, s["C"]))
    for layer in range(s["L"]):
        hf, gg = f"transformer.h.{layer}.", f"blk.{layer}."
        for a, b in (("ln_1", "attn_norm"), ("ln_2", "ffn_norm")):
            add(f"{hf}{a}.weight", f"{gg}{b}.weight", (s["C"],), scale=0.1, centre=1.0)
            add(f"{hf}{a}.bias", f"{gg}{b}.bias", (s["C"],))
        for a, b, rows, columns, kind in (("attn.c_attn", "attn_qkv", 3 * s["C"], s["C"], kinds[1]),
                                          ("attn.c_proj", "attn_output", s["C"], s["C"], kinds[2]),
                                          ("mlp.c_fc", "ffn_up", s["F"], s["C"], kinds[3]),
                                          ("mlp.c_proj", "ffn_down", s["C"], s["F"], kinds[4])):
            add(f"{hf}{a}.weight", f"{gg}{b}.weight", (rows, columns), kind, transposed=True)
            add(f"{hf}{a}.bias", f"{gg}{b}.bias", (rows,))
    add("transformer.ln_f.weight", "output_norm.weight", (s["C"],), scale=0.1, centre=1.0)
    add("transformer.ln_f.bias", "output_norm.bias", (s["C"],))


def bpe(pre):
    """A byte-level tokenizer trained on TEXT, in both forms; the last ids are padding that only the file names."""
    def put(p):
        steps = PRE[pre] + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not PRE[pre] or pre == "smollm")]
        tok = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
        tok.pre_tokenizer = pre_tokenizers.Sequence(steps)
        if pre == "qwen2":
            tok.normalizer = normalizers.NFC()
        tok.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
        tok.train_from_iterator([TEXT] * 3, trainer)
        tok.add_special_tokens([AddedToken("<|begin|>"), AddedToken("<|end|>")])
        tok.add_tokens([AddedToken("<tool>", normalized=False)])
        bos, eos = tok.token_to_id("<|begin|>"), tok.token_to_id("<|end|>")
        if pre == "llama-bpe":
            tok.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", bos)])
        tok.save(os.path.join(p.folder, "tokenizer.json"))
        count, V = tok.get_vocab_size(), p.s["V"]
        types = {"<|begin|>": 3, "<|end|>": 3, "<tool>": 4}
        tokens = [tok.id_to_token(i) for i in range(count)] + [f"[PAD{i}]" for i in range(count, V)]
        merges = [m if isinstance(m, str) else " ".join(m) for m in json.loads(tok.to_str())["model"]["merges"]]
        w = p.writer
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre(pre)
        w.add_token_list(tokens)
        w.add_token_types([5 if i >= count else types.get(t, 1) for i, t in enumerate(tokens)])
        w.add_token_merges(merges)
        w.add_bos_token_id(bos)
        w.add_eos_token_id(eos)
        p.config.update(bos_token_id=bos, eos_token_id=eos)
    return put


def spm(dummy_prefix=True):
    def put(p):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([TEXT] * 3), model_writer=model, model_type="bpe", vocab_size=p.s["V"] - 1, byte_fallback=True,
            add_dummy_prefix=dummy_prefix, remove_extra_whitespaces=False, normalization_rule_name="identity", minloglevel=2,
            character_coverage=0.98, hard_vocab_limit=True, user_defined_symbols=["▁▁▁"])
        with open(os.path.join(p.folder, "tokenizer.model"), "wb") as file:
            file.write(model.getvalue())
        sp = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
        tokens, scores, types = [], [], []
        for i in range(sp.get_piece_size()):
            tokens.append(sp.id_to_piece(i).replace("▁", " ") if sp.id_to_piece(i) == "▁▁▁" else sp.id_to_piece(i))
            scores.append(sp.get_score(i))
            types.append(2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else
                         4 if sp.id_to_piece(i) == "▁▁▁" else 1)
        for i in range(len(tokens), p.s["V"]):
            tokens.append(f"[PAD{i}]"), scores.append(-1000.0), types.append(5)
        w = p.writer
        w.add_tokenizer_model("llama")
        w.add_tokenizer_pre("default")
        w.add_token_list(tokens)
        w.add_token_scores(scores)
        w.add_token_types(types)
        w.add_bos_token_id(1)
        w.add_eos_token_id(2)
        w.add_add_space_prefix(dummy_prefix)
        p.config.update(bos_token_id=1, eos_token_id=2)
    return put


def ask(*command):
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        return f"exit {run.returncode}: {run.stderr.strip()}"
    return json.loads(run.stdout)


def differences(evictbench, p):
    ids = ",".join(str(int(i)) for i in np.random.default_rng(9).integers(0, p.s["V"] - 8, 70))
    out = []
    for what, arguments in (("logits", ("inspect", "logits", "MODEL", "--ids", ids, "--all", "--json")),
                            ("answers", ("generate", "MODEL", "--ids", ids, "--max-new", "24", "--json")),
                            ("tokens", ("inspect", "tokens", "MODEL", "--text", TEXT * 2, "--json")),
                            ("specials", ("inspect", "tokens", "MODEL", "--parse-special", "--text", "a<|end|> b<tool>   c</s><s>d", "--json"))):
        both = [ask(evictbench, *[model if a == "MODEL" else a for a in arguments]) for model in (p.folder, p.file)]
        if both[0] != both[1] or isinstance(both[0], str):
            out.append(f"{what}: {str(both[0])[:300]}\n      against {str(both[1])[:300]}")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evictbench")
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    f32, half, mixed = [Q.F32] * 5, [Q.F16] * 5, [Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_1, Q.Q5_0]
    brain = [Q.F32, Q.BF16, Q.BF16, Q.BF16, Q.Q8_0]
    small = dict(L=2, C=64, F=96, H=4, G=2, D=16, V=400)
    cases = [("llama-f32", "llama", llama, dict(kinds=f32), small, spm()),
             ("llama-mixed", "llama", llama, dict(kinds=mixed, tied=True), small, spm(dummy_prefix=False)),
             ("llama-half", "llama", llama, dict(kinds=half), dict(small, G=1, D=24), bpe("smollm")),
             ("llama-brain", "llama", llama, dict(kinds=brain, scaling=2.0), dict(small, G=4), bpe("gpt-2")),
             ("llama-3", "llama", llama, dict(kinds=mixed, llama3=True), dict(small, D=64), bpe("llama-bpe")),
             ("qwen2", "qwen2", qwen2, dict(kinds=mixed), small, bpe("qwen2")),
             ("mistral", "llama", mistral, dict(kinds=mixed), small, spm()),
             ("qwen2-yarn", "qwen2", qwen2, dict(kinds=half, yarn=True), small, bpe("qwen2")),
             ("phi3-part", "phi3", phi3, dict(kinds=f32, part=True), small, spm()),
             ("qwen3", "qwen3", qwen3, dict(kinds=mixed), dict(small, D=32), bpe("qwen2")),
             ("gpt2", "gpt2", gpt2, dict(kinds=f32), dict(small, G=4), bpe("gpt-2")),
             ("gpt2-mixed", "gpt2", gpt2, dict(kinds=mixed), dict(small, G=4), bpe("gpt-2")),
             ("phi3", "phi3", phi3, dict(kinds=mixed), small, spm()),
             ("phi3-long", "phi3", phi3, dict(kinds=half, longrope=True), small, spm()),
             ("gemma2", "gemma2", gemma2, dict(kinds=mixed), small, spm(dummy_prefix=False)),
             ("gemma3", "gemma3", gemma3, dict(kinds=mixed), dict(small, L=7), spm(dummy_prefix=False))]
    known = subprocess.run([args.evictbench, "list", "families"], capture_output=True, text=True, check=True).stdout
    families = {line.split()[0] for line in known.splitlines() if line.strip()}
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for seed, (name, arch, build, options, sizes, tokenizer) in enumerate(cases):
            if args.only not in name:
                continue
            p = Pair(args.folder or temporary, name, arch, sizes, seed)
            build(p, **options)
            p.save(tokenizer)
            if p.config["model_type"] not in families:
                print(f"{name}: left out, this evictbench has no family {p.config['model_type']}")
                continue
            found = differences(args.evictbench, p)
            failed |= bool(found)
            print(f"{name}: " + ("the same" if not found else "DIFFERS\n    " + "\n    ".join(found)))
    return 1 if failed else 0


sys.exit(main())
