"""Expressions to instructions. An instruction is a row of code (see rules.layout): the opcode, the
register written, up to three read, where its state lies, which signals make its samples, and a
number of its own.

The register file holds an asset's signals and attributes (copied there at each event), then the
constants, then the values of one rule at a time. While rules are compiled, a value is a number from
0 on, constant c is -2 - c, signal s is SIGNALS + s and attribute i is ATTRIBUTES + i; `place` turns
them into columns once all constants are known.
"""

from __future__ import annotations

from collections.abc import Iterable

from rules import layout as k
from rules.model import AssetClass
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

SIGNALS, ATTRIBUTES = 1 << 20, 1 << 24

_PLAIN = {
    "add": k.ADD, "sub": k.SUB, "mul": k.MUL, "div": k.DIV, "neg": k.NEG, "abs": k.ABS,
    "sqrt": k.SQRT, "exp": k.EXP, "log": k.LOG, "clamp": k.CLAMP, "if": k.IF,
    "lt": k.LT, "le": k.LE, "eq": k.EQ, "ne": k.NE, "gt": k.GT, "ge": k.GE, "not": k.NOT,
    "known": k.KNOWN, "where": k.WHERE, "round_ms": k.ROUND,
}  # fmt: skip
_CHAIN = {"min": k.MIN, "max": k.MAX, "and": k.AND, "or": k.OR}
_SPAN_OPS = {"lt": 0, "le": 1, "gt": 2, "ge": 3}
_WINDOWS = {
    "mean": k.W_MEAN, "min": k.W_MIN, "max": k.W_MAX, "range": k.W_RANGE, "total": k.W_TOTAL,
    "count": k.W_COUNT, "sum": k.W_SUM, "std": k.W_STD, "median": k.W_MEDIAN, "rate": k.W_RATE,
    "increase": k.W_INCREASE, "times": k.W_TIMES, "delta": k.W_DELTA,
    "time_to_above": k.W_TIME_ABOVE, "time_to_below": k.W_TIME_BELOW,
}  # fmt: skip
_STATEFUL = {
    "since": k.SINCE, "held": k.HELD, "latched": k.LATCHED, "at": k.AT, "rises": k.RISES,
    "falls": k.FALLS, "lag": k.LAG, "not_followed": k.NOT_FOLLOWED, "last": k.LAST,
    "ewma": k.EWMA, "zscore": k.ZSCORE, "anomaly": k.ANOMALY,
}  # fmt: skip


