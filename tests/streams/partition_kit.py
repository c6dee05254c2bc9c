"""A fleet of partitions without Kafka: topics are lists, time is a number, chance is a seed.

A story is what comes in, with the brokers' stamps (`partition_story`). A fleet plays it: its owners
take what has come in portions, tick as their pace allows, are cut, crash in the middle of writing a
beat, and are taken over. A *steady* fleet does all at once, step by step, and never crashes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from rules.records import Command, CommandKind
from streams.contents import Content
from streams.duty import Edition
from streams.feed import Mark, Said, bytes_of
from streams.ledger import Record, canonical
from streams.pace import Input, Pace
from streams.parcels import parcel
from streams.partition import Beat, Partition
from streams.partition_again import Tail, Wants, again, begun
from streams.partition_parts import Cutter, Parts, head_of, joined
from streams.plant import Programs
from streams.share import Share
from tests.random_packs import BASE
from tests.streams.partition_story import Story

STEP = 1_000


@dataclass(frozen=True)
class Arrival:
    """A record of a topic."""

    offset: int
    timestamp: int
    value: bytes | None


@dataclass
class Log:
    """One partition of a topic."""

    records: list[Arrival] = field(default_factory=list)

    def append(self, stamp: int, value: bytes) -> None:
        self.records.append(Arrival(len(self.records), stamp, value))


class Owner:
    """A partition at work: what it holds in memory, all of it lost in a crash."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.cutter = Cutter(partition)
        self.pace = Pace(partition.at.clock, {name: Input() for name in ("readings", "feed")})


@dataclass
class Kept:
    """What of a partition outlives its owners."""

    readings: Log = field(default_factory=Log)
    commands: Log = field(default_factory=Log)
    feed: Log = field(default_factory=Log)
    ledger: list[tuple[Record, Content]] = field(default_factory=list)
    head: bytes | None = None
    parts: Parts = field(default_factory=dict)
    facts: dict[int, dict[int, bytes]] = field(default_factory=dict)    # told: to -> n -> bytes


class CrashError(Exception):
    """The owner is no more."""


