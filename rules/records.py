"""What goes into the engine and what comes out of it. Times are ms since 1970, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

TransitionKind = Literal[
    "raised", "level", "cleared", "returned", "stale", "fresh", "suppressed", "unsuppressed"
]
#: Commands that the engine knows, and tests beside the rules.
EngineCommand = Literal["reset", "acknowledge", "step", "set"]
CommandKind = Literal[
    "acknowledge", "unacknowledge", "shelve", "unshelve", "reset", "out_of_service", "in_service",
    "comment", "step", "set",
]  # fmt: skip

#: What happens to an alarm beyond its condition: by people and by a plan's clocks …
AttentionKind = Literal[
    "acknowledged", "unacknowledged", "comment", "step", "overdue", "closed", "superseded"
]
#: … and to the rule on an asset, whether or not there is an alarm.
PointKind = Literal["shelved", "unshelved", "out_of_service", "in_service"]
ChangeKind = TransitionKind | AttentionKind | PointKind

#: Why a change is recorded but not announced.
Held = Literal["", "suppressed", "shadow", "shelved", "out_of_service", "unchanged"]


class Transition(msgspec.Struct, frozen=True):
    """A change of an alarm's state, at the exact instant of the change.

    `severity` is 1 to 4; of `cleared` and `returned`, the last one. `since` is when the condition
    began (a raise after a 15 s delay has since = t - 15,000). `values` are those of the rule's
    pieces (evidence, then the pieces of the message in order), in their units; NaN is unknown.
    """

    t: int
    asset: str                      # of a group: the group's key
    rule: str
    kind: TransitionKind
    severity: int
    announced: bool
    group: bool = False
    raised: int = 0                 # instant of the raise that began this occurrence
    since: int = 0
    level: int = 0                  # index in rule.levels of the highest active level
    values: tuple[float, ...] = ()
    #: Of a group with `first_out`: the (asset, rule) that came first.
    first_out: tuple[str, str] | None = None
    #: Of a group that is a parent: the (asset, rule) pairs counted in so far.
    counted: tuple[tuple[str, str], ...] = ()


class Change(msgspec.Struct, frozen=True):
    """A change of an alarm in the sight of those who work it off: what the ledger records.

    Of an *occurrence*, which is named by rule, asset and instant of its raise; or of the *point*
    (the rule on the asset; `raised` 0), which is shelved or out of service. `seq` counts the
    changes of either. `severity` is the effective one after the change.
    """

    t: int
    asset: str
    rule: str
    kind: ChangeKind
    severity: int
    announced: bool
    group: bool
    raised: int
    seq: int
    held: Held = ""
    by: str = ""
    reason: str = ""                # of a comment its text
    request: str = ""
    step: str = ""
    fields: dict[str, str] = {}
    skipped: tuple[str, ...] = ()   # steps not done when the loop was closed
    until: int | None = None        # the end of a shelf; the time limit that a step set
    once: bool = False              # a shelf that ends with the alarm
    plan: str = ""                  # the plan that begins here, its clocks (step -> instant) …
    clocks: dict[str, int] = {}
    closing: bool = False           # … and whether it has to be closed
    notify: tuple[str, ...] = ()    # who hears of a step that is late …
    floor: int = 0                  # … and the severity that it raises the alarm to
    condition: Transition | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator orders. `target` is a rule's or group's id; for `set` a signal."""

    kind: CommandKind
    target: str
    asset: str = ""                 # or the key of a group
    group: bool = False
    value: float | str | bool | None = None    # set: bool, number, state's name or code
    step: str = ""
    by: str = ""
    reason: str = ""                # of a comment its text
    request: str = ""               # given again, the first result is given again
    against: int | None = None      # the sequence number that its author saw
    alarm: str = ""                 # an occurrence's id, instead of (or beside) target and asset
    duration: int | None = None     # of a shelf, ms
    once: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command changed nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an asset as plain values, for tests, files and simulators (bytes take the
    fast way). A value is a number, bool, state's name or code, list of codes or names, or None
    (bad quality).
    """

    asset: str
    cls: str
    t: int
    values: dict[str, object]
    arrival: int | None = None
    historical: bool = False
