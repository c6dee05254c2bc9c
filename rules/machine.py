"""Levels and alarms: small machines on an asset's row, stepped after a rule's program has run.

A level is a machine: normal → pending → active → clearing → normal.

| state    | condition   | time ran out | becomes                  |
|----------|-------------|--------------|--------------------------|
| normal   | true        |              | pending, or active (0 s) |
| pending  | false       |              | normal, its time lost    |
| pending  | unknown     |              | pending, its time paused |
| pending  | true        | yes          | active                   |
| active   | when true   |              | active, clearing lost    |
| active   | clear true  | yes          | normal                   |
| active   | unknown     |              | active, clearing paused  |

An alarm is active while any of its levels is; with `latch` it is returned until it is reset.
"""

from __future__ import annotations

import math

from rules import layout as k
from rules.jit import kernel
from rules.layout import Codes, Floats, Ints

_NAN = math.nan


@kernel
def _kleene_and(x: float, y: float) -> float:
    if x == 0.0 or y == 0.0:
        return 0.0
    return 1.0 if x == 1.0 and y == 1.0 else _NAN


@kernel
def _timer(s: Floats, o: int, c: float, limit: float, now: int, instant: int) -> tuple[bool, int]:
    """Counts how long c has been true: false loses the time, unknown pauses it.
    Returns (whether `limit` ms have run out, when they will)."""
    if math.isnan(c):
        if not math.isnan(s[o + k.STARTED]):
            s[o + k.ELAPSED] += now - s[o + k.STARTED]
            s[o + k.STARTED] = _NAN
        return False, k.FOREVER
    if c == 0.0:
        s[o + k.ELAPSED], s[o + k.STARTED] = 0.0, _NAN
        return False, k.FOREVER
    if math.isnan(s[o + k.STARTED]):
        s[o + k.STARTED] = now
    if math.isnan(limit):
        return False, k.FOREVER
    elapsed = s[o + k.ELAPSED] + (now - s[o + k.STARTED])
    if limit <= 0 or elapsed > limit or (elapsed == limit and instant >= k.DELAY):
        return True, k.FOREVER
    return False, int(s[o + k.STARTED] + (limit - s[o + k.ELAPSED]))


@kernel
def _counter(s: Floats, o: int, c: float, hit: bool, limit: float) -> bool:
    """Counts messages in a row at which c was true; unknown ones are skipped."""
    if hit and not math.isnan(c):
        s[o + k.ELAPSED] = s[o + k.ELAPSED] + 1.0 if c == 1.0 else 0.0
    return s[o + k.ELAPSED] >= limit


@kernel
def _of_last(s: Floats, o: int, c: float, hit: bool, n: int, of: int) -> bool:
    """Whether c was true at n of the last `of` messages. The bits are two words of 32."""
    low, high = int(s[o]), int(s[o + 1])
    if hit and not math.isnan(c):
        high = ((high << 1) | (low >> 31)) & 0xFFFFFFFF
        low = ((low << 1) | int(c)) & 0xFFFFFFFF
        if of <= 32:
            high = 0
            low &= (1 << of) - 1
        else:
            high &= (1 << (of - 32)) - 1
        s[o], s[o + 1] = float(low), float(high)
    found = 0
    for bits in (low, high):
        left = bits
        while left:
            left &= left - 1
            found += 1
    return found >= n


@kernel
def _raise(
    row: Codes, reg: Floats, s: Floats, o: int, when: float, hit: bool, now: int, instant: int,
) -> int:
    """Normal or pending. Returns when the delay runs out; the state tells whether it has."""
    both = _kleene_and(when, reg[row[k.M_ONLY_IF]])
    due = k.FOREVER
    if row[k.M_OF] > 0:
        over = hit and both == 1.0
    elif row[k.M_N] > 0:        # only_if is asked when n is reached; if not true, anew
        over = _counter(s, o, when, hit, row[k.M_N])
        if over and both != 1.0:
            s[o + k.ELAPSED] = 0.0
        over = over and both == 1.0
    else:
        over, due = _timer(s, o, both, reg[row[k.M_DELAY]], now, instant)
    if both == 0.0:
        s[o + k.STATE] = k.NORMAL
    elif both == 1.0 and s[o + k.STATE] == k.NORMAL:
        s[o + k.STATE], s[o + k.BEGAN] = k.PENDING, now
    if over:
        s[o + k.STATE], s[o + k.ELAPSED], s[o + k.STARTED] = k.ON, 0.0, _NAN
        return k.FOREVER
    return due


