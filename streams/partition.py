"""One partition of a fleet: a share of the site on duty, fed by topics. Pure.

What comes in is played in beats: a batch of readings, an order, a tick of the clock, facts for
groups, rules that take over. Each beat gives the contents of its records, and each record says its
beat (`Position`), so that the beats that decided anything can be played again from the topics:
those in between decided nothing, and may be played in any portions. One kind of beat decides
nothing and matters all the same: a tick that makes readings late that come after it. It has a
record of its own (`tick`), once such readings have come.

Groups do not follow the partition's clock. Every partition says how far it is (a mark), and groups
go as far as all of them: so what a partition says of its assets is never too late to be counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from rules.model import Asset, Pack
from rules.records import Change, Command
from streams.alarms import Key
from streams.contents import Content
from streams.duty import Duty, Edition
from streams.feed import Mark, Said, fact_of
from streams.groups import Total
from streams.health import BEHIND_MS
from streams.intake import Batch, Scanned
from streams.ledger import Chain
from streams.pace import UNKNOWN
from streams.plant import Programs
from streams.reasons import Reason
from streams.render import rfc3339
from streams.share import Share

Driver = Literal["begin", "readings", "commands", "group-feed", "tick", "late", "rules", "assets"]

#: Not worth keeping: known to be no good, or of no use by design. They are counted.
EXPECTED = frozenset({Reason.BAD_QUALITY, Reason.HISTORICAL, Reason.UNKNOWN_EVENT})
INPUTS = ("readings", "commands", "group-feed")     # the topics that a partition is fed by


class Arrived(Protocol):
    """A record of a topic. `timestamp`: when the broker took it, in ms UTC."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """See above."""

    @property
    def value(self) -> bytes | None:
        """As produced; None: a tombstone."""


class Place(NamedTuple):
    """Which partition of how many, and where keys belong: key -> partition."""

    number: int
    total: int
    of: Callable[[str], int]

    def has(self, key: str) -> bool:
        """Whether a key belongs here."""
        return self.of(key) == self.number


class Position(msgspec.Struct):
    """How far a partition has come: the next offset of each topic, and the system's clock (ms)."""

    readings: int = 0
    commands: int = 0
    feed: int = 0
    clock: int = UNKNOWN

    @property
    def next(self) -> tuple[int, int, int]:
        """The next offsets, in the order of INPUTS."""
        return self.readings, self.commands, self.feed


@dataclass(frozen=True, slots=True)
class Unused:
    """A record that was not used, or not all of it: its offset, why, and what was found."""

    offset: int
    reason: str
    detail: str = ""
    asset: str = ""


@dataclass(slots=True)
class Beat:
    """What came of a beat: contents in the ledger's order, facts for groups, records not used."""

    contents: list[Content] = field(default_factory=list)
    facts: list[tuple[int, Said]] = field(default_factory=list)     # each with its partition
    unused: list[Unused] = field(default_factory=list)
    skewed: list[tuple[str, int]] = field(default_factory=list)     # devices: asset, ms ahead


