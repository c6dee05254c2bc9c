"""Checked rules become small programs for one interpreter (rules.vm).

A class's rules share one register file: constants first, then the values of one rule at a time.
Equal subexpressions of a rule are computed once, so a function of time that stands in `when` and
again in the copy moved by a deadband has one state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import NamedTuple

import numpy as np

from rules import layout as k
from rules.emit import Emitter
from rules.layout import Codes, Floats, Ints
from rules.model import AssetClass, Level, Rule, Samples
from rules.tree import ActiveRef, Const, Expr, Fn, functions, signals, walk

Whiles = dict[str, Expr]


class Program(NamedTuple):
    """What the interpreter reads of one class. Arrays only; none is written to but `reg`.

    code: int32[n, CODE_WIDTH]
    rules: int32[variants, RULE_WIDTH] — the rules in order, then variants for overriding assets
    machines: int32[m, MACHINE_COLUMNS]
    reg: float64[registers] — an asset's signals and attributes, constants, scratch
    lists: int32[…], firsts: int32[lists + 1] — lists of numbers, one after the other: for each
        slot the rules that read it; sets of signals; the rules with silent(); for each rule those
        that look at its alarm; registers of the pieces shown
    signals: int64[signals, SIGNAL_COLUMNS] — ms and numbers, -1 none
    default: float64[signals]
    zone: int64[2, …] ms — the site's time zone: from when on, which offset
    scalars: int64[…] — see below
    """

    code: Codes
    rules: Codes
    machines: Codes
    reg: Floats
    lists: Codes
    firsts: Codes
    signals: Ints
    default: Floats
    zone: Ints
    scalars: Ints


#: Columns of Program.scalars.
(
    S_SIGNALS, S_SLOTS, S_RULES, S_CELLS, S_VARIANTS, S_SILENT_AFTER, S_POOL, S_PIECES, S_FROZEN,
    S_SETS, S_SILENT,
) = range(11)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Where a rule's state lies in the row, by parts that survive an edit separately."""

    start: int
    conditions: int     # end of alarm, machines and functions of conditions
    side: int           # end of the functions of unless and escalate
    end: int            # end of the functions of evidence and message


@dataclass(frozen=True)
class Compiled:
    """A class's rules, ready to run. `rules` are in order of evaluation, disabled ones left out."""

    cls: AssetClass
    rules: tuple[Rule, ...]
    program: Program
    parts: tuple[Part, ...]
    width: int
    initial: Floats                     # a new asset's row
    attributes: dict[str, int]
    texts: dict[str, int]
    index: dict[str, int]
    variants: tuple[int, ...] = ()     # row of each variant, in the order given


