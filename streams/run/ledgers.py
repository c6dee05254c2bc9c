"""The ledgers of a deployment on Kafka: each partition of `alerts` is one, with a chain of its own.

What counts is what no later owner has fenced off (`streams.messages.Living`); the rest is passed
over and counted. All is read as it comes, and nothing of it is held. Everything blocks and raises
KafkaError.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from connectors.kafka import Record as Came
from connectors.kafka import partition_of, read_all
from connectors.kafka_follow import Follower
from rules.model import Asset
from rules.records import Message
from streams.contents import asset_of
from streams.decode import BAD_BYTES, Refuse, decode
from streams.duty import SHADOW
from streams.ledger import Broken, Record, read, verify
from streams.messages import Living, NotOurs
from streams.readings import plain_message
from streams.run.active import Editions
from streams.settings import Kafka
from streams.topics import name_of
from streams.trace import Chronicle, Content, unlike
from streams.trace_check import Fault
from streams.trace_story import LOOKBACK, Window

MOST_STRANGE = 20       # records of others that are told of


class _Numbered(msgspec.Struct):
    n: int


@dataclass(slots=True)
class Tally:
    """What was met in a partition. `head` is the newest record's hash in hex, `at` its offset."""

    partition: int
    records: int = 0
    owners: int = 0
    passed_over: int = 0        # of owners that were fenced off
    foreign: int = 0            # not written by Tocsin; they are passed over, too
    head: str = ""
    at: int = -1
    strange: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """What a check found: of each partition, the faults, and notes, which are no faults."""

    partitions: list[Tally] = field(default_factory=list)
    faults: list[tuple[int, Fault]] = field(default_factory=list)       # each with its partition
    notes: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing was found."""
        return not self.faults

    @property
    def records(self) -> int:
        """Of all partitions."""
        return sum(one.records for one in self.partitions)


class Ledgers:
    """All partitions of a deployment, as its settings name it."""

    def __init__(self, kafka: Kafka) -> None:
        self.client, self._prefix = kafka.client(), kafka.prefix

    def name(self, topic: str) -> str:
        """The whole name of a topic."""
        return name_of(self._prefix, topic)

    @cached_property
    def total(self) -> int:
        """How many partitions there are."""
        with Follower(self.client, self.name("alerts")) as source:
            return len(source.partitions)

    @cached_property
    def editions(self) -> Editions:
        """The packs that the topic `rules` keeps."""
        found = Editions()
        with closing(read_all(self.client, self.name("rules"))) as records:
            for one in records:
                found.take(one.key, one.value)
        return found

    def place(self, key: str) -> int:
        """The partition of an asset, or of a group's key."""
        return partition_of(key.encode(), self.total)

    def records(
        self, partition: int, after: int = 0, tally: Tally | None = None
    ) -> Generator[Record]:
        """The records of a partition that count, in their order; those after a number."""
        tally = tally or Tally(partition)
        living = Living()
        topic = self.name("alerts")
        with closing(read_all(self.client, topic, partition=partition)) as came:
            for one in came:
                record = _taken(one, living, tally)
                if record is not None and (not after or record.n > after):
                    yield record

    def all(self) -> Generator[Record]:
        """Those of all partitions, one partition after the other."""
        for partition in range(self.total):
            yield from self.records(partition)


def _taken(one: Came, living: Living, tally: Tally) -> Record | None:
    """A record of the chain; None: it is none."""
    try:
        said = living.envelope(one.partition, one.headers)
    except NotOurs as error:
        tally.foreign += 1
        if len(tally.strange) < MOST_STRANGE:
            tally.strange.append(f"offset {one.offset}: {error}")
        return None
    if said is None:
        tally.passed_over += 1
        return None
    if said.kind == "owner":
        tally.owners += 1
        return None
    body = one.value or b""
    try:
        n = msgspec.json.decode(body, type=_Numbered).n
    except BAD_BYTES:
        n = tally.records + 1       # in its place, and not what was written
    tally.records, tally.head, tally.at = tally.records + 1, said.hash.hex(), one.offset
    return Record(n, said.hash, body)


# Checked --------------------------------------------------------------------------------------


def check(ledgers: Ledgers, partitions: Iterable[int], expected: str = "") -> Outcome:
    """Checks chains, and that the packs that they name are kept. `expected`: a hash noted
    elsewhere that one of them must contain."""
    outcome, found = Outcome(), False
    packs: dict[str, tuple[int, int]] = {}      # name -> where it stands first
    for partition in partitions:
        tally = Tally(partition)
        outcome.partitions.append(tally)
        with closing(ledgers.records(partition, tally=tally)) as records:
            reading = _Reading(records, tally, expected, packs)
            broken = verify(reading)
            for _ in reading:       # to its end: all is counted
                pass
        found |= reading.met
        if broken is not None:
            outcome.faults.append((partition, Fault(broken.fault, broken.n, _where(broken, tally))))
        outcome.notes += [f"partition {partition}, {one}: not a record of Tocsin's; passed over"
                          for one in tally.strange]
    if expected and not found:
        said = f"no record has the hash {expected} that was expected: the ledger is another one"
        outcome.faults.append((-1, Fault("missing", None, said)))
    outcome.faults += _packs(ledgers, packs)
    return outcome


