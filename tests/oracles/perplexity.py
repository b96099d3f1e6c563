#!/usr/bin/env python3
"""Perplexity of evictbench against transformers (f32, eager or sdpa) on one checkpoint and text.

    python3 tests/oracles/perplexity.py EVICTBENCH MODEL TEXT sliding   --tokens 16384 --window 2048 --stride 512
    python3 tests/oracles/perplexity.py EVICTBENCH MODEL TEXT rolling   --documents 4 --window 2048
    python3 tests/oracles/perplexity.py EVICTBENCH MODEL TEXT streaming --tokens 2048 --budget 260 [--positions slots]
    python3 tests/oracles/perplexity.py EVICTBENCH MODEL TEXT evicted   --tokens 2048 --continue 256 --budget 64 256 \
        --policy streaming_llm snapkv

sliding repeats the loop of transformers' page "Perplexity of fixed-length models", with its weights and with every
scored token the same; chunks is its case of a stride of the window, in whole windows. rolling takes pages of a WikiText file,
detokenises them and makes windows by lm-eval's own functions (package lm-eval; `pip install --no-deps` will do), and
compares words, bytes and bits too. The others are one dense pass of transformers under a mask: streaming hides what lies
between 4 sinks and the last budget - 4 tokens before each query; evicted hides from the last prefilled token on what
`evictbench inspect kept` does not keep, each layer and query head by its own mask. Only streaming with --positions slots goes
token by token, as StreamingLLM's program with --enable_pos_shift: keys are stored as they were before they turned, and turned
by their slots at every step. Prints the negative log-likelihood of both sides; exit code 1 unless all agree to 1e-4. Needs torch
and transformers.
"""
import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.llama import modeling_llama as llama

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
    given = [*args.command, "--tokens", args.tokens, "--window", args.window, "--json"]
    chunks = args.protocol == "chunks"
    ours = ask(*given, *([] if chunks else ["--stride", args.stride]))["rows"][0]
    if chunks:
        args.stride = args.window
        args.tokens -= args.tokens % args.window
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
    if chunks:  # GPTQ's: the mean of a window's scored tokens, times all of its tokens
        return [(f"chunks, {args.tokens} tokens, window {args.window}", ours["nll"], theirs.view(-1, args.window - 1).mean(1).mean().item())]
    return [(name, ours["nll"], theirs.mean().item()), (name + ", published weights", ours["nll_published"], weighed / weight)]


def pages(text):
    """Of a WikiText file, as the data set EleutherAI/wikitext_document_level has them."""
    out, page = [], []
    for line in text.split("\n"):
        if re.fullmatch(r"= (?!=).*(?<!=) =", line.strip()):
            out, page = out + ["\n".join(page)], []
        page.append(line)
    return [p for p in out if p.strip()] + ["\n".join(page)]


def rolling(args, reference, text, tokenizer):
    from lm_eval.tasks.wikitext.preprocess_wikitext import process_results, wikitext_detokenizer
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
    out = ask(*args.command, "--format", "wikitext", "--documents", args.documents, "--window", args.window, "--json")
    ours, total, counts = out["rows"][0], 0.0, [0, 0]
    for page in pages(text)[:args.documents]:
        ids = tokenizer(wikitext_detokenizer({"page": page}))["input_ids"]
        windows = get_rolling_token_windows(ids, tokenizer.bos_token_id, args.window, 1)
        for context, continuation in map(make_disjoint_window, windows):
            total += reference.nll(torch.tensor(context + continuation), len(context)).sum().item()
        found = process_results({"page": page}, [(total, True)])
        counts = [counts[0] + found["word_perplexity"][1], counts[1] + found["byte_perplexity"][1]]
    assert counts == [ours["words"], ours["bytes"]], (counts, ours)
    words, size = counts
    name = f"rolling, {args.documents} documents, window {args.window}"
    return [(name, ours["nll"], total / ours["scored"]),
            (name + ", log of word perplexity", math.log(ours["word_perplexity"]), total / words),
            (name + ", bits per byte", ours["bits_per_byte"], total / size / math.log(2))]


