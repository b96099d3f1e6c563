#!/usr/bin/env python3
"""One sweep of 30 points (5 policies x 6 budgets) against its points run one by one with the same program: equal answers,
and the ratio of the times.

    python3 tests/benchmarks/sweep_ratio.py EVICTBENCH MODEL [--length 2048] [--new 32] [--compute f32] [--out DIR]

Times are prefill, selection, compaction and decoding as the program itself reports them (timings.jsonl); loading the model
is in neither. The haystack is generated, so nothing but a checkpoint is needed.
"""
import argparse
import json
import os
import shutil
import subprocess

POLICIES = ["random", "streaming_llm", "snapkv", "pyramidkv", "adakv"]
BUDGETS = [64, 128, 256, 512, 1024, 2048]  # entries
SWEEP = """version: 1
model: {{path: {model}, device: cpu, compute: {compute}, chat: auto}}
protocol: {{question: [inside], first_token: evicted, seed: 42}}
policies: [{policies}]
budgets: {{unit: entries, values: {budgets}}}
tasks:
  - name: niah
    haystack: generated
    lengths: [{length}]
    depths: [50]
    needle: "The best thing to do in {{key}} is {{value}}."
    question: "Tell me a long story about the best thing to do in {{key}}, in full sentences."
    keys: [San Francisco]
    values: [to eat a sandwich and sit in Dolores Park on a sunny day]
    max_new: {new}
output: {{dir: {out}}}
"""


def run(args, name, policies, budgets):
    """Records and timings of a run of `policies` at `budgets` -> args.out/name."""
    out = os.path.join(args.out, name)
    sweep = out + ".yaml"
    os.makedirs(args.out, exist_ok=True)
    with open(sweep, "w") as file:
        file.write(SWEEP.format(model=os.path.abspath(args.model), compute=args.compute, budgets=budgets, length=args.length,
                                policies=", ".join(f"{{name: {p}}}" for p in policies), new=args.new, out=out))
    subprocess.run([args.evictbench, "run", sweep], check=True, capture_output=True)
    records = [json.loads(line) for line in open(os.path.join(out, "records.jsonl"))]
    timings = [json.loads(line) for line in open(os.path.join(out, "timings.jsonl"))]
    return records, timings


def seconds(timings):
    return sum(t[k] for t in timings for k in ("prefill_s", "select_s", "gather_s", "decode_s"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evictbench")
    parser.add_argument("model")
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--compute", default="f32")
    parser.add_argument("--out", default="results/sweep_ratio")
    args = parser.parse_args()
    args.out = os.path.abspath(args.out)
    shutil.rmtree(args.out, ignore_errors=True)
    # One run against thirty: the median of three, so that a hiccup of the machine weighs no more here than there.
    runs = sorted((run(args, f"together-{i}", POLICIES, BUDGETS) for i in range(3)), key=lambda r: seconds(r[1]))
    together, timings = runs[1]
    whole = seconds(timings)
    answers = {(r["policy"], r["budget"]): r["answer_ids"] for r in together}
    single, equal = 0, 0
    for policy in POLICIES:
        for budget in BUDGETS:
            records, one = run(args, f"{policy}-{budget}", [policy], [budget])
            single += seconds(one)
            equal += records[0]["answer_ids"] == answers[(records[0]["policy"], records[0]["budget"])]
    t = timings[0]
    points = len(answers)
    new = sum(len(a) for a in answers.values()) / points
    print(f"{points} points, {t['prompt_tokens']} prompt tokens, {new:.1f} new tokens a point (at most {args.new})")
    print(f"together {whole:.2f} s: prefill {t['prefill_s']:.2f} ({t['prompt_tokens'] / t['prefill_s']:.0f} tokens/s), "
          f"select {t['select_s']:.3f}, compact {t['gather_s']:.3f}, decode {t['decode_s']:.2f}")
    print(f"one by one {single:.2f} s; ratio {single / whole:.1f}; equal answers {equal} of {points}")


if __name__ == "__main__":
    main()
