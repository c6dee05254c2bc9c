"""The story of one alarm, gathered from the contents of a ledger's records. Pure.

    Search      which alarm is meant: an id, the beginning of one, or RULE@ASSET
    gather      its records, those of its point (shelves, service), commands, activations, and
                what came after it on the same asset

Raised: TraceError, when no alarm or more than one is meant, or a record is not to be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rules.model import SEVERITIES
from streams.alarms import Book, word
from streams.contents import change_of
from streams.ledger import Record, read

Content = Mapping[str, Any]

HEX = frozenset("0123456789abcdef")
ID = 32               # hex digits of a whole id
LEAST = 4             # of a beginning of one
TOLD = 20             # candidates that are listed
HOUR = 3_600_000
HORIZON = 24 * HOUR   # what comes on the asset this long after the raise is still led up to
MOST_OTHERS = 1_000   # alarms counted in a group whose course is shown

_ENDS = frozenset({"cleared", "returned"})


class TraceError(Exception):
    """The alarm cannot be traced; its text says what was found and what to do."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An occurrence: its id, what it is of, the instant of its raise (ms), its first record."""

    id: str
    rule: str
    asset: str
    group: bool
    raised_ms: int
    n: int

    def __str__(self) -> str:
        return f"{self.id[:12]}  {self.rule}@{self.asset}"


def content_of(record: Record) -> dict[str, Any]:
    """What a record says. Raises TraceError where it says nothing."""
    content = read(record.body)
    if content is None:
        raise unlike(record.n)
    return content


class Search:
    """Looks for the alarm that is meant by an id, a beginning of one, or RULE@ASSET."""

    def __init__(self, asked: str) -> None:
        self.asked = asked.strip()
        self.rule, at, self.asset = self.asked.partition("@")
        self.prefix = "" if at else self.asked.lower()
        bad = not (self.rule and self.asset) if at else not (
            set(self.prefix) <= HEX and LEAST <= len(self.prefix) <= ID
        )
        if bad:
            raise TraceError(
                f"{asked!r}: expected an alarm's id, {LEAST} or more of its first hex digits, or "
                "RULE@ASSET"
            )
        self._found: dict[str, Alarm] = {}
        self._more = False

    def look(self, records: Iterable[Record]) -> Alarm:
        """The alarm meant. Raises TraceError when there is none, or more than one."""
        sign = json.dumps(self.asset or self.prefix, ensure_ascii=False)[1:-1].encode()
        for record in records:
            if sign in record.body:  # sound, as bodies are canonical JSON; spares reading most
                self._take(content_of(record))
        return self._one()

    def _take(self, content: Content) -> None:
        if content.get("type", "alert") != "alert" or not content.get("raised_ms"):
            return
        alarm = Alarm(content["alarm"], content["rule"], content["asset"],
                      bool(content.get("group")), content["raised_ms"], content["n"])  # fmt: skip
        if alarm.id in self._found:
            return
        if not self.prefix and (alarm.rule, alarm.asset) == (self.rule, self.asset):
            self._found = {alarm.id: alarm}  # the newest occurrence
        elif self.prefix and alarm.id.startswith(self.prefix):
            if len(self._found) < TOLD:
                self._found[alarm.id] = alarm
            else:
                self._more = True

    def _one(self) -> Alarm:
        found = list(self._found.values())
        if len(found) == 1:
            return found[0]
        if found:
            lines = [f"  {alarm}" for alarm in found] + ["  …"] * self._more
            count = f"{'more than ' * self._more}{len(found)}"
            said = f"{self.asked!r} is the beginning of {count} alarms; give more digits:"
            raise TraceError("\n".join([said, *lines]))
        if self.prefix:
            raise TraceError(f"no alarm's id begins with {self.asked!r}; see `tocsin ledger show`")
        raise TraceError(
            f"{self.rule} has never been raised on {self.asset}; see `tocsin ledger show --asset "
            "ASSET`"
        )


