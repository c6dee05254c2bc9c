"""Workers on a real broker, killed, stopped, joined and paused under live load: every count is
exact in the end. `TOCSIN_ROUNDS` makes the chaos longer, `TOCSIN_SEED` repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from streams.run.fetching import TP, Fetching
from streams.run.transport import app_of, producer
from streams.run.transport_faust import SendError
from streams.run.transport_holding import Holding, HoldingError, Lease
from streams.run.transport_setup import Setup
from tests.kafka.broker import Broker
from tests.kafka.flow_drive import Flow, Worker, flow
from tests.kafka.flow_kit import PARTITIONS, SESSION_S, send_many

ROUNDS = int(os.environ.get("TOCSIN_ROUNDS", "1"))
SEED = int(os.environ.get("TOCSIN_SEED") or random.randrange(1 << 31))
RATE = 4_000


def held(worker: Worker) -> set[TP]:
    """The partitions that it was given last."""
    given = worker.said("assigned", "revoked", "lost")[-1:]
    return {TP(*tp) for line in given for tp in line.get("partitions", [])}


async def all_held(one: Flow, *workers: Worker) -> None:
    """Until these workers hold every partition between them, the same of each topic."""
    whole = {TP(topic, p) for topic in one.plan.topics for p in range(PARTITIONS)}

    def done() -> bool:
        parts = [held(worker) for worker in workers]
        return all(parts) and sum(map(len, parts)) == len(whole) and set().union(*parts) == whole

    await one.until(done)
    readings, commands = one.plan.topics
    for worker in workers:
        assert ({tp.partition for tp in held(worker) if tp.topic == readings}
                == {tp.partition for tp in held(worker) if tp.topic == commands})


@pytest.mark.parametrize("members", range(1, 8))
def test_partitions_that_belong_together_go_to_the_same_member(members: int) -> None:
    """The assignor that the transport asks for, with any number of members and partitions."""
    topics = ("readings", "commands", "rules")
    for count in range(1, 20):
        cluster = SimpleNamespace(partitions_for_topic=lambda _, n=count: set(range(n)))
        wants = {f"member-{n}": RangePartitionAssignor.metadata(topics) for n in range(members)}
        given = RangePartitionAssignor.assign(cluster, wants)
        shares = [dict(share.assignment) for share in given.values()]
        assert all(share["readings"] == share["commands"] == share["rules"] for share in shares)
        sizes = [len(share["readings"]) for share in shares]
        assert sum(sizes) == count
        assert max(sizes) - min(sizes) <= 1


def test_partitions_that_came_apart_are_not_held() -> None:
    apart = {TP("readings", 0), TP("readings", 1), TP("commands", 0)}
    holding = Holding(None, Fetching(None), Lease(1), ("readings", "commands"), 1)  # type: ignore[arg-type]
    with pytest.raises(HoldingError, match=r"given apart.*same number of partitions"):
        asyncio.run(holding.take(apart, 1))


async def chaos(one: Flow, rounds: int) -> None:
    """Kills, joins, leaves, pauses longer than a session, all under load."""
    first, second = one.start(), one.start()
    await all_held(one, first, second)
    for _ in range(rounds):
        await one.working(second)
        first.kill()
        first = one.start()
        await one.working(first)
        third = one.start()
        await all_held(one, first, second, third)
        await one.working(third)
        assert await second.stop() < 4
        await all_held(one, first, third)
        third.send(signal.SIGSTOP)       # a zombie
        await asyncio.sleep(SESSION_S + 1.0)
        await one.working(first)
        third.send(signal.SIGCONT)
        await one.until(partial(third.said, "lost"))
        await one.working(third)
        second = third
    await one.working(first)


def test_whatever_is_done_to_workers_every_count_is_exact(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    print(f"TOCSIN_SEED={SEED}")

    async def play() -> None:
        async with flow(broker.bootstrap, prefix, tmp_path, SEED) as one:
            async with one.load(RATE):
                await chaos(one, ROUNDS)
            print(await one.verify())
            assert not any(worker.said("failed") for worker in one.workers)

    asyncio.run(play())


def test_a_takeover_with_records_in_hand_loses_none(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A fetch across a hand-over moves the client's position after somebody else's seek, when the
    agents are slow, the buffers full and more comes all the time.
    """
    print(f"TOCSIN_SEED={SEED}")

    async def play() -> None:
        async with flow(broker.bootstrap, prefix, tmp_path, SEED) as one:
            await one.send(40_000)
            async with one.load(RATE):
                stays = one.start(slow_s=0.05)
                await one.working(stays)
                for _ in range(2 * ROUNDS):
                    comes = one.start(slow_s=0.05)
                    await one.working(comes)
                    await one.working(stays)
                    if one.chance.random() < 0.5:
                        comes.kill()
                    else:
                        await comes.stop()
                    await one.working(stays, 3)
            await stays.stop()
            one.start()
            print(await one.verify())

    asyncio.run(play())


