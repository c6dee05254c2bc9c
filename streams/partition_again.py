"""Playing a partition again, as its ledger says that it was played. Pure.

`again` is asked for after a crash (from the newest snapshot, to the ledger's end) and to prove that
an alarm of the past was right (from the beginning). It says which records of the inputs it wants,
takes them in any portions, and compares what comes of them with the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

from rules.model import Asset
from streams.contents import Content, asset_of, command_of
from streams.duty import Edition
from streams.ledger import Record
from streams.partition import Arrived, Beat, Partition, Place
from streams.plant import Programs
from streams.share import Share

MOST_BEAT = 100_000     # records of an input in one beat: far above what workers take at once


class Want(NamedTuple):
    """Records of an input that are needed next: offsets from `first` up to `end`, exclusive.

    The answer holds the next of them that there are (one at least, in order), or nothing where
    there are none left: the topic does not keep them any more.
    """

    topic: str
    first: int
    end: int


class GoneError(Exception):
    """What is to be played again is not kept any more."""


class DivergedError(Exception):
    """Played again, it says something else than its ledger; `n` is the first such record (0: none,
    but something came between two beats). `made` and `known` are both, where there are both."""

    def __init__(
        self, n: int, found: str, expected: str, made: Record | None = None,
        known: Record | None = None,
    ) -> None:
        super().__init__(f"record {n}: played again it is {found}, the ledger has {expected}")
        self.n, self.made, self.known = n, made, known


Wants = Generator[Want, Sequence[Arrived], None]
Wanting = Generator[Want, Sequence[Arrived], Sequence[Arrived]]


class Tail:
    """Records of a ledger, each with its content, in groups of one beat each.

    Those of a beat have the same position; rules that take over twice at one have two beats. They
    are taken as they are wanted, and only a beat of them is held.
    """

    def __init__(self, records: Iterable[tuple[Record, Content]]) -> None:
        self._records = records

    def __iter__(self) -> Iterator[list[tuple[Record, Content]]]:
        group: list[tuple[Record, Content]] = []
        for one in self._records:
            anew = one[1]["type"] == "activation"
            if group and (anew or one[1]["position"] != group[0][1]["position"]):
                yield group
                group = []
            group.append(one)
        if group:
            yield group


def begun(
    content: Content, edition: Edition, place: Place, programs: Programs | None = None,
    inventory: Sequence[Asset] = (),
) -> Partition:
    """The partition before the first record of its ledger, which has this content.

    `inventory`: its assets as they were listed then; the record holds their hash.
    """
    position, zone, start = content["position"], content["zone"], content["t_ms"]
    site = Share(edition.pack, zone, inventory, start, programs, mine=place.has)
    partition = Partition(edition, place, zone, start, site)
    at = partition.at
    at.readings, at.commands = position["readings"], position["commands"]
    at.feed = position["group-feed"]
    return partition


def again(
    partition: Partition, tail: Tail, editions: Mapping[str, Edition],
    hear: Callable[[Beat], None], say: Callable[[list[Record]], None],
) -> Wants:
    """Plays the beats that the tail tells of, and what lies between them.

    `hear` is told of all that happened, `say` of the records that the ledger lacks: those of its
    last beat that were not written any more. Raises DivergedError and GoneError.
    """
    for group, following in pairwise(chain(tail, [None])):
        assert group is not None
        yield from _until(partition, group[0][1]["position"], hear)
        beat = yield from _driven(partition, group, editions)
        hear(beat)
        made = [partition.chain.append(content) for content in beat.contents]
        _compare(made, [record for record, _ in group])
        more = made[len(group) :]
        if more and following is not None:
            raise DivergedError(more[0].n, "one more of its beat", "the next beat")
        say(more)


def _compare(made: list[Record], known: list[Record]) -> None:
    for i, record in enumerate(known):
        if i >= len(made):
            raise DivergedError(record.n, "nothing", _shown(record), known=record)
        if made[i] != record:
            raise DivergedError(
                record.n, _shown(made[i]), _shown(record), made[i], record)


def _shown(record: Record) -> str:
    return record.body.decode("utf-8", "replace")[:2000]


def _until(
    partition: Partition, position: Mapping[str, Any], hear: Callable[[Beat], None]
) -> Wants:
    """Plays what decided nothing before a beat."""
    driver, at = position["beat"], partition.at
    end = position["from"] if driver == "readings" else position["readings"]
    while at.readings < end:
        hear(_silent(partition.read((yield from _some("readings", at.readings, end)))))
    end = position["from"] if driver == "group-feed" else position["group-feed"]
    while at.feed < end:
        hear(_silent(partition.feed((yield from _some("group-feed", at.feed, end)))))
    if driver != "tick" and position["clock_ms"] > at.clock:
        hear(_silent(partition.tick(position["clock_ms"])))
    if driver != "commands":
        at.commands = position["commands"]


def _silent(beat: Beat) -> Beat:
    if beat.contents:
        what = f"{beat.contents[0]}"
        raise DivergedError(0, what[:2000], "nothing between two of its beats")
    return beat


def _some(topic: str, first: int, end: int) -> Wanting:
    found = yield Want(topic, first, end)
    if not found:
        raise GoneError(f"{topic}: offsets {first} to {end - 1} are not kept any more")
    return found


def _all(topic: str, first: int, end: int, n: int) -> Wanting:
    """All of them in one portion: the beat of record `n`."""
    found: list[Arrived] = []
    while first < end:
        if len(found) > MOST_BEAT:
            raise DivergedError(n, f"a beat of more than {MOST_BEAT:,} records", "such a beat")
        part = yield from _some(topic, first, end)
        found += part
        first = part[-1].offset + 1
    return found


def _driven(
    partition: Partition, group: list[tuple[Record, Content]], editions: Mapping[str, Edition]
) -> Generator[Want, Sequence[Arrived], Beat]:
    """The beat that a group of records is of."""
    (record, content), position = group[0], group[0][1]["position"]
    first = position["from"]
    match position["beat"]:
        case "begin":
            return partition.opened(content["by"], content["request"])
        case "readings":
            return partition.read((yield from _all(
                "readings", first, position["readings"], record.n)))
        case "group-feed":
            return partition.feed((yield from _all(
                "group-feed", first, position["group-feed"], record.n)))
        case "tick":
            return partition.tick(position["clock_ms"])
        case "late":
            return Beat([partition.note()])
        case "commands":
            order = command_of(content)
            return partition.order(order, content["t_ms"], position["commands"])[0]
        case "rules":
            edition = editions[content["pack"]]
            return partition.rules(edition, content["by"], content["request"], content["t_ms"])
        case "assets":
            put = [asset_of(asset) for asset in content["assets"]]
            return partition.assets(
                put, content["removed"], content["by"], content["request"], content["t_ms"])
        case other:
            raise DivergedError(record.n, "no beat at all", f"a beat {other!r}")