def alarms(records: Iterable[Record]) -> Iterator[Alarm]:
    """Every occurrence of a ledger, once, in the order of their first records."""
    seen: set[str] = set()
    for record in records:
        content = content_of(record)
        if content.get("type", "alert") != "alert" or not content.get("raised_ms"):
            continue
        if content["alarm"] not in seen:
            seen.add(content["alarm"])
            yield Alarm(content["alarm"], content["rule"], content["asset"],
                        bool(content.get("group")), content["raised_ms"],
                        content["n"])  # fmt: skip


@dataclass(slots=True)
class Chronicle:
    """The records that tell of an alarm, in their order in the ledger.

    own          alerts of the occurrence
    point        alerts of its point (rule on asset): those in force at the raise and later ones
    commands     ordered of the alarm or its point, refused ones too; `set` of the asset's signals
    activation   the one in force at the raise; later ones are in `activations`
    others       announced raises on the same asset later on, and groups that counted this alarm;
                 of a group, the records of the alarms under it (see `members`)
    last_ms      plant's time of the ledger's newest record
    """

    alarm: Alarm
    own: list[Content] = field(default_factory=list)
    point: list[Content] = field(default_factory=list)
    commands: list[Content] = field(default_factory=list)
    activation: Content | None = None
    activations: list[Content] = field(default_factory=list)
    others: list[Content] = field(default_factory=list)
    last_ms: int = 0
    newer: int | None = None    # first record of the next occurrence at the same point

    @property
    def first(self) -> Content:
        """The raise that began it."""
        return self.own[0]

    @property
    def since_ms(self) -> int:
        """When the condition began."""
        return int(min(self.first.get("since_ms") or self.first["t_ms"], self.first["t_ms"]))

    @property
    def ended_ms(self) -> int | None:
        """When the condition ended for good, or None."""
        ended: int | None = None
        for content in self.own:
            if content["kind"] in _ENDS:
                ended = content["t_ms"] if ended is None else ended
            elif content["kind"] == "raised":
                ended = None
        return ended

    @property
    def standing(self) -> str:
        """What it stands at, in the words of ISA-18.2; `finished` when nothing is left to do."""
        book = Book()
        try:
            for content in sorted((*self.own, *self.point), key=lambda c: int(c["n"])):
                book.apply(change_of(content))
        except (KeyError, TypeError, ValueError, AssertionError):
            raise unlike(self.own[0]["n"]) from None
        point = book.points[self.alarm.rule, self.alarm.asset]
        occurrence = point.open.get(self.alarm.raised_ms)
        if occurrence is None or occurrence.finished:  # None: it gave way to later ones
            return "finished"
        found = word(point, occurrence)
        return "unclosed" if found == "normal" and occurrence.looped else found

    @property
    def open(self) -> bool:
        """Whether it is active, or somebody still has to do something about it."""
        return self.standing != "finished"

    @property
    def worst(self) -> str:
        """The highest severity that it had."""
        return max((str(c["severity"]) for c in self.own), key=lambda x: SEVERITIES.get(x, 0))

    def records(self) -> list[Content]:
        """Everything in order: what `trace --verify` compares are those of own and commands."""
        every = {c["n"]: c for part in (self.own, self.point, self.commands, self.activations)
                 for c in part}  # fmt: skip
        return [every[n] for n in sorted(every)]


def unlike(n: int) -> TraceError:
    """The error that a record is not to be read."""
    return TraceError(
        f"record {n} is not one that Tocsin wrote; `tocsin ledger verify` names the first that was "
        "changed"
    )


def gather(alarm: Alarm, records: Iterable[Record]) -> Chronicle:
    """Reads a ledger once for all that concerns an alarm."""
    chronicle = Chronicle(alarm)
    sign = json.dumps(alarm.asset, ensure_ascii=False).encode()
    before: dict[str, Content] = {}  # what is in force at the point
    record = None
    for record in records:
        if sign not in record.body and b'"type":"activation"' not in record.body:
            continue  # sound, as bodies are canonical JSON; spares reading most
        content = content_of(record)
        kind = content.get("type", "alert")
        if kind == "activation":
            _activation(chronicle, content)
        elif kind == "command":
            _command(chronicle, content)
        elif kind != "alert":
            continue
        elif (content["rule"], content["asset"]) == (alarm.rule, alarm.asset):
            _of_point(chronicle, content, before)
        elif chronicle.own and not alarm.group:
            _other(chronicle, content)
    if record is not None:
        chronicle.last_ms = content_of(record)["t_ms"]
    if not chronicle.own:
        raise TraceError(f"alarm {alarm.id} has no records in this ledger")
    _cut(chronicle)
    return chronicle


