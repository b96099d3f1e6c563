"""Writes tests/policies/cases/<policy>.txt: random cases and what policy_reference.py keeps of them.

    python policy_cases.py [CASES_PER_POLICY] [FOLDER]

A case holds no data: both sides make it from `seed` with the generator below. A line is

    kind L H G D T seed rule entries scale levels trials layer_scores options kept

`kind` qk: queries and keys [L, H or G, T, D] are eighths, attention is computed. `kind` table: the statistics [L, H, T]
are given as whole numbers below `levels` times `scale`, which float32 adds and divides exactly, so ties are true ties.
`trials`: scores per head in the head file, 0: the file holds an order; `layer_scores` 1: there is a layer file. `kept`:
per lane a hexadecimal mask, four slots a digit, the lowest slot in the lowest bit of the first digit.
"""
import os
import random
import sys

import numpy as np

import policy_reference as ref

QUERIES, KEYS, FIRST, SECOND, THIRD, HEADS, LAYERS = range(1, 8)  # streams


def drawn(seed, stream, count):
    """Whole numbers of 64 bits: the i-th of a stream of a seed, whatever the others are."""
    with np.errstate(over="ignore"):
        x = np.uint64((seed * 0x9E3779B97F4A7C15 + stream * 0xC2B2AE3D27D4EB4F) % 2**64)
        x = x + np.arange(count, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def eighths(seed, stream, shape):
    return ((drawn(seed, stream, int(np.prod(shape))) % np.uint64(33)).astype(float) - 16).reshape(shape) / 8


def whole(seed, stream, shape, levels, scale):
    return (drawn(seed, stream, int(np.prod(shape))) % np.uint64(levels)).astype(float).reshape(shape) * scale


def mask(slots, T):
    digits = [0] * ((T + 3) // 4)
    for slot in slots:
        digits[slot // 4] |= 1 << slot % 4
    return "".join("%x" % d for d in digits)


class Case:
    def __init__(self, policy, seed, rng):
        self.policy, self.seed = policy, seed
        self.kind = rng.choice(["qk", "table"])
        members = rng.choice([1, 2, 3, 4, 5])
        self.G = rng.choice([1, 1, 2, 3, 4])
        self.H, self.L, self.D = members * self.G, rng.randint(1, 4), rng.choice([2, 4, 5])
        self.W = 1 if policy == "tova" else rng.choice([1, 2, 4, 8, 16] if policy == "cake" else [1, 2, 3, 5, 8, 13])
        deep = "compresskv" in policy and rng.random() < 0.6  # where 32 entries a layer are no limit
        self.T = rng.choice([1, 2, self.W, self.W + 1, max(1, self.W - 1)]) if rng.random() < 0.15 else (
            rng.randint(40, 150) if deep else rng.randint(self.W + 1, self.W + 40))
        if deep:
            self.G, self.L = min(self.G, 2), min(self.L, 3)
            self.H = members * self.G
        self.rule = rng.choice(["exact", "exact", "published"])
        top = self.T + 3
        self.entries = rng.choice([0, 0.25, 0.5, 1, self.W - 0.5, self.W, self.W + 1, self.T - 1, self.T, self.T + 1,
                                   2 * self.T]) if rng.random() < 0.25 else (
            rng.randint(1, top * 4) / 4 if rng.random() < 0.5 else float(rng.randint(self.W, max(self.W, top))))
        self.entries = max(0.0, float(self.entries))
        if policy == "cake" and self.rule == "published" and rng.random() < 0.8:  # below the gate
            self.entries = float(rng.randint(self.W + 1, max(self.W + 1, (self.T + self.W) // 2)))
        self.kernel = rng.choice([1, 3, 5, 7])
        self.pool = rng.choice(["max", "mean"])
        self.levels = rng.choice([2, 4, 10, 50])
        self.scale = self.kernel * members * {"cake": self.W}.get(policy, 1)
        self.trials = rng.choice([1, 2, 4]) if policy in ("headkv", "headcompresskv") else rng.choice([0, 0, 1, 4])
        self.layer_scores = rng.random() < 0.7
        self.heads = rng.randint(1, min(4, self.H))
        self.beta = rng.choice(["1", "1.005", "1.01", "1.1", "1.5", "2", "5", "10"])
        self.temperature = rng.choice(["1", "1", "1", "0.5", "2", "0"])
        self.tau1, self.tau2 = rng.choice(["1", "1.6", "0.4"]), rng.choice(["1", "0.6", "2"])
        self.gamma = rng.choice(["200", "0", "3"])
        self.alpha = ""
        if policy == "adacompresskv":
            self.alpha = rng.choice(["0", "0.2", "0.2", "0.5", "0.75", "1"])
            self.G = rng.choice([self.G, 2, 3])  # heads to compete
            self.H = members * self.G
            self.heads = min(self.heads, self.H)

    # --- inputs
    def statistic(self, stream, rows, reduce, scale=None):
        """The table of one statistic, given or computed from queries and keys."""
        L, H, G, D, T = self.L, self.H, self.G, self.D, self.T
        if self.kind == "table":
            return whole(self.seed, stream, (L, H, T), self.levels, self.scale if scale is None else scale)
        q, k = eighths(self.seed, QUERIES, (L, H, T, D)), eighths(self.seed, KEYS, (L, G, T, D))
        return reduce(ref.attention(q, k, min(rows, T)))

    def lists(self):
        x = drawn(self.seed, HEADS, self.L * self.H * max(1, self.trials))
        if self.trials == 0:
            return None
        return (x % np.uint64(10)).astype(int).reshape(self.L, self.H, self.trials).tolist()

    def orders(self):
        if self.trials == 0:
            return np.argsort(drawn(self.seed, HEADS, self.L * self.H).reshape(self.L, self.H), axis=1).tolist()
        return ref.top_heads(self.lists(), self.H)

    def layers(self):
        return [int(x) for x in drawn(self.seed, LAYERS, self.L) % np.uint64(10)] if self.layer_scores else None

    # --- answers
    def options(self):
        return {"h2o": f"window={self.W}", "tova": "-",
                "cake": f"window={self.W},kernel={self.kernel},gamma={self.gamma},tau1={self.tau1},tau2={self.tau2}",
                "headkv": f"window={self.W},kernel={self.kernel},pool={self.pool},beta={self.beta},"
                          f"temperature={self.temperature}",
                "adacompresskv": f"window={self.W},kernel={self.kernel},pool={self.pool},heads={self.heads},"
                                 f"alpha={self.alpha}",
                "compresskv": f"window={self.W},kernel={self.kernel},pool={self.pool},heads={self.heads}",
                "headcompresskv": f"window={self.W},kernel={self.kernel},pool={self.pool},heads={self.heads},"
                                  f"beta={self.beta},temperature={self.temperature}"}[self.policy]

    def kept(self):
        budget, W = (self.entries, self.rule), self.W
        add = lambda a: a.sum(2)
        if self.policy == "h2o":
            return ref.h2o(self.statistic(FIRST, self.T, add), self.G, *budget, W)
        if self.policy == "tova":
            return ref.tova(self.statistic(FIRST, 1, add), self.G, *budget)
        if self.policy == "cake":
            rows = min(W, self.T)
            spread = lambda a: a.var(2, ddof=1) if rows > 1 else 0 * a.sum(2)
            surprise = lambda a: -(a * np.log(a + 1e-10)).sum(2)
            return ref.cake(self.statistic(FIRST, W, add) / rows,
                            self.statistic(SECOND, W, spread, self.scale * self.H),
                            self.statistic(THIRD, W, surprise, self.H), self.G, *budget, W, self.kernel,
                            float(self.gamma), float(self.tau1), float(self.tau2))
        sums = self.statistic(FIRST, W, add)
        tail = (W, self.kernel, self.pool)
        if self.policy in ("headkv", "headcompresskv") and not any(map(any, sum(self.lists(), []))) :
            raise ref.Fragile  # no head has a score: refused
        tempered = (self.beta, float(self.temperature))
        if self.policy == "headkv":
            return ref.headkv(sums, self.lists(), self.G, *budget, *tail, *tempered)
        chosen = [row[:self.heads] for row in self.orders()]
        if self.policy == "headcompresskv":
            return ref.headcompresskv(sums, self.lists(), chosen, self.G, *budget, *tail, *tempered)
        if self.trials > 0 and not any(map(any, sum(self.lists(), []))):
            raise ref.Fragile
        if self.layer_scores and sum(self.layers()) == 0:
            raise ref.Fragile
        if self.policy == "adacompresskv":
            return ref.adacompresskv(sums, chosen, self.layers(), self.G, *budget, *tail, ref.Fraction(self.alpha))
        return ref.compresskv(sums, chosen, self.layers(), self.G, *budget, *tail)

    def line(self):
        kept = ",".join(mask(slots, self.T) for slots in self.kept())
        return (f"{self.kind} {self.L} {self.H} {self.G} {self.D} {self.T} {self.seed} {self.rule} {self.entries!r} "
                f"{self.scale} {self.levels} {self.trials} {int(self.layer_scores)} {self.options()} {kept}")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    folder = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(__file__), "../policies/cases")
    os.makedirs(folder, exist_ok=True)
    for number, policy in enumerate(("h2o", "tova", "cake", "headkv", "compresskv", "headcompresskv",
                                        "adacompresskv")):
        rng, lines, dropped, seed = random.Random(number), [], 0, 1000 * number
        while len(lines) < count:
            seed += 1
            try:
                lines.append(Case(policy, seed, rng).line())
            except ref.Fragile:
                dropped += 1
        path = os.path.join(folder, policy + ".txt")
        with open(path, "w") as out:
            out.write("# made by tests/oracles/policy_cases.py, which says what a line is\n" + "\n".join(lines) + "\n")
        print(f"{policy}: {len(lines)} cases, {dropped} dropped, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