def _where(broken: Broken, tally: Tally) -> str:
    return f"partition {tally.partition}: {broken}"


class _Reading:
    """Looks at records on their way: for a hash, and for packs."""

    def __init__(
        self, records: Iterator[Record], tally: Tally, expected: str,
        packs: dict[str, tuple[int, int]],
    ) -> None:
        self._records, self._tally, self._packs = records, tally, packs
        self._expected = bytes.fromhex(expected)
        self.met = False

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        record = next(self._records)
        self.met |= bool(self._expected) and record.hash == self._expected
        if b'"type":"activation"' in record.body:
            content = read(record.body)
            name = content.get("pack") if content is not None else None
            if isinstance(name, str):
                self._packs.setdefault(name, (self._tally.partition, record.n))
        return record


def _packs(
    ledgers: Ledgers, packs: dict[str, tuple[int, int]]
) -> Iterator[tuple[int, Fault]]:
    for name, (partition, n) in packs.items():
        try:
            ledgers.editions[name]
        except KeyError:
            why = "it is not kept on the topic rules"
        except ValueError as error:
            why = str(error)
        else:
            continue
        said = f"partition {partition}: record {n} names the pack {name}: {why}"
        yield partition, Fault("pack", n, said)


# For stories ----------------------------------------------------------------------------------


class Shelf:
    """What a partition keeps of the past, as stories want it (`trace_ledger.Archive`).

    `everywhere`: inventories are those of the whole deployment, for groups; of other partitions as
    of this instant (ms), for each changes at its own.
    """

    def __init__(
        self, ledgers: Ledgers, partition: int, *, everywhere: int | None = None
    ) -> None:
        self._ledgers, self._everywhere = ledgers, everywhere
        self.partition = partition

    def records(self, after: int = 0) -> Iterator[Record]:
        """See `Ledgers.records`."""
        return self._ledgers.records(self.partition, after)

    def pack_files(self, name: str) -> list[tuple[str, bytes]]:
        """The (path, text) pairs of a pack. Raises KeyError; ValueError if they are no rules."""
        return list(self._ledgers.editions[name.removesuffix(SHADOW)].texts)

    def inventory(self, name: str) -> list[Asset]:
        """The assets as of the first activation that names this inventory. Raises KeyError."""
        found = dict[str, Asset]()
        for content in self._activations(self.partition):
            _change(found, content)
            if content.get("inventory") == name:
                break
        else:
            raise KeyError(name)
        if self._everywhere is not None:
            for other in range(self._ledgers.total):
                if other != self.partition:
                    self._add(found, other, self._everywhere)
        return [found[asset] for asset in sorted(found)]

    def _add(self, found: dict[str, Asset], partition: int, until: int) -> None:
        """What another partition's inventory has come to by then (ms)."""
        for content in self._activations(partition):
            if content["t_ms"] > until:
                return
            _change(found, content)

    def _activations(self, partition: int) -> Iterator[dict[str, Any]]:
        for record in self._ledgers.records(partition):
            if b'"type":"activation"' in record.body:
                content = read(record.body)
                if content is not None and content.get("type") == "activation":
                    yield content

    def messages(self, chronicle: Chronicle, around: Window) -> Iterator[Message]:
        """The asset's messages that arrived since LOOKBACK before the window, until its end and
        until all was read that the alarm's own records stand on."""
        asset = chronicle.alarm.asset
        last = max(map(_stands_on, chronicle.own))
        signs = (json.dumps(asset, ensure_ascii=False)[1:-1].encode(), b"\\")    # or escaped
        since = max(1, around.begin - LOOKBACK)
        topic = self._ledgers.name("readings")
        with closing(read_all(self._ledgers.client, topic, since_ms=since,
                              partition=self.partition)) as came:
            for one in came:
                if one.t_ms > around.end and one.offset >= last:
                    return
                if one.value and any(sign in one.value for sign in signs):
                    for found in decode(one.value):
                        if not isinstance(found, Refuse) and found.asset == asset:
                            yield plain_message(found)


def _stands_on(content: Content) -> int:
    """The offset up to which readings were taken."""
    try:
        return int(content["position"]["readings"])
    except (LookupError, TypeError, ValueError):
        raise unlike(content["n"]) from None


def _change(inventory: dict[str, Asset], content: dict[str, Any]) -> None:
    for one in content.get("removed", ()):
        inventory.pop(one, None)
    for one in content.get("assets", ()):
        inventory[one["id"]] = asset_of(one)
