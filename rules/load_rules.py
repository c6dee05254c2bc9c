"""Rules of the documents become `Rule` values, one for each class, health alarms among them."""

from __future__ import annotations

import re
from typing import Literal, cast

from rules.document import EscalateDoc, LevelDoc, RuleDoc
from rules.errors import Problems, near
from rules.expression import SourceText
from rules.load_checked import Expressions
from rules.load_texts import message, piece
from rules.model import (
    SEVERITIES,
    AssetClass,
    Delay,
    Escalation,
    Level,
    Message,
    Piece,
    Plan,
    Pos,
    Rule,
    Samples,
    Text,
)
from rules.reader import Scalar, describe, plain
from rules.tree import Const, Expr, Fn, FrozenRef, functions, signals

MAX_FUNCTIONS = 64
MAX_SAMPLES = 64
NO_DELAY = Const(0.0)
_SAMPLES = re.compile(r"(\d{1,9})(?:\s+of\s+(\d{1,9}))?\s+samples?(?:\s+of\s+(\S+))?")
_FUNCTION = re.compile(
    r"\b(mean|range|total|count|sum|median|std|rate|increase|times|delta|prev|change|held|since|age"
    r"|lag|not_followed|latched|at|last|rises|falls|ewma|zscore|cusum|cusum_low|time_to|silent"
    r"|anomaly)\s*\("
)


