"""A changed pack takes over: what keeps its meaning keeps its state.

A rule's alarm, timers and functions go on when what gives them meaning is the same: `when`,
`only_if`, `for`, clearing and class. Texts, plans and severities may change under a running alarm.
Everything else starts anew at the moment of the activation; an alarm whose rule is gone or starts
anew is cleared, so that nobody waits for its end. What an inventory says anew of one asset takes
over by the same rule: an override that changes what a rule means starts that rule anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rules import layout as k
from rules.compile import Compiled, Part, pieces
from rules.model import Asset, Rule, Signal
from rules.records import Transition
from streams.plant import Plant


@dataclass(frozen=True)
class Activation:
    """What an activation did: rules that start anew or are gone, and the alarms that it ended."""

    anew: tuple[str, ...]
    gone: tuple[str, ...]
    transitions: tuple[Transition, ...]


def meaning(rule: Rule) -> object:
    """What gives a rule's alarms and timers their meaning."""
    levels = [
        (v.when, v.only_if, v.delay, v.clear_when, v.clear_delay, v.moved) for v in rule.levels
    ]
    return rule.cls, rule.on_unknown, rule.latch, levels


def _shape(part: Part) -> int:
    """Fields of alarm, machines and functions of conditions; overrides of assets can change it."""
    return part.conditions - part.start


def _side(rule: Rule) -> object:
    return rule.unless, rule.escalate


def carry_over(old: Plant, new: Plant, at: int, ids: list[str]) -> Activation:
    """Fills a fresh plant of the same class with the rows of the old one. ids: row -> asset."""
    rows = old.count
    new.add([old.given.get(row) for row in range(rows)])
    _carry_signals(old, new, rows)
    new.memory.times[:rows] = old.memory.times[:rows]
    memory = new.memory._replace(pool=old.memory.pool.copy(), heads=old.memory.heads.copy())
    new.memory = memory
    before = {rule.id: (rule, part) for rule, part in _rules(old.compiled)}
    kept: list[Part] = []
    anew = []
    for rule, part in _rules(new.compiled):
        known = before.get(rule.id)
        column = new.compiled.index[rule.id]
        if known is None or meaning(known[0]) != meaning(rule) or _shape(known[1]) != _shape(part):
            anew.append(rule.id)
            memory.due[:rows, column] = at * 8 + k.FUNCTION
            continue
        kept.append(_carry_rule(old, new, known, (rule, part), rows))
        memory.due[:rows, column] = old.memory.due[:rows, old.compiled.index[rule.id]]
    memory.due[:rows, -1] = at * 8 + k.STALENESS
    memory.times[:rows, k.SOONEST] = memory.due[:rows].min(axis=1)
    _free_rings(old, new, kept, rows)
    now_known = {rule.id for rule in new.compiled.rules}
    ended = [name for name in before if name not in now_known or name in anew]
    places = np.arange(rows)
    transitions = [tr for name in ended for tr in _cleared(old, before[name], at, ids, places)]
    gone = tuple(name for name in before if name not in now_known)
    return Activation(tuple(anew), gone, tuple(transitions))


def take_over(plant: Plant, row: int, asset: Asset, at: int) -> list[Transition]:
    """What an inventory says of a row's asset holds from `at` on; the ends of alarms of rules that
    mean something else now. All rules look at that instant."""
    before = plant.rules_on(row)
    plant.say(row, asset)
    now = plant.rules_on(row)
    found = []
    for rule, part in _rules(plant.compiled):
        if meaning(before[rule.id]) != meaning(now[rule.id]):
            found += _cleared(plant, (rule, part), at, {row: asset.id}, np.array([row]))
            plant.forget_part(row, part)
    plant.look(row, max(at, int(plant.memory.times[row, k.CLOCK])))
    return found


def ended(plant: Plant, names: Mapping[int, str], at: int) -> list[Transition]:
    """The ends of all alarms of rows that go. names: row -> asset."""
    rows = np.array(list(names), np.int64)
    return [
        tr for each in _rules(plant.compiled) for tr in _cleared(plant, each, at, names, rows)
    ]


