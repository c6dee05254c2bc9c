"""What the bench of a fleet needs: load, a watch on alerts, and workers seen from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.duty import Edition
from streams.run.worker import placed
from tests.bench import plant
from tests.kafka.fleet import Fleet

PARTITIONS = 4
BATCH = 200_000         # bytes, before compression
CPU_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
LOOK_S = 0.01
WAIT_S = 120.0
LINGER_S = 0.005        # of live load
PROBES = 10_000         # assets of it that raise an alarm, at most

of = placed(PARTITIONS)


class Reading(NamedTuple):
    """A message, and the asset that it is of."""

    asset: str
    body: bytes


def edition() -> Edition:
    """The pack of the other benches; a backlog is written faster than its time goes by."""
    text = plant.text(20).replace(
        "silent_after: 10 min", "silent_after: 10 min\n    max_ahead: 1 h")
    return Edition.of([("pack.yaml", text.encode())])


def calm(seconds: range, start: int, assets: int = plant.ASSETS) -> Iterator[Reading]:
    """A reading an asset and second after `start` (ms), that raise no alarm; and one in each
    partition and second that does: by them is seen how far workers are."""
    pick = random.Random(plant.SEED)
    said = [f'"speed":{pick.gauss(1.0, 0.2):.2f},"pressure":{pick.gauss(45, 1):.2f}'
            for _ in range(997)]  # fmt: skip
    for second in seconds:
        for i in range(assets):
            t = start + second * 1000 + i % 997
            more = f',"temp":{60 + i % 20}.5' if second % 10 == i % 10 else ""
            values = said[(i * 7 + second) % 997] + more
            yield Reading(
                f"P{i:06d}",
                f'{{"asset":"P{i:06d}","class":"pump","t":{t},"values":{{{values}}}}}'.encode())
        yield from probes(f"M{second}-", start + second * 1000 + 999)


def stormy(seconds: int, start: int) -> Iterator[Reading]:
    """The readings of the other benches, of which one in 40 raises or ends an alarm."""
    for line in plant.lines(seconds, start=start):
        yield Reading(line[10:17].decode(), line)


def probes(name: str, t: int) -> list[Reading]:
    """In each partition a reading that raises an alarm at once, of an asset of such a name."""
    return [probe(name, partition, t) for partition in range(PARTITIONS)]


def probe(name: str, partition: int, t: int) -> Reading:
    """As `probes` has it."""
    return _loud(next(one for i in range(1000) if of(one := f"{name}{i}") == partition), t)


def _loud(asset: str, t: int) -> Reading:
    """By the rule `max(pressure - mop, 0 bar) > 5 bar or temp > 150 °C`."""
    body = f'{{"asset":"{asset}","class":"pump","t":{t},"values":{{"temp":160.0}}}}'
    return Reading(asset, body.encode())


def _quiet(asset: str, t: int) -> Reading:
    body = f'{{"asset":"{asset}","class":"pump","t":{t},"values":{{"speed":1.02,"pressure":45.1}}}}'
    return Reading(asset, body.encode())


def _names(kind: str) -> list[str]:
    """Assets of live load; the last are those that raise an alarm, each once."""
    return [f"{kind}{i:06d}" for i in range(plant.ASSETS + PROBES)]


async def until(true: Callable[[], object], why: str) -> None:
    """Raises TimeoutError."""
    end = time.monotonic() + WAIT_S
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(why)
        await asyncio.sleep(LOOK_S)


class Load:
    """Writes readings. Use as a context."""

    def __init__(self, fleet: Fleet) -> None:
        self._topic = fleet.name("readings")
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(fleet.kafka.brokers), compression_type="lz4",
            max_batch_size=BATCH)

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def write(self, readings: Iterable[Reading]) -> int:
        """As fast as may be; how many."""
        batches: dict[int, Any] = {}
        count = 0
        for asset, body in readings:
            partition, key, count = of(asset), asset.encode(), count + 1
            batch = batches.get(partition)
            if batch is None or batch.append(key=key, value=body, timestamp=None) is None:
                if batch is not None:
                    await self._send(batch, partition)
                batch = batches[partition] = self._producer.create_batch()
                batch.append(key=key, value=body, timestamp=None)
        for partition, batch in batches.items():
            await self._send(batch, partition)
        await self._producer.flush()
        return count

    async def _send(self, batch: Any, partition: int) -> None:  # noqa: ANN401 — aiokafka has no types
        batch.close()
        await self._producer.send_batch(batch, self._topic, partition=partition)

    @contextlib.asynccontextmanager
    async def live(self, kind: str, rate: float, probes_s: int) -> AsyncIterator[dict[str, float]]:
        """Meanwhile so many readings a second, of which `probes_s` raise an alarm at once: when
        each of those, by asset, was given to the client (s since 1970). All are of assets that
        have been heard of; `kind` is the letter that their names begin with.
        """
        sent, ending, names = dict[str, float](), asyncio.Event(), _names(kind)
        t = int(time.time() * 1000)
        await self.write(_quiet(asset, t) for asset in names)
        loading = asyncio.ensure_future(self._live(names, rate, probes_s, sent, ending))
        try:
            yield sent
        finally:
            ending.set()
            await loading

    async def _live(
        self, names: list[str], rate: float, probes_s: int, sent: dict[str, float],
        ending: asyncio.Event,
    ) -> None:
        pick = random.Random(plant.SEED)
        begun, done, probed = time.monotonic(), 0, 0
        while not ending.is_set():
            passed, t = time.monotonic() - begun, int(time.time() * 1000)
            portion = [_quiet(names[pick.randrange(plant.ASSETS)], t)
                       for _ in range(int(passed * rate) - done)]
            for number in range(probed, int(passed * probes_s)):
                asset = names[plant.ASSETS + number]
                portion.append(_loud(asset, t))
                sent[asset] = time.time()
            done, probed = int(passed * rate), int(passed * probes_s)
            await self.write(portion)
            await asyncio.sleep(LINGER_S)


@dataclass(frozen=True, slots=True)
class Alert:
    """As a plain consumer has it. `seen` in s since 1970; `readings`: their next offset by then."""

    partition: int
    epoch: int
    asset: str
    seen: float
    readings: int


@dataclass
class Watch:
    """Reads the alerts as they come. Use as a context."""

    fleet: Fleet
    alerts: list[Alert] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)       # asset -> when its first was seen

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        client = AIOKafkaConsumer(
            bootstrap_servers=list(self.fleet.kafka.brokers), enable_auto_commit=False,
            fetch_max_wait_ms=20)
        await client.start()
        try:
            topic = self.fleet.name("alerts")
            client.assign([TopicPartition(topic, p) for p in range(PARTITIONS)])
            await client.seek_to_beginning()
            while True:
                found = await client.getmany(timeout_ms=200)
                now = time.time()
                for record in (one for records in found.values() for one in records):
                    self._take(record, now)
        finally:
            await client.stop()

    def _take(self, record: Any, now: float) -> None:  # noqa: ANN401 — as above
        body = json.loads(record.value)
        if body["type"] != "alert":
            return
        epoch = next(int(value) for name, value in record.headers if name == "epoch")
        asset = body["asset"]
        self.alerts.append(
            Alert(record.partition, epoch, asset, now, body["position"]["readings"]))
        self.first.setdefault(asset, now)

    async def seen(self, readings: Iterable[Reading]) -> float:
        """Waits for an alert of each of these: when the last came."""
        assets = [one.asset for one in readings]
        await until(lambda: all(one in self.first for one in assets), "alerts did not come")
        return max(self.first[one] for one in assets)

    def epochs(self) -> dict[int, int]:
        """Of the newest alert of each partition."""
        return {one.partition: one.epoch for one in self.alerts}

    async def goes_on(self, partitions: set[int], before: dict[int, int]) -> float:
        """Waits for alerts of later owners: when the last of these partitions had its first."""
        seen: dict[int, float] = {}

        def all_do() -> bool:
            for one in self.alerts:
                if one.partition in partitions and one.epoch > before.get(one.partition, 0):
                    seen.setdefault(one.partition, one.seen)
            return seen.keys() == partitions

        await until(all_do, "no alerts after a takeover")
        return max(seen.values())

    def progress(self, at: float) -> int:
        """Readings worked off by then, of all partitions."""
        newest = {one.partition: one.readings for one in self.alerts if one.seen <= at}
        return sum(newest.values())


@dataclass(frozen=True)
class Worker:
    """A worker's process, from outside."""

    process: subprocess.Popen[bytes]
    log: Path
    begun: float            # s since 1970

    @classmethod
    def start(cls, fleet: Fleet) -> Worker:
        begun = time.time()
        process = fleet.start()
        return cls(process, fleet.folder / f"worker-{len(fleet.workers) - 1}.log", begun)

    def held(self) -> list[int]:
        """The partitions that it took over last."""
        found = self._taken()
        return [int(one) for one in found[0].split(",")] if found else []

    def taken_s(self) -> float:
        """How long it took to take them over, as it says."""
        return float(self._taken()[1])

    def _taken(self) -> tuple[str, ...]:
        said = self.log.read_text(encoding="utf-8")
        assert self.process.poll() is None, said[-3000:]
        return next(reversed(re.findall(
            r"partitions \[([\d, ]+)\] taken over in ([\d.]+)", said)), ())

    async def holds(self, count: int) -> float:
        """Waits until it holds so many partitions: seconds since it was started."""
        await until(lambda: len(self.held()) == count, f"{self.log} holds other partitions")
        return time.time() - self.begun

    def cpu(self) -> float:
        """CPU seconds so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * CPU_TICK_S

    def memory(self) -> float:
        """The most that it had so far, in MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.findall(r"VmHWM:\s+(\d+)", text)[0]) / 1024

    def stop(self) -> None:
        """In order."""
        self.process.terminate()
        self.process.wait(WAIT_S)
