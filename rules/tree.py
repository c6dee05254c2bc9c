"""Checked expressions: what is left of a condition once names, types and units are settled.

Every value is a float. A condition is 1.0 or 0.0, a state is its code, an unknown value is NaN.
Numbers are in the unit of the expression; the checker has put conversions in as arithmetic, so
nothing behind this module knows units. Durations are whole milliseconds.

Nodes are frozen and compare by meaning (positions do not count), so equal subtrees can share state
and a rule's meaning can be hashed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Form = Literal["plain", "over", "since"]

#: Stateless operators, with the number of operands (-1: any number).
OPERATORS: dict[str, int] = {
    "add": 2, "sub": 2, "mul": 2, "div": 2, "neg": 1,
    "abs": 1, "min": -1, "max": -1, "sqrt": 1, "exp": 1, "log": 1, "clamp": 3, "if": 3,
    "lt": 2, "le": 2, "eq": 2, "ne": 2, "gt": 2, "ge": 2,
    "and": 2, "or": 2, "not": 1, "known": 1,
    "where": 2,       # x while c is true, else unknown: args (x, c)
    "at_least": -1,   # args (Const n, c1, c2, …)
    "round_ms": 1,    # a duration in ms, half up to whole ms, 0 to 1e14
}  # fmt: skip


@dataclass(frozen=True)
class Const:
    """A number, already in the unit that its neighbours expect."""

    value: float


@dataclass(frozen=True)
class SignalRef:
    """The present value of a signal that is a number, bool or state.

    A signal of events appears here only as the `x` of `count(x over W)`, `count(x since c)` or
    `age(x)`: something that has samples.
    """

    name: str


@dataclass(frozen=True)
class EventRef:
    """True for the message that carries one of these codes; otherwise false, never unknown."""

    signal: str
    codes: frozenset[int]


@dataclass(frozen=True)
class AttributeRef:
    """An attribute that is a number, bool or state code (a table is looked up beforehand)."""

    name: str


@dataclass(frozen=True)
class TextIn:
    """Whether a text attribute is one of these; unknown while the attribute has no value."""

    attribute: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class ActiveRef:
    """Whether the alarm of that rule (or health alarm) on the same asset is active."""

    rule: str


@dataclass(frozen=True)
class FrozenRef:
    """Whether a signal is held to be frozen (`frozen_after`); only in its health alarm."""

    signal: str


@dataclass(frozen=True)
class Op:
    """A stateless operator of OPERATORS."""

    op: str
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class Clock:
    """`hour()` or `weekday()` in the site's time zone."""

    name: Literal["hour", "weekday"]


@dataclass(frozen=True)
class Fn:
    """A function of time: it keeps state per asset.

    name, form        args                               durations (ms)
    mean min max range total count sum std median
    rate increase times        over   (x,)                (W, D)   D: `ending D ago`, else Const(0)
    count sum mean min max range total times  since  (x, c)        ()
    delta             plain    (x,)                       (W,)
    prev change last  plain    (x,)                       ()
    held              plain    (c,)                       (D,)
    since             plain    (c,)                       ()       value in ms; infinite if never
    age               plain    (x,)                       ()       value in ms
    silent            plain    ()                         (D,)
    lag               plain    (a, b)                     ()       in ms (a conversion follows)
    not_followed      plain    (a, b)                     (D,)
    latched           plain    (a, b)                     ()
    at                plain    (x, c)                     ()
    rises falls       plain    (c,)                       ()
    ewma zscore       plain    (x,)                       (W,)
    cusum cusum_low   plain    (x, target, slack, cap, r) ()       absent: Const(inf), Const(0.0)
    time_to_above, time_to_below  plain  (x, limit)       (W,)     value in ms; `x > limit`, `x <`
    anomaly           plain    (x,)                       ()

    `samples` are the signals whose messages make samples of `x` (signals that occur only in the
    `c` of `x where c` are not among them); for functions of a condition, those of the condition.
    """

    name: str
    args: tuple[Expr, ...]
    durations: tuple[Expr, ...] = ()
    samples: frozenset[str] = frozenset()
    form: Form = "plain"


@dataclass(frozen=True)
class SpanCompare:
    """`since(c)` or `age(x)` compared with a duration: it changes at its exact instant."""

    op: Literal["lt", "le", "gt", "ge"]
    span: Fn
    limit: Expr  # ms


Expr = (
    Const | SignalRef | EventRef | AttributeRef | TextIn | ActiveRef | FrozenRef | Op | Clock | Fn
    | SpanCompare
)


def children(e: Expr) -> tuple[Expr, ...]:
    """The direct operands, in order of evaluation (those of a function before its durations)."""
    match e:
        case Op(args=args):
            return args
        case Fn(args=args, durations=durations):
            return args + durations
        case SpanCompare(span=span, limit=limit):
            return (span, limit)
        case _:
            return ()


def walk(e: Expr) -> Iterator[Expr]:
    """The node and all below it, parents first."""
    yield e
    for child in children(e):
        yield from walk(child)


def signals(e: Expr) -> frozenset[str]:
    """The signals that an expression reads, those inside functions and `where` included."""
    found = set()
    for node in walk(e):
        match node:
            case SignalRef(name=name) | EventRef(signal=name) | FrozenRef(signal=name):
                found.add(name)
            case _:
                pass
    return frozenset(found)


def functions(e: Expr) -> tuple[Fn, ...]:
    """The functions of time in an expression, parents first, repeated where they are repeated."""
    return tuple(node for node in walk(e) if isinstance(node, Fn))
