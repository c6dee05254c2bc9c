"""`python -m tests.bench --fleet`: workers on a real broker, beside other ways to read Kafka.

A worker runs the 20 rules of the other benches for 10,000 assets, its state on Kafka each second,
its ledger chained. CPU is that of the worker's process; the broker's is not counted, but runs on
the same machine, with what writes the readings and reads the alerts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from streams.run.transport_setup import Setup
from streams.warm import warm_up
from tests.bench import plant
from tests.bench.figures import Figure
from tests.bench.fleet_kit import (
    PARTITIONS,
    Load,
    Watch,
    Worker,
    calm,
    edition,
    probes,
    stormy,
    until,
)
from tests.kafka.broker import Broker, cluster
from tests.kafka.fleet import ROOT, Fleet

SESSION_S = Setup("", {}, ()).session_s
STORM_S = 6             # of readings with alerts
LIVE_S = 6.0
PROBES_S = 100          # alerts a second, of live load
SPARSE_S = 20           # the same while workers come and go: a partition has one each 0.2 s
TAKEOVER_RATE = 2_000   # readings a second while workers come and go
MOST_RATE = 20_000      # readings a second of live load, which is written by Python, too
MANY = 100_000          # assets of which the state is loaded


@dataclass
class Deployment:
    """One with rules, and who loads and watches it."""

    fleet: Fleet
    load: Load
    watch: Watch


@contextlib.asynccontextmanager
async def deployment(broker: Broker, name: str) -> AsyncIterator[Deployment]:
    """Without workers."""
    with tempfile.TemporaryDirectory() as folder, Fleet(
        broker, f"bench-{name}-{time.time_ns()}", Path(folder), PARTITIONS
    ) as fleet:
        fleet.activate(edition())
        async with Load(fleet) as load, Watch(fleet) as watch:
            yield Deployment(fleet, load, watch)


@dataclass(frozen=True)
class Spent:
    """What a way took for its readings."""

    readings: int
    cpu_s: float
    wall_s: float

    @property
    def cpu_rate(self) -> float:
        """Readings a second of CPU."""
        return self.readings / self.cpu_s

    @property
    def rate(self) -> float:
        """Readings a second."""
        return self.readings / self.wall_s


async def peer(one: Deployment, way: str, readings: int) -> Spent:
    """Another way to read the same topic."""
    told = sys.executable, "-m", "tests.bench.fleet_peers", way
    process = await asyncio.create_subprocess_exec(
        *told, one.fleet.kafka.brokers[0], one.fleet.name("readings"), str(readings), cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-3000:]
    found = json.loads(out)
    return Spent(readings, found["cpu_s"], found["wall_s"])


def now_ms() -> int:
    return int(time.time() * 1000)


async def heard(one: Deployment, start: int, assets: int = plant.ASSETS) -> None:
    """A worker hears of all assets, and ends: an asset's first reading costs more than others."""
    await one.load.write(calm(range(1), start, assets))
    worker = Worker.start(one.fleet)
    await one.watch.seen(probes("M0-", start))
    worker.stop()


