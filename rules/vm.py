"""The driver: jobs in order, each first running what fell due before it, at its exact instant.

A job is a message, an operator's entry, a reset, or the order to run an asset's instants up to a
key (see rules.layout). Everything happens on the rows of one class's assets; nothing is allocated
here. When the pool or the outgoing table may not have room for one more event, the driver returns
and is called again from the same job: between two events all state is whole.
"""

from __future__ import annotations

import math

from rules import layout as k
from rules.compile import (
    S_CELLS,
    S_FROZEN,
    S_POOL,
    S_RULES,
    S_SETS,
    S_SIGNALS,
    S_SILENT,
    S_SILENT_AFTER,
    S_VARIANTS,
    Program,
)
from rules.interpret import run, sampled
from rules.jit import kernel, kernel_inline, wide
from rules.layout import Codes, Flags, Floats, Ints
from rules.machine import step_alarm, step_level
from rules.memory import Memory

_NAN = math.nan

# Kinds of jobs.
J_MESSAGE, J_OPERATOR, J_RESET, J_ADVANCE = range(4)
# Why the driver returned.
DONE, POOL_LOW, OUT_FULL = range(3)

#: Evaluations of a rule at one time: events and edges may follow each other, not for ever.
MAX_PASSES = 8
#: Floats that a window's ring can ask of the pool at one event: a block of panes.
MAX_BLOCK = k.PANE_WIDTH * k.WINDOW_SAMPLES


@kernel
def _mark(lists: Codes, firsts: Codes, at: int, scratch: Flags) -> None:
    """The rules of a list have to look."""
    for i in range(firsts[at], firsts[at + 1]):
        scratch[k.DIRTY, lists[i]] = 1


@kernel_inline
def _greet(prog: Program, mem: Memory, a: int, now: int) -> None:
    """A message was heard: the first one makes all rules look, one after a silence gives every
    signal back what it was."""
    rules, signals = prog.scalars[S_RULES], prog.scalars[S_SIGNALS]
    times = mem.times[a]
    if times[k.MARK] & k.A_HEARD == 0:
        times[k.MARK] |= k.A_HEARD
        times[k.FIRST] = now
        mem.scratch[k.DIRTY, :rules] = 1
    if times[k.MARK] & k.A_SILENT:
        times[k.MARK] &= ~k.A_SILENT
        for s in range(signals):
            spec = prog.signals[s]
            if spec[k.SIG_OPERATOR] == 0 and spec[k.SIG_EVENT] == 0 and mem.flag[a, s] == 0:
                mem.val[a, s] = mem.raw[a, s]
                _mark(prog.lists, prog.firsts, s, mem.scratch)
    times[k.HEARD] = now
    _mark(prog.lists, prog.firsts, prog.scalars[S_SILENT], mem.scratch)
    if prog.scalars[S_SILENT_AFTER] >= 0:
        ends = (now + prog.scalars[S_SILENT_AFTER]) * 8 + k.STALENESS
        mem.due[a, rules] = min(mem.due[a, rules], ends)


@kernel_inline
def _sample(prog: Program, mem: Memory, a: int, s: int, v: float, t: int, now: int) -> bool:
    """One sample. Returns whether it is applied."""
    raw, newest = mem.raw[a, s], mem.newest[a, s]
    spec = prog.signals[s]
    if t == newest and (v == raw or (math.isnan(v) and math.isnan(raw))):
        mem.heads[k.H_DUPLICATE] += 1
        return False
    if t < newest and spec[k.SIG_EVENT] == 0:
        mem.heads[k.H_SUPERSEDED] += 1
        return False
    if t < now:
        mem.heads[k.H_LATE] += 1
    if t >= newest:
        mem.newest[a, s], mem.raw[a, s] = t, v
    mem.seen[a, s] = now
    mem.scratch[k.TOUCHED, s] = 1
    _mark(prog.lists, prog.firsts, s, mem.scratch)
    if spec[k.SIG_EVENT] != 0:
        mem.val[a, s] = _NAN if math.isnan(v) else 0.0
        return True
    flag = mem.flag[a, s] & k.F_FROZEN
    cell = spec[k.SIG_CELL]
    if cell >= 0 and not math.isnan(v) and v != mem.state[a, cell]:
        mem.state[a, cell], mem.state[a, cell + 1] = v, now
        flag = 0
    mem.flag[a, s] = flag
    mem.val[a, s] = _NAN if flag else v
    ends = k.FOREVER * 8
    if spec[k.SIG_EXPIRES] >= 0:
        ends = (now + spec[k.SIG_EXPIRES]) * 8 + k.FUNCTION
    elif spec[k.SIG_STALE] >= 0:
        ends = (now + spec[k.SIG_STALE]) * 8 + k.STALENESS
    mem.due[a, prog.scalars[S_RULES]] = min(mem.due[a, prog.scalars[S_RULES]], ends)
    return True


