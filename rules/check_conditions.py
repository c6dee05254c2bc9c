"""Conditions put together, each with the parts that a deadband goes through."""

from __future__ import annotations

from rules.check_types import Checked, build
from rules.tree import Expr, Fn, Op, SpanCompare


def compared(op: str, left: Checked, right: Checked) -> Checked:
    """A comparison of numbers in one unit, or of codes."""
    out = build(Op(op, (left.expr, right.expr)), "bool", (left, right))
    out.parts = (op, (left, right)) if op in ("lt", "le", "gt", "ge") else None
    return out


def span_compared(op: str, span: Checked, limit: Checked) -> Checked:
    """A time span compared with a duration, both in ms."""
    out = build(span_expr(op, span.expr, limit.expr), "bool", (span, limit))
    out.parts = (op, (span, limit))
    return out


def span_expr(op: str, span: Expr, limit: Expr) -> Expr:
    """`since` and `age` change at exact instants, so they have a node of their own."""
    match span, op:
        case Fn(name="since" | "age"), "lt" | "le" | "gt" | "ge":
            return SpanCompare(op, span, limit)
        case _:
            return Op(op, (span, limit))


def negated(c: Checked) -> Checked:
    """`not c`."""
    out = build(Op("not", (c.expr,)), "bool", (c,))
    out.parts = ("not", (c,))
    return out


def chain(op: str, items: list[Checked]) -> Checked:
    """`and` or `or` of many as a balanced tree: its depth grows with the logarithm."""
    if len(items) == 1:
        return items[0]
    half = len(items) // 2
    left, right = chain(op, items[:half]), chain(op, items[half:])
    out = build(Op(op, (left.expr, right.expr)), "bool", (left, right))
    out.parts = (op, (left, right))
    return out
