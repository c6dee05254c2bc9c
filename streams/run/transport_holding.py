"""Holding partitions: what the keeper of state and the handlers of batches are asked, in turn.

Free of Faust. The group gives and takes partitions at any moment; here that becomes calls that
never overlap: `Keeper.assigned`, handlers, `Keeper.revoked` or `lost`. A handler that has begun is
waited for before its partitions go; one that failed has left state behind that nobody may persist,
so everything is lost from then on, until the process has started again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from streams.run.fetching import TP, Fetching, Keeper, PartitionBatch

Handler = Callable[[PartitionBatch], Awaitable[None]]


class HoldingError(Exception):
    """The partitions cannot be held: what the group or the keeper gave does not fit together."""


class Lease:
    """Whether the group still counts on this process, as far as the process can know by itself.

    After a pause longer than the session (a stopped process, a sleeping machine) another may hold
    the partitions, long before a refused heartbeat says so. `beat` is called all the time by the
    thread that sends the heartbeats, `holds` by any.
    """

    def __init__(self, session_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._session_s, self._clock = session_s, clock
        self._beat = clock()
        self._broken = False

    def begin(self) -> None:
        """Beats come from now on: what took its time before was no pause."""
        self._beat = self._clock()

    def beat(self) -> bool:
        """Counts a beat. False: the lease has ended just now."""
        now = self._clock()
        ended = not self._broken and now - self._beat > self._session_s
        self._broken |= ended
        self._beat = now
        return not ended

    def holds(self) -> bool:
        """Whether there was no pause, nor is one just over."""
        return not self._broken and self._clock() - self._beat <= self._session_s

    def renew(self) -> None:
        """The group has given partitions anew."""
        self._broken = False


class Holding:
    """Partitions in the hands of one worker. Used from one event loop."""

    def __init__(
        self, keeper: Keeper, fetching: Fetching, lease: Lease, topics: tuple[str, ...],
        load_s: float,
    ) -> None:
        """`topics` are held together: the same partitions of each. `load_s` bounds `assigned`."""
        self._keeper, self._fetching, self._lease = keeper, fetching, lease
        self._topics, self._load_s = topics, load_s
        self._turn = asyncio.Lock()
        self._loading: asyncio.Task[None] | None = None
        self._held: frozenset[TP] = frozenset()
        self._failed = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[frozenset[TP]]:
        """No handler runs and no partition comes or goes meanwhile; gives those that are held.

        For a snapshot between two batches. Not within a handler or a method of the keeper.
        """
        async with self._turn:
            yield self._held if self._sound() else frozenset()

    def _sound(self) -> bool:
        return self._lease.holds() and not self._failed

    def durable(self, tps: Iterable[TP]) -> dict[TP, int]:
        """What may be committed of these partitions."""
        said = {tp: self._keeper.durable(tp) for tp in tps}
        return {tp: at for tp, at in said.items() if at is not None}

    async def take(self, partitions: set[TP], epoch: int) -> None:
        """The group gives these partitions. Returns when they are loaded, or given away meanwhile.

        Raises HoldingError, TimeoutError and what the keeper raises.
        """
        _together(self._topics, partitions)
        self._lease.renew()
        loading = self._loading = asyncio.ensure_future(self._load(partitions, epoch))
        try:
            await asyncio.wait([loading])
        finally:
            loading.cancel()
        if not loading.cancelled():
            loading.result()

    async def _load(self, partitions: set[TP], epoch: int) -> None:
        async with self._turn:
            async with asyncio.timeout(self._load_s):
                offsets = await self._keeper.assigned(partitions, epoch)
            if offsets.keys() != partitions or any(at < 0 for at in offsets.values()):
                raise HoldingError(f"the keeper was given {sorted(partitions)} and begins at "
                                   f"{dict(offsets)}: expected an offset for each, 0 or more")
            self._held = frozenset(partitions)
            self._fetching.assigned(offsets, epoch)

    async def give(self, *, lost: bool) -> frozenset[TP]:
        """All partitions go to another, or have gone already (`lost`). Those that were held and
        are persisted now: the keeper answers `durable` of them once more.
        """
        self._fetching.revoked()
        if self._loading is not None:
            self._loading.cancel()
        async with self._turn:
            held, self._held = self._held, frozenset()
            if not held:
                return held
            if lost or not self._sound():
                await self._keeper.lost(set(held))
                return frozenset()
            await self._keeper.revoked(set(held))
            return held

    async def handle(self, batch: PartitionBatch, handler: Handler) -> None:
        """Has a batch handled, unless it is void. Raises what the handler raises, and HoleError."""
        async with self._turn:
            try:
                if self._fetching.take(batch) and self._sound():
                    await handler(batch)
                    self._fetching.done(batch)
            except BaseException:       # half a batch may be in the state, cancelled or not
                self._failed = True
                self._fetching.revoked()
                raise


def _together(topics: tuple[str, ...], partitions: set[TP]) -> None:
    """Raises HoldingError unless there are the same partitions of every topic."""
    of_topic = {topic: sorted(p for t, p in partitions if t == topic) for topic in topics}
    if len({tuple(of) for of in of_topic.values()}) > 1:
        raise HoldingError(
            f"partitions that belong together were given apart: {of_topic}; expected the same of "
            "every topic: create them with the same number of partitions (tocsin topics check), "
            "and run the same version of Tocsin in every worker"
        )