class Fleet:
    """All partitions of a story; `chance` decides what happens, None: it is steady."""

    def __init__(self, story: Story, chance: Random | None) -> None:
        self.story, self.chance = story, chance
        self.numbers = range(story.partitions)
        self.kept = [Kept() for _ in self.numbers]
        self.owners: list[Owner | None] = [None for _ in self.numbers]
        self.editions = {edition.name: edition for _, edition in story.editions}
        self.ordered: dict[tuple[int, int], Command] = {}
        self.activated = [1 for _ in self.numbers]
        self.now = BASE
        self.counts: dict[str, int] = {}
        self._programs: dict[str, Programs] = {}

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def maybe(self, chance: float) -> bool:
        return self.chance is not None and self.chance.random() < chance

    # Life -------------------------------------------------------------------------------------

    def run(self) -> Fleet:
        """The whole story."""
        sent = list(reversed(self.story.sent))
        while self.now < self.story.end:
            self.now += STEP
            while sent and sent[-1][0] <= self.now:
                stamp, asset, data = sent.pop()
                self.kept[self.story.of(asset)].readings.append(stamp, data)
            for number in self._order(list(self.numbers)):
                self._guarded(number, self._live)
        return self.settle()

    def settle(self) -> Fleet:
        """Plays all that is left, to one end."""
        self.chance = None
        for _ in range(3):
            for number in self.numbers:
                self._guarded(number, self._live)
        return self

    def _order(self, items: list[int]) -> list[int]:
        if self.chance is not None:
            self.chance.shuffle(items)
        return items

    def _guarded(self, number: int, what: Callable[[int], None]) -> None:
        try:
            what(number)
        except CrashError:
            self.owners[number] = None
            self.count("crash")

    def _live(self, number: int) -> None:
        """One step of one owner."""
        if self.maybe(0.3):
            return
        owner = self.owners[number] or self._take_over(number)
        acts = [self._read, self._hear, self._obey, self._change, self._tick, self._cut]
        if self.chance is not None:
            self.chance.shuffle(acts)
        for act in acts:
            if self.maybe(0.01):
                raise CrashError
            act(number, owner)

    # Acts -------------------------------------------------------------------------------------

    def _portion(self, records: list[Arrival], done: int) -> list[Arrival]:
        rest = records[done:]
        if self.chance is None or not rest:
            return rest
        return rest[: self.chance.choice([0, 1, 2, 5, 20, len(rest)])]

    def _read(self, number: int, owner: Owner) -> None:
        partition, log = owner.partition, self.kept[number].readings
        some = self._portion(log.records, partition.at.readings)
        if some:
            self._publish(number, owner, partition.read(some))
        self._look(owner.pace.inputs["readings"], log, partition.at.readings)

    def _hear(self, number: int, owner: Owner) -> None:
        partition, log = owner.partition, self.kept[number].feed
        some = self._portion(log.records, partition.at.feed)
        if some:
            self._publish(number, owner, partition.feed(some))
        self._look(owner.pace.inputs["feed"], log, partition.at.feed)

    def _look(self, one: Input, log: Log, done: int) -> None:
        one.done, one.end, one.polled = done, len(log.records), self.now
        if done:
            one.stamp = log.records[done - 1].timestamp

    def _tick(self, number: int, owner: Owner) -> None:
        if self.maybe(0.5):
            return
        for name, log in (("readings", self.kept[number].readings),
                          ("feed", self.kept[number].feed)):
            at = owner.partition.at
            self._look(owner.pace.inputs[name], log, at.readings if name == "readings" else at.feed)
        owner.pace.clock()
        self._publish(number, owner, owner.partition.tick(owner.pace.look()))
        if self.chance is None or self.maybe(0.7):
            for to in self.numbers:
                data = bytes_of(Mark(number, owner.partition.mark))
                self.kept[to].feed.append(self.now, data)

    def _cut(self, number: int, owner: Owner) -> None:
        if self.maybe(0.2):
            head, parts = owner.cutter.cut()
            self.kept[number].head = head
            self.kept[number].parts |= parts
            self.count("cut")

    def _obey(self, number: int, owner: Owner) -> None:
        partition, log = owner.partition, self.kept[number].commands
        if self.maybe(self.story.orders):
            assert self.chance is not None
            command = self._some_order(number, self.chance)
            self.ordered[number, len(log.records)] = command
            log.append(self.now, b"")
        for record in log.records[partition.at.commands :]:
            command = self.ordered[number, record.offset]
            t = partition.instant(command, record.timestamp)
            self._publish(number, owner, partition.order(command, t, record.offset + 1)[0])

    def _some_order(self, number: int, random: Random) -> Command:
        """Something about an alarm that there was, if possible."""
        alerts = [c for _, c in self.kept[number].ledger if c["type"] == "alert"]
        if self.ordered and random.random() < 0.1:
            mine = [c for (p, _), c in self.ordered.items() if p == number]
            if mine:
                return random.choice(mine)
        request = f"q{len(self.ordered)}"
        if not alerts or random.random() < 0.2:
            mine = [a for _, a, _ in self.story.sent if self.story.of(a) == number]
            asset = random.choice(mine or ["A0"])
            return Command("set", "maint", asset, value=True, by="ana", request=request)
        about = random.choice(alerts[-8:])
        kind: CommandKind = random.choice([
            "acknowledge", "unacknowledge", "comment", "shelve", "unshelve", "out_of_service",
            "in_service", "reset", "step", "step", "acknowledge",
        ])  # fmt: skip
        alarm = about["alarm"] if about["raised_ms"] and random.random() < 0.6 else ""
        step = random.choice(["look", "close", "release", "acknowledge"]) if kind == "step" else ""
        return Command(
            kind, about["rule"], about["asset"], group=about["group"], by="ana", reason="so",
            request=request, alarm=alarm, step=step,
            duration=random.choice([2_000, 9_000]) if kind == "shelve" else None,
            once=kind == "shelve" and random.random() < 0.5,
            fields={"cause": "x"} if step == "close" else {},
        )  # fmt: skip

    def _change(self, number: int, owner: Owner) -> None:
        """Takes the newest edition that there is, all between too."""
        for stamp, edition in self.story.editions[self.activated[number] :]:
            if stamp > self.now or self.maybe(0.5):
                return
            t = max(stamp, owner.partition.clock + 1)
            request = f"e{self.activated[number]}"
            beat = owner.partition.rules(edition, "ana", request, t)
            self._publish(number, owner, beat)
            self.activated[number] += 1

    # Writing ----------------------------------------------------------------------------------

    def _publish(self, number: int, owner: Owner, beat: Beat) -> None:
        """Records first, then what groups count of them; all, or some of both in a crash."""
        made = [(owner.partition.chain.append(one), one) for one in beat.contents]
        if made and self.maybe(0.03):
            assert self.chance is not None
            count = self.chance.randint(0, len(made))
            self.kept[number].ledger += made[:count]
            facts = beat.facts[: self.chance.randint(0, len(beat.facts))] if count else []
            self._tell(number, facts)
            if count and made[0][1]["type"] == "activation" and self.chance and number is not None:
                self.activated[number] += made[0][1]["request"].startswith("e")
            raise CrashError
        assert made or not beat.facts
        self.kept[number].ledger += made
        self._tell(number, beat.facts)

    def _tell(self, number: int, facts: Sequence[tuple[int, Said]]) -> None:
        for to, said in facts:
            data = bytes_of(said)
            known = self.kept[number].facts.setdefault(to, {})
            assert known.setdefault(said.n, data) == data, "told again, it says something else"
            self.kept[to].feed.append(self.now, data)

    # Taking over ------------------------------------------------------------------------------

    def _take_over(self, number: int) -> Owner:
        kept = self.kept[number]
        place = self.story.place(number)
        if not kept.ledger:
            owner = self.owners[number] = Owner(self._first(number))
            self._publish(number, owner, owner.partition.opened("ana"))
            return owner
        if kept.head is None:
            partition = self._begun(number)
        else:
            head = head_of(kept.head)
            edition = self.editions[head.edition]
            partition = joined(head, kept.parts, edition, place, self.programs(edition))
        owner = self.owners[number] = Owner(partition)
        tail = [one for one in kept.ledger if one[0].n > partition.chain.n]

        def say(records: list[Record]) -> None:
            kept.ledger.extend((record, json.loads(record.body)) for record in records)

        def hear(beat: Beat) -> None:
            self._tell(number, beat.facts)

        self.drive(number, again(partition, Tail(tail), self.editions, hear, say))
        self.count("taken over")
        return owner

    def _first(self, number: int) -> Partition:
        case, place = self.story.case, self.story.place(number)
        edition = self.story.editions[0][1]
        inventory, programs = self.story.inventory(number), self.programs(edition)
        site = Share(edition.pack, case.zone, inventory, BASE, programs, mine=place.has)
        return Partition(edition, place, case.zone, BASE, site)

    def _begun(self, number: int) -> Partition:
        content = self.kept[number].ledger[0][1]
        edition = self.editions[content["pack"]]
        inventory, programs = self.story.inventory(number), self.programs(edition)
        return begun(content, edition, self.story.place(number), programs, inventory)

    def programs(self, edition: Edition) -> Programs:
        """Of each edition once."""
        if edition.name not in self._programs:
            self._programs[edition.name] = Programs(edition.pack, self.story.case.zone)
        return self._programs[edition.name]

    def drive(self, number: int, wants: Wants) -> None:
        """Gives what is wanted, in portions."""
        kept = self.kept[number]
        logs = {"readings": kept.readings, "group-feed": kept.feed}
        try:
            want = next(wants)
            while True:
                some = logs[want.topic].records[want.first : want.end]
                if self.chance is not None and some:
                    some = some[: self.chance.randint(1, len(some))]
                want = wants.send(some)
        except StopIteration:
            return

    # What is seen -----------------------------------------------------------------------------

    def proof(self, number: int) -> tuple[Partition, list[Record]]:
        """The partition as its ledger alone gives it, from the beginning; its records."""
        partition = self._begun(number)
        lacking: list[Record] = []
        tail = Tail(self.kept[number].ledger)
        self.drive(number, again(partition, tail, self.editions, lambda _: None, lacking.extend))
        assert not lacking
        return partition, [record for record, _ in self.kept[number].ledger]

    def alerts(self) -> list[bytes]:
        """All that was said but for number and position, in an order of its own."""
        return sorted(bare(c) for kept in self.kept for _, c in kept.ledger if c["type"] == "alert")

    def parcels(self) -> dict[str, bytes]:
        """The state of each asset."""
        found = {}
        for owner in self.owners:
            assert owner is not None
            engine = owner.partition.site.engine
            found |= {asset: parcel(engine, [asset]) for asset in engine.assets.ids}
        return found


def bare(content: Content) -> bytes:
    """Without what depends on the pace."""
    return canonical({k: v for k, v in content.items() if k not in ("n", "position")})
