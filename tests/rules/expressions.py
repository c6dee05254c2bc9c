"""Names of a tank, and trees in one line, for the tests of expressions."""

from __future__ import annotations

from rules.errors import Problems
from rules.expression import Scope, SourceText, condition
from rules.model import Attribute, Pos, Signal
from rules.tree import AttributeRef, Const, Expr, Fn, Op, SignalRef, SpanCompare

AT = Pos("tank.yaml", 23, 9)
SIGNALS = {
    signal.name: signal
    for signal in [
        Signal("level", "number", "m", low=0.0, high=10.0), Signal("pressure", "number", "bar"),
        Signal("inlet", "number", "MPa"), Signal("temp", "number", "°C", low=-40.0, high=160.0),
        Signal("kelvin", "number", "K"), Signal("hum", "number", "%"), Signal("x", "number"),
        Signal("y", "number"), Signal("flow", "number", "m³/h"), Signal("pump", "bool"),
        Signal("on", "bool"), Signal("rot", "number", "rpm"),
        Signal("mode", "states", names={"off": 0, "on": 1, "yes": 2, "over": 3}),
        Signal("code", "events", names={"opened": 1, "closed": 2}),
    ]
}  # fmt: skip
ATTRIBUTES = {
    attribute.name: attribute
    for attribute in [
        Attribute("h_max", "number", "m"), Attribute("t_max", "number", "°C"),
        Attribute("dt", "number", "K"), Attribute("mop", "number", "bar"),
        Attribute("wait", "number", "s"), Attribute("area", "text"), Attribute("indoor", "bool"),
        Attribute("mount", "states", names={"rigid": 0, "flexible": 1}),
    ]
}  # fmt: skip
DERIVED = {
    "full": "level > h_max", "quiet": "since(pump)", "wrong": "levl > 3 m", "ring": "round + 1",
    "round": "ring + 1", **{f"e{i}": f"e{i - 1} + e{i - 1}" for i in range(1, 40)}, "e0": "x",
    **{f"n{i}": f"((((((n{i - 1} + 1))))))" for i in range(1, 300)}, "n0": "x",
}  # fmt: skip


def source(text: str) -> SourceText:
    return SourceText(text, AT)


def scope(*, counts: bool = False) -> Scope:
    at = Pos("tank.yaml", 4, 20)
    derived = {name: SourceText(text, at) for name, text in DERIVED.items()}
    return Scope("tank", SIGNALS, ATTRIBUTES, derived, frozenset({"tank.high"}), counts=counts)


def good(text: str) -> Expr:
    problems = Problems()
    found = condition(source(text), scope(), problems)
    assert [str(problem) for problem in problems] == []
    assert found is not None
    return found


def bad(text: str, *, counts: bool = False) -> str:
    """The one problem of a condition."""
    problems = Problems()
    assert condition(source(text), scope(counts=counts), problems) is None
    [problem] = problems
    return str(problem)


def shown(e: Expr) -> str:
    """A tree in one line."""
    match e:
        case Const(value=value):
            return f"{value:g}"
        case SignalRef(name=name) | AttributeRef(name=name):
            return name
        case Op(op=op, args=args):
            return f"{op}({', '.join(map(shown, args))})"
        case Fn(name=name, args=args, durations=durations):
            return f"{name}[{', '.join(map(shown, args + durations))}]"
        case SpanCompare(op=op, span=span, limit=limit):
            return f"span_{op}({shown(span)}, {shown(limit)})"
        case _:
            return str(e)
