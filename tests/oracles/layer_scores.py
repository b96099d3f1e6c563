#!/usr/bin/env python3
"""Layer error scores of evictbench against transformers (eager attention, f32) on one checkpoint without sliding windows.

    evictbench layers MODEL --head-scores HEADS.json --out L.json --dump-trials T.jsonl
    python3 tests/oracles/layer_scores.py MODEL --head-scores HEADS.json --scores L.json --trials T.jsonl

From the dump come only prompts, limits and what was answered. Attention, what is kept of it, both outputs and the sums are made here:
the last 8 rows of the best 4 heads of a layer, added up, mean-pooled over 5, averaged, the best 24 and the window; at every step the
attention to those and to all new tokens, renormalised, through the output projection, against what that projection gave, heard by a hook.
Prints the largest difference of the published scores and of a trial's sums. Exit code 1 unless the scores agree within 1e-4 and every
answer is the same. Needs torch and transformers.
"""
import argparse
import json
import sys

import torch
from transformers import AutoModelForCausalLM

BUDGET, WINDOW, KERNEL = 32, 8, 5


def best_heads(path, count):
    """[L][count] heads, from scores of heads or an order of them."""
    with open(path, encoding="utf-8") as file:
        scores = json.load(file)
    if all("-" not in key for key in scores):
        return [scores[str(layer)][:count] for layer in range(len(scores))]
    means = {}
    for key, trials in scores.items():
        layer, head = map(int, key.split("-"))
        means.setdefault(layer, {})[head] = sum(trials) / len(trials)
    return [sorted(means[layer], key=lambda head: (-means[layer][head], head))[:count] for layer in range(len(means))]


def chosen(rows, tokens):
    """rows [heads, W, T] of attention -> the kept positions, ascending."""
    past = tokens - WINDOW
    sums = rows[:, :, :past].double().sum(1)
    padded = torch.nn.functional.pad(sums, (KERNEL // 2, KERNEL // 2))
    pooled = padded.unfold(1, KERNEL, 1).sum(2) / KERNEL
    mean = pooled.mean(0)
    order = sorted(range(past), key=lambda j: (-mean[j].item(), j))
    return sorted(order[: BUDGET - WINDOW] + list(range(past, tokens)))


class Outputs:
    """What the output projection of each layer gave in the last pass."""

    def __init__(self, model):
        names = ("self_attn.o_proj", "attn.c_proj")
        self.projections = [m for name, m in model.named_modules() if name.endswith(names)]
        self.given = [None] * len(self.projections)
        for layer, projection in enumerate(self.projections):
            projection.register_forward_hook(lambda _, __, out, layer=layer: self.given.__setitem__(layer, out[0, -1].double()))

    def of(self, layer, mixed):
        """The projection of [H * D], in float64."""
        projection = self.projections[layer]
        weight = projection.weight.double()
        if type(projection).__name__ == "Conv1D":
            weight = weight.T
        out = weight @ mixed
        return out if projection.bias is None else out + projection.bias.double()


def values_of(cache, layer):
    return (cache.layers[layer].values if hasattr(cache, "layers") else cache.value_cache[layer])[0].double()  # [G, T, D]


def step_errors(outputs, attentions, cache, kept):
    """One decode step -> the error of each layer."""
    errors = []
    for layer, rows in enumerate(attentions):
        row = rows[0, :, -1].double()  # [H, T]
        values = values_of(cache, layer)
        where = torch.tensor(kept[layer])
        part = row[:, where] / row[:, where].sum(1, keepdim=True)
        group = row.shape[0] // values.shape[0]
        mixed = torch.stack([part[h] @ values[h // group][where] for h in range(row.shape[0])]).reshape(-1)
        full = outputs.given[layer]
        errors.append(((outputs.of(layer, mixed) - full).norm() / (full.norm() + 1e-5)).item())
    return errors


@torch.no_grad()
def trial_errors(model, outputs, heads, trial):
    """-> sums over the steps, and whether the greedy answer is the one of the trial."""
    ids, tokens = torch.tensor([trial["prompt"]]), len(trial["prompt"])
    first = model(ids[:, :-WINDOW], use_cache=True)
    out = model(ids[:, -WINDOW:], past_key_values=first.past_key_values, use_cache=True, output_attentions=True)
    if tokens > BUDGET:
        kept = [chosen(rows[0, heads[layer]], tokens) for layer, rows in enumerate(out.attentions)]
    else:
        kept = [list(range(tokens)) for _ in out.attentions]
    sums, same = [0.0] * len(kept), True
    answer = trial["answer"]
    for step in range(trial["steps"]):
        same &= out.logits[0, -1].argmax().item() == answer[step]
        for positions in kept:
            positions.append(tokens + step)
        out = model(torch.tensor([[answer[step]]]), past_key_values=out.past_key_values, use_cache=True, output_attentions=True)
        sums = [a + b for a, b in zip(sums, step_errors(outputs, out.attentions, out.past_key_values, kept))]
    if len(answer) == trial["max_new"]:
        same &= out.logits[0, -1].argmax().item() == answer[-1] and trial["steps"] == len(answer) - 1
    else:
        same &= trial["steps"] == len(answer)
    return sums, same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--head-scores", required=True)
    parser.add_argument("--scores", required=True)
    parser.add_argument("--trials", required=True)
    parser.add_argument("--heads", type=int, default=4)
    args = parser.parse_args()
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation="eager").eval()
    outputs, heads = Outputs(model), best_heads(args.head_scores, args.heads)
    with open(args.trials, encoding="utf-8") as file:
        trials = [json.loads(line) for line in file]
    totals, worst, differ = {}, 0.0, 0
    for trial in trials:
        sums, same = trial_errors(model, outputs, heads, trial)
        differ += not same
        scale = max(trial["errors"]) or 1.0
        worst = max(worst, max(abs(a - b) for a, b in zip(sums, trial["errors"])) / scale)
        total = totals.setdefault(trial["task"], [0.0] * len(sums))
        totals[trial["task"]] = [a + b for a, b in zip(total, sums)]
    lists = {task: [x / sum(total) for x in total] for task, total in totals.items()}
    lists["avg_score"] = [sum(column) / len(totals) for column in zip(*lists.values())]
    with open(args.scores, encoding="utf-8") as file:
        ours = json.load(file)
    assert list(ours) == list(lists), (list(ours), list(lists))
    off = max(abs(a - b) for name in lists for a, b in zip(ours[name], lists[name]))
    print(f"{len(trials)} trials, {len(heads)} layers: scores differ by {off:.2e} at most, a trial's sums by {worst:.2e} of its largest; "
          f"{differ} answers differ")
    return int(off > 1e-4 or differ > 0)


if __name__ == "__main__":
    sys.exit(main())
