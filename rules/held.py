"""Windows over a value held between samples: mean min max range total delta.

The ring (rules.ring) holds (time, value) at which the value changed, NaN being unknown; when it is
full, panes (rules.panes).
"""

from __future__ import annotations

import math

from rules import layout as k
from rules.jit import kernel
from rules.layout import Floats, Ints
from rules.panes import append, held_at, held_in_panes, newest, plus, trim_held
from rules.ring import drop, entry, grid_after

_NAN = math.nan


@kernel
def _record(
    s: Floats, o: int, pool: Floats, heads: Ints, kind: int, now: int, x: float, span: int,
) -> None:
    """The value from now on. An equal value goes on; one of no length is replaced."""
    count = int(s[o + k.R_COUNT])
    if count > 0:
        coarse = s[o + k.R_STEP] > 0
        last = newest(s, o) if coarse else entry(s, o, count - 1) + 1
        if pool[last] == x or (math.isnan(x) and math.isnan(pool[last])):
            return
        if not coarse and pool[last - 1] == now:
            pool[last] = x
            if count > 1:
                before = entry(s, o, count - 2)
                if pool[before + 1] == x or (math.isnan(x) and math.isnan(pool[before + 1])):
                    s[o + k.R_COUNT] = count - 1
            return
    append(s, o, pool, heads, kind, float(now), x, span)


@kernel
def _trim(s: Floats, o: int, pool: Floats, heads: Ints, low: float) -> None:
    """What was held before the window leaves."""
    if s[o + k.R_STEP] > 0:
        trim_held(s, o, pool, heads, low)
        return
    count, out = int(s[o + k.R_COUNT]), 0
    while out + 1 < count and pool[entry(s, o, out + 1)] <= low:
        out += 1
    if out:
        drop(s, o, out)


@kernel
def _stretches(
    s: Floats, o: int, pool: Floats, low: float, end: float,
) -> tuple[float, float, float, float, float]:
    """Integral (value x ms), known ms, minimum, maximum over (low, end], and the value at its end;
    a minimum above the maximum when nothing was known."""
    count = int(s[o + k.R_COUNT])
    total, carry, known = 0.0, 0.0, 0.0
    least, most = math.inf, -math.inf
    now = _NAN
    for i in range(count):
        at = entry(s, o, i)
        start, v = pool[at], pool[at + 1]
        if start > end:
            break
        stop = pool[entry(s, o, i + 1)] if i + 1 < count else math.inf
        if start <= end < stop:
            now = v
        if stop <= low or math.isnan(v):
            continue
        length = min(stop, end) - max(start, low)
        least, most = min(least, v), max(most, v)
        if length > 0:
            known += length
            total, carry = plus(total, carry, v * length)
    return total, known, least, most, now


@kernel
def _held(s: Floats, o: int, pool: Floats, kind: int, low: float, end: float) -> float:
    """mean min max range total over (low, end] of what was held then; unknown parts left out."""
    if s[o + k.R_STEP] > 0:
        total, known, least, most, now = held_in_panes(s, o, pool, low, end)
    else:
        total, known, least, most, now = _stretches(s, o, pool, low, end)
    if least > most:
        return _NAN
    if kind == k.W_MEAN:
        return total / known if known > 0 else now
    if kind == k.W_TOTAL:
        return total / 1000.0
    if kind == k.W_MIN:
        return least
    if kind == k.W_MAX:
        return most
    return most - least


@kernel
def _delta(s: Floats, o: int, pool: Floats, now: int, width: int) -> float:
    """The value now less the value that it had `width` ago."""
    if s[o + k.R_STEP] > 0:
        return pool[newest(s, o)] - held_at(s, o, pool, now - width)
    count = int(s[o + k.R_COUNT])
    if count == 0 or pool[entry(s, o, 0)] > now - width:
        return _NAN
    before = _NAN
    for i in range(count):
        at = entry(s, o, i)
        if pool[at] > now - width:
            break
        before = pool[at + 1]
    return pool[entry(s, o, count - 1) + 1] - before


@kernel
def held_window(
    s: Floats, o: int, pool: Floats, heads: Ints, kind: int, x: float, width: int, back: int,
    sampled: bool, now: int, instant: bool,
) -> tuple[float, int]:
    """A window over the value held between samples. Returns (value, next instant it can change).

    s: the asset's row; o: where the window's fields lie; x: the value now; width, back: W and D in
    ms; sampled: this message has a sample of x; instant: this is an instant, not a message.
    """
    known = 0.0 if math.isnan(x) else 1.0
    turned = known != s[o + k.R_KNOWN]
    on_grid = instant and grid_after(now, width, True) == now
    if sampled or turned or on_grid:
        low = now - back - width
        _trim(s, o, pool, heads, low)
        if sampled or (turned and (known == 1.0 or not math.isnan(s[o + k.R_KNOWN]))):
            _record(s, o, pool, heads, kind, now, x, width + back)
        s[o + k.R_KNOWN] = known
        if kind == k.W_DELTA:
            s[o + k.R_OUT] = _delta(s, o, pool, now, width)
        else:
            s[o + k.R_OUT] = _held(s, o, pool, kind, low, now - back)
        s[o + k.R_DUE] = _held_due(s, o, pool, kind, width, back, now, instant)
    return s[o + k.R_OUT], int(s[o + k.R_DUE])


@kernel
def _held_due(
    s: Floats, o: int, pool: Floats, kind: int, width: int, back: int, now: int, instant: bool,
) -> int:
    """When the window can next have another value: never once one value fills it."""
    count = int(s[o + k.R_COUNT])
    if count == 0:
        return k.FOREVER
    soon = grid_after(now, width, not instant)
    if s[o + k.R_STEP] > 0:
        return soon
    first = int(pool[entry(s, o, 0)])
    if kind == k.W_DELTA:       # the value W ago changes W after each entry
        change = first + width
        if count > 1 and (change < now or (change == now and instant)):
            change = int(pool[entry(s, o, 1)]) + width
    elif count > 1:
        return soon
    elif math.isnan(pool[entry(s, o, 0) + 1]):
        return k.FOREVER
    else:
        change = first + back
        if kind == k.W_TOTAL and change <= now < change + width:
            return soon
    if change < now or (change == now and instant):
        return k.FOREVER
    return max(soon, grid_after(change, width, True))
