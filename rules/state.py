"""Functions of time that keep a few numbers each: how they go on by one evaluation.

All get the asset's row `s` and where their fields lie `o`; `now` is a time in ms; `instant` is 0 at
a message or command and the phase (see rules.layout) at an instant: what runs out at `now` has run
out at an instant of that time, and not yet at a message of that time. NaN is unknown.
"""

from __future__ import annotations

import math

from rules import layout as k
from rules.held import held_window
from rules.jit import kernel
from rules.layout import Floats, Ints
from rules.samples import sample_window, time_to_window
from rules.since import since_window

_NAN = math.nan


@kernel
def passed(elapsed: float, limit: float, instant: int) -> bool:
    """Whether a span has run out: at its very instant it has, at a message of that time not yet."""
    return elapsed > limit or (elapsed == limit and instant > 0)


@kernel
def compare_span(op: int, span: float, limit: float, now: int, instant: int) -> tuple[float, int]:
    """since() or age() against a duration (op 0 <, 1 <=, 2 >, 3 >=).

    Returns (truth, when it changes). A span of -1 is one of 0 that does not run.
    """
    if math.isnan(span) or math.isnan(limit):
        return _NAN, k.FOREVER
    still = span < 0 or math.isinf(span)
    elapsed = max(span, 0.0)
    due = k.FOREVER
    if still or (limit == 0 and elapsed == 0 and instant == 0):
        beyond = elapsed > limit if op == 1 or op == 2 else elapsed >= limit
        due = k.FOREVER if still else now
    else:
        beyond = passed(elapsed, limit, instant)
        due = k.FOREVER if beyond else now + int(limit - elapsed)
    return (1.0 if beyond == (op >= 2) else 0.0), due


@kernel
def _since(s: Floats, o: int, c: float, now: int) -> float:
    if c == 1.0:
        s[o + 1] = 1.0
        return -1.0
    if s[o + 1] == 1.0:
        s[o], s[o + 1] = now, 0.0
    if math.isnan(c):
        return _NAN
    return math.inf if math.isnan(s[o]) else now - s[o]


@kernel
def _held(s: Floats, o: int, c: float, limit: float, now: int, instant: int) -> tuple[float, int]:
    """held(c for D). Returns (truth, when it runs out)."""
    if math.isnan(c):
        if not math.isnan(s[o + 1]):
            s[o] += now - s[o + 1]
            s[o + 1] = _NAN
        return _NAN, k.FOREVER
    if c == 0.0:
        s[o], s[o + 1] = 0.0, _NAN
        return 0.0, k.FOREVER
    if math.isnan(s[o + 1]):
        s[o + 1] = now
    if math.isnan(limit):
        return _NAN, k.FOREVER
    if s[o] >= limit or passed(s[o] + (now - s[o + 1]), limit, instant):
        return 1.0, k.FOREVER
    return 0.0, int(s[o + 1] + (limit - s[o]))


@kernel
def _edge(s: Floats, o: int, c: float, wanted: float) -> float:
    """1.0 if c became `wanted` (1.0 or 0.0) just now."""
    if math.isnan(c):
        return 0.0
    became = 1.0 if c == wanted and s[o] != wanted else 0.0
    s[o] = c
    return became


@kernel
def _not_followed(
    s: Floats, o: int, a: float, b: float, limit: float, now: int, instant: int,
) -> tuple[float, int]:
    """not_followed(a by b within D). Returns (truth, when it runs out)."""
    if _edge(s, o + 2, a, 1.0) == 1.0:
        s[o] = now
    if b == 1.0:
        s[o + 1] = now
    if math.isnan(s[o]) or s[o + 1] >= s[o]:
        return 0.0, k.FOREVER
    if math.isnan(limit):
        return _NAN, k.FOREVER
    if passed(now - s[o], limit, instant):
        return (_NAN if math.isnan(b) else 1.0), k.FOREVER
    return 0.0, int(s[o] + limit)


@kernel
def _latched(s: Floats, o: int, a: float, b: float) -> float:
    if b == 1.0:
        s[o] = 0.0
    elif a == 1.0:
        s[o] = 1.0
    elif a == 0.0 and math.isnan(s[o]):
        s[o] = 0.0
    return s[o]


@kernel
def _lag(s: Floats, o: int, a: float, b: float, now: int) -> float:
    if _edge(s, o + 1, a, 1.0) == 1.0:
        s[o] = now
    if _edge(s, o + 3, b, 1.0) == 1.0:
        s[o + 2] = now
    return s[o + 2] - s[o]


@kernel
def _ewma(s: Floats, o: int, x: float, width: float, now: int) -> None:
    if math.isnan(s[o]):
        s[o] = x
    else:
        s[o] += (1.0 - math.exp(-(now - s[o + 1]) / width)) * (x - s[o])
    s[o + 1] = now


