#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: make_seeds.py FOLDER gives FOLDER/<target>/<name>. Nothing but this file goes into
them. The committed corpus is what libFuzzer kept of these seeds and of what it found from them (tests/fuzz/README.md)."""
import json
import pathlib
import struct
import sys


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def number(field, value):
    return varint(field << 3) + varint(value & (2**64 - 1))


def chunk(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def real(field, value):
    return varint(field << 3 | 5) + struct.pack("<f", value)


def sentencepiece(kind=2, with_bytes=False, charsmap=b"", prefix=1, extra=0, more=()):
    pieces = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3), ("\u2581", -9, 1), ("a", -9, 1), ("b", -9, 1),
              ("ab", -1, 1), ("\u2581ab", -2, 1), *more]
    if with_bytes:
        pieces += [(f"<0x{b:02X}>", 0, 6) for b in range(256)]
    out = b"".join(chunk(1, chunk(1, t.encode()) + real(2, s) + number(3, k)) for t, s, k in pieces)
    trainer = number(3, kind) + number(4, len(pieces)) + number(35, int(with_bytes))
    trainer += number(40, 0) + number(41, 1) + number(42, 2) + number(43, -1) + chunk(45, b"<unk>") + chunk(46, b"<s>")
    normalizer = chunk(1, b"identity") + (chunk(2, charsmap) if charsmap else b"")
    normalizer += number(3, prefix) + number(4, extra) + number(5, 1)
    return out + chunk(2, trainer) + chunk(3, normalizer)


def charsmap():
    units = [0] * 512
    units[0] = 256 << 10
    units[256 ^ ord("a")] = ord("a") | 1 << 8 | 1 << 10
    units[256 ^ ord("a") ^ 1] = 1 << 31
    return struct.pack("<I", 2048) + struct.pack("<512I", *units) + b"b\0"


class Flat:
    """A flatbuffer table: fields by index, each bytes that stand in it, a Flat, a list of Flats, or ("list", count, bytes)."""

    def __init__(self, **fields):
        self.fields = {int(key[1:]): value for key, value in fields.items()}

    def bytes(self):  # vtable, table, then what offsets lead to; the place of the table within
        count = max(self.fields, default=-1) + 1
        table, slots, vtable = struct.pack("<i", 4 + 2 * count), {}, [4 + 2 * count, 0] + [0] * count
        for i, value in sorted(self.fields.items()):
            vtable[2 + i] = len(table)
            slots[i] = len(table)
            table += value if isinstance(value, bytes) else b"\0" * 4
        vtable[1] = len(table)
        place = 2 * len(vtable)
        out = bytearray(struct.pack(f"<{len(vtable)}H", *vtable) + table)

        def lead(slot, table):
            more, at = table.bytes()
            out[slot:slot + 4] = struct.pack("<I", len(out) + at - slot)
            out.extend(more)

        for i, value in sorted(self.fields.items()):
            slot = place + slots.get(i, 0)
            if isinstance(value, Flat):
                lead(slot, value)
            elif not isinstance(value, bytes):
                out[slot:slot + 4] = struct.pack("<I", len(out) - slot)
                first = len(out) + 4
                if isinstance(value, list):
                    out.extend(struct.pack("<I", len(value)) + b"\0" * 4 * len(value))
                    for n, table in enumerate(value):
                        lead(first + 4 * n, table)
                else:
                    out.extend(struct.pack("<I", value[1]) + value[2])
        return bytes(out), place


def arrow(columns, large=False, rows=None, batches=1, end=True):
    def message(kind, header, body):
        root, at = Flat(f0=struct.pack("<h", 4), f1=bytes([kind]), f2=header, f3=struct.pack("<q", len(body))).bytes()
        data = struct.pack("<I", at + 4) + root
        data += b"\0" * (-len(data) % 8)
        return struct.pack("<Ii", 0xFFFFFFFF, len(data)) + data + body

    fields = [Flat(f0=("list", len(name), name.encode() + b"\0"), f1=b"\1", f2=bytes([20 if large else 5]), f3=Flat(), f5=[])
              for name in columns]
    out = message(1, Flat(f1=fields), b"")
    count = len(next(iter(columns.values()))) if rows is None else rows
    nodes, buffers, body = b"", b"", b""
    for texts in columns.values():
        ends = [0]
        for text in texts:
            ends.append(ends[-1] + len(text))
        for part in (b"", struct.pack(f"<{len(ends)}{'q' if large else 'i'}", *ends), b"".join(texts)):
            buffers += struct.pack("<qq", len(body), len(part))
            body += part + b"\0" * (-len(part) % 8)
        nodes += struct.pack("<qq", count, 0)
    header = Flat(f0=struct.pack("<q", count), f1=("list", len(columns), nodes), f2=("list", 3 * len(columns), buffers))
    return out + message(3, header, body) * batches + (b"\xff" * 4 + b"\0" * 4 if end else b"")


CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 12, "intermediate_size": 20,
          "num_hidden_layers": 2, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 4, "vocab_size": 100,
          "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
          "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": [2, 3], "torch_dtype": "float32"}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
RECORD = {"schema": 1, "task": "t", "example": "0", "length": 512, "depth": 12.5, "question": "inside",
          "first_token": "evicted", "policy": "snapkv{kernel=7,pool=max,window=32}", "policy_name": "snapkv",
          "budget_unit": "entries", "budget": 64, "compute": "f32", "point": "p", "answer_ids": [1, 2, 17],
          "answer": "saffron \u00e9\n", "scores": {"exact": 0.5}, "error": "", "prompt_tokens": 500, "asked": 640,
          "kept": 640, "full_entries": 5000, "retained_bytes": 1048576, "kept_by_layer": [320, 320],
          "prompt_hash": "00112233445566aa"}
SWEEP = """version: 1
model: {path: m, device: cpu, compute: f32, chat: auto, threads: 2}
protocol: {question: [inside, after], first_token: [evicted, full], seed: 42}
policies:
  - {name: full}
  - {name: random}
  - &s {name: snapkv, window: [16, 32], kernel: 7, pool: max}
  - {name: adakv, alpha: 0.2, base: snapkv}
  - name: pyramidkv
    beta: 20
  - {name: streaming_llm, sinks: 4}
  - {name: knorm}
