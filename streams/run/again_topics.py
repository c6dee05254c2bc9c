"""Playing partitions of a deployment on Kafka again, from the beginning of their ledgers.

Their inputs are read beside the ledger, as it wants them: a beat of each is held and no more. That
goes as far back as the inputs are kept: `readings` for 7 days, unless the topic was made otherwise.
Everything blocks and raises KafkaError.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heappop, heappush
from itertools import chain
from typing import NamedTuple

from connectors.kafka import Record as FromTopic
from connectors.kafka import read_all
from connectors.kafka_follow import Follower
from streams.contents import Content
from streams.duty import Edition
from streams.ledger import Record
from streams.partition import Place
from streams.partition_again import DivergedError, GoneError, Tail, Want, again, begun
from streams.plant import Programs
from streams.run.ledgers import Ledgers
from streams.trace import Chronicle, content_of
from streams.trace_ledger import Outcome, difference, short, whose

PORTION = 2_000     # records of an input at once, where a beat does not want more

#: Which records are to be compared: all are, but these count.
Wanted = Callable[[Content], bool]


class Came(NamedTuple):
    """A record of an input, see `streams.partition.Arrived`."""

    offset: int
    timestamp: int
    value: bytes | None


class _Input:
    """A partition of a topic, read on and on."""

    def __init__(self, ledgers: Ledgers, topic: str, partition: int) -> None:
        self._client, self._topic = ledgers.client, ledgers.name(topic)
        self._partition = partition
        self._source: Generator[FromTopic, None, None] | None = None
        self._ahead: FromTopic | None = None

    def take(self, first: int, end: int) -> list[Came]:
        """The next ones of these offsets, which no later call asks for; none: they are gone."""
        if self._source is None:
            with Follower(self._client, self._topic) as source:
                if source.range()[self._partition][0] > first:
                    return []
            start = {self._partition: first}
            self._source = read_all(
                self._client, self._topic, start=start, partition=self._partition)
            self._ahead = next(self._source, None)
        found: list[Came] = []
        while self._ahead is not None and self._ahead.offset < end and len(found) < PORTION:
            one = self._ahead
            found.append(Came(one.offset, one.t_ms, one.value))
            self._ahead = next(self._source, None)
        return found

    def close(self) -> None:
        """Reads no more."""
        if self._source is not None:
            self._source.close()


class _Packs(Mapping[str, Edition]):
    """Packs by their names. One that is not there is gone."""

    def __init__(self, editions: Mapping[str, Edition]) -> None:
        self._editions = editions

    def __getitem__(self, name: str) -> Edition:
        try:
            return self._editions[name]
        except KeyError:
            raise GoneError(f"rules: the pack {name} is not kept any more") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._editions)

    def __len__(self) -> int:
        return len(self._editions)


@dataclass
class Player:
    """Plays partitions of a deployment again."""

    ledgers: Ledgers
    _programs: dict[tuple[str, str], Programs] = field(default_factory=dict)

    def again(self, partition: int, upto: int | None, wanted: Wanted) -> Outcome:
        """Plays a partition up to and with a record of its ledger, None: the last one, and compares
        all that comes; counted is what is `wanted`."""
        marks: list[int] = []       # numbers of the wanted ones
        reached = [0]

        def met() -> Iterator[tuple[Record, Content]]:
            with closing(self.ledgers.records(partition)) as records:
                for record in records:
                    content = content_of(record)
                    if wanted(content):
                        marks.append(record.n)
                    yield record, content
                    reached[0] = record.n
                    if record.n == upto:
                        return

        try:
            self._play(partition, met())
        except GoneError as error:
            return Outcome(0, gone=str(error))
        except DivergedError as error:
            n = error.n or reached[0] + 1
            how = _how(error)
            return Outcome(sum(m < n for m in marks), n, how, whose(error.known))
        except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
            n = reached[0] + 1
            how = f"running again broke off: {type(error).__name__}: {short(str(error))}"
            return Outcome(sum(m < n for m in marks), n, how, broke_off=True)
        return Outcome(len(marks))

    def _play(self, number: int, records: Iterator[tuple[Record, Content]]) -> None:
        first = next(records, None)
        if first is None:
            return
        content = first[1]
        packs = _Packs(self.ledgers.editions)
        edition = packs[content["pack"]]
        key = edition.name, content["zone"]
        if key not in self._programs:
            self._programs = {key: Programs(edition.pack, content["zone"])}
        place = Place(number, self.ledgers.total, self.ledgers.place)
        partition = begun(content, edition, place, self._programs[key])
        with ExitStack() as stack:
            inputs = {
                topic: stack.enter_context(closing(_Input(self.ledgers, topic, number)))
                for topic in ("readings", "group-feed")
            }
            tail = Tail(chain([first], records))
            play = again(partition, tail, packs, _nobody, _nobody)
            _answered(play, lambda want: inputs[want.topic].take(want.first, want.end))


def _answered(
    play: Generator[Want, Sequence[Came], None], answer: Callable[[Want], Sequence[Came]]
) -> None:
    try:
        want = next(play)
        while True:
            want = play.send(answer(want))
    except StopIteration:
        return


def _nobody(_: object) -> None:
    """What a partition said then, groups and people have heard; what its ledger lacks, its owner
    writes."""


def _how(error: DivergedError) -> str:
    if error.made is not None:
        return difference(error.known, error.made)
    return "it did not come out again" if error.known is not None else short(str(error))


# What is proven -------------------------------------------------------------------------------


def verify_alarm(player: Player, partition: int, chronicle: Chronicle) -> Outcome:
    """Plays an alarm's partition from its beginning to the alarm's last record."""
    wanted = {content["n"] for part in (chronicle.own, chronicle.point, chronicle.commands)
              for content in part}  # fmt: skip
    return player.again(partition, max(wanted), lambda content: content["n"] in wanted)


@dataclass(frozen=True)
class Proof:
    """What came of playing a partition again, and how many alarms were looked at of how many."""

    partition: int
    outcome: Outcome
    alarms: int
    of: int


def verify_all(
    player: Player, partitions: Sequence[int], sample: int | None = None, seed: int = 0
) -> Iterator[Proof]:
    """Plays partitions again, one after the other; with a `sample` of so many of their alarms, only
    as far as these want it. Which ones follows from the seed and their ids alone."""
    ledgers = player.ledgers
    if sample is None:
        for partition in partitions:
            found = _Sample(0, seed).look(ledgers, partition)
            yield Proof(partition, player.again(partition, None, lambda _: True), found, found)
        return
    drawn = _Sample(sample, seed)
    counts = {partition: drawn.look(ledgers, partition) for partition in partitions}
    for partition, of in counts.items():
        mine = {alarm: n for alarm, (at, n) in drawn.last.items() if at == partition}
        if mine:
            outcome = player.again(partition, max(mine.values()), _of(mine))
            yield Proof(partition, outcome, len(mine), of)


class _Sample:
    """Draws alarms while ledgers are read: those whose hashes are the least. Holds no others."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._ranks: list[tuple[int, str]] = []         # a heap: the greatest hash comes first
        self.last: dict[str, tuple[int, int]] = {}      # alarm -> partition, its last record

    def look(self, ledgers: Ledgers, partition: int) -> int:
        """Draws from a partition's ledger; how many alarms it has."""
        count = 0
        with closing(ledgers.records(partition)) as records:
            for record in records:
                content = content_of(record)
                if content.get("type") == "alert" and content.get("raised_ms"):
                    begins = content["kind"] == "raised" and content["t_ms"]
                    count += begins == content["raised_ms"]
                    self._draw(str(content["alarm"]), partition, record.n)
        return count

    def _draw(self, alarm: str, partition: int, n: int) -> None:
        if alarm not in self.last:
            rank = int.from_bytes(sha256(f"{self._seed}:{alarm}".encode()).digest())
            heappush(self._ranks, (-rank, alarm))
            self.last[alarm] = partition, n
            if len(self._ranks) > self._size:
                del self.last[heappop(self._ranks)[1]]
        else:
            self.last[alarm] = partition, n


def _of(chosen: Collection[str]) -> Wanted:
    return lambda content: content.get("alarm") in chosen
