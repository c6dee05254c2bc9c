"""A small pack, and a desk at which its alarms are worked off without an engine behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec

from rules.load import load_texts
from rules.model import Pack
from rules.records import Change, Command, CommandKind, Refusal, Transition, TransitionKind
from streams.alarms import Book, Occurrence, Point, Word, alarm_id, word
from streams.attend import Alarms
from streams.contents import Contents, change_of
from streams.ledger import canonical

S, MIN, HOUR = 1_000, 60_000, 3_600_000
BLUE, YELLOW, ORANGE, RED = 1, 2, 3, 4

RULES = """
classes:
  pump:
    signals: {x: {}, ok: {type: bool}, maintenance: {type: bool, default: false}}
    silent_after: 60 s
    shelve_at_most: 2 h
plans:
  watch:
    steps:
    - {step: acknowledge, role: officer, within: 30 s}
    - {step: look, role: mechanic, within: 10 min}
    overdue: {raise_to: orange, notify: [desk]}
  rescue:
    steps:
    - {step: acknowledge, role: officer, within: 30 s}
    - {step: arrive, role: mechanic, within: 20 min}
    - {step: verify, role: officer}
    - {step: close, role: officer, within: 2 h, needs: [cause_code, responsible]}
    overdue: {raise_to: red, notify: [district]}
  hazard:
    steps:
    - {step: assign, role: owner, needs: [measure, owner, time_limit]}
    - {step: close, role: owner}
rules:
- {rule: pump.plain,  class: pump, severity: yellow, when: x > 1}
- {rule: pump.latch,  class: pump, severity: yellow, when: x > 2, latch: true, unless: maintenance}
- {rule: pump.watched, class: pump, severity: yellow, when: x > 3, plan: watch}
- {rule: pump.shadow, class: pump, severity: yellow, when: x > 4, mode: shadow}
- rule: pump.levels
  class: pump
  unless: maintenance
  levels:
    yellow: {when: x > 5, plan: watch}
    orange: {when: x > 6}
    red:    {when: x > 7, plan: rescue}
- {rule: pump.trapped, class: pump, severity: orange, when: x > 8, latch: true, plan: rescue}
groups:
- {group: pump.flood, by: asset, over: [pump.plain], when: alarms >= 3, within: 5 min,
   severity: orange}
- {group: pump.again, by: asset, over: [pump.plain], when: alarms >= 2, within: 3 d,
   severity: yellow, plan: hazard, hazard: true}
