"""What lint looks at, and small questions about expressions that several findings ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rules.model import SEVERITY_NAMES, AssetClass, Group, Level, Pack, Pos, Rule
from rules.show import immediate
from rules.tree import EventRef, Expr, Fn, Op, children


@dataclass(frozen=True)
class Found:
    """A place where a finding holds, and the words that its text needs."""

    at: Pos
    subject: str  # the rule or group
    words: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A rule with its class, or a group, or (with neither) the pack as a whole."""

    pack: Pack
    tested: frozenset[str]
    rule: Rule | None = None
    cls: AssetClass | None = None
    group: Group | None = None


def subjects(pack: Pack, tested: frozenset[str]) -> Iterator[Subject]:
    """The pack, its rules (those that Tocsin makes itself apart), its groups."""
    yield Subject(pack, tested)
    for rule in pack.rules:
        if not rule.health:
            yield Subject(pack, tested, rule=rule, cls=pack.classes[rule.cls])
    for group in pack.groups:
        yield Subject(pack, tested, group=group)


def levels(subject: Subject) -> Iterator[tuple[Level, str, Pos]]:
    """The levels of a rule or group with its id and where each stands."""
    owner = subject.rule or subject.group
    if owner is not None:
        for level in owner.levels:
            yield level, owner.id, level.at if level.at.line else owner.at


def named(level: Level) -> str:
    """The severity of a level as a word."""
    return SEVERITY_NAMES[level.severity]


def of_an_instant(e: Expr) -> bool:
    """Whether a condition can be true for one moment only: events, `rises`, `falls`."""
    match e:
        case EventRef() | Fn(name="rises" | "falls"):
            return True
        case Op(op="and", args=args):
            return any(of_an_instant(arg) for arg in args)
        case Op(op="or", args=args):
            return all(of_an_instant(arg) for arg in args)
        case _:
            return False


def ends_at_once(level: Level) -> bool:
    """Whether a level of an instant has nothing that keeps it active."""
    return of_an_instant(level.when) and level.clear_when is None and immediate(level.clear_delay)


def present(e: Expr) -> Iterator[Expr]:
    """The nodes of an expression that are about now: those inside functions of time apart."""
    yield e
    if not isinstance(e, Fn):
        for child in children(e):
            yield from present(child)

