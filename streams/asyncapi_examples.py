"""Examples of every message, as the engine makes them: a lift runs too fast, and it is seen to.

What no engine makes (positions, a fence, a tick) is set by hand.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from rules.model import Asset
from rules.records import Message
from streams.contents import Content
from streams.decode import Reading, Refuse, decode
from streams.duty import Duty, Edition
from streams.ledger import GENESIS, Chain
from streams.messages import (
    Headers,
    alert_headers,
    cli_source,
    envelope,
    worker_source,
)
from streams.run.control_bodies import commands_of

PREFIX = "tocsin"
ASSET = "L1"
PARTITION, PARTITIONS = 7, 8     # where "L1" is among eight
EPOCH = 4
BEGIN = 1_767_225_600_000        # 2026-01-01T00:00:00Z
ZONE = "Asia/Shanghai"
TEXTS = (("lift.yaml", """\
classes:
  lift:
    signals:
      speed: {unit: m/s, range: [-10, 10], title: {zh: 速度, en: speed}}
    attributes:
      place: {type: text}
rules:
- rule: lift.overspeed
  class: lift
  title: {zh: 超速, en: Overspeed}
  severity: red
  when: speed > 2 m/s
  message: {zh: "{speed}", en: "{speed}"}
  evidence: [speed]
