"""A partition in hand: its beats are performed, in the order ledger, lists, snapshots.

What a beat gives goes out at once and in order; nothing is acknowledged before a snapshot is safe
that holds it, and that is written only once all that was sent before is safe.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from rules.model import Asset
from rules.records import Command
from streams.alarms import alarm_id
from streams.contents import Content
from streams.duty import Edition
from streams.feed import Mark, Said, bytes_of
from streams.ledger import Record
from streams.listing import Row, rows_of
from streams.messages import Headers, alert_headers, envelope, worker_source
from streams.pace import Input, Pace
from streams.partition import INPUTS, Arrived, Beat, Partition, Unused
from streams.partition_parts import Cutter
from streams.refusals import Refusal
from streams.run.outgoing import Outgoing
from streams.run.snapshots import Shelf
from streams.topics import name_of

GRAVE_MS = 60_000       # a row that has ended is shown as such before it goes
MAX_LATER = 10_000      # messages that wait for the ledger
MAX_WAITING = 10_000    # orders that wait for their turn; more are carried out at once


#: Topic, partition, key, value, headers.
_Message = tuple[str, int, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]


@dataclass(frozen=True)
class Names:
    """Whole names of the topics, and who writes."""

    prefix: str

    def of(self, topic: str) -> str:
        """The whole name of a topic."""
        return name_of(self.prefix, topic)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order that waits until all that was sent before it has come in."""

    arrival: int
    after: int
    command: Command | None     # None: a record that is no order