@kernel
def step_level(
    row: Codes, reg: Floats, s: Floats, hit: bool, clear_hit: bool, unknown_as: int, now: int,
    instant: int,
) -> tuple[bool, bool, int]:
    """Steps one machine. row: of Program.machines; s: the asset's row; hit, clear_hit: this is a
    message that the delay, or clear_for, counts.

    Returns (active, its `when` is unknown, when its delay runs out).
    """
    o = row[k.M_OFF]
    when = reg[row[k.M_WHEN]]
    if when == 0.0 and s[o + k.STATE] == k.NORMAL and row[k.M_N] == 0:
        return False, False, k.FOREVER      # the usual case, and nothing to note
    clear = reg[row[k.M_CLEAR]]
    if unknown_as != k.UNKNOWN_KEEP:
        instead = 1.0 if unknown_as == k.UNKNOWN_RAISE else 0.0
        when = instead if math.isnan(when) else when
        if row[k.M_CLEAR_KIND] != k.CLEAR_CONDITION and math.isnan(clear):
            clear = instead
    if row[k.M_OF] > 0:
        enough = _of_last(s, o + k.MACHINE_WIDTH, when, hit, row[k.M_N], row[k.M_OF])
        when = _NAN if math.isnan(when) else (1.0 if enough else 0.0)
    if row[k.M_CLEAR_KIND] == k.CLEAR_NOT_WHEN:
        clear = 1.0 - when
    elif row[k.M_CLEAR_KIND] == k.CLEAR_NOT_MOVED:
        clear = 1.0 - clear
    if s[o + k.STATE] != k.ON:
        due = _raise(row, reg, s, o, when, hit, now, instant)
        on = s[o + k.STATE] == k.ON
        return on, on and math.isnan(when), due
    if when == 1.0:
        s[o + k.ELAPSED], s[o + k.STARTED] = 0.0, _NAN
        return True, False, k.FOREVER
    due = k.FOREVER
    if row[k.M_CN] > 0:
        over = _counter(s, o, clear, clear_hit, row[k.M_CN])
    else:
        over, due = _timer(s, o, clear, reg[row[k.M_CDELAY]], now, instant)
    if over:
        s[o + k.STATE], s[o + k.ELAPSED], s[o + k.STARTED] = k.NORMAL, 0.0, _NAN
        return False, False, k.FOREVER
    return True, math.isnan(when), due


@kernel
def _pack(
    status: int, severity: int, floor: int, announced: int, suppressed: int, stale: int,
    told: int, top: int,
) -> float:
    """An alarm's flags as one float (52 bits are exact)."""
    return float(
        status | severity << k.SEVERITY | floor << k.FLOOR | announced << k.ANNOUNCED
        | suppressed << k.SUPPRESSED | stale << k.STALE | told << k.OPEN | top << k.TOP
    )  # fmt: skip


@kernel
def _put(
    table: Ints, n: int, a: int, r: int, now: int, kind: int, severity: int, announced: int,
    raised: int, since: int, level: int,
) -> int:
    """Writes one transition to the outgoing table; the caller has seen to room."""
    out = table[n]
    out[k.O_T], out[k.O_ASSET], out[k.O_RULE], out[k.O_KIND] = now, a, r, kind
    out[k.O_SEVERITY], out[k.O_ANNOUNCED] = severity, announced
    out[k.O_RAISED], out[k.O_SINCE], out[k.O_LEVEL] = raised, since, level
    return n + 1


