"""The topics: what is on each, how long it is kept, and how a topic found differs from that. Pure.

Readings, commands, alerts and snapshots are spread alike, so that the partition of an asset is one
number everywhere and one worker owns its whole life.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

DAY_MS = 86_400_000
MIB = 1 << 20

#: What holds for every topic. Stamps are the broker's, of arrival: how long a record is kept does
#: not depend on clocks of devices or on the time that it tells of, none is refused for its stamp,
#: and a replay sees the arrival that the first run saw.
COMMON: Mapping[str, str] = {
    "message.timestamp.type": "LogAppendTime",
    "retention.bytes": "-1",                   # nothing goes because there is much of it
    "unclean.leader.election.enable": "false",  # better away for a while than records lost
}
#: Of compacted topics: what is outdated goes soon; a tombstone stays for readers that were away.
COMPACTED: Mapping[str, str] = {
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(7 * DAY_MS),
    "segment.bytes": str(64 * MIB),
}


@dataclass(frozen=True, slots=True)
class Topic:
    """A row of the table. `days` None: the newest record of each key is kept, for ever."""

    name: str
    key: str
    what: str
    spread: bool               # over the partitions of the settings; else one partition
    days: int | None
    message_bytes: int         # the largest batch, compressed
    compression: Literal["producer", "zstd"] = "producer"  # as it was sent, or packed by the broker

    @property
    def compacted(self) -> bool:
        """Whether only the newest record of each key is kept."""
        return self.days is None

    def config(self, replication: int) -> dict[str, str]:
        """Its properties as Kafka has them. With 3 replicas, 2 must have what is acknowledged."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": "-1" if self.days is None else str(self.days * DAY_MS),
            "max.message.bytes": str(self.message_bytes),
            "compression.type": self.compression,
            "min.insync.replicas": str(max(1, replication - 1)),
            **COMMON,
            **(COMPACTED if self.compacted else {}),
        }


YEARS = 3650  # ten of them

#: All topics, by their names without prefix.
TOPICS: Mapping[str, Topic] = {topic.name: topic for topic in (
    Topic("readings", "asset", "messages of the assets", True, 7, 2 * MIB),
    Topic("commands", "asset", "what operators ordered", True, YEARS, MIB, "zstd"),
    Topic("alerts", "asset or group", "the ledger", True, YEARS, 2 * MIB, "zstd"),
    Topic("alarms", "alarm", "the latest state of each alarm", True, None, 2 * MIB),
    Topic("snapshots", "partition/bucket", "states of the engine", True, None, 8 * MIB),
    Topic("group-feed", "group", "what groups count, by the key of the group", True, 7, 2 * MIB),
    Topic("rules", "pack", "active packs", False, None, 8 * MIB),
    Topic("assets", "asset", "the inventory", False, None, 2 * MIB),
    Topic("refused", "source position", "what could not be used", False, 30, 4 * MIB),
)}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Planned:
    """A topic as a deployment wants it; `name` is the whole one."""

    name: str
    topic: Topic
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What of a topic is not as planned; `what` is a property of Kafka's, partitions, replication,
    or topic (it is not there at all)."""

    topic: str
    what: str
    found: str
    expected: str
    fix: str


def name_of(prefix: str, topic: str) -> str:
    """The whole name of a topic of the table; KeyError for another one."""
    return f"{prefix}.{TOPICS[topic].name}"


def plan(prefix: str, partitions: int, replication: int) -> tuple[Planned, ...]:
    """All topics of a deployment."""
    return tuple(
        Planned(name_of(prefix, name), topic, partitions if topic.spread else 1, replication,
                topic.config(replication))
        for name, topic in TOPICS.items()
    )  # fmt: skip


def missing(planned: Planned) -> Difference:
    """That a topic is not there."""
    return Difference(planned.name, "topic", "nothing", "a topic", "tocsin topics create")


def compare(planned: Planned, partitions: int, replication: int,
            config: Mapping[str, str], broker: str) -> list[Difference]:  # fmt: skip
    """What differs of a topic that is there. `config` holds the properties in effect, `replication`
    is the least of its partitions; more replicas than planned are welcome. `broker` is for fixes.
    """
    found = []
    if partitions != planned.partitions:
        fix = "begin anew under another kafka.prefix"
        if planned.topic.spread:
            fix = (f"an asset stays in its partition: set kafka.partitions to {partitions}, "
                   f"or {fix}")  # fmt: skip
        found.append(Difference(
            planned.name, "partitions", str(partitions), str(planned.partitions), fix))  # fmt: skip
    if replication < planned.replication:
        fix = f"kafka-reassign-partitions.sh, or set kafka.replication to {replication}"
        found.append(Difference(
            planned.name, "replication", str(replication), str(planned.replication), fix))
    for key, value in planned.config.items():
        if config.get(key) != value:
            fix = (f"kafka-configs.sh --bootstrap-server {broker} --alter --topic {planned.name} "
                   f"--add-config {key}={value}")  # fmt: skip
            found.append(Difference(planned.name, key, config.get(key, "nothing"), value, fix))
    return found
