#!/usr/bin/env python3
"""Head scores of `evictbench heads` against transformers with eager attention, trial by trial.

    evictbench heads MODEL --tasks FILE --out DIR --dump-trials DIR/trials-ids.jsonl
    python3 tests/oracles/head_scores.py MODEL DIR DIR/trials-ids.jsonl [--most 1e-4]

Answers each dumped trial greedily, takes the rows of attention of every step from the model's own outputs, and adds up the
three scores from their definitions. Then it compares, for all heads and trials that count, with copy.json, semantic.json,
semantic_multiplicity.json and reasoning.json, and each order with one of its own. Exit code 1 unless the answers are the
same ids, the largest difference is below the limit and every order agrees but for means that tie within it. Needs torch,
transformers, tokenizers and sentencepiece.
"""
import argparse
import json
import os
import sys

import torch
import torch.nn.functional as F
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

KINDS = ("copy", "semantic", "semantic_multiplicity", "reasoning")


def scores_of(rows, prompt, first, last, tokens):
    """rows [steps][L, H, keys] -> the four scores [L, H] of the steps that gave `tokens`."""
    m = last - first
    evidence = torch.tensor(prompt[first:last])
    total = {kind: torch.zeros(rows[0].shape[:2], dtype=torch.float64) for kind in KINDS}
    for row, token in zip(rows, tokens):
        row = row.double()
        mass = row[:, :, first:last].sum(-1)
        times = int((evidence == token).sum())
        total["semantic"] += mass if times else 0
        total["semantic_multiplicity"] += times * mass
        top = row.argmax(-1)
        hit = (top >= first) & (top < last) & (torch.tensor(prompt + tokens)[top] == token)
        total["copy"] += hit.double() / m
        best = row.topk(m, dim=-1)
        inside = (best.indices >= first) & (best.indices < last)
        total["reasoning"] += (best.values * inside).sum(-1) / m
    return total


@torch.no_grad()
def answer(model, trial):
    """Greedy ids as many as the trial has and one more where it stopped early, and the rows of the query that gave each."""
    prompt, wanted = trial["prompt"], len(trial["answer"])
    past = model(torch.tensor([prompt[:-1]]), use_cache=True).past_key_values
    fed, ids, rows = prompt[-1], [], []
    for _ in range(min(wanted + 1, trial["max_new"])):
        out = model(torch.tensor([[fed]]), past_key_values=past, use_cache=True, output_attentions=True)
        past = out.past_key_values
        keys = len(prompt) + len(ids)  # a layer with a sliding window keeps and shows the last ones alone
        rows.append(torch.stack([F.pad(a[0, :, -1], (keys - a.shape[-1], 0)) for a in out.attentions]))
        fed = int(out.logits[0, -1].argmax())
        ids.append(fed)
    return ids, rows


def decoder(folder):
    """Ids to text, by the tokenizers package or by sentencepiece."""
    path = os.path.join(folder, "tokenizer.json")
    if os.path.exists(path):
        tokenizer = Tokenizer.from_file(path)
        return lambda ids: tokenizer.decode(ids, skip_special_tokens=False)
    return SentencePieceProcessor(os.path.join(folder, "tokenizer.model")).decode


def stops_well(model, decode, trial, ids):
    """Whether the answer stopped at an end token, a line feed or max_new."""
    if len(trial["answer"]) == trial["max_new"]:
        return True
    ends = model.generation_config.eos_token_id or model.config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    return ids[-1] in ends or "\n" in decode(ids)


def spans_evidence(decode, trial):
    """Whether the tokens of the span hold the evidence, and one token less on either side does not."""
    first, last = trial["span"]
    text = lambda a, b: decode(trial["prompt"][a:b])
    return (trial["evidence"] in text(first, last) and trial["evidence"] not in text(first + 1, last)
            and trial["evidence"] not in text(first, last - 1))


def check_order(path, means, most):
    """Whether the file's order is that of the means, but for heads whose means are within `most`."""
    order = json.load(open(path))
    for layer, heads in order.items():
        values = [means[int(layer)][head] for head in heads]
        if sorted(heads) != list(range(len(heads))) or any(b > a + most for a, b in zip(values, values[1:])):
            return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("dir")
    parser.add_argument("trials")
    parser.add_argument("--most", type=float, default=1e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation="eager").eval()

    decode = decoder(args.model)
    lists = {kind: [] for kind in KINDS}
    trials = [json.loads(line) for line in open(args.trials, encoding="utf-8")]
    same = stopped = placed = 0
    for trial in trials:
        ids, rows = answer(model, trial)
        wanted = len(trial["answer"])
        same += ids[:wanted] == trial["answer"]
        stopped += stops_well(model, decode, trial, ids)
        placed += spans_evidence(decode, trial)
        totals = scores_of(rows[:wanted] or rows[:1], trial["prompt"], *trial["span"], ids[:wanted])
        for kind in KINDS:
            if trial["counts_for_reasoning" if kind == "reasoning" else "counts_for_copy"]:
                lists[kind].append(totals[kind])
    good = same == stopped == placed == len(trials)
    print(f"{args.model}: {len(trials)} trials, {same} with the same greedy ids, {stopped} stopped in time, "
          f"{placed} with their evidence in place")
    for kind in KINDS:
        path = os.path.join(args.dir, kind + ".json")
        if not lists[kind] or not os.path.exists(path):
            print(f"{kind:<22} not measured")
            continue
        ours, theirs = json.load(open(path)), torch.stack(lists[kind], -1)  # [L, H, trials]
        layers, heads, count = theirs.shape
        table = torch.tensor([[ours[f"{l}-{h}"] for h in range(heads)] for l in range(layers)], dtype=torch.float64)
        worst = (table - theirs).abs().max().item()
        means = theirs.mean(-1)
        ordered = check_order(os.path.join(args.dir, kind + "_order.json"), means.tolist(), args.most)
        top = divmod(int(means.argmax()), heads)
        print(f"{kind:<22} {layers} x {heads} heads, {count} trials, worst difference {worst:.2e}, order "
              f"{'agrees' if ordered else 'DIFFERS'}, best head {top[0]}-{top[1]} {means.max().item():.4f}")
        good = good and worst <= args.most and ordered and table.shape[-1] == count
    sys.exit(not good)


main()
