"""A replay: data of the past through the engine, faster than it came, with the same outcome.

Messages are taken in their order in the file. Only an asset's own messages and ticks move its
clock, and at the end `until`, whose instants run too. Groups see what happened sorted by time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from rules.model import Asset, Pack
from streams.records import Message, Refusal, Transition
from streams.run.lines import Data, LineError, Order, Tick, command, parse, read
from streams.site import Site

#: Messages given to the engine at once.
BATCH = 10_000

#: Refused lines told one by one; further ones are only counted.
MAX_TOLD = 1_000


class DataError(Exception):
    """The data as a whole cannot be used."""


@dataclass(slots=True)
class Replay:
    """What came out: transitions sorted by t, asset or group, rule and kind."""

    transitions: list[Transition] = field(default_factory=list)
    lines: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)  # (line, why), at most MAX_TOLD
    refused_total: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def refuse(self, line: int, why: str) -> None:
        """Counts a line that could not be used."""
        self.refused_total += 1
        if len(self.refused) < MAX_TOLD:
            self.refused.append((line, why))


@dataclass(frozen=True, slots=True)
class _Extent:
    """What a first reading of the data gives."""

    first: int
    last: int
    only_asset: str | None  # the asset, if there is one only


def replay(
    pack: Pack,
    data: Path,
    *,
    inventory: Sequence[Asset] = (),
    zone: str = "UTC",
    until: int | None = None,
) -> Replay:
    """Runs the data of a file. Raises DataError when there is nothing that can be run."""
    outcome = Replay()
    extent = _extent(pack, data, inventory)
    site = Site(pack, zone, inventory, extent.first)
    _Run(pack, site, extent, outcome).file(data)
    outcome.transitions += site.run_until(extent.last if until is None else until)
    outcome.transitions.sort(key=lambda x: (x.t, x.asset, x.rule, x.kind))
    return outcome


def _extent(pack: Pack, data: Path, inventory: Sequence[Asset]) -> _Extent:
    """The first and last time of what counts: not of archived messages nor of wrong clocks."""
    first, last, lines = None, 0, 0
    assets = {asset.id for asset in inventory}
    with _open(data) as file:
        for _, line in read(file):
            lines += 1
            try:
                item = parse(line)
            except LineError:
                continue
            if isinstance(item, Data):
                cls = pack.classes.get(item.cls)
                if item.historical or cls is None:
                    continue
                if item.arrival is not None and item.t > item.arrival + cls.max_ahead:
                    continue
                if len(assets) < 2:
                    assets.add(item.asset)
            first = item.t if first is None else min(first, item.t)
            last = max(last, item.t)
    if first is None:
        what = "no line of it can be used" if lines else "it holds no lines"
        raise DataError(f"{data}: {what}; expected one JSON object a line")
    return _Extent(first, last, min(assets) if len(assets) == 1 else None)
