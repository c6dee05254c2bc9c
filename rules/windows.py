"""Windows over the past: functions of samples and of values held between samples.

Each window `over W` keeps a ring of entries (time ms, value) in a pool that all assets of a class
share. Rings start small, double when full, and give their block back when they are empty.

pool: float64[…] — room for sorting (WINDOW_SAMPLES floats), then blocks of 2 ** n entries, two
floats an entry
heads: int64[HEADS] — [0] first float never used; [n + 1] a freed block of 2 ** n entries, or -1; a
freed block's first float is the next freed one.
"""

from __future__ import annotations

import math

import numpy as np

from rules import layout as k
from rules.jit import kernel

_NAN = math.nan


@kernel
def _allocate(pool, heads, power):
    """A block of 2 ** power entries. The caller has seen to it that the pool has room."""
    block = heads[power + 1]
    if block >= 0:
        heads[power + 1] = np.int64(pool[block])
        return block
    block = heads[0]
    heads[0] = block + (2 << power)
    return block


@kernel
def _free(pool, heads, block, power):
    pool[block] = heads[power + 1]
    heads[power + 1] = block


@kernel
def _power(capacity):
    power = 0
    while (1 << power) < capacity:
        power += 1
    return power


@kernel
def _grow(s, o, pool, heads):
    """Doubles the ring's block, the oldest entry first in the new one."""
    capacity = int(s[o + k.R_CAP])
    count = int(s[o + k.R_COUNT])
    wider = 2 * capacity if capacity > 0 else k.RING_START
    block = _allocate(pool, heads, _power(wider))
    if capacity > 0:
        old, head = int(s[o + k.R_BLOCK]), int(s[o + k.R_HEAD])
        for i in range(count):
            at = old + 2 * ((head + i) & (capacity - 1))
            pool[block + 2 * i] = pool[at]
            pool[block + 2 * i + 1] = pool[at + 1]
        _free(pool, heads, old, _power(capacity))
    s[o + k.R_BLOCK] = block
    s[o + k.R_CAP] = wider
    s[o + k.R_HEAD] = 0


@kernel
def _at(s, o, i):
    """Where in the pool the entry i lies (0 the oldest)."""
    capacity = int(s[o + k.R_CAP])
    return int(s[o + k.R_BLOCK]) + 2 * ((int(s[o + k.R_HEAD]) + i) & (capacity - 1))


@kernel
def _push(s, o, pool, heads, t, v, most):
    """Appends an entry; when `most` are kept already, the oldest goes."""
    count = int(s[o + k.R_COUNT])
    if count >= most:
        _drop(s, o, 1)
        count -= 1
    if count >= int(s[o + k.R_CAP]):
        _grow(s, o, pool, heads)
    s[o + k.R_COUNT] = count + 1
    at = _at(s, o, count)
    pool[at] = t
    pool[at + 1] = v


@kernel
def _drop(s, o, n):
    """Takes the n oldest entries out."""
    capacity = int(s[o + k.R_CAP])
    s[o + k.R_HEAD] = (int(s[o + k.R_HEAD]) + n) & (capacity - 1)
    s[o + k.R_COUNT] -= n


@kernel
def _release(s, o, pool, heads):
    """Gives the block of an empty ring back."""
    if s[o + k.R_COUNT] == 0 and s[o + k.R_CAP] > 0:
        _free(pool, heads, int(s[o + k.R_BLOCK]), _power(int(s[o + k.R_CAP])))
        s[o + k.R_CAP] = 0
        s[o + k.R_HEAD] = 0


