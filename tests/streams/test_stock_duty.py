"""A site on duty whose inventory changes: what the ledger says of it, and that it can be run again.

The small plant of the traces, with two tanks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rules.model import Asset
from rules.records import Message
from streams.assets import AssetError
from streams.duty import MAX_STOCK, Duty, Edition, inventory_hash
from streams.ledger import canonical
from streams.run.again import again
from streams.run.journal import DATABASE
from streams.store import Store
from streams.trace_check import check
from streams.trace_ledger import story_of
from streams.trace_story import entries
from tests.streams.trace_kit import MIN, RULES, T0, ZONE, Plant, S

PUMP = "  pump: {signals: {x: {}}}\n"
TWO_CLASSES = RULES.replace("classes:\n", "classes:\n" + PUMP).replace(
    "rules:\n", "rules:\n- {rule: pump.high, class: pump, severity: red, when: x > 5}\n", 1
)
GIVEN = (Asset("T-1", "tank", {"place": "east"}), Asset("T-2", "tank"))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """T-1 is in alarm since 31 s, acknowledged, and T-2 is shelved."""
    made = Plant(tmp_path, TWO_CLASSES, GIVEN)
    for t, asset in ((1 * S, "T-1"), (2 * S, "T-2")):
        made.says(t, asset, pressure=9.0, valve=False, mode="filling")
    made.until(40 * S)
    made.order(41 * S, "acknowledge")
    made.order(42 * S, "shelve", asset="T-2", reason="works", duration=20 * MIN)
    yield made
    made.close()


def stock(
    plant: Plant, t: int, put: Sequence[Asset] = (), gone: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """A change of the inventory at `t`: what was written."""
    plant.until(t - 1)
    made = plant.duty.stock(put, gone, "wu", f"s{t}")
    kept = [[x.id, x.cls, x.attributes, x.overrides] for x in plant.duty.inventory]
    plant.store.keep(made[0]["inventory"], kept)
    plant._write(made)
    return made


def alerts(contents: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(x["asset"], x["rule"], x["kind"]) for x in contents if x["type"] == "alert"]


def test_the_record_holds_what_changed_and_the_hash_of_what_is(plant: Plant) -> None:
    more = Asset("T-3", "tank", {"limit": 6.0}, {"tank.pressure.for": "10 s"})
    record, *rest = stock(plant, 50 * S, [more], ["T-2"])
    assert record["type"] == "activation"
    assert record["assets"] == [{
        "id": "T-3", "class": "tank", "attributes": {"limit": 6.0},
        "overrides": {"tank.pressure.for": "10 s"},
    }]  # fmt: skip
    assert (record["removed"], record["by"], record["request"]) == (["T-2"], "wu", "s50000")
    assert record["t_ms"] == T0 + 50 * S
    assert record["pack"] == plant.duty.edition.name
    assert plant.duty.inventory == (GIVEN[0], more)
    assert record["inventory"] == inventory_hash((GIVEN[0], more))
    assert alerts(rest) == [
        ("T-2", "tank.pressure", "cleared"), ("T-2", "tank.pressure", "unshelved"),
    ]  # fmt: skip


def test_the_alarms_of_what_goes_are_ended_where_they_were(plant: Plant) -> None:
    ended = stock(plant, 50 * S, gone=["T-1"])[1:]
    assert alerts(ended) == [("T-1", "tank.pressure", "cleared")]
    assert ended[0]["place"] == "east"
    assert ended[0]["class"] == "tank"
    assert ended[0]["announced"]
    [row] = [x for x in plant.duty.alarms_list() if x["asset"] == "T-1"]
    assert (row["word"], row["loop"]) == ("normal", "open")     # its plan wants to be closed
    answer = plant.order(60 * S, "step", step="close", fields={"cause_code": "sold"})
    assert answer["result"] == "accepted"
    assert "T-1" not in {x["asset"] for x in plant.duty.alarms_list()}
    assert plant.order(70 * S, "shelve", reason="x", duration=MIN)["result"] == "refused"


def test_an_asset_of_another_class_leaves_first_and_begins_anew(plant: Plant) -> None:
    made = stock(plant, 50 * S, [Asset("T-1", "pump")])
    assert alerts(made) == [("T-1", "tank.pressure", "cleared")]
    assert made[1]["class"] == "tank"
    assert plant.duty.inventory == (GIVEN[1], Asset("T-1", "pump"))
    made = plant.duty.play([Message("T-1", "pump", T0 + 51 * S, {"x": 9})], T0 + 52 * S)
    assert alerts(made) == [("T-1", "pump.high", "raised")]


def test_a_trace_tells_of_it_and_a_check_finds_all_that_it_names(plant: Plant) -> None:
    stock(plant, 50 * S, [Asset("T-1", "tank", {"limit": 10.0})], ["T-2", "T-9"])
    folder = plant.end()
    assert not check(folder).faults
    with Store(folder / DATABASE, readonly=True) as store:
        told = [one for one in entries(story_of(store, "tank.pressure@T-1")) if one.by == "wu"]
    assert [(one.what.en, one.detail.en) for one in told] == [
        ("the inventory changes", "new or changed: T-1; gone: T-2, T-9"),
    ]


@pytest.mark.parametrize("base", [False, True])
def test_a_ledger_with_changes_of_assets_can_be_run_again(plant: Plant, *, base: bool) -> None:
    stock(plant, 50 * S, [Asset("T-1", "tank", {"limit": 10.0}, {"tank.pressure.for": "5 s"})])
    stock(plant, 60 * S, [Asset("T-3", "tank", {"place": "west"})])
    plant.says(61 * S, "T-3", pressure=9.5, valve=True, mode="filling")
    plant.until(100 * S)
    if base:
        plant.base()
    stock(plant, 110 * S, [Asset("T-2", "pump")], ["T-3", "T-1", "nobody"])
    plant.says(111 * S, "T-2", x=9.0)
    plant.order(112 * S, "step", asset="T-3", step="close", fields={"cause_code": "sold"})
    plant.until(40 * MIN)
    ledger = list(plant.store.records())
    found = list(again(plant.store, since=T0 + 105 * S if base else None))
    assert [x.body for x in found] == [x.body for x in ledger[-len(found):]]
    assert found == ledger[-len(found):]
    assert len(found) > 4
    assert base or len(found) == len(ledger)
    kinds = {(x["asset"], x["kind"]) for x in map(json.loads, (x.body for x in ledger))
             if x["type"] == "alert"}  # fmt: skip
    assert {("T-1", "cleared"), ("T-3", "raised"), ("T-3", "cleared")} <= kinds


def test_a_change_comes_out_the_same_at_any_pace_and_after_a_restore() -> None:
    edition = Edition.of([("tank.yaml", TWO_CLASSES.encode())])

    def run(step: int, *, restored: bool) -> list[bytes]:
        duty, found = Duty(edition, ZONE, GIVEN, T0), []
        for at in range(0, 200 * S, 20 * S):
            more = [Message("T-1", "tank", T0 + at, {
                "pressure": 9.0, "valve": False, "mode": "filling"})]  # fmt: skip
            for to in range(at, at + 20 * S, step):
                found += duty.play(more, T0 + to + step - 1)
                more = []
            put = [Asset("T-1", "tank", {"limit": 8.0 + at % 3})]
            if restored:
                duty = Duty.restore({edition.name: edition}, duty.snapshot(), ZONE)
            found += duty.stock(put, ["T-2"] if at == 40 * S else [], request=str(at))
        return [canonical({k: v for k, v in x.items() if k != "position"}) for x in found]

    expected = run(20 * S, restored=False)
    assert len(expected) > 12
    assert run(1 * S, restored=False) == expected
    assert run(5 * S, restored=True) == expected


@pytest.mark.parametrize("put", [
    [Asset("T-9", "crane")],
    [Asset("T-1", "tank", {}, {"tank.pressure.for": "soon"})],
    [Asset(f"N-{n}", "tank") for n in range(MAX_STOCK)],
])  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(plant: Plant, put: list[Asset]) -> None:
    before = plant.duty.snapshot()
    with pytest.raises(AssetError):
        plant.duty.stock(put, ["T-2"])
    assert plant.duty.snapshot() == before