budgets: {unit: ratio, values: [0.05, 0.1]}
tasks:
  - name: niah
    haystack: generated
    lengths: [512, 1024]
    depths: [0, 50.5, 100]
  - {name: recall, id: two_hop, kind: "two_hop", lengths: [512], count: 12, limit: 3}
output: {dir: results/demo}  # a comment
"""


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def byte_level():
    """The 256 characters that stand for bytes in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}


def tokenizers():
    of = byte_level()
    letters = {of[b]: b for b in range(256)}
    added = lambda i, text, **more: {"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                                     "normalized": False, "special": True} | more
    byte_bpe = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(258, "<|x|>"), added(259, "<s>", special=False, lstrip=True)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|x|>", "type_id": 0}},
                           {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
                           "special_tokens": {"<|x|>": {"id": "<|x|>", "ids": [258], "tokens": ["<|x|>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": letters | {"he": 256, "hel": 257}, "merges": ["h e", ["he", "l"]]}}
    replace = lambda a, b: {"type": "Replace", "pattern": {"String": a}, "content": b}
    dressed = {
        "added_tokens": [added(0, "<unk>"), added(1, "<s>", normalized=True)],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace(" ", "\u2581")]},
        "pre_tokenizer": None, "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [replace("\u2581", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                                                     {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                  "vocab": {"<unk>": 0, "<s>": 1, "\u2581": 2, "a": 3, "b": 4, "ab": 5, "\u2581ab": 6, "<0x41>": 7},
                  "merges": ["a b", "\u2581 ab"]}}
    split = json.loads(json.dumps(byte_bpe))
    split["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "NFD"}]}
    split["model"]["vocab"] = {k: v for k, v in list(letters.items())[64:80]} | {"he": 256}
    split["model"]["merges"] = []
    split["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
         "behavior": "Isolated", "invert": False}, {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}
    return {"bytes": compact(byte_bpe), "dressed": compact(dressed), "split": compact(split)}


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors():
    header = lambda h, n: b"\x01" + struct.pack("<H", n) + compact(h)
    good = {"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 2], 0, 16), "z": entry("F32", [0], 16, 16),
            "b": entry("BF16", [3], 16, 22), "s": entry("F16", [], 22, 24)}
    raw = compact(good)
    return {"good": header(good, 24), "one": header({"a": entry("F32", [1], 0, 4)}, 4), "short": header(good, 20),
            "gap": header({"a": entry("F32", [1], 4, 8)}, 8), "padded": header({"a": entry("F32", [1], 0, 4)}, 4) + b"   ",
            "huge": header({"a": entry("F32", [2**32, 2**32], 0, 0), "b": entry("F64", [2**48], 0, 2**53)}, 0),
            "raw": b"\x00" + struct.pack("<Q", len(raw)) + raw + bytes(24), "length": b"\x00" + struct.pack("<Q", 2**63) + b"{}",
            "pickle": b"\x00\x80\x02}q\x00.", "zip": b"\x00PK\x03\x04" + bytes(40)}


def gguf(tokenizer="llama", architecture="llama", version=3):
    text = lambda t: struct.pack("<Q", len(t.encode())) + t.encode()
    u32, f32 = (lambda v: struct.pack("<II", 4, v)), (lambda v: struct.pack("<If", 6, v))
    string, flag = (lambda t: struct.pack("<I", 8) + text(t)), (lambda v: struct.pack("<I?", 7, v))
    array = lambda kind, n, data: struct.pack("<IIQ", 9, kind, n) + data
    texts = lambda all: array(8, len(all), b"".join(map(text, all)))
    a = architecture
    keys = {"general.architecture": string(a), f"{a}.block_count": u32(1), f"{a}.context_length": u32(64),
            f"{a}.embedding_length": u32(8), f"{a}.feed_forward_length": u32(32), f"{a}.attention.head_count": u32(2),
            f"{a}.attention.head_count_kv": u32(1), f"{a}.attention.layer_norm_rms_epsilon": f32(1e-5),
            f"{a}.attention.layer_norm_epsilon": f32(1e-5), f"{a}.rope.freq_base": f32(1e4), f"{a}.vocab_size": u32(8),
            "tokenizer.ggml.model": string(tokenizer), "tokenizer.ggml.bos_token_id": u32(0), "tokenizer.ggml.eos_token_id": u32(2),
            "tokenizer.ggml.add_bos_token": flag(True)}
    if tokenizer == "llama":
        keys |= {"tokenizer.ggml.tokens": texts(["<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "\u2581ab"]),
                 "tokenizer.ggml.scores": array(6, 8, struct.pack("<8f", 0, 0, 0, -4, -3, -2, -1, -0.5)),
                 "tokenizer.ggml.token_type": array(5, 8, struct.pack("<8i", 2, 3, 3, 1, 1, 1, 1, 1))}
    else:
        keys |= {"tokenizer.ggml.pre": string("gpt-2"), "tokenizer.ggml.merges": texts(["a b", "ab c"]),
                 "tokenizer.ggml.tokens": texts(["<|end|>", "a", "b", "c", "ab", "abc", "\u0120", "[PAD7]"]),
                 "tokenizer.ggml.token_type": array(5, 8, struct.pack("<8i", 3, 1, 1, 1, 1, 1, 1, 5))}
    types = {"f32": (0, 1, 4), "f16": (1, 1, 2), "q4_0": (2, 32, 18), "q8_0": (8, 32, 34), "q4_k": (12, 256, 144), "q6_k": (14, 256, 210)}
    tensors = [("token_embd.weight", [8, 8], "f32"), ("blk.0.attn_norm.weight", [8], "f32"), ("blk.0.attn_q.weight", [8, 8], "f32"),
               ("blk.0.attn_k.weight", [8, 4], "f16"), ("blk.0.attn_v.weight", [8, 4], "f32"), ("blk.0.attn_output.weight", [8, 8], "f32"),
               ("blk.0.ffn_norm.weight", [8], "f32"), ("blk.0.ffn_gate.weight", [8, 32], "f16"), ("blk.0.ffn_up.weight", [8, 32], "f16"),
               ("blk.0.ffn_down.weight", [32, 8], "q8_0"), ("output_norm.weight", [8], "f32"), ("x.weight", [32, 1], "q4_0"),
               ("y.weight", [256, 1], "q4_k"), ("z.weight", [256, 1], "q6_k")]
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(text(k) + v for k, v in keys.items())
    data = b""
    for name, dims, kind in tensors:
        number, elements, size = types[kind]
        out += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, number, len(data))
        count = 1
        for dim in dims:
            count *= dim
        data += b"\x11" * (count // elements * size)
        data += bytes(-len(data) % 32)
    return out + bytes(-len(out) % 32) + data


def seeds():
    yield "gguf", {"llama": gguf(), "bpe": gguf("gpt2"), "qwen2": gguf("gpt2", "qwen2", 2), "gpt2": gguf("gpt2", "gpt2"),
                   "gemma2": gguf("llama", "gemma2"), "cut": gguf()[:700], "count": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**63)}
    yield "json", {"all": b'{"key":[1,-2,3.5e-7,true,false,null,"x\\u00e9\\n"],"a/b~":{"deep":[[[]]]},"big":18446744073709551616}',
                   "list": b"[0.5,{}]", "dup": b'{"a":1,"a":2}', "empty-list": b"[]", "open": b'{"a":[', "bom": b"\xef\xbb\xbf{}"}
    yield "safetensors", safetensors()
    index = {"metadata": {"total_size": 22}, "weight_map": {"a": "m-1.safetensors", "embed_tokens.weight": "m-1.safetensors",
                                                            "b": "m-2.safetensors"}}
    yield "index", {"good": compact(index), "outside": compact({"weight_map": {"a": "../m-1.safetensors"}}),
                    "missing": compact({"weight_map": {"a": "m-3.safetensors"}}), "empty": b'{"weight_map":{}}',
                    "wrong": compact({"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors"}})}
    generation = b"\0" + compact({"eos_token_id": [7, 8], "temperature": 0.6})
    newer = {k: v for k, v in CONFIG.items() if k != "rope_theta"} | {"rope_parameters": LLAMA3 | {"rope_theta": 5e5}}
    yield "config", {
        "good": compact(CONFIG), "generation": compact(CONFIG) + generation, "newer": compact(newer),
        "llama3": compact(CONFIG | {"rope_scaling": LLAMA3}), "window": compact(CONFIG | {"sliding_window": 32, "layer_types": ["full_attention"] * 2}),
        "odd": compact(CONFIG | {"quantization_config": {"quant_method": "gptq"}}), "moe": compact(CONFIG | {"num_experts": 8}),
        "bias": compact(CONFIG | {"attention_bias": True, "new": {"x": 1}, "auto_map": {}, "torch_dtype": "int8"})}
    yield "tokenizer_json", tokenizers()
    yield "tokenizer_model", {
        "plain": sentencepiece(), "unigram": sentencepiece(kind=1), "bytes": sentencepiece(with_bytes=True),
        "charsmap": sentencepiece(charsmap=charsmap()), "user": sentencepiece(more=[("<x>", 0, 4), ("c", 0, 5)], extra=1),
        "word": sentencepiece(kind=3), "cut": sentencepiece()[:-3]}
    yield "chat", {
        "none": b"{}", "ends": b'{"add_bos_token":true,"add_eos_token":true,"bos_token":"<s>","eos_token":{"content":"</s>"}}',
        "one": compact({"chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}),
        "several": compact({"chat_template": [{"name": "default", "template": "{{ x }}"}, {"name": "rag", "template": "y"}]}),
        "file": b'{"chat_template":"a"}\0{{ messages[0].content }}\n'}
    yield "sweep", {"full": SWEEP.encode(), "set": SWEEP.encode() + b"\x01budgets.values=[64]\x01budgets.unit=entries",
                    "alias": SWEEP.replace("{name: knorm}", "*s").encode(), "tag": b"version: !!int 1\n", "tab": b"a:\n\tb: 1\n",
                    "bomb": b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n", "two": b"--- {}\n--- {}\n"}
    line = compact(RECORD)[:-1]
    yield "record", {"good": line, "plain": compact(RECORD), "failed": compact(RECORD | {"error": "x", "scores": {}})[:-1],
                     "unknown": compact(RECORD | {"more": 1})[:-1], "word": compact(RECORD | {"question": "never"})[:-1]}
    other = [compact(RECORD | {"example": e, "point": p})[:-1] for e in "01" for p in "pq"]
    short = [r for r in other]
    yield "journal", {"all": b"\n".join(short) + b"\n", "torn": b"\n".join(short[:2])[:-40], "order": short[1] + b"\n" + short[0] + b"\n",
                      "damage": short[0] + b"\nx\n" + short[1] + b"\n", "empty": b"",
                      "manifest": b'{"schema":1,"record_schema":1,"identity":{"model":"01","points[0]":"full"}}\0' + short[0] + b"\n"}
    due = {"task": "t", "example": "0", "tokens": "0123456789abcdef", "kept": 8, "bytes": 64}
    yield "baseline", {"good": compact({"schema": 1, "identity": {"model": "00"}, "records": [due | {"point": "p"}, due | {"point": "q"}]}),
                       "other": compact({"schema": 1, "identity": {"model": "01"}, "records": []}),
                       "few": compact({"schema": 1, "identity": {"model": "00", "evictbench": "0"}, "records": [due | {"point": "p"}]})}
    heads = {f"{layer}-{head}": [0.5, layer, head] for layer in range(2) for head in range(2)}
    lines = compact({"a": [1, 3]}) + b"\n" + compact({"b": [0.25, 0.75], "avg_score": [1, 1]}) + b"\n"
    yield "scores", {"heads": compact(heads), "order": compact({"0": [1, 0], "1": [0, 1]}), "gap": compact(heads | {"3-0": [1]}),
                     "layers": compact({"a": [0.5, 0.5], "avg_score": [0.25, 0.75]}), "lines": lines, "torn": lines[:-9],
                     "none": compact({"a": [0, 0]}), "average": compact({"avg_score": [2, 6]})}
    sidecar = {"sidecar": 1, "program": "0.1.0", "kind": "semantic", "scores": "xxh3:0123456789abcdef",
               "model": {"name": "m", "hash": "0123456789abcdef" * 2, "layers": 2, "heads": 4}, "method": {"steps": "50"},
               "data": {"seed": "7"}, "trials": {"made": 3, "accepted": 2}, "examples": ["0" * 16, "f" * 16]}
    yield "sidecar", {"good": compact(sidecar), "kind": compact(sidecar | {"kind": "layer_error", "examples": []}),
                      "version": compact(sidecar | {"sidecar": 2}), "more": compact(sidecar | {"more": 1}),
                      "trials": compact(sidecar | {"trials": {"made": 1, "accepted": 2}})}
    yield "text", {"words": b"hello  lo 12345\n\n a\tb <unk> </s> <s>ab", "odd": b"\xff\xfea\xcc\x81\xf0\x9f\x98\x80\x00\xed\xa0\x80",
                   "run": b"a" * 60, "marks": "\u2581ab\u2581 \u2581".encode(), "blank": b"   ", "empty": b"a"}
    line = {"input": "?", "context": "c", "answers": ["a", "b"], "length": 5000, "dataset": "trec", "language": "en",
            "all_classes": ["a", "b"], "_id": "0"}
    pred = {"pred": "\n a\nb", "answers": ["a"], "all_classes": ["a"], "length": 3}
    two = compact(line) + b"\n" + compact(line | {"_id": "1"}) + b"\n"
    yield "longbench", {"data": two, "twice": compact(line) + b"\n" + compact(line), "answers": compact(pred) + b"\n" + compact(pred | {"_id": "7"}),
                        "both": compact(line | pred), "cut": two[:-9], "blank": b"\n\n", "dictionary": "\u5929\u5730 3 n\na 2 n\nab 0 n\n".encode()}
    texts = {"a": [b"x", b""], "bc": [b"", "\u00e9".encode()]}
    yield "arrow", {"two": arrow(texts), "large": arrow(texts, large=True), "batches": arrow(texts | {"d": [b"1", b"2"]}, batches=2),
                    "empty": arrow({"a": [], "bc": []}), "lies": arrow(texts, rows=3), "open": arrow(texts, end=False)}
    yield "metrics", {"words": b"The cat sat.\0Where?\0a cat. Sat\0cat", "numbers": b"Paragraph 7, 07 \xef\xbc\x97\0\0Paragraph 7",
                      "code": b"```\n# x\nint a = 1;\0\0int b = 1;", "han": "\u5929\u5730C++ 1.5%\r\n\u4eba\u5c71\0\0\u5929\u5730".encode(),
                      "marks": b"a.b. . ,-\n&amp; \xa0\0none\0one,two", "sigma": "\u03a3\u0391\u03a3 \u0130\0\0\u03c3".encode(), "broken": b"\xff\xe4\xb8\0\0\xff"}


if len(sys.argv) != 2:
    sys.exit(__doc__)
for target, files in seeds():
    folder = pathlib.Path(sys.argv[1]) / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
