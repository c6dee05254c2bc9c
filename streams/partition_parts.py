"""The state of a partition in parts, of which only those that changed are cut. Pure.

Named in a snapshot:
    head        where it stands: offsets, clock, ledger, rules; with each cut
    b/00 … b/63 the assets of a bucket, and their alarms
    groups      the groups
    orders      results of orders
"""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import msgspec
import numpy as np

from rules.layout import H_FLOOR
from streams import parcels
from streams.contents import Content
from streams.decode import BAD_BYTES
from streams.duty import Edition
from streams.engine import Engine
from streams.ledger import Chain
from streams.partition import Partition, Place, Position
from streams.plant import Programs
from streams.share import Share
from streams.snapshot import SnapshotError

BUCKETS = 64
FORMAT = 1

Parts = dict[str, bytes]


class Head(msgspec.Struct, forbid_unknown_fields=True):
    """Where a partition stands. `edition`, `started` and `clock` as of `Duty`."""

    format: int
    edition: str
    zone: str
    started: int | None
    clock: int
    at: Position
    n: int
    hash: bytes
    noted: int
    floors: dict[str, int]      # class -> where no clock of its assets stands before (ms)
    facts_told: int
    heard: dict[int, int]
    marks: dict[int, int]


def bucket_of(asset: str) -> int:
    """Where an asset, or the key of a group, is kept."""
    return crc32(asset.encode()) % BUCKETS


class Cutter:
    """Cuts the state of a partition: what has changed since it was joined, or began."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self._registry: object = None                       # whose assets are sorted into buckets
        self._sorted: list[list[str]] = []
        self._buckets = np.zeros(0, np.uint8)               # of each asset, by number
        self._last: Parts = {}                              # groups and orders as cut last
        self._dirty: set[int] = set()

    def cut(self) -> tuple[bytes, Parts]:
        """The head, and the parts that changed since the last call."""
        partition = self.partition
        self._sort()
        touched = self._buckets[partition.site.engine.touched()]
        self._dirty.update(np.unique(touched).tolist())
        self._dirty.update(bucket_of(asset) for _, asset in partition.cut_points)
        if partition.cut_whole:
            self._dirty.update(range(BUCKETS))
        partition.cut_points.clear()
        partition.cut_whole = False
        parts = self._buckets_of(sorted(self._dirty))
        self._dirty.clear()
        whole = {
            "groups": msgspec.msgpack.encode([partition.site.groups.state(), _totals(partition)]),
            "orders": msgspec.msgpack.encode(list(partition.results.items())),
        }
        parts |= {name: data for name, data in whole.items() if self._last.get(name) != data}
        self._last = whole
        return _head(partition), parts

    def _sort(self) -> None:
        """Sorts assets that are new into their buckets; all of them where they were renumbered."""
        assets = self.partition.site.engine.assets
        if assets is not self._registry:
            self._registry, self._buckets = assets, np.zeros(0, np.uint8)
            self._sorted = [[] for _ in range(BUCKETS)]
        new = assets.ids[len(self._buckets) :]
        if new:
            found = [bucket_of(asset) for asset in new]
            self._buckets = np.concatenate([self._buckets, np.array(found, np.uint8)])
            for asset, bucket in zip(new, found, strict=True):
                self._sorted[bucket].append(asset)

    def _buckets_of(self, buckets: list[int]) -> Parts:
        duty = self.partition
        book, said = duty.alarms.book, duty.contents.said
        points: dict[int, list[object]] = {bucket: [] for bucket in buckets}
        texts: dict[int, dict[str, Content]] = {bucket: {} for bucket in buckets}
        for key, point in book.points.items():
            bucket = bucket_of(key[1])
            if bucket in points:
                points[bucket].append([*key, msgspec.to_builtins(point, str_keys=False)])
        duty.contents.said = {alarm: said[alarm] for alarm in book.ids if alarm in said}
        for alarm, text in duty.contents.said.items():
            bucket = bucket_of(book.ids[alarm][0][1])
            if bucket in texts:
                texts[bucket][alarm] = text
        engine = duty.site.engine
        return {
            f"b/{bucket:02}": msgspec.msgpack.encode(
                [parcels.parcel(engine, self._sorted[bucket]), points[bucket], texts[bucket]])
            for bucket in buckets
        }  # fmt: skip


def _head(partition: Partition) -> bytes:
    return msgspec.msgpack.encode(Head(
        FORMAT, partition.edition.name, partition.zone, partition.site.engine.started,
        partition.clock, partition.at, partition.chain.n, partition.chain.head, partition.noted,
        {x.cls.name: int(x.memory.heads[H_FLOOR]) for x in partition.site.engine.plants},
        partition.facts_told, partition.heard, partition.marks,
    ))  # fmt: skip


def _totals(partition: Partition) -> list[object]:
    return [[*at, of] for at, of in (partition.site.totals or {}).items()]


def head_of(data: bytes) -> Head:
    """What `Cutter.cut` gave as head. Raises SnapshotError."""
    try:
        head = msgspec.msgpack.decode(data, type=Head)
    except BAD_BYTES as error:
        raise SnapshotError(f"not the head of a partition: {error}") from None
    if head.format != FORMAT:
        raise SnapshotError(f"a head of format {head.format}, expected {FORMAT}")
    return head


def joined(
    head: Head, parts: Mapping[str, bytes], edition: Edition, place: Place,
    programs: Programs | None = None,
) -> Partition:
    """The partition as it was, under the edition that the head names. Raises SnapshotError."""
    engine = Engine(edition.pack, head.zone, programs=programs, mine=place.has)
    rows: list[object] = []
    said: dict[str, Content] = {}
    held = []
    try:
        for name in sorted(parts):
            if name.startswith("b/"):
                parcel, points, texts = msgspec.msgpack.decode(parts[name])
                held.append(parcel)
                rows += points
                said |= texts
        orders = dict(msgspec.msgpack.decode(parts["orders"]))
        groups, totals = msgspec.msgpack.decode(parts["groups"], strict=False)
    except (*BAD_BYTES, TypeError, ValueError, KeyError) as error:
        raise SnapshotError(f"not the parts of a partition: {error}") from None
    parcels.adopt(engine, held)
    if head.started is not None:
        engine.start(head.started)
    for plant in engine.plants:
        plant.raise_floor(head.floors[plant.cls.name])
    listed = [engine.assets.given(i) for i in range(len(engine.assets))]
    inventory = [asset for asset in listed if asset is not None]
    site = Share(edition.pack, head.zone, inventory, engine=engine)
    site.groups.restore(groups)
    site.totals = {(group, key): of for group, key, of in totals}
    partition = Partition(edition, place, head.zone, site=site)
    partition.alarms.restore(rows)
    partition.contents.said, partition.results = said, orders
    partition.clock, partition.at = head.clock, head.at
    partition.chain = Chain(head.n, head.hash)
    partition.noted, partition.facts_told = head.noted, head.facts_told
    partition.heard, partition.marks = head.heard, head.marks
    return partition
