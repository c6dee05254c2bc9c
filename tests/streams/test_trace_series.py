"""Courses of signals: as the rules see them, and small however long they are."""

import math
from random import Random

import pytest

from rules.load import load_texts
from rules.model import AssetClass
from rules.records import Message
from streams.trace_series import MOST, Collector, Point, Series, at, spark, thinned, value_of
from tests.streams.trace_kit import RULES, S

PACK = load_texts([("t", RULES.encode())]).pack
assert PACK is not None
TANK: AssetClass = PACK.classes["tank"]
NAN = math.nan
HOUR = 3_600 * S


def courses(begin: int, end: int, *messages: tuple[int, dict[str, object]]) -> dict[str, Series]:
    collector = Collector(TANK, TANK.signals.values(), begin, end)
    for t, values in messages:
        collector.take(Message("T-1", "tank", t, values))
    return {one.name: one for one in collector.series()}


def same(points: tuple[Point, ...], expected: list[Point]) -> bool:
    plain = [(t, None if math.isnan(x) else x) for t, x in points]
    return plain == [(t, None if math.isnan(x) else x) for t, x in expected]


def test_what_held_before_the_window_holds_at_its_beginning() -> None:
    found = courses(1000, 9000, (100, {"pressure": 5, "mode": "filling"}), (2000, {"pressure": 6}))
    assert found["pressure"].points == ((1000, 5.0), (2000, 6.0))
    assert (found["pressure"].samples, found["pressure"].first) == (1, 5.0)
    assert found["mode"].points == ((1000, 1.0),)


def test_bad_values_are_unknown_and_older_samples_are_superseded() -> None:
    found = courses(
        0, 9000, (10, {"pressure": 5.0}), (20, {"pressure": None}), (30, {"pressure": 99.0}),
        (40, {"pressure": 7.0}), (35, {"pressure": 1.0}), (10_000, {"pressure": 2.0}),
    )["pressure"]  # fmt: skip
    assert same(found.points, [(10, 5.0), (20, NAN), (30, NAN), (40, 7.0)])
    assert (found.low, found.high, found.samples) == (5.0, 7.0, 4)


def test_a_stale_signal_is_unknown_from_its_instant_on() -> None:
    found = courses(0, HOUR, (0, {"pressure": 5.0}), (300 * S, {"pressure": 6.0}))["pressure"]
    assert same(found.points, [(0, 5.0), (120 * S, NAN), (300 * S, 6.0), (420 * S, NAN)])


def test_silence_makes_every_signal_unknown_until_any_message() -> None:
    found = courses(0, 2 * HOUR, (0, {"mode": "idle", "valve": True}), (HOUR, {"valve": False}))
    assert same(found["mode"].points, [(0, 0.0), (1800 * S, NAN), (HOUR, 0.0), (5400 * S, NAN)])
    assert same(found["valve"].points, [(0, 1.0), (1800 * S, NAN), (HOUR, 0.0), (5400 * S, NAN)])


def test_events_are_the_codes_that_came() -> None:
    found = courses(0, 9000, (10, {"code": [1, "overfill", 77]}), (20, {"code": "leak"}))["code"]
    assert found.points == ((10, 1.0), (10, 2.0), (20, 1.0))
    assert found.titles[1].en == "leak"


def test_what_an_operator_set_runs_out() -> None:
    collector = Collector(TANK, TANK.signals.values(), 0, 3 * HOUR)
    collector.operator(10, "drill", given=True)
    collector.take(Message("T-1", "tank", 20, {"drill": False}))    # not from outside
    found = {one.name: one for one in collector.series()}["drill"]
    assert found.points == ((0, 0.0), (10, 1.0), (10 + HOUR, 0.0))


@pytest.mark.parametrize(
    ("signal", "given", "value"),
    [
        ("pressure", True, NAN), ("pressure", "5", NAN), ("pressure", math.inf, NAN),
        ("pressure", 50, 50.0), ("valve", 1, 1.0), ("valve", 2, NAN), ("valve", False, 0.0),
        ("mode", 1, 1.0), ("mode", 5, NAN), ("mode", "filling", 1.0), ("mode", "no", NAN),
        ("mode", True, NAN), ("pressure", [1], NAN), ("pressure", None, NAN),
    ],
)  # fmt: skip
def test_values_are_what_the_rules_see(signal: str, given: object, value: float) -> None:
    found = value_of(TANK.signals[signal], given)
    assert found == value or (math.isnan(found) and math.isnan(value))


def test_a_long_course_stays_small_and_loses_no_peak() -> None:
    random = Random(4)
    collector = Collector(TANK, [TANK.signals["pressure"]], 0, 100_000 * S)
    highest = 0.0
    for i in range(100_000):
        value = random.uniform(1, 10)
        value = 40.0 + i / 1e5 if i in (31_415, 92_653) else value
        highest = max(highest, value)
        collector.take(Message("T-1", "tank", i * S, {"pressure": value}))
    found = collector.series()[0]
    assert found.thinned
    assert len(found.points) <= MOST
    assert found.samples == 100_000
    assert found.high == highest
    values = [x for _, x in found.points]
    assert sum(x > 39 for x in values) == 2
    assert [t for t, _ in found.points] == sorted(t for t, _ in found.points)


def test_thinning_keeps_what_is_short_and_a_gap() -> None:
    points = [(i, float(i)) for i in range(500)]
    assert thinned(points, 0, 10_000_000)[:1] == points[:1]
    holed = [(i, NAN if i == 37 else float(i % 5)) for i in range(100_000)]
    kept = thinned(holed, 0, 100_000)
    assert any(math.isnan(x) for _, x in kept)
    assert len(kept) < 5_000


def test_the_value_at_an_instant_is_the_one_before() -> None:
    points = [(10, 1.0), (20, 2.0)]
    assert [at(points, t) for t in (10, 19, 20, 99)] == [1.0, 1.0, 2.0, 2.0]
    assert math.isnan(at(points, 9))


def test_a_course_in_one_line() -> None:
    found = courses(0, 100 * S, (50 * S, {"pressure": 5.0, "valve": True, "code": 1}),
                    (75 * S, {"pressure": 9.0, "valve": False}))  # fmt: skip
    assert spark(found["pressure"], 0, 100 * S, 8) == "····▁▁██"
    assert spark(found["valve"], 0, 100 * S, 8) == "····██▁▁"
    assert spark(found["code"], 0, 100 * S, 8).count("█") == 1
