#!/usr/bin/env python3
"""Kills a sweep with SIGKILL at random moments, resumes it, and compares what is left with an undisturbed run.

    python3 tests/oracles/kill_and_resume.py EVICTBENCH SWEEP [--kills 50] [--seed 1] [--out DIR]

Everything but timings.jsonl and report.html (which shows the timings) must be the same bytes, and the journal may only grow.
Exit code 1 otherwise.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import time

SAME = ["manifest.json", "examples.json", "records.jsonl", "results.json", "results.csv", "results.md", "results.tex"]


def whole_lines(folder):
    path = os.path.join(folder, "records.jsonl")
    if not os.path.exists(path):
        return b""
    data = open(path, "rb").read()
    return data[: data.rfind(b"\n") + 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evictbench")
    parser.add_argument("sweep")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="results/kill_and_resume")
    args = parser.parse_args()
    random.seed(args.seed)
    shutil.rmtree(args.out, ignore_errors=True)
    calm, rough = os.path.join(args.out, "calm"), os.path.join(args.out, "rough")

    def command(folder):
        return [args.evictbench, "run", args.sweep, "--set", f"output.dir={folder}"]

    begin = time.monotonic()
    subprocess.run(command(calm), check=True, capture_output=True)
    duration = time.monotonic() - begin
    kills, rounds, lost, different = 0, 0, 0, []
    while kills < args.kills:
        rounds += 1
        shutil.rmtree(rough, ignore_errors=True)
        for _ in range(args.kills):
            before = whole_lines(rough)
            process = subprocess.Popen(command(rough), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(random.uniform(0.005, duration * 0.5))
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                lost += not whole_lines(rough).startswith(before)
            if kills >= args.kills:
                break
        subprocess.run(command(rough), check=True, capture_output=True)
        for name in SAME:
            a, b = (open(os.path.join(folder, name), "rb").read() for folder in (calm, rough))
            if a != b:
                different.append(f"{name} in round {rounds}")
    print(f"{kills} kills in {rounds} rounds of a {duration:.1f} s sweep: {lost} times records were lost, "
          f"{len(different)} files differ {different}")
    sys.exit(bool(lost or different))


main()