class _Tables:
    """The growing tables of a class while its rules are compiled."""

    def __init__(self, cls: AssetClass, order: Sequence[Rule], cells: int) -> None:
        self.index = {rule.id: cells + i for i, rule in enumerate(order)}
        self.emit = Emitter(cls)
        self.machines: list[list[int]] = []
        self.rows: list[list[int]] = []
        self.base_of: list[int] = []
        self.pieces: list[int] = []

    def delay(self, delay: Expr | Samples) -> tuple[int, int, int, int]:
        """(register or -1, n, of, signal set) of a delay."""
        if isinstance(delay, Samples):
            return -1, delay.n, delay.of, self.emit.signal_set(delay.signals)
        return self.emit.expr(delay), 0, 0, -1

    def machine(self, level: Level, number: int, offset: int) -> None:
        """One level's row."""
        emit = self.emit
        when = emit.expr(level.when)
        only_if = emit.expr(level.only_if if level.only_if is not None else Const(1.0))
        clear, clear_kind = when, k.CLEAR_NOT_WHEN
        if level.clear_when is not None:
            clear, clear_kind = emit.expr(level.clear_when), k.CLEAR_CONDITION
        elif level.moved is not None:
            clear, clear_kind = emit.expr(level.moved), k.CLEAR_NOT_MOVED
        delay, n, of, sig = self.delay(level.delay)
        cdelay, cn, _, csig = self.delay(level.clear_delay)
        self.machines.append([
            level.severity, when, only_if, clear, clear_kind, delay, n, of, sig, cdelay, cn, csig,
            offset, number,
        ])  # fmt: skip

    def rule(
        self, rule: Rule, start: int, widths: Sequence[int], base: int | None = None
    ) -> Part:
        """Compiles one rule (or a variant of number `base`) with its state from `start` on.

        `widths`: fields of state of each machine, the same for a rule and all its variants."""
        emit = self.emit
        emit.begin(self.index)
        row = [0] * k.RULE_WIDTH
        row[k.R_PC] = emit.here
        row[k.R_ALARM] = start
        row[k.R_M] = len(self.machines)
        machines = start + k.ALARM_WIDTH
        emit.offset = machines + sum(widths)
        for number, (level, width) in enumerate(zip(rule.levels, widths, strict=True)):
            self.machine(level, number, machines)
            machines += width
        row[k.R_M_END] = len(self.machines)
        conditions = emit.offset
        row[k.R_UNLESS] = emit.expr(rule.unless) if rule.unless is not None else -1
        row[k.R_ESC_AFTER] = -1
        if rule.escalate is not None:
            row[k.R_ESC_AFTER] = emit.expr(rule.escalate.after)
            row[k.R_ESC_TO] = rule.escalate.to
        side = emit.offset
        row[k.R_PC_END] = row[k.R_AUX] = emit.here
        row[k.R_PIECE] = len(self.pieces)
        shown = pieces(rule)
        self.pieces += [emit.expr(e) for e in shown]
        row[k.R_PIECE_END] = len(self.pieces)
        row[k.R_AUX_END] = emit.here
        row[k.R_AUX_ALWAYS] = int(emit.offset > side)
        row[k.R_LATCH], row[k.R_SHADOW] = int(rule.latch), int(rule.shadow)
        row[k.R_UNKNOWN] = ("keep", "raise", "clear").index(rule.on_unknown)
        row[k.R_CELL] = row[k.R_RESULT] = -1
        self.base_of.append(len(self.rows) if base is None else base)
        self.rows.append(row)
        return Part(start, conditions, side, emit.offset)

    def cell(self, condition: Expr, start: int) -> int:
        """A condition that only fills a cell of state (`frozen_while`); returns the end."""
        emit = self.emit
        emit.begin(self.index)
        row = [0] * k.RULE_WIDTH
        row[k.R_PC] = emit.here
        emit.offset = start + 1
        row[k.R_RESULT] = emit.expr(condition)
        row[k.R_PC_END] = row[k.R_AUX] = row[k.R_AUX_END] = emit.here
        row[k.R_CELL], row[k.R_UNLESS], row[k.R_ESC_AFTER] = start, -1, -1
        self.base_of.append(len(self.rows))
        self.rows.append(row)
        return emit.offset


def pieces(rule: Rule) -> tuple[Expr, ...]:
    """What is shown of a rule: its evidence, then the pieces of its messages, each once."""
    found: dict[Expr, None] = {}
    for piece in rule.evidence:
        if piece.expr is not None:
            found.setdefault(piece.expr)
    for level in rule.levels:
        for part in (*level.message.zh, *level.message.en):
            if not isinstance(part, str) and part.expr is not None:
                found.setdefault(part.expr)
    return tuple(found)


def conditions_of(rule: Rule) -> tuple[Expr, ...]:
    """Every expression of a rule that decides something."""
    found: list[Expr | None] = [rule.unless]
    for level in rule.levels:
        found += [level.when, level.only_if, level.clear_when, level.moved]
        found += [d for d in (level.delay, level.clear_delay) if not isinstance(d, Samples)]
    return tuple(e for e in found if e is not None)


def triggers(rule: Rule) -> frozenset[str]:
    """The signals whose messages make a rule be evaluated: those of its conditions, and those that
    functions of time in its evidence and message have to see."""
    names = {name for e in conditions_of(rule) for name in signals(e)}
    for e in pieces(rule):
        for fn in functions(e):
            names |= signals(fn) | fn.samples
    for level in rule.levels:
        for delay in (level.delay, level.clear_delay):
            if isinstance(delay, Samples):
                names |= delay.signals
    return frozenset(names)


