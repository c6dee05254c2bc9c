"""The interpreter: one rule's program on one asset's row.

Registers hold floats, NaN is unknown, conditions are 1.0 and 0.0. Operators without state stand in
the loop; functions of time go to rules.state.
"""

from __future__ import annotations

import math

from rules import layout as k
from rules.compile import S_SETS, Program
from rules.jit import kernel, kernel_inline, wide
from rules.layout import Codes, Flags, Ints
from rules.memory import Memory
from rules.state import compare_span, function, passed

_NAN = math.nan


@kernel
def sampled(lists: Codes, firsts: Codes, sets: int, touched: Flags, sig: int) -> bool:
    """Whether this message has a sample of one of a set of signals (see Emitter.signal_set)."""
    if sig >= 0:
        return touched[sig] != 0
    if sig < -1:
        at = sets - 2 - sig
        for i in range(firsts[at], firsts[at + 1]):
            if touched[lists[i]] != 0:
                return True
    return False


@kernel
def _local(zone: Ints, now: int) -> tuple[int, int]:
    """(local time in ms, the next instant at which the hour changes)."""
    at, high = 0, zone.shape[1]
    while high - at > 1:
        middle = (at + high) // 2
        if zone[0, middle] <= now:
            at = middle
        else:
            high = middle
    local = now + zone[1, at]
    due = now + 3_600_000 - local % 3_600_000
    if at + 1 < zone.shape[1]:
        due = min(due, zone[0, at + 1])
    return local, due


@kernel
def _age(
    lists: Codes, firsts: Codes, sets: int, seen: Ints, first: int, sig: int, now: int,
) -> float:
    """ms since the newest sample of a set of signals; never heard: since the first message."""
    newest = k.NEVER
    if sig >= 0:
        newest = seen[sig]
    elif sig < -1:
        at = sets - 2 - sig
        for i in range(firsts[at], firsts[at + 1]):
            newest = max(newest, seen[lists[i]])
    if newest == k.NEVER:
        newest = first
    return _NAN if newest == k.NEVER else float(now - newest)


@kernel
def _operate(
    op: int, x: float, y: float, z: float,
) -> float:
    """An operator whose result is unknown when an operand is."""
    if op == k.GT:
        return 1.0 if x > y else 0.0
    if op == k.LT:
        return 1.0 if x < y else 0.0
    if op == k.GE:
        return 1.0 if x >= y else 0.0
    if op == k.LE:
        return 1.0 if x <= y else 0.0
    if op == k.EQ:
        return 1.0 if x == y else 0.0
    if op == k.NE:
        return 1.0 if x != y else 0.0
    out = _NAN
    if op == k.ADD:
        out = x + y
    elif op == k.SUB:
        out = x - y
    elif op == k.MUL:
        out = x * y
    elif op == k.DIV:
        out = x / y if y != 0.0 else _NAN
    elif op == k.MIN:
        out = min(x, y)
    elif op == k.MAX:
        out = max(x, y)
    elif op == k.CLAMP:
        out = min(max(x, y), z) if z == z else _NAN  # noqa: PLR0124 — NaN is not itself
    return out if math.isfinite(out) else _NAN


@kernel
def _single(op: int, x: float) -> float:
    """An operator of one operand, known."""
    out = _NAN
    if op == k.NOT:
        out = 1.0 - x
    elif op == k.NEG:
        out = -x
    elif op == k.ABS:
        out = abs(x)
    elif op == k.SQRT:
        out = math.sqrt(x) if x >= 0.0 else _NAN
    elif op == k.EXP:
        out = math.exp(x) if x < 709.7 else _NAN
    elif op == k.LOG:
        out = math.log(x) if x > 0.0 else _NAN
    elif op == k.ROUND:
        out = float(math.floor(min(max(x + 0.5, 0.0), k.LONGEST)))     # compiled, floor is an int
    elif op == k.PINNED:
        out = max(x, 0.0)
    return out


