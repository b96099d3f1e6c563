"""Training text: `evictbench examples` makes it, here it becomes token ids."""
import json
import os
import random
import subprocess
import tempfile

import sentencepiece

KINDS = ("needle", "multi_key", "multi_value", "multi_query", "two_hop", "labels", "code", "variables")
SWEEP = {"version": 1, "protocol": {"question": "inside", "first_token": "evicted"}, "policies": [{"name": "full"}],
         "budgets": {"unit": "ratio", "values": [1.0]}, "output": {"dir": "unused"}}


def examples(program, model, seed, tasks):
    """The examples of recall tasks (dicts of options), as dicts. YAML reads JSON."""
    sweep = SWEEP | {"model": {"path": os.path.abspath(model), "device": "cpu", "compute": "f32", "chat": "none"},
                     "tasks": [{"name": "recall", "id": f"{i}"} | task for i, task in enumerate(tasks)]}
    sweep["protocol"] = sweep["protocol"] | {"seed": seed}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(sweep, file)
        file.flush()
        made = subprocess.run([program, "examples", file.name], check=True, stdout=subprocess.PIPE)
    for line in made.stdout.splitlines():
        yield json.loads(line)


class Encoder:
    """Joins and encodes as the harness does without a chat template (harness/inputs.cpp)."""

    def __init__(self, folder):
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=folder + "/tokenizer.model")

    def context(self, text):
        return [self.pieces.bos_id()] + self.pieces.encode(text)

    def question(self, e):
        """-> ids, and where the answer begins and ends (its full stop and the end token come on top)"""
        prompt = f"\n\n{e['question']}\n{e['answer_prefix']}"
        glue = " " if prompt[-1].isalnum() else ""
        asked = self.pieces.encode(prompt)
        said = self.pieces.encode(prompt + glue + e["answers"][0])
        ids = self.pieces.encode(prompt + glue + e["answers"][0] + ".") + [self.pieces.eos_id()]
        assert ids[:len(said)] == said and said[:len(asked)] == asked, e
        return ids, len(asked), len(said)


def sequences(encoder, made, length):
    """Examples that share a context become one sequence of at most `length` tokens: the context, then questions with
    their answers. -> (kind index, ids, mask): mask 2 in answers, 1 in what ends them, 0 elsewhere"""
    out, last = [], None
    for e in made:
        ids, start, stop = encoder.question(e)
        mask = [0] * start + [2] * (stop - start) + [1] * (len(ids) - stop)
        if last != (e["task"], e["context"]):
            last = (e["task"], e["context"])
            context = encoder.context(e["context"])
            out.append((int(e["task"]), context, [0] * len(context)))
        if len(out[-1][1]) + len(ids) <= length:
            out[-1][1].extend(ids)
            out[-1][2].extend(mask)
    return [s for s in out if len(s[1]) <= length and any(s[2])]


class Stream:
    """Endless shuffled sequences of the training split, {"items": {kind: [least, most at 256 tokens, share]}}. The
    n-th chunk of them depends on (seed, n) alone."""

    def __init__(self, program, model, seed):
        self.program, self.model, self.seed, self.chunk = program, model, seed, 0
        self.encoder = Encoder(model)
        self.ready = {}  # length -> sequences

    def batch(self, stage, length, size):
        ready = self.ready.setdefault(length, [])
        while len(ready) < size:
            ready += self.made(stage, length)
        batch, ready[:] = ready[:size], ready[size:]
        return batch

    def made(self, stage, length):
        self.chunk += 1
        seed = self.seed * 1_000_003 + self.chunk
        draw = random.Random(seed)
        scale = length // 256
        prompt = length - 64 - length // 16  # what is left is for answers and further questions
        tasks = [{"kind": kind, "split": "train", "count": max(2, 16 // scale), "lengths": int(prompt * draw.uniform(0.82, 1)),
                  "items": draw.randint(least, min(most * scale, 12)), "questions": draw.randint(1, 4 * scale)}
                 for kind, (least, most, share) in stage["items"].items() for _ in range(share)]
        rows = sequences(self.encoder, examples(self.program, self.model, seed, tasks), length)
        draw.shuffle(rows)
        return rows
