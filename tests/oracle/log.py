"""What a function of time remembers: a list of everything it has seen, and questions to it.

Nothing is summed up or forgotten; every question goes through the list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tests.oracle.values import Value


@dataclass(frozen=True)
class Entry:
    """The operands at one evaluation: `step` numbers the evaluations of the asset."""

    t: int
    step: int
    sample: bool
    args: tuple[Value, ...]


Log = list[Entry]


def note(log: Log, entry: Entry) -> None:
    """Add an entry, unless it says nothing new."""
    if entry.sample or not log or log[-1].args != entry.args:
        log.append(entry)


def _became(log: Log, i: int, is_it: Callable[[float], bool]) -> list[Entry]:
    found: list[Entry] = []
    before: Value = None
    for entry in log:
        value = entry.args[i]
        if value is None:
            continue
        if is_it(value) and (before is None or not is_it(before)):
            found.append(entry)
        before = value
    return found


def became_true(log: Log, i: int) -> list[Entry]:
    """Where operand `i` became true: it is, and its last known value was not, or there was none."""
    return _became(log, i, lambda v: v != 0.0)


def became_false(log: Log, i: int) -> list[Entry]:
    """The same for false."""
    return _became(log, i, lambda v: v == 0.0)


def ceased(log: Log, i: int) -> int | None:
    """When operand `i` last ceased to be known true."""
    when = None
    for before, after in pairwise(log):
        if before.args[i] and not after.args[i]:
            when = after.t
    return when


@dataclass(frozen=True)
class Spell:
    """A run of truth: `before` ms of it are past, the present part began at `since`."""

    before: int
    since: int | None


def spell(log: Log, i: int) -> Spell:
    """How long operand `i` has been true, pauses while it is unknown left out."""
    before, since = 0, None
    for entry in log:
        value = entry.args[i]
        if value is None:
            if since is not None:
                before += entry.t - since
            since = None
        elif value == 0.0:
            before, since = 0, None
        elif since is None:
            since = entry.t
    return Spell(before, since)


@dataclass(frozen=True)
class Point:
    """From (t, step) on the value counts, until the next point."""

    t: int
    step: int
    value: Value


def turned(log: Log) -> bool:
    """Whether operand 0 became known or unknown with the last entry, or is new."""
    return len(log) < 2 or (log[-1].args[0] is None) != (log[-2].args[0] is None)


def points(log: Log) -> list[Point]:
    """Operand 0 as a function of time: held between samples, and known or not at each instant."""
    found: list[Point] = []
    for entry in log:
        value = entry.args[0]
        changed = not found or (value is None) != (found[-1].value is None)
        if entry.sample or changed:
            found.append(Point(entry.t, entry.step, value))
    return found


def known_samples(log: Log) -> list[tuple[Entry, float]]:
    """The samples of operand 0 that have a value."""
    return [(e, e.args[0]) for e in log if e.sample and e.args[0] is not None]
