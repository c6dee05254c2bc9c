"""Fetching: which records of which partition come next, whatever the group does meanwhile.

Free of Faust and of any client: the loop asks a `Client` for records and hands on batches.
Three rules keep it from losing or doubling a record:

1. Only this loop seeks, right before it fetches. A fetch that was under way across a hand-over may
   move the client's position after somebody else's seek, and what it brought is dropped.
2. The epoch is the group's generation while partitions are held, and None in between. What was
   fetched in another epoch is dropped, and its partition sought again.
3. A batch begins at the expected offset. Another first offset is sought again once; a later one is
   then a gap of the log (compacted, expired) and told, never passed over in silence.

What is waiting for the agent is counted here, so buffers are bounded whatever the queues between
do, and `take` finds it if they lose a batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

CHUNK = 2_000          # records of a batch at most
WAITING = 16           # batches that wait for the agent at most
FETCH_S = 1.0          # longest wait for records
PAUSE_S = 0.2          # after the broker was away
CUT_LOOKS = 25         # looks at a log that ends too early (5 s), before that is believed


class TP(NamedTuple):
    """A partition of a topic. Equal to the clients' own pairs of the same content."""

    topic: str
    partition: int


class Record(Protocol):
    """A record as the client gives it; `timestamp` is in ms UTC, `headers` pairs of name, bytes."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Of the producer or of the broker, as the topic has it."""

    @property
    def key(self) -> bytes | None:
        """As produced."""

    @property
    def value(self) -> bytes | None:
        """As produced; None: a tombstone."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """As produced."""


@dataclass(frozen=True, slots=True)
class PartitionBatch:
    """Records of one partition in order, 1 to `CHUNK` of them; offsets from `first` to `last`.

    `skipped` offsets before `first` are not in the log any more (0: none; negative: the log was
    cut back and begins again before what was read already).
    """

    topic: str
    partition: int
    epoch: int
    first: int
    last: int
    records: Sequence[Record]
    skipped: int = 0

    @property
    def tp(self) -> TP:
        """Where it is from."""
        return TP(self.topic, self.partition)


class Keeper(Protocol):
    """Whoever keeps the state of partitions. No two calls overlap, nor one with a handler's."""

    async def assigned(self, partitions: set[TP], epoch: int) -> Mapping[TP, int]:
        """Loads the state of these partitions, and of no others: the offset to begin each at.

        Epochs grow from owner to owner. May be cancelled: the group has changed its mind, and
        nothing is held.
        """

    async def revoked(self, partitions: set[TP]) -> None:
        """Finishes, persists, and answers `durable` once more: another will hold them."""

    async def lost(self, partitions: set[TP]) -> None:
        """Drops all and persists nothing: another holds them already, or a handler has failed."""

    def durable(self, tp: TP) -> int | None:
        """The offset that may be committed (the next to read), None: nothing to say yet."""


class Client(Protocol):
    """What the loop needs around it. All but `put` raise `Away`, `fetch` also `Astray`."""

    async def fetch(self, tps: Collection[TP], timeout_s: float) -> Mapping[TP, Sequence[Record]]:
        """Waits for records of these partitions; may give some of an earlier assignment."""

    async def bounds(self, tps: Collection[TP]) -> Mapping[TP, tuple[int, int]]:
        """The first offset that is kept, and the one after the last."""

    async def seek(self, places: Mapping[TP, int]) -> None:
        """The next `fetch` begins there."""

    async def put(self, batch: PartitionBatch) -> None:
        """Hands a batch to its agent, and does not wait for it."""


class Away(Exception):  # noqa: N818 — a state of the link, not a mistake
    """The broker cannot answer now, or the partitions are not ours: ask again a little later."""


class Astray(Exception):  # noqa: N818 — as Away
    """The client stands at no offset of a partition, or at one that is not kept: seek at once."""


class HoleError(Exception):
    """A batch was lost between the loop and the agent (a bug): state would miss its records."""


@dataclass(slots=True)
class Place:
    """How far a partition is: offsets of the next record each; `end` as the broker said last."""

    expected: int                # from the client
    put: int                     # to be put: less than expected where the log has lost records
    taken: int                   # to be taken by the agent
    done: int                    # not yet handled
    end: int
    moved_s: float               # when `done` moved last, or had nothing before it
    doubted: int = -1            # the expected offset that was sought again already
    looks: int = 0               # at a log that ends before it

    @property
    def lag(self) -> int:
        """Records that are not handled yet, at most (a compacted log has fewer)."""
        return max(0, self.end - self.done)


