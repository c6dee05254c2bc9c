"""Drives counting workers (see `flow_kit`) under live load, and says what is true in the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from tests.kafka.flow_kit import PARTITIONS, Plan, State, newest, read_all

ROOT = Path(__file__).parents[2]
KEYS = 200
LOOK_S = 0.05


class Worker:
    """A process, and what it has said."""

    def __init__(self, plan: Plan, folder: Path, number: int) -> None:
        self.log = folder / f"worker-{number}.jsonl"
        self.errors = folder / f"worker-{number}.stderr"
        told = json.dumps(asdict(replace(plan, log=str(self.log))))
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.kafka.flow_kit", told], cwd=ROOT, stderr=errors)

    def said(self, *whats: str) -> list[dict[str, Any]]:
        """Its lines, of these kinds."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").split("\n")[:-1]
        return [line for line in map(json.loads, lines) if line["what"] in whats]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut."""
        self.process.kill()
        self.process.wait()

    async def stop(self) -> float:
        """In order; seconds it took."""
        begun = time.monotonic()
        self.send(signal.SIGTERM)
        await asyncio.to_thread(self.process.wait, 20)
        assert self.process.returncode == 0, self.errors.read_text(encoding="utf-8")[-3000:]
        return time.monotonic() - begun


class Flow:
    """Topics, a load and workers."""

    def __init__(self, brokers: str, prefix: str, folder: Path, seed: int) -> None:
        self.plan = Plan(brokers, prefix, "")
        self.chance = random.Random(seed)
        self.workers: list[Worker] = []
        self.committed: list[tuple[float, dict[tuple[str, int], int]]] = []
        self._folder = folder
        self._producer = AIOKafkaProducer(
            bootstrap_servers=brokers, acks="all", enable_idempotence=True, linger_ms=5)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
        self._sent = 0

    async def begin(self) -> None:
        await self._producer.start()
        await self._admin.start()
        compact = {"cleanup.policy": "compact"}
        await self._admin.create_topics([
            *(NewTopic(topic, PARTITIONS, 1) for topic in self.plan.topics),
            NewTopic(self.plan.snapshots, PARTITIONS, 1, topic_configs=compact),
        ])

    async def end(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()
        await self._producer.stop()
        await self._admin.close()

    def start(self, **given: float) -> Worker:
        """`given`: fields of the plan."""
        worker = Worker(replace(self.plan, **given), self._folder, len(self.workers) + 1)
        self.workers.append(worker)
        return worker

    async def send(self, count: int) -> None:
        """One in ten is a command."""
        readings, commands = self.plan.topics
        waiting = []
        for _ in range(count):
            self._sent += 1
            key = b"key-%d" % self.chance.randrange(KEYS)
            topic = readings if self._sent % 10 else commands
            at = zlib.crc32(key) % PARTITIONS
            waiting.append(await self._producer.send(topic, b"%d" % self._sent, key, at))
        await asyncio.gather(*waiting)

    @contextlib.asynccontextmanager
    async def load(self, rate: int) -> AsyncIterator[None]:
        """So many records a second, and a look at what is committed each second."""
        async def sends() -> None:
            begun, sent = time.monotonic(), 0
            while True:
                due = int((time.monotonic() - begun) * rate) - sent
                await self.send(due)
                sent += due
                await asyncio.sleep(LOOK_S)

        async def looks() -> None:
            while True:
                with contextlib.suppress(KafkaError):   # a group that is not known yet
                    await self.look()
                await asyncio.sleep(1.0)

        tasks = [asyncio.ensure_future(sends()), asyncio.ensure_future(looks())]
        try:
            yield
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Notes what is committed now."""
        found = await self._admin.list_consumer_group_offsets(self.plan.group)
        self.committed.append((time.time(), {tuple(tp): m.offset for tp, m in found.items()}))

    async def until(self, true: Callable[[], object], timeout_s: float = 30.0) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while not true():  # noqa: ASYNC110 — other processes make it true
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise AssertionError(f"not within {timeout_s} s\n{self.tail()}") from None

    def tail(self) -> str:
        """The end of what the workers said."""
        parts = []
        for worker in self.workers[-4:]:
            lines = worker.log.read_text(encoding="utf-8").splitlines()[-6:] if (
                worker.log.exists()) else []
            parts += [worker.log.name, *lines, *worker.errors.read_text(
                encoding="utf-8", errors="replace").splitlines()[-8:]]
        return "\n".join(parts)

    async def working(self, worker: Worker, batches: int = 1, timeout_s: float = 30.0) -> None:
        """Until this worker has handled so many batches more."""
        before = len(worker.said("batch"))
        await self.until(lambda: len(worker.said("batch")) >= before + batches, timeout_s)

    async def settled(self, timeout_s: float = 40.0) -> dict[int, State]:
        """The states, once they stand at the end of the topics."""
        everything = list(range(PARTITIONS))
        ends = {}
        for topic in self.plan.topics:
            for partition, records in (await self.topic(topic)).items():
                ends[topic, partition] = records[-1].offset + 1 if records else 0
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    found = await read_all(self.plan.brokers, self.plan.snapshots, everything)
                    states = {p: newest(records) for p, records in found.items()}
                    if all(states[p].next.get(topic, 0) == end for (topic, p), end in
                           ends.items()):
                        return states
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise AssertionError(f"not settled\n{ends}\n{self.tail()}") from None

    async def topic(self, topic: str) -> dict[int, list[Any]]:
        return await read_all(self.plan.brokers, topic, list(range(PARTITIONS)))

    async def verify(self) -> dict[str, int]:
        """Every count is exact, no record was passed over, nothing was committed that no state
        held yet. Some figures.
        """
        states = await self.settled()
        records = wrong = 0
        for topic in self.plan.topics:
            for partition, found in (await self.topic(topic)).items():
                records += len(found)
                for record in found:
                    cell = states[partition].counts.get(record.key.decode(), [0, 0])
                    cell[0] -= 1
                    cell[1] -= int(record.value)
        for state in states.values():
            wrong += sum(cell != [0, 0] for cell in state.counts.values())
        assert wrong == 0, f"{wrong} of {KEYS} keys counted wrongly"
        for worker in self.workers:
            assert worker.said("gap") == []
            assert all(batch["skipped"] == 0 for batch in worker.said("batch"))
        await self.look()
        snapshots = await self.topic(self.plan.snapshots)
        for at, committed in self.committed:
            for (topic, partition), offset in committed.items():
                durable = max((json.loads(record.value)["next"].get(topic, 0)
                               for record in snapshots[partition]
                               if record.timestamp / 1000 <= at + 0.001), default=0)
                assert offset <= durable, f"{topic}/{partition}: {offset} committed, not durable"
        epochs = {batch["epoch"] for worker in self.workers for batch in worker.said("batch")}
        return {"records": records, "workers": len(self.workers), "epochs": len(epochs),
                "batches": sum(len(w.said("batch")) for w in self.workers)}


@contextlib.asynccontextmanager
async def flow(brokers: str, prefix: str, folder: Path, seed: int) -> AsyncIterator[Flow]:
    """A flow that is cleared away."""
    one = Flow(brokers, prefix, folder, seed)
    await one.begin()
    try:
        yield one
    finally:
        await one.end()
