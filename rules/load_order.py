"""Which alarm asks for which: `active(RULE)` may go in no circle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rules.document import RuleDoc
from rules.errors import Problems
from rules.expression import active_calls
from rules.model import Pos, Rule
from rules.reader import Scalar
from rules.tree import ActiveRef, Expr, walk


def check_cycles(rules: Iterable[Rule], docs: Mapping[str, RuleDoc], problems: Problems) -> None:
    """Notes each circle of `active` once, at the reference in the first rule of it."""
    by_class: dict[str, dict[str, set[str]]] = {}
    for rule in rules:
        by_class.setdefault(rule.cls, {})[rule.id] = _asked(rule)
    at = {rule.id: rule.at for rule in rules}
    for asked in by_class.values():
        if not any(asked.values()):
            continue
        for circle in _circles(asked):
            first = next(name for name in asked if name in circle)
            target = next(name for name in sorted(asked[first]) if name in circle)
            where = _reference(docs.get(first), target) or at[first]
            way = " → ".join([first, *sorted(circle - {first}), first])
            problems.add(where, f"cycle: `{first}` asks whether `{target}` is active, "
                         f"which depends on `{first}` ({way})", "break it at one of the rules")


def _asked(rule: Rule) -> set[str]:
    exprs: list[Expr | None] = [rule.unless]
    for level in rule.levels:
        exprs += [level.when, level.clear_when, level.only_if]
    return {node.rule for expr in exprs if expr is not None
            for node in walk(expr) if isinstance(node, ActiveRef)}


def _circles(asked: Mapping[str, set[str]]) -> list[set[str]]:
    """The strongly connected parts that hold a circle (Tarjan's algorithm, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []
    for root in asked:
        if root in index:
            continue
        work = [(root, iter(sorted(asked[root] & asked.keys())))]
        index[root] = low[root] = len(index)
        stack.append(root)
        while work:
            name, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    work.append((other, iter(sorted(asked[other] & asked.keys()))))
                    break
                if other in stack:
                    low[name] = min(low[name], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    part = set(stack[stack.index(name):])
                    del stack[stack.index(name):]
                    if len(part) > 1 or name in asked[name]:
                        found.append(part)
    return found


def _reference(doc: RuleDoc | None, target: str) -> Pos | None:
    """Where a rule writes `active(target)`; None when a derived value does."""
    if doc is None:
        return None
    levels = [one for many in (doc.levels or {}).values() for one in many]
    scalars: list[Scalar | None] = [doc.unless]
    for one in (doc, *levels):
        scalars += [one.when, one.clear_when, one.only_if]
    for scalar in scalars:
        for name, at in active_calls(scalar.source()) if scalar is not None else ():
            if name == target:
                return at
    return None
