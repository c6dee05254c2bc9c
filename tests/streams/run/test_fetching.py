"""Fetching in a world that moves: a log that grows, loses records and is cut, a client that is
moved behind the loop's back, and hand-overs at every point where the loop waits.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.run.fetching import (
    TP,
    Astray,
    Away,
    Fetching,
    HoleError,
    PartitionBatch,
    Record,
)

A, B = TP("readings", 0), TP("commands", 0)


class Line(NamedTuple):
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class World:
    """The log and the client. Each call waits some turns of the loop, where anything may happen."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.log = {A: list(range(5)), B: list(range(3))}
        self.first = dict.fromkeys(self.log, 0)
        self.position: dict[TP, int] = {}
        self.put_: list[PartitionBatch] = []
        self.fetches = 0
        self.seeks: list[dict[TP, int]] = []
        self.failing = 0.05

    def grow(self, tp: TP, by: int, skipping: int = 0) -> None:
        end = self.end(tp) + skipping
        self.log[tp] += range(end, end + by)

    def end(self, tp: TP) -> int:
        return self.log[tp][-1] + 1 if self.log[tp] else self.first[tp]

    def forget(self, tp: TP, before: int) -> None:
        self.first[tp] = max(self.first[tp], before)
        self.log[tp] = [at for at in self.log[tp] if at >= before]

    async def _waits(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        if self.chance.random() < self.failing:
            raise Away("for a moment")

    async def fetch(self, tps: Collection[TP], timeout_s: float) -> Mapping[TP, Sequence[Record]]:
        del timeout_s
        self.fetches += 1
        await self._waits()
        lost = [tp for tp in tps
                if not self.first[tp] <= self.position.get(tp, -1) <= self.end(tp)]
        if lost:
            raise Astray(str(lost))
        found = {}
        for tp in tps:
            records = [Line(at) for at in self.log[tp] if at >= self.position[tp]]
            records = records[: self.chance.randrange(1, 9)]
            if records and self.chance.random() < 0.8:
                found[tp] = records
                self.position[tp] = records[-1].offset + 1
        await self._waits()
        return found

    async def bounds(self, tps: Collection[TP]) -> Mapping[TP, tuple[int, int]]:
        await self._waits()
        return {tp: (self.first[tp], self.end(tp)) for tp in tps}

    async def seek(self, places: Mapping[TP, int]) -> None:
        await self._waits()
        self.position.update(places)
        self.seeks.append(dict(places))

    async def put(self, batch: PartitionBatch) -> None:
        self.put_.append(batch)
        await asyncio.sleep(0)


class Owner:
    """Takes batches and keeps what it has seen, as a state that survives."""

    def __init__(self, world: World, fetching: Fetching) -> None:
        self.world, self.fetching = world, fetching
        self.seen: dict[TP, list[int]] = {A: [], B: []}

    def next(self) -> dict[TP, int]:
        return {tp: seen[-1] + 1 if seen else 0 for tp, seen in self.seen.items()}

    def work(self) -> None:
        """Handles the oldest batch."""
        if self.world.put_:
            batch = self.world.put_.pop(0)
            if self.fetching.take(batch):
                self.seen[batch.tp] += [record.offset for record in batch.records]
                self.fetching.done(batch)


def on_gap(tp: TP, expected: int, found: int) -> None:
    del tp, expected, found


@given(st.integers(0, 1 << 30))
@settings(max_examples=200, deadline=None)
def test_whatever_happens_every_record_of_the_log_is_handled_once_and_in_order(seed: int) -> None:
    async def play() -> None:
        chance = random.Random(seed)
        world, gaps = World(chance), []
        fetching = Fetching(lambda *gap: gaps.append(gap), chunk=3, waiting=2)
        owner, epoch = Owner(world, fetching), 0
        moved: dict[TP, int] = {}
        loop = asyncio.ensure_future(fetching.run(world))

        def disturb() -> None:
            nonlocal epoch
            what, tp = chance.randrange(8), chance.choice([A, B])
            if what == 0:
                world.grow(tp, chance.randrange(1, 9))
            elif what == 1:
                fetching.revoked()
                world.put_.clear()
            elif what == 2:      # the client, as it does, goes to whatever was committed
                world.position[tp] = chance.randrange(world.end(tp) + 1)
                fetching.revoked()
            elif what == 3:      # somebody else's seek: not twice before the same offset
                place = fetching.places.get(tp)
                if place is not None and moved.get(tp) != place.expected:
                    moved[tp] = place.expected
                    world.position[tp] = chance.randrange(world.end(tp))
            elif what == 4:
                epoch += 1
                world.put_.clear()
                fetching.assigned(owner.next(), epoch)
            else:
                owner.work()

        for _ in range(150):
            disturb()
            for _ in range(chance.randrange(5)):
                await asyncio.sleep(0)
        world.failing = 0.0
        epoch += 1
        world.put_.clear()
        fetching.assigned(owner.next(), epoch)
        async with asyncio.timeout(5):
            while owner.seen != world.log:
                owner.work()
                await asyncio.sleep(0)
        assert not loop.done()
        assert gaps == []
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)

    with patch("streams.run.fetching.PAUSE_S", 0.0):
        asyncio.run(play())