def active(plant: Plant, row: int) -> list[tuple[str, int]]:
    """The announced alarms that are active on a row: rule, and when it was raised."""
    found = []
    for rule, part in _rules(plant.compiled):
        alarm = plant.memory.state[row, part.start : part.conditions]
        flags = int(alarm[k.FLAGS])
        if flags & 3 == k.ACTIVE_ALARM and flags >> k.ANNOUNCED & 1:
            found.append((rule.id, int(alarm[k.RAISED])))
    return found


def _rules(compiled: Compiled) -> list[tuple[Rule, Part]]:
    return list(zip(compiled.rules, compiled.parts, strict=True))


def _carry_rule(
    old: Plant, new: Plant, was: tuple[Rule, Part], now: tuple[Rule, Part], rows: int
) -> Part:
    """Copies the parts of a rule's state that still mean the same. Returns what of the old."""
    (rule, source), (edited, target) = was, now
    spans = [(source.start, source.conditions, target.start)]
    side = _side(rule) == _side(edited)
    shown = pieces(rule) == pieces(edited)
    if side:
        spans.append((source.conditions, source.side, target.conditions))
    if shown:
        spans.append((source.side, source.end, target.side))
    for start, end, to in spans:
        fits = min(end - start, new.memory.state.shape[1] - to)
        new.memory.state[:rows, to : to + fits] = old.memory.state[:rows, start : start + fits]
    end = source.end if side and shown else source.side if side else source.conditions
    return Part(source.start, source.conditions, source.side, end)


def _carry_signals(old: Plant, new: Plant, rows: int) -> None:
    """Copies what is known of the signals that are still declared the same way."""
    slots = {name: i for i, name in enumerate(old.cls.signals)}
    for to, (name, signal) in enumerate(new.cls.signals.items()):
        known = old.cls.signals.get(name)
        if known is None or not _same(known, signal):
            continue
        for table in ("val", "raw", "newest", "seen", "flag"):
            getattr(new.memory, table)[:rows, to] = getattr(old.memory, table)[:rows, slots[name]]
        cells = [
            int(p.compiled.program.signals[s, k.SIG_CELL])
            for p, s in ((old, slots[name]), (new, to))
        ]
        if min(cells) >= 0:
            new.memory.state[:rows, cells[1] : cells[1] + 2] = (
                old.memory.state[:rows, cells[0] : cells[0] + 2]
            )


def _same(known: Signal, signal: Signal) -> bool:
    return (known.kind, known.unit, known.names, known.operator) == (
        signal.kind, signal.unit, signal.names, signal.operator,
    )  # fmt: skip


def _free_rings(old: Plant, new: Plant, kept: list[Part], rows: int) -> None:
    """Gives the pool back the rings of windows that are not carried over."""
    code = old.compiled.program.code
    for offset in set(code[code[:, k.OP] == k.OVER, k.OFF].tolist()):
        if any(part.start <= offset < part.end for part in kept):
            continue
        held = old.memory.state[:rows, offset + k.R_CAP].astype(np.int64)
        blocks = old.memory.state[:rows, offset + k.R_BLOCK].astype(np.int64)
        for capacity in np.unique(held[held > 0]):
            _free(new, blocks[held == capacity], int(capacity).bit_length() - 1)


def _free(plant: Plant, blocks: npt.NDArray[np.int64], power: int) -> None:
    heads = plant.memory.heads
    plant.memory.pool[blocks[:-1]] = blocks[1:]
    plant.memory.pool[blocks[-1]] = heads[power + 1]
    heads[power + 1] = blocks[0]


def _cleared(
    old: Plant, of: tuple[Rule, Part], at: int, ids: Sequence[str] | Mapping[int, str],
    rows: npt.NDArray[np.int64],
) -> list[Transition]:
    """The ends of a rule's alarms on these rows, which are not carried over."""
    rule, part = of
    flags = old.memory.state[rows, part.start + k.FLAGS].astype(np.int64)
    found = []
    active = np.nonzero(flags & 3)[0]
    for row, bits in zip(rows[active].tolist(), flags[active].tolist(), strict=True):
        raised = int(old.memory.state[row, part.start + k.RAISED])
        when = max(at, raised)      # an asset may be ahead of the change
        found.append(Transition(
            when, ids[row], rule.id, "cleared", bits >> k.SEVERITY & 7,
            bool(bits >> k.OPEN & 1), raised=raised, since=when,
        ))  # fmt: skip
    return found

