"""Two small classes, and how two outcomes of intake are held against each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np

from rules.model import Asset, AssetClass, Pack, Signal, Text
from streams.assets import Assets
from streams.intake import Batch, Intake, Scanned

LIFT = AssetClass(
    name="lift",
    title=Text(),
    signals={
        "speed": Signal("speed", "number", unit="m/s", low=-10, high=10),
        "car_status": Signal("car_status", "states", names={"stopped": 0, "running": 1, "off": -7}),
        "door_closed": Signal("door_closed", "bool"),
        "message_code": Signal("message_code", "events", names={"mains_lost": 41, "alarm": 90}),
        "maintenance": Signal("maintenance", "bool", operator=True, default=0.0),
        "count": Signal("count", "number"),
        "note": Signal("note", "events", names={"released": 3}),
    },
    attributes={},
    derived={},
)
PUMP = AssetClass(
    name="pump",
    title=Text(),
    signals={"speed": Signal("speed", "number"), "温度": Signal("温度", "number", high=90)},
    attributes={},
    derived={},
    max_ahead=1_000,
)
PACK = Pack({"lift": LIFT, "pump": PUMP}, (), (), {})
SLOT: dict[str | tuple[str, int], int] = dict([*LIFT.slots().items(), *LIFT.event_slots().items()])


def intake(
    pack: Pack = PACK,
    unknown_assets: str = "accept",
    fast: bool = False,
    mine: Callable[[str], bool] | None = None,
) -> Intake:
    """An intake that knows L1 (a lift) and P1 (a pump), with its fast way ready if wanted."""
    assets = Assets(pack)
    for cls in pack.classes:
        assets.add(Asset(f"{cls[0].upper()}1", cls))
    made = Intake(pack, assets, "accept" if unknown_assets == "accept" else "reject", mine)
    if fast:
        made.prepare()
    return made


def assert_same(one: Scanned, other: Scanned) -> None:
    """Equal to the last bit, NaN being equal to NaN."""
    for column in fields(Batch):
        found = getattr(one.batch, column.name)
        expected = getattr(other.batch, column.name)
        assert found.dtype == expected.dtype, column.name
        assert np.array_equal(found, expected, equal_nan=column.name == "value"), column.name
    assert one.refused == other.refused
    assert one.counts == other.counts


def plain(batch: Batch) -> list[tuple[int, int, list[tuple[int, float]]]]:
    """The messages of a batch as (asset, t, [(slot, value), …])."""
    return [
        (
            int(batch.asset[i]),
            int(batch.t[i]),
            [
                (int(batch.slot[j]), float(batch.value[j]))
                for j in range(batch.first[i], batch.first[i + 1])
            ],
        )
        for i in range(len(batch))
    ]
