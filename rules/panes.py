"""Coarse windows: what a window keeps when more than WINDOW_SAMPLES entries lie within W.

The ring of entries then becomes one of panes. A pane stands for what happened in one stretch of
ceil((W + D) / PANES) ms, aligned to whole multiples since 1970; a stretch in which nothing happened
has none. The window is coarse until it is empty, or one value has been held for all of W + D.

How far off it is: whole panes count exactly, but for rounding. Of a pane across an edge of the
window only its sums are known. A window over samples counts it whole: it reaches up to one pane
too far at its beginning and, when it ends D ago, at its end. A window over a held value takes its
mean for all of it, its minimum and maximum as they are, and its last value for the one W ago.

A pane is PANE_WIDTH floats: START, END (ms of its first and newest entry), then one of
  held     KNOWN SUM CARRY MIN MAX LAST — from START to END: known ms, integral (value x ms),
           minimum, maximum; LAST is held from END to the next pane's START
  tallies  COUNT SUM CARRY FIRST - LAST — of count and sum; of increase, where SUM is its growth
  moments  COUNT MEAN SQUARES T_MEAN T_SQUARES ACROSS — of std and rate; times in s since START
True sums are SUM - CARRY, CARRY being what rounding took.
"""

from __future__ import annotations

import math

from rules import layout as k
from rules.jit import kernel
from rules.layout import Floats, Ints
from rules.ring import allocate, free, power_of, push, release

_NAN = math.nan

START, END, COUNT, SUM, CARRY, MIN, MAX, LAST = range(k.PANE_WIDTH)
KNOWN, FIRST = COUNT, MIN
MEAN, SQUARES, T_MEAN, T_SQUARES, ACROSS = range(COUNT + 1, k.PANE_WIDTH)
#: Entries of two floats in the place of a pane.
_SHARE = k.PANE_WIDTH // 2

#: Count, mean, squares about it; mean time (s), squares about it; products of both gaps.
Moments = tuple[float, float, float, float, float, float]


@kernel
def pane(s: Floats, o: int, i: int) -> int:
    """Where in the pool the pane i lies (0 the oldest)."""
    at = int(s[o + k.R_HEAD]) + _SHARE * i
    return int(s[o + k.R_BLOCK]) + 2 * (at & (int(s[o + k.R_CAP]) - 1))


@kernel
def drop_panes(s: Floats, o: int, n: int) -> None:
    """Takes the n oldest panes out."""
    s[o + k.R_HEAD] = (int(s[o + k.R_HEAD]) + _SHARE * n) & (int(s[o + k.R_CAP]) - 1)
    s[o + k.R_COUNT] -= n


@kernel
def append(
    s: Floats, o: int, pool: Floats, heads: Ints, kind: int, t: float, v: float, span: int,
) -> None:
    """An entry more, by itself as long as there is room, else in a pane. span: W + D in ms.

    What lies before the window has been taken out already.
    """
    if s[o + k.R_STEP] == 0 and s[o + k.R_COUNT] >= k.WINDOW_SAMPLES:
        _coarsen(s, o, pool, heads, kind, span)
    if s[o + k.R_STEP] > 0:
        _put(s, o, pool, kind, t, v)
    else:
        push(s, o, pool, heads, t, v, k.WINDOW_SAMPLES)


