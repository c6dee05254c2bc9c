"""Follows a topic of Kafka as it grows, at positions that the caller keeps; small and blocking.

Every partition is read by this one process: there is no membership of a group and so no hand-over.
The positions may also be committed under a group's name, for those who watch how far it lags, and
as what is left when the caller's own are lost. Errors are those of `connectors.kafka`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Self

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

from connectors.kafka import TIMEOUT_S, LinkError, Record, _opened, _ours, _partitions, _record

POLL_MS = 200        # the longest wait for records, and so for an end
MOST = 500           # records of a poll
COMMIT_MS = 1_000    # the longest wait for a commit
RECONNECT_MS = 2_000  # the longest wait between tries to reach a broker that is away
_BYTES = 8 << 20     # of a partition's fetch; one larger record still comes


class Follower:
    """All partitions of a topic; a context. Every method blocks and raises KafkaError.

    An offset is that of the next record to read. `seek` first; `poll` again and again. Without a
    `group` nothing can be committed.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str, group: str | None = None,
                 timeout_s: float = TIMEOUT_S) -> None:
        self._settings, self._topic = settings, topic
        self._client = _opened(
            KafkaConsumer, settings, timeout_s, group_id=group, client_id=group or "tocsin",
            enable_auto_commit=False, auto_offset_reset="none", isolation_level="read_committed",
            max_partition_fetch_bytes=_BYTES, max_poll_records=MOST, fetch_max_wait_ms=POLL_MS,
            reconnect_backoff_max_ms=RECONNECT_MS)
        try:
            with _ours(settings):
                self._all = _partitions(self._client, topic)
                self._client.assign(self._all)
        except BaseException:
            self._client.close(autocommit=False, timeout_ms=0)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close(autocommit=False, timeout_ms=0)

    @property
    def partitions(self) -> list[int]:
        """All of them, in order."""
        return [one.partition for one in self._all]

    def range(self) -> dict[int, tuple[int, int]]:
        """Of each partition the first offset that is kept, and the one behind its last record."""
        with _ours(self._settings):
            first = self._client.beginning_offsets(self._all)
            ends = self._client.end_offsets(self._all)
        return {one.partition: (first[one], ends[one]) for one in self._all}

    def since(self, t_ms: int) -> dict[int, int]:
        """Of each partition the offset of the first record of that time (Kafka's) or later."""
        ends = self.range()
        with _ours(self._settings):
            found = self._client.offsets_for_times(dict.fromkeys(self._all, max(0, t_ms)))
        return {one.partition: found[one].offset if found.get(one) else ends[one.partition][1]
                for one in self._all}

    def committed(self) -> dict[int, int]:
        """What was committed last, of the partitions of which anything was."""
        with _ours(self._settings):
            found = {one: self._client.committed(one) for one in self._all}
        return {one.partition: offset for one, offset in found.items() if offset is not None}

    def seek(self, offsets: Mapping[int, int]) -> None:
        """From where `poll` goes on; of each partition."""
        with _ours(self._settings):
            for one in self._all:
                self._client.seek(one, offsets[one.partition])

    def poll(self, wait_ms: int = POLL_MS) -> list[Record]:
        """The next records, each partition in order; after `wait_ms` without any none."""
        with _ours(self._settings):
            found = self._client.poll(min(wait_ms, POLL_MS))
        return [_record(one) for records in found.values() for one in records]

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tells the group's offsets; without an answer they are told with the next ones."""
        said = {TopicPartition(self._topic, partition): OffsetAndMetadata(offset, "", -1)
                for partition, offset in offsets.items()}
        with contextlib.suppress(LinkError), _ours(self._settings):
            self._client.commit(said, timeout_ms=COMMIT_MS)
