"""Functions `since c`: count sum mean min max range total times since a condition became true.

No ring: only sums, from the message or instant at which the condition last became true.
"""

from __future__ import annotations

import math

from rules import layout as k
from rules.jit import kernel
from rules.layout import Floats

_NAN = math.nan


@kernel
def since_window(
    s: Floats, o: int, kind: int, x: float, c: float, sampled: bool, now: int,
) -> float:
    """count sum mean min max range total times (x since c); unknown while c never became true."""
    began = False
    if not math.isnan(c):
        began = c == 1.0 and s[o + k.S_TRUE] != 1.0
        s[o + k.S_TRUE] = c
    known = 0.0 if math.isnan(x) else 1.0
    turned = known != s[o + k.S_KNOWN]
    came = False
    if kind == k.W_TIMES:
        came = x == 1.0 and s[o + k.S_VALUE] != 1.0
        if known == 1.0:
            s[o + k.S_VALUE] = x
    elif sampled or (turned and (known == 1.0 or not math.isnan(s[o + k.S_KNOWN]))):
        _close(s, o, now)
        s[o + k.S_VALUE] = x
    s[o + k.S_KNOWN] = known
    if began:
        s[o + k.S_START] = now
        s[o + k.S_SEGMENT] = now
        for field in (k.S_COUNT, k.S_SUM, k.S_TOTAL, k.S_LENGTH):
            s[o + field] = 0.0
        s[o + k.S_MIN] = s[o + k.S_MAX] = _NAN
    if math.isnan(s[o + k.S_START]):
        return _NAN
    if kind == k.W_TIMES:
        s[o + k.S_COUNT] += 1.0 if came else 0.0
    elif sampled and known == 1.0:
        s[o + k.S_COUNT] += 1.0
        s[o + k.S_SUM] += x
    if began or sampled or turned or came:
        s[o + k.S_OUT] = _since_value(s, o, kind, known, now)
    return s[o + k.S_OUT]


@kernel
def _close(s: Floats, o: int, now: int) -> None:
    """Ends the stretch of the value held so far."""
    length = now - s[o + k.S_SEGMENT]
    v = s[o + k.S_VALUE]
    if not math.isnan(v) and length > 0:
        s[o + k.S_TOTAL] += v * length
        s[o + k.S_LENGTH] += length
        if not s[o + k.S_MIN] <= v:
            s[o + k.S_MIN] = v
        if not s[o + k.S_MAX] >= v:
            s[o + k.S_MAX] = v
    s[o + k.S_SEGMENT] = now


@kernel
def _since_value(s: Floats, o: int, kind: int, known: float, now: int) -> float:
    if kind == k.W_TIMES:
        return s[o + k.S_COUNT] if known == 1.0 else _NAN
    if kind == k.W_COUNT:
        return s[o + k.S_COUNT]
    if kind == k.W_SUM:
        return s[o + k.S_SUM] if s[o + k.S_COUNT] > 0 else _NAN
    v = s[o + k.S_VALUE]
    _close(s, o, now)
    least, most = s[o + k.S_MIN], s[o + k.S_MAX]
    if not math.isnan(v):
        least = v if math.isnan(least) else min(least, v)
        most = v if math.isnan(most) else max(most, v)
    if math.isnan(least):
        return _NAN
    if kind == k.W_MEAN:
        return s[o + k.S_TOTAL] / s[o + k.S_LENGTH] if s[o + k.S_LENGTH] > 0 else v
    if kind == k.W_TOTAL:
        return s[o + k.S_TOTAL] / 1000.0
    if kind == k.W_MIN:
        return least
    return most if kind == k.W_MAX else most - least
