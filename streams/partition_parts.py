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
from streams.alarms import Key
from streams.contents import Content
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
        alarms: dict[int, list[Key]] = {bucket: [] for bucket in self._dirty}
        for key in partition.alarms.book.points:
            bucket = bucket_of(key[1])
            if bucket in alarms:
                alarms[bucket].append(key)
        parts = {f"b/{bucket:02}": self._bucket(bucket, keys) for bucket, keys in alarms.items()}
        self._dirty.clear()
        whole = {
            "groups": msgspec.msgpack.encode(partition.site.groups.state()),
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

    def _bucket(self, bucket: int, keys: list[Key]) -> bytes:
        duty = self.partition
        points = [[*key, msgspec.to_builtins(duty.alarms.book.points[key], str_keys=False)]
                  for key in keys]
        wanted = set(keys)
        said = {alarm: duty.contents.said[alarm] for alarm, (key, _) in duty.alarms.book.ids.items()
                if key in wanted and alarm in duty.contents.said}
        parcel = parcels.parcel(duty.site.engine, self._sorted[bucket])
        return msgspec.msgpack.encode([parcel, points, said])


def _head(partition: Partition) -> bytes:
    return msgspec.msgpack.encode(Head(
        FORMAT, partition.edition.name, partition.zone, partition.site.engine.started,
        partition.clock, partition.at, partition.chain.n, partition.chain.head, partition.noted,
        {plant.cls.name: int(plant.memory.heads[H_FLOOR]) for plant in partition.site.engine.plants},
        partition.facts_told, partition.heard, partition.marks,
    ))  # fmt: skip


def head_of(data: bytes) -> Head:
    """What `Cutter.cut` gave as head. Raises SnapshotError."""
    try:
        head = msgspec.msgpack.decode(data, type=Head)
    except msgspec.MsgspecError as error:
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
        groups = msgspec.msgpack.decode(parts["groups"])
    except (msgspec.MsgspecError, TypeError, ValueError, KeyError) as error:
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
    partition = Partition(edition, place, head.zone, site=site)
    partition.alarms.restore(rows)
    partition.contents.said, partition.results = said, orders
    partition.clock, partition.at = head.clock, head.at
    partition.chain = Chain(head.n, head.hash)
    partition.noted, partition.facts_told = head.noted, head.facts_told
    partition.heard, partition.marks = head.heard, head.marks
    return partition