@kernel
def step_alarm(
    row: Codes, reg: Floats, s: Floats, highest: tuple[int, int, int, int], now: int,
    instant: int, reset: bool, table: Ints, n: int, a: int, r: int,
) -> tuple[int, int]:
    """Steps a rule's alarm after its machines.

    row: of Program.rules; s: the asset's row; highest: (severity, level, since, stale) of the
    highest active level, severity 0 if none is; reset: an operator resets it; table, n: where
    transitions go; a, r: asset and rule, for the table.
    Returns (transitions written so far, when it escalates).
    """
    severity_now, top_now, since, stale = highest
    o = row[k.R_ALARM]
    flags = int(s[o + k.FLAGS])
    was, severity = flags & 3, (flags >> k.SEVERITY) & 7
    floor, top = (flags >> k.FLOOR) & 7, flags >> k.TOP
    was_announced, was_suppressed = (flags >> k.ANNOUNCED) & 1, (flags >> k.SUPPRESSED) & 1
    announced, suppressed, told = was_announced, was_suppressed, (flags >> k.OPEN) & 1
    if row[k.R_UNLESS] >= 0 and not math.isnan(reg[row[k.R_UNLESS]]):
        suppressed = int(reg[row[k.R_UNLESS]])
    loud = 1 if suppressed == 0 and row[k.R_SHADOW] == 0 else 0
    status, new, escalate = k.INACTIVE, severity, k.FOREVER
    begun = severity_now > 0 and was != k.ACTIVE_ALARM
    if severity_now > 0:
        status, top = k.ACTIVE_ALARM, top_now
        if begun:
            floor, announced = 0, loud
            s[o + k.RAISED], s[o + k.ESCALATE_AT] = now, _NAN
            if row[k.R_ESC_AFTER] >= 0:
                s[o + k.ESCALATE_AT] = now + reg[row[k.R_ESC_AFTER]]
        if instant >= k.ESCALATION and s[o + k.ESCALATE_AT] <= now:
            floor, s[o + k.ESCALATE_AT] = row[k.R_ESC_TO], _NAN
        new = max(severity_now, floor)
        if not math.isnan(s[o + k.ESCALATE_AT]):
            escalate = int(s[o + k.ESCALATE_AT])
    else:
        stale, s[o + k.ESCALATE_AT] = 0, _NAN
        if row[k.R_LATCH] != 0 and (was == k.ACTIVE_ALARM or (was == k.RETURNED and not reset)):
            status = k.RETURNED
    raised = int(s[o + k.RAISED])
    if begun:
        n = _put(table, n, a, r, now, k.T_RAISED, new, loud, now, since, top)
    elif was != status:
        kind, says = k.T_RETURNED, announced
        if status == k.INACTIVE:
            kind, says = k.T_CLEARED, told
        n = _put(table, n, a, r, now, kind, severity, says, raised, since, top)
    elif status == k.ACTIVE_ALARM and new != severity:
        n = _put(table, n, a, r, now, k.T_LEVEL, new, announced & loud, raised, since, top)
    if status == k.ACTIVE_ALARM and not begun and stale != (flags >> k.STALE) & 1:
        kind = k.T_STALE if stale else k.T_FRESH
        n = _put(table, n, a, r, now, kind, new, announced & loud, raised, since, top)
    if suppressed != was_suppressed and status != k.INACTIVE and not begun:
        if was_announced:
            kind = k.T_SUPPRESSED if suppressed else k.T_UNSUPPRESSED
            n = _put(table, n, a, r, now, kind, new, 1, raised, since, top)
        elif loud:      # what started under suppression
            announced = 1
            n = _put(table, n, a, r, now, k.T_RAISED, new, 1, raised, since, top)
    if status == k.INACTIVE:
        announced, told = 0, 0
    told |= announced
    s[o + k.FLAGS] = _pack(status, new, floor, announced, suppressed, stale, told, top)
    return n, escalate
