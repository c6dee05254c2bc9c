"""What workers say of themselves makes the alarms of Tocsin's own pack, and none in calm."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from kafka.partitioner import murmur2

from rules.load import load
from rules.model import Pack
from rules.records import Transition
from streams.health import (
    COUNTED,
    HOLD_MS,
    REPORT_MS,
    Observed,
    Off,
    PartitionSeen,
    Skews,
    partition_asset,
    reports,
    worker_asset,
)
from streams.site import Site

CLASSES = ("tocsin_partition", "tocsin_worker", "tocsin_device")
T0 = 1_767_225_600_000


def spread(count: int) -> dict[str, int]:
    """The partition of each name asked for, as Kafka's clients have it."""

    class Partitions(dict[str, int]):
        def __missing__(self, key: str) -> int:
            return (murmur2(key.encode()) & 0x7FFF_FFFF) % count

    return Partitions()


def partition(number: int, **more: int) -> PartitionSeen:
    calm = {"lag": 3, "stalled_ms": 0, "refused": 7, "snapshot_failures": 0,
            "snapshot_age_ms": 900, "lag_ms": 20, "epoch": 4}  # fmt: skip
    return PartitionSeen(number, **(calm | more))


@cache
def pack() -> Pack:
    found = load([Path(__file__).parents[2] / "rules" / "packs" / "tocsin"]).pack
    assert found is not None
    return found


class Fleet:
    """Reports as they would arrive, and what the rules make of them."""

    def __init__(self, count: int = 4) -> None:
        self.site = Site(pack())
        self.partition_of = spread(count).__getitem__
        self.made: list[Transition] = []

    def report(self, seen: Observed, at: int = 0) -> None:
        """A report arrives (`at` of the brokers' clock, else with its own time)."""
        told = reports(seen, self.partition_of, CLASSES)
        scanned = self.site.scan([value for _, value in told], at or seen.now_ms)
        assert not scanned.counts
        self.made += self.site.batch(scanned.batch)

    def until(self, t: int) -> list[tuple[str, str, str]]:
        """All alarms so far."""
        self.made += self.site.run_until(t)
        return [(one.kind, one.rule, one.asset) for one in self.made]


def worker(name: str, t: int, *partitions: PartitionSeen, **more: object) -> Observed:
    return replace(Observed(name, t, T0 - 1000, partitions, skew_ms=2), **more)  # type: ignore[arg-type]


def test_a_fleet_in_calm_is_quiet_through_a_stop_and_a_start_in_order() -> None:
    fleet = Fleet()
    for i in range(100):
        t = T0 + i * REPORT_MS
        moved = 30 <= i < 60       # b is away, after a word; a has its partitions after 10 s
        mine = [0, 1, 2, 3] if 32 <= i < 62 else [0, 1]
        epoch = 4 + (i >= 32) + (i >= 62)
        fleet.report(worker("a", t, *(partition(n, epoch=epoch) for n in mine)))
        started = T0 - 1000 if i < 60 else T0 + 60 * REPORT_MS
        if not moved:
            stopped = i == 29
            own = () if stopped or i in (60, 61) else (2, 3)
            fleet.report(worker("b", t, *(partition(n, epoch=epoch, refused=0) for n in own),
                                started_ms=started, stopped=stopped))
    assert fleet.until(T0 + 100 * REPORT_MS) == []


def test_what_goes_wrong_is_told() -> None:
    fleet = Fleet()
    fleet.report(worker("a", T0, partition(0), partition(1)))
    late = T0 + REPORT_MS
    fleet.report(worker("a", late, partition(0, stalled_ms=31_000), partition(1, refused=50_000),
                        deaths=0, away_ms=12_000))
    fleet.report(worker("a", late + REPORT_MS, partition(1, refused=50_000), deaths=1))
    told = fleet.until(late + REPORT_MS + 60_000)
    zero, one = (partition_asset(n, fleet.partition_of) for n in (0, 1))
    assert [x for x in told if x[0] == "raised"] == [
        ("raised", "tocsin.partition_stalled", zero),
        ("raised", "tocsin.partition_refuses", one),
        ("raised", "tocsin.worker_cut_off", "tocsin.worker.a"),
        ("raised", "tocsin.worker_group_died", "tocsin.worker.a"),
        ("raised", "tocsin.worker_silent", "tocsin.worker.a"),
        ("raised", "tocsin.partition_unowned", zero),
        ("raised", "tocsin.partition_unowned", one),
    ]