def _activation(chronicle: Chronicle, content: Content) -> None:
    if content["n"] < chronicle.alarm.n:
        chronicle.activation = content
    else:
        chronicle.activations.append(content)


def _command(chronicle: Chronicle, content: Content) -> None:
    alarm = chronicle.alarm
    named = content.get("alarm") or ""
    if named == alarm.id or (
        not named and (content.get("rule"), content.get("asset")) == (alarm.rule, alarm.asset)
    ) or (content.get("command") == "set" and content.get("asset") == alarm.asset):  # fmt: skip
        chronicle.commands.append(content)


def _of_point(chronicle: Chronicle, content: Content, before: dict[str, Content]) -> None:
    kind = content["kind"]
    if content["alarm"] == chronicle.alarm.id:
        if not chronicle.own:
            chronicle.point += before.values()
        chronicle.own.append(content)
    elif content.get("raised_ms"):
        if chronicle.own and chronicle.newer is None:
            chronicle.newer = content["n"]
    elif chronicle.own:
        chronicle.point.append(content)
    elif kind in ("shelved", "out_of_service"):
        before[kind] = content
    else:
        before.pop("out_of_service" if kind == "in_service" else "shelved", None)


def _other(chronicle: Chronicle, content: Content) -> None:
    """What came later on the asset, and groups that counted the alarm in."""
    alarm = chronicle.alarm
    pair = [alarm.asset, alarm.rule]
    wanted = content["kind"] == "raised" and bool(content.get("announced")) and (
        content["asset"] == alarm.asset or pair in (content.get("counted") or ())
    )
    wanted = wanted and content["t_ms"] - chronicle.first["t_ms"] <= HORIZON
    if wanted and len(chronicle.others) < MOST_OTHERS:
        chronicle.others.append(content)


def counting(chronicle: Chronicle, records: Iterable[Record]) -> None:
    """Reads another partition's ledger for groups that counted the alarm in."""
    sign = json.dumps(chronicle.alarm.asset, ensure_ascii=False).encode()
    for record in records:
        if sign in record.body and b'"counted"' in record.body:
            content = content_of(record)
            if content.get("type", "alert") == "alert":
                _other(chronicle, content)


def members(
    chronicle: Chronicle, records: Iterable[Record], belongs: Callable[[str, str], bool], back: int
) -> None:
    """Reads a ledger once more for the course of the alarms that a group's alarm stands over.

    Those are what it says that it counted, and what else `belongs` (asset, rule) to the group and
    was raised up to `back` ms before it.
    """
    counted = {(a, r) for c in chronicle.own for a, r in c.get("counted") or ()}
    counted |= {(c["first_out"][0], c["first_out"][1]) for c in chronicle.own if c.get("first_out")}
    begin, end = chronicle.since_ms - back, chronicle.ended_ms or chronicle.last_ms
    for record in records:
        content = content_of(record)
        if content["t_ms"] > end or len(chronicle.others) >= MOST_OTHERS:
            break
        if content.get("raised_ms", 0) < begin or content.get("group"):
            continue
        pair = content["asset"], content["rule"]
        if pair in counted or belongs(*pair):
            chronicle.others.append(content)


def _cut(chronicle: Chronicle) -> None:
    """Leaves out what came after the alarm was over."""
    last = chronicle.own[-1]["n"]
    until = chronicle.newer or float("inf")
    if not chronicle.open:
        until = last + 1
    begin = chronicle.since_ms
    chronicle.point = [c for c in chronicle.point if c["n"] < until]
    chronicle.commands = [
        c for c in chronicle.commands
        if c.get("alarm") == chronicle.alarm.id or (c["t_ms"] >= begin and c["n"] < until)
    ]  # fmt: skip
    chronicle.activations = [c for c in chronicle.activations if c["n"] < until]
