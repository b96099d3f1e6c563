#!/usr/bin/env python3
"""Peers on the same machine in the same run. Needs torch and transformers; `sweep` needs kvpress too.

    python3 tests/benchmarks/peers.py prefill BENCHMARKS_CPU [--tokens 2048]
        PyTorch's prefill of the shape "125M" (transformers, scaled-dot-product attention, f32 and bf16) against ours, in tokens a
        second: in turns, and of each the best of several runs.

    python3 tests/benchmarks/peers.py sweep EVICTBENCH MODEL [--tokens 1000 4000 8000] [--new 32]
        The sweep of 30 points of sweep_ratio.py over one example against transformers with kvpress, which prefills and
        decodes every point anew: SnapKV is run at three of the budgets, 30 points are extrapolated from their mean. And
        against our own prefill and one answer with the full cache. Loading the models is in none.
"""
import argparse
import json
import os
import shutil
import subprocess
import time

import torch

import sweep_ratio


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
    return json.loads(out)["benchmarks"][0]["best_tokens/s"]


def prefill(args):
    (args.tokens,) = args.tokens
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
                theirs = max(theirs, args.tokens / best_of(3, lambda: model(ids, logits_to_keep=1)))
                try:
                    ours = max(ours, our_prefill(args, bf16))
                except subprocess.CalledProcessError:
                    print("  bf16dot: this processor has no bf16 dot products")
                    return
        name = "bf16dot against torch bf16" if bf16 else "f32 against torch f32"
        print(f"  {name}: {ours:.0f} against {theirs:.0f} tokens/s, ratio {ours / theirs:.2f}")


def sweep(args):
    import transformers
    from kvpress import SnapKVPress
    from transformers import AutoModelForCausalLM, AutoTokenizer
    transformers.utils.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    # As many words of plain prose as the prompt has tokens.
    words = "The quiet river turned slowly past the old mill while the farmers talked about rain and seeds. " * max(args.tokens)
    all_ids = tokenizer(words, return_tensors="pt").input_ids
    for tokens in args.tokens:
        ids, points = all_ids[:, :tokens], []
        for budget in (64, 512, 2048):
            def one():
                press = SnapKVPress(compression_ratio=max(0, 1 - budget / tokens), window_size=32)
                with torch.inference_mode(), press(model):
                    past = model(ids, logits_to_keep=1, use_cache=True)
                with torch.inference_mode():
                    cache, token = past.past_key_values, past.logits[:, -1:].argmax(-1)
                    for step in range(args.new - 1):
                        position = torch.tensor([[tokens + step]])
                        out = model(token, past_key_values=cache, position_ids=position, use_cache=True)
                        cache, token = out.past_key_values, out.logits[:, -1:].argmax(-1)
            points.append(best_of(1, one))
        theirs = 30 * sum(points) / len(points)
        ours = our_best(args, tokens, sweep_ratio.POLICIES)
        full = our_best(args, tokens, ["full"])
        total, alone = sweep_ratio.seconds([ours]), sweep_ratio.seconds([full])
        print(f"{ours['prompt_tokens']} prompt tokens, {args.new} new ones at most, {torch.get_num_threads()} threads, {args.compute}")
        print(f"  kvpress {', '.join(f'{p:.2f}' for p in points)} s a point (3 run); 30 points extrapolated: {theirs:.0f} s")
        print(f"  ours, 30 points: {total:.2f} s (prefill {ours['prefill_s']:.2f}, decode {ours['decode_s']:.2f}, "
              f"{ours['decoded_tokens']} tokens), the full cache alone: {alone:.2f} s")
        print(f"  ratio {theirs / total:.1f}; the sweep takes {total / alone:.2f} times one answer with the full cache", flush=True)


def our_best(args, tokens, policies):
    """Timings of the best of three runs over one example."""
    mine = argparse.Namespace(evictbench=args.program, model=args.model, length=tokens, new=args.new, compute=args.compute,
                              out=os.path.abspath("results/peers"))
    budgets = sweep_ratio.BUDGETS
    runs = []
    for i in range(3):
        name = f"{policies[0]}-{tokens}-{i}"
        shutil.rmtree(os.path.join(mine.out, name), ignore_errors=True)
        runs.append(sweep_ratio.run(mine, name, policies, budgets)[1])
    return min(runs, key=sweep_ratio.seconds)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prefill", "sweep"])
    parser.add_argument("program")
    parser.add_argument("model", nargs="?")
    parser.add_argument("--tokens", type=int, nargs="+")
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--compute", default="f32")
    args = parser.parse_args()
    args.program = os.path.abspath(args.program)
    torch.set_num_threads(os.cpu_count())
    args.tokens = args.tokens or ([2048] if args.what == "prefill" else [1000, 4000, 8000])
    (prefill if args.what == "prefill" else sweep)(args)


main()
