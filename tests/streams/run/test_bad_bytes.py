"""Bytes on a topic that no reader expects: each says so, and none falls over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import msgspec
import pytest

from connectors.kafka import Record
from streams.feed import fact_of
from streams.messages import Living, alert_headers, worker_source
from streams.partition_parts import head_of
from streams.run.active import Editions
from streams.run.client_kafka import _content
from streams.run.ledgers import Tally, _taken
from streams.run.lines import control
from streams.run.notify_box import entry
from streams.run.snapshots import load, packed
from streams.run.topic_bodies import Active, AssetEntry, BodyError, read
from streams.snapshot import SnapshotError

DEEP = b"[" * 200_000
JSON = {
    "nothing": b"", "no JSON": b"\xff\x00", "cut": b'{"type": "alert", "alarm": "',
    "not UTF-8": b'{"type": "alert", "alarm": "\xff", "id": "\xff", "pack": "\xff"}',
    "deep": b'{"type": "alert", "alarm": ' + DEEP, "deeper": DEEP,
}
PACKED = {
    "nothing": b"", "no msgpack": b"\xc1", "not UTF-8": b"\x81\xa6format\xa1\xff",
    "deep": b"\x91" * 200_000,
}
HEADERS = tuple(alert_headers(
    worker_source("t", 0), {"type": "alert", "kind": "raised", "t_ms": 0}, bytes(32), 1))


def record(value: bytes) -> Record:
    return Record(0, 0, 0, None, value, HEADERS)


def body(kind: type[msgspec.Struct]) -> Callable[[bytes], object]:
    def reader(data: bytes) -> object:
        with pytest.raises(BodyError):
            return read(data, kind, len(data))

    return reader


READERS: dict[str, tuple[Callable[[bytes], object], object]] = {
    "feed": (lambda data: fact_of(data, 1), None),
    "notify": (lambda data: entry(record(data), Living(), 0), (None, True)),
    "answers": (lambda data: _content(record(data or b"?")), {}),
    "active": (body(Active), None),
    "assets": (body(AssetEntry), None),
    "lines": (control, None),
}


@pytest.mark.parametrize("data", JSON.values(), ids=JSON)
@pytest.mark.parametrize("reader", READERS)
def test_json_that_is_none_is_told_from_what_is_expected(reader: str, data: bytes) -> None:
    work, expected = READERS[reader]
    assert work(data) == expected


@pytest.mark.parametrize("data", JSON.values(), ids=JSON)
def test_a_record_of_the_ledger_keeps_its_place_whatever_it_holds(data: bytes) -> None:
    found = _taken(record(data), Living(), Tally(0))
    assert found is not None
    assert (found.n, found.body) == (1, data)


@pytest.mark.parametrize("data", JSON.values(), ids=JSON)
def test_a_pack_that_is_none_is_not_read(data: bytes) -> None:
    editions = Editions()
    editions.take(b"pack/0123456789abcdef", data)
    with pytest.raises((ValueError, KeyError)):
        editions["0123456789abcdef"]


class Of(NamedTuple):
    key: bytes
    value: bytes


@pytest.mark.parametrize("data", PACKED.values(), ids=PACKED)
def test_a_snapshot_that_is_none_is_none(data: bytes) -> None:
    async def portions() -> AsyncIterator[list[Of]]:
        yield [Of(b"3/head/7", data), Of(b"3/head/8", packed(data))]

    assert asyncio.run(load(3, portions())).written is None
    with pytest.raises(SnapshotError):
        head_of(data)
