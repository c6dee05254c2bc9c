"""`tocsin worker`: the engine on Kafka, as one of a fleet.

Starts when the topics are there and rules are active; ends on SIGTERM or SIGINT with all durable.
A line of status a minute goes to the log (stderr). No port is opened.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Container, Mapping, Sequence
from functools import lru_cache
from typing import Any

from aiokafka.partitioner import murmur2

from streams.pace import Skew
from streams.partition import INPUTS
from streams.run.active import Active
from streams.run.clock import wall
from streams.run.fetching import TP
from streams.run.held import Names
from streams.run.keeper import Keeper
from streams.run.logs import LogError, Logs
from streams.run.outgoing import Headers, Outgoing, SendError
from streams.run.stock import Stock
from streams.run.taking import Taking, TakingError
from streams.run.transport import GroupDiedError, app_of, consumer, producer, run, signalled
from streams.run.transport_faust import App
from streams.run.transport_setup import Setup
from streams.run.watch import Watch
from streams.settings import Settings

log = logging.getLogger(__name__)

STATUS_S = 60.0
WAIT_S = 1.0            # between looks for topics and rules
COMPILED_S = 10.0       # what is compiled already is ready sooner
STOP_S = 20.0           # the last snapshot, at most; systems kill after 30 s
CACHED = 1 << 18        # keys whose partition is remembered


class WorkerError(Exception):
    """The worker cannot start, or cannot go on: what was found, and what to do."""


#: What a worker ends with when something around it is wrong; anything else is a fault of ours.
FAULTS = (WorkerError, LogError, SendError, TakingError, GroupDiedError, TimeoutError)


def placed(total: int) -> Callable[[str], int]:
    """The partition of a key, of `total`: as producers of Kafka have it by default."""

    @lru_cache(CACHED)
    def of(key: str) -> int:
        return int((murmur2(key.encode()) & 0x7FFFFFFF) % total)

    return of


class Worker:
    """One worker. Made in the event loop that runs it."""

    def __init__(self, settings: Settings, name: str = "") -> None:
        self.settings = settings
        self.name = name or socket.gethostname()
        self.names = Names(settings.kafka.prefix)
        self.skew = Skew()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises WorkerError, and what `transport.run` raises."""
        stopping = signalled()
        try:
            async with Logs(self.settings.kafka.client()) as logs:
                active = Active(logs, self.names.of("rules"))
                if await self._ready(logs, active, stopping):
                    await self._work(logs, active, stopping)
        except LogError as error:
            raise WorkerError(str(error)) from error

    async def _ready(self, logs: Logs, active: Active, stopping: asyncio.Event) -> bool:
        """Waits until rules are active; False: it is to stop before."""
        told = False
        await self._topics(logs)
        while True:
            await active.follow()
            if active.now is not None:
                return True
            if not told:
                log.info("no rules are active; waits for `tocsin rules activate PACK`")
                told = True
            try:
                await asyncio.wait_for(stopping.wait(), WAIT_S)
            except TimeoutError:
                continue
            return False

    async def _topics(self, logs: Logs) -> None:
        """Raises WorkerError where the topics are not as the settings say."""
        want = self.settings.kafka.partitions
        names = [self.names.of(topic) for topic in (*INPUTS, "alerts", "alarms", "snapshots")]
        there = await logs.partitions(names)
        for name in names:
            found = there.get(name, 0)
            if found != want:
                what = f"has {found} partitions" if found else "is not there"
                raise WorkerError(f"{name} {what}, expected {want}: `tocsin topics create`, or "
                                  f"set kafka.partitions as `tocsin topics check` says")

    async def _work(self, logs: Logs, active: Active, stopping: asyncio.Event) -> None:
        _warm()
        kafka, total = self.settings.kafka, self.settings.kafka.partitions
        setup = Setup(
            group=f"{kafka.prefix}-worker", client=kafka.client(),
            topics=tuple(self.names.of(topic) for topic in INPUTS), compression="lz4",
            session_s=self.settings.worker.session_s,
            heartbeat_s=self.settings.worker.heartbeat_s, stop_s=STOP_S,
        )  # fmt: skip
        sender = _Sender()
        out = Outgoing(sender, sender.live, self._safe)
        taking = Taking(self.names, logs, out, active, self.settings.site.zone)
        of = placed(total)
        stock = Stock(logs, self.names.of("assets"), of)
        await stock.follow()
        self.keeper = Keeper(self.names, total, of, taking, out, active, stock, self.skew)
        handlers = dict(zip(setup.topics, (
            self.keeper.readings, self.keeper.commands, self.keeper.feed), strict=True))
        app = app_of(setup, self.keeper, handlers, self)
        sender.app = app
        log.info("worker %s of group %s begins, rules %s", self.name, setup.group,
                 active.now.edition.name if active.now else "")
        self.watch = self.keeper.watch = Watch(
            self.name, self.names, of, lambda: self.keeper.held, lambda: app.fetching.places,
            lambda: self.skew.ms)

        async def report(said: Sequence[tuple[str, bytes]]) -> None:
            for asset, value in said:
                await out.put(self.names.of("readings"), of(asset), asset.encode(), value)

        def classes() -> Container[str]:
            return active.now.edition.pack.classes if active.now is not None else ()

        ends = asyncio.Event()
        await run(app, ends, (
            self.watch.run(report, classes, stopping, ends),
            self.keeper.ticks(app.holding.turn, lambda tp: consumer(app).polled(tp)),
            self.keeper.snapshots(app.holding.turn),
            self.keeper.follow(),
            self._status(app),
        ))  # fmt: skip
        log.info("worker %s has ended, all is durable", self.name)

    def _safe(self, stamp: int) -> None:
        self.skew.heard(wall(), stamp)

    async def _status(self, app: App) -> None:
        before, at = 0, time.monotonic()
        while True:
            await asyncio.sleep(STATUS_S)
            tally, now = self.keeper.tally, time.monotonic()
            lag = sum(place.lag for place in app.fetching.places.values())
            alarms = sum(len(held.shown) for held in self.keeper.held.values())
            log.info(
                "partitions %d, readings %d (%.0f/s), lag %d, alarms %d, snapshot %.0f ms, "
                "clock ahead %d ms", len(self.keeper.held), tally.readings,
                (tally.readings - before) / (now - at), lag, alarms, tally.snapshot_ms,
                self.skew.ms,
            )  # fmt: skip
            before, at = tally.readings, now

    # Reports of the transport -----------------------------------------------------------------

    def gap(self, tp: TP, expected: int, found: int) -> None:
        """See `Reports`."""
        log.warning("%s/%d: offsets %d to %d are not kept any more", *tp, expected, found - 1)

    def stalled(self, partitions: Mapping[TP, float]) -> None:
        """See `Reports`."""
        self.watch.stalled = partitions
        for tp, seconds in partitions.items():
            log.warning("%s/%d has not moved for %.0f s", *tp, seconds)


class _Sender:
    """The app's producer, which is there once the app has started."""

    app: App

    def live(self) -> bool:
        """Whether the group still counts on this process."""
        return self.app.lease.holds()

    async def post(self, topic: str, at: int, key: bytes | None, value: bytes | None,
                   headers: Headers) -> asyncio.Future[Any]:
        """See `outgoing.Sender`."""
        return await producer(self.app).post(topic, at, key, value, headers)


def _warm() -> None:
    """Has all that is compiled ready before the group waits for it: 1-2 minutes the first time."""
    from streams.warm import warm_up  # noqa: PLC0415 - it takes a second to import

    begun = time.monotonic()
    warm_up()
    if time.monotonic() - begun > COMPILED_S:
        log.info("the interpreter was compiled in %.0f s, once", time.monotonic() - begun)