@kernel_inline
def _take(
    prog: Program, mem: Memory, a: int, kind: int, t: int, now: int, first: int, last: int,
    slot: Codes, value: Floats,
) -> None:
    """Applies the samples of a message or entry together."""
    if kind == J_MESSAGE:
        _greet(prog, mem, a, now)
    applied = False
    for i in range(first, last):
        if slot[i] < prog.scalars[S_SIGNALS]:
            applied = _sample(prog, mem, a, slot[i], value[i], t, now)
        elif applied:      # an event of the sample before it
            mem.scratch[k.EVENTS, slot[i]] = 1


@kernel
def _freeze(
    prog: Program, mem: Memory, a: int, first: int, last: int, slot: Codes, now: int,
) -> None:
    """Samples of signals with frozen_after: have they stood still too long?"""
    for i in range(first, last):
        s = slot[i]
        if s >= prog.scalars[S_SIGNALS] or prog.signals[s, k.SIG_CELL] < 0:
            continue
        if math.isnan(mem.raw[a, s]) or mem.scratch[k.TOUCHED, s] == 0:
            continue
        cell, condition = prog.signals[s, k.SIG_CELL], prog.signals[s, k.SIG_WHILE]
        if condition >= 0 and mem.state[a, condition] != 1.0:
            mem.state[a, cell + 1] = now
        elif now - mem.state[a, cell + 1] >= prog.signals[s, k.SIG_FROZEN]:
            mem.flag[a, s] |= k.F_FROZEN
            mem.val[a, s] = prog.reg[s] = _NAN


@kernel
def _decay(prog: Program, mem: Memory, a: int, key: int) -> None:
    """What ends by itself at an instant: an operator's entry with the functions of time; last of
    all a signal's validity, and being heard."""
    ends = k.FOREVER * 8
    for s in range(prog.scalars[S_SIGNALS]):
        v, seen, spec = mem.raw[a, s], mem.seen[a, s], prog.signals[s]
        if seen == k.NEVER or math.isnan(v):
            continue
        expires = spec[k.SIG_EXPIRES] >= 0
        if expires and v != prog.default[s]:
            at = (seen + spec[k.SIG_EXPIRES]) * 8 + k.FUNCTION
        elif not expires and spec[k.SIG_STALE] >= 0 and mem.flag[a, s] & k.F_STALE == 0:
            at = (seen + spec[k.SIG_STALE]) * 8 + k.STALENESS
        else:
            continue
        if at > key:
            ends = min(ends, at)
            continue
        if expires:
            mem.raw[a, s] = mem.val[a, s] = prog.default[s]
        else:
            mem.flag[a, s] |= k.F_STALE
            mem.val[a, s] = _NAN
        _mark(prog.lists, prog.firsts, s, mem.scratch)
    silent_after = prog.scalars[S_SILENT_AFTER]
    if silent_after >= 0 and mem.times[a, k.MARK] & k.A_SILENT == 0:
        at = (mem.times[a, k.HEARD] + silent_after) * 8 + k.STALENESS
        if at > key:
            ends = min(ends, at)
        else:
            _fall_silent(prog, mem, a)
    mem.due[a, prog.scalars[S_RULES]] = ends


@kernel
def _fall_silent(prog: Program, mem: Memory, a: int) -> None:
    """Nothing was heard for too long: every signal is unknown, but for operators' entries."""
    mem.times[a, k.MARK] |= k.A_SILENT
    for s in range(prog.scalars[S_SIGNALS]):
        spec = prog.signals[s]
        if spec[k.SIG_OPERATOR] == 0 and spec[k.SIG_EVENT] == 0 and not math.isnan(mem.val[a, s]):
            mem.val[a, s] = _NAN
            _mark(prog.lists, prog.firsts, s, mem.scratch)