class RuleBuilder:
    """Builds the rule of one document on one class. Every expression is checked once, although
    several levels may share it.
    """

    def __init__(self, doc: RuleDoc, cls: AssetClass, expressions: Expressions,
                 plans: dict[str, Plan], problems: Problems) -> None:
        self.doc = doc
        self.cls = cls
        self.expressions = expressions
        self.plans = plans
        self.problems = problems
        self._checked: dict[int, Expr | None] = {}
        self._messages: dict[int, Message] = {}
        self._functions = 0

    def build(self) -> Rule | None:
        """The rule, or None with its problems noted."""
        doc = self.doc
        before = len(self.problems)
        levels = [
            level
            for severity, level_doc in level_docs(doc, self.problems)
            if (level := self._level(severity, level_doc)) is not None
        ]
        unless = self.cls.unless
        if doc.unless is not None:
            unless = None if doc.unless.truth is False else self._condition(doc.unless)
        rule = Rule(
            id=doc.rule.text,
            cls=self.cls.name,
            title=doc.title,
            levels=tuple(levels),
            escalate=self._escalation(doc.escalate),
            latch=doc.latch,
            unless=unless,
            on_unknown=cast("Literal['keep', 'raise', 'clear']", doc.on_unknown),
            shadow=doc.mode == "shadow",
            enabled=doc.enabled,
            evidence=self._evidence(),
            cause=doc.cause,
            consequence=doc.consequence,
            action=doc.action,
            tags=tuple(tag.text for tag in doc.tags),
            source=source_of(doc),
            at=doc.rule.at,
        )
        failed = any(problem.kind == "error" for problem in list(self.problems)[before:])
        return None if failed else rule

    def _level(self, severity: str, own: LevelDoc) -> Level | None:
        """One machine; what the level does not say is said at the rule."""
        doc, problems = self.doc, self.problems
        when = own.when or doc.when
        if when is None:
            problems.add(own.at, "when missing", "write the condition: `when: …`")
            return None
        deadband = own.deadband or doc.deadband
        checked = self.expressions.when(
            when.source(), deadband.source() if deadband else None, problems
        )
        clear_when = self._condition(own.clear_when or doc.clear_when)
        only_if = self._condition(own.only_if or doc.only_if)
        if checked is None:
            return None
        expr, moved = checked
        if id(when) not in self._checked:
            self._checked[id(when)] = expr
            self._count(when.source(), expr)
        clearing = clear_when or moved or expr
        return Level(
            severity=SEVERITIES[severity],
            when=expr,
            delay=self._delay(own.delay or doc.delay, "for", expr),
            clear_when=clear_when,
            clear_delay=self._delay(own.clear_for or doc.clear_for, "clear_for", clearing),
            moved=moved,
            only_if=only_if,
            plan=plan_name(own.plan or doc.plan, self.plans, problems),
            message=self._message(own.message or doc.message),
            at=own.at,
        )

    def _condition(self, scalar: Scalar | None) -> Expr | None:
        if scalar is None:
            return None
        if id(scalar) not in self._checked:
            source = scalar.source()
            expr = self.expressions.condition(source, self.problems)
            self._checked[id(scalar)] = expr
            self._count(source, expr)
        return self._checked[id(scalar)]

    def _message(self, template: dict[str, Scalar] | None) -> Message:
        if template is None:
            return Message()
        if id(template) not in self._messages:
            made = message(template, self.expressions, self.problems)
            self._messages[id(template)] = made
        return self._messages[id(template)]

    def _delay(self, scalar: Scalar | None, key: str, counted: Expr) -> Delay:
        return delay(scalar, key, counted, self.expressions, self.problems)

    def _evidence(self) -> tuple[Piece, ...]:
        pieces = []
        for scalar in self.doc.evidence:
            source = scalar.source()
            found = piece(source, self.expressions, self.problems)
            if found is not None:
                self._count(source, found.expr)
                pieces.append(found)
        return tuple(pieces)

    def _escalation(self, doc: EscalateDoc | None) -> Escalation | None:
        if doc is None:
            return None
        after = self.expressions.duration(doc.after.source(), self.problems)
        until = doc.until.text if doc.until is not None else "end"
        if doc.until is not None and until not in {"end", "acknowledge"}:
            levels = [one for many in (self.doc.levels or {}).values() for one in many]
            plans = {one.plan.text for one in (self.doc, *levels) if one.plan is not None}
            steps = {step.name for name in plans & self.plans.keys()
                     for step in self.plans[name].steps}
            if until not in steps and plans <= self.plans.keys():
                self.problems.add(doc.until.at, f"unknown step {describe(doc.until)}",
                                  near(until, steps) or "expected acknowledge, end, or a step of "
                                  "the rule's plan")
        return None if after is None else Escalation(after, SEVERITIES[doc.to], until)

    def _count(self, source: SourceText, expr: Expr | None) -> None:
        """Functions of time are bounded: each takes memory on every asset."""
        if expr is None or self._functions > MAX_FUNCTIONS:
            return
        found = len(functions(expr))
        self._functions += found
        if self._functions > MAX_FUNCTIONS:
            excess = MAX_FUNCTIONS - (self._functions - found)
            calls = [call.start() for call in _FUNCTION.finditer(source.text)]
            offset = calls[excess] if len(calls) == found else 0
            self.problems.add(source.pos(offset),
                              f"more than {MAX_FUNCTIONS} functions of time in one rule",
                              "move a part to another rule, and refer to it by `active(…)`")


def level_docs(doc: RuleDoc, problems: Problems) -> list[tuple[str, LevelDoc]]:
    """The levels with their severities, the highest first; without `levels`, the rule's own."""
    if doc.levels is not None:
        if doc.severity is not None:
            problems.add(doc.key_at("severity"), "severity and levels, not both",
                         "each level has its severity as its key")
        if not doc.levels:
            problems.add(doc.key_at("levels"), "no level", "for example {red: {when: …}}")
        return [
            (severity, one)
            for severity in sorted(doc.levels, key=SEVERITIES.__getitem__, reverse=True)
            for one in doc.levels[severity]
        ]
    if "levels" in doc.node.keys:
        return []                    # refused already
    if "when" not in doc.node.keys:
        problems.add(doc.at, "when missing", "write the condition: `when: …`")
    if "severity" not in doc.node.keys:
        problems.add(doc.at, "severity missing", "blue, yellow, orange, red, or `levels`")
    return [(doc.severity or "yellow", doc)] if doc.when is not None else []


