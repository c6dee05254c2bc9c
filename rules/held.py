"""Windows over a value held between samples: mean min max range total delta.

The ring (rules.ring) holds (time, value) at which the value changed; NaN is unknown.
"""

from __future__ import annotations

import math

from rules import layout as k
from rules.jit import kernel
from rules.layout import Floats, Ints
from rules.ring import drop, entry, grid_after, push

_NAN = math.nan


@kernel
def _record(s: Floats, o: int, pool: Floats, heads: Ints, now: int, x: float, keep: int) -> None:
    """The value from now on. An equal value goes on; one of no length is replaced."""
    count = int(s[o + k.R_COUNT])
    if count > 0:
        last = entry(s, o, count - 1)
        if pool[last + 1] == x or (math.isnan(x) and math.isnan(pool[last + 1])):
            return
        if pool[last] == now:
            pool[last + 1] = x
            if count > 1:
                before = entry(s, o, count - 2)
                if pool[before + 1] == x or (math.isnan(x) and math.isnan(pool[before + 1])):
                    s[o + k.R_COUNT] = count - 1
            return
    push(s, o, pool, heads, now, x, keep)


@kernel
def _held(s: Floats, o: int, pool: Floats, kind: int, low: float, end: float) -> float:
    """mean min max range total over (low, end] of what was held then; unknown parts left out."""
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
            term = v * length - carry
            summed = total + term
            carry = (summed - total) - term
            total = summed
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
    if sampled or (turned and (known == 1.0 or not math.isnan(s[o + k.R_KNOWN]))):
        _record(s, o, pool, heads, now, x, k.WINDOW_SAMPLES)
    s[o + k.R_KNOWN] = known
    on_grid = instant and grid_after(now, width, True) == now
    low = now - back - width
    count = int(s[o + k.R_COUNT])
    if sampled or turned or on_grid:
        out = 0
        while out + 1 < count and pool[entry(s, o, out + 1)] <= low:
            out += 1
        if out:
            drop(s, o, out)
            count -= out
        if kind == k.W_DELTA:
            s[o + k.R_OUT] = _delta(s, o, pool, now, width)
        else:
            s[o + k.R_OUT] = _held(s, o, pool, kind, low, now - back)
    return s[o + k.R_OUT], _held_due(s, o, pool, kind, width, back, now, instant)


@kernel
def _held_due(
    s: Floats, o: int, pool: Floats, kind: int, width: int, back: int, now: int, instant: bool,
) -> int:
    """When the window can next have another value: never once one value fills it."""
    count = int(s[o + k.R_COUNT])
    if count == 0:
        return k.FOREVER
    first = int(pool[entry(s, o, 0)])
    soon = grid_after(now, width, not instant)
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
