"""Checked expressions as text again, for people: derived names are written out, units are shown.

A number takes the unit of what it is compared with, where that can be told.
"""

from __future__ import annotations

from rules.model import AssetClass, Delay, Samples
from rules.tree import (
    ActiveRef,
    AttributeRef,
    Clock,
    Const,
    EventRef,
    Expr,
    Fn,
    FrozenRef,
    Op,
    SignalRef,
    SpanCompare,
    TextIn,
)

_INFIX = {
    "or": (1, "or"), "and": (2, "and"),
    "lt": (4, "<"), "le": (4, "<="), "eq": (4, "=="), "ne": (4, "!="), "gt": (4, ">"),
    "ge": (4, ">="), "add": (5, "+"), "sub": (5, "-"), "mul": (6, "*"), "div": (6, "/"),
}  # fmt: skip

#: How a function of time is written: {0}, {1} … its arguments, {d} its duration.
_FORMS = {
    "held": "held({0} for {d})",
    "lag": "lag({0} to {1})",
    "not_followed": "not_followed({0} by {1} within {d})",
    "latched": "latched({0} until {1})",
    "at": "at({0} when {1})",
    "silent": "silent({d})",
    "time_to_above": "time_to({0} > {1} over {d})",
    "time_to_below": "time_to({0} < {1} over {d})",
    "delta": "delta({0} over {d})",
    "ewma": "ewma({0} over {d})",
    "zscore": "zscore({0} over {d})",
    "cusum": "cusum({0}, {1}, {2})",
    "cusum_low": "cusum_low({0}, {1}, {2})",
}

#: Functions whose value has the unit of their first argument.
_SAME_UNIT = frozenset({
    "abs", "neg", "min", "max", "clamp", "where", "mean", "median", "range", "std", "delta",
    "prev", "change", "last", "at", "ewma",
})  # fmt: skip


def fixed(delay: Delay) -> float | None:
    """A delay in ms, where it is written as a number."""
    match delay:
        case Const(value=ms):
            return ms
        case Op(op="round_ms", args=(Const(value=ms),)):
            return ms
        case _:
            return None


def immediate(delay: Delay) -> bool:
    """Whether there is no delay at all."""
    return not isinstance(delay, Samples) and fixed(delay) == 0


