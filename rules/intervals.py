"""What values an expression can take, for the author's tools: a closed interval [low, high].

Signals range over what their class declares; a truth is [0, 0], [1, 1] or [0, 1]. Too wide is
allowed, too narrow is not: a bound is only claimed where every value obeys it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rules.model import AssetClass
from rules.tree import AttributeRef, Const, Expr, Fn, Op, SignalRef

Interval = tuple[float, float]

ANYTHING: Interval = (-math.inf, math.inf)
TRUTH: Interval = (0.0, 1.0)

#: Functions of time whose value lies where their first argument's does.
_WITHIN = frozenset({"mean", "min", "max", "median", "prev", "last", "at", "ewma"})
#: Functions of time that are differences of two values of their argument.
_DIFFERENCES = frozenset({"delta", "change"})
_COUNTS = frozenset({"count", "times", "std", "range", "cusum", "cusum_low"})


def interval(e: Expr, cls: AssetClass) -> Interval:
    """All values of a number or truth, unknown apart. An attribute is taken at its default."""
    match e:
        case Const(value=number):
            return (number, number)
        case SignalRef(name=name):
            signal = cls.signals[name]
            return (signal.low, signal.high) if signal.kind == "number" else ANYTHING
        case AttributeRef(name=name):
            default = cls.attributes[name].default
            return ANYTHING if default is None or isinstance(default, str) else (default, default)
        case Op(op=op, args=args):
            return _ordered(_OPERATORS.get(op, _anything)([interval(arg, cls) for arg in args]))
        case Fn(name=name, args=args) if name in _WITHIN:
            return interval(args[0], cls)
        case Fn(name=name, args=args) if name in _DIFFERENCES:
            low, high = interval(args[0], cls)
            return _ordered((low - high, high - low))
        case Fn(name=name) if name in _COUNTS:
            return (0.0, math.inf)
        case _:
            return ANYTHING


def decided(e: Expr, cls: AssetClass) -> float | None:
    """1.0 or 0.0 for a condition that is always so when known, else None."""
    low, high = interval(e, cls)
    return low if low == high and low in {0.0, 1.0} else None


def _ordered(bounds: Interval) -> Interval:
    low, high = bounds
    return ANYTHING if math.isnan(low) or math.isnan(high) else (low, high)


def _anything(_: list[Interval]) -> Interval:
    return ANYTHING


def _rounded(ms: float) -> float:
    return ms if math.isinf(ms) else float(math.floor(ms + 0.5))


def _corners(of: Callable[[float, float], float]) -> Callable[[list[Interval]], Interval]:
    """For operators that are monotonic in each operand: the extremes lie at the corners."""

    def bounds(args: list[Interval]) -> Interval:
        values = [of(a, b) for a in args[0] for b in args[1]]
        return ANYTHING if any(math.isnan(x) for x in values) else (min(values), max(values))

    return bounds


def _quotient(args: list[Interval]) -> Interval:
    low, high = args[1]
    if low <= 0.0 <= high:
        return ANYTHING
    return _corners(lambda a, b: a / b)(args)


def _absolute(args: list[Interval]) -> Interval:
    low, high = args[0]
    if low >= 0.0:
        return (low, high)
    return (0.0 if high >= 0.0 else -high, max(-low, high))


def _clamped(args: list[Interval]) -> Interval:
    x, floor, ceiling = args
    low = min(max(x[0], floor[0]), ceiling[0])
    return (low, min(max(x[1], floor[1]), ceiling[1]))


def _less(args: list[Interval]) -> Interval:
    (a, b), (c, d) = args
    return (1.0, 1.0) if b < c else (0.0, 0.0) if a >= d else TRUTH


def _less_equal(args: list[Interval]) -> Interval:
    (a, b), (c, d) = args
    return (1.0, 1.0) if b <= c else (0.0, 0.0) if a > d else TRUTH


_OPERATORS: dict[str, Callable[[list[Interval]], Interval]] = {
    "add": lambda a: (a[0][0] + a[1][0], a[0][1] + a[1][1]),
    "sub": lambda a: (a[0][0] - a[1][1], a[0][1] - a[1][0]),
    "mul": _corners(lambda a, b: a * b),
    "div": _quotient,
    "neg": lambda a: (-a[0][1], -a[0][0]),
    "abs": _absolute,
    "min": lambda a: (min(x[0] for x in a), min(x[1] for x in a)),
    "max": lambda a: (max(x[0] for x in a), max(x[1] for x in a)),
    "clamp": _clamped,
    "if": lambda a: (min(a[1][0], a[2][0]), max(a[1][1], a[2][1])),
    "where": lambda a: a[0],
    "round_ms": lambda a: (_rounded(a[0][0]), _rounded(a[0][1])),
    "lt": _less,
    "le": _less_equal,
    "gt": lambda a: _less([a[1], a[0]]),
    "ge": lambda a: _less_equal([a[1], a[0]]),
    "eq": lambda a: (0.0, 0.0) if a[0][1] < a[1][0] or a[1][1] < a[0][0] else TRUTH,
    "ne": lambda a: (1.0, 1.0) if a[0][1] < a[1][0] or a[1][1] < a[0][0] else TRUTH,
    "and": lambda a: (min(_truth(x)[0] for x in a), min(_truth(x)[1] for x in a)),
    "or": lambda a: (max(_truth(x)[0] for x in a), max(_truth(x)[1] for x in a)),
    "not": lambda a: (1.0 - _truth(a[0])[1], 1.0 - _truth(a[0])[0]),
}


def _truth(bounds: Interval) -> Interval:
    return (max(0.0, bounds[0]), min(1.0, bounds[1]))