Calm = tuple[World, Fetching, Owner, list[tuple[TP, int, int]]]


@pytest.fixture
def calm() -> Calm:
    """A world where nothing fails by chance."""
    world, gaps = World(random.Random(1)), []

    async def steady() -> None:
        await asyncio.sleep(0)

    world._waits = steady  # type: ignore[method-assign]
    fetching = Fetching(lambda *gap: gaps.append(gap), chunk=100, waiting=2)
    return world, fetching, Owner(world, fetching), gaps


async def until(
    done: Callable[[], bool], fetching: Fetching, world: World, owner: Owner
) -> None:
    loop = asyncio.ensure_future(fetching.run(world))
    try:
        async with asyncio.timeout(20):
            while not done():
                owner.work()
                await asyncio.sleep(0)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


def test_records_that_have_expired_are_a_gap_that_is_told(calm: Calm) -> None:
    world, fetching, owner, gaps = calm
    world.grow(A, 20)
    world.forget(A, 10)
    fetching.assigned({A: 2}, 1)
    asyncio.run(until(lambda: owner.seen[A] == list(range(10, 25)), fetching, world, owner))
    assert gaps == [(A, 2, 10)]


def test_a_hole_in_the_log_is_looked_at_twice_then_told(calm: Calm) -> None:
    world, fetching, owner, gaps = calm
    world.grow(A, 4, skipping=3)
    fetching.assigned({A: 5}, 1)
    asyncio.run(until(lambda: owner.seen[A] == [8, 9, 10, 11], fetching, world, owner))
    assert gaps == [(A, 5, 8)]
    assert world.seeks == [{A: 5}, {A: 5}]


def test_a_fetch_that_moves_the_client_and_then_fails_loses_nothing(calm: Calm) -> None:
    world, fetching, owner, gaps = calm
    world.grow(A, 20)
    fetch = world.fetch

    async def fails_once(*_: object) -> Mapping[TP, Sequence[Record]]:
        world.fetch = fetch  # type: ignore[method-assign]
        world.position[A] = world.end(A)
        raise Away("after it has moved")

    world.fetch = fails_once  # type: ignore[method-assign]
    fetching.assigned({A: 0}, 1)
    asyncio.run(until(lambda: owner.seen[A] == world.log[A], fetching, world, owner))
    assert gaps == []


def test_a_log_that_was_cut_goes_on_at_its_end_and_is_told(
    calm: Calm, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, fetching, owner, gaps = calm
    monkeypatch.setattr("streams.run.fetching.PAUSE_S", 0.001)
    fetching.assigned({A: 9}, 1)      # the log ends at 5

    def grown() -> bool:
        if fetching.places[A].expected == 5 and world.end(A) == 5:
            world.grow(A, 2)
        return owner.seen[A] == [5, 6]

    asyncio.run(until(grown, fetching, world, owner))
    assert gaps == [(A, 9, 5)]


def test_a_slow_agent_holds_up_fetching(calm: Calm) -> None:
    world, fetching, owner, _ = calm
    world.grow(A, 500)
    fetching.assigned({A: 0}, 1)

    async def play() -> None:
        loop = asyncio.ensure_future(fetching.run(world))
        for _ in range(300):
            await asyncio.sleep(0)
        assert len(world.put_) == 2
        fetched = world.fetches
        for _ in range(300):
            await asyncio.sleep(0)
        assert world.fetches == fetched
        owner.work()
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(world.put_) == 2
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)

    asyncio.run(play())


def batch(first: int, last: int, epoch: int = 1) -> PartitionBatch:
    return PartitionBatch(*A, epoch, first, last, [Line(at) for at in range(first, last + 1)])


def test_a_batch_that_was_lost_on_the_way_is_noticed() -> None:
    fetching = Fetching(on_gap)
    fetching.assigned({A: 3}, 1)
    assert fetching.take(batch(3, 4))
    with pytest.raises(HoleError, match="readings/0: 5 was to come, the agent got 7"):
        fetching.take(batch(7, 8))


def test_a_batch_of_another_epoch_is_void() -> None:
    fetching = Fetching(on_gap)
    fetching.assigned({A: 3}, 1)
    fetching.revoked()
    assert not fetching.take(batch(3, 4))
    fetching.assigned({A: 3}, 2)
    assert not fetching.take(batch(3, 4))
    assert fetching.take(batch(3, 4, epoch=2))


def test_a_partition_stalls_only_with_records_before_it() -> None:
    now = 0.0
    fetching = Fetching(on_gap, clock=lambda: now)
    fetching.assigned({A: 3, B: 0}, 1)
    fetching.seen({A: 3, B: 0})
    now = 100.0
    assert fetching.stalled(30) == {}
    fetching.seen({A: 5})
    now = 129.0
    assert fetching.stalled(30) == {}
    now = 131.0
    assert fetching.stalled(30) == {A: 31.0}
    assert fetching.take(batch(3, 4))
    assert fetching.stalled(30) == {A: 31.0}
    fetching.done(batch(3, 4))
    assert fetching.stalled(30) == {}