@kernel
def _levels(
    machines: Codes, lists: Codes, firsts: Codes, sets: int, row: Codes, reg: Floats, s: Floats,
    touched: Flags, now: int, instant: int,
) -> tuple[tuple[int, int, int, int], int]:
    """Steps a rule's machines. Returns ((severity, level, since, stale) of the highest active one,
    severity 0 if none is; when a delay runs out)."""
    due = k.FOREVER
    severity, top, since, stale = 0, 0, now, 0
    blind = False
    for m in range(row[k.R_M], row[k.R_M_END]):
        spec = machines[m]
        hit = spec[k.M_N] > 0 and sampled(lists, firsts, sets, touched, wide(spec[k.M_SIG]))
        clear_sig = wide(spec[k.M_CSIG])
        clear_hit = spec[k.M_CN] > 0 and sampled(lists, firsts, sets, touched, clear_sig)
        on, unknown, at = step_level(
            spec, reg, s, hit, clear_hit, row[k.R_UNKNOWN], now, instant
        )
        due = min(due, at)
        blind = blind or math.isnan(reg[spec[k.M_WHEN]])
        if on:
            stale = 1 if unknown else stale
            if severity == 0:      # machines stand highest severity first
                severity, top = int(spec[k.M_SEVERITY]), int(spec[k.M_LEVEL])
                since = int(s[spec[k.M_OFF] + k.BEGAN])
    undecided = row[k.R_ALARM] + k.UNDECIDED
    if not blind:
        s[undecided] = _NAN
    elif math.isnan(s[undecided]):
        s[undecided] = now
    return (severity, top, since, stale), due


@kernel_inline
def _evaluate(
    prog: Program, mem: Memory, a: int, r: int, now: int, instant: int, reset: bool, n_out: int,
) -> tuple[int, bool, bool]:
    """Runs one rule and steps its alarm. Returns (transitions written so far, an event or edge was
    true, `active(…)` of it changed)."""
    row = prog.rules[mem.variant[a, r] if prog.scalars[S_VARIANTS] else r]
    s, reg = mem.state[a], prog.reg
    pc, end = row[k.R_PC], row[k.R_PC_END]
    if row[k.R_AUX_ALWAYS]:
        end = row[k.R_AUX_END]
    before, again, changed = n_out, False, False
    for stage in range(2):
        due, edge = run(prog, mem, a, pc, end, now, instant)
        if stage == 1:
            break
        again = edge
        if row[k.R_CELL] >= 0:
            s[row[k.R_CELL]] = reg[row[k.R_RESULT]]
            mem.due[a, r] = due * 8 + k.FUNCTION
            return n_out, again, False
        highest, delay = _levels(
            prog.machines, prog.lists, prog.firsts, prog.scalars[S_SETS], row, reg, s,
            mem.scratch[k.TOUCHED], now, instant,
        )  # fmt: skip
        was = int(s[row[k.R_ALARM] + k.FLAGS]) & 3
        escalate = k.FOREVER
        if highest[0] > 0 or was != k.INACTIVE or row[k.R_UNLESS] >= 0:
            n_out, escalate = step_alarm(
                row, reg, s, highest, now, instant, reset, mem.out, n_out, a, r
            )
        changed = (was == k.ACTIVE_ALARM) != (highest[0] > 0)
        mem.due[a, r] = min(
            due * 8 + k.FUNCTION, delay * 8 + k.DELAY, escalate * 8 + k.ESCALATION
        )
        if n_out == before or row[k.R_AUX_ALWAYS] or row[k.R_PIECE] == row[k.R_PIECE_END]:
            break
        pc, end = row[k.R_AUX], row[k.R_AUX_END]
    for n in range(before, n_out):
        for i in range(row[k.R_PIECE], row[k.R_PIECE_END]):
            mem.values[n, i - row[k.R_PIECE]] = reg[prog.lists[i]]
    return n_out, again, changed