@kernel
def _choose(
    op: int, x: float, y: float, z: float,
) -> float:
    """An operator that may be known though an operand is not."""
    out = _NAN
    if op == k.AND:
        if x == 0.0 or y == 0.0:
            out = 0.0
        elif x == 1.0 and y == 1.0:
            out = 1.0
    elif op == k.OR:
        if x == 1.0 or y == 1.0:
            out = 1.0
        elif x == 0.0 and y == 0.0:
            out = 0.0
    elif op == k.IF:
        if x == 1.0:
            out = y
        elif x == 0.0:
            out = z
    elif op == k.WHERE:
        if y == 1.0:
            out = x
    elif op == k.KNOWN:
        out = 0.0 if math.isnan(x) else 1.0
    elif op == k.VOTE_ADD:      # votes for are ones, unknown ones are thousands
        out = x + (1024.0 if math.isnan(y) else y)
    elif op == k.VOTE:
        sure = x % 1024.0
        if sure >= y:
            out = 1.0
        elif sure + x // 1024.0 < y:
            out = 0.0
    return out


@kernel_inline
def run(
    prog: Program, mem: Memory, a: int, pc: int, end: int, now: int, instant: int,
) -> tuple[int, bool]:
    """Runs code pc … end - 1 on asset a. Returns (earliest time at which a function runs out,
    whether an event or edge was true). The registers keep the values."""
    code, reg, s = prog.code, prog.reg, mem.state[a]
    due, edge = k.FOREVER, False
    for i in range(pc, end):
        op, dst = code[i, k.OP], code[i, k.DST]
        out = _NAN
        if op == k.EVENT:
            reg[dst] = 1.0 if mem.scratch[k.EVENTS, code[i, k.X]] != 0 else 0.0
            edge = edge or reg[dst] != 0.0
            continue
        x, y, z = reg[code[i, k.A]], reg[code[i, k.B]], 0.0
        if op <= k.LAST_BINARY:
            if op == k.CLAMP:
                z = reg[code[i, k.C]]
            if x == x and y == y:  # noqa: PLR0124 — NaN is not equal to itself
                out = _operate(op, x, y, z)
        elif op <= k.LAST_SINGLE:
            if x == x:  # noqa: PLR0124
                out = _single(op, x)
        elif op <= k.LAST_CHOICE:
            out = _choose(op, x, y, reg[code[i, k.C]])
        else:
            at, n, z = k.FOREVER, wide(code[i, k.X]), reg[code[i, k.C]]
            sig, sets = wide(code[i, k.SIG]), prog.scalars[S_SETS]
            if op == k.SPAN:
                out, at = compare_span(n, x, y, now, instant)
            elif op == k.AGE:
                first = mem.times[a, k.FIRST]
                out = _age(prog.lists, prog.firsts, sets, mem.seen[a], first, sig, now)
            elif op == k.SILENT:
                if x == x:  # noqa: PLR0124
                    heard = mem.times[a, k.HEARD]
                    out = 1.0 if passed(float(now - heard), x, instant) else 0.0
                    at = k.FOREVER if out == 1.0 else heard + int(x)
            elif op == k.ACTIVE:
                flags = int(s[prog.rules[n, k.R_ALARM] + k.FLAGS])
                out = 1.0 if flags & 3 == k.ACTIVE_ALARM else 0.0
            elif op == k.FROZEN:
                out = 1.0 if mem.flag[a, n] & k.F_FROZEN else 0.0
            elif op == k.HOUR or op == k.WEEKDAY:
                local, at = _local(prog.zone, now)
                o = code[i, k.OFF]
                if instant > 0 or math.isnan(s[o]):     # a message of the full hour comes before it
                    s[o] = float(local // 3_600_000 % 24)
                    if op == k.WEEKDAY:
                        s[o] = float((local // 86_400_000 + 3) % 7 + 1)
                elif at - now == 3_600_000:
                    at = now
                out = s[o]
            else:
                hit = sampled(prog.lists, prog.firsts, sets, mem.scratch[k.TOUCHED], sig)
                off = wide(code[i, k.OFF])
                out, at = function(
                    wide(op), n, s, off, x, y, z, hit, now, instant, mem.pool, mem.heads
                )
                if op == k.RISES or op == k.FALLS:
                    edge = edge or out == 1.0
            due = min(due, at)
        reg[dst] = out
    return due, edge
