"""Windows over samples: count sum std median rate increase; over occurrences: times; and time_to.

The ring (rules.ring) holds the known samples (time, value), or the times of the occurrences; when
it is full, panes (rules.panes), but for median and times the newest of them.
"""

from __future__ import annotations

import math

from rules import layout as k
from rules.jit import kernel, wide
from rules.layout import Floats, Ints
from rules.panes import append, grown, of_panes, plus, trim_samples
from rules.ring import drop, entry, grid_after, push, release

_NAN = math.nan


@kernel
def _sums(s: Floats, o: int, pool: Floats, first: int, last: int) -> float:
    """Sum of the entries first … last - 1, with what rounding took carried along."""
    total, carry = 0.0, 0.0
    for i in range(first, last):
        total, carry = plus(total, carry, pool[entry(s, o, i) + 1])
    return total


@kernel
def _spread(s: Floats, o: int, pool: Floats, first: int, last: int) -> float:
    """The n - 1 standard deviation, by two passes."""
    n = last - first
    if n < 2:
        return _NAN
    mean = _sums(s, o, pool, first, last) / n
    squares = 0.0
    for i in range(first, last):
        gap = pool[entry(s, o, i) + 1] - mean
        squares += gap * gap
    return math.sqrt(squares / (n - 1))


@kernel
def _slope(s: Floats, o: int, pool: Floats, first: int, last: int) -> float:
    """The least-squares slope a second; unknown for fewer than two samples or one time."""
    n = last - first
    if n < 2:
        return _NAN
    origin = pool[entry(s, o, first)]
    mean = _sums(s, o, pool, first, last) / n
    centre = 0.0
    for i in range(first, last):
        centre += (pool[entry(s, o, i)] - origin) / 1000.0
    centre /= n
    across, along = 0.0, 0.0
    for i in range(first, last):
        at = entry(s, o, i)
        gap = (pool[at] - origin) / 1000.0 - centre
        across += gap * (pool[at + 1] - mean)
        along += gap * gap
    return across / along if along > 0 else _NAN


@kernel
def _growth(s: Floats, o: int, pool: Floats, first: int, last: int) -> float:
    """How far a counter went on; a sample below the one before counts from 0."""
    if last - first < 2:
        return _NAN
    total = 0.0
    before = pool[entry(s, o, first) + 1]
    for i in range(first + 1, last):
        v = pool[entry(s, o, i) + 1]
        total += grown(before, v)
        before = v
    return total


@kernel
def _sort(values: Floats, n: int) -> None:
    """Shell sort (gaps of Ciura, 2001) of the first n: short windows mostly."""
    for gap in (1750, 701, 301, 132, 57, 23, 10, 4, 1):
        for i in range(gap, n):
            v = values[i]
            at = i
            while at >= gap and values[at - gap] > v:
                values[at] = values[at - gap]
                at -= gap
            values[at] = v


@kernel
def _median(s: Floats, o: int, pool: Floats, first: int, last: int) -> float:
    n = last - first
    if n == 0:
        return _NAN
    for i in range(n):
        pool[i] = pool[entry(s, o, first + i) + 1]
    _sort(pool, n)
    half = n // 2
    return pool[half] if n % 2 else (pool[half - 1] + pool[half]) / 2


@kernel
def _of_samples(s: Floats, o: int, pool: Floats, kind: int, low: float, end: float) -> float:
    """The function of the samples with low < t <= end."""
    if s[o + k.R_STEP] > 0:
        return of_panes(s, o, pool, kind, low, end)
    last = int(s[o + k.R_COUNT])
    first = 0
    while first < last and pool[entry(s, o, first)] <= low:
        first += 1
    while last > first and pool[entry(s, o, last - 1)] > end:
        last -= 1
    if kind == k.W_COUNT or kind == k.W_TIMES:
        return float(last - first)
    if kind == k.W_SUM:
        return _sums(s, o, pool, first, last) if last > first else _NAN
    if kind == k.W_STD:
        return _spread(s, o, pool, first, last)
    if kind == k.W_MEDIAN:
        return _median(s, o, pool, first, last)
    if kind == k.W_INCREASE:
        return _growth(s, o, pool, first, last)
    return _slope(s, o, pool, first, last)


