"""The inventory as the topic `assets` has it, and how that of a partition differs from it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rules.model import Asset
from streams.assets import AssetError, is_asset_id
from streams.partition import Partition
from streams.run.logs import Following, Logs
from streams.run.topic_bodies import MAX_ASSET, AssetEntry, BodyError, read

log = logging.getLogger(__name__)

LOT = 500       # assets of one change: a record of the ledger holds them


@dataclass(frozen=True)
class Change:
    """What is to change in a partition's inventory, at once."""

    put: list[Asset]
    gone: list[str]


class Stock:
    """Follows the topic. `revision` grows with each change."""

    def __init__(self, logs: Logs, topic: str, of: Callable[[str], int]) -> None:
        """`of` gives the partition of an asset."""
        self._topic, self._of = Following(logs, topic), of
        self._assets: dict[int, dict[str, Asset]] = {}
        self.revision = 0

    async def follow(self) -> None:
        """Reads what is new. Raises LogError."""
        async for record in self._topic.more():
            self._take(record.offset, record.key or b"", record.value)

    def _take(self, offset: int, key: bytes, value: bytes | None) -> None:
        asset = key.decode("utf-8", "replace")
        if not is_asset_id(asset):
            log.warning("%s at %d: its key is no asset's id; passed over", self._topic.name, offset)
            return
        mine = self._assets.setdefault(self._of(asset), {})
        if value is None:
            mine.pop(asset, None)
        else:
            try:
                entry = read(value, AssetEntry, MAX_ASSET)
            except BodyError as error:
                log.warning("%s at %d: %s: passed over: %s", self._topic.name, offset, asset, error)
                return
            if entry.id != asset:
                log.warning("%s at %d: %s: its body is of %s; passed over",
                            self._topic.name, offset, asset, entry.id)
                return
            mine[asset] = Asset(entry.id, entry.cls, entry.attributes, dict(entry.overrides))
        self.revision += 1

    def changes(self, partition: Partition) -> Iterator[Change]:
        """What makes a partition's inventory this one, in lots. Assets of classes that its rules do
        not have are left out, and those that they refuse are told."""
        wanted = {x.id: x for x in self._assets.get(partition.place.number, {}).values()
                  if x.cls in partition.edition.pack.classes}
        has = {x.id: x for x in partition.inventory}
        gone = sorted(has.keys() - wanted.keys())
        put = [x for x in wanted.values() if has.get(x.id) != x]
        good = list(_good(partition, put))
        while good or gone:
            yield Change(good[:LOT], gone[:LOT])
            good, gone = good[LOT:], gone[LOT:]


def _good(partition: Partition, put: Iterable[Asset]) -> Iterator[Asset]:
    for asset in put:
        try:
            partition.site.engine.check([asset], {asset.id})
        except AssetError as error:
            log.warning("asset %s cannot be taken into the inventory: %s", asset.id, error)
        else:
            yield asset
