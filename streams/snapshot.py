"""All of an engine's state as bytes, and back.

The bytes are msgpack: a header that says what they fit (format, pack, zone), the assets, and each
class's arrays. They are refused when they do not fit: state means nothing without the layout that
it was written under. To go on with an edited pack, restore under the old one and activate the new.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from rules import layout as k
from rules.compile import Compiled
from rules.model import Asset
from streams.plant import Plant

FORMAT = 1


class SnapshotError(ValueError):
    """A snapshot that does not fit, or is no snapshot: start from an older one, or from nothing."""


def fingerprint(compiled: Compiled) -> str:
    """What a class's state depends on: programs, layout, signals, the names of rules."""
    digest = hashlib.sha256()
    for table in compiled.program:
        if table is not compiled.program.reg:
            digest.update(np.ascontiguousarray(table).tobytes())
    named = (list(compiled.cls.signals), list(compiled.index), list(compiled.attributes))
    digest.update(repr((k.WINDOW_SAMPLES, named, compiled.texts, compiled.width)).encode())
    return digest.hexdigest()


def dump_plant(plant: Plant) -> dict[str, Any]:
    """One class's rows."""
    memory, n = plant.memory, plant.count
    arrays = {name: getattr(memory, name)[:n] for name in Plant.ROWS}
    arrays["pool"] = memory.pool[: int(memory.heads[0])]
    arrays["heads"] = memory.heads
    return {
        "fingerprint": fingerprint(plant.compiled),
        "rows": n,
        "given": {str(row): msgspec.to_builtins(asset) for row, asset in plant.given.items()},
        "arrays": {name: np.ascontiguousarray(a).tobytes() for name, a in arrays.items()},
    }


def load_plant(plant: Plant, data: dict[str, Any]) -> None:
    """Fills an empty plant of the same class. Raises SnapshotError when it does not fit."""
    rows = int(data["rows"])
    given = {int(row): msgspec.convert(asset, Asset) for row, asset in data["given"].items()}
    plant.add([given.get(row) for row in range(rows)])
    if data["fingerprint"] != fingerprint(plant.compiled):
        raise SnapshotError(
            f"the snapshot's rules of class {plant.cls.name!r} are not those that are loaded"
        )
    arrays: dict[str, bytes] = data["arrays"]
    used = len(arrays["pool"]) // plant.memory.pool.itemsize
    while used > len(plant.memory.pool):
        plant.deepen()
    for name in (*Plant.ROWS, "heads"):
        to = getattr(plant.memory, name)
        _fill(to[:rows] if name != "heads" else to, arrays[name], name)
    _fill(plant.memory.pool[: int(plant.memory.heads[0])], arrays["pool"], "pool")


def _fill(to: npt.NDArray[np.generic], data: bytes, name: str) -> None:
    found = np.frombuffer(data, to.dtype)
    if found.size != to.size:
        raise SnapshotError(f"{name} has {found.size} values, expected {to.size}")
    to[:] = found.reshape(to.shape)


def encode(header: dict[str, Any]) -> bytes:
    """The whole snapshot as bytes, with its digest."""
    body = msgspec.msgpack.encode(header)
    return hashlib.sha256(body).digest() + body


def decode(data: bytes) -> dict[str, Any]:
    """The snapshot's content. Raises SnapshotError for anything but a whole snapshot."""
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        raise SnapshotError("not a snapshot, or not whole")
    header: dict[str, Any] = msgspec.msgpack.decode(data[32:])
    if header.get("format") != FORMAT:
        raise SnapshotError(f"a snapshot of format {header.get('format')!r}, expected {FORMAT}")
    return header
