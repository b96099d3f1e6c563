"""policy_reference.py against examples worked by hand, and what must hold of it. python policy_reference_test.py"""
import json
import os
import random
from fractions import Fraction

import numpy as np

import policy_reference as ref

# One layer, H = 4, G = 2, T = 8, W = 2: the queries at 6 and 7, in hundredths.
TOY = np.array([[[40, 5, 2, 3, 20, 5, 25, 0], [30, 5, 5, 2, 28, 5, 10, 15]],
                [[10, 40, 10, 5, 5, 5, 25, 0], [10, 30, 10, 5, 10, 5, 10, 20]],
                [[10, 2, 3, 45, 10, 5, 25, 0], [10, 3, 2, 35, 10, 10, 10, 20]],
                [[10, 2, 38, 5, 5, 15, 25, 0], [15, 3, 22, 5, 5, 20, 10, 20]]], dtype=float)[None]
SUMS = TOY.sum(2)


def heavy_hitters():
    uniform = np.array([sum(1 / (i + 1) for i in range(j, 6)) if j < 6 else 0 for j in range(8)])
    sums = SUMS / 100 + uniform
    assert ref.h2o(sums, 4, 5.0, "exact", 2) == [[0, 1, 2, 6, 7], [0, 1, 2, 6, 7], [0, 1, 3, 6, 7], [0, 1, 2, 6, 7]]
    assert ref.h2o(sums, 2, 5.0, "published", 2) == [[0, 1, 2, 6, 7]] * 2


def one_query():  # two heads of one KV head: .3 .4 .15 .15
    assert ref.tova(np.array([[[.5, .2, .2, .1], [.1, .6, .1, .2]]]), 1, 2.0, "exact") == [[1, 3]]


def cake():
    second = np.tile(np.array([[12, 10, 14, 10, 8, 6, 40, 0], [8, 12, 10, 12, 10, 8, 20, 20]], dtype=float), (4, 1, 1))
    A = np.concatenate([TOY, second[None]]) / 100
    mean, var, ent = A.mean(2), A.var(2, ddof=1), -(A * np.log(A + 1e-10)).sum(2)
    past = [ref.past_of(x, 2) for x in (ent, var)]
    assert np.allclose(past[0].sum((1, 2)), [10.043946, 10.938257], atol=1e-6)
    assert np.allclose(past[1].sum((1, 2)), [.03665, .0096], atol=1e-8)
    P = ref.cake_preferences(*past, 1, 1)
    assert np.allclose(P, [.368111, .105007], atol=1e-6)
    assert ref.cake_stage(P[:1], 6, 6) == [6] and ref.cake_stage(P, 6, 6) == [5, 1]
    expected = [[0, 1, 2, 3, 4, 6, 7]] * 2 + [[2, 6, 7]] * 2
    for rule in ("exact", "published"):
        assert ref.cake(mean, var, ent, 2, 5.0, rule, 2, 5, 200, 1, 1) == expected, rule
    assert ref.cake_stage([6, 2, 1, 1], 400, 150) == [150, 110, 70, 70]


def cascades():
    """Unrounded, layer after layer and all at once are one function where no layer's share is the whole prompt. Where
    one is, its excess may go to a layer that an earlier stage had cut already: then the cascade underspends."""
    rng, same, under = random.Random(1), 0, 0
    for _ in range(2000):
        L = rng.randint(1, 12)
        P, M = [rng.random() ** 4 + 1e-3 for _ in range(L)], rng.randint(1, 200)
        total = rng.uniform(0, M * L) * rng.random()
        last = ref.real_stage(P, total, M)
        least = [float(M)] * L
        for m in range(L):
            for i, x in enumerate(ref.real_stage(P[:m + 1], total, M)):
                least[i] = min(least[i], x)
        if max(last) < M:
            assert np.allclose(last, least, atol=1e-6), (P, M, total)
            same += 1
        else:
            assert sum(least) < sum(last) + 1e-6
            under += sum(least) < sum(last) - 1e-6
    assert same > 500 and under > 0
    # Three layers want a whole prompt each, one nothing; the fifth's excess comes too late for the fourth.
    assert ref.cake_stage([1, 1, 1, 0, 1000], 30, 10) == [6, 5, 5, 4, 10]
    assert ref.cake_cascade([1, 1, 1, 0, 1000], 30, 10) == [6, 5, 5, 0, 10]


