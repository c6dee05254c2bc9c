"""Taking over a partition: fence off the owner before, load the snapshot, play the ledger's tail.

In this order:
    1. what the ledger holds after the snapshot is read, and with it the greatest epoch so far
    2. a fence goes into the ledger: what an owner before writes after it, counts for nobody
    3. what came between 1 and 2 is read; now the tail is whole
    4. the tail is played again from the inputs, and must say the same
    5. what its last beat did not get written is written now
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.contents import Content
from streams.duty import Edition, EditionError
from streams.ledger import Chain, Record, link, read
from streams.messages import Living, NotOurs, worker_source
from streams.partition import INPUTS, Arrived, Beat, Partition, Place, Position
from streams.partition_again import DivergedError, Tail, Want, again, begun
from streams.partition_parts import Cutter, head_of, joined
from streams.plant import Programs
from streams.run.active import Active
from streams.run.clock import wall
from streams.run.held import Held, Names, Stand, owner
from streams.run.logs import Logs
from streams.run.outgoing import Outgoing
from streams.run.snapshots import Found, Shelf, Written, load
from streams.snapshot import SnapshotError

log = logging.getLogger(__name__)


class TakingError(Exception):
    """A partition cannot be taken over."""


@dataclass
class _Ledger:
    """What is read of a ledger, from an offset on."""

    partition: int
    next: int                       # offset
    living: Living
    n: int                          # the last record that the snapshot holds
    head: bytes                     # its hash
    records: list[tuple[Record, Content]] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=dict)

    async def read(self, logs: Logs, topic: str, end: int) -> None:
        """On to an offset."""
        async for portion in logs.read(topic, self.partition, self.next, end):
            for record in portion:
                self._take(record.offset, record.value or b"", record.headers)
        self.next = max(self.next, end)

    def _take(self, offset: int, body: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        try:
            said = self.living.envelope(self.partition, headers)
        except NotOurs as error:
            log.warning("ledger %d at %d: not ours: %s", self.partition, offset, error)
            return
        if said is None:
            return
        n = self.n + len(self.records) + 1
        content = read(body) or {}
        if content.get("n") == n and link(self.head, body) == said.hash:
            self.head = said.hash
            self.records.append((Record(n, said.hash, body), content))
            self.offsets[n] = offset
        elif said.kind != "owner" and not 0 < _number(content) < n:     # those the snapshot holds
            log.warning("ledger %d at %d: record %s does not follow record %d: passed over",
                        self.partition, offset, content.get("n"), n - 1)


def _number(content: Content) -> int:
    n = content.get("n")
    return n if isinstance(n, int) else 0


class Taking:
    """Takes partitions over, one after the other."""

    def __init__(
        self, names: Names, logs: Logs, out: Outgoing, active: Active, zone: str
    ) -> None:
        self._names, self._logs, self._out, self._active = names, logs, out, active
        self._zone = zone
        self._programs: dict[tuple[str, str], Programs] = {}

    async def take(self, place: Place, generation: int) -> Held:
        """The partition as its ledger has it. Raises TakingError, LogError and SendError."""
        number = place.number
        found = await self._found(number)
        partition: Partition | None = None
        if found.written is not None:
            try:
                partition = self._joined(found.written, found.parts, place)
            except (SnapshotError, ValueError, LookupError) as error:
                log.warning("the snapshot of partition %d cannot be used (%r): its ledger is "
                            "played from the beginning", number, error)
                found = Found(strays=found.strays)
        chain = partition.chain if partition is not None else Chain()
        epoch = found.written.epoch if found.written else 0
        first = found.written.alerts if found.written else 0
        ledger = _Ledger(number, first, Living({number: epoch}), chain.n, chain.head)
        _, end = await self._logs.bounds(self._names.of("alerts"), number)
        await ledger.read(self._logs, self._names.of("alerts"), end)
        epoch = max(generation, ledger.living.greatest.get(number, 0) + 1)
        fence = await self._fence(number, epoch)
        await ledger.read(self._logs, self._names.of("alerts"), fence)
        shelf = Shelf(self._names.of("snapshots"), number, epoch, found)
        fresh = partition is None
        if partition is None:
            partition = await self._anew(place, ledger)
        held = Held(partition, self._names, self._out, epoch, shelf,
                    Cutter(partition), first, dict(found.written.graves)
                    if found.written else {})
        if not fresh:
            held.saved = Stand(partition.at.next, partition.chain.n)
        held.know(ledger.offsets)
        await self._again(held, ledger)
        if partition.chain.n == 0:
            now = self._active.now
            assert now is not None
            await held.perform(partition.opened(now.by, now.request))
        return held

    def _joined(self, written: Written, parts: Mapping[str, bytes], place: Place) -> Partition:
        head = head_of(written.head)
        edition = self._edition(head.edition)
        return joined(head, parts, edition, place, self._compiled(edition, head.zone))

    def _edition(self, name: str) -> Edition:
        try:
            return self._active.editions[name]
        except (KeyError, EditionError) as error:
            raise TakingError(f"the rules {name}, under which a partition stands, are not on "
                              f"{self._names.of('rules')}, or cannot be used: {error}") from None

    def _compiled(self, edition: Edition, zone: str) -> Programs:
        """Once for all partitions."""
        key = edition.name, zone
        if key not in self._programs:
            self._programs = {key: Programs(edition.pack, zone)}
        return self._programs[key]

    async def _found(self, number: int) -> Found:
        topic = self._names.of("snapshots")
        first, end = await self._logs.bounds(topic, number)
        return await load(number, self._logs.read(topic, number, first, end))

    async def _fence(self, number: int, epoch: int) -> int:
        """Puts up the fence; the offset after it."""
        where: list[int] = []
        body, headers = owner(epoch, number, wall(),
                              worker_source(self._names.prefix, number))
        await self._out.put(self._names.of("alerts"), number, None, body, headers, where.append)
        await self._out.settled()
        if not where:
            raise TakingError(f"partition {number} is another's meanwhile")
        return where[0] + 1

    async def _anew(self, place: Place, ledger: _Ledger) -> Partition:
        """A partition without a snapshot: as its ledger began, or as it begins now."""
        if ledger.records:
            content = ledger.records[0][1]
            edition = self._edition(content["pack"])
            return begun(content, edition, place, self._compiled(edition, content["zone"]))
        assert self._active.now is not None
        firsts = {}
        for topic in INPUTS:
            firsts[topic], _ = await self._logs.bounds(self._names.of(topic), place.number)
        start = await self._first_stamp(place.number, firsts["readings"])
        edition = self._active.now.edition
        partition = Partition(
            edition, place, self._zone, start, programs=self._compiled(edition, self._zone))
        readings, commands, feed = (firsts[topic] for topic in INPUTS)
        partition.at = Position(readings, commands, feed, start)
        return partition

    async def _first_stamp(self, number: int, first: int) -> int:
        """When the first reading arrived that is kept; else now (ms)."""
        found = await self._logs.some(self._names.of("readings"), number, first, first + 1)
        return found[0].timestamp if found else wall()

    async def put_right(self, held: Held) -> None:
        """Compares the list of alarms on its topic with the partition's. Raises LogError."""
        topic, number = self._names.of("alarms"), held.number
        first, end = await self._logs.bounds(topic, number)
        found: dict[str, Content] = {}
        async for portion in self._logs.read(topic, number, first, end):
            for record in portion:
                alarm = (record.key or b"").decode("utf-8", "replace")
                if record.value is None:
                    found.pop(alarm, None)
                elif alarm:
                    found[alarm] = read(record.value) or {}
        wrong = held.put_right(found)
        if wrong:
            log.info("partition %d: %d rows of the list were put right", number, wrong)

    # The tail ---------------------------------------------------------------------------------

    async def _again(self, held: Held, ledger: _Ledger) -> None:
        if not ledger.records:
            return
        play = _Play(held, self._logs, self._names)
        try:
            await play.run(Tail(ledger.records), self._active)
        except DivergedError as error:
            last, content = ledger.records[-1]
            log.warning("partition %d says something else than before the crash; it goes on after "
                      "what its ledger has: %s", held.number, error)
            held.partition.chain = Chain(last.n, last.hash)
            position = content["position"]
            held.partition.at = Position(
                position["readings"], position["commands"], position["group-feed"],
                max(held.partition.at.clock, position["clock_ms"]))
        held.begin_pace()
        held.show()


