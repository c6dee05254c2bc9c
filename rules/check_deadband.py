"""The deadband: a condition with its comparisons moved so that it stays true longer."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from rules.check_conditions import span_expr
from rules.check_types import Checked, Fail, converted, sort_of
from rules.model import Signal
from rules.tree import Const, Expr, Op, signals
from rules.units import Unit, as_float, parse

#: From a comparison's two sides and its limit: how far the limit moves (exact, or a tree), or None.
Distance = Callable[[Checked, Checked, Checked], Fraction | Expr | None]


def of_limit(share: Fraction) -> Distance:
    """A share of the limit's size. Raises Fail on a temperature level."""

    def distance(left: Checked, right: Checked, limit: Checked) -> Fraction | Expr | None:
        if left.level or right.level or (left.unit.temperature and left.sort == "either"):
            raise Fail(0, "a share of a temperature level has no meaning in a deadband",
                       "write an amount: deadband: 2 °C")  # fmt: skip
        if limit.exact is not None:
            return abs(limit.exact) * share
        return Op("mul", (Op("abs", (limit.expr,)), Const(as_float(share))))

    return distance


def of_range(share: Fraction, known: dict[str, Signal]) -> Distance:
    """A share of the range of the comparison's only signal that has one."""

    def distance(left: Checked, right: Checked, limit: Checked) -> Fraction | Expr | None:
        read = signals(left.expr) | signals(right.expr)
        ranged = [known[name] for name in read if name in known and _has_range(known[name])]
        if len(ranged) != 1:
            return None
        unit = parse(ranged[0].unit)
        if unit.dims != limit.unit.dims:
            return None
        width = Fraction(repr(ranged[0].high)) - Fraction(repr(ranged[0].low))
        return width * share * unit.factor(limit.unit)

    return distance


def _has_range(signal: Signal) -> bool:
    return math.isfinite(signal.low) and math.isfinite(signal.high)


def of_amount(amount: Checked) -> Distance:
    """An amount, for the comparisons whose unit it fits; of a temperature, a difference."""

    def distance(left: Checked, right: Checked, limit: Checked) -> Fraction | Expr | None:
        unit: Unit = limit.unit
        if amount.unit.dims != unit.dims:
            return None
        if amount.bare and (left.unit.ratio or right.unit.ratio):
            return None
        moved = converted(amount, unit, sort_of(unit, "difference"))
        return moved.exact if moved.exact is not None else moved.expr

    return distance


class Mover:
    """Moves the comparisons of one condition and counts them."""

    def __init__(self, distance: Distance) -> None:
        self.distance = distance
        self.moved = 0

    def move(self, c: Checked, sign: int = 1) -> Expr:
        """`c` so that it is true more easily (sign 1), or less easily (-1: below a `not`)."""
        if c.parts is None:
            return c.expr
        op, of = c.parts
        match op:
            case "and" | "or":
                return Op(op, (self.move(of[0], sign), self.move(of[1], sign)))
            case "not":
                return Op(op, (self.move(of[0], -sign),))
            case "where":
                return Op(op, (self.move(of[0], sign), of[1].expr))
            case "if":
                return Op(op, (of[0].expr, self.move(of[1], sign), self.move(of[2], sign)))
            case "at_least":
                assert isinstance(c.expr, Op)
                return Op(op, (c.expr.args[0], *(self.move(child, sign) for child in of)))
            case _:
                return self._comparison(c, op, of[0], of[1], sign)

    def _comparison(self, c: Checked, op: str, left: Checked, right: Checked, sign: int) -> Expr:
        on_left = not left.varies and right.varies
        limit = left if on_left else right
        distance = self.distance(left, right, limit)
        if distance is None:
            return c.expr
        self.moved += 1
        up = (op in ("lt", "le")) ^ on_left ^ (sign < 0)
        moved = _moved(limit, distance, up=up)
        if left.kind == "span":
            return span_expr(op, left.expr, moved)
        return Op(op, (moved, right.expr) if on_left else (left.expr, moved))


def _moved(limit: Checked, distance: Fraction | Expr, *, up: bool) -> Expr:
    """The limit plus or less a distance; exact where both are."""
    if isinstance(distance, Fraction):
        if limit.exact is not None:
            return Const(as_float(limit.exact + (distance if up else -distance)))
        distance = Const(as_float(distance))
    return Op("add" if up else "sub", (limit.expr, distance))
