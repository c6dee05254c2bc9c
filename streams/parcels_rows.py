"""Rows of a class as bytes, and back into a plant that may hold others.

A row is taken as a line of 64-bit words: its tables side by side. Most words are those of an asset
that knows nothing yet, and these are left out: a bit a word tells which are there. The words go
column by column, so that like stands beside like for those who compress. Of a ring only its entries
are taken, not the room; where they lay in the pool is forgotten, and decided anew by who adopts.

Not taken: attributes as numbers (they follow from what the inventory gives), SOONEST (the least of
due), and what belongs to a plant as a whole (the floor of clocks, which has gone into each clock,
and its counts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from rules import layout as k
from streams import parcels_layout as lay
from streams.plant import Plant
from streams.snapshot import SnapshotError

Words = npt.NDArray[np.uint64]
Tables = dict[str, npt.NDArray[Any]]

#: The tables of a line, in order; `state` comes last.
TABLES = ("val", "raw", "newest", "seen", "flag", "due", "times", "state")
#: Fields of a window that say where its ring lies: 0 here.
PLACES = (k.R_BLOCK, k.R_CAP, k.R_HEAD)


class Rows(msgspec.Struct, forbid_unknown_fields=True):
    """n rows of one class, W words each.

    cls, mark: the class's name; `Plant.mark`, of the rules that the rows make sense with
    widths: of the stretches of `state` (parcels_layout)
    there: bits[W, n] — whether a word is not that of an asset which knows nothing yet
    words: uint64[…] — those, in the same order
    entries: float64[…, 2] — of all rings, row by row, in the order of their fields
    """

    cls: str
    mark: str
    widths: list[int]
    there: bytes
    words: bytes
    entries: bytes


@dataclass(frozen=True)
class Found:
    """Rows that a plant may take: their tables in its layout, and the entries of their rings."""

    tables: Tables
    entries: k.Floats


def take(plant: Plant, rows: lay.Places) -> Rows:
    """These rows of a plant."""
    memory, offsets = plant.memory, plant.windows
    tables: Tables = {name: np.take(getattr(memory, name), rows, axis=0) for name in TABLES}
    times, state = tables["times"], tables["state"]
    times[:, k.CLOCK] = np.maximum(times[:, k.CLOCK], memory.heads[k.H_FLOOR])
    times[:, k.SOONEST] = k.FOREVER * 8
    number, offset, count = lay.rings(offsets, state)
    block, head, capacity = (
        state[number, offset + field].astype(np.int64) for field in (k.R_BLOCK, k.R_HEAD, k.R_CAP)
    )
    at = lay.entries(block, head, count, capacity)
    entries = np.take(memory.pool.reshape(-1, 2), at, axis=0)
    for field in PLACES:
        state[:, offsets + field] = 0.0
    state[:, offsets + k.R_STEP] *= state[:, offsets + k.R_COUNT] > 0
    words = _words(tables)
    there = words != _blank(plant, plant.widths)[:, None]
    return Rows(
        plant.cls.name, plant.mark, plant.widths, np.packbits(there).tobytes(),
        words[there].tobytes(), entries.tobytes(),
    )  # fmt: skip


def find(plant: Plant, held: Rows, n: int) -> Found:
    """The n rows as the plant, which has room for their variants already, would take them.

    Raises SnapshotError where the bytes do not make sense; changes nothing.
    """
    tables = _tables(plant, held, n)
    if plant.widths != held.widths:
        source, target = lay.moves(held.widths, plant.widths)
        state = np.tile(plant.compiled.initial, (n, 1))
        state[:, target] = tables["state"][:, source]
        tables["state"] = state
    state, offsets = tables["state"], plant.windows
    count, step = state[:, offsets + k.R_COUNT], state[:, offsets + k.R_STEP]
    if not ((count >= 0) & (count <= k.WINDOW_SAMPLES) & (count % 1 == 0)).all():
        raise SnapshotError(f"{held.cls}: a window has an impossible count of entries")
    if not ((step >= 0) & (step <= k.LONGEST * (count > 0)) & (step % 1 == 0)).all():
        raise SnapshotError(f"{held.cls}: a window has panes of an impossible width")
    if any(state[:, offsets + field].any() for field in PLACES):
        raise SnapshotError(f"{held.cls}: a window has a place already")
    expected = 2 * int(lay.rings(offsets, state)[2].sum())
    entries = _numbers(held.entries, np.dtype(np.float64), f"{held.cls}: entries of windows")
    if len(entries) != expected:
        raise SnapshotError(f"{held.cls}: {len(entries)} numbers of windows, expected {expected}")
    return Found(tables, entries.reshape(-1, 2))


def put(plant: Plant, rows: lay.Places, found: Found) -> None:
    """Fills fresh rows of the plant."""
    tables, state = found.tables, found.tables["state"]
    tables["times"][:, k.SOONEST] = tables["due"].min(axis=1)
    number, offset, count = lay.rings(plant.windows, state)
    coarse = state[number, offset + k.R_STEP] > 0
    room = np.where(coarse, lay.PANES_ROOM, np.maximum(count, k.RING_START))
    powers = np.ceil(np.log2(room)).astype(np.int64)
    block, capacity = plant.allocate(powers), 1 << powers
    state[number, offset + k.R_BLOCK] = block
    state[number, offset + k.R_CAP] = capacity
    at = lay.entries(block, np.zeros_like(block), count, capacity)
    plant.memory.pool.reshape(-1, 2)[at] = found.entries
    for name in TABLES:
        getattr(plant.memory, name)[rows] = tables[name]


def _words(tables: Tables) -> Words:
    """The tables side by side as uint64[W, n]."""
    sizes = [tables[name].shape[1] for name in TABLES]
    words = np.empty((sum(sizes), len(tables["state"])), np.uint64)
    for name, part in zip(TABLES, np.split(words, np.cumsum(sizes)[:-1]), strict=True):
        table = tables[name]
        part[:] = (table if table.dtype == np.uint8 else table.view(np.uint64)).T
    return words


def _blank(plant: Plant, widths: list[int]) -> Words:
    """The words of an asset that knows nothing yet, in a layout. uint64[W]"""
    tables, own = plant.blank(1), plant.widths
    row = plant.empty if widths == own else lay.blank(plant.programs.of(plant.cls.name), widths)
    tables["state"] = row[None]
    return _words(tables)[:, 0]


def _tables(plant: Plant, held: Rows, n: int) -> Tables:
    """The tables of n rows, in their own layout; they may be written to."""
    wanted = plant.widths
    if len(held.widths) != len(wanted) or not all(0 <= w <= 1 << 16 for w in held.widths):
        raise SnapshotError(f"{held.cls}: a row of {len(held.widths)} parts, not {len(wanted)}")
    blank = plant.blank(0)
    sizes = [blank[name].shape[1] for name in TABLES[:-1]] + [sum(held.widths)]
    bits = sum(sizes) * n
    if len(held.there) != (bits + 7) // 8:
        raise SnapshotError(f"{held.cls}: {len(held.there)} bytes for {bits} bits")
    there = np.unpackbits(np.frombuffer(held.there, np.uint8), count=bits).view(np.bool_)
    given = _numbers(held.words, np.dtype(np.uint64), f"{held.cls}: words")
    if len(given) != int(there.sum()):
        raise SnapshotError(f"{held.cls}: {len(given)} words, expected {int(there.sum())}")
    lines = np.repeat(_blank(plant, held.widths), n)
    lines[there] = given
    found: Tables = {}
    parts = np.split(np.ascontiguousarray(lines.reshape(-1, n).T), np.cumsum(sizes)[:-1], axis=1)
    for name, part in zip(TABLES, parts, strict=True):
        dtype = blank[name].dtype
        found[name] = part.astype(dtype) if dtype == np.uint8 else part.view(dtype)
    return found


def _numbers(data: bytes, dtype: np.dtype[Any], what: str) -> npt.NDArray[Any]:
    if len(data) % dtype.itemsize:
        raise SnapshotError(f"{what}: {len(data)} bytes are no whole numbers")
    return np.frombuffer(data, dtype)
