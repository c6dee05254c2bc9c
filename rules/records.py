"""What goes into the engine and what comes out of it. Times are ms since 1970, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

TransitionKind = Literal[
    "raised", "level", "cleared", "returned", "stale", "fresh", "suppressed", "unsuppressed"
]
CommandKind = Literal["reset", "acknowledge", "step", "set"]


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
