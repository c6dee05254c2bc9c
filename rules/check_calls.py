"""Calls of functions: which form is meant, what its arguments must be, what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from rules.check_types import (
    MILLISECOND,
    SECOND,
    Checked,
    Fail,
    build,
    described,
    difference,
    literal,
    plain,
    sort_of,
    unify,
)
from rules.errors import near
from rules.functions import FUNCTIONS, Function
from rules.functions import Form as CallForm
from rules.grammar import Call, Compare, Name, Node, Number
from rules.tree import ActiveRef, Clock, Const, Expr, Fn, Form, Op
from rules.units import combine, root

if TYPE_CHECKING:
    from rules.check import Checker

_MEANT = {
    "average": "mean", "avg": "mean", "stddev": "std", "slope": "rate", "derivative": "rate",
    "integral": "total", "duration": "held", "previous": "prev", "diff": "change", "good": "known",
    "valid": "known", "is_known": "known", "elapsed": "since", "when": "at",
}  # fmt: skip
_CHANGING = ("hour", "weekday", "active")
_INFINITE, _ZERO = Const(float("inf")), Const(0.0)


def call(checker: Checker, node: Call) -> Checked:
    """A checked call."""
    function = FUNCTIONS.get(node.name)
    if function is None:
        meant = _MEANT.get(node.name)
        fix = f"did you mean `{meant}`?" if meant else near(node.name, FUNCTIONS)
        raise Fail(node.at, f"unknown function `{node.name}`", fix)
    form = _form(function, node)
    of_values = not function.stateful or form.more
    if checker.constant and (not of_values or function.name in _CHANGING):
        raise Fail(node.at, f"`{node.name}` changes: a duration is a literal or an attribute",
                   "or made of several by + - * / min max")  # fmt: skip
    if not of_values:
        checker.count(node.at, 1)
    args = [item for _, item in node.items]
    special = _SPECIAL.get(node.name)
    if special is not None:
        return special(checker, node, args)
    if form.more:
        return _extreme(checker, node, args)
    return _stateful(checker, function, form, args)


def _form(function: Function, node: Call) -> CallForm:
    """The form that the arguments have, or Fail."""
    pattern = tuple(word for word, _ in node.items)
    for form in function.forms:
        wanted = form.pattern
        if pattern == wanted:
            return form
        more = pattern[len(wanted) :]
        if form.more and pattern[: len(wanted)] == wanted and all(word == "," for word in more):
            return form
    raise Fail(node.at, f"expected {function.signature}")


def _argument(checker: Checker, role: str, node: Node) -> Checked:
    match role:
        case "condition":
            return checker.condition(node)
        case "number":
            return checker.number(node)
        case "value":
            return checker.value(node)
        case "sampled":
            found = checker.check(node)
            return found if found.kind == "events" else checker.value(node)
        case _:
            return checker.duration(node, window=role == "window")


def _stateful(checker: Checker, function: Function, form: CallForm, nodes: list[Node]) -> Checked:
    """A function of time by its row in the table."""
    given = [_argument(checker, r, n) for r, n in zip(form.roles, nodes, strict=True)]
    timed = [r in ("window", "duration") for r in form.roles]
    args = tuple(a for a, t in zip(given, timed, strict=True) if not t)
    durations: tuple[Expr, ...] = tuple(a.expr for a, t in zip(given, timed, strict=True) if t)
    shape: Form = "plain"
    if function.windowed:
        shape = "over" if durations else "since"
        if len(durations) == 1:
            durations = (*durations, _ZERO)
    samples = args[0].samples if args else frozenset()
    if shape == "plain" and form.roles[0] == "condition":
        samples = samples.union(*[a.samples for a in args])
    fn = Fn(function.name, tuple(a.expr for a in args), durations, samples, shape)
    return _result(function, fn, tuple(given), nodes)


def _result(function: Function, fn: Fn, of: tuple[Checked, ...], nodes: list[Node]) -> Checked:
    """What comes out of a function of time, by its row in the table."""
    x = of[0] if of else Checked(_ZERO, "number")
    if x.level and function.name in ("sum", "total"):
        raise Fail(nodes[0].at, f"the {function.name} of a temperature level has no meaning",
                   "take a difference first: t - 20 °C")  # fmt: skip
    unit = x.unit
    match function.result:
        case "same":
            out = build(fn, x.kind, of, unit, x.sort)
            out.names, out.titles = x.names, x.titles
        case "difference":
            out = build(fn, "number", of, unit, sort_of(unit, "difference"))
        case "times a second" | "by a second":
            unit = combine(unit, SECOND, 1 if function.result == "times a second" else -1)
            out = build(fn, "number", of, unit, sort_of(unit, "difference"))
        case "plain":
            out = build(fn, "number", of)
        case "condition":
            out = build(fn, "bool", of)
        case "span":
            out = build(fn, "span", of, MILLISECOND)
        case _:      # seconds, of lag in ms
            out = build(Op("mul", (fn, Const(0.001))), "number", of, SECOND)
    out.functions += 1
    out.varies = True
    return out


# functions of values ------------------------------------------------------------------------------


def _no_level(x: Checked, at: int) -> Checked:
    if x.level:
        raise Fail(at, "a temperature level cannot stand here: its zero is a convention",
                   "take a difference first: t - 20 °C")  # fmt: skip
    return x


def _abs(checker: Checker, _node: Call, args: list[Node]) -> Checked:
    x = _no_level(checker.number(args[0]), args[0].at)
    if x.exact is not None:
        return literal(abs(x.exact), x.unit, x.sort, bare=x.bare)
    sort = sort_of(x.unit, "difference")
    return replace(build(Op("abs", (x.expr,)), "number", (x,), x.unit, sort), bare=x.bare)


def _sqrt(checker: Checker, _node: Call, args: list[Node]) -> Checked:
    x = plain(_no_level(checker.number(args[0]), args[0].at))
    unit = root(x.unit)
    if unit is None:
        raise Fail(args[0].at, f"sqrt of {described(x)}: its unit has no square root",
                   "the unit must be a square, such as m²/s²")  # fmt: skip
    factor = x.unit.scale
    inner: Expr = x.expr if factor == 1 else Op("mul", (x.expr, Const(float(factor))))
    return build(Op("sqrt", (inner,)), "number", (x, x), unit, sort_of(unit, "difference"))


def _of_plain(checker: Checker, node: Call, args: list[Node]) -> Checked:
    x = plain(checker.number(args[0]))
    if x.unit.dims:
        raise Fail(args[0].at, f"{node.name} takes a plain number, found {described(x)}",
                   f"divide it by something in {x.unit.text}")  # fmt: skip
    return build(Op(node.name, (x.expr,)), "number", (x,))


def _together(checker: Checker, nodes: list[Node]) -> list[Checked]:
    """Numbers in the unit of the first that has one."""
    found = [checker.number(node) for node in nodes]
    lead = next((i for i, x in enumerate(found) if not x.bare), 0)
    # twice: a temperature that may be either takes the sort of a later one
    for _ in range(2 if found[lead].unit.temperature else 1):
        for i, x in enumerate(found):
            if i != lead:
                found[lead], found[i] = unify(found[lead], x, nodes[lead].at, nodes[i].at)
    return found


def _extreme(checker: Checker, node: Call, args: list[Node]) -> Checked:
    """`min` and `max` of several values."""
    found = _together(checker, args)
    exact = [x.exact for x in found if x.exact is not None]
    unit, sort, bare = found[0].unit, found[0].sort, all(x.bare for x in found)
    if len(exact) == len(found):
        return literal((min if node.name == "min" else max)(exact), unit, sort, bare=bare)
    exprs = tuple(x.expr for x in found)
    return replace(build(Op(node.name, exprs), "number", tuple(found), unit, sort), bare=bare)


def _clamp(checker: Checker, _node: Call, args: list[Node]) -> Checked:
    found = _together(checker, args)
    exprs = tuple(x.expr for x in found)
    out = build(Op("clamp", exprs), "number", tuple(found), found[0].unit, found[0].sort)
    return replace(out, bare=all(x.bare for x in found))


def _if(checker: Checker, _node: Call, args: list[Node]) -> Checked:
    c, a, b = checker.condition(args[0]), checker.value(args[1]), checker.value(args[2])
    if a.kind != b.kind or (a.kind == "states" and a.names != b.names):
        raise Fail(args[2].at, f"both choices must be of one kind, found {described(a)} and "
                               f"{described(b)}")  # fmt: skip
    if a.kind == "number":
        a, b = unify(a, b, args[1].at, args[2].at)
    out = build(Op("if", (c.expr, a.expr, b.expr)), a.kind, (c, a, b), a.unit, a.sort)
    out.names, out.titles, out.bare = a.names, a.titles, a.bare and b.bare
    out.parts = ("if", (c, a, b)) if a.kind == "bool" else None
    return out


def _known(checker: Checker, _node: Call, args: list[Node]) -> Checked:
    x = checker.value(args[0])
    return build(Op("known", (x.expr,)), "bool", (x,))


def _at_least(checker: Checker, _node: Call, args: list[Node]) -> Checked:
    n = args[0]
    if not isinstance(n, Number) or n.unit or n.value.denominator != 1 or n.value < 1:
        raise Fail(n.at, "expected a whole number from 1 on", "write at_least(2 of a, b, c)")
    found = tuple(checker.condition(arg) for arg in args[1:])
    if n.value > len(found):
        raise Fail(n.at, f"{n.value} of {len(found)} conditions can never be true")
    exprs = (Const(float(n.value)), *(c.expr for c in found))
    out = build(Op("at_least", exprs), "bool", found)
    out.parts = ("at_least", found)
    return out


def _active(checker: Checker, _node: Call, args: list[Node]) -> Checked:
    rule = args[0]
    name = rule.name if isinstance(rule, Name) else ""
    if name not in checker.rules:
        found = f"unknown rule `{name}`" if name else "expected the id of a rule: active(tank.high)"
        raise Fail(rule.at, found, near(name, checker.rules))
    return Checked(ActiveRef(name), "bool", varies=True)


def _clock(_checker: Checker, node: Call, _args: list[Node]) -> Checked:
    clock = Clock("hour" if node.name == "hour" else "weekday")
    return Checked(clock, "number", varies=True)


# functions of time of their own -------------------------------------------------------------------


def _cusum(checker: Checker, node: Call, args: list[Node]) -> Checked:
    reset_node = args[-1] if node.items[-1][0] == "since" else None
    numbers = args[:-1] if reset_node is not None else args
    x = checker.number(numbers[0])
    x, target = unify(x, checker.number(numbers[1]), numbers[0].at, numbers[1].at)
    bounds = [difference(checker.number(n), x, n.at, args[0].at) for n in numbers[2:]]
    given = [x, target, *bounds]
    exprs = [g.expr for g in given]
    if len(bounds) == 1:
        exprs.append(_INFINITE)
    if reset_node is not None:
        given.append(checker.condition(reset_node))
        exprs.append(given[-1].expr)
    else:
        exprs.append(_ZERO)
    fn = Fn(node.name, tuple(exprs), (), x.samples)
    return _result(FUNCTIONS[node.name], fn, tuple(given), args)


def _time_to(checker: Checker, _node: Call, args: list[Node]) -> Checked:
    compare = args[0]
    if not isinstance(compare, Compare) or [op for op, _ in compare.ops] not in (["<"], [">"]):
        raise Fail(compare.at, "expected a comparison: time_to(x > limit over W)")
    a, b = compare.items
    x, limit = unify(checker.number(a), checker.number(b), a.at, b.at)
    above = compare.ops[0][0] == ">"
    if x.exact is not None or not x.varies:
        x, limit, above = limit, x, not above
    width = checker.duration(args[1], window=True)
    name = "time_to_above" if above else "time_to_below"
    fn = Fn(name, (x.expr, limit.expr), (width.expr,), x.samples)
    return _result(FUNCTIONS["time_to"], fn, (x, limit, width), args)


_SPECIAL: dict[str, Callable[[Checker, Call, list[Node]], Checked]] = {
    "abs": _abs, "sqrt": _sqrt, "exp": _of_plain, "log": _of_plain, "clamp": _clamp, "if": _if,
    "known": _known, "at_least": _at_least, "active": _active, "hour": _clock, "weekday": _clock,
    "cusum": _cusum, "cusum_low": _cusum, "time_to": _time_to,
}  # fmt: skip