""".encode()),)  # fmt: skip
INVENTORY = (Asset(ASSET, "lift", {"place": "Tower A"}),)

FAST = b'{"asset": "L1", "t": 1767225660000, "values": {"speed": 2.4}, "quality": "good"}'
SLOW = b'{"asset": "L1", "t": "2026-01-01T08:02:00+08:00", "signal": "speed", "v": 1.2, "q": true}'
SOME = b"""[{"asset": "L1", "t": 1767225721000, "values": {"speed": 2.5}},
           {"asset": "L1", "t": 1767225722000, "values": {"speed": 2.5}}]"""
WRONG = b'{"asset": "L1", "t": "2026-01-01 08:02:00", "values": {"speed": 1.2}}'
SEEN = b"""{"request": "5c0ffee1", "by": "ana", "command": "acknowledge",
            "rule": "lift.overspeed", "asset": "L1"}"""
UNSHELVED = b"""{"request": "5c0ffee2", "by": "ana", "command": "unshelve",
                 "rule": "lift.overspeed", "asset": "L1"}"""

Example = dict[str, Any]         # name, summary, headers, payload: as AsyncAPI has it


class _Tale:
    """The examples by message, in the order in which they come about."""

    def __init__(self) -> None:
        self.made: defaultdict[str, list[Example]] = defaultdict(list)
        self._chain = Chain(16, GENESIS)
        self._source = worker_source(PREFIX, PARTITION)
        self._duty = Duty(Edition.of(TEXTS), ZONE, INVENTORY, BEGIN)
        self._taken = {"readings": 41, "commands": 2, "group-feed": 0}

    def adds(
        self, message: str, summary: str, payload: object, headers: Headers | None = None
    ) -> None:
        """An example."""
        said = {name: value.decode() for name, value in headers or ()}
        self.made[message].append({
            "name": f"{message}-{len(self.made[message]) + 1}", "summary": summary,
            **({"headers": said} if said else {}), "payload": payload,
        })  # fmt: skip

    def hears(self, data: bytes, summary: str) -> None:
        """A message of the lift."""
        self.adds("readings", summary, json.loads(data))
        self._taken["readings"] += 1
        for one in decode(data):
            assert isinstance(one, Reading)
            message = Message(one.asset, "lift", one.t, one.values)
            self.records(self._duty.play([message], one.t))

    def is_ordered(self, data: bytes, summary: str) -> None:
        """An order."""
        [body], _ = commands_of(data)
        t = self._duty.clock + 1
        headers = envelope(cli_source(PREFIX), "order", body.request, t, body.asset)
        self.adds("order", summary, json.loads(data), headers)
        self._taken["commands"] += 1
        answer, made = self._duty.command(body.order())
        assert answer["request"] == body.request
        self.records(made)

    def records(self, contents: Iterable[Content]) -> None:
        """What the ledger says of it."""
        for content in contents:
            position = {**self._taken, "clock_ms": content["t_ms"] + 180}
            record = self._chain.append({**content, "position": position})
            payload = json.loads(record.body)
            kind = payload["type"]
            self.adds(
                "command_record" if kind == "command" else kind, _summary(payload), payload,
                alert_headers(self._source, payload, record.hash, EPOCH),
            )  # fmt: skip

    def lists(self, summary: str, **more: object) -> None:
        """The rows of the list of alarms."""
        for row in self._duty.alarms_list():
            headers = envelope(self._source, "alarm", f"{row['alarm']}-{row['seq']}",
                               self._duty.clock, row["asset"])  # fmt: skip
            self.adds("alarm", summary, {**row, "partition": PARTITION, **more}, headers)

    def takes_over(self) -> None:
        """A new owner's fence, the rules that it has, and time that goes on."""
        fence = {"type": "owner", "epoch": EPOCH, "partition": PARTITION, "t_ms": BEGIN}
        self.adds("owner", "A worker takes the partition over.", fence,
                  alert_headers(self._source, fence, b"", EPOCH))  # fmt: skip
        self.records(self._duty.begin("ana"))
        self.records([{"type": "tick", "t_ms": BEGIN + 30_000}])

    def refuses(self, data: bytes) -> None:
        """A message that cannot be used."""
        [why] = decode(data)
        assert isinstance(why, Refuse)
        where = {"topic": f"{PREFIX}.readings", "partition": str(PARTITION), "offset": "45"}
        headers = envelope(
            self._source, "refused", "/".join(where.values()), self._duty.clock, why.asset,
            reason=why.reason.value, detail=why.found, **where, asset=why.asset)  # fmt: skip
        self.adds("refused", "A time without its offset from UTC.", data.decode(), headers)

    def has_tables(self) -> None:
        """The rules, and the inventory."""
        name, source = Edition.of(TEXTS).name, cli_source(PREFIX)
        pack = {"files": [[path, text.decode()] for path, text in TEXTS]}
        self.adds("pack", "One file of rules.", pack, envelope(source, "pack", name, BEGIN))
        active = {"pack": name, "by": "ana", "reason": "speed limit of the new drive",
                  "request": "5c0ffee0", "shadow": False}  # fmt: skip
        self.adds("active", "They are to be in effect.", active,
                  envelope(source, "active", "5c0ffee0", BEGIN))  # fmt: skip
        for one in INVENTORY:
            row = {"id": one.id, "class": one.cls, "attributes": one.attributes,
                   "overrides": one.overrides}  # fmt: skip
            self.adds("asset", "A lift.", row, envelope(source, "asset", one.id, BEGIN, one.id))


def _summary(content: Mapping[str, Any]) -> str:
    match content["type"]:
        case "alert":
            return f"The alarm is {content['kind']}."
        case "command":
            return f"The order is {content['result']}."
        case "activation":
            return "Rules take effect."
    return "Time went on."


def examples() -> dict[str, list[Example]]:
    """Of each message that is not internal, in the order of a story; the same at every call."""
    tale = _Tale()
    tale.has_tables()
    tale.takes_over()
    tale.hears(FAST, "Signals of an asset; the time in ms.")
    tale.is_ordered(SEEN, "It is seen.")
    tale.lists("It is acknowledged.")
    tale.is_ordered(UNSHELVED, "It is to come off a shelf.")
    tale.hears(SLOW, "One signal; the time as RFC 3339.")
    tale.hears(SOME, "Several messages as one.")
    tale.refuses(WRONG)
    tale.adds("tombstone", "It is there no more.", None)
    return dict(tale.made)
