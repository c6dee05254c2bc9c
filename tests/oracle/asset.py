"""One asset: its clock, its signals, its functions of time, its alarms."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from rules.model import Asset, AssetClass, Piece, Rule
from rules.records import Command, Message, Transition
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
    walk,
)
from tests.oracle.functions import Here, Trace
from tests.oracle.log import ceased
from tests.oracle.machine import Alarm
from tests.oracle.signals import Channel, Sample, reading
from tests.oracle.values import (
    COMMAND,
    FUNCTION,
    MESSAGE,
    STALE,
    Position,
    Value,
    apply,
    known,
    truth,
)

QUARTER_MS = 900_000
MAX_AGAIN = 50


def conditions(rule: Rule) -> list[Expr]:
    """All that is evaluated for a rule, what is only shown included."""
    found = [rule.unless]
    for level in rule.levels:
        found += [level.when, level.only_if, level.clear_when, level.moved]
        found += [p.expr for p in (*level.message.zh, *level.message.en) if isinstance(p, Piece)]
    found += [piece.expr for piece in rule.evidence]
    return [e for e in found if e is not None]


def in_order(rules: list[Rule]) -> list[Rule]:
    """Each rule after those whose alarms it reads."""
    waiting, ordered = list(rules), list[Rule]()
    while waiting:
        left = {rule.id for rule in waiting}
        ready = [r for r in waiting if not (reads(r) & left)]
        assert ready, "rules read each other's alarms in a circle"
        ordered += ready
        waiting = [r for r in waiting if r not in ready]
    return ordered


def reads(rule: Rule) -> set[str]:
    """The rules whose alarms a rule reads."""
    nodes = [node for e in conditions(rule) for node in walk(e)]
    return {node.rule for node in nodes if isinstance(node, ActiveRef)}


class AssetOracle:
    """Evaluates everything at every message and instant."""

    def __init__(
        self, asset: Asset, cls: AssetClass, rules: list[Rule], zone: str, start: int | None
    ) -> None:
        """`start` is that of an inventory's asset; others begin with their first message."""
        self.asset, self.cls, self.zone = asset, cls, ZoneInfo(zone)
        self.start = start
        self.at: Position = (start, MESSAGE) if start is not None else (-(2**62), MESSAGE)
        self.channels = {name: Channel(signal) for name, signal in cls.signals.items()}
        self.alarms = {r.id: Alarm(r, asset.id) for r in in_order(rules) if r.enabled}
        self.heard = start
        self.first: int | None = None
        self.steps = 0
        self.hour_at: int | None = None
        self.instant = False
        self.fresh: set[str] = set()                 # signals sampled by the message evaluated
        self.codes: dict[str, frozenset[int]] = {}   # events of the message evaluated
        self.edge = False
        self.traces: dict[Fn, Trace] = {}
        self.memo: dict[Expr, Value] = {}
        self.roots = [e for a in self.alarms.values() for e in conditions(a.rule)]
        whiles = [s.frozen_while for s in cls.signals.values() if s.frozen_while is not None]
        self.nodes = {node for e in [*self.roots, *whiles] for node in walk(e)}
        self.quiet = start is None                   # nothing evaluated yet, nothing due

    # --- values

    def value(self, e: Expr) -> Value:
        """The value of an expression in this evaluation; all operands are always evaluated."""
        if e not in self.memo:
            self.memo[e] = self.work_out(e)
        return self.memo[e]

    def work_out(self, e: Expr) -> Value:
        """The value of an expression, from its operands."""
        match e:
            case Const(value=value):
                return known(value)
            case SignalRef(name=name):
                return self.signal(name)
            case EventRef(signal=signal, codes=codes):
                return truth(bool(self.codes.get(signal, frozenset()) & codes))
            case AttributeRef(name=name):
                x = self.attribute(name)
                return float(x) if isinstance(x, int | float) else None
            case TextIn(attribute=name, texts=texts):
                text = self.attribute(name)
                return None if text is None else truth(text in texts)
            case ActiveRef(rule=rule):
                return truth(rule in self.alarms and self.alarms[rule].active)
            case FrozenRef(signal=signal):
                return truth(self.channels[signal].frozen)
            case Op(op=op, args=args):
                return apply(op, [self.value(arg) for arg in args])
            case Clock(name=name):
                return self.clock(name)
            case Fn():
                return self.function(e)
            case SpanCompare():
                return self.compare(e)

    def signal(self, name: str) -> Value:
        """What rules see of a signal; of events, whether a message of bad quality is here."""
        channel = self.channels[name]
        if channel.signal.kind == "events":
            bad = name in self.fresh and channel.samples[-1].value is None
            return None if bad else 1.0
        return channel.value(self.at, self.is_silent())

    def is_silent(self) -> bool:
        """Whether nothing at all was heard for the class's `silent_after`."""
        end = self.silent_from()
        return end is not None and (end, STALE) <= self.at

    def silent_from(self) -> int | None:
        """When the silence begins."""
        if self.cls.silent_after is None or self.heard is None:
            return None
        return self.heard + self.cls.silent_after

    def attribute(self, name: str) -> float | str | None:
        """An attribute's value: given, looked up, or the default."""
        attribute = self.cls.attributes[name]
        if attribute.by is None:
            return self.asset.attributes.get(name, attribute.default)
        key = self.attribute(attribute.by)
        by = self.cls.attributes[attribute.by]
        words = {float(code): word for word, code in by.names.items()}
        word = words.get(key) if isinstance(key, int | float) else key
        return attribute.table.get(word) if word is not None else None

    def clock(self, name: str) -> float:
        """hour() or weekday(), as it was at the last full hour."""
        assert self.hour_at is not None
        local = datetime.fromtimestamp(self.hour_at / 1000.0, self.zone)
        return float(local.hour if name == "hour" else local.isoweekday())

    def function(self, fn: Fn) -> Value:
        """Feed a function of time, once in an evaluation."""
        args = tuple(self.value(arg) for arg in fn.args)
        durations = tuple(self.value(d) for d in fn.durations)
        if fn not in self.traces:
            whole = tuple(None if d is None else int(d) for d in durations)
            self.traces[fn] = Trace(fn, whole)
        value = self.traces[fn].feed(self.here(), bool(self.fresh & fn.samples), args)
        if fn.name in ("rises", "falls") and value:
            self.edge = True
        return value

    def here(self) -> Here:
        """Where this evaluation stands."""
        assert self.heard is not None
        return Here(self.at, self.steps, self.instant, self.heard, self.first)

    def compare(self, e: SpanCompare) -> Value:
        """since(c) or age(x) against a duration: it turns at its exact instant."""
        span, limit = self.value(e.span), self.value(e.limit)
        if span is None or limit is None:
            return None
        begin = self.span_begin(e.span)
        if begin is None:  # 0 while true, or infinite
            return apply(e.op, [span, limit])
        over = (begin + int(limit), FUNCTION) <= self.at
        return truth(over == (e.op in ("gt", "ge")))

    def span_begin(self, span: Fn) -> int | None:
        """Whence a span of time grows now, if it does."""
        trace = self.traces.get(span)
        if trace is None:
            return None
        if span.name == "age":
            return trace.last_sample(self.here())
        return None if trace.log[-1].args[0] != 0.0 else ceased(trace.log, 0)

    # --- evaluation

    def evaluate(self, instant: bool) -> list[Transition]:
        """Evaluate all rules, and again as long as an event or edge was true."""
        found: list[Transition] = []
        self.instant = instant
        if self.hour_at is None or (instant and self.full_hour(self.at[0])):
            self.hour_at = self.at[0]
        self.quiet = False
        for _ in range(MAX_AGAIN):
            self.steps += 1
            self.memo, self.edge = {}, False
            self.judge_frozen()
            for alarm in self.alarms.values():
                for e in conditions(alarm.rule):
                    self.value(e)
                found += alarm.step(self)
            again = self.edge or any(self.codes.values())
            self.fresh, self.codes, self.instant = set(), {}, False
            if not again:
                return found
        raise AssertionError("edges without end")

    def sampled(self, signals: frozenset[str]) -> bool:
        """Whether the message evaluated now (for the first time) has one of these signals."""
        return bool(self.fresh & signals)

    def judge_frozen(self) -> None:
        """`frozen_while` is asked at each evaluation, `frozen_after` judged at samples."""
        for name, channel in self.channels.items():
            condition = channel.signal.frozen_while
            allowed = 1.0 if condition is None else self.value(condition)
            if name in self.fresh:
                channel.thaw_or_freeze(self.at[0], allowed)

    # --- time

    def full_hour(self, t: int) -> bool:
        """Whether a local hour begins at t."""
        if t % QUARTER_MS:
            return False
        local = datetime.fromtimestamp(t / 1000.0, UTC).astimezone(self.zone)
        return local.minute == 0

    def instants(self) -> list[Position]:
        """Everything that is to happen by itself, as far as can be seen now."""
        if self.quiet:
            return []
        if self.steps == 0:
            return [(self.at[0], FUNCTION)]
        found: list[Position] = []
        here = self.here()
        for trace in self.traces.values():
            t = trace.next_instant(here)
            found += [] if t is None else [(t, FUNCTION)]
        for node in self.nodes:
            if isinstance(node, SpanCompare):
                begin, limit = self.span_begin(node.span), self.value(node.limit)
                if begin is not None and limit is not None:
                    found.append((begin + int(limit), FUNCTION))
        if any(isinstance(node, Clock) for node in self.nodes):
            t = (self.at[0] // QUARTER_MS) * QUARTER_MS
            while (t, FUNCTION) <= self.at or not self.full_hour(t):
                t += QUARTER_MS
            found.append((t, FUNCTION))
        for channel in self.channels.values():
            end, stale = channel.expiry(), channel.stale_from()
            found += [] if end is None else [(end, FUNCTION)]
            found += [] if stale is None else [(stale, STALE)]
        silent = self.silent_from()
        found += [] if silent is None else [(silent, STALE)]
        for alarm in self.alarms.values():
            found += alarm.deadlines(self)
        return found

    def advance(self, until: Position) -> list[Transition]:
        """Run the instants before `until`, each at its own time, and move the clock there."""
        found: list[Transition] = []
        while True:
            due = [p for p in self.instants() if p > self.at]
            if not due or min(due) >= until:
                break
            self.at = max(self.at, min(due))
            found += self.evaluate(instant=self.at[1] == FUNCTION)
        self.at = max(self.at, until)
        return found

    # --- what comes in

    def message(self, message: Message, system: int | None) -> list[Transition]:
        """Take a message in; `system` is the system's clock less lateness, if it has ticked."""
        if message.historical:
            return []
        if message.arrival is not None and message.t > message.arrival + self.cls.max_ahead:
            return []
        if self.first is None and self.start is None:
            begin = message.t if system is None else max(message.t, system)
            self.at = (begin, MESSAGE)
        t = max(message.t, self.at[0])
        found = self.advance((t, MESSAGE))
        self.heard = t
        self.first = t if self.first is None else self.first
        self.fresh, self.codes = set(), {}
        for name, raw in message.values.items():
            self.take(name, raw, message.t, t)
        return found + self.evaluate(instant=False)

    def take(self, name: str, raw: object, source: int, t: int) -> None:
        """Apply one value of a message, unless it is a duplicate or superseded."""
        channel = self.channels.get(name)
        if channel is None or channel.signal.operator:
            return
        value = reading(channel.signal, raw)
        if channel.verdict(source, value) != "applied":
            return
        channel.samples.append(Sample(source, t, value))
        self.fresh.add(name)
        if isinstance(value, frozenset):
            self.codes[name] = value

    def command(self, command: Command, t: int) -> list[Transition]:
        """Do what an operator orders, at t or at the asset's clock if that is later."""
        if self.quiet and self.start is None:
            return []
        found = self.advance((max(t, self.at[0]), COMMAND))
        found += self.evaluate(instant=False)  # what is recorded with a reset is of this instant
        alarm = self.alarms.get(command.target)
        channel = self.channels.get(command.target)
        if command.kind == "set":
            if channel is None or not channel.signal.operator:
                return found
            value = reading(channel.signal, command.value)
            channel.samples.append(Sample(t, self.at[0], value))
            self.fresh = {command.target}
        elif alarm is not None and command.kind == "reset":
            found += alarm.reset(self)
        elif alarm is not None:
            alarm.answer(command.step if command.kind == "step" else "acknowledge")
        return found + self.evaluate(instant=False)