def span(ms: float) -> str:
    """A duration for people: `90 s`, `5 min`, `500 ms`."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if ms >= size and ms % size == 0:
            return f"{ms / size:g} {unit}"
    return f"{ms:.15g} ms"


def number(value: float, unit: str = "") -> str:
    """A number with its unit; as many digits as it needs."""
    return f"{value:.12g} {unit}".rstrip()


def unit_of(e: Expr, cls: AssetClass | None) -> str:
    """The unit of an expression where it is plain to see, else nothing."""
    match e:
        case SignalRef(name=name) if cls is not None:
            return cls.signals[name].unit
        case AttributeRef(name=name) if cls is not None:
            return cls.attributes[name].unit
        case Op(op=name, args=args) | Fn(name=name, args=args) if name in _SAME_UNIT:
            return next(filter(None, (unit_of(arg, cls) for arg in args)), "")
        case Op(op="add" | "sub", args=args):
            return next(filter(None, (unit_of(arg, cls) for arg in args)), "")
        case Op(op="mul", args=(Fn(name="lag"), Const(value=0.001))):
            return "s"
        case Fn(name="rate", args=(x,)):
            return f"{unit_of(x, cls) or 1}/s"
        case Op(op="mul", args=(Const(), other)) | Op(op="mul", args=(other, Const())):
            return unit_of(other, cls)
        case _:
            return ""


def _among(name: str, values: list[str]) -> str:
    return f"{name} == {values[0]}" if len(values) == 1 else f"{name} in ({', '.join(values)})"


def show(e: Expr, cls: AssetClass | None = None) -> str:
    """An expression as an author would write it."""
    return _Writer(cls).text(e, 0)


def show_delay(delay: Delay, cls: AssetClass | None = None) -> str:
    """A delay: `15 s`, `3 samples`, `3 of 10 samples`, or its expression."""
    if isinstance(delay, Samples):
        return f"{delay.n} of {delay.of} samples" if delay.of else f"{delay.n} samples"
    return _Writer(cls).duration(delay)


class _Writer:
    """Writes nodes. `outer` is the precedence that would tear a text apart, so that it is put into
    brackets; `unit` is what a bare number counts.
    """

    def __init__(self, cls: AssetClass | None) -> None:
        self.cls = cls

    def text(self, e: Expr, outer: int, unit: str = "") -> str:
        match e:
            case Const(value=value):
                return number(value, unit)
            case SignalRef(name=name) | AttributeRef(name=name):
                return name
            case EventRef(signal=signal, codes=codes):
                return self.event(signal, sorted(codes))
            case TextIn(attribute=attribute, texts=texts):
                return _among(attribute, [f'"{text}"' for text in texts])
            case ActiveRef(rule=rule):
                return f"active({rule})"
            case FrozenRef(signal=signal):
                return f"frozen({signal})"
            case Clock(name=name):
                return f"{name}()"
            case SpanCompare(op=op, span=of, limit=limit):
                text = f"{self.text(of, 5)} {_INFIX[op][1]} {self.duration(limit)}"
                return f"({text})" if outer > _INFIX[op][0] else text
            case Fn():
                return self.function(e)
            case Op(op="mul", args=(Fn(name="lag") as lag, Const(value=0.001))):
                return self.function(lag)
            case Op():
                return self.operator(e, outer, unit)

    def event(self, signal: str, codes: list[int]) -> str:
        listed = self.cls.signals[signal].names if self.cls is not None else {}
        names = {code: name for name, code in listed.items()}
        return _among(signal, [names.get(code, str(code)) for code in codes])

    def operator(self, e: Op, outer: int, unit: str) -> str:
        if e.op == "not":
            text = f"not {self.text(e.args[0], 3)}"
            return f"({text})" if outer > 3 else text
        if e.op == "neg":
            return f"-{self.text(e.args[0], 7, unit)}"
        if e.op == "round_ms":
            return self.duration(e.args[0])
        if e.op == "where":
            text = f"{self.text(e.args[0], 1)} where {self.text(e.args[1], 1)}"
            return f"({text})" if outer > 0 else text
        if e.op == "at_least":
            votes = ", ".join(self.text(arg, 0) for arg in e.args[1:])
            return f"at_least({self.text(e.args[0], 0)} of {votes})"
        if e.op not in _INFIX:
            inner = unit or self.unit_among(e.args) if e.op in _SAME_UNIT else ""
            return f"{e.op}({', '.join(self.text(arg, 0, inner) for arg in e.args)})"
        precedence, sign = _INFIX[e.op]
        left, right = self.sides(e, precedence, unit)
        text = f"{left} {sign} {right}"
        return f"({text})" if outer > precedence else text

    def sides(self, e: Op, precedence: int, unit: str) -> tuple[str, str]:
        """Both operands; a number takes the unit or the words of the other side."""
        a, b = e.args
        if e.op in {"and", "or"}:  # a chain of them groups to the right
            return self.text(a, precedence + 1), self.text(b, precedence)
        if e.op in {"mul", "div"}:
            return self.text(a, precedence), self.text(b, precedence + 1)
        if e.op in {"add", "sub"}:
            unit = unit or self.unit_among(e.args)
            return self.text(a, precedence, unit), self.text(b, precedence + 1, unit)
        return self.compared(a, b), self.compared(b, a)

    def compared(self, e: Expr, other: Expr) -> str:
        named = self.state(other, e.value) if isinstance(e, Const) else None
        return named or self.text(e, 5, unit_of(other, self.cls))

    def unit_among(self, args: tuple[Expr, ...]) -> str:
        return next(filter(None, (unit_of(arg, self.cls) for arg in args)), "")

    def state(self, e: Expr, code: float) -> str | None:
        match e:
            case SignalRef(name=name) if self.cls is not None:
                names = self.cls.signals[name].names
            case AttributeRef(name=name) if self.cls is not None:
                names = self.cls.attributes[name].names
            case _:
                return None
        return next((name for name, listed in names.items() if listed == code), None)

    def duration(self, e: Expr) -> str:
        match e:
            case Const(value=ms):
                return span(ms)
            case Op(op="round_ms", args=(inner,)):
                return self.duration(inner)
            case Op(op="mul", args=(inner, Const(value=1000.0))):
                return self.text(inner, 0, "s")
            case _:
                return self.text(e, 0, "ms")

    def function(self, e: Fn) -> str:
        unit = self.unit_among(e.args)
        args = [self.text(arg, 0, unit) for arg in e.args]
        spans = [self.duration(of) for of in e.durations]
        if e.form == "since":
            return f"{e.name}({args[0]} since {args[1]})"
        if e.form == "over":
            moved = len(spans) > 1 and spans[1] != span(0)
            ending = f" ending {spans[1]} ago" if moved else ""
            return f"{e.name}({args[0]} over {spans[0]}{ending})"
        form = _FORMS.get(e.name)
        if form is None:
            return f"{e.name}({', '.join(args)})"
        return form.format(*args, d=spans[0] if spans else "")
