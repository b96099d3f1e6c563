#!/usr/bin/env python3
"""Peers on the same machine in the same run. Needs torch and transformers; `sweep` needs kvpress too.

    python3 tests/benchmarks/peers.py prefill BENCHMARKS_CPU [--tokens 2048]
        PyTorch's prefill of the shape "125M" (transformers, scaled-dot-product attention, f32 and bf16, the best of several
        runs, our runs in between) against ours, in tokens a second.

    python3 tests/benchmarks/peers.py sweep EVICTBENCH MODEL [--tokens 987] [--new 32]
        Our sweep of 30 points (5 policies x 6 budgets) over one example against transformers with kvpress, which prefills and
        decodes every point anew: three of the points are run (SnapKV at three budgets), the rest is extrapolated from their
        mean. Loading the models is in neither.
"""
import argparse
import json
import os
import subprocess
import time

import torch

RATIOS = [0.03, 0.1, 0.2, 0.4, 0.6, 0.8]  # kept
POLICIES = ["random", "streaming_llm", "snapkv", "pyramidkv", "adakv"]


def best_of(times, work):
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def our_prefill(args, bf16):
    env = dict(os.environ, **({"EVICTBENCH_BF16DOT": "1"} if bf16 else {}))
    out = subprocess.run([args.program, f"--benchmark_filter=Prefill/{args.tokens}/", "--benchmark_format=json"], check=True,
                         capture_output=True, text=True, env=env).stdout
    return json.loads(out)["benchmarks"][0]["tokens/s"]


def prefill(args):
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12,
                         num_key_value_heads=4, head_dim=64, vocab_size=32000, max_position_embeddings=16384)
    ids = torch.randint(0, 32000, (1, args.tokens))
    print(f"prefill of {args.tokens} tokens, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for dtype, bf16 in ((torch.float32, False), (torch.bfloat16, True)):
        model = LlamaForCausalLM(config).to(dtype).eval()
        ours, theirs = 0.0, 0.0
        with torch.inference_mode():
            for _ in range(3):  # in turns, so that both meet the machine in the same state
                theirs = max(theirs, args.tokens / best_of(2, lambda: model(ids, logits_to_keep=1)))
                try:
                    ours = max(ours, our_prefill(args, bf16))
                except subprocess.CalledProcessError:
                    print("  bf16dot: this processor has no bf16 dot products")
                    return
        name = "bf16dot against torch bf16" if bf16 else "f32 against torch f32"
        print(f"  {name}: {ours:.0f} against {theirs:.0f} tokens/s, ratio {ours / theirs:.2f}")


def our_sweep(args, text):
    out = os.path.abspath("results/peers")
    subprocess.run(["rm", "-rf", out], check=True)
    os.makedirs(out + "/hay")
    with open(out + "/hay/text.txt", "w") as file:
        file.write(text)
    sweep = {"version": 1, "model": {"path": os.path.abspath(args.model), "compute": args.compute, "chat": "auto"},
             "protocol": {"question": "inside"}, "policies": [{"name": p} for p in POLICIES],
             "budgets": {"unit": "ratio", "values": RATIOS},
             "tasks": [{"name": "niah", "haystack": out + "/hay", "lengths": [args.tokens], "depths": [50],
                        "needle": "The best thing to do in {key} is {value}.",
                        "question": "Tell me a long story about the best thing to do in {key}, in full sentences.",
                        "keys": ["San Francisco"], "values": ["to sit in Dolores Park on a sunny day"],
                        "max_new": args.new}],
             "output": {"dir": out + "/run"}}
    with open(out + "/sweep.yaml", "w") as file:
        json.dump(sweep, file)  # JSON is YAML
    subprocess.run([args.program, "run", out + "/sweep.yaml"], check=True, capture_output=True)
    line = json.loads(open(out + "/run/timings.jsonl").readline())
    return sum(line[k] for k in ("prefill_s", "select_s", "gather_s", "decode_s")), line


def sweep(args):
    import transformers
    from kvpress import SnapKVPress
    from transformers import AutoModelForCausalLM, AutoTokenizer
    transformers.utils.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    # As many words of plain prose as the prompt has tokens.
    words = "The quiet river turned slowly past the old mill while the farmers talked about rain and seeds. " * args.tokens
    ids = tokenizer(words, return_tensors="pt").input_ids[:, :args.tokens]
    points = []
    for kept in (0.1, 0.4, 0.8):
        def one():
            with torch.inference_mode(), SnapKVPress(compression_ratio=1 - kept, window_size=32)(model):
                past = model(ids, logits_to_keep=1, use_cache=True)
            with torch.inference_mode():
                cache, token = past.past_key_values, past.logits[:, -1:].argmax(-1)
                for step in range(args.new - 1):
                    position = torch.tensor([[args.tokens + step]])
                    out = model(token, past_key_values=cache, position_ids=position, use_cache=True)
                    cache, token = out.past_key_values, out.logits[:, -1:].argmax(-1)
        points.append(best_of(1, one))
    theirs = 30 * sum(points) / len(points)
    ours, line = min((our_sweep(args, words) for _ in range(3)), key=lambda x: x[0])
    alone = line["prefill_s"]
    print(f"{line['prompt_tokens']} prompt tokens, {args.new} new ones at most, {torch.get_num_threads()} threads, {args.compute}")
    print(f"  kvpress {', '.join(f'{p:.2f}' for p in points)} s a point (3 run); 30 points extrapolated: {theirs:.0f} s")
    print(f"  ours, 30 points: {ours:.2f} s (prefill {alone:.2f}, decode {line['decode_s']:.2f}, {line['decoded_tokens']} tokens)")
    print(f"  ratio {theirs / ours:.1f}; the sweep takes {ours / alone:.2f} times its prefill")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prefill", "sweep"])
    parser.add_argument("program")
    parser.add_argument("model", nargs="?")
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--compute", default="f32")
    args = parser.parse_args()
    args.program = os.path.abspath(args.program)
    torch.set_num_threads(os.cpu_count())
    args.tokens = args.tokens or (2048 if args.what == "prefill" else 987)
    (prefill if args.what == "prefill" else sweep)(args)


main()
