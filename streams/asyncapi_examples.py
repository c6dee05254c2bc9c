"""Examples of every message, as the engine makes them: a lift runs too fast, and it is seen to.

A partition of the fleet plays them as a worker would; only what a worker adds is set by hand.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.model import Asset
from streams.duty import Edition
from streams.messages import Headers, alert_headers, cli_source, envelope, worker_source
from streams.partition import Beat, Partition, Place, Position, Unused
from streams.run.control_bodies import commands_of
from streams.share import Share

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


@dataclass(frozen=True, slots=True)
class _Arrived:
    """See `streams.partition.Arrived`."""

    offset: int
    timestamp: int
    value: bytes


class _Tale:
    """The examples by message, in the order in which they come about."""

    def __init__(self) -> None:
        self.made: defaultdict[str, list[Example]] = defaultdict(list)
        self._source = worker_source(PREFIX, PARTITION)
        edition = Edition.of(TEXTS)
        place = Place(PARTITION, PARTITIONS, lambda _: PARTITION)
        share = Share(edition.pack, ZONE, INVENTORY, start=BEGIN)
        self._partition = Partition(edition, place, ZONE, BEGIN, share)
        self._partition.at = Position(41, 2, 5, BEGIN)

    def adds(
        self, message: str, summary: str, payload: object, headers: Headers | None = None
    ) -> None:
        """An example."""
        said = {name: value.decode() for name, value in headers or ()}
        self.made[message].append({
            "name": f"{message}-{len(self.made[message]) + 1}", "summary": summary,
            **({"headers": said} if said else {}), "payload": payload,
        })  # fmt: skip

    def takes_over(self) -> None:
        """A new owner's fence, and the rules that it has."""
        fence = {"type": "owner", "epoch": EPOCH, "partition": PARTITION, "t_ms": BEGIN}
        self.adds("owner", "A worker takes the partition over.", fence,
                  alert_headers(self._source, fence, b"", EPOCH))  # fmt: skip
        self._performs(self._partition.opened("ana", "5c0ffee0"))

    def hears(self, data: bytes, t: int, summary: str) -> None:
        """A message of the lift comes at `t` (ms)."""
        self._performs(self._partition.tick(t - 1_000))
        self.adds("readings", summary, json.loads(data))
        self._performs(self._partition.read([self._next(data, t)]))

    def is_late(self, data: bytes, t: int, summary: str) -> None:
        """A message that comes after its time has passed."""
        self._performs(self._partition.tick(t))
        self.hears(data, t, summary)

    def is_ordered(self, data: bytes, t: int, summary: str) -> None:
        """An order comes at `t` (ms)."""
        self._performs(self._partition.tick(t - 1_000))
        [body], _ = commands_of(data)
        self.adds("order", summary, json.loads(data),
                  envelope(cli_source(PREFIX), "order", body.request, t, body.asset))  # fmt: skip
        command = body.order()
        instant = self._partition.instant(command, t)
        beat, _ = self._partition.order(command, instant, self._partition.at.commands + 1)
        self._performs(beat)

    def refuses(self, data: bytes, t: int) -> None:
        """A message that cannot be used comes at `t` (ms)."""
        [unused] = self._partition.read([self._next(data, t)]).unused
        self.adds("refused", "A time without its offset from UTC.", data.decode(),
                  self._refusal(unused, t))  # fmt: skip

    def lists(self, summary: str) -> None:
        """The rows of the list of alarms."""
        for row in self._partition.alarms_list():
            self._row(summary, row)

    def ends(self, summary: str) -> None:
        """The last row of the last alarm, and no row."""
        last = self.made["alarm"][-1]["payload"]
        self._row(summary, {"alarm": last["alarm"], "rule": last["rule"], "asset": last["asset"],
                            "word": "normal", "finished": True, "seq": 0})  # fmt: skip
        self.adds("tombstone", "It is there no more.", None)

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

    def _next(self, data: bytes, t: int) -> _Arrived:
        return _Arrived(self._partition.at.readings, t, data)

    def _performs(self, beat: Beat) -> None:
        """What the ledger says of a beat."""
        for content in beat.contents:
            record = self._partition.chain.append(content)
            payload = json.loads(record.body)
            kind = payload["type"]
            self.adds(
                "command_record" if kind == "command" else kind, _summary(payload), payload,
                alert_headers(self._source, payload, record.hash, EPOCH),
            )  # fmt: skip

    def _row(self, summary: str, row: Mapping[str, Any]) -> None:
        headers = envelope(self._source, "alarm", f"{row['alarm']}-{row['seq']}",
                           self._partition.at.clock, row["asset"])  # fmt: skip
        self.adds("alarm", summary, {**row, "partition": PARTITION}, headers)

    def _refusal(self, unused: Unused, t: int) -> Headers:
        where = {"topic": f"{PREFIX}.readings", "partition": str(PARTITION),
                 "offset": str(unused.offset)}  # fmt: skip
        return envelope(
            self._source, "refused", "/".join(where.values()), t, unused.asset,
            reason=unused.reason, detail=unused.detail, **where, asset=unused.asset,
        )  # fmt: skip


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
    tale.hears(FAST, BEGIN + 60_140, "Signals of an asset; the time in ms.")
    tale.is_ordered(SEEN, BEGIN + 65_000, "It is seen.")
    tale.lists("It is acknowledged.")
    tale.is_ordered(UNSHELVED, BEGIN + 66_000, "It is to come off a shelf.")
    tale.hears(SLOW, BEGIN + 120_170, "One signal; the time as RFC 3339.")
    tale.ends("It has ended.")
    tale.is_late(SOME, BEGIN + 130_000, "Several messages as one.")
    tale.refuses(WRONG, BEGIN + 131_000)
    return dict(tale.made)
