#!/usr/bin/env python3
"""What loading a checkpoint of about 1 GB takes: load.py BUILD_FOLDER [--bytes N] [--runs N] [--cold] [--folder FOLDER].

Makes random Llama checkpoints (f32, bf16 and f16, head tied or not, one file or several), loads each some times in a process of
its own (build/release/load_time), and prints for each: milliseconds to read its files once with one thread, to open and to
load it, the ratio of the two, and the most memory that loading took beside the bytes of the weights. Then the peak of
`evictbench inspect logits` and `generate`. Files are in the page cache; --cold drops them first, its own files alone."""
import argparse
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile

HIDDEN, WIDE, HEADS, KV, DIM, VOCABULARY = 2048, 5632, 32, 4, 64, 32000


def shapes(layers, tied):
    out = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "model.norm.weight": (HIDDEN,)}
    if not tied:
        out["lm_head.weight"] = (VOCABULARY, HIDDEN)
    for i in range(layers):
        layer = f"model.layers.{i}."
        for name, shape in {"input_layernorm": (HIDDEN,), "self_attn.q_proj": (HEADS * DIM, HIDDEN),
                            "self_attn.k_proj": (KV * DIM, HIDDEN), "self_attn.v_proj": (KV * DIM, HIDDEN),
                            "self_attn.o_proj": (HIDDEN, HEADS * DIM), "post_attention_layernorm": (HIDDEN,),
                            "mlp.gate_proj": (WIDE, HIDDEN), "mlp.up_proj": (WIDE, HIDDEN), "mlp.down_proj": (HIDDEN, WIDE)}.items():
            out[f"{layer}{name}.weight"] = shape
    return out


def size_of(shape, size):
    for dim in shape:
        size *= dim
    return size


def write_file(path, tensors, dtype, block):
    header, at, size = {}, 0, 4 if dtype == "f32" else 2
    for name, shape in tensors.items():
        end = at + size_of(shape, size)
        header[name] = {"dtype": dtype.upper(), "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for left in range(at, 0, -len(block)):
            out.write(block[:left])


def make(folder, dtype, tied, shards, total):
    size = 4 if dtype == "f32" else 2
    layers = 1
    while sum(size_of(s, size) for s in shapes(layers + 1, tied).values()) <= total:
        layers += 1
    numbers = [random.gauss(0, 0.02) for _ in range(1 << 18)]
    block = struct.pack(f"<{len(numbers)}{'e' if dtype == 'f16' else 'f'}", *numbers)
    if dtype == "bf16":  # the upper halves
        block = b"".join(block[i + 2:i + 4] for i in range(0, len(block), 4))
    tensors = list(shapes(layers, tied).items())
    if shards == 1:
        write_file(folder / "model.safetensors", dict(tensors), dtype, block)
    else:
        weight_map = {}
        for i in range(shards):
            part = dict(tensors[i::shards])
            name = f"model-{i + 1:05}-of-{shards:05}.safetensors"
            write_file(folder / name, part, dtype, block)
            weight_map |= {tensor: name for tensor in part}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": HIDDEN, "intermediate_size": WIDE,
         "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": KV, "head_dim": DIM,
         "vocab_size": VOCABULARY, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
         "hidden_act": "silu", "tie_word_embeddings": tied, "bos_token_id": 1, "eos_token_id": 2}))


def drop(folder):
    for path in folder.glob("*.safetensors"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def peak_of(command):
    """Peak memory of a command, in bytes; it must end well."""
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build")
    parser.add_argument("--bytes", type=float, default=1e9)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--folder", help="where to make the checkpoints")
    args = parser.parse_args()
    random.seed(1)
    print("| weights | GB | read once, ms | load, ms | load / read | memory / weights | peak of logits, generate |")
    print("|---|---|---|---|---|---|---|")
    for dtype, tied, shards in [("f32", True, 1), ("f32", False, 3), ("bf16", True, 3), ("bf16", False, 1), ("f16", True, 1)]:
        with tempfile.TemporaryDirectory(dir=args.folder) as name:
            folder = pathlib.Path(name)
            make(folder, dtype, tied, shards, args.bytes)
            runs = []
            for _ in range(args.runs):
                if args.cold:
                    drop(folder)
                runs.append(json.loads(subprocess.run([f"{args.build}/load_time", name], check=True, capture_output=True).stdout))
            read, load = (min(run[key] for run in runs) for key in ("read_ms", "load_ms"))
            size = runs[0]["weight_bytes"]
            memory = max(run["peak_bytes"] for run in runs) / size
            program = [f"{args.build}/evictbench"]
            peaks = [peak_of(program + command + ["--ids", "1,2,3"]) / size
                     for command in (["inspect", "logits", name], ["generate", name, "--max-new", "2"])]
            print(f"| {dtype}, {'tied' if tied else 'untied'}, {shards} file{'s' if shards > 1 else ''} | {size / 1e9:.2f} | {read:.0f} "
                  f"| {load:.0f} | {load / read:.2f} | {memory:.3f} | {peaks[0]:.3f}, {peaks[1]:.3f} |", flush=True)


main()
