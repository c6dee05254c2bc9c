"""Snapshots on their topic: whole whatever happens while one is written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from streams.run.outgoing import Outgoing
from streams.run.snapshots import CHUNK, KEPT_S, Found, Shelf, load


class Record(NamedTuple):
    key: bytes
    value: bytes | None


@dataclass
class Topic:
    """What has been written; `left`: so many writes are taken, then the process is dead."""

    records: list[Record] = field(default_factory=list)
    left: int = 1 << 30
    lives: bool = True

    def live(self) -> bool:
        return self.lives

    async def put(self, topic: str, at: int, key: bytes, value: bytes | None) -> None:
        del topic, at
        if self.left > 0:
            self.records.append(Record(key, value))
        self.left -= 1
        self.lives = self.left > 0

    async def settled(self) -> None:
        pass

    def compacted(self) -> Topic:
        """Only the newest of each key, as a broker may do at any time."""
        newest = {record.key: record for record in self.records}
        return Topic([record for record in newest.values() if record.value is not None])


def loaded(topic: Topic, partition: int = 3) -> Found:
    async def portions() -> AsyncIterator[list[Record]]:
        for begin in range(0, len(topic.records), 2):
            yield topic.records[begin : begin + 2]

    return asyncio.run(load(partition, portions()))


@dataclass
class Clock:
    """Where time stands."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def shelf(topic: Topic, epoch: int, clock: Clock | None = None) -> Shelf:
    return Shelf("snapshots", 3, epoch, loaded(topic), clock or Clock())


def write(
    topic: Topic, to: Shelf, head: bytes, parts: Mapping[str, bytes], alerts: int = 7
) -> bool:
    out = cast("Outgoing", topic)
    return asyncio.run(to.write(out, head, parts, lambda: alerts, {"a": 5}))


def test_parts_come_back_as_they_were_also_in_chunks() -> None:
    topic, large, clock = Topic(), random.Random(1).randbytes(2 * CHUNK + 17), Clock()
    one = shelf(topic, 12, clock)
    assert write(topic, one, b"head", {"b/01": b"first", "b/02": large})
    assert write(topic, one, b"later", {"b/01": b"second"}, alerts=9)
    for seen in (topic, topic.compacted()):
        found = loaded(seen)
        assert found.written is not None
        assert (found.written.head, found.written.alerts, found.written.graves) == (
            b"later", 9, {"a": 5})
        assert found.parts == {"b/01": b"second", "b/02": large}
        assert found.strays == [b"3/b/01/12-1/0"]
    clock.now = KEPT_S
    assert write(topic, one, b"later still", {}, alerts=9)
    assert loaded(topic).strays == []
    assert sum(record.value is None for record in topic.records) == 1      # the first b/01
    assert max(len(record.value or b"") for record in topic.records) <= CHUNK


def test_a_snapshot_that_was_not_finished_is_as_if_never_begun() -> None:
    for crash in range(1, 8):
        topic = Topic()
        one = shelf(topic, 12)
        assert write(topic, one, b"old", {"x": b"x1", "y": b"y1"})
        topic.left, topic.lives = crash, True
        done = write(topic, one, b"new", {"x": b"x2", "y": b"y2"})
        whole = {b"old": {"x": b"x1", "y": b"y1"}, b"new": {"x": b"x2", "y": b"y2"}}
        for seen in (topic, topic.compacted()):
            found = loaded(seen)
            assert found.written is not None
            assert found.parts == whole[found.written.head]
            assert found.written.head == b"new" or not done
        # The next owner clears away what nobody needs.
        after, clock = Topic(topic.records), Clock()
        owner = shelf(after, 13, clock)
        assert write(after, owner, b"next", {"x": b"x3"})
        clock.now = KEPT_S
        assert write(after, owner, b"next but one", {})
        assert len(after.compacted().records) == 3      # head, x, y


def test_what_a_fenced_owner_writes_late_is_in_nobodys_way() -> None:
    topic = Topic()
    zombie = shelf(topic, 12)
    assert write(topic, zombie, b"old", {"x": b"x1", "y": b"y1"})
    owner = shelf(topic, 13)
    assert write(topic, owner, b"owner", {"x": b"x2"})
    write(topic, zombie, b"zombie", {"x": b"x9", "y": b"y9"})
    for seen in (topic, topic.compacted()):
        found = loaded(seen)
        assert found.written is not None
        assert (found.written.epoch, found.written.head) == (13, b"owner")


def test_nonsense_on_the_topic_is_passed_over() -> None:
    topic = Topic()
    assert write(topic, shelf(topic, 12), b"head", {"x": b"x1"})
    nonsense: list[Any] = [
        Record(b"3/head/99", b"?"), Record(b"3/head/98", b""), Record(b"\xff", b"?"),
        Record(b"", b"?"), Record(b"3/x/12-1/7", b"?"), Record(cast("bytes", None), b"?"),
    ]
    topic.records += nonsense
    found = loaded(topic)
    assert found.parts == {"x": b"x1"}
    assert len(found.strays) == 5
    # With a damaged part the snapshot is none, and the ledger is played from its beginning.
    key = next(record.key for record in topic.records if record.key.startswith(b"3/x/"))
    topic.records.append(Record(key, b"damaged"))
    assert loaded(topic).written is None
