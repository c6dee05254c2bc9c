"""What a site on Kafka is: its packs and its inventory, on the topics `rules` and `assets`.

For commands; everything blocks and raises ClientError. Writing needs no worker: those that own
partitions take it up, at once or when they start.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from connectors.kafka import KafkaError, Producer, Record, read_all
from streams.assets import is_asset_id
from streams.messages import cli_source, envelope
from streams.run.client import ClientError
from streams.run.topic_bodies import (
    ACTIVE,
    MAX_ASSET,
    MAX_PACK,
    PACK,
    Active,
    AssetEntry,
    BodyError,
    Pack,
    read,
)
from streams.settings import Kafka
from streams.topics import name_of

MAX_HELD = 512 << 20        # bytes of the newest records of a topic, all keys together
_NEWEST = 16                # offsets in which the active pack is sought before all are read


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong with Kafka, as an error of a client."""
    try:
        yield
    except KafkaError as error:
        fix = "; `tocsin topics create` makes it" if "there is no topic" in str(error) else ""
        raise ClientError(f"{error}{fix}") from None


def place(record: Record, topic: str) -> str:
    """Where a record stands, for people."""
    return f"{topic}/{record.partition}/{record.offset}"


@dataclass
class Newest:
    """The newest record of each key of a topic, and where to read on. Keys without a value are
    gone."""

    topic: str
    records: dict[bytes, Record]
    start: dict[int, int]
    size: int = 0           # bytes of all values

    @classmethod
    def of(cls, topic: str) -> Newest:
        """Nothing read yet."""
        return cls(topic, {}, {})

    def catch_up(self, kafka: Kafka) -> None:
        """Takes what has come since, to the end of every partition. Raises ClientError."""
        name = name_of(kafka.prefix, self.topic)
        with told():
            for record in read_all(kafka.client(), name, start=self.start):
                self._take(record)
                self.start[record.partition] = record.offset + 1
                if self.size > MAX_HELD:
                    raise ClientError(f"{name}: more than {MAX_HELD >> 20} MiB; is that the topic "
                                      "that is meant?")

    def _take(self, record: Record) -> None:
        key = record.key or b""
        before = self.records.pop(key, None)
        self.size -= len(before.value or b"") if before is not None else 0
        if record.value is not None:
            self.records[key] = record
            self.size += len(record.value)


# Rules ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Since:
    """What is active, and since when by the broker's clock (ms)."""

    active: Active
    t_ms: int


def active_of(kafka: Kafka) -> Since | None:
    """The pack that was activated last; None: none ever was."""
    name = name_of(kafka.prefix, "rules")
    found: Record | None = None
    with told():
        for newest in (_NEWEST, None):      # all there is, packs too, only if it must be
            for record in read_all(kafka.client(), name, newest=newest):
                if record.key == ACTIVE and record.value is not None:
                    found = record
            if found is not None:
                break
    if found is None:
        return None
    try:
        return Since(read(found.value or b"", Active, MAX_PACK), found.t_ms)
    except BodyError as error:
        raise ClientError(f"{place(found, name)}: {error}") from None


def pack_of(kafka: Kafka, name: str) -> Pack:
    """The pack of this name (hash). Raises ClientError also when it is not there."""
    topic, key = name_of(kafka.prefix, "rules"), PACK + name.encode()
    found: Record | None = None
    with told():
        for record in read_all(kafka.client(), topic):
            if record.key == key:
                found = record if record.value is not None else None
    if found is None:
        raise ClientError(f"{topic}: there is no pack {name}; activate it again")
    try:
        pack = read(found.value or b"", Pack, MAX_PACK)
    except BodyError as error:
        raise ClientError(f"{place(found, topic)}: {error}") from None
    if pack.name != name:
        raise ClientError(f"{place(found, topic)}: its texts are of pack {pack.name}, not {name}; "
                          "activate it again")
    return pack


def is_kept(kafka: Kafka, name: str) -> bool:
    """Whether a pack stands on the topic, whole."""
    try:
        return pack_of(kafka, name).name == name
    except ClientError:
        return False


# Inventory --------------------------------------------------------------------------------------


def inventory_of(kafka: Kafka) -> dict[str, AssetEntry]:
    """The assets by id, in order of id."""
    newest = Newest.of("assets")
    newest.catch_up(kafka)
    found = {}
    for record in newest.records.values():
        try:
            entry = _entry(record)
        except BodyError as error:
            where = place(record, name_of(kafka.prefix, "assets"))
            raise ClientError(f"{where}: {error}; `tocsin assets put` it again") from None
        found[entry.id] = entry
    return dict(sorted(found.items()))


def _entry(record: Record) -> AssetEntry:
    entry = read(record.value or b"", AssetEntry, MAX_ASSET)
    if entry.id.encode() != record.key or not is_asset_id(entry.id):
        raise BodyError(f"found the asset {entry.id!r} under the key {record.key!r}")
    return entry


def change_inventory(
    kafka: Kafka, put: Sequence[AssetEntry], gone: Iterable[str] = (),
    clock: Callable[[], float] = time.time,
) -> None:
    """Writes assets, and that others are no more. Raises ClientError; some may be written then."""
    bodies = {entry.id: msgspec.json.encode(entry) for entry in put}
    for ident, body in bodies.items():
        if not is_asset_id(ident):
            raise ClientError(f"{ident[:60]!r}: expected an id of 1 to 128 characters without "
                              "control characters")
        if len(body) > MAX_ASSET:
            raise ClientError(f"{ident}: found {len(body):,} bytes, expected at most {MAX_ASSET:,}")
    t_ms, source, topic = round(clock() * 1000), cli_source(kafka.prefix), "assets"
    with told(), Producer(kafka.client()) as producer:
        for ident, value in (*bodies.items(), *((one, None) for one in gone)):
            producer.send(name_of(kafka.prefix, topic), value, key=ident.encode(),
                          headers=envelope(source, "asset", uuid.uuid4().hex, t_ms, ident))