class Partition(Duty):
    """A duty over the assets and group keys of one partition. `start` as of `Duty`, `programs` as
    of `Site`."""

    site: Share

    def __init__(
        self, edition: Edition, place: Place, zone: str = "UTC", start: int = 0,
        site: Share | None = None, programs: Programs | None = None,
    ) -> None:
        site = site or Share(edition.pack, zone, start=start, programs=programs, mine=place.has)
        super().__init__(edition, zone, site.inventory, start, site)
        self.place = place
        self.at = Position(clock=start)
        self.chain = Chain()
        self.counts: Counter[str] = Counter()       # records and values not used, by reason
        self.changed: dict[Key, set[str]] = {}      # points changed since their rows were shown,
                                                    # with the alarms …
        self.cut_points: set[Key] = set()           # … and since they were cut
        self.cut_whole = False                      # rules took over: assets may be gone
        self.facts_told = 0                         # facts sent, ever
        self.heard: dict[int, int] = {}             # by partition: the last fact taken from it
        self.marks: dict[int, int] = {}             # by partition: how far it is (ms)
        self._beat: tuple[Driver, int] = "begin", 0     # what drives the beat, its first offset
        self.eldest: int | None = None              # time (ms) of the last batch's first reading
        self.noted = start                         # the clock that the ledger knows of
        self._use(edition.pack)

    def _use(self, pack: Pack) -> None:
        classes = list(pack.classes.values())
        self._lateness = max((cls.lateness for cls in classes), default=0)
        self._soonest = min((cls.lateness for cls in classes), default=0)
        self._ahead = np.array([cls.max_ahead for cls in classes], np.int64)

    @property
    def mark(self) -> int:
        """How far it is (ms): nothing will be said any more of what happened before."""
        return self.clock + 1

    @property
    def groups_to(self) -> int:
        """How far all partitions are (ms)."""
        if len(self.marks) < self.place.total:
            return UNKNOWN
        return min(self.marks.values())

    # Beats ------------------------------------------------------------------------------------

    def opened(self, by: str, request: str = "") -> Beat:
        """The first beat: which rules hold."""
        self._beat = "begin", 0
        beat = Beat([self._placed(self._activation(self.clock + 1, by, request))])
        self.site.begin()
        self._gather(beat)
        return beat

    def read(self, records: Sequence[Arrived]) -> Beat:
        """A batch of readings, the next ones of their topic."""
        beat, first = Beat(), records[0].offset
        scanned = self.site.scan([record.value or b"" for record in records])
        self.site.engine.enrol()      # also those of which nothing can be used: they are cut, too
        batch = self._punctual(scanned, records, beat)
        self.eldest = int(batch.t.min()) if len(batch) else None
        self._stale(batch, records, beat)
        self._refuse(scanned, records, beat)
        if self._makes_late(batch):
            self.at.readings = first
            beat.contents.append(self.note())
        self.at.readings = records[-1].offset + 1
        self._beat = "readings", first
        self._say(beat, self._changes(self.site.batch(batch)))
        return beat

    def tick(self, now: int) -> Beat:
        """The system's clock stands at `now` (ms): what fell due before it less the lateness."""
        beat = Beat()
        if now <= self.at.clock:
            return beat
        made = self.site.tick(now)
        self.at.clock, self.clock = now, max(self.clock, now - self._lateness - 1)
        self._beat = "tick", 0
        changes = self._changes(made) + self._clocks()
        self._say(beat, changes)
        if beat.contents:
            self.noted = now
        return beat

    def note(self) -> Content:
        """The record of a tick that mattered though it decided nothing."""
        self._beat, self.noted = ("late", 0), self.at.clock
        t = self.at.clock
        return self._placed({"type": "tick", "t_ms": t, "time": rfc3339(t)})

    def feed(self, records: Sequence[Arrived]) -> Beat:
        """Facts and marks for groups, the next ones of their topic."""
        beat, changes = Beat(), list[Change]()
        self._beat = "group-feed", records[0].offset
        for record in records:
            said = fact_of(record.value or b"", self.place.total)
            if said is None:
                beat.unused.append(Unused(record.offset, "not_a_fact"))
            elif isinstance(said, Mark):
                changes += self._marked(said)
            elif said.n > self.heard.get(said.source, 0):     # else told again after a crash
                self.heard[said.source] = said.n
                if isinstance(said.fact, Total):
                    self.site.total(said.source, said.fact)
                else:
                    self.site.feed([said.fact])
        self.at.feed = records[-1].offset + 1
        self._say(beat, changes)
        return beat

    def _marked(self, mark: Mark) -> list[Change]:
        """Groups go on as far as all have come, at once: the same in any portions, also where a
        fact comes behind the mark."""
        before = self.groups_to
        self.marks[mark.source] = max(mark.to, self.marks.get(mark.source, UNKNOWN))
        if self.groups_to == before:
            return []
        return self._changes(self.site.advance(self.groups_to)) + self._clocks()

    def _clocks(self) -> list[Change]:
        """Runs the clocks of alarms as far as all has come. It is the same after a tick and facts
        as after facts and a tick, so their order does not matter when they are played again."""
        return self.alarms.advance(self.clock, self.groups_to - 1)

    def _tidy(self) -> None:
        """Forgets what is finished, before anybody can ask for it: a partition that is played again
        has had fewer ticks to do so."""
        self.alarms.book.tidy(min(self.clock, self.groups_to - 1))

    def order(self, command: Command, t: int, after: int) -> tuple[Beat, Content]:
        """An operator's order at `t`, the record before the offset `after`; with its result."""
        beat = Beat()
        self._tidy()
        self.at.commands = after
        self._beat = "commands", after - 1
        answer, contents = self.command(command, t)
        beat.contents += [self._placed(one) for one in contents]
        self._seen(contents)
        self._gather(beat)
        return beat, answer

    def instant(self, command: Command, arrival: int) -> int:
        """When an order takes effect that arrived then (ms): after all that it may be about."""
        key, _ = self.alarms.about(command)
        point = self.alarms.book.points.get(key)
        raised = max(point.open, default=0) if point is not None else 0
        return max(arrival, self.clock + 1, raised)

    def rules(self, edition: Edition, by: str, request: str, t: int) -> Beat:
        """An edited pack takes over at `t`."""
        beat = Beat()
        self._tidy()
        self._beat = "rules", 0
        contents = self.activate(edition, by, request, t)
        self._use(edition.pack)
        self.cut_whole = True
        self.inventory = self.site.inventory
        beat.contents += [self._placed(one) for one in contents]
        self._seen(contents)
        self._gather(beat)
        return beat

    def assets(
        self, put: Sequence[Asset], gone: Sequence[str], by: str, request: str, t: int
    ) -> Beat:
        """The inventory changes at `t`, see `Duty.stock`. Raises AssetError."""
        beat = Beat()
        self._tidy()
        self._beat = "assets", 0
        known = any(self.site.class_of(asset.id) is not None for asset in put)
        contents = self.stock(put, gone, by, request, t)
        self.cut_whole |= known or bool(gone)
        beat.contents += [self._placed(one) for one in contents]
        self._seen(contents)
        self._gather(beat)
        return beat

    # What comes of them -----------------------------------------------------------------------

    def _say(self, beat: Beat, changes: list[Change]) -> None:
        changes.sort(key=lambda x: (x.t, x.asset, x.rule))      # stable: the same at any pace
        contents = self._alerts(changes)
        self._seen(contents)
        beat.contents += contents
        self._gather(beat)

    def _seen(self, contents: Iterable[Content]) -> None:
        for content in contents:
            if content["type"] == "alert":
                key = content["rule"], content["asset"]
                self.changed.setdefault(key, set()).add(content["alarm"])
                self.cut_points.add(key)

    def _gather(self, beat: Beat) -> None:
        """What groups count of it, for the partitions of their keys."""
        for fact in self.site.take():
            self.facts_told += 1
            said = Said(self.place.number, self.facts_told, fact)
            beat.facts.append((self.place.of(fact.key), said))

    def _position(self) -> dict[str, Any]:
        driver, first = self._beat
        return {"beat": driver, "from": first, **dict(zip(INPUTS, self.at.next, strict=True)),
                "clock_ms": self.at.clock}

    def _placed(self, content: Content) -> Content:
        return content if "position" in content else {**content, "position": self._position()}

    # Readings ---------------------------------------------------------------------------------

    def _makes_late(self, batch: Batch) -> bool:
        """Whether a tick that the ledger does not tell of makes any of these readings late."""
        unnoted = self.at.clock > self.noted and len(batch) > 0
        return unnoted and int(batch.t.min()) <= self.at.clock - self._soonest

    def _punctual(self, scanned: Scanned, records: Sequence[Arrived], beat: Beat) -> Batch:
        """The messages without those whose time is too far ahead of their arrival."""
        batch = scanned.batch
        oldest = min(record.timestamp for record in records)      # of any portion: stamps may leap
        if not len(batch) or batch.t.max() <= oldest + self._ahead.min():
            return batch
        arrival = np.array([record.timestamp for record in records], np.int64)[batch.position]
        ahead = self._ahead[self.site.engine.assets.cls[batch.asset]]
        good = batch.t <= arrival + ahead
        bad = np.nonzero(~good)[0]
        self.counts[Reason.FUTURE.value] += len(bad)
        _, first = np.unique(batch.position[bad], return_index=True)    # a record once
        for i in bad[first].tolist():
            asset = self.site.assets[int(batch.asset[i])]
            detail = f"{int(batch.t[i] - arrival[i]):,} ms ahead of its arrival"
            offset = records[int(batch.position[i])].offset
            beat.unused.append(Unused(offset, Reason.FUTURE.value, detail, asset))
            beat.skewed.append((asset, int(batch.t[i] - arrival[i])))
        return _only(batch, good)

    def _stale(self, batch: Batch, records: Sequence[Arrived], beat: Beat) -> None:
        """Notes devices whose times are so far behind their arrival that their clocks may be."""
        if len(batch) and batch.t.min() < records[-1].timestamp - BEHIND_MS:
            arrival = np.array([record.timestamp for record in records], np.int64)[batch.position]
            behind = np.nonzero(batch.t < arrival - BEHIND_MS)[0]
            _, first = np.unique(batch.asset[behind], return_index=True)
            beat.skewed += [(self.site.assets[int(batch.asset[i])], int(batch.t[i] - arrival[i]))
                            for i in behind[first].tolist()]

    def _refuse(self, scanned: Scanned, records: Sequence[Arrived], beat: Beat) -> None:
        """Notes the records that were not used, each once, however many reasons there are."""
        if not scanned.counts:
            return
        for reason, count in scanned.counts.items():
            self.counts[reason.value] += count
        found = {one.offset for one in beat.unused}
        refused = scanned.refused
        if scanned.counts.total() > len(refused):      # more than the intake keeps of one call
            scan = self.site.engine.intake.scan_slowly
            refused = [one for i, record in enumerate(records)
                       for one in scan([record.value or b""], None, i).refused]
        for one in refused:
            offset = records[one.position].offset
            if one.reason not in EXPECTED and offset not in found:
                found.add(offset)
                where = f"{one.signal}: {one.found}" if one.signal else one.found
                beat.unused.append(Unused(offset, one.reason.value, where, one.asset))


def _only(batch: Batch, good: npt.NDArray[np.bool_]) -> Batch:
    """The messages of a batch for which `good` (bool[n]) holds."""
    sizes = np.diff(batch.first)
    values = np.repeat(good, sizes)
    first = np.zeros(int(good.sum()) + 1, np.int32)
    np.cumsum(sizes[good], out=first[1:])
    return Batch(batch.asset[good], batch.t[good], first, batch.slot[values], batch.value[values],
                 batch.position[good])
