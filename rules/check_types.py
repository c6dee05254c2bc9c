"""What is known of a checked expression besides its tree: kind, unit, exact value, sources.

A temperature is a level (`t`), a difference (`delta(t …)`) or either: an attribute or a literal in
°C becomes what it meets. Literals stay fractions until the end, so they are converted exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from rules.errors import Invalid
from rules.model import Kind, Text
from rules.tree import Const, Expr, Op
from rules.units import PLAIN, Unit, as_float, combine, parse

#: `span` is a time to be compared with a duration (ms), `quoted` a text in quotes.
CheckedKind = Kind | Literal["span", "quoted"]
Sort = Literal["", "level", "difference", "either"]

MAX_HEIGHT = 100        # of a tree with its derived names put in: walks over it are recursive
MAX_SIZE = 10_000       # nodes
MAX_FUNCTIONS = 64      # of time

_KINDS = {
    "bool": "a condition", "states": "a state", "events": "a signal of events", "text": "a text",
    "quoted": "a quoted text", "span": "a time span",
}  # fmt: skip
SECOND, MILLISECOND = parse("s"), parse("ms")
NOTHING: frozenset[str] = frozenset()


class Fail(Invalid):
    """The first error of an expression; `silent` when it was reported elsewhere already."""

    def __init__(self, at: int, message: str, fix: str = "", *, silent: bool = False) -> None:
        super().__init__(message, fix, at)
        self.silent = silent


@dataclass(slots=True, eq=False)
class Checked:
    """An expression that was found right.

    exact: the value in `unit` of a literal or of literals joined. bare: a literal without unit.
    samples: signals whose messages make samples of it. varies: it is not made of literals and
    attributes alone. parts: of a condition that a deadband goes through, the operator and its typed
    operands. size, height: of the tree; functions: of time in it. quoted: the text in quotes.
    """

    expr: Expr
    kind: CheckedKind
    unit: Unit = PLAIN
    sort: Sort = ""
    exact: Fraction | None = None
    bare: bool = False
    names: dict[str, int] | None = None
    titles: dict[int, Text] = field(default_factory=dict)
    samples: frozenset[str] = NOTHING
    varies: bool = False
    functions: int = 0
    size: int = 1
    height: int = 1
    quoted: str = ""
    parts: tuple[str, tuple[Checked, ...]] | None = None

    @property
    def level(self) -> bool:
        """Whether this is a temperature level and nothing else."""
        return self.sort == "level"


def build(
    expr: Expr,
    kind: CheckedKind,
    of: tuple[Checked, ...],
    unit: Unit = PLAIN,
    sort: Sort = "",
) -> Checked:
    """A node over `of`. Raises Fail (column -1: the caller's) when it grows too large."""
    out = Checked(expr, kind, unit, sort)
    for child in of:
        if child.samples and child.samples != out.samples:
            out.samples = out.samples | child.samples if out.samples else child.samples
        out.size += child.size
        out.functions += child.functions
        out.varies |= child.varies
        out.height = max(out.height, child.height + 1)
    if out.size > MAX_SIZE or out.height > MAX_HEIGHT:
        raise Fail(-1, f"too large once all names are put in: at most {MAX_SIZE:,} parts and "
                       f"{MAX_HEIGHT} levels", "use fewer names within names")  # fmt: skip
    return out


def difference(x: Checked, like: Checked, at: int, at_like: int) -> Checked:
    """`x` as a difference in the unit of `like` (a slack, a deadband)."""
    if x.bare and not like.bare and _needs_unit(like):
        if x.exact != 0:
            raise _missing(x, like, at)
        return replace(x, unit=like.unit, sort=sort_of(like.unit, "difference"), bare=False)
    if x.unit.dims != like.unit.dims:
        raise misfit(like, x, at_like, at)
    if x.level:
        raise Fail(at, "a temperature level stands where a difference is expected")
    return converted(x, like.unit, sort_of(like.unit, "difference"))


def literal(value: Fraction, unit: Unit = PLAIN, sort: Sort = "", *, bare: bool = False) -> Checked:
    """A literal, or the exact outcome of literals."""
    return Checked(Const(as_float(value)), "number", unit, sort, value, bare)


def sort_of(unit: Unit, sort: Sort = "either") -> Sort:
    """The sort of something in that unit: none unless it is a temperature."""
    return sort if unit.temperature else ""


def scaled(x: Checked, factor: Fraction, unit: Unit, sort: Sort = "") -> Checked:
    """`x` times a factor, in another unit."""
    if x.exact is not None:
        return literal(x.exact * factor, unit, sort)
    if factor == 1:
        return replace(x, unit=unit, sort=sort, parts=None)
    return build(Op("mul", (x.expr, Const(as_float(factor)))), "number", (x,), unit, sort)


def converted(x: Checked, unit: Unit, sort: Sort) -> Checked:
    """`x` in another unit of the same dimensions, as a level (offset counts) or a difference."""
    if x.unit is unit:
        return _as(x, sort)
    shift = x.unit.shift(unit) if sort == "level" else Fraction(0)
    factor = x.unit.factor(unit)
    if x.exact is not None:
        return literal(x.exact * factor + shift, unit, sort)
    out = scaled(x, factor, unit, sort)
    if shift:
        moved = Op("add", (out.expr, Const(as_float(shift))))
        out = build(moved, "number", (out,), unit, sort)
    return out


def plain(x: Checked) -> Checked:
    """A share (%, ppm) as the factor that it stands for; anything else as it is."""
    return scaled(x, x.unit.scale, PLAIN) if x.unit.ratio else x


def unify(left: Checked, right: Checked, at_left: int, at_right: int) -> tuple[Checked, Checked]:
    """Both in the left one's unit, to be compared or joined (`min`, `if`).

    Raises Fail where units do not fit or are missing.
    """
    if left.bare and not right.bare and _needs_unit(right):
        left = _zero(left, right, at_left)
    elif right.bare and not left.bare and _needs_unit(left):
        right = _zero(right, left, at_right)
    if left.unit is right.unit and left.sort == right.sort:
        return left, right
    if left.unit.dims != right.unit.dims:
        raise misfit(left, right, at_left, at_right)
    if {left.sort, right.sort} == {"level", "difference"}:
        raise Fail(at_right, "a temperature level cannot meet a temperature difference",
                   "compare levels with levels; delta, rate, std and t - t2 are differences")
    sort: Sort = left.sort if left.sort in ("level", "difference") else right.sort
    if sort == "either" and left.unit.offset != right.unit.offset:
        raise _cannot_tell(right, at_right, left.unit)
    if left.unit.scale == right.unit.scale and left.unit.offset == right.unit.offset:
        return _as(left, sort), _as(right, sort)
    return _as(left, sort), converted(right, left.unit, sort)


def _as(x: Checked, sort: Sort) -> Checked:
    return x if x.sort == sort else replace(x, sort=sort)


def _needs_unit(x: Checked) -> bool:
    """Whether what meets `x` must have a unit."""
    return bool(x.unit.dims) or x.unit.ratio


def _zero(x: Checked, other: Checked, at: int) -> Checked:
    """A bare number beside something with a unit: only 0 needs no unit, of a level even that."""
    if x.exact != 0 or other.level:
        raise _missing(x, other, at)
    return replace(x, unit=other.unit, sort=other.sort, bare=False)


def _missing(x: Checked, other: Checked, at: int) -> Fail:
    """The error of a bare number where a unit is needed."""
    fix = f"write {float(x.exact):g} {other.unit.text}" if x.exact is not None else ""
    return Fail(at, f"unit missing: this number meets {described(other)}", fix)


def described(x: Checked) -> str:
    """What `x` is, for an error message."""
    if x.kind != "number":
        return _KINDS[x.kind]
    if x.level:
        return f"a temperature level in {x.unit.shown}"
    if x.sort == "difference":
        return f"a temperature difference in {x.unit.shown}"
    return f"a number in {x.unit.shown}" if x.unit.text else "a plain number"


def misfit(left: Checked, right: Checked, at_left: int, at_right: int) -> Fail:
    """The error of two units that do not fit, at the literal, else at the right one."""
    at, wrong, other = at_right, right, left
    if left.exact is not None and right.exact is None:
        at, wrong, other = at_left, left, right
    fits = "a plain number" if not other.unit.dims else f"something in {other.unit.shown}"
    return Fail(at, f"the unit of {described(wrong)} does not fit {described(other)}",
                f"{fits} would fit")


def product(left: Checked, right: Checked, sign: int, at_left: int, at_right: int) -> Checked:
    """`left * right` or `left / right`."""
    for x, at in ((left, at_left), (right, at_right)):
        if x.level:
            raise Fail(at, "a temperature level cannot be multiplied or divided",
                       "take a difference first: t - 20 °C")
    left, right = plain(left), plain(right)
    unit = combine(left.unit, right.unit, sign)
    sort = sort_of(unit, "difference")
    if left.exact is not None and right.exact is not None and (sign > 0 or right.exact != 0):
        value = left.exact * right.exact if sign > 0 else left.exact / right.exact
        out = literal(value, unit, sort, bare=left.bare and right.bare)
    else:
        op = "mul" if sign > 0 else "div"
        out = build(Op(op, (left.expr, right.expr)), "number", (left, right), unit, sort)
    if not unit.dims and (unit.scale != 1 or unit.symbols):
        out = scaled(out, unit.scale, PLAIN)
    return out


def total(left: Checked, right: Checked, sign: int, at_left: int, at_right: int) -> Checked:
    """`left + right` or `left - right`, in the left one's unit."""
    sort: Sort = ""
    if left.unit.temperature and right.unit.temperature:
        left, right, sort = _temperatures(left, right, sign, at_right)
    else:
        left, right = unify(left, right, at_left, at_right)
        sort = left.sort
        if sort == "level":      # a bare 0 was refused, so both are levels here
            raise Fail(at_right, "a temperature level and a plain number cannot be added")
    if left.exact is not None and right.exact is not None:
        value = left.exact + sign * right.exact
        return literal(value, left.unit, sort, bare=left.bare and right.bare)
    op = "add" if sign > 0 else "sub"
    return build(Op(op, (left.expr, right.expr)), "number", (left, right), left.unit, sort)


def _temperatures(
    left: Checked, right: Checked, sign: int, at_right: int
) -> tuple[Checked, Checked, Sort]:
    """Both operands of a sum of temperatures in one unit, and what comes out."""
    a, b = left.sort, right.sort
    unit = left.unit
    if sign > 0:
        if a == b == "level":
            raise Fail(at_right, "a temperature level cannot be added to another level",
                       "add a difference, or take the mean: mean of t and t2 is t + (t2 - t) / 2")
        if b == "level":
            return left, converted(right, unit, "level"), "level"
        return left, converted(right, unit, "difference"), a if a != "difference" else b
    if b == "level":
        if a == "difference":
            raise Fail(at_right, "a temperature level cannot be taken from a difference")
        return left, converted(right, unit, "level"), "difference"
    if a == "level" and b == "either" and right.unit.offset:     # in K it is a difference
        if right.unit.offset != unit.offset:
            raise _cannot_tell(right, at_right, unit)
        a = "either"         # `t - 20 °C` is 60 °C, whether 20 °C is a level or a difference
    return left, converted(right, unit, "difference"), a


def _cannot_tell(x: Checked, at: int, unit: Unit) -> Fail:
    """The error of a temperature that would mean two things once converted."""
    return Fail(at, f"cannot tell whether this is a temperature level or a difference: "
                    f"{described(x)} meets {unit.text}", f"write it in {unit.text}")  # fmt: skip
