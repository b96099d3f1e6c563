"""What h2o, tova, cake, headkv, compresskv, headcompresskv and adacompresskv keep, in float64 NumPy, from the methods' definitions alone.

Nothing here reads or follows the C++ code. Every function takes attention tables (or makes them from post-rotary
queries and keys), a budget and options, and returns the kept slots of every lane (layer x KV head, in that order).

Letters: L layers, H query heads, G KV heads, T prompt tokens, W window queries, n = T - W past tokens, D head dim.
A budget is the mean number of entries of a lane, window included. Rules: "exact" spends floor(entries * lanes) (or all
there is) to the entry: whole parts first, then one each by descending fraction, the lower lane first on a tie, round
after round among lanes with room. "published" rounds as the method's repository does.
`Fragile` is raised where a decision hangs on less than float32 can tell apart; exact ties are no such case.
"""
from fractions import Fraction
import math

import numpy as np


class Fragile(Exception):
    pass


# --- attention ---------------------------------------------------------------------------------------------------------
def attention(queries, keys, rows):
    """Softmax attention of the last `rows` queries: queries [L, H, T, D], keys [L, G, T, D] -> [L, H, rows, T]."""
    L, H, T, D = queries.shape
    keys = np.repeat(keys, H // keys.shape[1], axis=1)  # query head h reads KV head floor(h / (H / G))
    logits = (queries[:, :, T - rows:, None, :] * keys[:, :, None, :, :]).sum(-1) / math.sqrt(D)
    visible = np.arange(T)[None, :] <= (T - rows + np.arange(rows))[:, None]
    logits = np.where(visible, logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def column_sums(queries, keys):
    return attention(queries, keys, queries.shape[2]).sum(2)  # [L, H, T]


# --- scores ------------------------------------------------------------------------------------------------------------
def pooled(past, kernel, how):
    """Over the last axis (past tokens only): max of what is in range, or the sum in range over the whole kernel."""
    n, reach = past.shape[-1], kernel // 2
    out = np.empty_like(past)
    for j in range(n):
        near = past[..., max(0, j - reach):j + reach + 1]
        out[..., j] = near.max(-1) if how == "max" else near.sum(-1) / kernel
    return out


def group_means(rows, G):
    """[L, H, n] -> [L, G, n]: the contiguous query heads of a KV head."""
    L, H, n = rows.shape
    return rows.reshape(L, G, H // G, n).mean(2)


# --- budgets -----------------------------------------------------------------------------------------------------------
def total_of(entries, lanes):
    return math.floor(Fraction(entries) * lanes)


def apart(a, b, least=1e-6):
    if a != b and abs(a - b) < least:
        raise Fragile


def apportion(wanted, room, total, least=1e-6):
    """Entries of each lane, as the exact rule has it. `wanted` are Fractions, or floats that never tie by accident."""
    for x in wanted:
        apart(x, round(x), least)  # a whole number, or plainly none
    shares = [min(math.floor(x), r) for x, r in zip(wanted, room)]
    left = min(total, sum(room)) - sum(shares)
    assert left >= 0
    fractions = [x - math.floor(x) for x in wanted]
    order = sorted(range(len(wanted)), key=lambda i: (-fractions[i], i))
    for a, b in zip(order, order[1:]):
        apart(fractions[a], fractions[b], least)
    while left > 0:
        for i in order:
            if left > 0 and shares[i] < room[i]:
                shares[i] += 1
                left -= 1
    return shares


def uniform_shares(lanes, T, entries, rule):
    if rule == "published":
        return [min(T, math.floor(entries))] * lanes
    total = total_of(entries, lanes)
    return apportion([Fraction(total, lanes)] * lanes, [T] * lanes, total)


# --- selection ---------------------------------------------------------------------------------------------------------
def kept_slots(past, share, W, T):
    """The newest of the window as far as they fit, then the best past slots, the lower one on a tie. past [n]."""
    n = T - min(W, T)
    if share <= T - n:
        return list(range(T - share, T))
    want = share - (T - n)
    order = sorted(range(n), key=lambda j: (-past[j], j))
    if 0 < want < n:
        last, first_out = past[order[want - 1]], past[order[want]]
        if last != first_out and last - first_out < 1e-5 * max(abs(last), abs(first_out)):
            raise Fragile
    return sorted(order[:want]) + list(range(n, T))


def select(past, shares, W, T):
    """past [L, G, n], shares [L * G] -> kept slots of every lane."""
    rows = past.reshape(len(shares), past.shape[-1])
    return [kept_slots(rows[i], shares[i], W, T) for i in range(len(shares))]


def past_of(table, W):
    T = table.shape[-1]
    return table[..., :T - min(W, T)]


# --- the policies ------------------------------------------------------------------------------------------------------
def h2o(sums, G, entries, rule, window):
    """sums [L, H, T]: the attention of every query, summed. No pooling, no correction for how many rows see a slot."""
    L, _, T = sums.shape
    return select(group_means(past_of(sums, window), G), uniform_shares(L * G, T, entries, rule), window, T)


def tova(last, G, entries, rule):
    """last [L, H, T]: attention of the last query. The mean of all heads of a layer ranks for each of its lanes."""
    L, _, T = last.shape
    past = np.repeat(past_of(last, 1).mean(1, keepdims=True), G, axis=1)
    return select(past, uniform_shares(L * G, T, entries, rule), 1, T)


def cake_preferences(entropy, variance, tau1, tau2):
    """entropy, variance [L, H, n] over the window's rows -> P [L]. No spread or no surprise: no preference."""
    h, v = entropy.sum((1, 2)), variance.sum((1, 2))
    return np.array([a ** (1 / tau1) * b ** (1 / tau2) if a > 0 and b > 0 else 0.0 for a, b in zip(h, v)])


def cake_stage(P, total, M):
    """Past tokens of the layers finished so far, in the repository's whole numbers."""
    P = [float(p) for p in P]
    parts = [p / sum(P) * total if sum(P) > 0 else total / len(P) for p in P]
    for x in parts:
        apart(x, round(x), 1e-3)
    x = [math.trunc(p) for p in parts]
    over = sum(max(v - M, 0) for v in x)
    x = [min(v, M) for v in x]
    for give in (lambda: over, lambda: total - sum(x)):
        amount = give()
        free = [i for i, v in enumerate(x) if v < M]
        if amount > 0 and free:
            for rank, i in enumerate(free):
                x[i] += amount // len(free) + (1 if rank < amount % len(free) else 0)
    return [min(v, M) for v in x]


def cake_cascade(P, total, M):
    """Layer after layer finishes and those before are cut again: nested prefixes, so the smallest budget remains."""
    past = [M] * len(P)
    for m in range(len(P)):
        for i, budget in enumerate(cake_stage(P[:m + 1], total, M)):
            past[i] = min(past[i], budget)
    return past


def real_stage(P, total, M):
    """The same division without rounding: in proportion, what is above M spread evenly over the others."""
    if sum(P) == 0:
        return [min(M, total / len(P))] * len(P)
    x = [p / sum(P) * total for p in P]
    while True:
        over = sum(max(v - M, 0) for v in x)
        x = [min(v, M) for v in x]
        free = [i for i, v in enumerate(x) if v < M - 1e-12]
        if over < 1e-9 or not free:
            return x
        for i in free:
            x[i] += over / len(free)


def cake(mean, variance, entropy, G, entries, rule, window, kernel, gamma, tau1, tau2):
    """mean, variance, entropy [L, H, T] of attention over the window's rows (variance unbiased, entropy summed)."""
    L, _, T = mean.shape
    W, n = window, T - min(window, T)
    scores = group_means(pooled(past_of(mean, W) + gamma * past_of(variance, W), kernel, "mean"), G)
    P = cake_preferences(past_of(entropy, W), past_of(variance, W), tau1, tau2)
    for a in P:
        for b in P:
            if a != b:
                apart(a / max(P), b / max(P), 1e-4)
    lanes, total = L * G, total_of(entries, L * G)
    if rule == "published":
        C = math.floor(entries)
        if T <= C + W:
            shares = [T] * lanes
        elif C <= W:
            shares = uniform_shares(lanes, T, entries, rule)
        else:
            shares = [W + x for x in cake_cascade(P, (C - W) * L, n) for _ in range(G)]
    else:
        B = total / lanes - W
        if B <= 0 or sum(P) == 0:
            shares = uniform_shares(lanes, T, entries, rule)
        else:
            shares = apportion([W + p / sum(P) * B * L for p in P for _ in range(G)], [T] * lanes, total, 1e-3)
    return select(scores, shares, W, T)


def headkv_lane_weights(lists, G, temperature):
    """lists[l][h]: a head's score in every trial. -> the weight of each lane, which sum to 1."""
    exact = temperature == 1
    means = [Fraction(sum(map(Fraction, s)), len(s)) if exact else sum(s) / len(s) for row in lists for s in row]
    weights = [m / sum(means) if exact else (m / sum(means)) ** temperature for m in means]
    whole = sum(weights)
    weights = [w / whole for w in weights]
    members = len(lists[0]) // G
    return [sum(weights[i:i + members]) for i in range(0, len(weights), members)]


def headkv_past(weights, B, beta):
    """Published whole numbers: past tokens of each unit; beta a decimal text, B an int."""
    share = math.floor(Fraction(B) / Fraction(float(beta)))
    out = []
    for w in weights:
        x = w * share * len(weights) + (B - share)
        apart(x - math.floor(x), Fraction(1, 2) if isinstance(x, Fraction) else 0.5, 1e-7)
        if isinstance(x, Fraction) and x - math.floor(x) == Fraction(1, 2):
            raise Fragile  # a float's rounding decides
        out.append(round(x))
    return out


def headkv(sums, lists, G, entries, rule, window, kernel, pool, beta, temperature):
    """sums [L, H, T]: attention over the window's rows, summed; lists[l][h]: trial scores of the head."""
    L, _, T = sums.shape
    scores = pooled(group_means(past_of(sums, window), G), kernel, pool)
    weights, lanes = headkv_lane_weights(lists, G, temperature), L * G
    n = T - min(window, T)
    if rule == "published":
        B = math.floor(entries) - window
        if B <= 0:
            shares = uniform_shares(lanes, T, entries, rule)
        elif B > n:
            shares = [T] * lanes
        else:
            shares = [min(T, window + x) for x in headkv_past(weights, B, beta)]
    else:
        total = total_of(entries, lanes)
        B = Fraction(total, lanes) - window
        if B <= 0:
            shares = uniform_shares(lanes, T, entries, rule)
        else:
            pool_part = B / Fraction(float(beta))
            shares = apportion([window + B - pool_part + w * pool_part * lanes for w in weights], [T] * lanes, total)
    return select(scores, shares, window, T)


def compresskv_published_layers(rho, C):
    """Entries of each layer, window included: at least 32, at most 3 C, in whole numbers that sum to C L."""
    L, low, high = len(rho), 32, 3 * C
    if C <= low:
        return [low] * L
    b = [max(low, min(high, low + round(r * (C * L - low * L)))) for r in rho]  # round: half to even
    left = C * L - sum(b)
    step = 1 if left > 0 else -1
    order = sorted(range(L), key=lambda i: (-step * rho[i], i))
    while left != 0:
        before = left
        for i in order:
            if left != 0 and (b[i] < high if step > 0 else b[i] > low):
                b[i] += step
                left -= step
        if left == before:
            break
    return b


def compresskv_exact_layers(rho, G, T, entries):
    lanes = len(rho) * G
    total = total_of(entries, lanes)
    C = Fraction(total, lanes)
    low, high = min(Fraction(32), C), 3 * C
    wanted = [min(high, low + r * (C - low) * len(rho)) for r in rho for _ in range(G)]
    return apportion(wanted, [min(T, math.ceil(high))] * lanes, total)


def top_heads(lists, k):
    """lists[l][h] -> the k heads of each layer with the largest means, the lower one on a tie."""
    means = [[Fraction(sum(map(Fraction, s)), len(s)) for s in row] for row in lists]
    return [sorted(range(len(row)), key=lambda h: (-row[h], h))[:k] for row in means]


def shared_scores(sums, heads, G, window, kernel, pool):
    """One ranking of a layer, from its retrieval heads: [L, H, T] -> [L, G, n], the rows of a layer alike."""
    past = past_of(sums, window)
    layers = [pooled(past[l, heads[l]], kernel, pool).mean(0) for l in range(len(heads))]
    return np.repeat(np.stack(layers)[:, None, :], G, axis=1)


def compresskv_shares(layer_scores, L, G, T, entries, rule):
    """Entries of every lane; layer_scores: ints, or None (all layers alike)."""
    if layer_scores is None:
        return uniform_shares(L * G, T, entries, rule)
    if rule == "published":
        whole = sum(layer_scores)
        layers = compresskv_published_layers([s / whole for s in layer_scores], math.floor(entries))
        return [min(T, b) for b in layers for _ in range(G)]
    rho = [Fraction(s, sum(layer_scores)) for s in layer_scores]
    return compresskv_exact_layers(rho, G, T, entries)


def compresskv(sums, heads, layer_scores, G, entries, rule, window, kernel, pool):
    """heads[l]: the layer's retrieval heads; layer_scores: ints or None (all layers alike)."""
    L, _, T = sums.shape
    shares = compresskv_shares(layer_scores, L, G, T, entries, rule)
    return select(shared_scores(sums, heads, G, window, kernel, pool), shares, window, T)


def contest(past, take):
    """past [G, n]: how many of a layer's `take` best past entries each lane has; ties to the lower lane."""
    G, n = past.shape
    order = sorted(((g, j) for g in range(G) for j in range(n)), key=lambda e: (-past[e], e))
    if 0 < take < len(order):
        last, first_out = past[order[take - 1]], past[order[take]]
        if last != first_out and last - first_out < 1e-5 * max(abs(last), abs(first_out)):
            raise Fragile
    won = [0] * G
    for g, _ in order[:take]:
        won[g] += 1
    return won


def adacompresskv(sums, heads, layer_scores, G, entries, rule, window, kernel, pool, alpha):
    """CompressKV's ranking and layers. The lanes of a layer compete for its past entries with SnapKV's scores of their
    own, alpha (a Fraction) blends in an equal part; then each takes a prefix of the ranking that they share."""
    L, _, T = sums.shape
    own = pooled(group_means(past_of(sums, window), G), kernel, pool)
    even = compresskv_shares(layer_scores, L, G, T, entries, rule)
    mean = math.floor(entries) if rule == "published" else entries
    if mean > T:
        return select(shared_scores(sums, heads, G, window, kernel, pool), even, window, T)
    shares = []
    for layer in range(L):
        mine = even[layer * G:(layer + 1) * G]
        beyond = [max(0, b - window) for b in mine]
        won = contest(own[layer], sum(beyond))
        B = Fraction(sum(beyond), G)
        if rule == "published":
            floor = math.trunc(alpha * B)
            blends = [round((1 - alpha) * w + floor) for w in won]  # round: half to even
            shares += [min(T, min(b, window) + x) for b, x in zip(mine, blends)]
        else:
            wanted = [min(b, window) + (1 - alpha) * w + alpha * B for b, w in zip(mine, won)]
            shares += apportion(wanted, [T] * G, sum(mine))
    return select(shared_scores(sums, heads, G, window, kernel, pool), shares, window, T)


def headcompresskv(sums, lists, heads, G, entries, rule, window, kernel, pool, beta, temperature):
    """CompressKV's one ranking of a layer, of which every lane takes the share that HeadKV gives it."""
    T = sums.shape[-1]
    by_heads = headkv(sums, lists, G, entries, rule, window, 1, "max", beta, temperature)
    scores = shared_scores(sums, heads, G, window, kernel, pool)
    return select(scores, [len(slots) for slots in by_heads], window, T)
