"""Keeps the partitions of a worker: takes and gives them, plays what comes, snaps what changes.

Free of Faust: it is handed batches, and asked for partitions by `transport_holding`. Its three
tasks run beside that: `ticks` (clocks, orders whose turn has come, marks), `snapshots` and
`follow` (active rules).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from streams.pace import Skew
from streams.partition import INPUTS, Place, Unused
from streams.run.active import Active
from streams.run.clock import wall
from streams.run.control_bodies import CommandBody, WrongBody, commands_of
from streams.run.fetching import TP, PartitionBatch, Record
from streams.run.held import Cut, Held, Names, Waiting
from streams.run.logs import LogError
from streams.run.outgoing import Outgoing
from streams.run.stock import Stock
from streams.run.taking import Taking
from streams.run.watch import Watch

log = logging.getLogger(__name__)

TICK_S = 0.2
SNAPSHOT_S = 1.0
SHARE = 0.1             # of the time that cutting may take: with very many assets they are rarer
FOLLOW_S = 0.5
MARKS_A_SECOND = 500    # of all partitions together, at most
MARK_S = 0.5            # at least
LIST_S = 20.0           # after a takeover: by then an owner before has had its last word

Turn = Callable[[], AbstractAsyncContextManager[frozenset[TP]]]
#: Of a partition of a topic: where it ends, and when a broker said so (ms by this clock).
Polled = Callable[[TP], tuple[int, int] | None]


@dataclass
class Tally:
    """What has happened since the worker began."""

    readings: int = 0
    snapshot_ms: float = 0.0        # the newest one took


class Keeper:
    """The state of all partitions in hand. See `fetching.Keeper`."""

    def __init__(
        self, names: Names, total: int, of: Callable[[str], int], taking: Taking, out: Outgoing,
        active: Active, stock: Stock, skew: Skew,
    ) -> None:
        """`of` gives the partition of a key, of `total`."""
        self._names, self._total, self._of = names, total, of
        self._taking, self._out, self._skew = taking, out, skew
        self._active, self._stock = active, stock
        self._saving = asyncio.Lock()
        self._durable: dict[TP, int] = {}
        self.held: dict[int, Held] = {}
        self.watch: Watch | None = None
        self.tally = Tally()

    # The group gives and takes ----------------------------------------------------------------

    async def assigned(self, partitions: set[TP], epoch: int) -> Mapping[TP, int]:
        """See `fetching.Keeper`."""
        self.held, self._durable = {}, {}
        begun = time.monotonic()
        for number in sorted({tp.partition for tp in partitions}):
            held = await self._taking.take(Place(number, self._total, self._of), epoch)
            await self._follow(held)
            if self.watch is not None:
                held.skewed = self.watch.skewed
            held.list_due = time.monotonic() + LIST_S
            self.held[number] = held
        if self.held:
            log.info("partitions %s taken over in %.2f s, epoch %d",
                     sorted(self.held), time.monotonic() - begun, epoch)
        offsets: dict[TP, int] = {}
        for held in self.held.values():
            offsets |= self._of_inputs(held, held.partition.at.next)
        return offsets

    def _of_inputs(self, held: Held, offsets: tuple[int, int, int]) -> dict[TP, int]:
        """Offsets by the partitions of the inputs."""
        return {TP(self._names.of(topic), held.number): at
                for topic, at in zip(INPUTS, offsets, strict=True)}

    async def revoked(self, partitions: set[TP]) -> None:
        """See `fetching.Keeper`."""
        del partitions      # it is always all of them
        async with self._saving:
            for held in self.held.values():
                cut = held.cut(wall())
                if cut is not None:
                    await self._save(held, cut)
            await self._out.settled()
        self.held = {}

    async def lost(self, partitions: set[TP]) -> None:
        """See `fetching.Keeper`."""
        del partitions
        self.held, self._durable = {}, {}

    def durable(self, tp: TP) -> int | None:
        """See `fetching.Keeper`."""
        return self._durable.get(tp)

    # What comes -------------------------------------------------------------------------------

    async def readings(self, batch: PartitionBatch) -> None:
        """Handles a batch of readings."""
        self._hear(batch)
        self.tally.readings += len(batch.records)
        await self.held[batch.partition].read(batch.records)

    async def feed(self, batch: PartitionBatch) -> None:
        """Handles facts for groups."""
        self._hear(batch)
        await self.held[batch.partition].feed(batch.records)

    async def commands(self, batch: PartitionBatch) -> None:
        """Handles operators' orders."""
        self._hear(batch)
        found, refused = [], []
        for record in batch.records:
            order = self._order(record, batch.partition)
            if isinstance(order, Unused):
                refused.append(order)
                found.append(Waiting(record.timestamp, record.offset + 1, None))
            else:
                found.append(Waiting(record.timestamp, record.offset + 1, order.order()))
        await self.held[batch.partition].orders(found, batch.records, refused)

    def _order(self, record: Record, partition: int) -> CommandBody | Unused:
        try:
            bodies, many = commands_of(record.value or b"")
        except WrongBody as error:
            return Unused(record.offset, "not_a_command", str(error))
        if many:
            return Unused(record.offset, "not_a_command", "a list; expected one command a record")
        [body] = bodies
        if not body.asset:
            return Unused(record.offset, "not_a_command", "no asset; expected rule and asset")
        if self._of(body.asset) != partition:
            return Unused(record.offset, "misplaced", f"{body.asset} is of partition "
                          f"{self._of(body.asset)}; key the records by asset", body.asset)
        return body

    def _hear(self, batch: PartitionBatch) -> None:
        self._skew.heard(wall(), batch.records[-1].timestamp)

    # Tasks ------------------------------------------------------------------------------------

    async def ticks(self, turn: Turn, polled: Polled) -> None:
        """Moves the clocks, for ever."""
        due = time.monotonic()
        marked = 0.0
        while True:
            due = max(due + TICK_S, time.monotonic() - TICK_S)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            marks = time.monotonic() - marked >= self._mark_s()
            async with turn() as held:
                for number in sorted({tp.partition for tp in held}):
                    await self._tick(self.held[number], polled, marks=marks)
            if marks:
                marked = time.monotonic()

    def _mark_s(self) -> float:
        """Between marks: every partition tells every one."""
        return max(MARK_S, self._total * self._total / MARKS_A_SECOND)

    async def _tick(self, held: Held, polled: Polled, *, marks: bool) -> None:
        for topic in INPUTS:
            said = polled(TP(self._names.of(topic), held.number))
            if said is not None:
                held.pace.inputs[topic].asked(said[0], said[1] - self._skew.ms)
                if self.watch is not None:
                    self.watch.answered(said[1])
        now = held.pace.clock()
        if now is not None:     # else what was kept while brokers were away would come behind it
            await self._follow(held)
        if 0 < held.list_due <= time.monotonic():
            held.list_due = 0.0
            await held.release()
            await self._out.settled()
            await self._taking.put_right(held)
        await held.carry_out()
        if now is not None:
            await held.tick(now)
        else:
            held.show()     # the clock stands, what has come in is shown all the same
        if marks and held.partition.edition.pack.groups:
            held.mark()
        await held.release()

    async def _follow(self, held: Held) -> None:
        """Other rules are active now, or the inventory is another."""
        now = self._active.now
        if now is not None and held.partition.edition.name != now.edition.name:
            await held.rules(now.edition, now.by, now.request)
            held.stocked = -1
        if held.stocked != self._stock.revision:
            held.stocked = self._stock.revision
            for change in self._stock.changes(held.partition):
                await held.assets(change.put, change.gone)

    async def snapshots(self, turn: Turn) -> None:
        """Snaps what changed, for ever."""
        due, cutting = time.monotonic(), 0.0
        while True:
            due = max(due + max(SNAPSHOT_S, cutting / SHARE), time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            cuts: list[tuple[Held, Cut]] = []
            async with turn() as tps:
                begun = time.monotonic()
                for number in sorted({tp.partition for tp in tps}):
                    cut = self.held[number].cut(wall())
                    if cut is not None:
                        cuts.append((self.held[number], cut))
                cutting = time.monotonic() - begun
            async with self._saving:
                for held, cut in cuts:
                    if self.held.get(held.number) is held:
                        await self._save(held, cut)
            if cuts:
                self.tally.snapshot_ms = (time.monotonic() - begun) * 1000

    async def _save(self, held: Held, cut: Cut) -> None:
        await held.save(cut)
        if held.saved is not None and self.held.get(held.number) is held:
            self._durable |= self._of_inputs(held, held.saved.next)

    async def follow(self) -> None:
        """Looks which rules are active, and what the inventory is, for ever."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self._stock.follow()
                if await self._active.follow() and self._active.now is not None:
                    log.info("rules %s are active", self._active.now.edition.name)
            except LogError as error:
                log.warning("rules and inventory cannot be read now: %s", error)


