"""What `tocsin run` plays: the demo's scene, or files of the user.

Raised: SourceError, when there is no such file or nothing in it that the rules know.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from connectors.files import Recording, class_of, has_times, merged, messages
from connectors.simulators import lift
from rules.model import Asset, AssetClass, Pack
from rules.records import Message
from streams.run.orders import Orders, read_orders

HOME = Path(__file__).resolve().parents[2]
DEMO = HOME / "deploy" / "demo"
#: The packs of the demo, and of files when the user names no rules.
PACKS = tuple(HOME / "rules" / "packs" / name for name in ("reactor", "machine", "lift"))
#: Tocsin's rules about itself.
TOCSIN = HOME / "rules" / "packs" / "tocsin"

_MIN, _HOUR, _DAY = 60_000, 3_600_000, 86_400_000
START = round(datetime(2026, 3, 2, 6, tzinfo=UTC).timestamp() * 1000)
LENGTH = 16 * _HOUR

#: Demo: file, asset, class, how far into the recording the scene begins. See deploy/demo/README.md.
RECORDINGS = (
    ("tep/d06_te.dat.gz", "R-601", "reactor", 6 * _HOUR),  # the A feed is lost 2 h later
    ("tep/d00_te.dat.gz", "R-602", "reactor", 6 * _HOUR),
    ("nab/machine_temperature_system_failure.csv.gz", "M-301", "machine",
     66 * _DAY + 9 * _HOUR + 45 * _MIN),                   # 2014-02-07 07:00
)  # fmt: skip

#: Demo: kind, lift, minute at which, minutes for which.
INCIDENTS = lift.incidents_of([
    ("door_held", 2, 12, 15),
    ("entrapment", 3, 30, 50),
    ("offline", 6, 150, 25),
    ("overspeed", 5, 300, 0),
    ("door_held", 1, 520, 10),
    ("entrapment", 4, 640, 18),
])  # fmt: skip


class SourceError(Exception):
    """There is nothing to play."""


@dataclass(frozen=True)
class Source:
    """Messages from `start` to `end` (ms). `identity` tells one source from another."""

    title: str
    identity: str
    start: int
    end: int
    play: Callable[[], Iterator[Message]]
    inventory: Sequence[Asset] = ()
    orders: Orders = ()

    def after(self, position: int) -> Iterator[Message]:
        """The messages later than `position`, which is an instant that was played to its end."""
        return (message for message in self.play() if message.t > position)


def demo(pack: Pack) -> Source:
    """The demo: two reactors, a machine, a bank of lifts. Raises SourceError."""
    recordings = [
        Recording(DEMO / name, asset, cls, START, skip, _signals(pack, cls, name))
        for name, asset, cls, skip in RECORDINGS
    ]
    if missing := [r.path for r in recordings if not r.path.is_file()]:
        raise SourceError(
            f"{missing[0]}: the demo's recording is missing; run from a checkout of Tocsin, or "
            "name recordings of your own with --data"
        )
    bank = lift.Bank(START, LENGTH, incidents=INCIDENTS)
    _signals(pack, "lift", "the lift simulator")

    def play() -> Iterator[Message]:
        streams = [*(messages(r) for r in recordings), lift.messages(bank)]
        for message in merged(streams):
            if message.t > START + LENGTH:
                return
            yield message

    assets = [Asset(r.asset, r.cls) for r in recordings]
    assets += [Asset(f"{bank.prefix}{i + 1}", "lift") for i in range(bank.lifts)]
    orders = read_orders(DEMO / "operators.jsonl")
    return Source("demo", "demo 2", START, START + LENGTH, play, assets, orders)


def files(paths: Sequence[Path], pack: Pack) -> Source:
    """Files of the user, read once to the end before anything is played.

    Raises SourceError, and RecordingError of connectors.files.
    """
    found = [_recording(path, pack) for path in paths]
    begun = [
        first.t
        for recording in found
        if has_times(recording.path) and (first := next(messages(recording), None))
    ]
    start = min(begun, default=START)
    found = [r if has_times(r.path) else replace(r, start=start) for r in found]
    end = start
    for recording in found:
        message = None
        for message in messages(recording):
            if message.cls not in pack.classes:
                raise _no_class(message.cls, f"asset {message.asset} in {recording.path}", pack)
        if message is None:
            raise SourceError(f"{recording.path}: no messages in it")
        end = max(end, message.t)
    identity = json.dumps([[r.path.name, r.path.stat().st_size, r.asset] for r in found])
    title = ", ".join(r.path.name for r in found)
    return Source(title, identity, start, end, lambda: merged([messages(r) for r in found]))


def _recording(path: Path, pack: Pack) -> Recording:
    asset = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    cls = class_of(path)
    if cls is None:
        return Recording(path, asset, "")
    return Recording(path, asset, cls, signals=_signals(pack, cls, str(path)))


def _signals(pack: Pack, cls: str, of: str) -> Mapping[str, object]:
    found: AssetClass | None = pack.classes.get(cls)
    if found is None:
        raise _no_class(cls, of, pack)
    return found.signals


def _no_class(cls: str, of: str, pack: Pack) -> SourceError:
    known = ", ".join(sorted(pack.classes)) or "none"
    return SourceError(
        f"{of}: of class {cls!r}, which no rules describe (classes of these rules: {known}); "
        "add a pack that has it with --rules"
    )
