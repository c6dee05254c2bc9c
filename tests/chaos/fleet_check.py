"""What a fleet must have come to, whatever was done to it.

The undisturbed run is the same input topics, played in process in the simplest order: of each
partition all readings, then the clock, then what its groups are told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from streams.contents import Content
from streams.duty import Edition
from streams.feed import Mark, Said, bytes_of, fact_of
from streams.ledger import Record, canonical, verify
from streams.listing import rows
from streams.messages import Living, parse
from streams.partition import Beat, Partition, Place
from streams.partition_again import Tail, Want, again, begun
from tests.chaos.fleet import PARTITIONS, Fault, Fleet
from tests.chaos.fleet_load import pack
from tests.kafka.flow_kit import read_all

PORTION = 2_000
LATER_MS = 600_000      # of the clock: all that was begun has ended by then

Ledger = list[tuple[Record, Content]]


@dataclass
class Topics:
    """All that stands on them, by partition; `alerts`: as it came."""

    readings: dict[int, list[Any]]
    commands: dict[int, list[Any]]
    feed: dict[int, list[Any]]
    alerts: dict[int, list[Any]]
    alarms: dict[int, list[Any]]
    refused: dict[int, list[Any]]

    @classmethod
    async def of(cls, fleet: Fleet) -> Topics:
        """As they are now."""
        brokers, spread = ",".join(fleet.kafka.brokers), list(range(PARTITIONS))

        async def read(name: str) -> dict[int, list[Any]]:
            return await read_all(brokers, fleet.topic(name), spread)

        return cls(await read("readings"), await read("commands"), await read("group-feed"),
                   await read("alerts"), await read("alarms"),
                   await read_all(brokers, fleet.topic("refused"), [0]))


def ledgers(topics: Topics) -> dict[int, Ledger]:
    """What counts of the alerts."""
    living, made = Living(), {}
    for partition, records in topics.alerts.items():
        found: Ledger = []
        for record in records:
            said = parse(record.headers)
            assert said.epoch is not None
            if living.counts(partition, said.epoch) and said.kind != "owner":
                content = json.loads(record.value)
                found.append((Record(content["n"], said.hash, record.value), content))
        made[partition] = found
    return made


def sound(found: Mapping[int, Ledger]) -> list[str]:
    """What is wrong with the ledgers by themselves."""
    wrong = []
    for partition, ledger in found.items():
        broken = verify(record for record, _ in ledger)
        if broken is not None:
            wrong.append(f"partition {partition}: {broken}")
        twice = Counter((x["alarm"], x["seq"]) for _, x in ledger if x["type"] == "alert")
        wrong += [f"partition {partition}: {key} stands {n} times"
                  for key, n in twice.items() if n > 1]
    return wrong


# The undisturbed run --------------------------------------------------------------------------


def undisturbed(
    topics: Topics, found: Mapping[int, Ledger], edition: Edition, fleet: Fleet
) -> list[tuple[Partition, list[Content]]]:
    """Each partition in the end, with its contents."""
    made: list[tuple[Partition, list[Content]]] = []
    told: dict[int, list[Said]] = {p: [] for p in range(PARTITIONS)}
    last = max(x.timestamp for records in topics.readings.values() for x in records)
    for p in range(PARTITIONS):
        place = Place(p, PARTITIONS, fleet.of)
        part = begun(found[p][0][1], edition, place)
        first = found[p][0][1]
        contents = part.opened(first["by"], first["request"]).contents
        lates = [x["position"] for _, x in found[p] if x["type"] == "tick"]
        beats = [*_reads(part, topics.readings[p], lates), part.tick(last + LATER_MS)]
        for beat in beats:
            contents += beat.contents
            for at, said in beat.facts:
                told[at].append(said)
        made.append((part, contents))
    for p, (part, _) in enumerate(made):
        marks = [Mark(q, last + LATER_MS) for q in range(PARTITIONS)]
        made[p][1].extend(part.feed(list(_records([*told[p], *marks]))).contents)
        made[p][1].extend(part.tick(last + 2 * LATER_MS).contents)
    return made


def _reads(
    part: Partition, records: Sequence[Any], lates: Iterable[Mapping[str, Any]]
) -> Iterable[Beat]:
    """All readings; the clocks that made some late stand where they stood."""
    rest = list(records)
    for late in [*lates, None]:
        count = len(rest) if late is None else sum(x.offset < late["readings"] for x in rest)
        for begin in range(0, count, PORTION):
            yield part.read(rest[begin : min(count, begin + PORTION)])
        rest = rest[count:]
        if late is not None:
            yield part.tick(late["clock_ms"])


def _records(said: Iterable[Said | Mark]) -> Iterable[Any]:
    for offset, one in enumerate(said):
        yield SimpleNamespace(offset=offset, timestamp=0, value=bytes_of(one))


def stripped(contents: Iterable[Content]) -> Counter[bytes]:
    """As bytes, without what tells of the way to them."""
    return Counter(
        canonical({key: x[key] for key in x if key not in ("n", "position")})
        for x in contents if x["type"] != "tick")


def differences(found: Mapping[int, Ledger], truth: Mapping[int, list[Content]]) -> list[str]:
    """What is said that should not be, and what is not said; the first few."""
    wrong = []
    for p in found:
        have, want = stripped(x for _, x in found[p]), stripped(truth[p])
        for word, some in (("says", have - want), ("does not say", want - have)):
            wrong += [f"partition {p} {word} {x.decode()[:600]}" for x in sorted(some)[:3]]
    return wrong


# The list, and what is known without the engine -----------------------------------------------


def listed(topics: Topics) -> dict[int, dict[str, bytes]]:
    """Alarms as the topic has them, without those that have ended."""
    made: dict[int, dict[str, bytes]] = {}
    for p, records in topics.alarms.items():
        held: dict[str, bytes] = {}
        for record in records:
            held.pop(record.key.decode(), None)
            if record.value is not None and not json.loads(record.value).get("finished"):
                held[record.key.decode()] = record.value
        made[p] = held
    return made


def wrong_list(topics: Topics, parts: Iterable[Partition]) -> list[str]:
    """How the list of the topic is not that of the partitions."""
    wrong = []
    shown = listed(topics)
    for part in parts:
        number = part.place.number
        want = {row["alarm"]: canonical({**row, "partition": number})
                for row in rows(part.alarms, part.contents)}
        have = shown[number]
        wrong += [
            f"alarms {number}: {alarm} is {have.get(alarm)!r}, expected {want.get(alarm)!r}"
            for alarm in sorted(want.keys() | have.keys()) if want.get(alarm) != have.get(alarm)
        ]
    return wrong


def _activations(found: Mapping[int, Ledger]) -> set[int]:
    """When other rules took over."""
    return {x["t_ms"] for ledger in found.values() for _, x in ledger
            if x["type"] == "activation"}


def wrong_by_hand(fleet: Fleet, found: Mapping[int, Ledger], *, hot: bool) -> list[str]:
    """Raises that the rules must have made, by a look at what was sent."""
    raises: dict[str, set[tuple[str, int]]] = {"pump.hot": set(), "pump.trip": set()}
    for ledger in found.values():
        for _, x in ledger:
            if x["type"] == "alert" and x["kind"] == "raised" and x["rule"] in raises:
                # Off the shelf it is told once more, later: what counts is when it was raised.
                raises[x["rule"]].add((x["asset"], x["raised_ms"]))
    other = {(asset, t) for asset, t in raises["pump.trip"] - fleet.pumps.trips
             if t in _activations(found)}   # an event that was on its way then takes effect then
    missing = fleet.pumps.trips - raises["pump.trip"]
    wrong = [f"pump.trip {x} is not raised" for x in sorted(missing)
             if not any(asset == x[0] and t > x[1] for asset, t in other)]
    wrong += [f"pump.trip {x} is raised" for x in sorted(
        raises["pump.trip"] - fleet.pumps.trips - other)]
    if hot:
        known = fleet.pumps.hot_raises(2**60)
        want = {(asset, t) for asset, times in known.items() for t in times}
        have = {(asset, t) for asset, t in raises["pump.hot"] if asset in known}
        wrong += [f"pump.hot {x}" for x in sorted(want ^ have)]
    return wrong


def idle(topics: Topics, faults: Sequence[Fault]) -> dict[int, int]:
    """How long each partition stood still at most (ms): no record of its ledger came, and its clock
    did not move by its marks. Not counted is the time in which something was done to the fleet.
    """
    moved: dict[int, list[int]] = {
        p: [record.timestamp for record in records] for p, records in topics.alerts.items()}
    furthest: dict[int, int] = {}
    for record in topics.feed[0]:       # marks go to all partitions
        said = fact_of(record.value, PARTITIONS)
        if isinstance(said, Mark) and said.to > furthest.get(said.source, 0):
            furthest[said.source] = said.to
            moved[said.source].append(record.timestamp)
    longest = {}
    for p, times in moved.items():
        times.sort()
        longest[p] = max(_idle(*pair, faults) for pair in pairwise(times))
    return longest


def _idle(begun: int, ended: int, faults: Sequence[Fault]) -> int:
    """Of the time between two moves, what comes after the last fault."""
    ends = [ended if x.ended is None or x.ended * 1000 > ended else int(x.ended * 1000)
            for x in faults if x.begun * 1000 <= ended]
    return ended - max([begun, *ends])


def waits(topics: Topics) -> list[int]:
    """How long after their instants alerts came (ms), sorted."""
    return sorted(
        record.timestamp - said.t_ms for records in topics.alerts.values() for record in records
        if (said := parse(record.headers)).kind.startswith("alert."))


# By replay ------------------------------------------------------------------------------------


def replayed(
    topics: Topics, found: Mapping[int, Ledger], editions: Mapping[str, Edition], fleet: Fleet
) -> list[Partition]:
    """Each partition, its whole ledger played again. Raises DivergedError."""
    made = []
    for p, ledger in found.items():
        part = begun(ledger[0][1], editions[ledger[0][1]["pack"]], Place(p, PARTITIONS, fleet.of))
        inputs = {"readings": topics.readings[p], "commands": topics.commands[p],
                  "group-feed": topics.feed[p]}
        more: list[Record] = []
        play = again(part, Tail(ledger), editions, lambda _: None, more.extend)
        answer: Sequence[Any] = ()
        try:
            want = next(play)
            while True:
                answer = _answer(inputs[want.topic], want)
                want = play.send(answer)
        except StopIteration:
            pass
        assert not more, f"partition {p} lacks records of its last beat"
        made.append(part)
    return made


def _answer(records: Sequence[Any], want: Want) -> Sequence[Any]:
    found = records[want.first : want.end]      # offsets count from 0, and none is missing
    assert not found or found[0].offset == want.first
    return found[:PORTION]


def editions() -> dict[str, Edition]:
    """The packs of these tests, by name."""
    made = [Edition.of([("pumps.yaml", pack(limit))]) for limit in (90.0, 85.0)]
    return {one.name: one for one in made}