@kernel
def _zscore(s: Floats, o: int, x: float, width: float, now: int) -> None:
    """One sample: mean, variance, time, count, score; a score from the 31st on."""
    s[o + 3] += 1.0
    if s[o + 3] == 1.0:
        s[o], s[o + 1] = x, 0.0
    else:
        d = x - s[o]
        share = 1.0 - math.exp(-(now - s[o + 2]) / width)
        scored = s[o + 3] > 30 and s[o + 1] > 0
        s[o + 4] = d / math.sqrt(s[o + 1]) if scored else _NAN
        s[o] += share * d
        s[o + 1] = (1.0 - share) * (s[o + 1] + share * d * d)
    s[o + 2] = now


@kernel
def _anomaly(s: Floats, o: int, x: float) -> None:
    """One sample of the self-calibrating detector: how improbable x is under what was seen, by a
    mean and variance that forget after 1,000 samples; known from the 31st."""
    s[o + 2] += 1.0
    n = min(s[o + 2], 1000.0)
    if n == 1.0:
        s[o], s[o + 1] = x, 0.0
        return
    d = x - s[o]
    scored = n > 30 and s[o + 1] > 0
    s[o + 3] = math.erf(abs(d) / math.sqrt(2.0 * s[o + 1])) if scored else _NAN
    s[o] += d / n
    s[o + 1] += (d * (x - s[o]) - s[o + 1]) / n


@kernel
def _cusum(s: Floats, o: int, gap: float, cap: float, reset: float, hit: bool) -> float:
    """S = min(cap, max(0, S + gap)) a sample, where gap = (x - target) - slack."""
    if _edge(s, o + 1, reset, 1.0) == 1.0 and not math.isnan(s[o]):
        s[o] = 0.0
    if hit and not math.isnan(gap):
        so_far = 0.0 if math.isnan(s[o]) else s[o]
        s[o] = min(cap, max(0.0, so_far + gap))
    return s[o]


@kernel
def _window(
    s: Floats, pool: Floats, heads: Ints, kind: int, o: int, x: float, width: float,
    third: float, hit: bool, now: int, instant: int,
) -> tuple[float, int]:
    """A function `over W`; third: D, or the limit of time_to. Returns (value, when it changes)."""
    if not width > 0:
        return _NAN, k.FOREVER
    w = int(width)
    if kind >= k.W_TIME_ABOVE:
        return time_to_window(s, o, pool, heads, kind, x, third, w, hit, now, instant > 0)
    if math.isnan(third):
        return _NAN, k.FOREVER
    if kind <= k.W_TOTAL or kind == k.W_DELTA:
        return held_window(s, o, pool, heads, kind, x, w, int(third), hit, now, instant > 0)
    return sample_window(s, o, pool, heads, kind, x, w, int(third), hit, now, instant > 0)


@kernel
def function(
    op: int, kind: int, s: Floats, o: int, x: float, y: float, z: float, hit: bool, now: int,
    instant: int, pool: Floats, heads: Ints,
) -> tuple[float, int]:
    """One evaluation of a function of time. hit: this message has a sample of its signals.

    Returns (value, when it runs out by itself).
    """
    if op == k.HELD:
        return _held(s, o, x, y, now, instant)
    if op == k.OVER:
        return _window(s, pool, heads, kind, o, x, y, z, hit, now, instant)
    if op == k.NOT_FOLLOWED:
        return _not_followed(s, o, x, y, z, now, instant)
    out = _NAN
    if op == k.SINCE:
        out = _since(s, o, x, now)
    elif op == k.SINCE_WINDOW:
        out = since_window(s, o, kind, x, y, hit, now)
    elif op == k.LATCHED:
        out = _latched(s, o, x, y)
    elif op == k.AT:
        if _edge(s, o + 1, y, 1.0) == 1.0:
            s[o] = x
        out = s[o]
    elif op == k.RISES:
        out = _edge(s, o, x, 1.0)
    elif op == k.FALLS:
        out = _edge(s, o, x, 0.0)
    elif op == k.LAG:
        out = _lag(s, o, x, y, now)
    elif op == k.PREV:
        if hit:
            s[o + 1] = s[o]
        out = s[o + 1]
        if hit and not math.isnan(x):
            s[o] = x
    elif op == k.LAST:
        if not math.isnan(x):
            s[o] = x
        out = s[o]
    elif op == k.EWMA:
        if hit and not math.isnan(x) and y > 0:
            _ewma(s, o, x, y, now)
        out = s[o]
    elif op == k.ZSCORE:
        if hit and not math.isnan(x) and y > 0:
            _zscore(s, o, x, y, now)
        out = _NAN if math.isnan(x) else s[o + 4]
    elif op == k.CUSUM:
        out = _cusum(s, o, x, y, z, hit)
    elif op == k.ANOMALY:
        if hit and not math.isnan(x):
            _anomaly(s, o, x)
        out = _NAN if math.isnan(x) else s[o + 3]
    return out, k.FOREVER