@kernel
def _coarsen(s: Floats, o: int, pool: Floats, heads: Ints, kind: int, span: int) -> None:
    """The ring's entries become panes."""
    block, capacity = int(s[o + k.R_BLOCK]), int(s[o + k.R_CAP])
    head, count = int(s[o + k.R_HEAD]), int(s[o + k.R_COUNT])
    wider = _SHARE * k.WINDOW_SAMPLES
    s[o + k.R_BLOCK] = allocate(pool, heads, power_of(wider))
    s[o + k.R_CAP] = wider
    s[o + k.R_HEAD] = 0
    s[o + k.R_COUNT] = 0
    s[o + k.R_STEP] = -(-span // k.PANES)
    for i in range(count):
        at = block + 2 * ((head + i) & (capacity - 1))
        _put(s, o, pool, kind, pool[at], pool[at + 1])
    free(pool, heads, block, power_of(capacity))


@kernel
def _put(s: Floats, o: int, pool: Floats, kind: int, t: float, v: float) -> None:
    """Adds an entry to the newest pane, or to a new one when the time of that is over."""
    count, step = int(s[o + k.R_COUNT]), int(s[o + k.R_STEP])
    if count == 0 or int(pool[pane(s, o, count - 1) + START]) // step != int(t) // step:
        if count >= k.WINDOW_SAMPLES:      # only if W has grown since: what is oldest goes
            drop_panes(s, o, 1)
            count -= 1
        s[o + k.R_COUNT] = count + 1
        _open(pool, pane(s, o, count), kind, t)
        count += 1
    at = pane(s, o, count - 1)
    if kind == k.W_STD or kind == k.W_RATE:
        after = (t - pool[at + START]) / 1000.0
        _store(pool, at, joined(_load(pool, at, 0.0), (1.0, v, 0.0, after, 0.0, 0.0)))
    elif kind == k.W_COUNT or kind == k.W_SUM or kind == k.W_INCREASE:
        _tally(pool, at, kind, v)
    else:
        _hold(pool, at, t, v)
    pool[at + END] = t


@kernel
def _open(pool: Floats, at: int, kind: int, t: float) -> None:
    """An empty pane from t on."""
    for i in range(k.PANE_WIDTH):
        pool[at + i] = 0.0
    pool[at + START] = pool[at + END] = t
    if kind <= k.W_TOTAL or kind == k.W_DELTA:
        pool[at + MIN], pool[at + MAX], pool[at + LAST] = math.inf, -math.inf, _NAN


@kernel
def _hold(pool: Floats, at: int, t: float, v: float) -> None:
    """The value held so far ends at t, where v begins. One of no length is replaced."""
    length, held = t - pool[at + END], pool[at + LAST]
    if length > 0 and not math.isnan(held):
        pool[at + KNOWN] += length
        pool[at + SUM], pool[at + CARRY] = plus(pool[at + SUM], pool[at + CARRY], held * length)
        pool[at + MIN] = min(pool[at + MIN], held)
        pool[at + MAX] = max(pool[at + MAX], held)
    pool[at + LAST] = v


@kernel
def _tally(pool: Floats, at: int, kind: int, v: float) -> None:
    more = v
    if kind == k.W_INCREASE and pool[at + COUNT] > 0:
        more = grown(pool[at + LAST], v)
    elif kind == k.W_INCREASE:
        pool[at + FIRST] = v
        more = 0.0
    pool[at + SUM], pool[at + CARRY] = plus(pool[at + SUM], pool[at + CARRY], more)
    pool[at + COUNT] += 1.0
    pool[at + LAST] = v


@kernel
def grown(before: float, v: float) -> float:
    """How far a counter went on; one that is below the sample before it began at 0."""
    return v - before if v >= before else v


@kernel
def plus(total: float, carry: float, more: float) -> tuple[float, float]:
    """Kahan's sum: the total and what rounding took, with one term more."""
    term = more - carry
    summed = total + term
    return summed, (summed - total) - term


@kernel
def joined(a: Moments, b: Moments) -> Moments:
    """The moments of two sets of samples together (Chan, Golub, LeVeque 1979)."""
    n = a[0] + b[0]
    dv, dt = b[1] - a[1], b[3] - a[3]
    part, weight = b[0] / n, a[0] * b[0] / n
    return (
        n,
        a[1] + dv * part, a[2] + b[2] + dv * dv * weight,
        a[3] + dt * part, a[4] + b[4] + dt * dt * weight,
        a[5] + b[5] + dv * dt * weight,
    )  # fmt: skip


@kernel
def _load(pool: Floats, at: int, after: float) -> Moments:
    """A pane's moments; after: s from the origin of time to its START."""
    return (
        pool[at + COUNT], pool[at + MEAN], pool[at + SQUARES], pool[at + T_MEAN] + after,
        pool[at + T_SQUARES], pool[at + ACROSS],
    )  # fmt: skip


@kernel
def _store(pool: Floats, at: int, of: Moments) -> None:
    pool[at + COUNT], pool[at + MEAN], pool[at + SQUARES] = of[0], of[1], of[2]
    pool[at + T_MEAN], pool[at + T_SQUARES], pool[at + ACROSS] = of[3], of[4], of[5]


@kernel
def trim_samples(s: Floats, o: int, pool: Floats, heads: Ints, low: float) -> None:
    """The panes whose newest sample is not in the window any more leave."""
    count, out = int(s[o + k.R_COUNT]), 0
    while out < count and pool[pane(s, o, out) + END] <= low:
        out += 1
    drop_panes(s, o, out)
    release(s, o, pool, heads)


@kernel
def of_panes(s: Floats, o: int, pool: Floats, kind: int, low: float, end: float) -> float:
    """count sum std rate increase of the panes with a part in low < t <= end."""
    moments = kind == k.W_STD or kind == k.W_RATE
    all_of = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    n, total, carry, last = 0.0, 0.0, 0.0, _NAN
    origin = pool[pane(s, o, 0) + START]
    for i in range(int(s[o + k.R_COUNT])):
        at = pane(s, o, i)
        if pool[at + END] <= low or pool[at + START] > end:
            continue
        if moments:
            all_of = joined(all_of, _load(pool, at, (pool[at + START] - origin) / 1000.0))
            continue
        if kind == k.W_INCREASE and n > 0:
            total, carry = plus(total, carry, grown(last, pool[at + FIRST]))
        total, carry = plus(total, carry, pool[at + SUM] - pool[at + CARRY])
        n += pool[at + COUNT]
        last = pool[at + LAST]
    if kind == k.W_COUNT:
        return n
    if kind == k.W_SUM:
        return total if n > 0 else _NAN
    if kind == k.W_INCREASE:
        return total if n > 1 else _NAN
    if kind == k.W_STD:
        return math.sqrt(all_of[2] / (all_of[0] - 1.0)) if all_of[0] > 1 else _NAN
    return all_of[5] / all_of[4] if all_of[4] > 0 else _NAN


@kernel
def trim_held(s: Floats, o: int, pool: Floats, heads: Ints, low: float) -> None:
    """The panes before the one whose value was held at `low` leave; a last one of which only that
    value is left is an entry again."""
    count, out = int(s[o + k.R_COUNT]), 0
    while out + 1 < count and pool[pane(s, o, out + 1) + START] <= low:
        out += 1
    drop_panes(s, o, out)
    at = pane(s, o, 0)
    t, v = pool[at + END], pool[at + LAST]
    if count - out == 1 and t <= low:
        drop_panes(s, o, 1)
        release(s, o, pool, heads)
        push(s, o, pool, heads, t, v, k.WINDOW_SAMPLES)


@kernel
def held_in_panes(
    s: Floats, o: int, pool: Floats, low: float, end: float,
) -> tuple[float, float, float, float, float]:
    """Integral (value x ms), known ms, minimum, maximum over (low, end], and the value at its end;
    a minimum above the maximum when nothing was known."""
    count = int(s[o + k.R_COUNT])
    total, carry, known, least, most, now = 0.0, 0.0, 0.0, math.inf, -math.inf, _NAN
    for i in range(count):
        at = pane(s, o, i)
        start, last, v = pool[at + START], pool[at + END], pool[at + LAST]
        if start > end:
            break
        inside = min(last, end) - max(start, low)
        if inside > 0:
            share = inside / (last - start)
            known += share * pool[at + KNOWN]
            more = share * (pool[at + SUM] - pool[at + CARRY])
            total, carry = plus(total, carry, more)
            least, most = min(least, pool[at + MIN]), max(most, pool[at + MAX])
        stop = pool[pane(s, o, i + 1) + START] if i + 1 < count else math.inf
        if start <= end < stop:
            now = v
        if stop <= low or last > end or math.isnan(v):
            continue
        length = min(stop, end) - max(last, low)
        least, most = min(least, v), max(most, v)
        if length > 0:
            known += length
            total, carry = plus(total, carry, v * length)
    return total, known, least, most, now


@kernel
def held_at(s: Floats, o: int, pool: Floats, t: float) -> float:
    """The value held at t; unknown before all panes."""
    value = _NAN
    for i in range(int(s[o + k.R_COUNT])):
        at = pane(s, o, i)
        if pool[at + START] > t:
            break
        value = pool[at + LAST]
    return value


@kernel
def newest(s: Floats, o: int) -> int:
    """Where in the pool the value held now lies."""
    return pane(s, o, int(s[o + k.R_COUNT]) - 1) + LAST
