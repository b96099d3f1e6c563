#!/usr/bin/env python3
"""What evictbench keeps against what kvpress keeps, per layer and KV head.

    python compare_with_kvpress.py EVICTBENCH tiny [--cases 210]
    python compare_with_kvpress.py EVICTBENCH MODEL --texts FOLDER_OR_FILE... [--prompts 20]

`tiny`: random prompts, options and budgets on three models of random weights (MHA, GQA, MQA); no prompt has a token twice.
MODEL: a Hugging Face folder, real prompts of 512 to 2,048 tokens, kvpress's default options, three budgets each. Budgets hold the
window and the sinks, which all have one score in kvpress. Torch computes in float32 on one thread.

A press's own `compress` runs inside a plain prefill; values that hold their own index come back as the kept indices (AdaKV
says what it masks). Two kept sets that differ are explained where as much was kept and all that differs has scores, by kvpress,
that lie within 1e-4 of each other, relatively: a tie, which torch.topk cuts as it likes, or a cut within the rounding of scores.
One token at several places is a tie of knorm in the first layer, whatever the rounding: there its keys differ by a rotation.
Exit code 1 if one is not explained, or if cuts within the rounding are more than 1 % of the kept sets of a policy.
Needs torch, transformers 5.2.0 and kvpress 0.5.5.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

import torch
from kvpress import (AdaKVPress, KnormPress, ObservedAttentionPress, PyramidKVPress, SnapKVPress, StreamingLLMPress,
                     TOVAPress)
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, LlamaConfig, LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

TINY = ((4, 4), (8, 2), (3, 1))  # query and KV heads
VOCABULARY = 1024
CLOSE = 1e-4


class Point:
    """One policy of ours and the press that it must agree with, at one budget for prompts of `tokens`."""

    def __init__(self, policy, press, entries, tokens):
        ratio = 1 - (entries + 0.3) / tokens  # int(tokens * (1 - ratio)) is `entries`, whatever the rounding
        press.compression_ratio = ratio
        self.policy, self.press = policy, press
        # kvpress's PyramidKV divides the real number; canonical policies spend a budget to the entry.
        self.budget = tokens * (1 - ratio) if "@" in policy else entries
        self.kept, self.scores = [], []  # per layer: [G] sets, [G, T]

    def name(self):
        return self.policy.split("{")[0]

    def capture(self, known, module, hidden, keys, attentions, kwargs):
        """`known`: the scores of this layer so far. A scorer is asked once for all points that have it."""
        _, G, T, D = keys.shape
        scorer = self.press.press if isinstance(self.press, AdaKVPress) else self.press
        key = (type(scorer).score, *(getattr(scorer, name, None) for name in ("window_size", "kernel_size")))
        if isinstance(scorer, StreamingLLMPress):
            key = self  # its scores depend on the budget
        if key not in known:
            known[key] = type(scorer).score(scorer, module, hidden, keys, keys, attentions, kwargs)
        scorer.score = lambda *_: known[key].clone()
        self.scores.append(known[key][0])
        places = torch.arange(T, dtype=torch.float32)[None, None, :, None].expand(1, G, T, D)
        _, kept = self.press.compress(module, hidden, keys, places, attentions, kwargs)
        if not isinstance(self.press, AdaKVPress):
            self.kept.append([set(map(int, kept[0, g, :, 0])) for g in range(G)])
            return
        lanes = [set(range(T)) for _ in range(G)]
        for g, t in zip(module.masked_key_indices[1].tolist(), module.masked_key_indices[2].tolist()):
            lanes[g].discard(t)
        module.masked_key_indices = None
        self.kept.append(lanes)


def points_of(entries, tokens, window, kernel, beta, alpha, sinks):
    snap = {"window_size": window, "kernel_size": kernel}
    ours = f"window={window},kernel={kernel}"
    make = lambda policy, press: Point(policy, press, entries, tokens)
    return [make(f"snapkv@kvpress{{{ours}}}", SnapKVPress(**snap)),
            make(f"pyramidkv@kvpress{{{ours},beta={beta}}}", PyramidKVPress(beta=beta, **snap)),
            make(f"adakv@kvpress{{{ours},alpha={alpha}}}", AdaKVPress(SnapKVPress(**snap), alpha_safeguard=alpha)),
            make(f"streaming_llm{{sinks={sinks}}}", StreamingLLMPress(n_sink=sinks)),
            make("knorm", KnormPress()), make("tova", TOVAPress()),
            make("observed_attention@kvpress", ObservedAttentionPress())]


def capture(model, ids, points):
    """One prefill with explicit attention, which observed attention needs; the others are shown none and compute theirs,
    as they do beside fused attention, which AdaKV insists on."""
    cache = DynamicCache()

    def hook(module, _, kwargs, output):
        keys, known = cache.layers[module.layer_idx].keys, {}
        module.config._attn_implementation = "sdpa"
        for point in points:
            attentions = output[1] if isinstance(point.press, ObservedAttentionPress) else None
            point.capture(known, module, kwargs["hidden_states"], keys, attentions, kwargs)
        module.config._attn_implementation = "eager"

    hooks = [layer.self_attn.register_forward_hook(hook, with_kwargs=True) for layer in model.model.layers]
    with torch.no_grad():
        model.model(torch.tensor([ids]), past_key_values=cache, use_cache=True)
    for handle in hooks:
        handle.remove()


class Tally:
    def __init__(self):
        self.lanes, self.ties, self.close, self.widest, self.unexplained = 0, 0, 0, 0.0, []

    def add(self, point, ours, ids):
        for layer, (theirs, scores) in enumerate(zip(point.kept, point.scores)):
            differ = [(g, t) for g, lane in enumerate(theirs) for t in lane ^ set(ours[layer][g])]
            self.lanes += len(theirs)
            # Heads compete in AdaKV: what differs in a layer belongs together.
            groups = [differ] if isinstance(point.press, AdaKVPress) else [
                [e for e in differ if e[0] == g] for g in range(len(theirs))]
            for group in groups:
                if group:
                    more = sum(1 if t in theirs[g] else -1 for g, t in group)  # the same number, or it is no tie
                    alike = point.name() == "knorm" and layer == 0 and len({ids[t] for _, t in group}) == 1
                    self.exception(point, layer, group, [scores[g, t].item() for g, t in group], more, alike)

    def exception(self, point, layer, group, scores, more, alike):
        gap = (max(scores) - min(scores)) / max(map(abs, scores))
        lanes = len({g for g, _ in group})
        if more:
            self.unexplained.append(f"{point.policy} at {point.budget:g}: layer {layer}, {more} more by kvpress")
        elif gap == 0 or (alike and gap <= CLOSE):
            self.ties += lanes
        elif gap <= CLOSE:
            self.close += lanes
            self.widest = max(self.widest, gap)
            print(f"  {point.policy} at {point.budget:g}: layer {layer}, (head, token) {sorted(group)}: scores at the cut "
                  f"{max(scores):.9g} to {min(scores):.9g}, {gap:.1e} apart")
        else:
            self.unexplained.append(f"{point.policy} at {point.budget:g}: layer {layer}, {sorted(group)[:8]}, {gap:.1e}")


def compare(evictbench, folder, prompts, tallies):
    """prompts: [(ids, points)]"""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as requests:
        for ids, points in prompts:
            asked = [{"policy": p.policy, "budget": p.budget} for p in points]
            requests.write(json.dumps({"ids": ids, "points": asked}) + "\n")
        requests.flush()
        command = [evictbench, "inspect", "kept", folder, "--batch", requests.name, "--threads", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for number, (ids, points) in enumerate(prompts):
                ours = json.loads(process.stdout.readline())["points"]
                capture(model, ids, points)
                for point, answer in zip(points, ours):
                    tallies.setdefault(point.name(), Tally()).add(point, answer["kept"], ids)
                    point.kept, point.scores = None, None
                if len(ids) >= 512:
                    print(f"prompt {number}: {len(ids)} tokens", flush=True)
        if process.returncode:
            sys.exit(f"evictbench ended with {process.returncode}")


def tiny(evictbench, cases, tallies):
    rng = random.Random(7)
    torch.manual_seed(7)
    for number, (heads, kv_heads) in enumerate(TINY):
        prompts = []
        for _ in range((cases + len(TINY) - 1 - number) // len(TINY)):
            tokens = rng.randint(24, 400)
            window, sinks = rng.choice([1, 2, 4, 8, 16]), rng.choice([0, 1, 4])
            entries = rng.randint(max(window, sinks) + 1, tokens - 1)
            ids = rng.sample(range(VOCABULARY), tokens)
            prompts.append((ids, points_of(entries, tokens, window, rng.choice([1, 3, 5, 7]), rng.choice([1, 2, 5, 20]),
                                           rng.choice([0, 0.2, 0.5, 0.9]), sinks)))
        config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=16 * heads, intermediate_size=64, num_hidden_layers=4,
                             num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=16,
                             max_position_embeddings=512, initializer_range=0.25)
        with tempfile.TemporaryDirectory() as folder:
            LlamaForCausalLM(config).save_pretrained(folder)
            compare(evictbench, folder, prompts, tallies)
    return f"{cases} cases on 3 models of random weights, query heads / KV heads {', '.join('%d/%d' % t for t in TINY)}"


def real(evictbench, folder, texts, count, tallies):
    files = []
    for path in texts:
        files += sorted(os.path.join(path, f) for f in os.listdir(path)) if os.path.isdir(path) else [path]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rng, prompts = random.Random(11), []
    while len(prompts) < count:
        with open(rng.choice(files), encoding="utf-8") as file:
            ids = tokenizer(file.read(400000), add_special_tokens=False, verbose=False)["input_ids"]
        tokens = 512 + 1536 * len(prompts) // max(1, count - 1)  # from 512 to 2,048
        if len(ids) < tokens:
            continue
        start = rng.randrange(len(ids) - tokens + 1)
        points = []
        for share in (0.08, 0.25, 0.6):  # 0.6: kvpress's PyramidKV is one only above half of the prompt
            points += points_of(max(80, round(share * tokens)), tokens, 64, 5, 20, 0.2, 4)
        prompts.append((ids[start:start + tokens], points))
    compare(evictbench, folder, prompts, tallies)
    return f"{count} prompts of 512 to 2,048 tokens on {folder}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evictbench")
    parser.add_argument("model")
    parser.add_argument("--cases", type=int, default=210)
    parser.add_argument("--texts", nargs="+", default=[])
    parser.add_argument("--prompts", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    disable_progress_bar()
    tallies = {}
    if args.model == "tiny":
        what = tiny(args.evictbench, args.cases, tallies)
    else:
        what = real(args.evictbench, args.model, args.texts, args.prompts, tallies)
    print(f"\n{what}\n{'policy':<28} {'kept sets':>9} {'ties cut':>9} {'rounding':>9} {'widest gap':>10} {'unexplained':>11}")
    good = True
    for name, t in tallies.items():
        print(f"{name:<28} {t.lanes:>9} {t.ties:>9} {t.close:>9} {t.widest:>10.1e} {len(t.unexplained):>11}")
        good = good and not t.unexplained and t.close <= 0.01 * t.lanes
        for line in t.unexplained[:5]:
            print("  " + line)
    sys.exit(not good)


if __name__ == "__main__":
    main()
