"""From records of the ledger to what alarm-management figures are made of. Pure.

An *occurrence* is one alarm id, a *point* is a rule on an asset. Of each the facts are kept with
their instants; what is "now" follows from them. Only the order of one point's records matters.

Memory: 0.9 kB an occurrence with a plan (measured), whatever the number of its records.

    HistoryError    a record is not what the ledger's contract says
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from sys import intern
from typing import Any, Literal

from rules.model import SEVERITIES

By = Literal["desk", "class", "place", "rule"]
Content = Mapping[str, Any]

ACKNOWLEDGE, CLOSE = "acknowledge", "close"     # the steps of a plan that the lifecycle knows


class HistoryError(Exception):
    """A record lacks something, or something in it has another type."""


@dataclass(slots=True)
class Point:
    """A rule on an asset (of a group: on its key), and whether people took it out of sight."""

    rule: str
    asset: str
    cls: str
    desk: str
    place: str
    shelved: bool = False
    until: int | None = None            # end of the shelf, ms
    out_of_service: bool = False

    def key(self, by: By) -> str:
        """Its value of a key, "" where it has none."""
        return {"desk": self.desk, "class": self.cls, "place": self.place, "rule": self.rule}[by]

    def is_shelved(self, now: int) -> bool:
        """Whether it is shelved at `now` (ms)."""
        return self.shelved and (self.until is None or now < self.until)


@dataclass(slots=True)
class Occurrence:
    """One alarm from its raise on. Instants are ms, None: it has not happened."""

    point: Point
    raised: int
    held: str                           # why nobody was told of the raise, "" if they were
    announced: int | None = None        # the first raise that people were told of
    severity: str = ""                  # at that instant
    normal: int | None = None           # condition normal again (latched or not)
    acknowledged: int | None = None     # the first acknowledgement that was not taken back
    holds: int = 0                      # severity up to which it is acknowledged; 0 not
    closing: bool = False               # its plan is to be closed
    closed: int | None = None
    superseded: bool = False            # too many later ones are open: nobody waits for it any more
    clocks: dict[str, int] | None = None                # of its plan, still running: deadlines
    settled: list[tuple[int, str, bool]] | None = None  # instant, step, kept

    @property
    def unacknowledged(self) -> bool:
        """People were told and have yet to answer."""
        return self.announced is not None and not self.holds and not self.superseded

    @property
    def unclosed(self) -> bool:
        """Its loop has yet to be closed."""
        return self.closing and self.closed is None and not self.superseded

    def settle(self, step: str, t: int, *, kept: bool = True) -> None:
        """A step was done, or its clock ran out (not `kept`): a clock is decided once.

        A step done after its deadline has missed it, with or without a record that said so.
        """
        if self.clocks is None or step not in self.clocks:
            return
        deadline = self.clocks.pop(step)
        self.clocks = self.clocks or None       # there are many occurrences
        self.settled = [*(self.settled or ()), (t, step, kept and t <= deadline)]


@dataclass(slots=True)
class History:
    """What happened up to an instant. `first` and `last` are instants of records, None: no record.

    `zone` is that of the newest activation, "" before one.
    """

    end: int | None = None              # ms; records from this instant on are not taken
    first: int | None = None
    last: int | None = None
    zone: str = ""
    occurrences: dict[str, Occurrence] = field(default_factory=dict)            # by alarm id
    points: dict[tuple[str, str], Point] = field(default_factory=dict)          # by rule, asset

    def take(self, content: Content) -> None:
        """Takes the content of one record. Raises HistoryError."""
        try:
            t = content["t_ms"]
            if self.end is not None and t >= self.end:
                return
            self.first = t if self.first is None else min(self.first, t)
            self.last = t if self.last is None else max(self.last, t)
            match content["type"]:
                case "activation":
                    self.zone = str(content.get("zone", ""))
                case "alert":
                    self._alert(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise HistoryError(
                f"record {content.get('n')} is not one of a ledger ({what})"
            ) from None

    def _alert(self, content: Content) -> None:
        kind = content["kind"]
        if kind in _POINT:
            _POINT[kind](self._point(content), content)
            return
        one = self.occurrences.get(content["alarm"])
        if one is None:
            if kind != "raised":        # the story of an alarm begins with its raise
                return
            held = intern(content.get("held", ""))
            one = Occurrence(self._point(content), content["t_ms"], held)
            self.occurrences[content["alarm"]] = one
        if one.holds and SEVERITIES[content["severity"]] > one.holds:
            one.holds = 0               # it is worse than what people acknowledged
        _begin_plan(one, content)
        if kind in _OCCURRENCE:
            _OCCURRENCE[kind](one, content)

    def _point(self, content: Content) -> Point:
        """The point of a record. Attributes that were changed (the inventory's) count from now."""
        key = (content["rule"], content["asset"])
        point = self.points.get(key)
        cls, desk, place = (_text(content.get(name)) for name in ("class", "desk", "place"))
        if point is None:
            point = Point(intern(key[0]), intern(key[1]), cls, desk, place)
        elif (point.cls, point.desk, point.place) != (cls, desk, place):
            point = replace(point, cls=cls, desk=desk, place=place)
        self.points[key] = point
        return point


def history(contents: Iterable[Content], end: int | None = None) -> History:
    """What the records before `end` (ms; None: all) tell. Raises HistoryError."""
    made = History(end)
    for content in contents:
        made.take(content)
    return made


def _text(value: object) -> str:
    """An attribute as a key; a number is one, too."""
    return "" if value is None else intern(str(value))


def _begin_plan(one: Occurrence, content: Content) -> None:
    """The clocks of a plan that begins replace those of the one before."""
    if "plan" in content:
        clocks = {intern(step): int(at) for step, at in content.get("clocks", {}).items()}
        one.clocks = clocks or None
        one.closing = bool(content.get("closing", CLOSE in clocks))


def _raised(one: Occurrence, content: Content) -> None:
    one.normal = None
    if content["announced"]:
        one.holds = 0                   # told (again, when a shelf ends): people must answer
        if one.announced is None:
            one.announced, one.severity = content["t_ms"], intern(content["severity"])
            if one.severity not in SEVERITIES:
                raise ValueError(f"severity {one.severity!r}")


def _normal(one: Occurrence, content: Content) -> None:
    if one.normal is None:              # `cleared` after `returned` is the operator's reset
        one.normal = content["t_ms"]


def _acknowledged(one: Occurrence, content: Content) -> None:
    one.holds = SEVERITIES[content["severity"]]
    if one.acknowledged is None:
        one.acknowledged = content["t_ms"]
    one.settle(ACKNOWLEDGE, content["t_ms"])


def _unacknowledged(one: Occurrence, content: Content) -> None:
    one.holds = 0
    if content.get("by"):               # taken back; without an author it is back from a shelf
        one.acknowledged = None


def _unsuppressed(one: Occurrence, _: Content) -> None:
    one.holds = 0                       # people must answer again


def _step(one: Occurrence, content: Content) -> None:
    one.settle(intern(content["step"]), content["t_ms"])
    if "until_ms" in content:           # the step set the time limit of closing
        one.clocks = {**(one.clocks or {}), CLOSE: int(content["until_ms"])}


def _overdue(one: Occurrence, content: Content) -> None:
    one.settle(intern(content["step"]), content["t_ms"], kept=False)


def _closed(one: Occurrence, content: Content) -> None:
    one.closed = content["t_ms"]
    one.settle(CLOSE, content["t_ms"])


def _superseded(one: Occurrence, _: Content) -> None:
    one.superseded = True


def _shelved(point: Point, content: Content) -> None:
    point.shelved, point.until = True, content.get("until_ms")


def _unshelved(point: Point, _: Content) -> None:
    point.shelved = False


def _out_of_service(point: Point, _: Content) -> None:
    point.out_of_service = True


def _in_service(point: Point, _: Content) -> None:
    point.out_of_service = False


#: What each kind of alert says; the others change no figure.
_OCCURRENCE: dict[str, Callable[[Occurrence, Content], None]] = {
    "raised": _raised,
    "returned": _normal,
    "cleared": _normal,
    "acknowledged": _acknowledged,
    "unacknowledged": _unacknowledged,
    "step": _step,
    "overdue": _overdue,
    "closed": _closed,
    "superseded": _superseded,
    "unsuppressed": _unsuppressed,
}
_POINT: dict[str, Callable[[Point, Content], None]] = {
    "shelved": _shelved,
    "unshelved": _unshelved,
    "out_of_service": _out_of_service,
    "in_service": _in_service,
}
