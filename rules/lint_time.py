"""Findings about time: delays, conditions of an instant, functions that need samples."""

from __future__ import annotations

from collections.abc import Iterator

from rules.lint_places import (
    Found,
    Subject,
    ends_at_once,
    levels,
    of_an_instant,
    present,
)
from rules.model import Level, Pos, Signal
from rules.show import fixed, span
from rules.tree import ActiveRef, Expr, Fn, SignalRef, signals, walk

_NEED_SAMPLES = frozenset({"rate", "std", "increase", "median"})
_NEED_ACTIVE = frozenset({"active", "active_assets", "share"})


def delay_shorter(subject: Subject) -> Iterator[Found]:
    """A delay that runs out before the next sample can come."""
    for at, name, delay, read in _delays(subject):
        periods = [(x.period, x.name) for x in read if x.kind == "number" and x.period is not None]
        if periods and 0 < delay < min(periods)[0]:
            period, signal = min(periods)
            words = {"delay": span(delay), "signal": signal, "period": span(period)}
            yield Found(at, name, words)


def delay_longer(subject: Subject) -> Iterator[Found]:
    """A delay that outlives a sample."""
    for at, name, delay, read in _delays(subject):
        stale = [(x.stale_after, x.name) for x in read if x.stale_after is not None]
        if stale and delay > min(stale)[0]:
            after, signal = min(stale)
            words = {"delay": span(delay), "signal": signal, "stale": span(after)}
            yield Found(at, name, words)


def _delays(subject: Subject) -> Iterator[tuple[Pos, str, float, list[Signal]]]:
    """Levels with a delay in ms, and the signals whose present values their `when` reads."""
    if subject.cls is None:
        return
    for level, name, at in levels(subject):
        delay = fixed(level.delay)
        if delay is not None:
            names = {node.name for node in present(level.when) if isinstance(node, SignalRef)}
            yield at, name, delay, [subject.cls.signals[x] for x in sorted(names)]


def delay_of_instant(subject: Subject) -> Iterator[Found]:
    """A delay that can never run out."""
    for level, name, at in levels(subject):
        delay = fixed(level.delay)
        if delay is not None and delay > 0 and of_an_instant(level.when):
            yield Found(at, name)


def endless_instant(subject: Subject) -> Iterator[Found]:
    """An alarm that ends as it begins and leaves nothing to see."""
    if subject.rule is not None and not subject.rule.latch:
        for level, name, at in levels(subject):
            if ends_at_once(level):
                yield Found(at, name)


def few_samples(subject: Subject) -> Iterator[Found]:
    """A function that is unknown with too few samples, of a signal that may send few."""
    cls = subject.cls
    if cls is None:
        return
    for level, name, at in levels(subject):
        read = [node for node in _conditions(level) if isinstance(node, Fn)]
        guarded = {x for node in read if node.name == "count" for x in node.samples}
        for node in read:
            if node.name not in _NEED_SAMPLES or node.form != "over":
                continue
            rare = [x for x in sorted(node.samples) if cls.signals[x].period is None]
            if rare and not guarded & node.samples:
                yield Found(at, name, {"function": node.name, "signal": rare[0]})


def _conditions(level: Level) -> Iterator[Expr]:
    for condition in (level.when, level.only_if, level.clear_when):
        if condition is not None:
            yield from walk(condition)


def instant_active(subject: Subject) -> Iterator[Found]:
    """Something that waits for an alarm to be active that never is for longer than an instant."""
    momentary = {
        rule.id for rule in subject.pack.rules
        if rule.latch and all(map(ends_at_once, rule.levels))
    }  # fmt: skip
    for level, name, at in levels(subject):
        nodes = list(_conditions(level))
        asked = {node.rule for node in nodes if isinstance(node, ActiveRef)}
        if subject.group is not None and any(signals(node) & _NEED_ACTIVE for node in nodes):
            asked |= subject.group.over
        for rule in sorted(asked & momentary):
            yield Found(at, name, {"rule": rule})


def at_in_clearing(subject: Subject) -> Iterator[Found]:
    """A baseline that moves while the alarm is active."""
    for level, name, at in levels(subject):
        if level.clear_when is not None and any(
            isinstance(node, Fn) and node.name == "at" for node in walk(level.clear_when)
        ):
            yield Found(at, name)
