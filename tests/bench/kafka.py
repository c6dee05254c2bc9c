"""`python -m tests.bench.kafka`: what the transport costs, beside the bare client, in the same run.

Messages of 100 bytes in 4 partitions of a local broker (or `--brokers`), read from the beginning by
an agent that only counts, and by aiokafka's `getmany` alone. CPU of this process a message, the
broker's not counted; best of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.run.fetching import TP, PartitionBatch
from streams.run.transport import App, app_of, run
from streams.run.transport_setup import Setup
from tests.kafka.broker import cluster

PARTITIONS = 4
SIZE = 100


class Count:
    """Keeper, handler and reports of an agent that only counts."""

    def __init__(self, records: int) -> None:
        self.left = records
        self.done = asyncio.Event()
        self.begun: tuple[float, float] = (0.0, 0.0)
        self.batches = 0

    async def assigned(self, partitions: set[TP], _epoch: int) -> Mapping[TP, int]:
        self.begun = time.process_time(), time.perf_counter()
        return dict.fromkeys(partitions, 0)

    async def revoked(self, partitions: set[TP]) -> None:
        pass

    async def lost(self, partitions: set[TP]) -> None:
        pass

    def durable(self, _tp: TP) -> int | None:
        return None

    async def handle(self, batch: PartitionBatch) -> None:
        self.batches += 1
        self.left -= len(batch.records)
        if self.left <= 0:
            self.done.set()

    def gap(self, tp: TP, expected: int, found: int) -> None:
        raise AssertionError((tp, expected, found))

    def stalled(self, partitions: Mapping[TP, float]) -> None:
        pass


async def fill(brokers: str, topic: str, records: int) -> None:
    """Whole batches: `send` alone would take longer than all that is measured."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=brokers, max_batch_size=200_000)
    await producer.start()
    body = b'{"asset":"pump-00001","class":"pump","t":1772323200000,"speed":1.7,"pressure":51.2}'
    body = body.ljust(SIZE)
    sent = 0
    while sent < records:
        batch = producer.create_batch()
        while sent < records and batch.append(key=None, value=body, timestamp=None):
            sent += 1
        batch.close()
        await (await producer.send_batch(batch, topic, partition=sent % PARTITIONS))
    await producer.stop()


async def bare(brokers: str, topic: str, records: int) -> tuple[float, float]:
    """CPU and wall seconds of the client alone."""
    client = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
    await client.start()
    client.assign([TopicPartition(topic, p) for p in range(PARTITIONS)])
    await client.seek_to_beginning()
    cpu, wall, left = time.process_time(), time.perf_counter(), records
    while left > 0:
        for found in (await client.getmany(timeout_ms=1000)).values():
            left -= len(found)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    await client.stop()
    return spent


async def ours(brokers: str, topic: str, records: int) -> tuple[float, float]:
    """CPU and wall seconds from the assignment to the last batch."""
    count = Count(records)
    setup = Setup(f"bench-{secrets.token_hex(4)}", {"bootstrap_servers": [brokers]}, (topic,))
    spent = (0.0, 0.0)

    def make() -> App:
        return app_of(setup, count, {topic: count.handle}, count)

    stopping = asyncio.Event()

    async def ends() -> None:
        nonlocal spent
        await count.done.wait()
        cpu, wall = count.begun
        spent = time.process_time() - cpu, time.perf_counter() - wall
        stopping.set()

    await asyncio.gather(run(make, stopping), ends())
    return spent


Way = Callable[[str, str, int], Coroutine[Any, Any, tuple[float, float]]]


@contextlib.contextmanager
def brokers_of(given: str | None) -> Iterator[str]:
    """Those that were given, or a broker for as long as it is needed."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder) / "data") as one:
        yield one.bootstrap


def main() -> None:
    """Prints a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--brokers")
    given = parser.parse_args()
    topic = f"bench-{secrets.token_hex(4)}"
    ways: dict[str, Way] = {"aiokafka getmany, bare": bare, "transport, agent that counts": ours}
    with brokers_of(given.brokers) as brokers:
        asyncio.run(fill(brokers, topic, given.records))
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, way in ways.items():
                spent[name].append(asyncio.run(way(brokers, topic, given.records)))
    base = min(cpu for cpu, _ in spent["aiokafka getmany, bare"])
    for name, found in spent.items():
        cpu, wall = min(cpu for cpu, _ in found), min(wall for _, wall in found)
        print(f"{name:32} {cpu / given.records * 1e6:6.2f} µs CPU a message, "
              f"{given.records / wall:9,.0f} messages/s, {cpu / base:4.2f} × bare")


if __name__ == "__main__":
    main()