@kernel
def _trim(s: Floats, o: int, pool: Floats, heads: Ints, low: float) -> None:
    """What is not in the window any more leaves."""
    if s[o + k.R_STEP] > 0:
        trim_samples(s, o, pool, heads, low)
        return
    count, out = int(s[o + k.R_COUNT]), 0
    while out < count and pool[entry(s, o, out)] <= low:
        out += 1
    if out:
        drop(s, o, out)


@kernel
def sample_window(
    s: Floats, o: int, pool: Floats, heads: Ints, kind: int, x: float, width: int, back: int,
    sampled: bool, now: int, instant: bool,
) -> tuple[float, int]:
    """A window over samples (or, for times, over occurrences). See held_window."""
    known = 0.0 if math.isnan(x) else 1.0
    turned = known != s[o + k.R_KNOWN]
    s[o + k.R_KNOWN] = known
    fresh = False
    if kind == k.W_TIMES and known == 1.0:
        fresh = x == 1.0 and s[o + k.R_TRUE] != 1.0
        s[o + k.R_TRUE] = x
    on_grid = instant and grid_after(now, width, True) == now
    if sampled or turned or fresh or on_grid:
        low = now - back - width
        _trim(s, o, pool, heads, low)
        if fresh:
            push(s, o, pool, heads, now, 1.0, k.WINDOW_TIMES)
        elif kind == k.W_MEDIAN and sampled and known == 1.0:
            push(s, o, pool, heads, now, x, k.WINDOW_SAMPLES)
        elif kind != k.W_TIMES and sampled and known == 1.0:
            append(s, o, pool, heads, kind, float(now), x, width + back)
        release(s, o, pool, heads)
        s[o + k.R_OUT] = _of_samples(s, o, pool, kind, low, now - back)
        if kind == k.W_TIMES and known == 0.0:
            s[o + k.R_OUT] = _NAN
        s[o + k.R_DUE] = _sample_due(s, o, pool, width, back, now, instant)
    return s[o + k.R_OUT], int(s[o + k.R_DUE])


@kernel
def _sample_due(
    s: Floats, o: int, pool: Floats, width: int, back: int, now: int, instant: bool,
) -> int:
    """The grid's first instant at which a sample enters or leaves."""
    count = int(s[o + k.R_COUNT])
    if count == 0:
        return k.FOREVER
    if s[o + k.R_STEP] > 0:
        return grid_after(now, width, not instant)
    change = int(pool[entry(s, o, 0)]) + width + back
    if back > 0:
        for i in range(count):
            enters = int(pool[entry(s, o, i)]) + back
            if enters > now or (enters == now and not instant):
                change = min(change, enters)
                break
    return max(grid_after(now, width, not instant), grid_after(change, width, True))


@kernel
def time_to_window(
    s: Floats, o: int, pool: Floats, heads: Ints, kind: int, x: float, limit: float, width: int,
    sampled: bool, now: int, instant: bool,
) -> tuple[float, int]:
    """How long (ms) until x passes the limit at its present slope."""
    known = 0.0 if math.isnan(x) else 1.0
    turned = known != s[o + k.R_KNOWN]
    on_grid = instant and grid_after(now, width, True) == now
    slope, due = sample_window(
        s, o, pool, heads, wide(k.W_RATE), x, width, 0, sampled, now, instant
    )
    if sampled or turned or on_grid:
        s[o + k.R_TIME_TO] = _time_to(kind, x, limit, slope)
    return s[o + k.R_TIME_TO], due


@kernel
def _time_to(kind: int, x: float, limit: float, slope: float) -> float:
    if math.isnan(x) or math.isnan(limit):
        return _NAN
    gap = limit - x if kind == k.W_TIME_ABOVE else x - limit
    if gap < 0:
        return 0.0
    if math.isnan(slope):
        return _NAN
    speed = slope if kind == k.W_TIME_ABOVE else -slope
    return gap / speed * 1000.0 if speed > 0 else math.inf
