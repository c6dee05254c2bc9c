"""A checked pack: what the compiler, the engine and the author's tools work on.

The front end (document, expression, load) makes these values out of YAML or refuses with positions;
from here on nothing is text that still has to be understood, and nothing is wrong.
Times and durations are whole milliseconds; severities are 1 blue, 2 yellow, 3 orange, 4 red.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rules.tree import Expr

SEVERITIES = {"blue": 1, "yellow": 2, "orange": 3, "red": 4}
SEVERITY_NAMES = {number: name for name, number in SEVERITIES.items()}


#: How long an alarm may be shelved where its class does not say (ms): a shift of 8 h.
SHELVE_AT_MOST = 8 * 3_600_000


@dataclass(frozen=True)
class Pos:
    """Where something stands: file, line and column, both from 1 and in characters."""

    path: str
    line: int
    column: int


@dataclass(frozen=True)
class Text:
    """A text in one or two languages; a missing one falls back to the other."""

    zh: str = ""
    en: str = ""

    def get(self, language: str) -> str:
        """The text in `zh` or `en`."""
        return (self.zh or self.en) if language == "zh" else (self.en or self.zh)


Kind = Literal["number", "bool", "states", "events", "text"]


@dataclass(frozen=True)
class Signal:
    """A signal of a class. `default` is in the signal's unit, a state's code, or 0/1."""

    name: str
    kind: Kind
    unit: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    names: dict[str, int] = field(default_factory=dict)       # states, events: name -> code
    titles: dict[int, Text] = field(default_factory=dict)     # states, events: code -> title
    stale_after: int | None = None
    frozen_after: int | None = None
    frozen_while: Expr | None = None
    period: int | None = None
    default: float | None = None
    operator: bool = False                                    # set_by: operator
    expires: int | None = None
    title: Text = Text()
    at: Pos = field(default=Pos("", 0, 0), compare=False)


@dataclass(frozen=True)
class Attribute:
    """An attribute of a class. A table is a number looked up by another attribute."""

    name: str
    kind: Kind
    unit: str = ""
    names: dict[str, int] = field(default_factory=dict)       # states: name -> code, in order
    default: float | str | None = None                        # in the unit; a code; 0/1; text
    by: str | None = None                                     # table: looked up by that attribute
    table: dict[str, float] = field(default_factory=dict)     # its text -> number in the unit
    title: Text = Text()
    at: Pos = field(default=Pos("", 0, 0), compare=False)


@dataclass(frozen=True)
class AssetClass:
    """What a kind of asset can say.

    Slots number what a message can carry: the signals in order of declaration, then one for each
    listed code of each signal of events, in order.
    """

    name: str
    title: Text
    signals: dict[str, Signal]
    attributes: dict[str, Attribute]
    derived: dict[str, Expr]
    silent_after: int | None = None
    lateness: int = 2_000
    max_ahead: int = 60_000
    shelve_at_most: int = SHELVE_AT_MOST
    unless: Expr | None = None
    at: Pos = field(default=Pos("", 0, 0), compare=False)

    def slots(self) -> dict[str, int]:
        """Signal name -> slot."""
        return {name: i for i, name in enumerate(self.signals)}

    def event_slots(self) -> dict[tuple[str, int], int]:
        """(signal, code) -> slot, after those of the signals."""
        pairs = [
            (name, code)
            for name, signal in self.signals.items()
            if signal.kind == "events"
            for code in signal.names.values()
        ]
        return {pair: len(self.signals) + i for i, pair in enumerate(pairs)}


@dataclass(frozen=True)
class Samples:
    """A delay counted in messages: `n samples` in a row (of=0), or `n of m samples`."""

    n: int
    of: int
    signals: frozenset[str]


Delay = Expr | Samples  # an Expr is a constant expression in ms


@dataclass(frozen=True)
class Piece:
    """An expression that is shown to people: in a message's `{…}` or as evidence."""

    source: str                      # as written
    expr: Expr | None                # None for the words asset, group, held
    unit: str = ""                   # "ms" for a span of time
    kind: Kind = "number"
    titles: dict[int, Text] = field(default_factory=dict)


@dataclass(frozen=True)
class Message:
    """A message's template: texts and pieces by turns, for each language."""

    zh: tuple[str | Piece, ...] = ()
    en: tuple[str | Piece, ...] = ()


