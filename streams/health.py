"""How a worker and its partitions do, as messages for `readings`: Tocsin watches itself. Pure.

    asset                       class              rules, see rules/packs/tocsin/fleet.yaml
    tocsin.partition.N          tocsin_partition   stands still, lags, refuses, snapshots fail, …
    tocsin.worker.NAME          tocsin_worker      silent, crashed, cut off, clock off, …
    tocsin.device.ASSET         tocsin_device      its clock is ahead or behind

A worker sends its report every REPORT_MS, and one more, `stopped`, when it stops in order. Alarms
of partition N must not wait for partition N, so its asset is one whose own partition is another:
`tocsin.partition.N`, else `tocsin.partition.N.b`, `.c`, … (with one partition there is no other).
A worker that dies is told of by whoever takes its partitions over; that all are gone must be seen
from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from string import ascii_lowercase

import msgspec

REPORT_MS = 5_000
PARTITION, WORKER, DEVICE = "tocsin_partition", "tocsin_worker", "tocsin_device"  # classes
OWN = "tocsin."                 # ids of assets of ours begin so

BEHIND_MS = 300_000             # a message so much older than its arrival: no way takes so long
HOLD_MS = 900_000               # a device is off until so long after its last such message
NAMED = 4                       # devices that are off and are named, of a partition: no flood
COUNTED = 1_000                 # devices that are off and are counted
MAX_NAME = 100                  # characters of a worker's name
MAX_ID = 128                    # characters of an asset's id (streams.decode)

PartitionOf = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Off:
    """A device whose times do not fit their arrival: ahead, or behind (negative), ms; 0: again they
    do."""

    asset: str
    skew_ms: int


@dataclass(frozen=True, slots=True)
class PartitionSeen:
    """What the owner of a partition sees of it."""

    number: int
    epoch: int                  # the owner's generation
    lag: int                    # records from the position to the end of `readings`
    stalled_ms: int             # records before it and no move, for so long; 0: it moves
    refused: int                # messages refused since it is owned
    snapshot_failures: int      # since the last that was written
    snapshot_age_ms: int        # age of the oldest change that is in no snapshot; 0 without one
    lag_ms: int | None = None   # age of the next record; 0 without one, None: not known
    skewed: int = 0             # devices that are off, `Skews.look`
    off: tuple[Off, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """What a worker sees of itself at an instant. Times are of its own clock, ms since 1970."""

    worker: str                 # a name that a restart does not change: its host's, its number
    now_ms: int
    started_ms: int
    partitions: tuple[PartitionSeen, ...]   # those that it owns
    skew_ms: int | None = None  # own clock less the brokers' (their stamp of a record just written)
    away_ms: int = 0            # without a broker, over since the last report
    deaths: int = 0             # coordination tasks that had to be started again, so far
    stopped: bool = False       # the last report


def reports(
    seen: Observed, partition_of: PartitionOf, classes: Container[str]
) -> list[tuple[str, bytes]]:
    """(key, message) pairs for `readings`. Those of classes that the rules do not have are left out
    (they would be refused).

    The messages have the brokers' time, where it is known, so that a worker whose clock is wrong
    can say so. Raises ValueError for a name that cannot be one.
    """
    t = seen.now_ms - (seen.skew_ms or 0)
    return [
        (asset, msgspec.json.encode({"asset": asset, "class": cls, "t": t, "values": values}))
        for asset, cls, values in _said(seen, partition_of)
        if cls in classes
    ]  # fmt: skip


Values = dict[str, float | bool]


def _said(seen: Observed, partition_of: PartitionOf) -> Iterator[tuple[str, str, Values]]:
    worker: Values = {
        "started": seen.started_ms / 1000, "stopped": seen.stopped, "away": seen.away_ms / 1000,
        "partitions": len(seen.partitions), "deaths": seen.deaths,
    }  # fmt: skip
    if seen.skew_ms is not None:
        worker["skew"] = seen.skew_ms / 1000
    yield worker_asset(seen.worker), WORKER, worker
    for one in seen.partitions:
        values: Values = {
            "stalled": one.stalled_ms / 1000, "lag": one.lag, "refused": one.refused,
            "snapshot_failures": one.snapshot_failures, "epoch": one.epoch,
            "snapshot_age": one.snapshot_age_ms / 1000, "skewed": one.skewed,
        }  # fmt: skip
        if one.lag_ms is not None:
            values["lag_age"] = one.lag_ms / 1000
        yield partition_asset(one.number, partition_of), PARTITION, values
        for device in one.off:
            ahead, behind = max(0, device.skew_ms) / 1000, max(0, -device.skew_ms) / 1000
            yield f"{OWN}device.{device.asset}", DEVICE, {"ahead": ahead, "behind": behind}


def partition_asset(number: int, partition_of: PartitionOf) -> str:
    """The asset of a partition: the first of its names that lies on another one, else the first."""
    name = f"{OWN}partition.{number}"
    names = (name, *(f"{name}.{letter}" for letter in ascii_lowercase[1:]))
    return next((one for one in names if partition_of(one) != number), name)


def worker_asset(name: str) -> str:
    """The asset of a worker. Raises ValueError."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"a worker's name has 1 to {MAX_NAME} printable characters, found "
                         f"{name[:MAX_NAME]!r}; give it another")  # fmt: skip
    return f"{OWN}worker.{name}"


class Skews:
    """Which devices of a partition send times that do not fit their arrival. Bounded.

    Honest as far as it goes: what is ahead (refused as `future`) can only be a wrong clock; what is
    behind may also come from a gateway that had stored it, which ends. So a device counts as off
    until HOLD_MS after its last such message, and the rule for `behind` waits longer than that.
    Of many at once the first NAMED have messages of their own, until they are well again.
    """

    def __init__(self) -> None:
        self._off: dict[str, tuple[int, int]] = {}   # asset -> when, skew; of the last message
        self._named: set[str] = set()

    def note(self, asset: str, skew_ms: int, now_ms: int) -> None:
        """A message of an asset was ahead of its arrival (and refused), or BEHIND_MS behind it
        (negative). Assets of ours are watched otherwise."""
        if not asset.startswith(OWN) and (asset in self._off or len(self._off) < COUNTED):
            self._off[asset] = now_ms, skew_ms

    def look(self, now_ms: int) -> tuple[int, tuple[Off, ...]]:
        """How many are off (COUNTED: or more), and what to say of those that are named."""
        well = {asset for asset, (at, _) in self._off.items() if not 0 <= now_ms - at < HOLD_MS}
        for asset in well:
            del self._off[asset]
        said = [Off(asset, 0) for asset in sorted(self._named & well)]
        self._named -= well
        for asset in self._off:
            if len(self._named) >= NAMED:
                break
            if len(OWN) + len("device.") + len(asset) <= MAX_ID:
                self._named.add(asset)
        said += [Off(asset, self._off[asset][1]) for asset in sorted(self._named)]
        return len(self._off), tuple(said)
