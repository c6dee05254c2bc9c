"""The registry of assets: indices that stay, classes that do not change, little memory."""

from __future__ import annotations

import tracemalloc

import pytest

from rules.model import Asset
from streams.assets import AssetError, Assets, is_asset_id
from tests.streams.intake_kit import PACK


def test_indices_count_up_and_stay() -> None:
    assets = Assets(PACK)
    assert [assets.add(Asset(one, "lift")) for one in ("b", "a", "c")] == [0, 1, 2]
    assert assets.add(Asset("a", "lift")) == 1
    assert assets.ids == ["b", "a", "c"]
    assert [assets.index(one) for one in ("a", "b", "x")] == [1, 0, None]
    assert len(assets) == 3
    assert "c" in assets
    assert "x" not in assets


def test_classes_count_in_the_order_of_the_pack() -> None:
    assets = Assets(PACK)
    assets.add(Asset("P1", "pump"))
    assets.hear("L1", 0)
    assert assets.cls.tolist() == [1, 0]
    assert assets.classes == ("lift", "pump")
    assert assets.class_index("pump") == 1
    assert assets.class_index("crane") is None


def test_the_inventorys_are_told_from_those_heard() -> None:
    assets = Assets(PACK)
    assets.hear("L1", 0)
    assets.add(Asset("L2", "lift"))
    assert assets.listed.tolist() == [False, True]
    assets.add(Asset("L1", "lift", {"floors": 9.0}))
    assert assets.listed.tolist() == [True, True]
    assert assets.attributes(0) == {"floors": 9.0}


def test_attributes_and_overrides_are_the_last_ones_given() -> None:
    assets = Assets(PACK)
    assets.add(Asset("L1", "lift", {"floors": 9.0}, {"lift.fast.for": "1 s"}))
    assert assets.overrides(0) == {"lift.fast.for": "1 s"}
    assets.add(Asset("L1", "lift"))
    assert assets.attributes(0) == {}
    assert assets.overrides(0) == {}


@pytest.mark.parametrize("wrong", [Asset("L1", "pump"), Asset("L2", "crane"), Asset("", "lift")])
def test_an_impossible_asset_changes_nothing(wrong: Asset) -> None:
    assets = Assets(PACK)
    assets.add(Asset("L1", "lift", {"floors": 9.0}))
    with pytest.raises(AssetError, match=r"L1|crane|id"):
        assets.add(wrong)
    assert assets.ids == ["L1"]
    assert assets.attributes(0) == {"floors": 9.0}


@pytest.mark.parametrize("good", ["L1", "电梯 7", "x" * 128, "a/b:c#1", "😀"])
def test_ids_are_what_people_use(good: str) -> None:
    assert is_asset_id(good)


@pytest.mark.parametrize("bad", ["", "x" * 129, "a\nb", "a\0", "\x7f", "\x85", "\u2028", "\ud800"])
def test_ids_have_no_control_characters(bad: str) -> None:
    assert not is_asset_id(bad)
    with pytest.raises(AssetError):
        Assets(PACK).hear(bad, 0)


def test_many_assets_cost_little_and_keep_their_class() -> None:
    ids = [f"L{i}" for i in range(50_000)]
    tracemalloc.start()
    assets = Assets(PACK)
    for i, one in enumerate(ids):
        assets.hear(one, i % 2)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 150 * len(ids)  # the dictionary's entry, an int, the list's place, the arrays
    assert assets.cls.sum() == len(ids) // 2
    assert assets.cls[:4].tolist() == [0, 1, 0, 1]
