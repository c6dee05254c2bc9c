"""The engine's side of an alarm, slow and short: which transitions there can be.

A twin of `rules.machine.step_alarm` in plain words; the machine of `test_attend_machine` plays it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rules.model import Group, Rule
from rules.records import Transition, TransitionKind


@dataclass
class Twin:
    """The alarm of one point: what the engine holds of it."""

    rule: Rule | Group
    asset: str
    status: Literal["inactive", "active", "returned"] = "inactive"
    level: int = 0
    severity: int = 0
    floor: int = 0
    stale: bool = False
    suppressed: bool = False
    announced: bool = False      # this raise
    told: bool = False           # any raise since it was normal
    raised: int = 0
    since: int = 0

    @property
    def shadow(self) -> bool:
        return isinstance(self.rule, Rule) and self.rule.shadow

    def step(
        self, now: int, level: int | None, *, stale: bool = False, suppressed: bool = False,
        reset: bool = False, escalates: int = 0,
    ) -> list[Transition]:
        """One evaluation: `level` is the highest active one, `escalates` a severity to rise to."""
        made: list[Transition] = []
        was, loud = self.status, not suppressed and not self.shadow
        changed = suppressed != self.suppressed
        begun = level is not None and was != "active"
        if begun:
            self.raised, self.floor, self.since = now, 0, now
            stale = False            # what raises is known
        if level is not None:
            self.status, self.level = "active", level
            self.floor = max(self.floor, escalates)
            new = max(self.rule.levels[level].severity, self.floor)
        else:
            new, stale = self.severity, False
            waits = self.rule.latch and (was == "active" or (was == "returned" and not reset))
            self.status = "returned" if waits else "inactive"

        def say(kind: TransitionKind, *, announced: bool, severity: int) -> None:
            made.append(Transition(
                now, self.asset, self.rule.id, kind, severity, announced,
                isinstance(self.rule, Group), self.raised,
                self.since if self.status == "active" else now, self.level,
            ))  # fmt: skip

        before = self.announced
        if begun:
            self.announced = loud
            say("raised", announced=loud, severity=new)
        elif was != self.status and self.status == "returned":
            say("returned", announced=before, severity=new)
        elif was != self.status:
            say("cleared", announced=self.told, severity=new)
        elif self.status == "active" and new != self.severity:
            say("level", announced=before and loud, severity=new)
        if self.status == "active" and not begun and stale != self.stale:
            say("stale" if stale else "fresh", announced=before and loud, severity=new)
        if changed and self.status != "inactive" and not begun:
            if before:
                say("suppressed" if suppressed else "unsuppressed", announced=True, severity=new)
            elif loud:
                self.announced = True
                say("raised", announced=True, severity=new)
        if self.status == "inactive":
            self.announced = self.told = False
        self.told |= self.announced
        self.severity, self.stale, self.suppressed = new, stale, suppressed
        return made
