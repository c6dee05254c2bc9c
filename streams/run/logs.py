"""Reading partitions of topics from an offset to another: for state, tails and rules.

A client of its own, without a group. Every wait has a limit, and what is read is whole: all that
lies between the offsets, or an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, Self

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.run.fetching import Record

STALL_S = 30.0          # without any record while some are to come
FETCH_MS = 500
FETCH_WAIT_MS = 10      # for records: what is read is there
FETCH_BYTES = 8 << 20
PORTION = 5_000         # records


class LogError(Exception):
    """A partition cannot be read now, or not from there."""


class Logs:
    """Use as a context. One read at a time; others wait.

    Two clients: a broker answers the requests of a connection in their order, so the one that
    reads would hold up questions until its fetch has been waited out.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._settings = dict(client)
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._reader, self._asker = (aiokafka.AIOKafkaConsumer(
            **self._settings, enable_auto_commit=False, auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES, fetch_max_wait_ms=FETCH_WAIT_MS,
        ) for _ in range(2))  # fmt: skip
        try:
            await self._reader.start()
            await self._asker.start()
        except KafkaError as error:
            await self.__aexit__()
            raise LogError(f"no broker answers: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in (self._reader, self._asker):
            with contextlib.suppress(KafkaError):
                await client.stop()

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """How many partitions topics have; those that are not there have 0. Raises LogError."""
        admin = AIOKafkaAdminClient(**self._settings)
        try:
            await admin.start()
            found = await admin.describe_topics(list(topics))
        except (KafkaError, TimeoutError) as error:
            raise LogError(f"the topics are not known: {error!r}") from error
        finally:
            await admin.close()
        return {one["topic"]: len(one["partitions"]) for one in found}

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that is kept, and the one after the last. Raises LogError."""
        tp = aiokafka.TopicPartition(topic, partition)
        try:
            firsts = await self._asker.beginning_offsets([tp])
            ends = await self._asker.end_offsets([tp])
        except (KafkaError, TimeoutError) as error:
            raise LogError(f"{topic}/{partition}: {error!r}") from error
        return firsts[tp], ends[tp]

    async def some(
        self, topic: str, partition: int, first: int, end: int
    ) -> Sequence[Record]:
        """The first portion of what `read` gives; empty where there is nothing."""
        async with contextlib.aclosing(self.read(topic, partition, first, end)) as portions:
            async for records in portions:
                return records
        return []

    async def read(
        self, topic: str, partition: int, first: int, end: int
    ) -> AsyncGenerator[Sequence[Record], None]:
        """The records from `first` up to `end`, exclusive, in portions. A topic that was compacted
        or has expired has gaps; where it begins after `first`, nothing of it is kept before.
        """
        tp = aiokafka.TopicPartition(topic, partition)
        async with self._lock:
            lowest, highest = await self.bounds(topic, partition)
            at, end = max(first, lowest), min(end, highest)
            try:
                self._reader.assign([tp])
                self._reader.seek(tp, at)
                moved = time.monotonic()
                while await self._reader.position(tp) < end:
                    found = await self._reader.getmany(
                        tp, timeout_ms=FETCH_MS, max_records=PORTION)
                    records = [one for one in found.get(tp, ()) if one.offset < end]
                    if records:
                        moved = time.monotonic()
                        yield records
                    elif time.monotonic() - moved > STALL_S:
                        raise LogError(f"{topic}/{partition}: nothing for {STALL_S:g} s before "
                                       f"offset {end}")
            except (KafkaError, TimeoutError) as error:
                raise LogError(f"{topic}/{partition}: {error!r}") from error
            finally:
                self._reader.assign([])     # or it would fetch on and on


class Following:
    """A topic of one partition as it grows."""

    def __init__(self, logs: Logs, name: str) -> None:
        self._logs, self.name = logs, name
        self._next = 0

    async def more(self) -> AsyncIterator[Record]:
        """What has come since the last call, at first all that is kept. Raises LogError; what was
        not read to its end comes once more.
        """
        _, end = await self._logs.bounds(self.name, 0)
        async for records in self._logs.read(self.name, 0, self._next, end):
            for record in records:
                yield record
        self._next = max(self._next, end)
