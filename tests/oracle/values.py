"""Values of three-valued logic, and the stateless operators on them.

A value is a float, or None where it is unknown. A condition is 1.0 or 0.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Value = float | None

#: A place in time: (ms since 1970, phase). Phases order what happens at one instant.
Position = tuple[int, int]
MESSAGE, COMMAND, FUNCTION, DELAY, ESCALATION, STALE = range(6)


def truth(flag: bool) -> float:
    """True as 1.0, false as 0.0."""
    return 1.0 if flag else 0.0


def conjunction(args: Sequence[Value]) -> Value:
    """Kleene's `and`: one false settles it, else one unknown leaves it open."""
    if 0.0 in args:
        return 0.0
    return None if None in args else 1.0


def negation(x: Value) -> Value:
    """Kleene's `not`."""
    return None if x is None else truth(x == 0.0)


def disjunction(args: Sequence[Value]) -> Value:
    """Kleene's `or`, by way of `not (not a and not b)`."""
    return negation(conjunction([negation(x) for x in args]))


def choose(c: Value, a: Value, b: Value) -> Value:
    """`if(c, a, b)`: the branch not chosen may be unknown."""
    if c is None:
        return None
    return a if c else b


def at_least(n: Value, *conditions: Value) -> Value:
    """True when `n` are true, false when `n` no longer can be, else unknown."""
    if n is None:
        return None
    true = sum(1 for c in conditions if c is not None and c != 0.0)
    unknown = sum(1 for c in conditions if c is None)
    if true >= n:
        return 1.0
    return None if true + unknown >= n else 0.0


def where(x: Value, c: Value) -> Value:
    """`x where c`: x while c is true, else unknown."""
    return x if c else None


#: Operators of known numbers. ValueError, ZeroDivisionError and OverflowError mean unknown.
NUMERIC: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "abs": abs,
    "min": min,
    "max": max,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "clamp": lambda x, lo, hi: min(max(x, lo), hi),
    "lt": lambda a, b: truth(a < b),
    "le": lambda a, b: truth(a <= b),
    "eq": lambda a, b: truth(a == b),
    "ne": lambda a, b: truth(a != b),
    "gt": lambda a, b: truth(a > b),
    "ge": lambda a, b: truth(a >= b),
    "round_ms": lambda x: float(math.floor(x + 0.5)),
}

#: Operators that have a say about unknown operands.
LOGICAL: dict[str, Callable[[Sequence[Value]], Value]] = {
    "and": conjunction,
    "or": disjunction,
    "not": lambda args: negation(args[0]),
    "known": lambda args: truth(args[0] is not None),
    "if": lambda args: choose(*args),
    "where": lambda args: where(*args),
    "at_least": lambda args: at_least(*args),
}


def known(x: float) -> Value:
    """A float as a value: NaN is unknown."""
    return None if math.isnan(x) else x


def apply(op: str, args: Sequence[Value]) -> Value:
    """The value of an operator of `rules.tree.OPERATORS`."""
    if op in LOGICAL:
        return LOGICAL[op](args)
    if any(x is None for x in args):
        return None
    try:
        return known(float(NUMERIC[op](*args)))
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
