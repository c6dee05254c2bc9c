"""What is known of the assets of one class, as arrays."""

from __future__ import annotations

from typing import NamedTuple

from rules.layout import Codes, Flags, Floats, Ints


class Memory(NamedTuple):
    """What is known of the assets of one class; row = asset within the class.

    val, raw: float64[rows, signals] — value for rules (NaN unknown); last sample as it came
    newest, seen: int64[rows, signals] ms — source time of the newest sample; when it took effect
    flag: uint8[rows, signals] — F_STALE | F_FROZEN
    state: float64[rows, width] — functions, machines, alarms
    due: int64[rows, rules + 1] key — when each rule runs out; last column: a signal, not later
    times: int64[rows, TIME_COLUMNS] — SOONEST: key, the least of due; CLOCK, FIRST, HEARD: ms
        reached, of the first message, of the last (or the start); MARK: A_HEARD | A_SILENT
    attr: float64[rows, attributes] — number, code, 0/1, or the number of a text
    variant: int32[rows or 1, rules] — row of Program.rules for this asset
    pool: float64[…], heads: int64[HEADS] — rings of windows (rules.ring); floor and counts
    out: int64[n, OUT_WIDTH], values: float64[n, pieces] — transitions and what they show
    scratch: uint8[4, …] — TOUCHED, EVENTS, DIRTY, AGAIN
    """

    val: Floats
    raw: Floats
    newest: Ints
    seen: Ints
    flag: Flags
    state: Floats
    due: Ints
    times: Ints
    attr: Floats
    variant: Codes
    pool: Floats
    heads: Ints
    out: Ints
    values: Floats
    scratch: Flags
