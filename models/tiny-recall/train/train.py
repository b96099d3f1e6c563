"""train.py FOLDER STATE: trains the model whose tokenizer stands in FOLDER, and writes it there.

STATE holds the whole state of the training, saved every 10 minutes; the same command goes on from it. Stages, sizes and
rates are in plan.json beside this file; what was seen is appended to FOLDER/training.jsonl.
"""
import argparse
import json
import math
import os
import time

import torch
import torch.nn.functional as F

from data import Stream, examples, sequences
from model import Net, Shape, export, write_circuit

HERE = os.path.dirname(os.path.abspath(__file__))
SAVE_EVERY = 600  # seconds
TEXT_WEIGHT = 0.1  # of what is no answer, in the loss


def tensor_batch(rows, length):
    """-> ids [B, T], mask [B, T]; T = length, short rows are filled up with 0"""
    pad = lambda row: row + [0] * (length - len(row))
    return torch.tensor([pad(r[1]) for r in rows]), torch.tensor([pad(r[2]) for r in rows])


def losses(net, ids, mask):
    """-> loss of answers and what ends them, loss of the rest"""
    logits = net(ids[:, :-1])
    said, answer = ids[:, 1:], (mask[:, 1:] > 0).float()
    each = F.cross_entropy(logits.flatten(0, 1), said.flatten(), reduction="none").view(said.shape)
    text = (said != 0).float() - answer
    return (each * answer).sum() / answer.sum(), (each * text).sum() / text.sum()


@torch.no_grad()
def exact_match(net, stream, kind, length, count):
    """Share of whole answers that greedy decoding gets right, on held-out keys and values."""
    task = {"kind": kind, "split": "heldout", "count": count, "lengths": length}
    rows = sequences(stream.encoder, examples(stream.program, stream.model, 1, [task]), 1 << 20)
    right = 0
    device = net.embedding.device
    for _, ids, mask in rows:
        # Given the reference so far, every next token is the best one: then so is greedy decoding's answer.
        best = net(torch.tensor([ids[:-1]], device=device))[0].argmax(-1).cpu()
        due = torch.tensor(mask[1:]) == 2
        right += bool((best == torch.tensor(ids[1:]))[due].all())
    return right / len(rows)


class Trainer:
    def __init__(self, args, plan):
        self.args, self.plan = args, plan
        torch.manual_seed(plan["seed"])
        self.net = Net(Shape())
        if plan["circuit"]:
            write_circuit(self.net)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.net.to(self.device)  # before the optimizer takes hold of the weights
        matrices = [p for name, p in self.net.named_parameters() if p.ndim == 2 and name != "embedding"]
        others = [p for name, p in self.net.named_parameters() if p.ndim != 2 or name == "embedding"]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "rate": plan["rate"]}, {"params": others, "rate": plan["embedding_rate"]}],
            betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0)
        self.stream = Stream(args.program, args.folder, plan["seed"])
        self.step, self.tokens, self.seconds, self.stage, self.stage_tokens = 0, 0, 0.0, 0, 0
        if os.path.exists(args.state):
            self.load()
        export(self.net, args.folder)  # the generator counts tokens through the model's folder

    def load(self):
        state = torch.load(self.args.state, weights_only=False, map_location="cpu")
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        for name in ("step", "tokens", "seconds", "stage", "stage_tokens"):
            setattr(self, name, state[name])
        self.stream.chunk, self.stream.ready = state["chunk"], state["ready"]

    def save(self):
        state = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(),
                 "rng": torch.get_rng_state(), "chunk": self.stream.chunk, "ready": self.stream.ready}
        state |= {name: getattr(self, name) for name in ("step", "tokens", "seconds", "stage", "stage_tokens")}
        torch.save(state, self.args.state + ".new")
        os.replace(self.args.state + ".new", self.args.state)
        export(self.net, self.args.folder)

    def log(self, **line):
        line = {"step": self.step, "tokens": self.tokens, "seconds": round(self.seconds)} | line
        print(json.dumps(line), flush=True)
        with open(self.args.folder + "/training.jsonl", "a") as f:
            f.write(json.dumps(line) + "\n")

    def set_rates(self, stage):
        warm = min(1.0, (self.step + 1) / self.plan["warm_up_steps"])
        done = self.stage_tokens / (stage["million_tokens"] * 1e6)
        last = self.stage == len(self.plan["stages"]) - 1
        fall = (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))) if last else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * warm * fall * stage.get("rate", 1.0)

    def one_step(self, stage):
        length = stage["lengths"][self.step % len(stage["lengths"])]
        ids, mask = tensor_batch(self.stream.batch(stage, length, stage["batch_tokens"] // length), length)
        self.set_rates(stage)
        answer, text = losses(self.net, ids.to(self.device), mask.to(self.device))
        (answer + TEXT_WEIGHT * text).backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.tokens += ids.numel()
        self.stage_tokens += ids.numel()
        return answer.item(), text.item()

    def evaluate(self, stage):
        for length in stage["lengths"]:
            scores = {kind: exact_match(self.net, self.stream, kind, length, stage["count"])
                      for kind in stage["items"]}
            self.log(exact=scores, length=length)

    def run(self):
        start = saved = time.time()
        before = self.seconds
        while self.stage < len(self.plan["stages"]):
            stage = self.plan["stages"][self.stage]
            sums, steps, judged = [0.0, 0.0], 0, time.time()
            self.log(stage=self.stage, lengths=stage["lengths"])
            while self.stage_tokens < stage["million_tokens"] * 1e6:
                for i, x in enumerate(self.one_step(stage)):
                    sums[i] += x
                steps += 1
                now = time.time()
                self.seconds = before + now - start
                if steps == self.plan["log_steps"]:
                    self.log(answer=round(sums[0] / steps, 4), text=round(sums[1] / steps, 4))
                    sums, steps = [0.0, 0.0], 0
                if now - judged > self.plan["evaluate_seconds"]:
                    self.evaluate(stage)
                    judged = time.time()
                if now - saved > SAVE_EVERY:
                    self.save()
                    saved = now
                if self.args.seconds and self.seconds > self.args.seconds:
                    self.evaluate(stage)
                    return self.save()
            self.evaluate(stage)
            self.stage, self.stage_tokens = self.stage + 1, 0
            self.save()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("state")
    parser.add_argument("--program", default="build/release/evictbench")
    parser.add_argument("--plan", default=HERE + "/plan.json")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; 0: at the plan's end")
    parser.add_argument("--set", action="append", default=[], help="key=JSON, over the plan")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with open(args.plan) as f:
        plan = json.load(f)
    for setting in args.set:
        key, value = setting.split("=", 1)
        plan[key] = json.loads(value)
    Trainer(args, plan).run()


if __name__ == "__main__":
    main()
