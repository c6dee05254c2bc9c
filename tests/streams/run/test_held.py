"""A partition in hand: what goes out, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

from streams.duty import Edition
from streams.partition import Partition, Place
from streams.partition_parts import Cutter
from streams.run.held import Held, Names
from streams.run.outgoing import Outgoing
from streams.run.snapshots import Found, Shelf
from streams.run.transport_holding import Lease

RULES = b"""
classes: {c: {signals: {x: {}}}}
rules: [{rule: c.high, class: c, severity: red, when: x > 5}]
"""


class Slow:
    """A sender whose first message waits for room; all are safe once they are taken."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.room = asyncio.Event()

    async def post(self, topic: str, at: int, key: bytes | None, value: bytes | None,
                   headers: Sequence[tuple[str, bytes]]) -> asyncio.Future[object]:
        del topic, key, value, headers
        if not self.taken:
            await self.room.wait()
        self.taken.append(at)
        future = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(offset=len(self.taken), timestamp=0))
        return future


def test_what_waited_goes_in_its_order_whoever_lets_it_go() -> None:
    """A snapshot is saved beside the handlers, and both let go; the order of facts counts."""
    async def play() -> list[int]:
        sender = Slow()
        out = Outgoing(sender, lambda: True, lambda _: None)
        partition = Partition(Edition.of([("r.yaml", RULES)]), Place(0, 3, lambda _: 0))
        shelf = Shelf("t.snapshots", 0, 1, Found())
        held = Held(partition, Names("t"), out, 1, shelf, Cutter(partition), 0)
        held.mark()
        both = [asyncio.ensure_future(held.release()) for _ in range(2)]
        for _ in range(5):
            await asyncio.sleep(0)
        done = [one.done() for one in both]
        sender.room.set()
        await asyncio.gather(*both)
        assert done == [False, False]       # a snapshot waits until all of it is on its way
        return sender.taken

    assert asyncio.run(play()) == [0, 1, 2]


def test_what_a_start_takes_is_no_pause_of_the_lease() -> None:
    now = 0.0
    lease = Lease(2.0, lambda: now)
    now = 60.0      # the interpreter was compiled
    lease.begin()
    assert lease.beat()
    assert lease.holds()
    now = 63.0
    assert not lease.beat()
    assert not lease.holds()