@kernel
def grid_after(t, width, inclusive):
    """The next instant of the grid of a window of `width` ms: whole multiples of W/60, at least
    1 s, counted from 1970; at t itself only if `inclusive`."""
    step = max(1000, (width + 30) // 60)
    below = t // step * step
    return t if inclusive and below == t else below + step


# Values held between samples: mean min max range total delta ---------------------------------


@kernel
def _record(s, o, pool, heads, now, x, keep):
    """The value from now on. An equal value goes on; one of no length is replaced."""
    count = int(s[o + k.R_COUNT])
    if count > 0:
        last = _at(s, o, count - 1)
        if pool[last + 1] == x or (math.isnan(x) and math.isnan(pool[last + 1])):
            return
        if pool[last] == now:
            pool[last + 1] = x
            if count > 1:
                before = _at(s, o, count - 2)
                if pool[before + 1] == x or (math.isnan(x) and math.isnan(pool[before + 1])):
                    s[o + k.R_COUNT] = count - 1
            return
    _push(s, o, pool, heads, now, x, keep)


@kernel
def _held(s, o, pool, kind, low, end):
    """mean min max range total over (low, end] of what was held then; unknown parts left out."""
    count = int(s[o + k.R_COUNT])
    total, carry, known = 0.0, 0.0, 0.0
    least, most = math.inf, -math.inf
    now = _NAN
    for i in range(count):
        at = _at(s, o, i)
        start, v = pool[at], pool[at + 1]
        if start > end:
            break
        stop = pool[_at(s, o, i + 1)] if i + 1 < count else math.inf
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
def _delta(s, o, pool, now, width):
    """The value now less the value that it had `width` ago."""
    count = int(s[o + k.R_COUNT])
    if count == 0 or pool[_at(s, o, 0)] > now - width:
        return _NAN
    before = _NAN
    for i in range(count):
        at = _at(s, o, i)
        if pool[at] > now - width:
            break
        before = pool[at + 1]
    return pool[_at(s, o, count - 1) + 1] - before


@kernel
def held_window(s, o, pool, heads, kind, x, width, back, sampled, now, instant):
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
        while out + 1 < count and pool[_at(s, o, out + 1)] <= low:
            out += 1
        if out:
            _drop(s, o, out)
            count -= out
        if kind == k.W_DELTA:
            s[o + k.R_OUT] = _delta(s, o, pool, now, width)
        else:
            s[o + k.R_OUT] = _held(s, o, pool, kind, low, now - back)
    return s[o + k.R_OUT], _held_due(s, o, pool, kind, width, back, now, instant)


@kernel
def _held_due(s, o, pool, kind, width, back, now, instant):
    """When the window can next have another value: never once one value fills it."""
    count = int(s[o + k.R_COUNT])
    if count == 0:
        return k.FOREVER
    first = int(pool[_at(s, o, 0)])
    soon = grid_after(now, width, not instant)
    if kind == k.W_DELTA:       # the value W ago changes W after each entry
        change = first + width
        if count > 1 and (change < now or (change == now and instant)):
            change = int(pool[_at(s, o, 1)]) + width
    elif count > 1:
        return soon
    elif math.isnan(pool[_at(s, o, 0) + 1]):
        return k.FOREVER
    else:
        change = first + back
        if kind == k.W_TOTAL and change <= now < change + width:
            return soon
    if change < now or (change == now and instant):
        return k.FOREVER
    return max(soon, grid_after(change, width, True))


# Samples: count sum std median rate increase, and occurrences: times --------------------------


@kernel
def _sums(s, o, pool, first, last):
    """Sum of the entries first … last - 1, with what rounding took carried along."""
    total, carry = 0.0, 0.0
    for i in range(first, last):
        term = pool[_at(s, o, i) + 1] - carry
        summed = total + term
        carry = (summed - total) - term
        total = summed
    return total


@kernel
def _spread(s, o, pool, first, last):
    """The n - 1 standard deviation, by two passes."""
    n = last - first
    if n < 2:
        return _NAN
    mean = _sums(s, o, pool, first, last) / n
    squares = 0.0
    for i in range(first, last):
        gap = pool[_at(s, o, i) + 1] - mean
        squares += gap * gap
    return math.sqrt(squares / (n - 1))


@kernel
def _slope(s, o, pool, first, last):
    """The least-squares slope a second; unknown for fewer than two samples or one time."""
    n = last - first
    if n < 2:
        return _NAN
    origin = pool[_at(s, o, first)]
    mean = _sums(s, o, pool, first, last) / n
    centre = 0.0
    for i in range(first, last):
        centre += (pool[_at(s, o, i)] - origin) / 1000.0
    centre /= n
    across, along = 0.0, 0.0
    for i in range(first, last):
        at = _at(s, o, i)
        gap = (pool[at] - origin) / 1000.0 - centre
        across += gap * (pool[at + 1] - mean)
        along += gap * gap
    return across / along if along > 0 else _NAN


@kernel
def _growth(s, o, pool, first, last):
    """How far a counter went on; a sample below the one before counts from 0."""
    if last - first < 2:
        return _NAN
    total = 0.0
    before = pool[_at(s, o, first) + 1]
    for i in range(first + 1, last):
        v = pool[_at(s, o, i) + 1]
        total += v - before if v >= before else v
        before = v
    return total


@kernel
def _sort(values, n):
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
def _median(s, o, pool, first, last):
    n = last - first
    if n == 0:
        return _NAN
    for i in range(n):
        pool[i] = pool[_at(s, o, first + i) + 1]
    _sort(pool, n)
    half = n // 2
    return pool[half] if n % 2 else (pool[half - 1] + pool[half]) / 2


@kernel
def _of_samples(s, o, pool, kind, low, end):
    """The function of the samples with low < t <= end."""
    last = int(s[o + k.R_COUNT])
    first = 0
    while first < last and pool[_at(s, o, first)] <= low:
        first += 1
    while last > first and pool[_at(s, o, last - 1)] > end:
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
def sample_window(s, o, pool, heads, kind, x, width, back, sampled, now, instant):
    """A window over samples (or, for times, over occurrences). See held_window."""
    known = 0.0 if math.isnan(x) else 1.0
    turned = known != s[o + k.R_KNOWN]
    s[o + k.R_KNOWN] = known
    fresh = False
    if kind == k.W_TIMES:
        if known == 1.0:
            fresh = x == 1.0 and s[o + k.R_TRUE] != 1.0
            s[o + k.R_TRUE] = x
        if fresh:
            _push(s, o, pool, heads, now, 1.0, k.WINDOW_TIMES)
    elif sampled and known == 1.0:
        _push(s, o, pool, heads, now, x, k.WINDOW_SAMPLES)
    on_grid = instant and grid_after(now, width, True) == now
    low = now - back - width
    if sampled or turned or fresh or on_grid:
        count = int(s[o + k.R_COUNT])
        out = 0
        while out < count and pool[_at(s, o, out)] <= low:
            out += 1
        if out:
            _drop(s, o, out)
            _release(s, o, pool, heads)
        s[o + k.R_OUT] = _of_samples(s, o, pool, kind, low, now - back)
        if kind == k.W_TIMES and known == 0.0:
            s[o + k.R_OUT] = _NAN
    return s[o + k.R_OUT], _sample_due(s, o, pool, width, back, now, instant)


@kernel
def _sample_due(s, o, pool, width, back, now, instant):
    """The grid's first instant at which a sample enters or leaves."""
    count = int(s[o + k.R_COUNT])
    if count == 0:
        return k.FOREVER
    change = int(pool[_at(s, o, 0)]) + width + back
    if back > 0:
        for i in range(count):
            enters = int(pool[_at(s, o, i)]) + back
            if enters > now or (enters == now and not instant):
                change = min(change, enters)
                break
    return max(grid_after(now, width, not instant), grid_after(change, width, True))


@kernel
def time_to_window(s, o, pool, heads, kind, x, limit, width, sampled, now, instant):
    """How long (ms) until x passes the limit at its present slope."""
    known = 0.0 if math.isnan(x) else 1.0
    turned = known != s[o + k.R_KNOWN]
    on_grid = instant and grid_after(now, width, True) == now
    slope, due = sample_window(
        s, o, pool, heads, np.int64(k.W_RATE), x, width, 0, sampled, now, instant
    )
    if sampled or turned or on_grid:
        s[o + k.R_PANE] = _time_to(kind, x, limit, slope)
    return s[o + k.R_PANE], due


@kernel
def _time_to(kind, x, limit, slope):
    if math.isnan(x) or math.isnan(limit):
        return _NAN
    gap = limit - x if kind == k.W_TIME_ABOVE else x - limit
    if gap < 0:
        return 0.0
    if math.isnan(slope):
        return _NAN
    speed = slope if kind == k.W_TIME_ABOVE else -slope
    return gap / speed * 1000.0 if speed > 0 else math.inf


# Since a condition became true: no ring, only sums --------------------------------------------


@kernel
def since_window(s, o, kind, x, c, sampled, now):
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
def _close(s, o, now):
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
def _since_value(s, o, kind, known, now):
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
