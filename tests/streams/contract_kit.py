"""Validators of the contract, and stories that make every kind of record."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

from jsonschema import Draft7Validator

from rules.model import Asset
from rules.records import CommandKind
from streams.contents import Content
from streams.schemas import schemas
from streams.schemas_parts import ref
from tests.streams.alarm_kit import HOUR, MIN, Desk, S
from tests.streams.story_kit import Story

POSITION = {"beat": "readings", "from": 3, "readings": 4, "commands": 2, "group-feed": 0,
            "clock_ms": 1}  # fmt: skip


@cache
def named() -> dict[str, Any]:
    """The schemas; strict: what is open is closed, so that no key goes without its description."""
    made = deepcopy(schemas())
    _close(made)
    return made


def _close(part: object) -> None:
    if isinstance(part, dict):
        if part.get("type") == "object" and "properties" in part:
            part["additionalProperties"] = False
        for one in part.values():
            _close(one)
    elif isinstance(part, list):
        for one in part:
            _close(one)


def strictly(schema: dict[str, Any]) -> Draft7Validator:
    """Of a schema that refers to the named ones."""
    made = deepcopy(schema)
    _close(made)
    return Draft7Validator({"allOf": [made], "components": {"schemas": named()}})


@cache
def strict(name: str) -> Draft7Validator:
    return strictly(ref(name))


@cache
def as_published(name: str) -> Draft7Validator:
    return Draft7Validator({"allOf": [ref(name)], "components": {"schemas": schemas()}})


def wrong(name: str, value: object) -> list[str]:
    """What a strict reader has against a value."""
    return [f"{error.json_path}: {error.message}" for error in strict(name).iter_errors(value)]


# Stories --------------------------------------------------------------------------------------

RULES = """
classes:
  pump:
    signals:
      x: {unit: bar, range: [0, 40], stale_after: 1 min, title: {zh: 压力, en: pressure}}
      service: {type: bool, default: false, set_by: operator}
      leak: {type: bool}
    attributes: {place: {type: text}, desk: {type: text}, line: {type: text}}
    shelve_at_most: 2 h
plans:
  work:
    steps:
    - {step: acknowledge, role: officer, within: 30 s}
    - {step: look, role: mechanic, within: 10 min}
    - {step: assign, role: owner, needs: [time_limit]}
    - {step: report, role: officer}
    - {step: close, role: officer, needs: [cause_code]}
    overdue: {raise_to: red, notify: [desk]}
  hazard:
    steps:
    - {step: assign, role: owner, needs: [measure, owner, time_limit]}
    - {step: close, role: owner}
rules:
- {rule: pump.high, class: pump, unless: service, evidence: [x], tags: [hot], message: "{x}",
   levels: {yellow: {when: x > 5 bar}, orange: {when: x > 10 bar, plan: work}}}
- {rule: pump.latch, class: pump, severity: yellow, when: x > 20 bar, latch: true}
- {rule: pump.leak, class: pump, severity: blue, when: leak}
groups:
- {group: pump.first, by: line, over: [pump.high, pump.leak], when: rules >= 1, within: 5 min,
   severity: orange, first_out: true}
- {group: pump.parent, by: line, over: [pump.leak], when: alarms >= 1, within: 5 min,
   severity: yellow, parent: true}
- {group: pump.again, by: asset, over: [pump.leak], when: alarms >= 1, within: 3 d,
   severity: yellow, plan: hazard, hazard: true}
"""


class Seen(Story):
    """A story that keeps all rows that were on the list."""

    def __init__(self, rules: str, inventory: tuple[Asset, ...]) -> None:
        self.seen: list[dict[str, Any]] = []
        super().__init__(rules, inventory=inventory)

    def hear(self, t: int, asset: str = "P1", **values: object) -> Story:
        super().hear(t, asset, **values)
        self.seen += self.duty.alarms_list()
        return self

    def order(self, kind: CommandKind, rule: str, asset: str = "P1", **more: object) -> Content:
        answer = super().order(kind, rule, asset, **more)
        self.seen += self.duty.alarms_list()
        return answer


@cache
def story() -> Seen:
    """All that can happen to an alarm, but `superseded`."""
    asset = Asset("P1", "pump", {"place": "Hall 2", "desk": "north", "line": "A"})
    tale = Seen(RULES, (asset,))
    high = "pump.high"
    tale.hear(1 * S, x=6).hear(2 * S, x=12).does("comment", high).does("acknowledge", high)
    tale.does("unacknowledge", high).to(2 * MIN)          # the clock of a step, and stale
    tale.hear(3 * MIN, x=13).does("set", "service", value=True).to(4 * MIN)
    tale.does("set", "service", value=False).to(5 * MIN)
    tale.does("acknowledge", high).does("step", high, step="look").hear(6 * MIN, x=25)
    tale.does("shelve", high, duration=10 * MIN, once=True).does("unshelve", high)
    tale.does("shelve", "pump.leak", duration=10 * MIN).hear(7 * MIN, x=3, leak=True).to(20 * MIN)
    tale.does("step", high, step="assign", fields={"time_limit": "2 h"})
    tale.does("out_of_service", high).does("in_service", high).does("reset", "pump.latch")
    tale.order("step", high, step="close", fields={"cause_code": "7"}, reason="")
    for one in tale.rows(high):
        tale.order("acknowledge", high, alarm=one["alarm"])
    tale.does("step", high, step="close", fields={"cause_code": "7"}, against=None)
    tale.order("acknowledge", "pump.none", alarm="0" * 32)
    tale.edit("leak}", "not leak}")
    tale.to(3 * HOUR)
    return tale


@cache
def superseded() -> list[dict[str, Any]]:
    """The oldest of too many alarms gives way."""
    desk = Desk()
    for at in range(1, 103):
        desk.raised(2 * at * S)
        desk.at((2 * at + 1) * S).says("cleared")
    return desk.records