class Stand(NamedTuple):
    """How far a partition had come: the next offsets (as INPUTS), the last record of its ledger."""

    next: tuple[int, int, int]
    n: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The state of a partition at a moment: where it stood, and the parts not yet safe."""

    stood: Stand
    head: bytes
    parts: Mapping[str, bytes]
    graves: Mapping[str, int]
    made: int               # when (ms)


@dataclass
class Held:
    """A partition with all that its owner has of it."""

    partition: Partition
    names: Names
    out: Outgoing
    epoch: int
    shelf: Shelf
    cutter: Cutter
    alerts: int                             # offset in the ledger after the last record in `saved`
    graves: dict[str, int] = field(default_factory=dict)
    waiting: deque[Waiting] = field(default_factory=deque)
    shown: set[str] = field(default_factory=set)        # alarms whose row is on the topic
    saved: Stand | None = None              # of the newest snapshot that is safe
    pace: Pace = field(init=False)
    _later: deque[tuple[int, _Message]] = field(default_factory=deque)
    _releasing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _safe: int = 0                          # the last record of the ledger that is
    _unsaved: dict[str, bytes] = field(default_factory=dict)    # parts cut and not yet safe
    _offsets: dict[int, int] = field(default_factory=dict)      # record of the ledger -> offset

    saved_at: int = 0                       # when that was taken (ms); 0: not here
    skewed: Callable[[int, Sequence[tuple[str, int]]], None] = lambda *_: None
    list_due: float = 0.0                   # when to put the list right (monotonic); 0: it was
    stocked: int = -1                       # the revision of the inventory that it has

    def __post_init__(self) -> None:
        self.source = worker_source(self.names.prefix, self.number)
        duty = self.partition
        self._safe = duty.chain.n
        for key in duty.alarms.book.points:
            self.shown.update(row["alarm"] for row in rows_of(duty.alarms, duty.contents, key))
        self.begin_pace()

    def begin_pace(self) -> None:
        """From where the partition stands now."""
        at = self.partition.at
        self.pace = Pace(at.clock, {
            name: Input(done=done) for name, done in zip(INPUTS, at.next, strict=True)})

    def know(self, offsets: Mapping[int, int]) -> None:
        """Where records of the ledger are: number -> offset."""
        self._offsets.update(offsets)
        self._safe = max(offsets, default=self._safe)

    @property
    def number(self) -> int:
        """Of the partition."""
        return self.partition.place.number

    # Beats ------------------------------------------------------------------------------------

    async def read(self, records: Sequence[Arrived]) -> None:
        """A batch of readings, and the orders whose turn has come with it."""
        beat = self.partition.read(records)
        if beat.skewed:
            self.skewed(self.number, beat.skewed)
        self._came("readings", records, self.partition.eldest)
        await self.perform(beat, "readings", records)
        await self.carry_out()

    async def feed(self, records: Sequence[Arrived]) -> None:
        """Facts for groups."""
        beat = self.partition.feed(records)
        self._came("group-feed", records)
        await self.perform(beat, "group-feed", records)

    async def orders(self, found: Sequence[Waiting], records: Sequence[Arrived],
                     refused: Sequence[Unused]) -> None:
        """Orders; each waits for its turn."""
        self.waiting.extend(found)
        self._came("commands", records)
        await self.refuse(refused, "commands", records)
        await self.carry_out()

    async def carry_out(self) -> None:
        """The orders whose turn has come: all that was sent before has come in."""
        now = self.pace.look()
        while self.waiting and (
            self.waiting[0].arrival <= now or len(self.waiting) > MAX_WAITING
        ):
            one = self.waiting.popleft()
            if one.command is None:
                self.partition.at.commands = one.after
                continue
            t = self.partition.instant(one.command, one.arrival)
            beat, _ = self.partition.order(one.command, t, one.after)
            await self.perform(beat)

    async def tick(self, now: int) -> None:
        """The clock stands at `now` (ms)."""
        await self.perform(self.partition.tick(now))
        self.show()
        for alarm in [alarm for alarm, due in self.graves.items() if due <= now]:
            del self.graves[alarm]
            self._put("alarms", alarm.encode(), None)
        await self.release()

    async def rules(self, edition: Edition, by: str, request: str) -> None:
        """An edited pack takes over now."""
        t = max(self.partition.clock + 1, self.pace.look())
        await self.perform(self.partition.rules(edition, by, request, t))

    async def assets(self, put: Sequence[Asset], gone: Sequence[str]) -> None:
        """The inventory changes now. Raises AssetError, having changed nothing."""
        t = max(self.partition.clock + 1, self.pace.look())
        await self.perform(self.partition.assets(put, gone, "assets", "", t))

    def _came(self, topic: str, records: Sequence[Arrived], eldest: int | None = None) -> None:
        self.pace.inputs[topic].played(
            [record.timestamp for record in records], records[-1].offset + 1, eldest)

    # What comes of them -----------------------------------------------------------------------

    async def perform(
        self, beat: Beat, topic: str = "", records: Sequence[Arrived] = (),
    ) -> None:
        """Chains and sends what a beat gives."""
        await self.release()
        chained = [self.partition.chain.append(content) for content in beat.contents]
        await self.say(list(zip(chained, beat.contents, strict=True)))
        self.tell(beat.facts)
        await self.refuse(beat.unused, topic, records)
        if len(self._later) > MAX_LATER:
            await self.out.settled()
            await self.release()

    async def say(self, records: Sequence[tuple[Record, Content]]) -> None:
        """Sends records of the ledger, and the rows of the alarms that they changed."""
        for record, content in records:
            key = content.get("asset") or None
            headers = alert_headers(self.source, content, record.hash, self.epoch)

            def safe(offset: int, n: int = record.n) -> None:
                self._offsets[n], self._safe = offset, n

            await self.out.put(
                self.names.of("alerts"), self.number, key.encode() if key else None, record.body,
                headers, safe)

    def tell(self, facts: Sequence[tuple[int, Said]]) -> None:
        """What groups count, for the partitions of their keys."""
        for number, said in facts:
            self._put("group-feed", said.fact.key.encode(), bytes_of(said), at=number)

    def mark(self) -> None:
        """Tells all partitions how far this one is."""
        mark = bytes_of(Mark(self.number, self.partition.mark))
        for number in range(self.partition.place.total):
            self._put("group-feed", None, mark, at=number)

    def show(self) -> None:
        """Rows of the points that changed: as they are, or that they have ended."""
        duty, now = self.partition, self.partition.at.clock
        points, duty.changed = duty.changed, {}
        for key, alarms in sorted(points.items()):
            rows = {row["alarm"]: row for row in rows_of(duty.alarms, duty.contents, key)}
            for alarm, row in rows.items():
                self.graves.pop(alarm, None)
                self.shown.add(alarm)
                self._row(alarm, row)
            point = duty.alarms.book.points.get(key)
            others = {alarm_id(*key, raised) for raised in (*(point.open if point else ()), 0)}
            for alarm in sorted(((alarms | others) & self.shown) - rows.keys()):
                self._end(alarm, key, now)

    def _end(self, alarm: str, key: tuple[str, str], now: int) -> None:
        """The list says that an alarm is over, and forgets it later."""
        self.shown.discard(alarm)
        self.graves[alarm] = now + GRAVE_MS
        self._row(alarm, _ended(alarm, key))

    def put_right(self, found: Mapping[str, Row]) -> int:
        """Makes the list on the topic (by alarm) that of this partition: an owner before may have
        written after it was fenced, or not have come to it. How many rows were wrong."""
        duty, now = self.partition, self.partition.at.clock
        rows = {row["alarm"]: row for key in duty.alarms.book.points
                for row in rows_of(duty.alarms, duty.contents, key)}
        wrong = 0
        for alarm, row in rows.items():
            if found.get(alarm) != json.loads(self._body(row)):
                wrong += 1
                self.shown.add(alarm)
                self._row(alarm, row)
        for alarm in sorted(found.keys() - rows.keys() - self.graves.keys()):
            wrong += 1
            key = str(found[alarm].get("rule", "")), str(found[alarm].get("asset", ""))
            self._end(alarm, key, now)
        return wrong

    def _row(self, alarm: str, row: Row) -> None:
        body = self._body(row)
        headers = envelope(self.source, "alarm", f"{alarm}-{self.partition.chain.n}",
                           self.partition.at.clock, row["asset"])
        self._put("alarms", alarm.encode(), body, headers)

    def _body(self, row: Row) -> bytes:
        return msgspec.json.encode({**row, "partition": self.number}, order="sorted")

    def _put(self, topic: str, key: bytes | None, value: bytes | None,
             headers: Sequence[tuple[str, bytes]] = (), at: int | None = None) -> None:
        """What follows from the ledger: it goes once the ledger is safe. Played again after a
        crash, what the ledger lacks may come out otherwise."""
        number = self.number if at is None else at
        self._later.append(
            (self.partition.chain.n, (self.names.of(topic), number, key, value, headers)))

    async def release(self) -> None:
        """Sends what follows from records that are safe. Raises SendError."""
        async with self._releasing:     # a snapshot is saved beside the handlers
            while self._later and self._later[0][0] <= self._safe:
                await self.out.put(*self._later.popleft()[1])

    async def refuse(self, unused: Sequence[Unused], topic: str,
                     records: Sequence[Arrived]) -> None:
        """Keeps what was not used of records of a topic, whole."""
        if not unused:
            return
        by_offset = {record.offset: record for record in records}
        for one in unused:
            record = by_offset[one.offset]
            refusal = Refusal(
                self.names.of(topic), self.number, one.offset, one.reason, one.detail, one.asset,
                record.value or b"", getattr(record, "key", None))
            key, value, headers = refusal.message(self.source, record.timestamp)
            await self.out.put(self.names.of("refused"), 0, key, value, headers)

    # Snapshots --------------------------------------------------------------------------------

    def cut(self, now: int) -> Cut | None:
        """The state as it is now (ms by this machine's clock); None: nothing has changed since the
        newest snapshot."""
        self.show()         # what changed is not part of it
        if self._now() == self.saved:
            self.saved_at = now
            return None
        head, parts = self.cutter.cut()
        self._unsaved |= parts
        return Cut(self._now(), head, dict(self._unsaved), dict(self.graves), now)

    async def save(self, cut: Cut) -> None:
        """Makes a cut safe, unless the partition is another's meanwhile. Raises SendError."""
        await self.out.settled()
        await self.release()
        if await self.shelf.write(
            self.out, cut.head, cut.parts, lambda: self._after(cut.stood.n), cut.graves
        ):
            self.saved, self.saved_at = cut.stood, cut.made
            self._unsaved = {name: data for name, data in self._unsaved.items()
                             if cut.parts.get(name) is not data}

    def _after(self, n: int) -> int:
        """The offset after record `n` of the ledger, which is safe."""
        if n in self._offsets:
            self.alerts = self._offsets[n] + 1
            self._offsets = {m: at for m, at in self._offsets.items() if m > n}
        return self.alerts

    def unsaved_ms(self, now: int) -> int:
        """For how long what is not in a safe snapshot has not been (ms, `now` by this machine's
        clock); 0: nothing is missing."""
        return now - self.saved_at if self.saved_at and self._now() != self.saved else 0

    def _now(self) -> Stand:
        return Stand(self.partition.at.next, self.partition.chain.n)


def _ended(alarm: str, key: tuple[str, str]) -> Row:
    """What the list says of an alarm that has come to its end."""
    return {"alarm": alarm, "rule": key[0], "asset": key[1], "word": "normal", "finished": True,
            "seq": 0}


def owner(epoch: int, partition: int, t_ms: int, source: str) -> tuple[bytes, Headers]:
    """The fence of a new owner: body and headers."""
    content = {"type": "owner", "epoch": epoch, "partition": partition, "t_ms": t_ms}
    return json.dumps(content).encode(), alert_headers(source, content, b"", epoch)