class Fetching:
    """The loop and its books. Used from one event loop; every method but `run` is instant."""

    def __init__(
        self,
        on_gap: Callable[[TP, int, int], None],
        *,
        chunk: int = CHUNK,
        waiting: int = WAITING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_gap` hears (partition, expected offset, found offset)."""
        self._on_gap = on_gap
        self._chunk, self._limit, self._clock = chunk, waiting, clock
        self._epoch: int | None = None
        self._places: dict[TP, Place] = {}
        self._astray: set[TP] = set()     # to be sought before the next fetch
        self._waiting = 0                 # batches put and not yet taken
        self._stir = asyncio.Event()      # something changed that the loop may wait for

    @property
    def epoch(self) -> int | None:
        """Of the partitions that are held; None: none are."""
        return self._epoch

    @property
    def places(self) -> Mapping[TP, Place]:
        """How far each partition is that is held."""
        return self._places

    def assigned(self, offsets: Mapping[TP, int], epoch: int) -> None:
        """From now on these partitions are fetched, from these offsets on."""
        now = self._clock()
        self._epoch, self._waiting = epoch, 0
        self._places = {TP(*tp): Place(at, at, at, at, at, now) for tp, at in offsets.items()}
        self._astray = set(self._places)
        self._stir.set()

    def revoked(self) -> None:
        """From now on nothing is fetched, and what waits for the agent is void."""
        self._epoch, self._waiting = None, 0
        self._places, self._astray = {}, set()
        self._stir.set()

    def take(self, batch: PartitionBatch) -> bool:
        """The agent takes up a batch; False: it is void, and must not be handled.

        Raises HoleError.
        """
        if batch.epoch != self._epoch:
            return False
        self._waiting -= 1
        self._stir.set()
        place = self._places[batch.tp]
        if batch.first - batch.skipped != place.taken:
            raise HoleError(f"{batch.topic}/{batch.partition}: {place.taken} was to come, the agent"
                            f" got {batch.first} (a bug: a batch was lost on the way to it)")
        place.taken = batch.last + 1
        return True

    def done(self, batch: PartitionBatch) -> None:
        """A batch that was taken is handled."""
        if batch.epoch == self._epoch:
            place = self._places[batch.tp]
            place.done, place.moved_s = batch.last + 1, self._clock()

    def seen(self, ends: Mapping[TP, int]) -> None:
        """The broker's word where the partitions end."""
        for tp, end in ends.items():
            place = self._places.get(TP(*tp))
            if place is not None:
                if place.done >= place.end:     # it waits from now on, not since it was idle
                    place.moved_s = self._clock()
                place.end = max(place.end, end)

    def stalled(self, after_s: float) -> dict[TP, float]:
        """Partitions with records before them that did not move for so long: seconds each."""
        now = self._clock()
        return {tp: now - place.moved_s for tp, place in self._places.items()
                if place.lag and now - place.moved_s >= after_s}

    async def run(self, client: Client) -> None:
        """Fetches until cancelled. Raises what the client raises, but Away and Astray."""
        self._astray = set(self._places)      # a loop before this one may have dropped records
        while True:
            try:
                await self._step(client)
            except Astray:
                continue
            except Away:
                await self._stirred(PAUSE_S)

    async def _step(self, client: Client) -> None:
        epoch = self._epoch
        if epoch is None or self._waiting >= self._limit:
            await self._stirred()
        elif self._astray:
            await self._seek(client, epoch)
        else:
            await self._fetch(client, epoch)

    async def _stirred(self, timeout_s: float | None = None) -> None:
        self._stir.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._stir.wait()

    async def _seek(self, client: Client, epoch: int) -> None:
        astray = frozenset(self._astray)
        bounds = await client.bounds(astray)
        if epoch != self._epoch:
            return
        goals = {tp: self._goal(tp, *bounds[tp]) for tp in astray}
        await client.seek(goals)
        if epoch == self._epoch:
            self._astray -= astray

    def _goal(self, tp: TP, first: int, end: int) -> int:
        """Where to go on. Raises Away while it is too early to believe that the log was cut."""
        place = self._places[tp]
        place.end = end
        if place.expected > end:
            place.looks += 1
            if place.looks < CUT_LOOKS:     # a new leader may say so for a moment
                raise Away(f"{tp.topic}/{tp.partition} ends at {end}, before {place.expected}")
        place.expected = min(max(first, place.expected), end)
        place.looks = 0
        return place.expected

    async def _fetch(self, client: Client, epoch: int) -> None:
        try:
            found = await client.fetch(tuple(self._places), FETCH_S)
        except (Astray, Away):      # the client may have moved before it failed
            self._stray(self._places)
            raise
        for tp, records in found.items():
            if records and not await self._deliver(client, TP(*tp), records, epoch):
                self._stray([tp])

    def _stray(self, tps: Iterable[tuple[str, int]]) -> None:
        self._astray.update(TP(*tp) for tp in tps if tp in self._places)

    async def _deliver(
        self, client: Client, tp: TP, records: Sequence[Record], epoch: int
    ) -> bool:
        """Puts records; False: (the rest of) them must be fetched again."""
        place = self._places.get(tp)
        if place is None or epoch != self._epoch:
            return False
        if records[0].offset != place.expected:
            if place.doubted != place.expected:
                place.doubted = place.expected
                return False
            records = [r for r in records if r.offset >= place.expected]
            if not records:
                return False
        if records[0].offset != place.put:
            self._on_gap(tp, place.put, records[0].offset)
        for begin in range(0, len(records), self._chunk):
            while epoch == self._epoch and self._waiting >= self._limit:
                await self._stirred()
            if epoch != self._epoch:
                return False
            part = records[begin : begin + self._chunk]
            first, last = part[0].offset, part[-1].offset
            batch = PartitionBatch(*tp, epoch, first, last, part, first - place.put)
            place.expected = place.put = last + 1
            self._waiting += 1
            await client.put(batch)
        return True
