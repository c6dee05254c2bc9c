"""Expressions of documents: from a text and its place to a checked tree, or a reported problem.

Names are those of a class (`Scope`). Every function here reports at most one error an expression,
at its line and column, and then returns None.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from rules.check import Checker
from rules.check_deadband import Distance, Mover, of_amount, of_limit, of_range
from rules.check_types import Checked, Fail, converted, described, sort_of
from rules.errors import Invalid, Problems
from rules.grammar import parse
from rules.model import Attribute, Kind, Pos, Signal, Text
from rules.tree import Expr
from rules.units import milliseconds, quantity
from rules.units import parse as parse_unit

__all__ = [
    "Checked", "DerivedSource", "Scope", "SourceText", "Typed", "active_calls", "condition",
    "condition_with_deadband", "deadband", "duration", "milliseconds", "number", "quantity",
    "value",
]  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True)
class SourceText:
    """An expression's text and where its first character stands.

    columns: the place of each character, for texts over several lines or with escapes; else all
    are on one line.
    """

    text: str
    at: Pos
    columns: tuple[Pos, ...] | None = None

    def pos(self, column: int) -> Pos:
        """The place of the character `column` (from 0), or of the end."""
        if self.columns:
            if column < len(self.columns):
                return self.columns[column]
            last = self.columns[-1]
            return Pos(last.path, last.line, last.column + 1)
        return Pos(self.at.path, self.at.line, self.at.column + column)


#: A named expression of a class, as written.
DerivedSource = SourceText


@dataclass
class Scope:
    """The names that an expression may use. `rules` are the ids usable in active().

    counts: of a group; its only names are alarms, assets, rules, active, active_assets and share.
    Derived names are checked when first used, once, and kept here.
    """

    cls: str
    signals: dict[str, Signal]
    attributes: dict[str, Attribute]
    derived: dict[str, DerivedSource]
    rules: frozenset[str]
    counts: bool = False
    _derived: dict[str, Checked | None] = field(default_factory=dict, init=False, repr=False)
    _leaves: dict[str, Checked] = field(default_factory=dict, init=False, repr=False)
    _open: list[str] = field(default_factory=list, init=False, repr=False)

    def checker(self, problems: Problems) -> Checker:
        """A checker of one expression with these names."""
        return Checker(
            self.signals, self.attributes, lambda name: self._named(name, problems),
            self.derived, self.rules, self._leaves, counts=self.counts,
        )  # fmt: skip

    def _named(self, name: str, problems: Problems) -> Checked:
        """A derived name, checked. An error in it is reported there; the user fails silently."""
        if name in self._open:
            cycle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise Fail(-1, f"`{name}` depends on itself, a cycle: {cycle}")
        if name not in self._derived:
            source = self.derived[name]
            self._open.append(name)
            try:
                self._derived[name] = _reported(
                    source, problems, lambda: self.checker(problems).check(parse(source.text))
                )
            finally:
                self._open.pop()
        found = self._derived[name]
        if found is None:
            raise Fail(-1, f"`{name}` has an error", silent=True)
        return found


@dataclass(frozen=True)
class Typed:
    """An expression to be shown: its tree, kind, unit ("ms" of a time span), titles of states."""

    expr: Expr
    kind: Kind
    unit: str
    titles: dict[int, Text]


def _reported(source: SourceText, problems: Problems, work: Callable[[], T]) -> T | None:
    """What `work` returns, or None with its error noted at its place."""
    try:
        return work()
    except Fail as error:
        if not error.silent:
            problems.add(source.pos(max(error.column, 0)), error.message, error.fix)
    except Invalid as error:
        problems.add(source.pos(error.column), error.message, error.fix)
    except RecursionError:
        problems.add(source.at, "nested too deeply once all names are put in",
                     "use fewer names within names")  # fmt: skip
    return None


def _condition(source: SourceText, scope: Scope, problems: Problems) -> Checked | None:
    return _reported(
        source, problems, lambda: scope.checker(problems).condition(parse(source.text))
    )


def condition(source: SourceText, scope: Scope, problems: Problems) -> Expr | None:
    """A condition; it may be constant, as `unless: false`."""
    found = _condition(source, scope, problems)
    return found.expr if found is not None else None


def number(
    source: SourceText,
    scope: Scope,
    problems: Problems,
    unit: str | None = None,
    difference: bool = False,
) -> Expr | None:
    """A number, in `unit` if given (a bare literal is in it already)."""

    def work() -> Expr:
        found = scope.checker(problems).number(parse(source.text))
        if unit is None:
            return found.expr
        to = parse_unit(unit)
        if found.bare:
            return found.expr
        if found.unit.dims != to.dims:
            raise Fail(0, f"the unit of {described(found)} does not fit {to.shown}",
                       f"something in {to.shown} would fit")  # fmt: skip
        wanted = sort_of(to, "difference" if difference else "level")
        if found.sort not in (wanted, "either", ""):
            raise Fail(0, f"expected a temperature {wanted}, found {described(found)}")
        return converted(found, to, wanted).expr

    return _reported(source, problems, work)


def value(source: SourceText, scope: Scope, problems: Problems) -> Typed | None:
    """Anything that can be shown: a number, condition, state, text, or a time span alone."""

    def work() -> Typed:
        found = scope.checker(problems).check(parse(source.text))
        match found.kind:
            case "span":
                return Typed(found.expr, "number", "ms", {})
            case "number" | "bool" | "states" | "text":
                return Typed(found.expr, found.kind, found.unit.text, found.titles)
            case _:
                raise Fail(0, f"a value is expected, found {described(found)}")

    return _reported(source, problems, work)


def duration(source: SourceText, scope: Scope, problems: Problems) -> Expr | None:
    """A constant duration in whole ms: Const, or Op("round_ms", …) with attributes."""

    def work() -> Expr:
        return scope.checker(problems).duration(parse(source.text)).expr

    return _reported(source, problems, work)


_OF = re.compile(r"(?P<share>.*?)\s*\bof\s+(?P<what>\w+)\s*", re.DOTALL)


def _distance(source: SourceText, scope: Scope, problems: Problems) -> Distance:
    """How far a deadband moves a limit. Raises Invalid."""
    of = _OF.fullmatch(source.text)
    checker = scope.checker(problems)
    checker.constant = True
    amount = checker.number(parse(of["share"] if of else source.text))
    if amount.exact is not None and amount.exact < 0:
        raise Fail(0, "a deadband cannot be negative")
    if of is None:
        return of_amount(amount)
    if of["what"] not in ("limit", "range"):
        raise Fail(of.start("what"), f"a deadband of `{of['what']}` is unknown",
                   "write `2 % of limit`, `2 % of range`, or an amount: 0.1 MPa")  # fmt: skip
    if amount.exact is None or amount.unit.dims or not amount.unit.ratio:
        raise Fail(0, f"expected a share such as 2 %, found {described(amount)}",
                   "write `2 % of limit`, or the amount alone")  # fmt: skip
    share: Fraction = amount.exact * amount.unit.scale
    return of_limit(share) if of["what"] == "limit" else of_range(share, scope.signals)


def deadband(
    source: SourceText, when: Checked, scope: Scope, problems: Problems
) -> Expr | None:
    """`when` with each ordering comparison moved by the deadband, so that it stays true longer."""

    def work() -> Expr:
        mover = Mover(_distance(source, scope, problems))
        moved = mover.move(when)
        if not mover.moved:
            raise Fail(0, "the deadband moves nothing: no comparison of `when` fits it",
                       "a deadband needs a comparison with < <= > >= outside functions of time, "
                       "in its unit; `of range` one signal with a range")  # fmt: skip
        return moved

    return _reported(source, problems, work)


def condition_with_deadband(
    when_source: SourceText, deadband_source: SourceText | None, scope: Scope, problems: Problems
) -> tuple[Expr, Expr | None] | None:
    """A `when` and, with a deadband, that `when` moved. Refused when nothing in it can change."""

    def work() -> Checked:
        found = scope.checker(problems).condition(parse(when_source.text))
        if not found.varies:
            raise Fail(0, "no signal in this condition, so it can never change",
                       "compare a signal with the limit")  # fmt: skip
        return found

    when = _reported(when_source, problems, work)
    if when is None:
        return None
    if deadband_source is None:
        return when.expr, None
    return when.expr, deadband(deadband_source, when, scope, problems)


_ACTIVE = re.compile(r"\bactive\s*\(\s*([\w.]+)")


def active_calls(source: SourceText) -> list[tuple[str, Pos]]:
    """The rules that an expression names in active(…), each with the place of the call."""
    return [(found[1], source.pos(found.start())) for found in _ACTIVE.finditer(source.text)]
