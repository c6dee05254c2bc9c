"""Assets of another partition are refused when they are first heard, on the slow and fast way."""

from __future__ import annotations

import json

import pytest

from rules.load import load_texts
from rules.model import Asset, Pack
from rules.records import Message
from streams.engine import Engine
from streams.intake import Reason
from streams.site import Site
from tests.streams.intake_kit import assert_same, intake

T = 1_700_000_000_000
RULES = b"""
classes: {c: {signals: {x: {}}}}
rules:
- {rule: c.high, class: c, severity: red, when: x > 5}
"""


def line(asset: str, cls: str = "lift", t: int = T) -> bytes:
    return json.dumps({"asset": asset, "t": t, "values": {}, "class": cls}).encode()


def pack() -> Pack:
    made = load_texts([("rules.yaml", RULES)]).pack
    assert made is not None
    return made


def even(asset: str) -> bool:
    return asset[-1] in "02468"


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("unknown", ["accept", "reject"])
def test_a_new_asset_that_is_not_mine_is_misplaced(*, fast: bool, unknown: str) -> None:
    made = intake(unknown_assets=unknown, fast=fast, mine=even)
    lines = [line("L1"), line("L3"), line("L3", "crane"), line("L3", t=T + 1_000_000)]
    found = made.scan(lines, now=T, position0=5)
    assert found.batch.position.tolist() == [5]     # L1 is known already: nobody is asked
    assert found.counts == {Reason.MISPLACED: 3}
    assert [(one.asset, one.position) for one in found.refused] == [("L3", 6), ("L3", 7), ("L3", 8)]
    assert "L3" not in made._readings._assets


def test_both_ways_agree_on_what_is_misplaced() -> None:
    lines = [line(f"L{n % 7}", t=T + n) for n in range(100)]
    fast, slow = intake(fast=True, mine=even), intake(mine=even)
    found = fast.scan(lines, now=T)
    assert_same(found, slow.scan_slowly(lines, now=T))
    assert found.counts[Reason.MISPLACED] == 28     # L3 and L5; L1 is known


def test_an_asset_is_asked_about_until_it_is_known_and_then_no_more() -> None:
    asked = []
    made = intake(mine=lambda asset: bool(asked.append(asset)) or True)
    made.scan([line("L2"), line("L2"), line("L1")], now=T)
    assert asked == ["L2"]


def test_a_site_keeps_to_its_assets_over_activations_and_snapshots() -> None:
    def hears(site: Site) -> list[str]:
        site.messages([Message(a, "c", T, {"x": 9}) for a in ("A2", "A3")])
        return list(site.assets)

    site = Site(pack(), inventory=[Asset("A1", "c")], start=T, mine=even)
    assert hears(site) == ["A1", "A2"]
    site.activate(pack(), T + 1)
    assert hears(site) == ["A1", "A2"]
    site.engine.forget([1])
    assert hears(site) == ["A1", "A2"]
    assert hears(Site.restore(pack(), site.snapshot(), mine=even)) == ["A1", "A2"]
    assert hears(Site.restore(pack(), site.snapshot())) == ["A1", "A2", "A3"]


def test_without_a_limit_all_assets_belong_here() -> None:
    engine = Engine(pack())
    engine.messages([Message(f"A{n}", "c", T, {}) for n in range(9)])
    assert len(engine.assets) == 9