@dataclass(frozen=True)
class Level:
    """One small machine. `moved` is `when` with its comparisons moved by the deadband.

    Ends by `clear_when`; else by `not moved`; else by `not when`.
    """

    severity: int
    when: Expr
    delay: Delay
    clear_when: Expr | None
    clear_delay: Delay
    moved: Expr | None
    only_if: Expr | None
    plan: str | None
    message: Message
    at: Pos = field(default=Pos("", 0, 0), compare=False)


@dataclass(frozen=True)
class Escalation:
    """Raised to a severity that long after the raise, unless somebody did `until` before."""

    after: Expr   # ms
    to: int
    until: str    # "end", "acknowledge" or a step of the plan


@dataclass(frozen=True)
class Rule:
    """A rule on one class (a rule on several classes is one Rule each, with the same id).

    Levels stand highest severity first, those of one severity in the order of the file.
    `health` marks the alarms that Tocsin makes itself (`elevator.silent`, `elevator.x.frozen`).
    """

    id: str
    cls: str
    title: Text
    levels: tuple[Level, ...]
    escalate: Escalation | None = None
    latch: bool = False
    unless: Expr | None = None                 # the class's where the rule has none
    on_unknown: Literal["keep", "raise", "clear"] = "keep"
    shadow: bool = False
    enabled: bool = True
    evidence: tuple[Piece, ...] = ()
    cause: Text = Text()
    consequence: Text = Text()
    action: Text = Text()
    tags: tuple[str, ...] = ()
    health: Literal["", "silent", "frozen"] = ""
    health_signal: str = ""                    # of a frozen alarm
    overridden: bool = field(default=False, compare=False)
    source: dict[str, object] = field(default_factory=dict, compare=False)  # the rule as written
    at: Pos = field(default=Pos("", 0, 0), compare=False)


GroupCount = Literal["alarms", "assets", "rules", "active", "active_assets", "share"]
#: In a group's expressions the six counts are SignalRef(name); `share` is a fraction, or unknown.


@dataclass(frozen=True)
class Group:
    """A rule over the alarms of many assets. `by` is an attribute's name or "asset"."""

    id: str
    title: Text
    by: str
    over: frozenset[str]                       # ids of the rules counted (wildcards resolved)
    levels: tuple[Level, ...]
    within: int | None
    latch: bool = False
    parent: bool = False
    first_out: bool = False
    hazard: bool = False                       # its alarms are records of hazards (隐患)
    at: Pos = field(default=Pos("", 0, 0), compare=False)


@dataclass(frozen=True)
class Step:
    """A step of a plan: what, by whom, by when (ms from the raise)."""

    name: str
    role: str
    do: Text
    within: int | None = None
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What people must do about an alarm, in order."""

    name: str
    title: Text
    steps: tuple[Step, ...]
    raise_to: int | None = None
    notify: tuple[str, ...] = ()
    at: Pos = field(default=Pos("", 0, 0), compare=False)


@dataclass(frozen=True)
class Asset:
    """An asset of an inventory or of a test. Attributes hold what was given, without defaults:
    a number in the attribute's unit, a state's code, 0/1, or a text."""

    id: str
    cls: str
    attributes: dict[str, float | str] = field(default_factory=dict)
    overrides: dict[str, object] = field(default_factory=dict)    # "lift.overspeed.for" -> as is


class Variants(Protocol):
    """What builds a rule anew for an asset with overrides (`rules.overrides.Sources`)."""

    def variant(self, rule: Rule, overrides: Mapping[str, object]) -> Rule:
        """The rule with what the overrides say of it."""
        ...


@dataclass(frozen=True)
class Pack:
    """Everything that was loaded together. `rules` hold one entry a rule and class, with health."""

    classes: dict[str, AssetClass]
    rules: tuple[Rule, ...]
    groups: tuple[Group, ...]
    plans: dict[str, Plan]
    variants: Variants | None = field(default=None, compare=False, repr=False)

    def variant(self, rule: Rule, overrides: Mapping[str, object]) -> Rule:
        """The rule as an asset's overrides make it; the rule itself when none of them concern it.

        Raises `rules.errors.Refused` for overrides that mean nothing (inventories are checked
        when they are read).
        """
        if self.variants is None or not overrides:
            return rule
        return self.variants.variant(rule, overrides)

    def rules_of(self, cls: str) -> tuple[Rule, ...]:
        """The rules on one class, in order of the files."""
        return tuple(rule for rule in self.rules if rule.cls == cls)
