"""Findings about what surrounds a condition: gates, suppression, responses, tests, messages."""

from __future__ import annotations

from collections.abc import Iterator

from rules.lint_places import Found, Subject, levels
from rules.model import AssetClass, Level, Piece, Rule
from rules.show import fixed, span
from rules.tree import Expr, Fn, Op, SignalRef, children, signals

#: From here on an off-delay is long enough to outlive what was suppressed.
LONG_CLEARING_MS = 120_000

#: A pack with fewer rules has no distribution to judge; above this share of red and orange it is
#: said. EEMUA 191 and ISA-18.2 advise some 20 %; packs of dangers only start higher.
FEWEST_RULES = 5
MOST_SEVERE = 0.5

#: Functions of time that are known without a sample.
_ALWAYS_KNOWN = frozenset({"count", "age", "silent"})


def gate_unheard(subject: Subject) -> Iterator[Found]:
    """A gate that stays unknown until a signal is heard that need not come."""
    if subject.cls is not None:
        for level, name, at in levels(subject):
            if level.only_if is not None:
                found = _unheard(level.only_if, subject.cls)
                if found:
                    yield Found(at, name, {"signal": ", ".join(sorted(found))})


def or_unheard(subject: Subject) -> Iterator[Found]:
    """An `or` that cannot become false until a signal is heard that need not come."""
    if subject.cls is not None:
        for level, name, at in levels(subject):
            guarded = _guarded(level.when)
            for branches in _alternatives(level.when):
                everywhere = frozenset.intersection(*map(signals, branches))
                found = {x for branch in branches for x in _unheard(branch, subject.cls)}
                found -= everywhere | guarded
                if found:
                    yield Found(at, name, {"signal": ", ".join(sorted(found))})


def _alternatives(e: Expr) -> Iterator[list[Expr]]:
    """The branches of each `or` in a condition, a chain of them as one."""
    if isinstance(e, Op) and e.op == "or":
        branches = _branches(e)
        yield branches
        for branch in branches:
            yield from _alternatives(branch)
    elif not isinstance(e, Fn):
        for child in children(e):
            yield from _alternatives(child)


def _branches(e: Expr) -> list[Expr]:
    if isinstance(e, Op) and e.op == "or":
        return [branch for arg in e.args for branch in _branches(arg)]
    return [e]


def _unheard(e: Expr, cls: AssetClass) -> set[str]:
    """The signals that leave a condition unknown and that nothing promises to be heard."""
    found = {name for name in _needed(e) if name in cls.signals}
    return {name for name in found - _guarded(e) if not _promised(cls, name)}


def _promised(cls: AssetClass, name: str) -> bool:
    signal = cls.signals[name]
    regular = signal.period is not None or signal.stale_after is not None
    return signal.kind == "events" or signal.default is not None or regular


def _needed(e: Expr) -> Iterator[str]:
    match e:
        case SignalRef(name=name):
            yield name
        case Op(op="known"):
            return
        case Fn(name=name) if name in _ALWAYS_KNOWN:
            return
        case _:
            for child in children(e):
                yield from _needed(child)


def _guarded(e: Expr) -> frozenset[str]:
    """The signals that a condition asks `known(…)` about."""
    if isinstance(e, Op) and e.op == "known":
        return signals(e)
    return frozenset[str]().union(*map(_guarded, children(e)))


def unless_lingers(subject: Subject) -> Iterator[Found]:
    """An alarm of what happened under suppression, announced when that ends."""
    if subject.rule is not None and subject.rule.unless is not None:
        for level, name, at in levels(subject):
            delay = fixed(level.clear_delay)
            if delay is not None and delay >= LONG_CLEARING_MS:
                yield Found(at, name, {"delay": span(delay)})


_RESPONSE = {"plan": "预案", "cause": "原因", "consequence": "后果", "action": "处置"}


def no_response(subject: Subject) -> Iterator[Found]:
    """An alarm that does not say what it means or what to do."""
    rule = subject.rule
    if rule is None:
        return
    texts = {"cause": rule.cause, "consequence": rule.consequence, "action": rule.action}
    missing = [name for name, text in texts.items() if not text.get("en")]
    if not any(level.plan for level in rule.levels):
        missing.insert(0, "plan")
    if missing:
        words = {
            "missing": ", ".join(missing),
            "missing_zh": "、".join(_RESPONSE[name] for name in missing),
        }
        yield Found(rule.at, rule.id, words)


def no_test(subject: Subject) -> Iterator[Found]:
    """A rule or group that no test expects."""
    owner = subject.rule or subject.group
    if owner is not None and owner.id not in subject.tested:
        yield Found(owner.at, owner.id)


def foreign_message(subject: Subject) -> Iterator[Found]:
    """A message about something else than its condition."""
    rule = subject.rule
    if rule is None:
        return
    read = frozenset[str]().union(*(signals(e) for e in _read(rule)))
    for level, name, at in levels(subject):
        pieces = [x for x in (*level.message.zh, *level.message.en) if isinstance(x, Piece)]
        shown = {x for piece in pieces if piece.expr is not None for x in signals(piece.expr)}
        for signal in sorted(shown - read):
            yield Found(at, name, {"signal": signal})


def _read(rule: Rule) -> Iterator[Expr]:
    for level in rule.levels:
        yield from _given(level)
    if rule.unless is not None:
        yield rule.unless
    for piece in rule.evidence:
        if piece.expr is not None:
            yield piece.expr


def _given(level: Level) -> Iterator[Expr]:
    yield level.when
    if level.only_if is not None:
        yield level.only_if
    if level.clear_when is not None:
        yield level.clear_when


def many_severe(subject: Subject) -> Iterator[Found]:
    """A pack in which too much is urgent."""
    if subject.rule is not None or subject.group is not None:
        return
    rules = {rule.id: rule for rule in subject.pack.rules if not rule.health}
    severe = [rule for rule in rules.values() if rule.levels and rule.levels[0].severity >= 3]
    if len(rules) >= FEWEST_RULES and len(severe) > MOST_SEVERE * len(rules):
        words = {"severe": len(severe), "total": len(rules)}
        yield Found(severe[0].at, "pack", words)
