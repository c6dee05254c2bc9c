"""Where state lies in the rows of a class, which its variants can widen, and where its rings.

A row is a line of stretches: the cells of signals, then of each rule its alarm, each of its
machines, and its functions. A rule with an override of some asset (a variant) may need a wider
machine, and all rows of the class get that room. Hence two engines with the same pack and other
assets can have stretches of other widths, but always the same stretches, and what is known lies at
the beginning of each. So rows move stretch by stretch.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import numpy.typing as npt

from rules import layout as k
from rules.compile import S_CELLS, Compiled

#: Entries of two floats in the place of a pane, and in a ring that holds panes.
PANE_ENTRIES = k.PANE_WIDTH // 2
PANES_ROOM = PANE_ENTRIES * k.WINDOW_SAMPLES

Places = npt.NDArray[np.int64]


def widths(compiled: Compiled) -> list[int]:
    """The widths of a row's stretches; their sum is `compiled.width`."""
    program, parts = compiled.program, compiled.parts
    found = [parts[0].start if parts else compiled.width]
    rules = program.rules[int(program.scalars[S_CELLS]) :]
    for part in parts:
        variants = rules[rules[:, k.R_ALARM] == part.start]
        counts = [program.machines[row[k.R_M] : row[k.R_M_END], k.M_OF] > 0 for row in variants]
        machines = k.MACHINE_WIDTH + k.NOFM_WIDTH * np.any(counts, axis=0)
        stretches = [k.ALARM_WIDTH, *machines.tolist()]
        found += [*stretches, part.end - part.start - sum(stretches)]
    return found


def moves(of: list[int], to: list[int]) -> tuple[Places, Places]:
    """Which columns of rows with stretches `of` go to which columns of rows with `to`."""
    starts = zip(accumulate(of, initial=0), accumulate(to, initial=0), strict=True)
    fits = np.minimum(of, to)
    within = np.arange(fits.sum()) - np.repeat(np.cumsum(fits) - fits, fits)
    source, target = (np.repeat(side[:-1], fits) for side in np.array(list(starts), np.int64).T)
    return source + within, target + within


def blank(compiled: Compiled, stretches: list[int]) -> k.Floats:
    """A new asset's row in a class without variants, moved to other stretches; the rest is 0."""
    source, target = moves(widths(compiled), stretches)
    row = np.zeros(sum(stretches))
    row[target] = compiled.initial[source]
    return row


def windows(compiled: Compiled) -> Places:
    """Where the fields R_… of the windows `over W` lie in a row. Variants have the same as rules:
    no override changes a function."""
    code = compiled.program.code
    return np.unique(code[code[:, k.OP] == k.OVER, k.OFF]).astype(np.int64)


def rings(offsets: Places, state: k.Floats) -> tuple[Places, Places, Places]:
    """The windows of rows that hold something, row by row: the row in `state`, where the window's
    fields lie, and how many entries its ring has (a pane is PANE_ENTRIES entries)."""
    row, at = np.nonzero(state[:, offsets + k.R_COUNT] > 0)
    offset = offsets[at]
    count = state[row, offset + k.R_COUNT].astype(np.int64)
    return row, offset, count * np.where(state[row, offset + k.R_STEP] > 0, PANE_ENTRIES, 1)


def entries(block: Places, head: Places, count: Places, capacity: Places) -> Places:
    """Which pairs of floats of the pool the entries of rings are, oldest first, ring by ring.

    The four are of each ring: where its block lies (a float), its oldest entry, its entries, and
    its room, a power of two.
    """
    before = np.cumsum(count) - count
    number = np.arange(count.sum()) + np.repeat(head - before, count)
    within: Places = number & np.repeat(capacity - 1, count)
    return np.repeat(block // 2, count) + within
