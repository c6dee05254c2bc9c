"""Alarms as people see them: facts, and the words derived from them. Pure.

The engine decides the *condition* of an alarm. What people do about it stands beside that:

    point         a rule on an asset: its shelf, whether it is out of service, its occurrences
    occurrence    from one raise on: condition, acknowledgement, plan; open until the condition is
                  normal, what was announced is acknowledged and its loop is closed (预案闭环)

Facts are stored with their times; the words shown (ISA-18.2) are derived from them by `word`, and
nothing else derives them. State changes in one place, `Book.apply`: whoever applies the changes of
a ledger in order has the state (`streams.attend` decides which changes there are).

Which commands are legal is the table of `streams.guards`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Literal

import msgspec

from rules.records import Change

#: Open occurrences of one point; beyond it the oldest that is normal gives way (`superseded`).
MAX_OPEN = 100

#: Changes that end the condition.
ENDS = frozenset({"cleared", "returned"})

Condition = Literal["active", "latched", "normal"]
Word = Literal[
    "out_of_service", "suppressed", "shelved", "latched", "unacknowledged",
    "returned_unacknowledged", "acknowledged", "normal",
]  # fmt: skip
Key = tuple[str, str]    # rule, asset (or a group's key)


class Done(msgspec.Struct, frozen=True):
    """Somebody did something. `severity` is that of the alarm at the time."""

    t: int
    by: str
    severity: int = 0


class Shelf(msgspec.Struct, frozen=True):
    """A point on the shelf until an instant, or (`once`) until its alarm ends before."""

    t: int
    by: str
    reason: str
    until: int
    once: bool


class Out(msgspec.Struct, frozen=True):
    """A point out of service until somebody brings it back."""

    t: int
    by: str
    reason: str


class Occurrence(msgspec.Struct):
    """One alarm. `seq` is that of its next change, `moved` of the newest that changes its state."""

    raised: int
    seq: int = 0
    moved: int = 0
    severity: int = 0
    level: int = 0
    condition: Condition = "active"
    stale: bool = False
    suppressed: bool = False
    loud: bool = False               # the engine has announced it: neither suppressed nor shadow
    announced: bool = False          # people were told
    acknowledged: Done | None = None
    floor: int = 0                   # severity that a late step has raised it to
    plan: str = ""
    closing: bool = False            # its plan must be closed
    clocks: dict[str, int] = {}      # step -> instant by which it is to be done
    done: dict[str, Done] = {}
    late: list[str] = []
    closed: Done | None = None
    comments: int = 0

    @property
    def attended(self) -> bool:
        """Acknowledged; a rise of the severity beyond the one acknowledged takes that back."""
        return self.acknowledged is not None

    @property
    def unattended(self) -> bool:
        """Announced, and nobody has acknowledged it."""
        return self.announced and not self.attended

    @property
    def looped(self) -> bool:
        """Its loop has to be closed yet."""
        return self.closing and self.closed is None

    @property
    def finished(self) -> bool:
        """Nothing is left to be done about it."""
        return self.condition == "normal" and not self.unattended and not self.looped

    def running(self) -> Iterator[tuple[int, str]]:
        """The clocks that run: (instant, step)."""
        if self.looped or self.condition != "normal":
            for step, at in self.clocks.items():
                if step not in self.done and step not in self.late:
                    yield at, step


class Point(msgspec.Struct):
    """A rule on an asset. Its own changes are counted by `seq`, too."""

    group: bool = False
    seq: int = 0
    shelf: Shelf | None = None
    out: Out | None = None
    open: dict[int, Occurrence] = {}     # by instant of the raise, oldest first

    @property
    def newest(self) -> Occurrence | None:
        """The occurrence raised last; what is finished counts no more, be it forgotten or not."""
        return next((o for o in reversed(self.open.values()) if not o.finished), None)

    @property
    def covered(self) -> Literal["", "out_of_service", "shelved"]:
        """Why nothing of it is announced."""
        return "out_of_service" if self.out else "shelved" if self.shelf else ""


#: The visible ladder: of all that holds, the first is shown.
LADDER: tuple[tuple[Word, Callable[[Point, Occurrence], bool]], ...] = (
    ("out_of_service", lambda p, _: p.out is not None),
    ("suppressed", lambda _, o: o.suppressed and o.condition != "normal"),
    ("shelved", lambda p, _: p.shelf is not None),
    ("latched", lambda _, o: o.condition == "latched" and o.announced),
    ("returned_unacknowledged", lambda _, o: o.condition == "normal" and o.unattended),
    ("unacknowledged", lambda _, o: o.unattended),
    ("acknowledged", lambda _, o: o.condition == "active" and o.announced),
    ("normal", lambda *_: True),
)
_NOTHING = Occurrence(0, condition="normal")


def word(point: Point, occurrence: Occurrence | None) -> Word:
    """The state of an alarm in the words of ISA-18.2; without an occurrence, of its point."""
    found = occurrence or _NOTHING
    return next(name for name, holds in LADDER if holds(point, found))


def alarm_id(rule: str, asset: str, raised: int) -> str:
    """The id of an occurrence: the first 128 bits of SHA-256 over rule, asset and instant of the
    raise (ms), in hex. With 0 for `raised` that of the point. Every replay makes the same ids."""
    return sha256(f"{rule}\0{asset}\0{raised}".encode()).hexdigest()[:32]


# State --------------------------------------------------------------------------------------------


class Book:
    """All points with something open, by rule and asset. Only `apply` changes what they say.

    Points that were ever shelved or out of service stay, for the numbers of their changes.
    """

    def __init__(self) -> None:
        self.points: dict[Key, Point] = {}
        self.ids: dict[str, tuple[Key, int]] = {}    # of the occurrences: id -> point, raise
        self._finished: set[Key] = set()             # points that `tidy` has to look at

    def apply(self, change: Change) -> None:
        """Takes in a change; changes come in order."""
        key = change.rule, change.asset
        point = self.points.get(key)
        if point is None:
            point = self.points[key] = Point(change.group)
        if change.raised == 0:
            _apply_point(point, change)
            return
        occurrence = point.open.get(change.raised)
        if occurrence is None:
            occurrence = point.open[change.raised] = Occurrence(change.raised)
            self.ids[alarm_id(*key, change.raised)] = key, change.raised
        _apply(occurrence, change)
        if change.kind == "superseded":
            del point.open[change.raised], self.ids[alarm_id(*key, change.raised)]
        if occurrence.finished:
            self._finished.add(key)

    def tidy(self, to: int) -> None:
        """Forgets what is finished and was raised before `to`: no more can come of it."""
        for key in list(self._finished):
            point = self.points[key]
            for raised in [r for r, o in point.open.items() if o.finished and r < to]:
                del point.open[raised], self.ids[alarm_id(*key, raised)]
            if not any(o.finished for o in point.open.values()):
                self._finished.discard(key)
            if not (point.open or point.seq):
                del self.points[key]

    def state(self) -> object:
        """All state as plain data."""
        return [[*key, msgspec.to_builtins(point, str_keys=False)]
                for key, point in self.points.items()]

    def restore(self, data: object) -> None:
        """Takes over what `state` gave. Raises ValueError when it is no such data."""
        rows = msgspec.convert(data, list[tuple[str, str, Point]])
        self.points = {(rule, asset): point for rule, asset, point in rows}
        places = [(key, raised) for key, point in self.points.items() for raised in point.open]
        self.ids = {alarm_id(*key, raised): (key, raised) for key, raised in places}
        self._finished = set(self.points)


def _apply_point(point: Point, change: Change) -> None:
    point.seq = change.seq + 1
    match change.kind:
        case "shelved":
            assert change.until is not None
            point.shelf = Shelf(change.t, change.by, change.reason, change.until, change.once)
        case "unshelved":
            point.shelf = None
        case "out_of_service":
            point.out = Out(change.t, change.by, change.reason)
        case "in_service":
            point.out = None


def _begins(o: Occurrence, change: Change) -> bool:
    """Whether a raise begins an alarm, perhaps anew within one ms; else it tells late of one that
    stands (from the shelf, after suppression), active or latched."""
    silent = not o.announced if change.announced else not o.loud
    late = o.condition == "latched" and silent and change.held not in ("suppressed", "shadow")
    return change.t == change.raised and not late


def _apply(o: Occurrence, change: Change) -> None:
    begins = change.kind == "raised" and _begins(o, change)
    o.seq = change.seq + 1
    o.severity = change.severity
    o.announced |= change.announced
    if change.kind not in ("comment", "stale", "fresh"):
        o.moved = change.seq
    if change.condition is not None:
        o.level = change.condition.level
        o.loud |= change.condition.announced and change.kind not in ENDS
    if o.acknowledged is not None and change.severity > o.acknowledged.severity:
        o.acknowledged = None            # it was given for less, and does not come back with less
    if change.plan:
        o.plan, o.clocks, o.closing = change.plan, change.clocks, change.closing
        o.done, o.late = {}, []
    who = Done(change.t, change.by, change.severity)
    match change.kind:
        case "raised":
            o.suppressed = change.held == "suppressed"
            if begins:
                o.condition, o.acknowledged, o.closed, o.done = "active", None, None, {}
        case "returned":
            o.condition, o.stale = "latched", False
        case "cleared":
            o.condition, o.stale, o.suppressed = "normal", False, False
        case "stale" | "fresh":
            o.stale = change.kind == "stale"
        case "suppressed":
            o.suppressed = True
        case "unsuppressed":
            o.suppressed, o.acknowledged = False, None
        case "acknowledged":
            o.acknowledged = who
        case "unacknowledged":
            o.acknowledged = None
            if change.by:
                _undo(o, change.t)
        case "comment":
            o.comments += 1
        case "step":
            o.done = {**o.done, change.step: who}
            if change.until is not None:
                o.clocks = {**o.clocks, "close": change.until}
        case "overdue":
            o.late, o.floor = [*o.late, change.step], max(o.floor, change.floor)
        case "closed":
            o.done, o.closed = {**o.done, change.step: who}, who
    if change.kind == "acknowledged" and change.step:
        o.done = {**o.done, change.step: who}


def _undo(o: Occurrence, t: int) -> None:
    """Somebody takes an acknowledgement back: its step is to be done again, and is late at once
    when its time has run out meanwhile."""
    o.done = {name: who for name, who in o.done.items() if name != "acknowledge"}
    if "acknowledge" in o.clocks:
        o.clocks = {**o.clocks, "acknowledge": max(o.clocks["acknowledge"], t)}