@kernel_inline
def _settle(
    prog: Program, mem: Memory, a: int, now: int, instant: int, reset: int, first: int,
    last: int, slot: Codes, n_out: int,
) -> int:
    """Evaluates the rules that have to look, in order; then again those with a true event or edge,
    without it. Pairs first … last - 1 are the samples of the message; reset: a rule, or -1."""
    rules, cells, scratch = prog.scalars[S_RULES], prog.scalars[S_CELLS], mem.scratch
    freezes = prog.scalars[S_FROZEN] > 0 and last > first
    signals, given = mem.val.shape[1], mem.attr.shape[1]
    for i in range(signals):
        prog.reg[i] = mem.val[a, i]
    for i in range(given):
        prog.reg[signals + i] = mem.attr[a, i]
    for attempt in range(MAX_PASSES):
        once_more = False
        for r in range(rules):
            if freezes and r == cells and attempt == 0:
                _freeze(prog, mem, a, first, last, slot, now)
            if scratch[k.DIRTY, r] == 0:
                continue
            scratch[k.DIRTY, r] = 0
            n_out, again, changed = _evaluate(
                prog, mem, a, r, now, instant, r == reset, n_out
            )
            if again:
                scratch[k.AGAIN, r] = 1
                once_more = True
            if changed:
                at = prog.rules[r, k.R_DEP]
                _mark(prog.lists, prog.firsts, at, scratch)
        if attempt == 0:
            for i in range(first, last):
                scratch[k.EVENTS, slot[i]] = 0
                scratch[k.TOUCHED, slot[i]] = 0
        if not once_more:
            break
        for r in range(rules):
            scratch[k.DIRTY, r] = scratch[k.AGAIN, r]
            scratch[k.AGAIN, r] = 0
    soonest = mem.due[a, rules]
    for r in range(rules):
        soonest = min(soonest, mem.due[a, r])
    mem.times[a, k.SOONEST] = soonest
    return n_out


@kernel
def drive(
    prog: Program, mem: Memory, kind: Codes, asset: Codes, when: Ints, arg: Codes, first: Codes,
    slot: Codes, value: Floats, start: int,
) -> tuple[int, int, int]:
    """Runs jobs from `start` on. Returns (next job, transitions written, why it returned).

    kind, asset, arg: int32[n] — J_…, row, pair range's number or rule; when: int64[n] — ms, or a
    key for J_ADVANCE; first: int32[m + 1], slot: int32[…], value: float64[…] — the messages' pairs.
    """
    rules = prog.scalars[S_RULES]
    room = prog.scalars[S_POOL] * MAX_BLOCK
    i, n_out = wide(start), wide(0)
    why = DONE
    while i < len(asset):
        if mem.heads[0] + room > len(mem.pool):
            why = POOL_LOW
            break
        if n_out + 4 * MAX_PASSES * (rules + 1) > len(mem.out):
            why = OUT_FULL
            break
        a, now, instant = wide(asset[i]), when[i], wide(k.MESSAGE)
        lo, hi, reset = wide(0), wide(0), wide(-1)
        limit = now
        if kind[i] != J_ADVANCE:
            now = max(now, mem.times[a, k.CLOCK], mem.heads[k.H_FLOOR])
            limit = now * 8
        key = mem.times[a, k.SOONEST]
        if key < limit:
            now, instant = key >> 3, key & 7
            mem.times[a, k.CLOCK] = max(mem.times[a, k.CLOCK], now)
            if mem.due[a, rules] == key:
                _decay(prog, mem, a, key)
            for r in range(rules):
                if mem.due[a, r] == key:
                    mem.scratch[k.DIRTY, r] = 1
        else:
            i += 1
            if kind[i - 1] == J_ADVANCE:
                continue
            mem.times[a, k.CLOCK] = now
            if kind[i - 1] == J_RESET:
                reset = wide(arg[i - 1])
                mem.scratch[k.DIRTY, reset] = 1
            else:
                lo, hi = wide(first[arg[i - 1]]), wide(first[arg[i - 1] + 1])
                _take(prog, mem, a, kind[i - 1], when[i - 1], now, lo, hi, slot, value)
        n_out = _settle(prog, mem, a, now, instant, reset, lo, hi, slot, n_out)
    return int(i), int(n_out), why