def by_slots(reference, ids, sinks, recent):
    """Token by token -> negative log-likelihoods of ids[1:]."""
    rotary = reference.model.model.rotary_emb

    def replaced(attention):
        cache = {"k": None, "v": None}

        def forward(hidden_states, **_):
            new = {name: getattr(attention, name + "_proj")(hidden_states).view(1, 1, -1, attention.head_dim).transpose(1, 2)
                   for name in "qkv"}
            for name in cache:
                cache[name] = new[name] if cache[name] is None else torch.cat([cache[name], new[name]], 2)
            entries = cache["k"].shape[2]
            cos, sin = rotary(cache["v"], torch.arange(entries)[None])
            query = llama.apply_rotary_pos_emb(new["q"], new["q"], cos[:, -1:], sin[:, -1:])[0]
            key = llama.apply_rotary_pos_emb(cache["k"], cache["k"], cos, sin)[0]
            groups = attention.num_key_value_groups
            out = torch.nn.functional.scaled_dot_product_attention(
                query, llama.repeat_kv(key, groups), llama.repeat_kv(cache["v"], groups))
            if entries > sinks + recent:
                for name in cache:
                    cache[name] = torch.cat([cache[name][:, :, :sinks], cache[name][:, :, entries - recent:]], 2)
            return attention.o_proj(out.transpose(1, 2).reshape(1, 1, -1)), None
        return forward

    blocks = [block.self_attn for block in reference.model.model.layers]
    own = [block.forward for block in blocks]
    for block in blocks:
        block.forward = replaced(block)
    with torch.no_grad():
        states = torch.cat([reference.model.model(i.view(1, 1), use_cache=False).last_hidden_state[0] for i in ids[:-1]])
        nll = torch.cat([token_nll(reference.model.lm_head(s), i) for s, i in zip(states.split(256), ids[1:].split(256))])
    for block, forward in zip(blocks, own):
        block.forward = forward
    return nll


def streaming(args, reference, ids):
    args.command += ["--positions", args.positions]
    rows = ask(*args.command, "--tokens", args.tokens, "--policy", "streaming_llm", "--budget", *args.budget, "--json")["rows"]
    query, key = torch.arange(args.tokens)[:, None], torch.arange(args.tokens)[None]
    found = []
    for row in rows:
        visible = key <= query
        if row["budget"]:
            visible &= (key < 4) | (key >= query - (int(row["budget"]) - 4))
        if args.positions == "slots" and row["budget"]:
            nll = by_slots(reference, ids, 4, int(row["budget"]) - 4)
        else:
            nll = reference.nll(ids, 1, lambda _: visible[None])
        assert len(nll) == row["scored"]
        found.append((f"streaming, {args.positions} positions, {args.tokens} tokens, {row['policy']}, budget {row['budget']}", row["nll"], nll.mean().item()))
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
    parser.add_argument("protocol", choices=["sliding", "chunks", "rolling", "streaming", "evicted"])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--stride", type=int, default=512)
    parser.add_argument("--continue", dest="more", type=int, default=256)
    parser.add_argument("--policy", nargs="+", default=["streaming_llm"])
    parser.add_argument("--budget", type=int, nargs="+", default=[260])
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--positions", choices=["own", "slots"], default="own")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.command = [args.evictbench, "perplexity", args.protocol, args.model, "--text-file", args.text, "--threads", args.threads]
    with open(args.text, encoding="utf-8", newline="") as file:
        text = file.read()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    start, reference = time.time(), Reference(args.model)
    if args.protocol == "rolling":
        found = rolling(args, reference, text, tokenizer)
    else:
        ids = torch.tensor(tokenizer(text)["input_ids"])[:args.tokens + (args.more if args.protocol == "evicted" else 0)]
        found = {"sliding": sliding, "chunks": sliding, "streaming": streaming, "evicted": evicted}[args.protocol](args, reference, ids)
    worst = max(abs(ours - theirs) for _, ours, theirs in found)
    for name, ours, theirs in found:
        print(f"{name}: evictbench {ours:.7f}, transformers {theirs:.7f}, difference {abs(ours - theirs):.1e}")
    print(f"worst difference {worst:.1e}, {'within' if worst <= TOLERANCE else 'ABOVE'} {TOLERANCE:.0e}; {time.time() - start:.0f} s")
    sys.exit(worst > TOLERANCE)


main()
