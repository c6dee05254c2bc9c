"""Tests beside the rules: what a case does to an engine, and what it must and must not see.

Case     steps in time, and the lines of `expect` and `never`      (made by rules.load_cases)
Verdict  whether the alarms found are those expected, with both timelines side by side
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from rules.errors import Problem
from rules.model import SEVERITY_NAMES, Asset, Pos
from rules.records import Command, Message, Transition, TransitionKind

NOWHERE = Pos("", 0, 0)
#: These count for every rule that `expect` names; other kinds only where a line names them.
ALWAYS: frozenset[TransitionKind] = frozenset({"raised", "level", "returned", "cleared"})


@dataclass(frozen=True)
class Expected:
    """A line of `expect`; None where the line leaves it open. `at` is in ms from 0 s."""

    at: int
    kind: TransitionKind
    rule: str
    severity: int | None = None
    key: str | None = None           # the asset, or the key of a group
    pos: Pos = NOWHERE

    def fits(self, found: Transition) -> bool:
        """Whether a transition of the same rule and time is what the line says."""
        return (
            self.kind == found.kind
            and self.severity in {None, found.severity}
            and self.key in {None, found.asset}
        )

    def __str__(self) -> str:
        severity = SEVERITY_NAMES[self.severity] if self.severity else ""
        return _line(self.at, self.kind, self.rule, severity, self.key or "")


@dataclass(frozen=True)
class Moment:
    """Everything that a test does at one time (ms since 1970): first messages, then commands."""

    t: int
    messages: tuple[Message, ...]
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Verdict:
    """The outcome of a case; `text` says why it failed, both timelines side by side."""

    passed: bool
    expected: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    text: str = ""


class Runnable(Protocol):
    """What runs a case: an engine with the case's assets, groups included."""

    def messages(self, messages: list[Message]) -> list[Transition]:
        """Takes messages of one time."""
        ...

    def command(self, command: Command, t: int) -> list[Transition]:
        """Takes an operator's command."""
        ...

    def run_until(self, t: int) -> list[Transition]:
        """Runs every instant up to and with `t`."""
        ...


@dataclass(frozen=True)
class Case:
    """A test. Times of `moments`, `start` (that of 0 s) and `until` are ms since 1970. A case with
    problems cannot be run and counts as failed.
    """

    name: str
    start: int
    until: int
    assets: tuple[Asset, ...] = ()
    moments: tuple[Moment, ...] = ()
    expect: tuple[Expected, ...] = ()
    never: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    at: Pos = NOWHERE

    @property
    def rules(self) -> frozenset[str]:
        """The rules and groups that the case speaks about."""
        return frozenset(line.rule for line in self.expect) | frozenset(self.never)

    def judge(self, transitions: Iterable[Transition]) -> Verdict:
        """Compares the announced transitions of the rules named with the lines expected."""
        if self.problems:
            return Verdict(passed=False, text="\n".join(str(one) for one in self.problems))
        announced = sorted((one for one in transitions if one.announced), key=lambda one: one.t)
        named = {line.rule for line in self.expect}
        also = {(line.rule, line.kind) for line in self.expect}
        counted = [
            one for one in announced
            if one.rule in named and (one.kind in ALWAYS or (one.rule, one.kind) in also)
        ]
        forbidden = [one for one in announced if one.rule in self.never and one.kind == "raised"]
        rows = self._rows(counted)
        rows += [_Row(one.t - self.start, "never", self._shown(one), good=False)
                 for one in forbidden if one.rule not in named]
        passed = all(row.good for row in rows) and not forbidden
        late = next((b for a, b in zip(self.expect, self.expect[1:], strict=False) if b.at < a.at),
                    None)
        text = "" if passed else _side_by_side(rows)
        if late is not None:
            passed = False
            where = f"{late.pos.path}:{late.pos.line}:{late.pos.column}"
            text = f"{where}: lines of expect are not in order of time\n{text}"
        return Verdict(
            passed=passed,
            expected=tuple(str(line) for line in self.expect),
            found=tuple(self._shown(one) for one in counted),
            text=text,
        )

    def _rows(self, counted: list[Transition]) -> list[_Row]:
        """Expected beside found, matched within each rule and time; the order at one time is free
        between rules (and between assets), but not within one.
        """
        groups: dict[tuple[int, str], tuple[list[Expected], list[Transition]]] = {}
        for line in self.expect:
            groups.setdefault((line.at, line.rule), ([], []))[0].append(line)
        for one in counted:
            groups.setdefault((one.t - self.start, one.rule), ([], []))[1].append(one)
        rows: list[_Row] = []
        for (at, _), (lines, found) in sorted(groups.items(), key=lambda item: item[0]):
            named = {line.key for line in lines}
            rest = sorted(found, key=lambda one: (one.asset in named, one.asset))
            queues = {key: list(many) for key, many in groupby(rest, key=lambda one: one.asset)}
            for line in lines:
                key = next((key for key, queue in queues.items() if queue and line.fits(queue[0])),
                           None)
                shown = self._shown(queues[key].pop(0)) if key is not None else ""
                rows.append(_Row(at, str(line), shown, good=key is not None))
            rows += [_Row(at, "", self._shown(one), good=False)
                     for queue in queues.values() for one in queue]
        return rows

    def _shown(self, one: Transition) -> str:
        return _line(one.t - self.start, one.kind, one.rule, SEVERITY_NAMES[one.severity],
                     one.asset)


@dataclass(frozen=True)
class _Row:
    at: int
    expected: str
    found: str
    good: bool


def _line(at: int, kind: str, rule: str, severity: str, key: str) -> str:
    time = f"{at // 1000} s" if at % 1000 == 0 else f"{at} ms"
    return " ".join(part for part in (time, kind, rule, severity, key) if part)


def _side_by_side(rows: list[_Row]) -> str:
    rows = sorted(rows, key=lambda row: row.at)
    width = max([len("expected"), *(len(row.expected) for row in rows)])
    lines = [f"  {'expected':<{width}}  found"]
    for row in rows:
        mark = " " if row.good else "!"
        lines.append(f"{mark} {row.expected or '(nothing)':<{width}}  {row.found or '(nothing)'}")
    return "\n".join(lines)


def run_case(case: Case, make_engine: Callable[[Case], Runnable]) -> Verdict:
    """Runs a case on a fresh engine.

    What happens at one time comes in this order: earlier instants, messages, commands, and at the
    next step the instants of that very time. Messages run the instants before them by themselves,
    so only commands, which may look at other assets' alarms, need everything before to have run.
    """
    if case.problems:
        return case.judge(())
    engine = make_engine(case)
    found: list[Transition] = []
    waiting: list[Message] = []
    for moment in case.moments:
        if moment.t > case.until:
            break
        if moment.commands:
            found += engine.messages(waiting)
            found += engine.run_until(moment.t - 1)
            waiting = []
        waiting += moment.messages
        if moment.commands:
            found += engine.messages(waiting)
            waiting = []
        for command in moment.commands:
            found += engine.command(command, moment.t)
    found += engine.messages(waiting)
    found += engine.run_until(case.until)
    return case.judge(found)
