"""The registry of assets: id to index, class and what the inventory says. Pure.

An asset keeps its index for as long as the registry lives, so arrays elsewhere go by it. 400,000
heard assets cost one list, one dictionary and five bytes each; only what an inventory gives
(attributes, overrides) is an object of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from rules.model import Asset, Pack

MAX_ASSETS = 16_000_000  # what an int32 index and memory allow, with room
MAX_ID = 128  # characters

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOTHING: Mapping[str, float | str] = MappingProxyType({})
_NO_OVERRIDES: Mapping[str, object] = MappingProxyType({})


class AssetError(ValueError):
    """An asset that cannot be taken in: the inventory (or its pack) must be mended."""


def is_asset_id(text: object) -> bool:
    """Whether it is text of 1 to 128 characters without control characters or lone surrogates."""
    return isinstance(text, str) and 0 < len(text) <= MAX_ID and not _CONTROL.search(text)


class Assets:
    """All assets known, by index 0, 1, 2 … in the order in which they came.

    A class index counts in the order of the pack's classes, whose names are `classes`.
    """

    def __init__(self, pack: Pack) -> None:
        self.classes: tuple[str, ...] = tuple(pack.classes)
        self.ids: list[str] = []
        self._class_index = {name: i for i, name in enumerate(self.classes)}
        self._index: dict[str, int] = {}
        self._cls = np.zeros(1_024, np.int32)
        self._listed = np.zeros(1_024, np.bool_)
        self._attributes: dict[int, Mapping[str, float | str]] = {}
        self._overrides: dict[int, Mapping[str, object]] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, asset_id: object) -> bool:
        return asset_id in self._index

    def index(self, asset_id: str) -> int | None:
        """The index of an asset, None if it is not known."""
        return self._index.get(asset_id)

    @property
    def cls(self) -> npt.NDArray[np.int32]:
        """int32[assets] — class index. A view: take it anew after an asset was added."""
        return self._cls[: len(self.ids)]

    @property
    def listed(self) -> npt.NDArray[np.bool_]:
        """bool[assets] — whether it is in the inventory. A view, as `cls`."""
        return self._listed[: len(self.ids)]

    def class_index(self, name: str) -> int | None:
        """The index of a class, None if there is none of that name."""
        return self._class_index.get(name)

    def attributes(self, index: int) -> Mapping[str, float | str]:
        """The attributes that the inventory gives; defaults are not filled in."""
        return self._attributes.get(index, _NOTHING)

    def overrides(self, index: int) -> Mapping[str, object]:
        """The overrides that the inventory gives, as written."""
        return self._overrides.get(index, _NO_OVERRIDES)

    def given(self, index: int) -> Asset | None:
        """What the inventory says of an asset, None of one that was only heard of."""
        if not self._listed[index]:
            return None
        cls = self.classes[self._cls[index]]
        return Asset(
            self.ids[index], cls, dict(self.attributes(index)), dict(self.overrides(index))
        )

    def add(self, asset: Asset) -> int:
        """Enter an asset of the inventory, or new attributes of one; its index.

        One that was heard before keeps its index. Raises AssetError, and changes nothing, for an
        impossible id, an unknown class, or another class than the asset has.
        """
        cls = self.check(asset)
        index = self._index.get(asset.id)
        if index is None:
            index = self.hear(asset.id, cls)
        self._listed[index] = True
        self._attributes.pop(index, None)
        self._overrides.pop(index, None)
        if asset.attributes:
            self._attributes[index] = asset.attributes
        if asset.overrides:
            self._overrides[index] = asset.overrides
        return index

    def check(self, asset: Asset, *, fresh: bool = False) -> int:
        """The index of the class of an asset that `add` can take. Raises AssetError.

        `fresh`: as if the asset were not known, whatever class it has.
        """
        cls = self._class_index.get(asset.cls)
        if cls is None:
            known = ", ".join(self.classes) or "none"
            raise AssetError(f"asset {asset.id!r}: no class {asset.cls!r}; the pack has: {known}")
        if not is_asset_id(asset.id):
            raise AssetError(f"{asset.id!r} is no asset id: 1 to {MAX_ID} printable characters")
        index = None if fresh else self._index.get(asset.id)
        if index is not None and self._cls[index] != cls:
            has = self.classes[self._cls[index]]
            raise AssetError(f"asset {asset.id!r} is of class {has!r} and cannot be {asset.cls!r}")
        return cls

    def hear(self, asset_id: str, cls: int) -> int:
        """Take in an asset that is not known yet, by its class index; its index.

        Raises AssetError for an impossible id and when there are MAX_ASSETS.
        """
        if not is_asset_id(asset_id):
            raise AssetError(f"{asset_id!r} is no asset id: 1 to {MAX_ID} printable characters")
        index = len(self.ids)
        if index >= MAX_ASSETS:
            raise AssetError(f"there are {MAX_ASSETS:,} assets, which is the limit")
        if index == len(self._cls):
            self._cls = np.resize(self._cls, 2 * index)
            self._listed = np.concatenate([self._listed, np.zeros(index, np.bool_)])
        self._index[asset_id] = index
        self.ids.append(asset_id)
        self._cls[index] = cls
        return index
