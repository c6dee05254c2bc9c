"""The small machine of one level of a group, and the values of its expressions.

An expression of a group is made of constants, the six counts and stateless operators; a truth is
1.0, 0.0 or NaN for unknown, as everywhere. Times are ms since 1970, delays ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rules.model import Delay, Level, Samples
from rules.tree import Const, Expr, Op, SignalRef

UNKNOWN = math.nan


def value(e: Expr, counts: Mapping[str, float]) -> float:
    """What an expression is worth with these counts. Raises ValueError for other kinds of nodes."""
    match e:
        case Const(value=number):
            return number
        case SignalRef(name=name):
            return counts[name]
        case Op(op=op, args=args):
            return _apply(op, [value(arg, counts) for arg in args])
        case _:
            raise ValueError(f"{type(e).__name__} has no value in a group")


def truth(e: Expr | None, counts: Mapping[str, float], absent: float = 1.0) -> float:
    """The truth of a condition, or `absent` where there is none."""
    return absent if e is None else value(e, counts)


def negated(condition: float) -> float:
    """Kleene's not: unknown stays unknown."""
    return 1.0 - condition


def both(a: float, b: float) -> float:
    """Kleene's and: one that is false decides, whatever the other is."""
    if a == 0.0 or b == 0.0:
        return 0.0
    return UNKNOWN if math.isnan(a) or math.isnan(b) else 1.0


def milliseconds(delay: Delay) -> int:
    """A delay in whole ms. Raises TypeError for one counted in samples: a group has none."""
    if isinstance(delay, Samples):
        raise TypeError("a group has no samples to count a delay in")
    return int(value(delay, {}))


def _at_least(args: Sequence[float]) -> float:
    n, votes = args[0], args[1:]
    sure = sum(1 for vote in votes if vote == 1.0)
    possible = sum(1 for vote in votes if vote != 0.0)  # NaN may still become true
    if sure >= n:
        return 1.0
    return UNKNOWN if possible >= n else 0.0


#: Operators that look at unknown operands themselves; for all others one unknown makes all unknown.
_KLEENE: dict[str, Callable[[Sequence[float]], float]] = {
    "and": lambda a: both(a[0], a[1]),
    "or": lambda a: negated(both(negated(a[0]), negated(a[1]))),
    "not": lambda a: negated(a[0]),
    "known": lambda a: float(not math.isnan(a[0])),
    "where": lambda a: a[0] if a[1] == 1.0 else UNKNOWN,
    "if": lambda a: UNKNOWN if math.isnan(a[0]) else a[1] if a[0] == 1.0 else a[2],
    "at_least": _at_least,
}

_PLAIN: dict[str, Callable[[Sequence[float]], float]] = {
    "add": lambda a: a[0] + a[1],
    "sub": lambda a: a[0] - a[1],
    "mul": lambda a: a[0] * a[1],
    "div": lambda a: a[0] / a[1],
    "neg": lambda a: -a[0],
    "abs": lambda a: abs(a[0]),
    "min": min,
    "max": max,
    "sqrt": lambda a: math.sqrt(a[0]),
    "exp": lambda a: math.exp(a[0]),
    "log": lambda a: math.log(a[0]),
    "clamp": lambda a: min(max(a[0], a[1]), a[2]),
    "lt": lambda a: float(a[0] < a[1]),
    "le": lambda a: float(a[0] <= a[1]),
    "eq": lambda a: float(a[0] == a[1]),
    "ne": lambda a: float(a[0] != a[1]),
    "gt": lambda a: float(a[0] > a[1]),
    "ge": lambda a: float(a[0] >= a[1]),
    "round_ms": lambda a: float(math.floor(a[0] + 0.5)),
}


def _apply(op: str, args: Sequence[float]) -> float:
    kleene = _KLEENE.get(op)
    if kleene is not None:
        return kleene(args)
    if any(math.isnan(arg) for arg in args):
        return UNKNOWN
    try:
        return _PLAIN[op](args)
    except (ArithmeticError, ValueError):  # division by zero and domain errors give unknown
        return UNKNOWN


@dataclass(slots=True)
class Timer:
    """A delay on a condition: it runs while that is true, pauses while unknown, ends when false."""

    since: int | None = None  # when the condition became true
    due: int | None = None  # when the delay runs out; None while it pauses or is off
    left: int = 0  # ms left while it pauses

    def step(self, condition: float, delay: int, now: int) -> bool:
        """Takes the truth at `now`; whether the condition has now been true for the delay."""
        if condition == 0.0:
            self.stop()
            return False
        if math.isnan(condition):
            if self.due is not None:
                self.left, self.due = self.due - now, None
            return False
        if self.since is None:
            self.since, self.left = now, delay
        if self.due is None:
            self.due = now + self.left
        return now >= self.due

    def stop(self) -> None:
        """Off: the next true starts it anew."""
        self.since, self.due, self.left = None, None, 0


@dataclass(slots=True)
class LevelState:
    """normal, pending, active, clearing: `active` and whether the timer runs tell them apart.

    The timer is that of `for` while the level is not active, else that of `clear_for`.
    """

    active: bool = False
    since: int = 0  # when the condition of the present activity began
    timer: Timer = field(default_factory=Timer)

    def step(self, level: Level, counts: Mapping[str, float], now: int) -> None:
        """One evaluation at `now`; nothing ends an active level while its `when` is true."""
        when = value(level.when, counts)
        if not self.active:
            raising = both(when, truth(level.only_if, counts))
            if self.timer.step(raising, milliseconds(level.delay), now):
                self.active = True
                self.since = now if self.timer.since is None else self.timer.since
                self.timer.stop()
        elif when == 1.0:
            self.timer.stop()
        elif self.timer.step(_clearing(level, when, counts), milliseconds(level.clear_delay), now):
            self.active = False
            self.timer.stop()

    def idle(self) -> bool:
        """Whether this state is the one of a level that was never evaluated."""
        return not self.active and self.timer.since is None

    def plain(self) -> list[object]:
        """Plain data for a snapshot."""
        return [self.active, self.since, self.timer.since, self.timer.due, self.timer.left]

    @classmethod
    def of(cls, data: Sequence[object]) -> LevelState:
        """The state that `plain` was called on. Raises ValueError when it is none."""
        match data:
            case [bool(active), int(since), int() | None as began, int() | None as due, int(left)]:
                return cls(active, since, Timer(began, due, left))
            case _:
                raise ValueError("not the state of a level")


def _clearing(level: Level, when: float, counts: Mapping[str, float]) -> float:
    if level.clear_when is not None:
        return value(level.clear_when, counts)
    return negated(when if level.moved is None else value(level.moved, counts))
