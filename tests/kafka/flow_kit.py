"""Workers that only count, to disturb: `python -m tests.kafka.flow_kit JSON` is one.

A worker holds, for each partition, {key: [count, sum]} of two topics, and writes it with the next
offsets to a compacted topic. Whatever is done to the workers, in the end the newest states say what
the topics hold. What a worker did stands in its log, a JSON object a line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.run.fetching import TP, PartitionBatch
from streams.run.outgoing import SendError
from streams.run.transport import app_of, consumer, producer, run, signalled
from streams.run.transport_faust import App, Producer
from streams.run.transport_setup import Setup

PARTITIONS = 4
Message = tuple[int, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]

SESSION_S = 2.5         # the test's broker allows it


async def send_many(sends: Producer, topic: str, messages: Iterable[Message]) -> list[int]:
    """Sends (partition, key, value, headers) each: their offsets, once all are safe. Raises
    SendError if any is not.
    """
    waiting = [await sends.post(topic, *one) for one in messages]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    for one in results:
        if isinstance(one, BaseException):
            raise SendError(f"{topic}: messages were not taken: {one!r}") from one
    return [one.offset for one in results]


@dataclass(frozen=True)
class Plan:
    """What a worker is told."""

    brokers: str
    prefix: str
    log: str
    snapshot_s: float = 0.5
    slow_s: float = 0.0              # a batch takes so long, the loop goes on meanwhile
    blocked_s: float = 0.0           # a batch takes so long, and blocks the loop
    fail_at: int = 0                 # the handler fails in the middle of this batch
    member_dies_s: float = 0.0       # the client's member of the group ends by an error

    @property
    def topics(self) -> tuple[str, str]:
        return f"{self.prefix}-readings", f"{self.prefix}-commands"

    @property
    def snapshots(self) -> str:
        return f"{self.prefix}-snapshots"

    @property
    def group(self) -> str:
        return f"{self.prefix}-counting"


@dataclass
class State:
    """Of a partition of both topics; `next` by topic."""

    next: dict[str, int] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)


async def read_all(brokers: str, topic: str, partitions: list[int]) -> dict[int, list[Any]]:
    """All records of these partitions up to where they end now."""
    client = AIOKafkaConsumer(
        bootstrap_servers=brokers, enable_auto_commit=False, auto_offset_reset="earliest",
        max_partition_fetch_bytes=8 << 20, fetch_max_wait_ms=50)
    await client.start()
    try:
        tps = [TopicPartition(topic, p) for p in partitions]
        client.assign(tps)
        ends = await client.end_offsets(tps)
        await client.seek_to_beginning(*tps)
        found: dict[int, list[Any]] = {p: [] for p in partitions}
        while any([await client.position(tp) < ends[tp] for tp in tps]):
            for tp, records in (await client.getmany(*tps, timeout_ms=500)).items():
                found[tp.partition] += [r for r in records if r.offset < ends[tp]]
        return found
    finally:
        await client.stop()


def newest(records: list[Any]) -> State:
    """The state that the owner of the highest epoch wrote last: a zombie's late word is older."""
    if not records:
        return State()
    said = [json.loads(record.value) for record in records]
    best = max(enumerate(said), key=lambda at: (at[1]["epoch"], at[0]))[1]
    return State(best["next"], best["counts"])


