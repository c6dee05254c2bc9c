"""The state of some assets as bytes, to be put into an engine that may hold others.

An engine's assets can be parcelled out and put together again in any way, at any time, and what
the engines find together is what the one would have found. Wanted are the same pack, the same time
zone, and the same ticks: how far an engine's clock has come is not part of a parcel, but each
asset's own clock is. So a parcel that is older than a tick goes on as if it had been taken then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from rules.errors import Refused
from rules.layout import H_FLOOR
from rules.model import Asset, Pack
from streams.assets import MAX_ASSETS, is_asset_id
from streams.decode import BAD_BYTES
from streams.engine import Engine
from streams.parcels_rows import Found, Rows, find, put, take
from streams.plant import Programs
from streams.readings import Mine
from streams.snapshot import SnapshotError, seal, unseal

FORMAT = 2


class Parcel(msgspec.Struct, forbid_unknown_fields=True):
    """The state of assets.

    started: when the inventory's assets began (ms), None if they have not
    ids: of the assets; of: for each, the number of its class in `rows`
    given: number of an asset -> (attributes, overrides), of those that are in the inventory
    rows: of each class that has assets here, those in their order
    heads: of a whole engine, class -> its plant's floor and counts (rules.layout.H_FLOOR …)
    """

    format: int
    zone: str
    started: int | None
    ids: list[str]
    of: list[int]
    given: dict[int, tuple[dict[str, float | str], dict[str, object]]]
    rows: list[Rows]
    heads: dict[str, list[int]] = {}


_DECODER = msgspec.msgpack.Decoder(Parcel)


def parcel(engine: Engine, assets: Sequence[str]) -> bytes:
    """The state of these assets. Raises LookupError for one that the engine does not know."""
    return _sealed(_parcel(engine, assets))


def adopt(engine: Engine, parcels: Iterable[bytes]) -> None:
    """Puts the assets of parcels into an engine of the same pack and zone, beside those it has.

    Raises SnapshotError, and changes nothing, where the bytes are damaged, of another pack or zone,
    or hold an asset that is there already. The assets do not count as touched.
    """
    _adopt(engine, [_opened(data) for data in parcels])


def release(engine: Engine, assets: Sequence[str]) -> None:
    """Forgets assets, as if they had never been heard of. Raises LookupError for an unknown one.

    Their rows and rings are given back and are the next to be used, so memory stays what the most
    assets at one time needed. All others are numbered anew, as by an activation.
    """
    engine.forget(_numbers(engine, assets))


def snapshot(engine: Engine) -> bytes:
    """All state of an engine."""
    engine.enrol()
    whole = _parcel(engine, engine.assets.ids)
    whole.heads = {
        plant.cls.name: plant.memory.heads[H_FLOOR:].tolist() for plant in engine.plants
    }
    return _sealed(whole)


def restore(
    pack: Pack, data: bytes, zone: str = "UTC", programs: Programs | None = None,
    mine: Mine | None = None,
) -> Engine:
    """An engine as it was. Raises SnapshotError if the bytes are damaged, or of another pack or
    zone."""
    whole = _opened(data)
    engine = Engine(pack, zone, programs=programs, mine=mine)
    if set(whole.heads) != set(pack.classes):
        raise SnapshotError("the snapshot is of other classes")
    _adopt(engine, [whole])
    for plant in engine.plants:
        heads = whole.heads[plant.cls.name]
        if len(heads) != len(plant.memory.heads[H_FLOOR:]):
            raise SnapshotError(f"{plant.cls.name}: {len(heads)} counts")
        plant.memory.heads[H_FLOOR:] = heads
    return engine


# Out ------------------------------------------------------------------------------------------


def _numbers(engine: Engine, assets: Sequence[str]) -> list[int]:
    engine.enrol()
    found = []
    for asset in assets:
        number = engine.assets.index(asset)
        if number is None:
            raise LookupError(f"no asset {asset!r} in this engine")
        found.append(number)
    return found


def _parcel(engine: Engine, assets: Sequence[str]) -> Parcel:
    numbers = _numbers(engine, assets)
    cls = engine.assets.cls[numbers]
    classes = np.unique(cls)
    places = engine.places(numbers)
    given = {}
    for at, number in enumerate(numbers):
        asset = engine.assets.given(number)
        if asset is not None:
            given[at] = (dict(asset.attributes), dict(asset.overrides))
    rows = [take(engine.plants[one], places[cls == one]) for one in classes.tolist()]
    of = np.searchsorted(classes, cls).tolist()
    return Parcel(FORMAT, engine.zone, engine.started, list(assets), of, given, rows)


def _sealed(whole: Parcel) -> bytes:
    return seal(msgspec.msgpack.encode(whole))


# In -------------------------------------------------------------------------------------------


def _opened(data: bytes) -> Parcel:
    """What makes sense without an engine."""
    try:
        held = _DECODER.decode(unseal(data))
    except BAD_BYTES as error:
        raise SnapshotError(f"not a snapshot: {error}") from None
    if held.format != FORMAT:
        raise SnapshotError(f"a snapshot of format {held.format}, expected {FORMAT}")
    if len(held.of) != len(held.ids):
        raise SnapshotError(f"{len(held.of)} classes for {len(held.ids)} assets")
    if held.of and not 0 <= min(held.of) <= max(held.of) < len(held.rows):
        raise SnapshotError("an asset of no class")
    if held.given and not 0 <= min(held.given) <= max(held.given) < len(held.ids):
        raise SnapshotError("something is said of no asset")
    return held


def _adopt(engine: Engine, parcels: list[Parcel]) -> None:
    engine.enrol()
    _check(engine, parcels)
    begun = [held.started for held in parcels if held.started is not None]
    found = _found(engine, parcels)
    if begun:
        engine.start(min(begun))
    for held, parts in zip(parcels, found, strict=True):
        numbers = [_enter(engine, held, at) for at in range(len(held.ids))]
        engine.enrol()
        places, of = engine.places(numbers), np.array(held.of, np.int64)
        for at, (rows, part) in enumerate(zip(held.rows, parts, strict=True)):
            plant = engine.plants[engine.assets.classes.index(rows.cls)]
            put(plant, places[of == at], part)
            plant.touched[places[of == at]] = False
        if held.started is None and engine.started is not None:
            engine.begin([numbers[at] for at in held.given])


def _enter(engine: Engine, held: Parcel, at: int) -> int:
    """Takes an asset into the registry; its number."""
    asset = _asset(held, at)
    if asset is not None:
        return engine.assets.add(asset)
    cls = engine.assets.classes.index(held.rows[held.of[at]].cls)
    return engine.assets.hear(held.ids[at], cls)


def _asset(held: Parcel, at: int) -> Asset | None:
    """What the inventory says of an asset."""
    if at not in held.given:
        return None
    return Asset(held.ids[at], held.rows[held.of[at]].cls, *held.given[at])


def _check(engine: Engine, parcels: list[Parcel]) -> None:
    """Whether the engine can take these assets at all."""
    marks = {plant.cls.name: plant.mark for plant in engine.plants}
    seen: set[str] = set()
    for held in parcels:
        if held.zone != engine.zone:
            raise SnapshotError(f"of time zone {held.zone!r}, expected {engine.zone!r}")
        for rows in held.rows:
            if marks.get(rows.cls) != rows.mark:
                raise SnapshotError(f"the rules of class {rows.cls!r} are not those loaded")
        for asset in held.ids:
            if not is_asset_id(asset):
                raise SnapshotError(f"{asset!r} is no asset id")
            if asset in seen or asset in engine.assets:
                raise SnapshotError(f"asset {asset!r} is there already")
            seen.add(asset)
    if len(seen) + len(engine.assets) > MAX_ASSETS:
        raise SnapshotError(f"more than {MAX_ASSETS:,} assets")


def _found(engine: Engine, parcels: list[Parcel]) -> list[list[Found]]:
    """The rows of each class of each parcel. Programs are compiled once for all variants."""
    plants = {plant.cls.name: plant for plant in engine.plants}
    given: dict[str, list[Asset]] = {name: [] for name in plants}
    for held in parcels:
        for asset in (_asset(held, at) for at in held.given):
            if asset is not None:
                given[asset.cls].append(asset)
    try:
        for name, plant in plants.items():
            plant.make_room(given[name])
    except Refused as error:
        raise SnapshotError(f"an override that means nothing: {error}") from None
    return [
        [find(plants[rows.cls], rows, held.of.count(at)) for at, rows in enumerate(held.rows)]
        for held in parcels
    ]