class _Play:
    """Plays a tail: fetches what it wants, performs what is new in it."""

    def __init__(self, held: Held, logs: Logs, names: Names) -> None:
        self._held, self._logs, self._names = held, logs, names
        self._heard: list[tuple[Beat, str, list[Arrived]]] = []
        self._given: list[Arrived] = []
        self._topic = ""
        self._new: list[Record] = []

    async def run(self, tail: Tail, active: Active) -> None:
        play = again(self._held.partition, tail, active.editions, self._hear, self._new.extend)
        try:
            want = next(play)
            while True:
                answer = await self._fetch(want)
                self._topic = want.topic
                self._given += answer
                want = play.send(answer)
                await self._perform()
        except StopIteration:
            await self._perform()
        contents = [(record, json.loads(record.body)) for record in self._new]
        await self._held.say(contents)

    def _hear(self, beat: Beat) -> None:
        self._heard.append((beat, self._topic, self._given))
        self._given = []

    async def _perform(self) -> None:
        heard, self._heard = self._heard, []
        for beat, topic, records in heard:
            self._held.tell(beat.facts)
            await self._held.refuse(beat.unused, topic, records)

    async def _fetch(self, want: Want) -> Sequence[Arrived]:
        topic = self._names.of(want.topic)
        first, _ = await self._logs.bounds(topic, self._held.number)
        if first > want.first:
            return []
        return await self._logs.some(topic, self._held.number, want.first, want.end)