def test_a_worker_stops_in_time_with_all_durable(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    async def play() -> None:
        async with flow(broker.bootstrap, prefix, tmp_path, SEED) as one:
            async with one.load(RATE):
                worker = one.start(snapshot_s=60.0)
                await one.working(worker, 20)
                assert await worker.stop() < 2
            last = {}
            for batch in worker.said("batch"):
                last[batch["topic"], batch["partition"]] = batch["last"] + 1
            await one.look()
            assert one.committed[-1][1] == last
            one.start()
            await one.verify()

    asyncio.run(play())


def test_a_busy_agent_keeps_its_partitions_and_holds_up_fetching(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A batch that blocks the loop for longer than a session costs no heartbeat."""
    async def play() -> None:
        async with flow(broker.bootstrap, prefix, tmp_path, SEED) as one:
            worker = one.start(blocked_s=SESSION_S + 1.0)
            await all_held(one, worker)
            await one.send(1)
            await one.working(worker, timeout_s=20)
            await one.send(1)       # while that blocks: together they might be one batch
            await one.working(worker, timeout_s=20)
            assert len(worker.said("assigned")) == 1
            assert worker.said("lost", "revoked") == []

    asyncio.run(play())


def test_half_a_batch_is_never_persisted(broker: Broker, prefix: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with flow(broker.bootstrap, prefix, tmp_path, SEED) as one:
            async with one.load(RATE):
                worker = one.start(fail_at=10)
                await one.until(lambda: worker.process.poll() is not None)
                assert worker.process.returncode == 1
                assert worker.said("revoked") == []
                assert "as it was told" in worker.said("failed")[0]["error"]
                await one.working(one.start())
            await one.verify()

    asyncio.run(play())


def test_a_worker_whose_member_of_the_group_died_ends(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    async def play() -> None:
        async with flow(broker.bootstrap, prefix, tmp_path, SEED) as one:
            worker = one.start(member_dies_s=0.5)
            await one.until(lambda: worker.process.poll() is not None)
            assert worker.process.returncode == 1
            assert worker.said("failed")

    asyncio.run(play())


class Quiet:
    """Reports that nobody hears."""

    def gap(self, tp: TP, expected: int, found: int) -> None:
        pass

    def stalled(self, partitions: Mapping[TP, float]) -> None:
        pass


def test_sending_tells_what_was_not_taken(broker: Broker, prefix: str, tmp_path: Path) -> None:
    async def play() -> None:
        async with flow(broker.bootstrap, prefix, tmp_path, SEED) as one:
            topic = one.plan.topics[0]
            setup = Setup(prefix, {"bootstrap_servers": [broker.bootstrap]}, (topic,))
            sends = producer(app_of(setup, None, {topic: None}, Quiet()))  # type: ignore[dict-item, arg-type]
            await sends.start()
            try:
                good = [(1, b"key", b"value", [("name", b"content")])] * 3
                assert await send_many(sends, topic, good) == [0, 1, 2]
                with pytest.raises(SendError, match=topic):
                    await send_many(sends, topic, [*good, (1, b"key", bytes(2 << 20), [])])
                with pytest.raises(SendError, match="partition"):
                    await send_many(sends, topic, [(99, b"key", b"value", [])])
            finally:
                await sends.stop()

    asyncio.run(play())