"""


@cache
def pack_of(text: str = RULES) -> Pack:
    found = load_texts([("pack.yaml", text.encode())])
    assert found.pack is not None, [str(problem) for problem in found.problems]
    return found.pack


def class_of(asset: str) -> str | None:
    return "pump" if asset.startswith("P") else None


def plain(data: object) -> object:
    """State as JSON would show it, for comparisons that name what differs."""
    return json.loads(json.dumps(msgspec.to_builtins(data)))


def rebuilt(contents: list[dict[str, Any]], to: int) -> object:
    """The state that records alone give."""
    book = Book()
    for content in contents:
        book.apply(change_of(json.loads(canonical(content))))
    book.tidy(to)
    return plain(sorted(book.state(), key=lambda row: row[:2]))


@dataclass
class Desk:
    """Alarms of one pack, all that they ever said, and the time; `rule` is what it speaks of."""

    rule: str = "pump.plain"
    asset: str = "P1"
    now: int = 0
    pack: Pack = field(default_factory=pack_of)
    made: list[Change] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    level: int = 0
    raise_at: int = 0

    def __post_init__(self) -> None:
        self.alarms = Alarms(self.pack, class_of)
        self.contents = Contents(self.pack, class_of, lambda *_: None)

    # What happens -----------------------------------------------------------------------------

    def take(self, changes: list[Change]) -> list[Change]:
        self.made += changes
        self.records += [self.contents.alert(change, 0) for change in changes]
        return changes

    def at(self, t: int) -> Desk:
        """All before `t` has happened."""
        assert t >= self.now
        self.take(self.alarms.advance(t - 1))
        self.now = t
        return self

    def says(
        self, kind: TransitionKind, *, announced: bool = True, level: int | None = None,
        severity: int | None = None, since: int | None = None,
    ) -> list[Change]:
        """The engine says that now."""
        found = self.alarms.rule((self.rule, self.asset))
        assert found is not None
        if kind == "raised" and self.occurrence_at(self.raise_at) is None:
            self.raise_at = self.now
        self.level = self.level if level is None else level
        own = found.levels[self.level].severity
        return self.take(self.alarms.take([Transition(
            self.now, self.asset, self.rule, kind, own if severity is None else severity,
            announced, not hasattr(found, "cls"), self.raise_at,
            self.now if since is None else since, self.level,
        )]))  # fmt: skip

    def raised(self, t: int, *, announced: bool = True, level: int = 0) -> list[Change]:
        """A raise that begins an occurrence."""
        self.at(t).raise_at = t
        return self.says("raised", announced=announced, level=level)

    def order(self, kind: CommandKind, **more: object) -> Refusal | None:
        """Somebody orders that now; what is needed and not said is filled in."""
        said: dict[str, Any] = {"by": "ana", "reason": "because", **more}
        if kind == "shelve":
            said = {"duration": 10 * MIN, **said}
        command = Command(kind, said.pop("target", self.rule), said.pop("asset", self.asset),
                          **said)
        refusal, changes = self.alarms.order(command, self.now)
        assert not (refusal and changes), "a refused command changes nothing"
        self.take(changes)
        return refusal

    def does(self, kind: CommandKind, **more: object) -> Desk:
        """Orders what has to be accepted."""
        refusal = self.order(kind, **more)
        assert refusal is None, refusal
        return self

    def restart(self) -> Desk:
        """Everything is stopped, and goes on from its snapshot."""
        data = msgspec.msgpack.encode(self.alarms.state())
        self.alarms = Alarms(self.pack, class_of)
        self.alarms.restore(msgspec.msgpack.decode(data, strict=False))
        return self

    # What is seen -----------------------------------------------------------------------------

    @property
    def point(self) -> Point:
        return self.alarms.book.points.get((self.rule, self.asset)) or Point()

    def occurrence_at(self, raised: int) -> Occurrence | None:
        return self.point.open.get(raised)

    @property
    def alarm(self) -> Occurrence:
        return list(self.point.open.values())[-1]

    @property
    def word(self) -> Word:
        return word(self.point, self.point.newest)

    @property
    def id(self) -> str:
        return alarm_id(self.rule, self.asset, self.raise_at)

    @property
    def kinds(self) -> list[str]:
        return [change.kind for change in self.made]

    @property
    def said(self) -> list[tuple[int, str, bool]]:
        """All changes: instant, kind, whether people were told."""
        return [(change.t, change.kind, change.announced) for change in self.made]

    def state(self) -> object:
        return plain(self.alarms.state())


# States -------------------------------------------------------------------------------------------


def standing(rule: str = "pump.plain", *, acked: bool = False, level: int = 0) -> Desk:
    """An alarm that was raised at 1 s; it is 2 s now."""
    desk = Desk(rule)
    desk.raised(1 * S, level=level)
    desk.at(2 * S)
    return desk.does("acknowledge") if acked else desk


def after(desk: Desk, *kinds: TransitionKind, announced: bool = True) -> Desk:
    """The engine has said that, one a second."""
    for kind in kinds:
        desk.at(desk.now + 1 * S).says(kind, announced=announced)
    return desk


def _risen() -> Desk:
    desk = standing("pump.levels", level=2).does("acknowledge").at(3 * S)
    desk.says("level", level=0)
    return desk


def _raised_under_cover() -> Desk:
    desk = Desk().does("shelve")
    desk.raised(1 * S)
    return desk.at(2 * S)


def _raised_under_suppression(*kinds: TransitionKind) -> Desk:
    desk = Desk("pump.latch")
    desk.raised(1 * S, announced=False)
    return after(desk, *kinds, announced=False).at(9 * S)


def _shadow() -> Desk:
    desk = Desk("pump.shadow")
    desk.raised(1 * S, announced=False)
    return desk.at(2 * S)


def _activated(desk: Desk, old: str, new: str) -> Desk:
    desk.pack = pack_of(RULES.replace(old, new))
    desk.take(desk.alarms.activate(desk.pack, desk.now))
    desk.contents.use(desk.pack)
    return desk


def _loop(*, acked: bool) -> Desk:
    return after(standing("pump.trapped", acked=acked), "returned", "cleared").at(9 * S)


def _closed() -> Desk:
    done = {"cause_code": "door", "responsible": "li"}
    return _loop(acked=True).does("step", step="close", fields=done).at(10 * S)


#: Every state that an alarm can be in, by name.
STATES: dict[str, Callable[[], Desk]] = {
    "nothing": Desk,
    "unacknowledged": standing,
    "acknowledged": lambda: standing(acked=True),
    "risen": _risen,
    "returned": lambda: after(standing(), "cleared"),
    "latched": lambda: after(standing("pump.latch"), "returned"),
    "latched_acked": lambda: after(standing("pump.latch", acked=True), "returned"),
    "shelved_empty": lambda: Desk().does("shelve"),
    "shelved": lambda: standing().does("shelve"),
    "shelved_once": lambda: standing(acked=True).does("shelve", once=True),
    "shelved_fresh": _raised_under_cover,
    "shelved_returned": lambda: after(standing().does("shelve"), "cleared"),
    "shelved_latched": lambda: after(standing("pump.latch").does("shelve"), "returned"),
    "suppressed_fresh": _raised_under_suppression,
    "suppressed": lambda: after(standing("pump.latch", acked=True), "suppressed"),
    "suppressed_latched": lambda: _raised_under_suppression("returned"),
    "suppressed_shelved": lambda: _raised_under_suppression().does("shelve"),
    "out_empty": lambda: Desk().does("out_of_service"),
    "out": lambda: standing().does("out_of_service"),
    "out_shelved": lambda: standing().does("shelve").does("out_of_service"),
    "out_suppressed": lambda: _raised_under_suppression().does("out_of_service"),
    "shadow": _shadow,
    "plan": lambda: standing("pump.trapped"),
    "plan_acked": lambda: standing("pump.trapped", acked=True),
    "plan_latched": lambda: after(standing("pump.trapped", acked=True), "returned"),
    "plan_shelved": lambda: standing("pump.trapped").does("shelve"),
    "loop": lambda: _loop(acked=True),
    "loop_unacked": lambda: _loop(acked=False),
    "loop_shelved": lambda: _loop(acked=True).does("shelve"),
    "closed": _closed,
    "rule_gone": lambda: _activated(after(standing(), "cleared"), "pump.plain", "pump.other"),
    "plan_gone": lambda: _activated(_loop(acked=True), "rescue", "saving"),
}
