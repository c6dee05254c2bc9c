"""Records in, messages in columns out, and which records the fast way left over. Pure.

Holds what the compiled loop of `streams.scan_kernel` reads against: tables of the classes' names,
made once, and of the assets' ids, which grows with the registry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rules.model import AssetClass
from streams import scan_kernel as kernel
from streams.assets import Assets
from streams.scan_kernel import Output, World
from streams.scan_tables import Codes, IdTable, Names, make_codes, make_names

_KINDS = {
    "number": kernel.NUMBER,
    "bool": kernel.BOOL,
    "states": kernel.STATES,
    "events": kernel.EVENTS,
}


@dataclass(frozen=True, eq=False)
class Taken:
    """What the fast way took of the records, in their order, and what it left over.

    line: int64[n] — number of the record
    asset: int32[n]; t: int64[n] ms; first: int32[n+1]; slot: int32[k]; value: float64[k]
    rest: (number, bytes) of each record left over
    """

    line: npt.NDArray[np.int64]
    asset: npt.NDArray[np.int32]
    t: npt.NDArray[np.int64]
    first: npt.NDArray[np.int32]
    slot: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    rest: list[tuple[int, bytes]]


class Scanner:
    """Reads the common messages of known assets; changes neither the registry nor anything."""

    def __init__(self, assets: Assets, classes: list[AssetClass]) -> None:
        self._assets = assets
        self._ids = IdTable()
        self._names, self._codes = _tables(classes)
        signals = [signal for cls in classes for signal in cls.signals.values()]
        kinds = [kernel.CLOSED if one.operator else _KINDS[one.kind] for one in signals]
        slots = [slot for cls in classes for slot in cls.slots().values()]
        self._signal = np.array([kinds, slots], np.int64).T.copy()
        self._range = np.array([(one.low, one.high) for one in signals]).reshape(-1, 2)
        self._range[self._signal[:, 0] == kernel.EVENTS] = -np.inf, np.inf
        self._max_ahead = np.array([cls.max_ahead for cls in classes], np.int64)
        self._hint = np.full(len(signals) + len(classes), -1, np.int64)
        self._out = _room(0, 0)

    def scan(self, data: bytes | list[bytes], now: int | None) -> Taken:
        """Read records (see `streams.intake.Intake.scan`); nothing is changed by it."""
        if isinstance(data, bytes):
            whole, count = data + b"\n", data.count(b"\n") + 1
            ends = np.zeros(0, np.int64)
        else:
            whole, count = b"\n".join([*data, b""]), len(data)
            ends = np.cumsum(np.fromiter(map(len, data), np.int64, count) + 1) - 1
        if count > len(self._out.line) or len(whole) > 3 * len(self._out.slot):
            self._out = _room(2 * count, 2 * len(whole))
        out = self._out
        # As plain Python the loop wants plain integers out of the buffer, which cannot overflow.
        buffer = np.frombuffer(whole, np.uint8) if hasattr(kernel.scan, "py_func") else whole
        arrival = kernel.NO_ARRIVAL if now is None else now
        n, k, r = kernel.scan(buffer, len(whole), ends, arrival, self._world(), out)
        return Taken(
            line=out.line[:n].copy(),
            asset=out.asset[:n].copy(),
            t=out.t[:n].copy(),
            first=out.first[: n + 1].copy(),
            slot=out.slot[:k].copy(),
            value=out.value[:k].copy(),
            rest=[(line, whole[begin:end]) for line, begin, end in out.rest[:r].tolist()],
        )

    def _world(self) -> World:
        return World(
            names=self._names,
            codes=self._codes,
            signal=self._signal,
            range=self._range,
            max_ahead=self._max_ahead,
            ids=self._ids.names(self._assets.ids, self._assets.cls),
            mark=np.full(len(self._signal), -1, np.int64),
            hint=self._hint,
        )


def _tables(classes: list[AssetClass]) -> tuple[Names, Codes]:
    """The tables of names and codes, in the spaces that `scan_kernel.World` tells of."""
    names = [(kernel.CLASSES, cls.name, i) for i, cls in enumerate(classes)]
    codes = []
    number = 0
    for i, cls in enumerate(classes):
        events = cls.event_slots()
        for name, signal in cls.signals.items():
            names.append((1 + i, name, number))
            states = 1 + len(classes) + number
            names += [(states, state, code) for state, code in signal.names.items()]
            codes += [
                (number, code, events.get((name, code), code))
                for code in dict.fromkeys(signal.names.values())
            ]
            number += 1
    return make_names([(space, name.encode(), value) for space, name, value in names]), make_codes(
        codes
    )


def _room(messages: int, size: int) -> Output:
    """Columns for that many records of `size` bytes: a value takes six, an event two places."""
    return Output(
        line=np.empty(messages, np.int64),
        asset=np.empty(messages, np.int32),
        t=np.empty(messages, np.int64),
        first=np.empty(messages + 1, np.int32),
        slot=np.empty(size // 3 + 2, np.int32),
        value=np.empty(size // 3 + 2, np.float64),
        rest=np.empty((messages, 3), np.int64),
    )