@pytest.mark.parametrize("skew_ms", [-3_600_000, 3_600_000])
def test_a_worker_whose_clock_is_an_hour_off_says_so_itself(skew_ms: int) -> None:
    fleet = Fleet()
    for i in range(20):
        t = T0 + i * REPORT_MS
        fleet.report(worker("a", t + skew_ms, partition(0), skew_ms=skew_ms), at=t)
    assert fleet.until(T0 + 100_000) == [("raised", "tocsin.worker_clock", "tocsin.worker.a")]


def test_a_device_that_is_ahead_is_named_until_it_is_well() -> None:
    fleet, skews = Fleet(), Skews()
    for i in range(200):
        t = T0 + i * REPORT_MS
        if i < 5:
            skews.note("L-1", 3_600_000, t)
        count, off = skews.look(t)
        fleet.report(worker("a", t, replace(partition(0), skewed=count, off=off)))
    assert fleet.until(T0 + 200 * REPORT_MS) == [
        ("raised", "tocsin.device_ahead", "tocsin.device.L-1"),
        ("cleared", "tocsin.device_ahead", "tocsin.device.L-1")]


def test_the_form_of_the_messages() -> None:
    seen = worker("a", T0 + 2, replace(partition(3, lag_ms=1), off=(Off("x", -400_000),)))
    told = reports(seen, spread(1).__getitem__, CLASSES)
    assert [key for key, _ in told] == [
        "tocsin.worker.a", "tocsin.partition.3", "tocsin.device.x"]
    bodies = [json.loads(value) for _, value in told]
    assert [body["asset"] for body in bodies] == [key for key, _ in told]
    assert bodies[2] == {"asset": "tocsin.device.x", "class": "tocsin_device", "t": T0,
                         "values": {"ahead": 0.0, "behind": 400.0}}
    assert bodies[1]["values"]["lag_age"] == 0.001
    unknown = replace(seen, skew_ms=None, partitions=(replace(seen.partitions[0], lag_ms=None),))
    told = reports(unknown, spread(1).__getitem__, ("tocsin_partition",))
    assert len(told) == 1
    assert "lag_age" not in json.loads(told[0][1])["values"]


@pytest.mark.parametrize("count", [2, 3, 8, 48])
def test_no_partition_has_its_own_alarm(count: int) -> None:
    partition_of = spread(count)
    names = [partition_asset(n, partition_of.__getitem__) for n in range(count)]
    assert len(set(names)) == count
    assert all(partition_of[name] != n for n, name in enumerate(names))
    assert all(name.startswith(f"tocsin.partition.{n}") for n, name in enumerate(names))
    assert partition_asset(0, lambda _: 0) == "tocsin.partition.0"


def test_names_of_workers_that_cannot_be() -> None:
    assert worker_asset("w" * 100) == "tocsin.worker." + "w" * 100
    for name in ("", "a\n", "w" * 101):
        with pytest.raises(ValueError, match="a worker's name has 1 to 100 printable characters"):
            worker_asset(name)


def test_many_devices_are_counted_and_a_few_are_named() -> None:
    skews = Skews()
    skews.note("x" * 128, 70_000, 0)        # too long for an id of ours
    skews.note("tocsin.worker.a", 70_000, 0)
    for i in range(2 * COUNTED):
        skews.note(f"d{i}", 70_000, 0)
    count, off = skews.look(0)
    assert (count, [one.asset for one in off]) == (COUNTED, ["d0", "d1", "d2", "d3"])
    skews.note("d1", 80_000, 1_000)
    count, off = skews.look(HOLD_MS)
    assert (count, off) == (
        1, (Off("d0", 0), Off("d2", 0), Off("d3", 0), Off("d1", 80_000)))
    assert skews.look(HOLD_MS) == (1, (Off("d1", 80_000),))
    assert skews.look(HOLD_MS + 1_000) == (0, (Off("d1", 0),))
    assert skews.look(HOLD_MS + 2_000) == (0, ())
    skews.note("d5", -400_000, 10_000)
    assert skews.look(9_999) == (0, ())     # a clock that is set back starts anew
