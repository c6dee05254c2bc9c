"""Rings of samples in a pool that all assets of a class share.

A window `over W` keeps a ring of entries (time ms, value). Rings start small, double when full, and
give their block back when they are empty. R_CAP says how many entries the block has room for, also
when panes (rules.panes) lie in it, which are wider.

pool: float64[…] — room for sorting (WINDOW_SAMPLES floats), then blocks of 2 ** n entries, two
floats an entry
heads: int64[HEADS] — [0] first float never used; [n + 1] a freed block of 2 ** n entries, or -1; a
freed block's first float is the next freed one
s, o: the asset's row, and where in it the window's fields R_… lie
"""

from __future__ import annotations

import numpy as np

from rules import layout as k
from rules.jit import kernel
from rules.layout import Floats, Ints


@kernel
def allocate(pool: Floats, heads: Ints, power: int) -> int:
    """A block of 2 ** power entries. The caller has seen to it that the pool has room."""
    block = heads[power + 1]
    if block >= 0:
        heads[power + 1] = np.int64(pool[block])
        return block
    block = heads[0]
    heads[0] = block + (2 << power)
    return block


@kernel
def free(pool: Floats, heads: Ints, block: int, power: int) -> None:
    """Takes a block of 2 ** power entries back."""
    pool[block] = heads[power + 1]
    heads[power + 1] = block


@kernel
def power_of(capacity: int) -> int:
    """The n with 2 ** n >= capacity."""
    power = 0
    while (1 << power) < capacity:
        power += 1
    return power


@kernel
def _grow(s: Floats, o: int, pool: Floats, heads: Ints) -> None:
    """Doubles the ring's block, the oldest entry first in the new one."""
    capacity = int(s[o + k.R_CAP])
    count = int(s[o + k.R_COUNT])
    wider = 2 * capacity if capacity > 0 else k.RING_START
    block = allocate(pool, heads, power_of(wider))
    if capacity > 0:
        old, head = int(s[o + k.R_BLOCK]), int(s[o + k.R_HEAD])
        for i in range(count):
            at = old + 2 * ((head + i) & (capacity - 1))
            pool[block + 2 * i] = pool[at]
            pool[block + 2 * i + 1] = pool[at + 1]
        free(pool, heads, old, power_of(capacity))
    s[o + k.R_BLOCK] = block
    s[o + k.R_CAP] = wider
    s[o + k.R_HEAD] = 0


@kernel
def entry(s: Floats, o: int, i: int) -> int:
    """Where in the pool the entry i lies (0 the oldest)."""
    capacity = int(s[o + k.R_CAP])
    return int(s[o + k.R_BLOCK]) + 2 * ((int(s[o + k.R_HEAD]) + i) & (capacity - 1))


@kernel
def push(s: Floats, o: int, pool: Floats, heads: Ints, t: float, v: float, most: int) -> None:
    """Appends an entry; when `most` are kept already, the oldest goes."""
    count = int(s[o + k.R_COUNT])
    if count >= most:
        drop(s, o, 1)
        count -= 1
    if count >= int(s[o + k.R_CAP]):
        _grow(s, o, pool, heads)
    s[o + k.R_COUNT] = count + 1
    at = entry(s, o, count)
    pool[at] = t
    pool[at + 1] = v


@kernel
def drop(s: Floats, o: int, n: int) -> None:
    """Takes the n oldest entries out."""
    capacity = int(s[o + k.R_CAP])
    s[o + k.R_HEAD] = (int(s[o + k.R_HEAD]) + n) & (capacity - 1)
    s[o + k.R_COUNT] -= n


@kernel
def release(s: Floats, o: int, pool: Floats, heads: Ints) -> None:
    """Gives the block of an empty ring back; the window is exact again."""
    if s[o + k.R_COUNT] == 0 and s[o + k.R_CAP] > 0:
        free(pool, heads, int(s[o + k.R_BLOCK]), power_of(int(s[o + k.R_CAP])))
        s[o + k.R_CAP] = 0
        s[o + k.R_HEAD] = 0
        s[o + k.R_STEP] = 0


@kernel
def grid_after(t: int, width: int, inclusive: bool) -> int:
    """The next instant of the grid of a window of `width` ms: whole multiples of W/60, at least
    1 s, counted from 1970; at t itself only if `inclusive`."""
    step = max(1000, (width + 30) // 60)
    below = t // step * step
    return t if inclusive and below == t else below + step