def delay(scalar: Scalar | None, key: str, counted: Expr, expressions: Expressions,
          problems: Problems) -> Delay:
    """`for` or `clear_for`: a duration, or a number of messages with a signal of `counted`."""
    if scalar is None:
        return NO_DELAY
    found = _SAMPLES.fullmatch(scalar.text.strip())
    if found is None:
        return expressions.duration(scalar.source(), problems) or NO_DELAY
    n, of = int(found[1]), int(found[2] or 0)
    if n < 1 or (found[2] is not None and n > of):
        problems.add(scalar.at, f"{key}: {n} of {of} samples can never be reached" if found[2]
                     else f"{key}: {n} samples can never be counted", "write at least 1 sample")
        return NO_DELAY
    if max(n, of) > MAX_SAMPLES:
        problems.add(scalar.at, f"{key}: at most {MAX_SAMPLES} samples are counted, "
                     f"found {max(n, of)}", "use a duration")
        return NO_DELAY
    if found[3] is None:
        return Samples(n, of, signals(counted))
    known = expressions.scope.signals
    if found[3] not in known:
        offset = len(scalar.text) - len(scalar.text.lstrip()) + found.start(3)
        problems.add(scalar.source().pos(offset), f"unknown signal `{found[3]}`",
                     near(found[3], known))
        return NO_DELAY
    return Samples(n, of, frozenset({found[3]}))


def plan_name(scalar: Scalar | None, plans: dict[str, Plan], problems: Problems) -> str | None:
    """The plan that a level brings; one that is not loaded is worth a hint, no more."""
    if scalar is None:
        return None
    if scalar.text not in plans:
        problems.add(scalar.at, f"plan {describe(scalar)} is not loaded",
                     near(scalar.text, plans), kind="lint")
    return scalar.text


def source_of(doc: RuleDoc) -> dict[str, object]:
    """The rule as written."""
    return cast("dict[str, object]", plain(doc.node))


def health_rules(cls: AssetClass) -> list[Rule]:
    """The alarms that Tocsin itself makes: nothing heard from an asset, a value that is frozen."""
    rules = []
    if cls.silent_after is not None:
        silent = Fn("silent", (), (Const(float(cls.silent_after)),))
        rules.append(_health(cls, f"{cls.name}.silent", "silent", "", silent, Text(
            zh=f"{cls.title.get('zh') or cls.name}无数据",
            en=f"{cls.title.get('en') or cls.name} silent",
        ), Text(zh="{asset} 无任何数据", en="{asset}: nothing heard"), cls.at))
    for signal in cls.signals.values():
        if signal.frozen_after is not None:
            shown = signal.title if signal.title != Text() else Text(en=signal.name)
            rules.append(_health(
                cls, f"{cls.name}.{signal.name}.frozen", "frozen", signal.name,
                FrozenRef(signal.name),
                Text(zh=f"{shown.get('zh')} 数值冻结", en=f"{shown.get('en')} frozen"),
                Text(zh=f"{{asset}} {shown.get('zh')} 数值不再变化",
                     en=f"{{asset}}: {shown.get('en')} no longer changes"),
                signal.at,
            ))
    return rules


def _health(cls: AssetClass, rule: str, health: Literal["silent", "frozen"], signal: str,
            when: Expr, title: Text, template: Text, at: Pos) -> Rule:
    asset = Piece("asset", None)
    shown = Message(
        zh=(asset, template.zh.removeprefix("{asset}")),
        en=(asset, template.en.removeprefix("{asset}")),
    )
    level = Level(
        severity=SEVERITIES["yellow"], when=when, delay=NO_DELAY, clear_when=None,
        clear_delay=NO_DELAY, moved=None, only_if=None, plan=None, message=shown, at=at,
    )
    return Rule(id=rule, cls=cls.name, title=title, levels=(level,), unless=cls.unless,
                health=health, health_signal=signal, at=at)