class Counting:
    """The keeper and the handlers."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._log = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._epoch = 0
        self._states: dict[int, State] = {}
        self._durable: dict[TP, int] = {}
        self._batches = 0
        self.app: App | None = None

    def say(self, what: str, **more: object) -> None:
        line = {"t": round(time.time(), 3), "pid": os.getpid(), "what": what, **more}
        os.write(self._log, json.dumps(line).encode() + b"\n")

    async def assigned(self, partitions: set[TP], epoch: int) -> Mapping[TP, int]:
        self._states.clear()
        self._durable.clear()
        numbers = sorted({p for _, p in partitions})
        found = await read_all(self._plan.brokers, self._plan.snapshots, numbers)
        self._states = {p: newest(found[p]) for p in numbers}
        self._epoch = epoch
        offsets = {tp: self._states[tp.partition].next.get(tp.topic, 0) for tp in partitions}
        self.say("assigned", epoch=epoch, partitions=sorted(map(list, partitions)),
                 offsets=sorted([*tp, at] for tp, at in offsets.items()))
        return offsets

    async def revoked(self, _partitions: set[TP]) -> None:
        await self._snapshot()
        self._states.clear()
        self.say("revoked", epoch=self._epoch)

    async def lost(self, _partitions: set[TP]) -> None:
        self._states.clear()
        self._durable.clear()
        self.say("lost", epoch=self._epoch)

    def durable(self, tp: TP) -> int | None:
        return self._durable.get(tp)

    async def handle(self, batch: PartitionBatch) -> None:
        state = self._states[batch.partition]
        assert batch.epoch == self._epoch
        assert state.next.get(batch.topic, 0) <= batch.first
        self._batches += 1
        if self._plan.blocked_s:
            time.sleep(self._plan.blocked_s)  # noqa: ASYNC251 — that is what is tried
        for number, record in enumerate(batch.records):
            cell = state.counts.setdefault(record.key.decode(), [0, 0])
            cell[0] += 1
            cell[1] += int(record.value)
            if number in {0, len(batch.records) // 2}:      # half a batch is in the state
                await asyncio.sleep(self._plan.slow_s / 2)
                if self._batches == self._plan.fail_at:
                    raise RuntimeError("the handler fails, as it was told")
        state.next[batch.topic] = batch.last + 1
        self.say("batch", topic=batch.topic, partition=batch.partition, epoch=batch.epoch,
                 first=batch.first, last=batch.last, skipped=batch.skipped)

    async def kill_member(self) -> None:
        await asyncio.sleep(self._plan.member_dies_s)

        async def dies(*_: object) -> None:
            raise RuntimeError("the member dies, as it was told")

        coordinator = consumer(self.app)._thread.coordinator
        coordinator.ensure_active_group = dies
        coordinator.request_rejoin()

    async def snapshots(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._plan.snapshot_s)
            async with self.app.holding.turn() as held:
                if held:
                    await self._snapshot()

    async def _snapshot(self) -> None:
        states = {p: asdict(state) for p, state in self._states.items()}
        messages = [(p, b"state", json.dumps({"epoch": self._epoch, **state}).encode(), [])
                    for p, state in states.items()]
        await send_many(producer(self.app), self._plan.snapshots, messages)
        for p, state in states.items():
            self._durable.update({TP(topic, p): at for topic, at in state["next"].items()})

    def gap(self, tp: TP, expected: int, found: int) -> None:
        self.say("gap", partition=list(tp), expected=expected, found=found)

    def stalled(self, partitions: Mapping[TP, float]) -> None:
        self.say("stalled", partitions=[[*tp, s] for tp, s in partitions.items()])


def work(plan: Plan) -> None:
    """A worker until it is told to stop; its error, if it ends by one, stands in the log."""
    keeper = Counting(plan)
    setup = Setup(plan.group, {"bootstrap_servers": plan.brokers.split(",")}, plan.topics,
                  session_s=SESSION_S, heartbeat_s=0.4)

    async def main() -> None:
        app = app_of(setup, keeper, dict.fromkeys(plan.topics, keeper.handle), keeper)
        keeper.app = app
        app.task(keeper.snapshots)
        if plan.member_dies_s:
            app.task(keeper.kill_member)
        await run(app, signalled())

    keeper.say("begun")
    try:
        asyncio.run(main())
    except BaseException as error:
        keeper.say("failed", error=repr(error))
        raise
    keeper.say("ended")


if __name__ == "__main__":
    work(Plan(**json.loads(sys.argv[1])))
