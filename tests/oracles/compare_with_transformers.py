#!/usr/bin/env python3
"""Logits and greedy tokens of evictbench against transformers (f32) on one checkpoint.

    python3 tests/oracles/compare_with_transformers.py EVICTBENCH MODEL --tokens 512 --new 64 [--text FILE] [--device cpu]

Prints the largest logit difference in units of the logits' standard deviation, how often the best id agrees, and whether
the greedy continuations are the same ids. Exit code 1 unless all hold: 5e-5, 100 %, all. Needs torch and transformers.
"""
import argparse
import json
import subprocess
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM


def ask(*command):
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evictbench")
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--text", help="a text file; without it the prompt is BOS alone")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    config = AutoConfig.from_pretrained(args.model)
    if args.text:
        with open(args.text, encoding="utf-8") as file:
            text = file.read(args.tokens * 12)
        ids = ask(args.evictbench, "inspect", "tokens", args.model, "--text", text, "--json")["ids"][: args.tokens]
    else:
        ids = [config.bos_token_id]
    listed = ",".join(map(str, ids))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    with torch.no_grad():
        theirs = model(torch.tensor([ids])).logits[0].double()
        greedy = model.generate(torch.tensor([ids]), max_new_tokens=args.new, do_sample=False)[0].tolist()[len(ids):]
    ours = torch.tensor(
        ask(args.evictbench, "inspect", "logits", args.model, "--ids", listed, "--all", "--json", "--device", args.device)["logits"],
        dtype=torch.float64)
    sigma = theirs.std().item()
    worst = (ours - theirs).abs().max().item() / sigma
    agree = (ours.argmax(-1) == theirs.argmax(-1)).double().mean().item()
    new = ask(args.evictbench, "generate", args.model, "--ids", listed, "--max-new", str(args.new), "--json", "--device", args.device)["ids"]
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    greedy = greedy[: next((i for i, t in enumerate(greedy) if t in ends), len(greedy))]
    same = new == greedy
    print(f"{args.model}: {len(ids)} tokens, sigma {sigma:.4f}, worst difference {worst:.2e} sigma, "
          f"best id agrees {100 * agree:.2f} %, {len(greedy)} greedy ids {'equal' if same else 'DIFFER'}")
    sys.exit(not (worst <= 5e-5 and agree == 1 and same))


main()
