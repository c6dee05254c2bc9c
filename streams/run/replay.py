"""A replay: data of the past through the engine, faster than it came, with the same outcome.

Messages are taken in their order in the file. Only an asset's own messages and ticks move its
clock, and at the end `until`, whose instants run too. Groups see what happened sorted by time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rules.model import Asset, Pack
from rules.records import Refusal, Transition
from streams.assets import Assets
from streams.intake import Intake
from streams.run.lines import LineError, Order, Tick, command, control, read
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
    reasons: Counter[str] = field(default_factory=Counter)  # of all that was refused
    undecided: dict[str, list[str]] = field(default_factory=dict)  # rule -> assets, at the end

    def refuse(self, line: int, reason: str, what: str) -> None:
        """Counts what could not be used."""
        self.reasons[reason] += 1
        self.tell(line, what)

    def tell(self, line: int, what: str) -> None:
        """Keeps what there is to say about a line, unless it is too much."""
        if len(self.refused) < MAX_TOLD:
            self.refused.append((line, what))


def replay(
    pack: Pack,
    data: Path,
    *,
    inventory: Sequence[Asset] = (),
    zone: str = "UTC",
    until: int | None = None,
) -> Replay:
    """Runs the data of a file. Raises DataError when there is nothing that can be run."""
    start = _first_time(pack, data, inventory) if inventory else None
    run = _Run(pack, Site(pack, zone, inventory, start))
    with _open(data) as file:
        for number, line in read(file):
            run.line(number, line)
    run.finish(data, until)
    return run.outcome


@dataclass(slots=True)
class _Run:
    """The lines of a replay on their way into the site; messages are gathered to batches."""

    pack: Pack
    site: Site
    outcome: Replay = field(default_factory=Replay)
    last: int | None = None
    numbers: list[int] = field(default_factory=list)  # of the lines gathered
    gathered: list[bytes] = field(default_factory=list)

    def line(self, number: int, line: bytes) -> None:
        """Takes one line; what cannot be used is noted, nothing stops the run."""
        self.outcome.lines += 1
        try:
            item = control(line)
            if item is None:
                self.gather(number, line)
            elif isinstance(item, Tick):
                self.flush()
                self.reach(item.t)
                self.outcome.transitions += self.site.tick(item.t)
            else:
                self.flush()
                self.reach(item.t)
                self.order(number, item)
        except LineError as error:
            self.outcome.refuse(number, "bad_command", str(error))

    def gather(self, number: int, line: bytes) -> None:
        """Keeps a message for the next batch."""
        self.numbers.append(number)
        self.gathered.append(line)
        if len(self.gathered) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Gives what was gathered to the site."""
        if not self.gathered:
            return
        numbers = self.numbers
        scanned = self.site.scan(b"\n".join(self.gathered))
        for refused in scanned.refused:
            about = f" {refused.signal}" if refused.signal else ""
            found = f": {refused.found}" if refused.found else ""
            what = f"{refused.reason.value}{about}{found}"
            self.outcome.tell(numbers[refused.position], what)
        for reason, count in scanned.counts.items():
            self.outcome.reasons[reason.value] += count
        if len(scanned.batch.t):
            self.reach(int(scanned.batch.t.max()))
            self.outcome.transitions += self.site.batch(scanned.batch)
        self.numbers, self.gathered = [], []

    def reach(self, t: int) -> None:
        """Keeps the last time in the data."""
        self.last = t if self.last is None else max(self.last, t)

    def order(self, number: int, order: Order) -> None:
        """Carries out a command; one to a group waits for its time."""
        assets = self.site.assets
        groups = frozenset(group.id for group in self.pack.groups)
        made = command(order, groups, assets[0] if len(assets) == 1 else None)

        def told(refusal: Refusal | None) -> None:
            if refusal is not None:
                self.outcome.refuse(number, "refused_command", refusal.reason)

        if made.group:
            self.site.schedule(made, order.t, told)
        else:
            refusal, transitions = self.site.command(made, order.t)
            told(refusal)
            self.outcome.transitions += transitions

    def finish(self, data: Path, until: int | None) -> None:
        """Runs what is left and sorts what came out."""
        self.flush()
        if self.last is None:
            what = "none of its lines can be used" if self.outcome.lines else "it has no lines"
            first = f" (line {self.outcome.refused[0][0]}: {self.outcome.refused[0][1]})" if (
                self.outcome.refused
            ) else ""
            raise DataError(f"{data}: {what}{first}; expected one JSON object a line")
        end = self.last if until is None else until
        self.outcome.transitions += self.site.run_until(end)
        self.outcome.undecided = self.site.engine.undecided(end)
        self.outcome.transitions.sort(key=lambda x: (x.t, x.asset, x.rule, x.kind))


def _first_time(pack: Pack, data: Path, inventory: Sequence[Asset]) -> int | None:
    """The smallest time of what is not refused, by a reading of its own."""
    run = _First(Intake(pack, _registry(pack, inventory)))
    with _open(data) as file:
        for _, line in read(file):
            run.line(line)
    run.flush()
    return run.first


@dataclass(slots=True)
class _First:
    """Looks for the smallest time."""

    intake: Intake
    first: int | None = None
    gathered: list[bytes] = field(default_factory=list)

    def line(self, line: bytes) -> None:
        try:
            item = control(line)
        except LineError:
            return
        if item is not None:
            self.reach(item.t)
        else:
            self.gathered.append(line)
            if len(self.gathered) >= BATCH:
                self.flush()

    def flush(self) -> None:
        batch = self.intake.scan(b"\n".join(self.gathered)).batch
        if len(batch.t):
            self.reach(int(batch.t.min()))
        self.gathered = []

    def reach(self, t: int) -> None:
        self.first = t if self.first is None else min(self.first, t)


def _registry(pack: Pack, inventory: Sequence[Asset]) -> Assets:
    assets = Assets(pack)
    for asset in inventory:
        assets.add(asset)
    return assets


def _open(data: Path) -> BinaryIO:
    try:
        return data.open("rb")
    except OSError as error:
        raise DataError(f"{data}: {error.strerror}") from None