async def work_off(
    one: Deployment, readings: int, workers: int
) -> tuple[list[Worker], Spent]:
    """So many workers and what is in the topic already; from when all have their partitions."""
    start, seconds = now_ms(), readings // plant.ASSETS
    await heard(one, start)
    ends = probes("END", start + (seconds + 1) * 1000)
    await one.load.write(calm(range(1, seconds + 1), start))
    await one.load.write(ends)
    running = [Worker.start(one.fleet) for _ in range(workers)]
    for worker in running:
        await worker.holds(PARTITIONS // workers)
    begun, cpu = time.time(), sum(worker.cpu() for worker in running)
    done = await one.watch.seen(ends)
    cpu = sum(worker.cpu() for worker in running) - cpu
    count = one.watch.progress(done) - one.watch.progress(begun)
    return running, Spent(count, cpu, done - begun)


async def throughput(one: Deployment, readings: int) -> tuple[Worker, Spent, list[Figure]]:
    """A worker beside other ways, on the same readings."""
    [worker], ours = await work_off(one, readings, 1)
    memory = worker.memory()
    bare = await peer(one, "bare", readings)
    stock = await peer(one, "faust", readings // 15)
    table = await peer(one, "table", readings // 60)
    before, cpu = len(one.watch.alerts), worker.cpu()
    start = now_ms() + (readings // plant.ASSETS + 2) * 1000      # after all before
    ends = probes("STORM", start + STORM_S * 1000)
    count = await one.load.write([*stormy(STORM_S, start), *ends])
    await one.watch.seen(ends)
    cpu, alerts = worker.cpu() - cpu, len(one.watch.alerts) - before
    each = max(0.0, cpu - count / ours.cpu_rate) / alerts
    return worker, ours, [
        Figure("one worker, 20 rules, 10,000 assets", ours.cpu_rate, "readings/CPU s",
               "a stock Faust agent with one rule by hand", stock.cpu_rate, ">= 25 x"),
        Figure("  the same", ours.cpu_rate, "readings/CPU s",
               "the same with its state in a Faust Table", table.cpu_rate),
        Figure("  the same", ours.cpu_rate, "readings/CPU s",
               "aiokafka's getmany + msgspec decode alone", bare.cpu_rate, ">= 0.6 x"),
        Figure("  a reading", 1e6 / ours.cpu_rate, "µs CPU",
               "aiokafka's getmany + msgspec decode alone", 1e6 / bare.cpu_rate),
        Figure("  by the clock", ours.rate, "readings/s",
               "a stock Faust agent with one rule by hand", stock.rate),
        Figure("  an alert more (ledger, list, chain)", each * 1e6, "µs CPU"),
        Figure("  most memory", memory, "MiB"),
    ]  # fmt: skip


async def latency(one: Deployment, rate: float) -> list[Figure]:
    """From `send` of a reading to its alert at a plain consumer."""
    async with one.load.live("Q", rate, PROBES_S) as sent:
        await asyncio.sleep(LIVE_S)
    await until(lambda: sent.keys() <= one.watch.first.keys(), "alerts did not come")
    taken = [(one.watch.first[asset] - at) * 1000 for asset, at in sent.items()]
    taken = taken[2 * PROBES_S :]       # without the first seconds
    return [Figure(f"reading to alert at {rate:,.0f} readings/s, {name}",
                   float(np.percentile(taken, share)), "ms")
            for name, share in (("p50", 50), ("p99", 99))]  # fmt: skip


async def takeover(one: Deployment, worker: Worker) -> list[Figure]:
    """A worker ends and another goes on: until the first alert of each partition that it had."""
    figures, watch = list[Figure](), one.watch
    everything = set(range(PARTITIONS))
    ends = {signal.SIGKILL: f"kill -9 to its partitions' alerts (session {SESSION_S:g} s)",
            signal.SIGTERM: "SIGTERM to its partitions' alerts"}
    async with one.load.live("R", TAKEOVER_RATE, SPARSE_S):
        for number, what in ends.items():
            before = watch.epochs()
            after = Worker.start(one.fleet)
            for each in (worker, after):
                await each.holds(PARTITIONS // 2)
            await watch.goes_on(everything, before)
            lost, before, told = set(worker.held()), watch.epochs(), time.time()
            worker.process.send_signal(number)
            figures.append(Figure(what, await watch.goes_on(lost, before) - told, "s"))
            worker.process.wait()
            worker = after
    worker.stop()
    return figures


async def recovery(one: Deployment) -> list[Figure]:
    """Loading the state of many assets."""
    await heard(one, now_ms(), MANY)
    worker = Worker.start(one.fleet)
    whole = await worker.holds(PARTITIONS)
    return [
        Figure(f"state of {MANY:,} assets: loaded in", worker.taken_s(), "s"),
        Figure("  from the start of the process", whole, "s"),
        Figure("  most memory", worker.memory(), "MiB"),
    ]


async def measured(broker: Broker, readings: int) -> list[Figure]:
    """All of it, one after the other."""
    async with deployment(broker, "one") as one:
        worker, ours, figures = await throughput(one, readings)
        figures += await latency(one, min(MOST_RATE, ours.rate / 2))
        figures += await takeover(one, worker)
    async with deployment(broker, "two") as one:
        _, two = await work_off(one, readings, 2)
        figures.append(Figure(f"two workers, {os.cpu_count()} cores with the broker's", two.rate,
                              "readings/s", "one worker", ours.rate))
    async with deployment(broker, "many") as one:
        figures += await recovery(one)
    return figures


def measure(readings: int) -> list[Figure]:
    """With a broker of its own. `readings`: of a backlog, a multiple of the assets."""
    warm_up()       # compiles once, before any process waits for it
    print("aiokafka {}, faust-streaming {}, msgspec {}; {} partitions, lz4".format(
        *map(version, ("aiokafka", "faust-streaming", "msgspec")), PARTITIONS), file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder) / "data") as broker:
        return asyncio.run(measured(broker, readings))
