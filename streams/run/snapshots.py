"""Snapshots of partitions on their topic: parts, and a head that says which of them hold.

    key   3/b/17/12-340/0      chunk 0 of a part, as the owner of epoch 12 wrote it as its 340th
    key   3/head/12            the newest head of that owner: where the partition stands, its parts

A part is never written over: each has a key of its own, and goes (by a tombstone) a while after a
head was safe that does not name it. So whatever of a snapshot is written when its owner dies, the
head before it still has all its parts. The head of the greatest epoch counts. What a fenced owner
writes late is in nobody's way: it may take the next one's parts for outdated, but knows that it is
fenced before it would remove them.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cramjam
import msgspec

from streams.decode import BAD_BYTES
from streams.run.outgoing import Outgoing

log = logging.getLogger(__name__)

CHUNK = 700 << 10               # bytes; with key and headers below the brokers' limit of 1 MiB
KEPT_S = 60.0                   # parts that are outdated; longer than any session that is usual
MAX_PART = 1 << 30              # bytes of a part unpacked
LEVEL = 1                       # of zstd: what changes every second is not worth more


class PartsError(ValueError):
    """A snapshot that is not whole, or none."""


class Ref(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A part as written: its name under the partition, its chunks, its size, CRC-32 of it all."""

    name: str
    chunks: int
    size: int
    crc: int


class Written(msgspec.Struct, forbid_unknown_fields=True):
    """A head as written. `alerts`: the offset in the ledger after its record number `head.n`."""

    epoch: int
    alerts: int
    head: bytes
    parts: dict[str, Ref]
    graves: dict[str, int]      # alarms whose row is to go: id -> when (ms)


@dataclass(slots=True)
class Found:
    """What the topic held of a partition. `written` None: no snapshot. `strays`: keys that no head
    of now needs."""

    written: Written | None = None
    parts: dict[str, bytes] = field(default_factory=dict)
    strays: list[bytes] = field(default_factory=list)


def packed(data: bytes) -> bytes:
    """Compressed."""
    return bytes(cramjam.zstd.compress(data, level=LEVEL))


def _unpacked(data: bytes, size: int) -> bytes:
    if not 0 <= size <= MAX_PART:
        raise PartsError(f"a part of {size:,} bytes")
    try:
        out = bytes(cramjam.zstd.decompress(data, output_len=size))
    except cramjam.DecompressionError as error:
        raise PartsError(f"not zstd: {error}") from None
    if len(out) != size:
        raise PartsError(f"{len(out):,} bytes, expected {size:,}")
    return out


class Shelf:
    """Writes the snapshots of one partition."""

    def __init__(
        self, topic: str, partition: int, epoch: int, found: Found,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._topic, self._partition, self._epoch = topic, partition, epoch
        self._refs: dict[str, Ref] = dict(found.written.parts) if found.written else {}
        self._count = 0
        self._stale: deque[tuple[float, bytes]] = deque()       # when to go, key
        self._outdate(found.strays)
        if found.written and found.written.epoch != epoch:
            self._outdate([_head_key(partition, found.written.epoch)])

    async def write(
        self, out: Outgoing, head: bytes, parts: Mapping[str, bytes],
        alerts: Callable[[], int], graves: Mapping[str, int],
    ) -> bool:
        """Writes parts, then the head; True: it is safe. `alerts` is asked once all that was sent
        before is. Raises SendError. Unless it is safe, the snapshot before it still holds.
        """
        refs, stale = dict(self._refs), list[bytes]()
        for name, data in parts.items():
            if name in refs:
                stale += _keys(self._partition, refs[name])
            refs[name] = await self._part(out, name, data)
        await out.settled()
        if not out.live():
            return False
        written = Written(self._epoch, alerts(), head, refs, dict(graves))
        await self._put(out, _head_key(self._partition, self._epoch),
                        packed(msgspec.msgpack.encode(written)))
        await out.settled()
        if not out.live():
            return False
        self._refs = refs
        self._outdate(stale)
        while self._stale and self._stale[0][0] <= self._clock():
            await self._put(out, self._stale.popleft()[1], None)
        return True

    def _outdate(self, keys: Iterable[bytes]) -> None:
        self._stale.extend((self._clock() + KEPT_S, key) for key in keys)

    async def _part(self, out: Outgoing, name: str, data: bytes) -> Ref:
        self._count += 1
        body = packed(data)
        chunks = [body[at : at + CHUNK] for at in range(0, len(body), CHUNK)]
        ref = Ref(f"{name}/{self._epoch}-{self._count}", len(chunks), len(data), zlib.crc32(data))
        for key, chunk in zip(_keys(self._partition, ref), chunks, strict=True):
            await self._put(out, key, chunk)
        return ref

    async def _put(self, out: Outgoing, key: bytes, value: bytes | None) -> None:
        await out.put(self._topic, self._partition, key, value)


def _keys(partition: int, ref: Ref) -> list[bytes]:
    return [f"{partition}/{ref.name}/{i}".encode() for i in range(ref.chunks)]


def _head_key(partition: int, epoch: int) -> bytes:
    return f"{partition}/head/{epoch}".encode()


async def load(partition: int, records: AsyncIterator[Any]) -> Found:
    """The newest snapshot of a partition that is whole, from all that its topic holds (portions of
    records). What is not is told, and passed over.
    """
    held: dict[bytes, bytes] = {}
    async for portion in records:
        for record in portion:
            if record.value is None:
                held.pop(record.key, None)
            elif record.key is not None:
                held[record.key] = record.value
    prefix = f"{partition}/head/".encode()
    heads = [head for key, value in held.items() if key.startswith(prefix)
             and (head := _written(key, value)) is not None]
    if not heads:
        return Found(strays=list(held))
    head = max(heads, key=lambda one: one.epoch)    # an older one is of an owner that was fenced
    needed = {_head_key(partition, head.epoch)}
    parts = {}
    try:
        for name, ref in head.parts.items():
            keys = _keys(partition, ref)
            needed.update(keys)
            parts[name] = _joined(held, keys, ref)
    except PartsError as error:
        log.warning("the snapshot of partition %d is not whole, and its ledger is played from the "
                    "beginning: %s", partition, error)
        return Found(strays=list(held))
    return Found(head, parts, [key for key in held if key not in needed])


def _written(key: bytes, value: bytes) -> Written | None:
    """A head as it was written, None of anything else."""
    try:
        data = bytes(cramjam.zstd.decompress(value))
        return msgspec.msgpack.decode(data, type=Written)
    except (cramjam.DecompressionError, *BAD_BYTES) as error:
        log.warning("%r is not the head of a snapshot: %s", key, error)
        return None


def _joined(held: Mapping[bytes, bytes], keys: list[bytes], ref: Ref) -> bytes:
    missing = [key for key in keys if key not in held]
    if missing:
        raise PartsError(f"{missing[0].decode()} is missing")
    data = _unpacked(b"".join(held[key] for key in keys), ref.size)
    if zlib.crc32(data) != ref.crc:
        raise PartsError(f"{ref.name}: damaged")
    return data
