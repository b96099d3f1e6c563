#!/usr/bin/env python3
"""Fidelity of evictbench against NumPy, and its attention mass against transformers (eager attention, f32), on one checkpoint.

    python3 tests/oracles/fidelity.py build/release/evictbench tests/models/goldens/llama-mqa --policy snapkv --budget 40

`inspect fidelity` gives the measures and the logits that they come from; KL, agreement and delta NLL are made again from those logits,
in float64. The attention mass is made from transformers' own attention and from what `inspect kept` says is kept: of the attention that
the last prompt token and the continuation pay to the prompt before that token, the part on kept entries. Twice: along the full cache's
answer, and along made-up tokens. Prints the largest differences. Exit code 1 unless the first three agree within 1e-9 (relative to
the value or to 0.001) and the mass within 1e-4. Needs numpy, torch and transformers.
"""
import argparse
import json
import random
import subprocess
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM


def ask(args, what, *more):
    command = [args.program, "inspect", what, args.model, "--json", "--policy", args.policy, "--budget", str(args.budget), *more]
    for option in args.set:
        command += ["--set", option]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def log_softmax(logits):
    top = logits.max(axis=1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


def measures(full, point, targets):
    """Rows [n, V] of f32 logits -> KL, agreement, delta NLL."""
    p, q = log_softmax(full.astype(np.float64)), log_softmax(point.astype(np.float64))
    at = np.arange(len(targets))
    kl = (np.exp(p) * (p - q)).sum(axis=1).mean()
    return kl, (full.argmax(1) == point.argmax(1)).mean(), (p[at, targets] - q[at, targets]).mean()


@torch.no_grad()
def masses(model, prompt, continuation, kept):
    """-> the share of each layer: queries are the last prompt token and the continuation, keys the prompt before that token."""
    last = len(prompt) - 1
    attentions = model(torch.tensor([prompt + continuation]), output_attentions=True).attentions
    shares = []
    for layer, rows in enumerate(attentions):
        paid = rows[0, :, last:, :last].double().sum(1)  # [H, last]
        group = paid.shape[0] // len(kept[layer])
        on_kept = sum(paid[h, [slot for slot in kept[layer][h // group] if slot < last]].sum().item() for h in range(paid.shape[0]))
        shares.append(on_kept / paid.sum().item())
    return shares


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--policy", default="snapkv")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--budget", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=150)
    parser.add_argument("--max-new", type=int, default=24)
    args = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation="eager").eval()
    random.seed(7)
    some = lambda n: [random.randrange(3, model.config.vocab_size) for _ in range(n)]
    prompt, given = some(args.tokens), some(args.max_new)
    ids = ",".join(map(str, prompt))
    kept = ask(args, "kept", "--ids", ids)["kept"]
    off, off_mass = 0.0, 0.0
    for along in (None, given):
        more = ["--continuation", ",".join(map(str, along))] if along else ["--max-new", str(args.max_new)]
        ours = ask(args, "fidelity", "--ids", ids, *more)
        full, point = (np.array(ours[name], dtype=np.float32) for name in ("full", "point"))
        targets = np.array(along) if along else full.argmax(1)
        expected = measures(full, point, targets)
        for name, value in zip(("kl", "agreement", "delta_nll"), expected):
            off = max(off, abs(ours[name] - value) / max(abs(value), 1e-3))
        shares = masses(model, prompt, [int(t) for t in targets[:-1]], kept)
        off_mass = max(off_mass, max(abs(a - b) for a, b in zip(shares, ours["mass_by_layer"])), abs(np.mean(shares) - ours["mass"]))
        print(f"{len(targets)} positions: KL {expected[0]:.6g}, agreement {expected[1]:.3f}, delta NLL {expected[2]:.6g}, mass {np.mean(shares):.4f}")
    print(f"KL, agreement, delta NLL differ by {off:.1e} at most, attention mass by {off_mass:.1e}")
    return int(off > 1e-9 or off_mass > 1e-4)


if __name__ == "__main__":
    sys.exit(main())
