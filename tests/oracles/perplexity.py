#!/usr/bin/env python3
"""Perplexity of evictbench against transformers (f32, eager or sdpa) on one checkpoint and text.

    python3 tests/oracles/perplexity.py EVICTBENCH MODEL TEXT sliding   --tokens 16384 --window 2048 --stride 512
    python3 tests/oracles/perplexity.py EVICTBENCH MODEL TEXT streaming --tokens 2048 --budget 260
    python3 tests/oracles/perplexity.py EVICTBENCH MODEL TEXT evicted   --tokens 2048 --continue 256 --budget 64 256 \
        --policy streaming_llm snapkv

sliding repeats the loop of transformers' page "Perplexity of fixed-length models", with its weights and with every
scored token the same. The others are one dense pass of transformers under a mask: streaming hides what lies between 4
sinks and the last budget - 4 tokens before each query; evicted hides from the last prefilled token on what `evictbench
inspect kept` does not keep, each layer and query head by its own mask. Prints the negative log-likelihood of both sides;
exit code 1 unless all agree to 1e-4. Needs torch and transformers.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4


def ask(*command):
    start = time.time()
    out = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout
    print(f"  evictbench: {time.time() - start:.0f} s", flush=True)
    return json.loads(out)


def token_nll(logits, ids):
    """Row i of logits [n, V] foretells ids[i] -> [n] in float64; in pieces, for memory."""
    return torch.cat([torch.nn.functional.cross_entropy(l.double(), i, reduction="none")
                      for l, i in zip(logits.split(256), ids.split(256))])


class Reference:
    def __init__(self, folder):
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
        self.visible = None  # layer -> bool [H or 1, T, T], or None: causal
        for layer, block in enumerate(self.model.model.layers):
            block.self_attn.register_forward_pre_hook(self.masked(layer), with_kwargs=True)

    def masked(self, layer):
        def hook(_, args, kwargs):
            if self.visible is not None:
                hidden = ~self.visible(layer)
                mask = torch.zeros(hidden.shape).masked_fill_(hidden, torch.finfo(torch.float32).min)
                kwargs["attention_mask"] = mask[None]  # [1, H or 1, T, T], added to the logits
            return args, kwargs
        return hook

    def nll(self, ids, first, visible=None):
        """Of ids[first:] -> [n] float64."""
        self.visible = visible
        with torch.no_grad():
            states = self.model.model(ids[None], use_cache=False).last_hidden_state[0, first - 1:-1]
            return torch.cat([token_nll(self.model.lm_head(s), i)
                              for s, i in zip(states.split(256), ids[first:].split(256))])


def sliding(args, reference, ids):
    ours = ask(*args.command, "--tokens", args.tokens, "--window", args.window, "--stride", args.stride, "--json")["rows"][0]
    all_nll, weighed, weight, done = [], 0.0, 0, 0
    for begin in range(0, args.tokens, args.stride):
        end = min(begin + args.window, args.tokens)
        fresh = end - done
        nll = reference.nll(ids[begin:end], max(1, end - begin - fresh))
        all_nll.append(nll)
        weighed += nll.mean().item() * (fresh - 1)
        weight += fresh - 1
        done = end
        if end == args.tokens:
            break
    theirs = torch.cat(all_nll)
    assert len(theirs) == ours["scored"], (len(theirs), ours["scored"])
    name = f"sliding, {args.tokens} tokens, window {args.window}, stride {args.stride}"
    return [(name, ours["nll"], theirs.mean().item()), (name + ", published weights", ours["nll_published"], weighed / weight)]


def streaming(args, reference, ids):
    rows = ask(*args.command, "--tokens", args.tokens, "--policy", "streaming_llm", "--budget", *args.budget, "--json")["rows"]
    query, key = torch.arange(args.tokens)[:, None], torch.arange(args.tokens)[None]
    found = []
    for row in rows:
        visible = key <= query
        if row["budget"]:
            visible &= (key < 4) | (key >= query - (int(row["budget"]) - 4))
        nll = reference.nll(ids, 1, lambda _: visible[None])
        assert len(nll) == row["scored"]
        found.append((f"streaming, {args.tokens} tokens, {row['policy']}, budget {row['budget']}", row["nll"], nll.mean().item()))
    return found


def evicted(args, reference, ids):
    P, C = args.tokens, args.more
    ids = ids[:P + C]
    rows = ask(*args.command, "--prefill", P, "--continue", C, "--policy", *args.policy, "--budget", *args.budget, "--json")["rows"]
    request = {"ids": ids[:P].tolist(), "points": [{"policy": r["policy"], "budget": r["budget"] or 1} for r in rows]}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write(json.dumps(request) + "\n")
        file.flush()
        points = ask(args.evictbench, "inspect", "kept", args.model, "--batch", file.name)["points"]
    query, key = torch.arange(P + C)[:, None], torch.arange(P + C)[None]
    heads = reference.model.config.num_attention_heads
    found = []
    for row, point in zip(rows, points):
        def visible(layer):
            lanes = []
            for slots in point["kept"][layer]:
                kept = torch.zeros(P + C, dtype=torch.bool)
                kept[slots] = True
                lanes.append((key <= query) & ((query < P - 1) | (key >= P - 1) | kept[None]))
            return torch.stack(lanes).repeat_interleave(heads // len(lanes), 0)
        nll = reference.nll(ids, P, visible)
        assert len(nll) == row["scored"] == C
        found.append((f"evicted, {P} + {C} tokens, {row['policy']}, budget {row['budget']}", row["nll"], nll.mean().item()))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evictbench")
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("protocol", choices=["sliding", "streaming", "evicted"])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--stride", type=int, default=512)
    parser.add_argument("--continue", dest="more", type=int, default=256)
    parser.add_argument("--policy", nargs="+", default=["streaming_llm"])
    parser.add_argument("--budget", type=int, nargs="+", default=[260])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.command = [args.evictbench, "perplexity", args.protocol, args.model, "--text-file", args.text, "--threads", args.threads]
    with open(args.text, encoding="utf-8", newline="") as file:
        ids = torch.tensor(AutoTokenizer.from_pretrained(args.model)(file.read())["input_ids"])
    start = time.time()
    found = {"sliding": sliding, "streaming": streaming, "evicted": evicted}[args.protocol](
        args, Reference(args.model), ids[:args.tokens + (args.more if args.protocol == "evicted" else 0)])
    worst = max(abs(ours - theirs) for _, ours, theirs in found)
    for name, ours, theirs in found:
        print(f"{name}: evictbench {ours:.7f}, transformers {theirs:.7f}, difference {abs(ours - theirs):.1e}")
    print(f"worst difference {worst:.1e}, {'within' if worst <= TOLERANCE else 'ABOVE'} {TOLERANCE:.0e}; {time.time() - start:.0f} s")
    sys.exit(worst > TOLERANCE)


main()