def head_budgets():
    lists = [[[4], [1], [3], [2]]]
    weights = ref.headkv_lane_weights(lists, 4, 1)
    assert ref.headkv_past(weights, 3, "1.5") == [4, 2, 3, 3]
    assert ref.headkv(SUMS, lists, 4, 5.0, "published", 2, 3, "max", "1.5", 1) == [
        [0, 1, 3, 4, 6, 7], [0, 1, 6, 7], [2, 3, 4, 6, 7], [1, 2, 3, 6, 7]]
    table = {64: "55/1 55/1 50/6 46/10 37/19 28/28 11/45 5/51", 128: "119/1 118/2 109/11 100/20 80/40 60/60 24/96 12/108",
             256: "246/2 245/3 225/23 206/42 165/83 124/124 49/199 24/224",
             512: "501/3 499/5 458/46 420/84 336/168 252/252 100/404 50/454",
             1024: "1010/6 1005/11 923/93 846/170 677/339 508/508 203/813 101/915"}
    for C, row in table.items():
        for beta, cell in zip("1.005 1.01 1.1 1.2 1.5 2 5 10".split(), row.split()):
            low, high = ref.headkv_past([Fraction(0), Fraction(1)], C - 8, beta)  # 0 takes the floor, 1 the pool too
            assert (high - low) // 2 == int(cell.split("/")[0]) and low == int(cell.split("/")[1]), (C, beta)


def layer_budgets():
    assert ref.compresskv_published_layers([.1, .4, .3, .2], 40) == [35, 45, 42, 38]
    assert ref.compresskv_published_layers([.35, .35, .30], 41) == [42, 41, 40]
    assert ref.compresskv_published_layers([.9, .1], 20) == [32, 32]
    for rule in ("exact", "published"):
        assert ref.compresskv(SUMS, [[2, 0]], None, 2, 5.0, rule, 2, 3, "mean") == [[1, 3, 4, 6, 7]] * 2
    folder = os.path.join(os.path.dirname(__file__), "../../../shared/data/head_scores/")
    if not os.path.isdir(folder):
        return print("no published score files: skipped")
    llama = json.load(open(folder + "Llama-3.1-8B-Instruct_layer_score.jsonl"))["avg_score"]
    mistral = json.load(open(folder + "Mistral-7B-Instruct-v0.3_layer_score.jsonl"))["avg_score"]
    listed = [(llama, 128, "89,90,143,118,118,145,112,126,169,163,168,153,88,165,147,148,125,141,138,143,161,109,138,147,"
                           "136,121,119,130,100,88,104,54"),
              (llama, 256, "164,168,292,234,233,296,219,252,350,338,346,315,162,340,300,302,249,286,280,292,333,213,280,"
                           "301,276,239,235,261,191,163,199,83"),
              (mistral, 128, "128,73,149,83,124,122,121,161,100,170,106,144,173,99,151,170,141,108,155,132,135,127,132,"
                             "113,126,127,130,91,129,99,119,158")]
    for rho, C, text in listed:
        assert ref.compresskv_published_layers(rho, C) == [int(x) for x in text.split(",")]


def shared_sets():
    assert ref.top_heads([[[0, 2], [3], [1, 1], [5]]], 3) == [[3, 1, 0]]


def competing_heads():
    sums = SUMS.copy()
    sums[0, :2] *= 10  # the first lane wins all 6 past entries; head 2 ranks 4, 3, 2, 5, 1, 0
    for alpha, rule, kept in (("0", "exact", [[0, 1, 2, 3, 4, 5, 6, 7], [6, 7]]),
                              ("1", "exact", [[2, 3, 4, 6, 7]] * 2),
                              ("0.5", "exact", [[1, 2, 3, 4, 5, 6, 7], [4, 6, 7]]),  # 4.5 and 1.5
                              ("0.5", "published", [[2, 3, 4, 5, 6, 7], [4, 6, 7]])):  # 3 + 1 and 0 + 1
        assert ref.adacompresskv(sums, [[2]], None, 2, 5.0, rule, 2, 3, "mean", Fraction(alpha)) == kept


if __name__ == "__main__":
    for check in (heavy_hitters, one_query, cake, cascades, head_budgets, layer_budgets, shared_sets,
                  competing_heads):
        check()
    print("as worked by hand")