class Emitter:
    """Instructions, constants, signal sets and interned texts of one class."""

    def __init__(self, cls: AssetClass) -> None:
        self.slots = cls.slots()
        self.event_slots = cls.event_slots()
        self.attributes = {name: i for i, name in enumerate(cls.attributes)}
        self.code: list[list[int]] = []
        self.constants: list[float] = []
        self.sets: list[list[int]] = []
        self.texts: dict[str, int] = {}
        self.registers = 0
        self.offset = 0          # where the next function's state goes
        self.pool = 0            # windows whose rings lie in the pool
        self.blank: list[tuple[int, tuple[float, ...]]] = []
        self._constant: dict[float, int] = {}
        self._set: dict[frozenset[str], int] = {}
        self._known: dict[Expr, int] = {}
        self._next = 0
        self._rules: dict[str, int] = {}

    @property
    def here(self) -> int:
        """The number of the next instruction."""
        return len(self.code)

    def begin(self, rules: dict[str, int]) -> None:
        """Starts a rule: no value is computed yet. `rules` number the class's rules."""
        self._known = {}
        self._next = 0
        self._rules = rules

    def place(self, register: int) -> int:
        """The column of the register file; -1 stays -1 (none)."""
        given = len(self.slots) + len(self.attributes)
        if register >= ATTRIBUTES:
            return len(self.slots) + register - ATTRIBUTES
        if register >= SIGNALS:
            return register - SIGNALS
        if register >= 0:
            return given + len(self.constants) + register
        return -1 if register == -1 else given - register - 2

    def finish(self) -> list[list[int]]:
        """The code with its registers placed."""
        out = []
        for row in self.code:
            placed = list(row)
            for column in (k.DST, k.A, k.B, k.C):
                placed[column] = self.place(row[column])
            out.append(placed)
        return out

    def signal_set(self, names: Iterable[str]) -> int:
        """A set of signals as one number: the slot itself if there is one, -1 for none, else
        -2 minus the number of the set."""
        members = frozenset(names)
        if not members:
            return -1
        if len(members) == 1:
            return self.slots[next(iter(members))]
        if members not in self._set:
            self._set[members] = len(self.sets)
            self.sets.append(sorted(self.slots[name] for name in members))
        return -2 - self._set[members]

    def constant(self, value: float) -> int:
        """The register of a constant."""
        key = value if value != 0 else 0.0
        if key not in self._constant:
            self._constant[key] = len(self.constants)
            self.constants.append(key)
        return -2 - self._constant[key]

    def expr(self, e: Expr) -> int:
        """The register that holds the expression's value, computed at most once a rule."""
        if isinstance(e, Const):
            return self.constant(e.value)
        if isinstance(e, Fn) and e.name in ("since", "age"):
            return self._once(Op("pinned", (e,)), e)
        return self._once(e, e)

    def _once(self, key: Expr, e: Expr) -> int:
        if key not in self._known:
            pinned = key is not e
            self._known[key] = self._add(k.PINNED, self._once(e, e)) if pinned else self._emit(e)
        return self._known[key]

    def _add(self, op: int, *reads: int, off: int = 0, sig: int = -1, x: int = 0) -> int:
        a, b, c = (*reads, -1, -1, -1)[:3]
        self.code.append([op, self._next, a, b, c, off, sig, x])
        self._next += 1
        self.registers = max(self.registers, self._next)
        return self._next - 1

    def _state(self, op: int) -> int:
        """Room for a function's state, and what it is for a new asset."""
        start = self.offset
        self.blank.append((start, k.FN_BLANK[op]))
        self.offset += len(k.FN_BLANK[op])
        return start

    def _emit(self, e: Expr) -> int:
        match e:
            case SignalRef(name=name):
                return SIGNALS + self.slots[name]
            case EventRef(signal=signal, codes=codes):
                slots = [self.event_slots[signal, code] for code in sorted(codes)]
                return self._chain(k.OR, [self._add(k.EVENT, x=slot) for slot in slots])
            case AttributeRef(name=name):
                return ATTRIBUTES + self.attributes[name]
            case TextIn(attribute=name, texts=texts):
                column = ATTRIBUTES + self.attributes[name]
                ids = [self.texts.setdefault(text, len(self.texts)) for text in texts]
                hits = [self._add(k.EQ, column, self.constant(float(i))) for i in ids]
                return self._chain(k.OR, hits)
            case ActiveRef(rule=rule):
                if rule not in self._rules:      # not enabled: its alarm is never active
                    return self.constant(0.0)
                return self._add(k.ACTIVE, x=self._rules[rule])
            case FrozenRef(signal=signal):
                return self._add(k.FROZEN, x=self.slots[signal])
            case Clock(name=name):
                op = k.HOUR if name == "hour" else k.WEEKDAY
                return self._add(op, off=self._state(op))
            case SpanCompare(op=op, span=span, limit=limit):
                # before PINNED, -1 stands for a span of 0 that does not run
                return self._add(
                    k.SPAN, self._once(span, span), self.expr(limit), x=_SPAN_OPS[op]
                )
            case Op(op=op, args=args):
                return self._operator(op, args)
            case Fn():
                return self._function(e)
        raise AssertionError(e)

    def _chain(self, op: int, registers: list[int]) -> int:
        result = registers[0]
        for register in registers[1:]:
            result = self._add(op, result, register)
        return result

    def _operator(self, op: str, args: tuple[Expr, ...]) -> int:
        if op == "at_least":
            votes = self.constant(0.0)
            for choice in args[1:]:
                votes = self._add(k.VOTE_ADD, votes, self.expr(choice))
            return self._add(k.VOTE, votes, self.expr(args[0]))
        registers = [self.expr(arg) for arg in args]
        if op in _CHAIN:
            if len(registers) == 1:
                return registers[0]
            return self._chain(_CHAIN[op], registers)
        return self._add(_PLAIN[op], *registers)

    def _function(self, fn: Fn) -> int:
        sig = self.signal_set(fn.samples)
        if fn.form == "since":
            reads = [self.expr(arg) for arg in fn.args]
            off = self._state(k.SINCE_WINDOW)
            return self._add(k.SINCE_WINDOW, *reads, off=off, sig=sig, x=_WINDOWS[fn.name])
        match fn.name:
            case "age":
                return self._add(k.AGE, sig=sig)
            case "silent":
                return self._add(k.SILENT, self.expr(fn.durations[0]))
            case "prev":
                return self._prev(fn, sig)
            case "change":
                return self._add(k.SUB, self.expr(fn.args[0]), self._prev(fn, sig))
            case "cusum" | "cusum_low":
                return self._cusum(fn, sig)
        if fn.name in _STATEFUL:
            op = _STATEFUL[fn.name]
            reads = [self.expr(e) for e in (*fn.args, *fn.durations)]
            return self._add(op, *reads, off=self._state(op), sig=sig)
        return self._window(fn, sig)

    def _prev(self, fn: Fn, sig: int) -> int:
        x = self.expr(fn.args[0])
        return self._add(k.PREV, x, off=self._state(k.PREV), sig=sig)

    def _cusum(self, fn: Fn, sig: int) -> int:
        x, target, slack, cap, reset = (self.expr(arg) for arg in fn.args)
        low = fn.name == "cusum_low"
        gap = self._add(k.SUB, target, x) if low else self._add(k.SUB, x, target)
        gap = self._add(k.SUB, gap, slack)
        return self._add(k.CUSUM, gap, cap, reset, off=self._state(k.CUSUM), sig=sig)

    def _window(self, fn: Fn, sig: int) -> int:
        """`x` in A; W in B; D, or the limit of time_to, in C."""
        x, length = self.expr(fn.args[0]), self.expr(fn.durations[0])
        third = self.constant(0.0)
        if len(fn.args) > 1:
            third = self.expr(fn.args[1])
        elif len(fn.durations) > 1:
            third = self.expr(fn.durations[1])
        self.pool += 1
        off = self._state(k.OVER)
        return self._add(k.OVER, x, length, third, off=off, sig=sig, x=_WINDOWS[fn.name])
