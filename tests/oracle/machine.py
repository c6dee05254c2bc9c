"""Levels and alarms: what becomes of a rule's conditions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from rules.model import Level, Rule, Samples
from rules.records import Transition, TransitionKind
from rules.tree import Expr
from tests.oracle.values import DELAY, ESCALATION, Position, Value, conjunction, negation, truth


class Scene(Protocol):
    """What an alarm sees of an evaluation."""

    at: Position

    def value(self, e: Expr) -> Value:
        """The value of an expression now."""

    def sampled(self, _signals: frozenset[str], /) -> bool:
        """Whether this is the (first) evaluation of a message with one of these signals."""


@dataclass
class Timer:
    """Counts how long a condition has been true; pauses while it is unknown."""

    before: int = 0
    since: int | None = None
    count: int = 0

    def clear(self) -> None:
        """Start anew."""
        self.before, self.since, self.count = 0, None, 0

    def feed(self, scene: Scene, condition: Value, delay: Expr | Samples) -> None:
        """Take in the condition of this evaluation."""
        now = scene.at[0]
        if isinstance(delay, Samples):
            if scene.sampled(delay.signals) and condition is not None:
                self.count = self.count + 1 if condition else 0
            return
        if condition is None:
            if self.since is not None:
                self.before += now - self.since
            self.since = None
        elif not condition:
            self.clear()
        elif self.since is None:
            self.since = now

    def end(self, scene: Scene, delay: Expr) -> int | None:
        """The instant at which the delay runs out, if it runs."""
        ms = scene.value(delay)
        if ms is None or self.since is None:
            return None
        return self.since + int(ms) - self.before

    def out(self, scene: Scene, delay: Expr | Samples) -> bool:
        """Whether the delay has run out."""
        if isinstance(delay, Samples):
            return self.count >= delay.n and scene.sampled(delay.signals)
        end = self.end(scene, delay)
        if end is None or self.since is None:
            return False
        return scene.value(delay) == 0.0 or (end, DELAY) <= scene.at


@dataclass
class Machine:
    """One level: normal, pending, active, clearing."""

    level: Level
    on_unknown: str
    active: bool = False
    stale: bool = False
    pending: Timer = field(default_factory=Timer)
    clearing: Timer = field(default_factory=Timer)
    truths: list[bool] = field(default_factory=list)

    def counted(self, x: Value) -> Value:
        """An unknown `when`, as `on_unknown` has it."""
        if x is None and self.on_unknown != "keep":
            return truth(self.on_unknown == "raise")
        return x

    def step(self, scene: Scene) -> None:
        """Take one evaluation."""
        level = self.level
        when = self.counted(scene.value(level.when))
        only_if = 1.0 if level.only_if is None else scene.value(level.only_if)
        moved = None if level.moved is None else self.counted(scene.value(level.moved))
        clear = None if level.clear_when is None else scene.value(level.clear_when)
        if isinstance(level.delay, Samples) and level.delay.of:
            when = self.of_samples(scene, when, level.delay)
        if level.clear_when is None:
            clear = negation(when if level.moved is None else moved)
        if self.active:
            self.end(scene, when, clear)
        else:
            self.begin(scene, when, only_if)
        self.stale = self.active and when is None

    def of_samples(self, scene: Scene, when: Value, delay: Samples) -> Value:
        """N of M: true while at least n of the last m known samples were."""
        if when is None:
            return None
        if scene.sampled(delay.signals):
            self.truths.append(when == 1.0)
        return truth(sum(self.truths[-delay.of :]) >= delay.n)

    def begin(self, scene: Scene, when: Value, only_if: Value) -> None:
        """Not active: perhaps it becomes so."""
        delay = self.level.delay
        if isinstance(delay, Samples):
            if delay.of:
                asked = bool(when) and scene.sampled(delay.signals)
            else:
                self.pending.feed(scene, when, delay)
                asked = self.pending.out(scene, delay)
            if asked:
                self.pending.clear()
            self.active = asked and bool(only_if)
        else:
            self.pending.feed(scene, conjunction([when, only_if]), delay)
            self.active = self.pending.out(scene, delay)
        if self.active:
            self.pending.clear()
            self.clearing.clear()

    def end(self, scene: Scene, when: Value, clear: Value) -> None:
        """Active: perhaps it ends."""
        delay = self.level.clear_delay
        if when:
            self.clearing.clear()
            return
        self.clearing.feed(scene, clear, delay)
        if self.clearing.out(scene, delay):
            self.active = False
            self.clearing.clear()

    def deadline(self, scene: Scene) -> int | None:
        """When the delay that runs now runs out."""
        timer = self.clearing if self.active else self.pending
        delay = self.level.clear_delay if self.active else self.level.delay
        return None if isinstance(delay, Samples) else timer.end(scene, delay)


@dataclass
class Alarm:
    """The alarm of a rule (or group) on one asset (or key).

    `announced`: this occurrence has been announced. `owed`: an announced one is not cleared yet.
    """

    rule: Rule
    key: str
    group: bool = False
    machines: list[Machine] = field(default_factory=list)
    state: str = "normal"           # normal, active, returned
    severity: int = 0
    level: int = 0                  # the highest active one, or the last that was
    stale: bool = False
    suppressed: bool = False
    announced: bool = False
    owed: bool = False
    raised: int = 0                 # when it was raised last
    raises: int = 0                 # how often
    answered: bool = False          # what ends the escalation was done
    escalated: bool = False

    def __post_init__(self) -> None:
        self.machines = [Machine(level, self.rule.on_unknown) for level in self.rule.levels]

    @property
    def active(self) -> bool:
        """Whether the alarm is active: a returned one is not."""
        return self.state == "active"

    def step(self, scene: Scene) -> list[Transition]:
        """Take one evaluation."""
        unless = None if self.rule.unless is None else scene.value(self.rule.unless)
        before, raises = self.suppressed, self.raises
        if unless is not None:
            self.suppressed = bool(unless)
        for machine in self.machines:
            machine.step(scene)
        found = self.life(scene) + self.staleness(scene)
        still = self.state != "normal" and raises == self.raises
        if before != self.suppressed and still:
            found += self.turn(scene)
        return found

    def life(self, scene: Scene) -> list[Transition]:
        """raised, level, returned, cleared."""
        levels = [m.level.severity for m in self.machines if m.active]
        if not levels:
            if self.state != "active":
                return []
            end: TransitionKind = "returned" if self.rule.latch else "cleared"
            return self.finish(scene, end)
        if self.state != "active":
            self.state, self.severity, self.stale = "active", max(levels), False
            self.raised, self.answered, self.escalated = scene.at[0], False, False
            self.raises += 1
            self.announced = not (self.suppressed or self.rule.shadow)
            self.owed = self.owed or self.announced
            return [self.transition(scene, "raised", self.announced)]
        severity = max([*levels, *self.floor(scene)])
        if severity == self.severity:
            return []
        self.severity = severity
        return [self.transition(scene, "level", self.heard())]

    def finish(self, scene: Scene, kind: TransitionKind) -> list[Transition]:
        """The end of the alarm's activity, or of a returned alarm."""
        self.stale = False
        announced = self.announced if kind == "returned" else self.owed
        self.state = "returned" if kind == "returned" else "normal"
        found = [self.transition(scene, kind, announced)]
        if kind == "cleared":
            self.announced = self.owed = False
        return found

    def floor(self, scene: Scene) -> list[int]:
        """The severity that escalation has brought, once it has."""
        end = self.escalation(scene)
        if end is not None and (end, ESCALATION) <= scene.at:
            self.escalated = True
        return [self.rule.escalate.to] if self.escalated and self.rule.escalate else []

    def escalation(self, scene: Scene) -> int | None:
        """When the alarm will escalate."""
        if self.rule.escalate is None or self.answered or self.escalated or not self.active:
            return None
        after = scene.value(self.rule.escalate.after)
        return None if after is None else self.raised + int(after)

    def staleness(self, scene: Scene) -> list[Transition]:
        """stale, fresh: of the `when` of its active levels."""
        stale = any(m.stale for m in self.machines)
        if not self.active or stale == self.stale:
            return []
        self.stale = stale
        return [self.transition(scene, "stale" if stale else "fresh", self.heard())]

    def turn(self, scene: Scene) -> list[Transition]:
        """Suppression began or ended while the alarm is active or returned."""
        if self.rule.shadow:
            return []
        if self.announced:
            kind: TransitionKind = "suppressed" if self.suppressed else "unsuppressed"
            return [self.transition(scene, kind, True)]
        if self.suppressed:
            return []
        self.announced = self.owed = True
        return [self.transition(scene, "raised", True)]

    def heard(self) -> bool:
        """Whether what happens to the alarm now is announced."""
        return self.announced and not self.suppressed

    def transition(self, scene: Scene, kind: TransitionKind, announced: bool) -> Transition:
        """A transition of this alarm, now."""
        active = [i for i, m in enumerate(self.machines) if m.active]
        self.level = active[0] if active else self.level
        shown = [scene.value(piece.expr) for piece in self.rule.evidence if piece.expr is not None]
        return Transition(
            scene.at[0], self.key, self.rule.id, kind, self.severity, announced,
            group=self.group, raised=self.raised, level=self.level,
            values=tuple(math.nan if x is None else x for x in shown),
        )  # fmt: skip

    def reset(self, scene: Scene) -> list[Transition]:
        """An operator's reset: it ends a returned alarm, and is refused otherwise."""
        return self.finish(scene, "cleared") if self.state == "returned" else []

    def answer(self, what: str) -> None:
        """An acknowledgement or a step of the plan: it may end the escalation."""
        escalate = self.rule.escalate
        if self.state != "normal" and escalate is not None and escalate.until == what:
            self.answered = self.answered or not self.escalated

    def deadlines(self, scene: Scene) -> list[Position]:
        """The instants of its delays and of its escalation."""
        found = [(t, DELAY) for m in self.machines if (t := m.deadline(scene)) is not None]
        end = self.escalation(scene)
        return found if end is None else [*found, (end, ESCALATION)]
