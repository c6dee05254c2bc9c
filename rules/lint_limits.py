"""Findings about limits: hysteresis, ranges, levels that hide one another."""

from __future__ import annotations

from collections.abc import Iterator

from rules.intervals import decided
from rules.lint_places import Found, Subject, levels, named, present
from rules.model import AssetClass, Level, Samples
from rules.show import fixed, immediate
from rules.tree import AttributeRef, Const, Expr, Fn, Op, SignalRef, children, signals, walk

_ORDER = frozenset({"lt", "le", "gt", "ge"})
_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}

#: Functions whose value goes up or down in steps that do not tremble.
_STEPS = frozenset({"count", "times", "increase", "age", "since", "held", "lag"})


def no_hysteresis(subject: Subject) -> Iterator[Found]:
    """A level that ends as soon as an analogue comparison does."""
    if subject.cls is None:
        return
    for level, name, at in levels(subject):
        bare = level.clear_when is None and level.moved is None and immediate(level.clear_delay)
        compared = (node for node in present(level.when) if isinstance(node, Op))
        if bare and any(
            node.op in _ORDER and any(_analogue(arg, subject.cls) for arg in node.args)
            for node in compared
        ):
            yield Found(at, name)


def _analogue(e: Expr, cls: AssetClass) -> bool:
    match e:
        case SignalRef(name=name):
            return cls.signals[name].kind == "number"
        case Fn(name=name) if name in _STEPS:
            return False
        case _:
            return any(_analogue(child, cls) for child in children(e))


def beyond_range(subject: Subject) -> Iterator[Found]:
    """A comparison that the range of its signal decides once and for all."""
    cls = subject.cls
    if cls is None:
        return
    for level, name, at in levels(subject):
        for condition in (level.when, level.only_if, level.clear_when):
            for node in walk(condition) if condition is not None else ():
                if not isinstance(node, Op) or node.op not in {*_ORDER, "eq", "ne"}:
                    continue
                found = decided(node, cls)
                ranged = [x for x in sorted(signals(node)) if cls.signals[x].kind == "number"]
                if found is not None and ranged:
                    yield Found(at, name, _words(cls, ranged[0], found))


def _words(cls: AssetClass, name: str, truth: float) -> dict[str, object]:
    signal = cls.signals[name]
    limits = f"[{signal.low:g}, {signal.high:g}] {signal.unit}".rstrip()
    always = ("真", "true") if truth else ("假", "false")
    return {"compared": name, "range": limits, "always_zh": always[0], "always": always[1]}


def unreachable(subject: Subject) -> Iterator[Found]:
    """A level whose conditions exclude each other, or that a higher one always comes before."""
    above: list[Level] = []
    for level, name, at in levels(subject):
        chain = _chain(level.when) + (_chain(level.only_if) if level.only_if is not None else [])
        if _contradict(chain):
            why = "its conditions exclude each other"
            yield Found(at, name, {"level": named(level), "why": why})
        for higher in above:
            if higher.severity > level.severity and _hides(higher, level):
                why = f"{named(higher)} is true whenever it is, and no later"
                yield Found(at, name, {"level": named(level), "why": why})
                break
        above.append(level)


def _chain(e: Expr) -> list[Expr]:
    """The conditions that all have to be true."""
    if isinstance(e, Op) and e.op == "and":
        return [one for arg in e.args for one in _chain(arg)]
    return [e]


def _contradict(chain: list[Expr]) -> bool:
    for i, one in enumerate(chain):
        for other in chain[i + 1 :]:
            if Op("not", (one,)) == other or Op("not", (other,)) == one:
                return True
            a, b = _bound(one), _bound(other)
            if a is None or b is None or a[0] != b[0] or a[1][0] == b[1][0]:
                continue
            low, high = (a, b) if a[1][0] == "g" else (b, a)
            gap = _difference(low[2], high[2])
            strict = "t" in {low[1][1], high[1][1]}
            if gap is not None and (gap > 0 or (gap == 0 and strict)):
                return True
    return False


def _hides(higher: Level, lower: Level) -> bool:
    if isinstance(higher.delay, Samples) or isinstance(lower.delay, Samples):
        return False
    first, then = fixed(higher.delay), fixed(lower.delay)
    same_delay = higher.delay == lower.delay
    if not same_delay and (first is None or then is None or first > then):
        return False
    if higher.only_if is not None and higher.only_if != lower.only_if:
        return False
    given = _chain(lower.when)
    return all(any(_implies(one, needed) for one in given) for needed in _chain(higher.when))


def _implies(one: Expr, needed: Expr) -> bool:
    if one == needed:
        return True
    a, b = _bound(one), _bound(needed)
    if a is None or b is None or a[0] != b[0] or a[1][0] != b[1][0]:
        return False
    gap = _difference(a[2], b[2])
    if gap is None:
        return False
    if a[1][0] == "l":
        gap = -gap
    return gap > 0 or (gap == 0 and (a[1] == b[1] or a[1][1] == "t"))


def _bound(e: Expr) -> tuple[Expr, str, Expr] | None:
    """A comparison as (what is compared, operator, limit), the limit on the right."""
    if not isinstance(e, Op) or e.op not in _ORDER:
        return None
    left, right = e.args
    if signals(left) and not signals(right):
        return left, e.op, right
    if signals(right) and not signals(left):
        return right, _MIRRORED[e.op], left
    return None


def _difference(a: Expr, b: Expr) -> float | None:
    """The sign of a - b for two numbers, or two multiples of the same (positive) attribute."""
    (x, of), (y, to) = _multiple(a), _multiple(b)
    return x - y if x is not None and y is not None and of == to else None


def _multiple(e: Expr) -> tuple[float | None, Expr | None]:
    match e:
        case Const(value=number):
            return number, None
        case AttributeRef():
            return 1.0, e
        case Op(op="mul", args=(Const(value=number), AttributeRef() as of)):
            return number, of
        case Op(op="mul", args=(AttributeRef() as of, Const(value=number))):
            return number, of
        case _:
            return None, None
