"""A fleet of real workers on a real Kafka, under live load, to disturb."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import re
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from connectors.kafka import Admin
from streams.duty import Edition
from streams.messages import Living, parse
from streams.run.worker import placed
from streams.settings import Kafka
from streams.topics import plan
from tests.chaos.fleet_child import begin
from tests.chaos.fleet_load import Pumps, pack
from tests.kafka.fleet import pack_value

PARTITIONS = 4
SESSION_S = 2.5
LOOK_S = 0.05
PATIENCE_S = 150.0       # for a fleet to come to what is waited for
SEND_S = 120.0          # a producer keeps what it has while the brokers are away
_TAKEN = re.compile(r"partitions \[([0-9, ]+)\] taken over")


def now_ms() -> int:
    """By this machine's clock, which is the brokers', too."""
    return int(time.time() * 1000)


class Process:
    """A worker: `tocsin worker`."""

    def __init__(self, settings: Path, folder: Path, name: str) -> None:
        self.name, self.log = name, folder / f"{name}.log"
        self.stopped = False            # by SIGSTOP
        self.process = begin(settings, self.log, name)

    def text(self) -> str:
        there = self.log.exists()
        return self.log.read_text(encoding="utf-8", errors="replace") if there else ""

    def takeovers(self) -> int:
        """How often it was given partitions."""
        return len(_TAKEN.findall(self.text()))

    def alive(self) -> bool:
        return self.process.is_alive()

    def send(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """As a power cut; also of one that is stopped."""
        self.process.kill()
        self.process.join()


@dataclass
class Fault:
    """What was done, and when it was over (s since 1970; None: not yet)."""

    what: str
    begun: float
    ended: float | None = None


@dataclass
class Fleet:
    """Topics, rules, a load, workers, and what they say. Use `fleet`."""

    kafka: Kafka
    folder: Path
    chance: random.Random
    assets: int
    rate: float                     # readings a second
    workers: list[Process] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    died: list[str] = field(default_factory=list)       # workers that ended by themselves, and why
    alerts: dict[int, list[Any]] = field(default_factory=lambda: {
        p: [] for p in range(PARTITIONS)})              # the topic's records
    counting: Callable[[str], None] = lambda _: None    # is told what is done
    _living: Living = field(default_factory=Living)
    fenced: int = 0
    heard: list[dict[str, Any]] = field(default_factory=list)   # contents of records that count
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _made: int = 0

    # Begin and end ----------------------------------------------------------------------------

    def topic(self, name: str) -> str:
        return f"{self.kafka.prefix}.{name}"

    async def begin(self) -> None:
        """Topics, rules and the settings of workers."""
        with Admin(self.kafka.client()) as admin:
            for one in plan(self.kafka.prefix, self.kafka.partitions, self.kafka.replication):
                admin.create(one.name, one.partitions, one.replication, one.config)
        await asyncio.to_thread(self.folder.mkdir, parents=True, exist_ok=True)
        self.settings = self.folder / "tocsin.yaml"
        self.settings.write_text(json.dumps({
            "kafka": {"brokers": list(self.kafka.brokers), "prefix": self.kafka.prefix,
                      "partitions": PARTITIONS, "replication": self.kafka.replication},
            "worker": {"session_s": SESSION_S, "heartbeat_s": 0.4}}))
        self.of = placed(PARTITIONS)
        self.producer = AIOKafkaProducer(
            **self.kafka.client(), acks="all", enable_idempotence=True, linger_ms=5,
            request_timeout_ms=int(SEND_S * 1000))
        await self.producer.start()
        self.consumer = AIOKafkaConsumer(
            **self.kafka.client(), enable_auto_commit=False, auto_offset_reset="earliest",
            fetch_max_wait_ms=50)
        await self.consumer.start()
        self.consumer.assign([TopicPartition(self.topic("alerts"), p) for p in range(PARTITIONS)])
        self._tasks = [asyncio.ensure_future(self._hear()), asyncio.ensure_future(self._nurse())]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self.workers:
            if worker.alive():
                worker.kill()
        await self.producer.stop()
        await self.consumer.stop()

    def check(self) -> None:
        """Raises what a task has ended by."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def activate(self, text: bytes, request: str) -> Edition:
        """Makes rules the active ones."""
        edition = Edition.of([("pumps.yaml", text)])
        active = {"pack": edition.name, "by": "ana", "reason": "", "request": request}
        for key, value in ((f"pack/{edition.name}", pack_value(edition)),
                           ("active", json.dumps(active).encode())):
            await self.producer.send_and_wait(self.topic("rules"), value, key.encode(), 0)
        return edition

    async def order(self, body: dict[str, Any]) -> None:
        """An operator's order, on its way."""
        await self.producer.send(self.topic("commands"), json.dumps(body).encode(),
                                 body["asset"].encode(), self.of(body["asset"]))

    # Load -------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """The pumps send; at the end all that they said is on the topic."""
        self.pumps = Pumps(random.Random(self.chance.random()), self.assets, self.rate, now_ms())
        queues: list[deque[Any]] = [deque() for _ in range(PARTITIONS)]
        stopping = asyncio.Event()

        async def makes() -> None:
            while not stopping.is_set():
                for one in self.pumps.until(now_ms()):
                    queues[self.of(one.asset)].append(one)
                await asyncio.sleep(0.01)

        async def sends(partition: int) -> None:
            """A partition waits for its own broker only."""
            queue, last = queues[partition], None
            while queue or not stopping.is_set():
                while queue:
                    one = queue.popleft()
                    last = await self.producer.send(
                        self.topic("readings"), one.value, one.asset.encode(), partition)
                await asyncio.sleep(0.01)
            if last is not None:
                await last

        tasks = [asyncio.ensure_future(x) for x in (makes(), *map(sends, range(PARTITIONS)))]
        try:
            yield
            stopping.set()
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    # What the workers say -----------------------------------------------------------------------

    async def _hear(self) -> None:
        """Reads the alerts as any consumer does."""
        while True:
            try:
                found = await self.consumer.getmany(timeout_ms=200)
            except KafkaError:
                await asyncio.sleep(LOOK_S)
                continue
            for tp, records in found.items():
                self.alerts[tp.partition] += records
                for record in records:
                    said = parse(record.headers)
                    if not self._living.counts(tp.partition, said.epoch or 0):
                        self.fenced += 1
                    elif said.kind != "owner":
                        self.heard.append(json.loads(record.value))

    async def _nurse(self) -> None:
        """Starts workers anew that ended by themselves, as a supervisor does."""
        while True:
            await asyncio.sleep(0.2)
            for worker in [one for one in self.workers if not one.alive()]:
                said = (worker.text().strip().splitlines() or ["nothing"])[-1]
                self.died.append(f"{worker.name} ended with {worker.process.exitcode}: {said}")
                self.counting(self.died[-1])
                self.workers.remove(worker)
                self.start()

    def start(self) -> Process:
        """Another worker."""
        self._made += 1
        worker = Process(self.settings, self.folder, f"worker-{self._made}")
        self.workers.append(worker)
        return worker

    async def until(self, true: Callable[[], object], what: str) -> None:
        """Raises AssertionError where it takes too long."""
        begun = time.monotonic()
        while not true():
            self.check()
            if time.monotonic() - begun > PATIENCE_S:
                raise AssertionError(f"{what}: not within {PATIENCE_S:g} s\n{self.tail()}")
            await asyncio.sleep(LOOK_S)

    async def working(self) -> None:
        """Until every worker has been given partitions, and all partitions speak."""
        await self.until(
            lambda: all(one.takeovers() for one in self.workers if not one.stopped),
            "every worker has partitions")
        counts = {p: len(records) for p, records in self.alerts.items()}
        await self.until(
            lambda: all(len(self.alerts[p]) > counts[p] for p in counts), "all partitions speak")

    def tail(self) -> str:
        """The end of what the workers said."""
        return "\n".join(f"--- {one.name}\n" + "\n".join(one.text().splitlines()[-12:])
                         for one in self.workers)

    # Disturbances -----------------------------------------------------------------------------

    def _fault(self, what: str) -> Fault:
        self.counting(what)
        self.faults.append(Fault(what, time.time()))
        return self.faults[-1]

    def _someone(self) -> Process:
        one = self.chance.choice([one for one in self.workers if one.takeovers()])
        self.workers.remove(one)
        return one

    async def kill(self) -> None:
        """Kill -9, and another begins."""
        victim = self._someone()
        fault = self._fault(f"kill {victim.name}")
        victim.kill()
        fault.ended = time.time()
        self.start()

    async def join(self) -> None:
        """One more."""
        fault = self._fault("join")
        self.start()
        fault.ended = time.time()

    async def leave(self) -> None:
        """One less, in order."""
        victim = self._someone()
        fault = self._fault(f"leave {victim.name}")
        victim.send(signal.SIGTERM)
        await asyncio.to_thread(victim.process.join, PATIENCE_S)
        fault.ended = time.time()
        assert victim.process.exitcode == 0, victim.text()[-3000:]

    async def zombie(self, seconds: float) -> None:
        """Stands still for longer than its session, and goes on."""
        victim = self._someone()
        self.workers.append(victim)
        victim.stopped = True
        fault = self._fault(f"stop {victim.name} for {seconds:g} s")
        victim.send(signal.SIGSTOP)
        fault.ended = time.time()
        await asyncio.sleep(seconds)
        fault = self._fault(f"wake {victim.name}")
        victim.send(signal.SIGCONT)
        fault.ended, victim.stopped = time.time(), False

    async def without(self, down: Callable[[], None], up: Callable[[], None], what: str,
                      seconds: float) -> None:
        """Without a broker, or all, for a while."""
        fault = self._fault(f"{what} for {seconds:g} s")
        await asyncio.to_thread(down)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(up)
        fault.ended = time.time()
        self.counting(f"{what}: is back")


@contextlib.asynccontextmanager
async def fleet(kafka: Kafka, folder: Path, seed: int, *, assets: int, rate: float,
                counting: Callable[[str], None] = lambda _: None) -> AsyncIterator[Fleet]:
    """A fleet with two workers that have begun; gone at the end."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)    # brokers are away: it is known
    one = Fleet(kafka, folder, random.Random(seed), assets, rate, counting=counting)
    await one.begin()
    try:
        await one.activate(pack(), "first")
        one.start()
        one.start()
        yield one
    finally:
        await one.end()


def environ_seed() -> int:
    """TOCSIN_SEED, or any."""
    return int(os.environ.get("TOCSIN_SEED") or random.randrange(1 << 31))
