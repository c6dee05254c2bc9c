"""Settings of a worker's connection to Kafka, as the client takes them. Free of Faust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from streams.run.fetching import CHUNK, TP, WAITING

MIB = 1 << 20


@dataclass(frozen=True)
class Setup:
    """Where a worker reads, and how long things may take.

    After a kill -9 the group waits for `session_s` before others take over; the broker's minimum
    is 6 s unless it is told otherwise.
    """

    group: str
    client: Mapping[str, Any] = field(repr=False)   # brokers and security: `Kafka.client()`
    topics: tuple[str, ...]             # held together, with the same number of partitions
    session_s: float = 6.0
    heartbeat_s: float = 1.0
    rebalance_s: float = 20.0           # the group waits so long for a member to hand over
    hand_s: float = 15.0                # to hand over: less than the group waits
    load_s: float = 120.0               # to load the state of what was assigned
    idle_s: float = 300.0               # without a fetch (a stuck agent) the group is left
    commit_s: float = 1.0
    stalled_s: float = 30.0             # a partition with records before it that does not move
    stop_s: float = 2.0                 # to stop, all durable
    waiting: int = WAITING              # batches
    chunk: int = CHUNK                  # records of a batch
    fetched: int = 4 * CHUNK            # records of a fetch: bounds the time others wait for it
    partition_bytes: int = MIB          # of a fetch; larger records still come, one by one
    message_bytes: int = 4 * MIB        # largest message that is sent, before it is packed
    wait_ms: int = 50                   # the broker waits so long for records of idle partitions
    linger_ms: int = 0
    compression: str | None = None

    def consumer(self) -> dict[str, Any]:
        """For aiokafka's consumer, without the assignor."""
        return {
            **self.client,
            "group_id": self.group,
            "client_id": self.group,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "max_poll_records": self.fetched,
            "max_poll_interval_ms": _ms(self.idle_s),
            "session_timeout_ms": _ms(self.session_s),
            "heartbeat_interval_ms": _ms(self.heartbeat_s),
            "rebalance_timeout_ms": _ms(self.rebalance_s),
            "fetch_max_wait_ms": self.wait_ms,
            "max_partition_fetch_bytes": self.partition_bytes,
            "metadata_max_age_ms": 30_000,
        }

    def producer(self) -> dict[str, Any]:
        """For aiokafka's producer."""
        return {
            **self.client,
            "client_id": self.group,
            "enable_idempotence": True,
            "acks": "all",
            "linger_ms": self.linger_ms,
            "max_request_size": self.message_bytes,
            "compression_type": self.compression,
        }


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


class Reports(Protocol):
    """Who hears of what goes wrong while the worker goes on. Instant."""

    def gap(self, tp: TP, expected: int, found: int) -> None:
        """The log has no records from `expected` to `found` (less: it was cut back)."""

    def stalled(self, partitions: Mapping[TP, float]) -> None:
        """These have had records before them, and not moved, for so many seconds ({}: all move)."""