def in_order(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Rules with those that they look at by active(…) before them; else in the given order."""
    by_id = {rule.id: rule for rule in rules if rule.enabled}
    graph: dict[str, list[str]] = {}
    for rule in by_id.values():
        exprs = (*conditions_of(rule), *pieces(rule))
        seen = [n.rule for e in exprs for n in walk(e) if isinstance(n, ActiveRef)]
        graph[rule.id] = [name for name in seen if name in by_id]
    return tuple(by_id[name] for name in TopologicalSorter(graph).static_order())


def compile_class(
    cls: AssetClass,
    rules: Iterable[Rule],
    zone: tuple[Ints, Ints],
    variants: Sequence[Rule] = (),
) -> Compiled:
    """Programs and layout for one class. `variants` are rules with overrides of some asset."""
    order = in_order(rules)
    frozen = [s for s in cls.signals.values() if s.frozen_after is not None]
    whiles = {s.name: s.frozen_while for s in frozen if s.frozen_while is not None}
    tables = _Tables(cls, order, len(whiles))
    offset = 2 * len(frozen)      # last good value and first equal time of each frozen_after
    cells = {}
    for name, condition in whiles.items():
        cells[name] = offset
        offset = tables.cell(condition, offset)
    of_rule: dict[str, list[Rule]] = {}
    for variant in variants:
        of_rule.setdefault(variant.id, []).append(variant)
    parts = []
    widths = {}
    for rule in order:
        own = of_rule.get(rule.id, [])
        widths[rule.id] = _machine_widths([rule, *own])
        part = tables.rule(rule, offset, widths[rule.id])
        ends = [_width(cls, v, offset, widths[rule.id], tables.index) for v in own]
        parts.append(replace(part, end=max([part.end, *ends])))
        offset = parts[-1].end
    found = []
    part_of = {rule.id: part for rule, part in zip(order, parts, strict=True)}
    for variant in variants:
        found.append(len(tables.rows))
        start = part_of[variant.id].start
        tables.rule(variant, start, widths[variant.id], tables.index[variant.id])
    program = _program(cls, order, tables, zone, whiles, cells)
    return Compiled(
        cls, order, program, tuple(parts), offset, _initial(tables, offset),
        tables.emit.attributes, tables.emit.texts,
        tables.index, tuple(found),
    )  # fmt: skip


def _initial(tables: _Tables, width: int) -> Floats:
    """A new asset's row: nothing known, nothing counted."""
    row = np.zeros(width)
    for start, fields in tables.emit.blank:
        row[start : start + len(fields)] = fields
    for machine in tables.machines:
        row[machine[k.M_OFF] + k.STARTED] = np.nan
    for rule in tables.rows:
        if rule[k.R_CELL] >= 0:
            row[rule[k.R_CELL]] = np.nan
        else:
            row[rule[k.R_ALARM] + k.ESCALATE_AT] = np.nan
            row[rule[k.R_ALARM] + k.UNDECIDED] = np.nan
    starts = [r[k.R_CELL] if r[k.R_CELL] >= 0 else r[k.R_ALARM] for r in tables.rows]
    frozen = min(starts, default=0)
    row[0:frozen:2] = np.nan
    return row


def _machine_widths(rules: Sequence[Rule]) -> list[int]:
    """Fields of each machine, with room for `n of m samples` where a rule or variant counts so."""
    counts = [
        [isinstance(level.delay, Samples) and level.delay.of > 0 for level in rule.levels]
        for rule in rules
    ]
    return [
        k.MACHINE_WIDTH + (k.NOFM_WIDTH if any(column) else 0)
        for column in zip(*counts, strict=True)
    ]


def _width(
    cls: AssetClass, rule: Rule, start: int, widths: Sequence[int], index: dict[str, int]
) -> int:
    """Where the state of a variant ends."""
    tables = _Tables(cls, (), 0)
    tables.index = index
    return tables.rule(rule, start, widths).end


class _Links(NamedTuple):
    """Who has to look when something changes: rules by slot, by rule, and at every message."""

    readers: list[list[int]]
    deps: list[list[int]]
    any_message: list[int]


def _links(cls: AssetClass, order: tuple[Rule, ...], tables: _Tables, whiles: Whiles) -> _Links:
    slots = cls.slots()
    links = _Links([[] for _ in slots], [[] for _ in range(len(whiles) + len(order))], [])
    for i, condition in enumerate(whiles.values()):
        for name in sorted(signals(condition)):
            links.readers[slots[name]].append(i)
    for i, rule in enumerate(order, start=len(whiles)):
        for name in sorted(triggers(rule)):
            links.readers[slots[name]].append(i)
        nodes = [n for e in (*conditions_of(rule), *pieces(rule)) for n in walk(e)]
        if any(isinstance(n, Fn) and n.name == "silent" for n in nodes):
            links.any_message.append(i)
        for name in sorted({n.rule for n in nodes if isinstance(n, ActiveRef)}):
            if name in tables.index:
                links.deps[tables.index[name]].append(i)
    return links


def _program(
    cls: AssetClass,
    order: tuple[Rule, ...],
    tables: _Tables,
    zone: tuple[Ints, Ints],
    whiles: Whiles,
    cells: dict[str, int],
) -> Program:
    emit, rows = tables.emit, tables.rows
    links = _links(cls, order, tables, whiles)
    lists = [*links.readers, *emit.sets, links.any_message, *links.deps]
    lists.append([emit.place(r) for r in tables.pieces])
    sets, count = len(links.readers), len(links.deps)
    silent = sets + len(emit.sets)
    firsts = np.cumsum([0] + [len(members) for members in lists], dtype=np.int32)
    for row, base in zip(rows, tables.base_of, strict=True):
        row[k.R_DEP] = silent + 1 + base
        for column in (k.R_UNLESS, k.R_ESC_AFTER, k.R_RESULT):
            row[column] = emit.place(row[column])
        for column in (k.R_PIECE, k.R_PIECE_END):
            row[column] += int(firsts[-2])
    for machine in tables.machines:
        for column in (k.M_WHEN, k.M_ONLY_IF, k.M_CLEAR, k.M_DELAY, k.M_CDELAY):
            machine[column] = emit.place(machine[column])
    values = list(cls.signals.values())
    frozen = [s.name for s in values if s.frozen_after is not None]
    scalars = [
        len(values), len(values) + len(cls.event_slots()), count, len(whiles),
        int(len(rows) > count), _or(cls.silent_after), emit.pool + 1,
        max([r[k.R_PIECE_END] - r[k.R_PIECE] for r in rows] + [1]), len(frozen),
        sets, silent,
    ]  # fmt: skip
    signals_table = [
        [
            _or(s.stale_after), _or(s.expires), _or(s.frozen_after),
            2 * frozen.index(s.name) if s.name in frozen else -1, cells.get(s.name, -1),
            int(s.operator), int(s.kind == "events"),
        ]
        for s in values
    ]  # fmt: skip
    given = len(emit.slots) + len(emit.attributes)
    return Program(
        code=_table(emit.finish(), k.CODE_WIDTH),
        rules=_table(rows, k.RULE_WIDTH),
        machines=_table(tables.machines, k.MACHINE_COLUMNS),
        reg=np.array([*([0.0] * given), *emit.constants, *([0.0] * (emit.registers + 1))]),
        lists=np.array([i for members in lists for i in members], np.int32),
        firsts=firsts,
        signals=np.array(signals_table, np.int64).reshape(-1, k.SIGNAL_COLUMNS),
        default=np.array([np.nan if s.default is None else s.default for s in values], np.float64),
        zone=np.array(zone, np.int64),
        scalars=np.array(scalars, np.int64),
    )


def _or(ms: int | None) -> int:
    return -1 if ms is None else ms


def _table(rows: list[list[int]], width: int) -> Codes:
    return np.array(rows, np.int32).reshape(-1, width)
