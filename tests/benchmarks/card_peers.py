#!/usr/bin/env python3
"""transformers with kvpress on a card, for tests/card.sh: a model of random weights of a config.json, one prompt, SnapKV at
some budgets. Every point is prefilled and decoded anew, as kvpress does it; 30 points are extrapolated from the mean.

    python3 tests/benchmarks/card_peers.py CONFIG.json [--tokens 32768] [--new 64] [--budgets 64 512 2048]
"""
import argparse
import time

import torch


def seconds_of(work):
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def prefill(model, ids):
    past = model(ids, logits_to_keep=1, use_cache=True)
    return past.past_key_values, past.logits[:, -1:].argmax(-1)


def answer(model, ids, new, press=None):
    with torch.inference_mode():
        if press is None:
            cache, token = prefill(model, ids)
        else:
            with press(model):
                cache, token = prefill(model, ids)
        for step in range(new - 1):
            position = torch.tensor([[ids.shape[1] + step]], device=ids.device)
            out = model(token, past_key_values=cache, position_ids=position, use_cache=True)
            cache, token = out.past_key_values, out.logits[:, -1:].argmax(-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--tokens", type=int, default=32768)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--budgets", type=int, nargs="+", default=[64, 512, 2048])
    args = parser.parse_args()
    import transformers
    config = transformers.AutoConfig.from_pretrained(args.config)
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
    torch.manual_seed(42)
    ids = torch.randint(0, config.vocab_size, (1, args.tokens), device="cuda")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, transformers {transformers.__version__}, "
          f"{args.tokens} tokens, {args.new} new")
    answer(model, ids[:, :512], 2)
    full = seconds_of(lambda: answer(model, ids, args.new))
    first = seconds_of(lambda: answer(model, ids, 1))
    print(f"  full cache: {full:.2f} s, of which prefill {first:.2f}", flush=True)
    from kvpress import SnapKVPress
    points = []
    for budget in args.budgets:
        press = SnapKVPress(compression_ratio=max(0.0, 1 - budget / args.tokens), window_size=32)
        points.append(seconds_of(lambda: answer(model, ids, args.new, press)))
        print(f"  kvpress SnapKV, {budget} entries: {points[-1]:.2f} s", flush=True)
    print(f"  30 points extrapolated: {30 * sum(points) / len(points):.1f} s")


main()
