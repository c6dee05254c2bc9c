"""A transport for faust-streaming that hands whole batches of a partition to an agent.

Registered by Faust's own plug-in point, the entry point group `faust.transports`, as `tocsin`. What
decides anything stands in `fetching` and `transport_holding`, free of Faust; here are only the
overrides, and this is all of them. The public ones:

    App.on_first_start              Faust makes directories for tables that we do not have
    Consumer.on_partitions_revoked  Faust forgets what was acknowledged before it commits it; the
                                    keeper finishes first, then what is durable is committed
    Consumer.perform_seek           loads state (the flow stands, heartbeats go on) and seeks
                                    nothing: only the fetch loop seeks, right before it fetches
    Consumer.force_commit           commits what is durable, not what streams have acknowledged
    Consumer.verify_event_path      Faust's warnings about acknowledgements that we do not use

Private ones of Faust (pinned to 0.15.3, with aiokafka 0.14 and mode-streaming 0.7):

    Consumer._drain_messages        Faust's loop makes an event a record (67 µs) and goes on with
                                    records fetched before a rebalance; ours makes one a batch
    Consumer._commit                a commit that fails is no reason to crash: recovery starts from
                                    the state's own offset
    Consumer._new_consumer_thread   our thread
    Thread._create_worker_consumer  the client: the range assignor keeps partition p of all topics
                                    together (round robin, Faust's own choice without tables, does
                                    not); no silent reset of offsets; a short wait for idle
                                    partitions, for it holds up the busy ones of the same broker
    Producer._new_producer          the client: idempotent, acks=all
    PartitionRecords._consumer_record   of aiokafka: see `_Buffers`

and used as they are: Consumer._getmany, Thread._ensure_consumer, Producer._ensure_producer, and of
aiokafka `_coordinator` (generation, request_rejoin, _coordination_task), `_fetcher._records`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar, cast

import aiokafka
import faust
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage
from mode import Service

from streams.run.fetching import TP, Astray, Away, Fetching, PartitionBatch, Record
from streams.run.outgoing import SendError
from streams.run.transport_holding import Holding, Lease
from streams.run.transport_setup import Reports, Setup

log = logging.getLogger(__name__)

NOT_JOINED = -1         # the generation of a member that the group does not know (any more)
BEATS = 8               # of the lease in a session



class App(faust.App):
    """A Faust app with what its transport needs."""

    setup: Setup
    lease: Lease
    fetching: Fetching
    holding: Holding
    reports: Reports

    async def on_first_start(self) -> None:
        """No directories."""


class _Buffers(OrderedDict[Any, Any]):
    """What the client has fetched: it makes no object of its own of each record, for the record as
    it was parsed has all that `Record` wants (a fifth of a worker's time)."""

    def __setitem__(self, tp: Any, result: Any) -> None:  # noqa: ANN401 — aiokafka has no types
        if isinstance(result, FetchResult):
            result._partition_records._consumer_record = _as_parsed  # noqa: SLF001 — see above
        super().__setitem__(tp, result)


def _as_parsed(tp: Any, record: Record) -> Record:  # noqa: ANN401 — as above
    del tp
    return record


class Client(aiokafka.AIOKafkaConsumer):  # type: ignore[misc] # aiokafka has no types
    """The client of the thread."""

    async def start(self) -> None:
        """Connects."""
        await super().start()
        self._fetcher._records = _Buffers(self._fetcher._records)  # noqa: SLF001 — see above


class Thread(driver.AIOKafkaConsumerThread):
    """The thread of the client: fetches, sends heartbeats, whatever the agents do."""

    app: App

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        del transport       # the setup says where the brokers are
        return Client(
            **self.app.setup.consumer(),
            partition_assignment_strategy=[RangePartitionAssignor],
        )

    @property
    def coordinator(self) -> Any:  # noqa: ANN401 — aiokafka has no types
        """The member of the group."""
        return self._ensure_consumer()._coordinator  # noqa: SLF001 — see above

    @Service.task
    async def _beats(self) -> None:
        self.app.lease.begin()
        while not self.should_stop:
            if not self.app.lease.beat() and self._consumer is not None:
                log.warning("this process was stopped for longer than a session: it joins anew")
                self.coordinator.request_rejoin()
            await asyncio.sleep(self.app.setup.session_s / BEATS)


class Consumer(driver.Consumer):
    """Faust's consumer, fetching as `Fetching` says; also its client."""

    app: App
    _thread: Thread

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 — Faust's
        super().__init__(*args, **kwargs)
        self._told: dict[TP, int] = {}      # what is committed of what is held

    def _new_consumer_thread(self) -> Thread:
        return Thread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:  # noqa: ANN401 — a mode.Service
        try:
            await self.app.fetching.run(self)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not (self.app.should_stop or fetcher.should_stop):
                raise

    async def perform_seek(self) -> None:
        """Loads the state of what was assigned."""
        epoch = self.app.consumer_generation_id
        try:
            await self.app.holding.take({TP(*tp) for tp in self.assignment()}, epoch)
        except IllegalStateError as error:    # Faust would take it for a rebalance, and go on
            raise RuntimeError(f"the state could not be loaded: {error}") from error

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Has the keeper finish, then commits what is durable."""
        try:
            await self.hand_over(lost=self._thread.coordinator.generation == NOT_JOINED)
        except Exception as error:  # noqa: BLE001 — whatever it is, nobody may go on with this state
            await self.app.crash(error)
        await super().on_partitions_revoked(revoked)

    async def hand_over(self, *, lost: bool) -> None:
        """Nothing is held any more. Raises TimeoutError and what the keeper raises."""
        limit = self.app.setup.hand_s
        try:
            async with asyncio.timeout(limit):
                held = await self.app.holding.give(lost=lost)
                if held:
                    await self._commit(self.app.holding.durable(held))
        except TimeoutError:
            raise TimeoutError(f"partitions were not handed over within {limit:g} s (are brokers "
                               "away?): the process ends, to be started anew") from None
        self._told.clear()

    async def force_commit(
        self, topics: Any = None, start_new_transaction: bool = True  # noqa: ANN401 — Faust's
    ) -> bool:
        """Commits how far the state is durable, where that has moved."""
        del topics, start_new_transaction
        durable = self.app.holding.durable(self.app.fetching.places)
        moved = {tp: at for tp, at in durable.items() if self._told.get(tp) != at}
        return await self._commit(moved)

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        if not offsets:
            return False
        client = self._thread._ensure_consumer()  # noqa: SLF001 — see above
        try:
            await self._thread.call_thread(
                client.commit, {aiokafka.TopicPartition(*tp): at for tp, at in offsets.items()})
        except KafkaError as error:
            log.warning("offsets were not committed (state is not concerned): %s", error)
            return False
        self._told.update(offsets)
        return True

    def group_died(self) -> bool:
        """Whether the member of the group has ended: Faust would go on as if nothing were."""
        return bool(self._thread.coordinator._coordination_task.done())  # noqa: SLF001 — see above

    def verify_event_path(self, now: float, tp: Any) -> None:  # noqa: ANN401 — Faust's TP
        """Nothing: our own watch looks whether partitions move."""

    async def fetch(self, tps: Collection[TP], timeout_s: float) -> Mapping[TP, Sequence[Record]]:
        """See `fetching.Client`."""
        if not self.flow_active:
            await self.can_resume_flow.wait()
        try:
            found: Mapping[Any, Sequence[Record]] = await self._getmany(
                set(tps), timeout_s)  # type: ignore[arg-type] # pairs of equal content
        except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
            raise Astray(str(error)) from error
        except KafkaError as error:
            raise _away(error) from error
        return found

    async def bounds(self, tps: Collection[TP]) -> Mapping[TP, tuple[int, int]]:
        """See `fetching.Client`."""
        client = self._thread._ensure_consumer()  # noqa: SLF001 — see above
        try:
            firsts = await self._thread.call_thread(client.beginning_offsets, _clients(tps))
            ends = await self._thread.call_thread(client.end_offsets, _clients(tps))
        except KafkaError as error:
            raise _away(error) from error
        return {tp: (firsts[tp], ends[tp]) for tp in tps}

    def polled(self, tp: TP) -> tuple[int, int] | None:
        """The newest answer of a broker about a partition: where it ends, and when that came (ms,
        by this machine's clock). None: there was none since it was given."""
        client = self._thread._ensure_consumer()  # noqa: SLF001 - see above
        one = aiokafka.TopicPartition(*tp)
        try:
            at, end = client.last_poll_timestamp(one), client.highwater(one)
        except (AssertionError, IllegalStateError):     # it is given away meanwhile
            return None
        return None if at is None or end is None else (end, at)

    async def seek(self, places: Mapping[TP, int]) -> None:  # type: ignore[override]
        """See `fetching.Client`."""
        try:
            await self.seek_wait(cast("Mapping[Any, int]", places))
        except (KafkaError, TimeoutError) as error:
            raise _away(error) from error

    async def put(self, batch: PartitionBatch) -> None:
        """See `fetching.Client`. A message of Faust, whose value is the batch."""
        await self.callback(ConsumerMessage(
            batch.topic, batch.partition, batch.last, batch.records[-1].timestamp / 1000, 0, [],
            None, cast("bytes", batch), None, 0, 0, cast("Any", batch.tp),
            generation_id=batch.epoch,
        ))


def _clients(tps: Iterable[TP]) -> list[aiokafka.TopicPartition]:
    return [aiokafka.TopicPartition(*tp) for tp in tps]


def _away(error: Exception) -> Exception:
    """Away for what passes by itself, else the error."""
    passing = isinstance(error, (IllegalStateError, TimeoutError)) or getattr(
        error, "retriable", False)
    return Away(str(error)) if passing else error


class Producer(driver.Producer):
    """Idempotent; no message counts as sent before all replicas in sync have it."""

    app: App

    def _new_producer(self, transactional_id: str | None = None) -> aiokafka.AIOKafkaProducer:
        del transactional_id
        return aiokafka.AIOKafkaProducer(**self.app.setup.producer())

    async def post(
        self, topic: str, at: int, key: bytes | None, value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> asyncio.Future[Any]:
        """Sends a message to a partition; what it gives is done once it is safe (then it has its
        `offset`). Waits only for room. Raises SendError.
        """
        try:
            return cast("asyncio.Future[Any]", await self._ensure_producer().send(
                topic, value, key=key, partition=at, headers=headers))
        except (KafkaError, AssertionError) as error:   # it asserts that a partition exists
            raise SendError(f"{topic}/{at}: a message was not taken: {error!r}") from error


class Transport(driver.Transport):
    """What the entry point names."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer

