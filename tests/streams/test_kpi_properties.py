"""Figures of random stories: sweeps equal slow counting, keys and periods add up."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kpi import report
from streams.kpi_history import By
from streams.kpi_windows import Flood, counts, floods, peak
from tests.streams.kpi_kit import MIN, Book, H, S

GRID = st.one_of(
    st.lists(st.integers(0, 90), max_size=60), st.lists(st.integers(0, 40), min_size=25)
).map(sorted)


def slow_count(minutes: Sequence[int], at: int, window: int = 10) -> int:
    return sum(at - window < minute <= at for minute in minutes)


@given(GRID, st.integers(0, 50), st.integers(1, 60), st.sampled_from([1, 10, 60]))
def test_the_peak_is_that_of_slow_counting(
    minutes: list[int], begin: int, length: int, window: int
) -> None:
    slow = max(slow_count(minutes, at, window) for at in range(begin, begin + length))
    times = [minute * MIN for minute in minutes]
    assert peak(times, window * MIN, begin * MIN, (begin + length) * MIN) == slow


@given(GRID, st.integers(0, 50), st.integers(1, 60))
def test_floods_are_those_of_slow_counting(minutes: list[int], begin: int, length: int) -> None:
    slow: list[Flood] = []
    since, most = None, 0
    for at in range(begin + length):
        count = slow_count(minutes, at)
        if since is None and count > 10:
            since, most = at, 0
        if since is None:
            continue
        most = max(most, count)
        came = sum(since - 10 < minute <= at for minute in minutes)
        last = at == begin + length - 1
        if count < 5 or last:
            end = at * MIN if count < 5 else None
            slow.append(Flood(since * MIN, end, most, came))
            since = None
    touching = tuple(one for one in slow if one.end_ms is None or one.end_ms > begin * MIN)
    times = [minute * MIN for minute in minutes]
    assert floods(times, begin * MIN, (begin + length) * MIN) == touching


@given(GRID)
def test_the_count_is_exact_at_every_change(minutes: list[int]) -> None:
    for at, count in counts(minutes, 10):
        assert count == slow_count(minutes, at)


# Random stories

KINDS = ["raised", "held", "told", "level", "acknowledged", "unacknowledged", "overdue", "step",
         "closed", "returned", "shelved", "unshelved", "out_of_service"]  # fmt: skip
Beat = tuple[int, int, str]
BEATS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 40), st.sampled_from(KINDS)), max_size=120
)


def story(beats: Sequence[Beat]) -> Book:
    """Eight points of two desks, three rules and two places; gaps of multiples of 15 s."""
    book = Book()
    t = 0
    now: dict[int, str] = {}
    for i, gap, kind in beats:
        t += gap * 15 * S
        who = {"rule": f"r{i % 3}", "asset": f"A{i}", "desk": f"d{i % 2}", "place": f"p{i // 4}"}
        if kind in ("raised", "held"):
            clocks = {"acknowledge": t + MIN, "close": t + H}
            told = {"announced": True} if kind == "raised" else {"announced": False, "held": "x"}
            severity = ("blue", "yellow", "red")[gap % 3]
            now[i] = book.raised(t, **who, **told, severity=severity, plan="p", clocks=clocks)
        elif kind in ("shelved", "unshelved", "out_of_service"):
            book.point(t, kind, **who)
        elif kind == "told" and i in now:
            book.say(now[i], t, "raised", announced=True)
        elif i in now:
            book.say(now[i], t, kind, step="close" if gap % 2 else "acknowledge")
    return book


@given(BEATS, st.sampled_from(["desk", "class", "place", "rule"]))
def test_figures_of_a_key_add_up_to_the_whole(beats: list[Beat], by: By) -> None:
    found = report(story(beats).contents, by=by)
    each = list(found.each.values())
    for name in ("alarms", "standing", "standing_stale", "unacknowledged", "unclosed", "shelved",
                 "out_of_service"):  # fmt: skip
        assert sum(getattr(one, name) for one in each) == getattr(found.whole, name), name
    for name in ("days", "severities", "held"):
        added = sum((Counter(getattr(one, name)) for one in each), Counter[str]())
        assert added == Counter(getattr(found.whole, name)), name
    for name in ("fleeting", "chattering", "mean_hour"):
        total = sum(one.judged[name].value or 0 for one in each)
        assert total == pytest.approx(found.whole.judged[name].value), name
    assert sum(one.acknowledge.count for one in each) == found.whole.acknowledge.count
    assert sum(one.close.count for one in each) == found.whole.close.count
    missed = sum(clock.missed for one in each for clock in one.clocks.values())
    assert missed == sum(clock.missed for clock in found.whole.clocks.values())
    peaks = [one.judged["peak_10_min"].value or 0 for one in each]
    whole = found.whole.judged["peak_10_min"].value or 0
    assert max(peaks, default=0) <= whole <= sum(peaks)




@given(BEATS, st.integers(0, 2**32))
def test_only_the_order_within_a_point_matters(beats: list[Beat], seed: int) -> None:
    book = story(beats)
    rng = random.Random(seed)
    lines: dict[object, list[dict[str, object]]] = {}
    for content in book.contents:
        lines.setdefault(content.get("asset"), []).append(content)
    mixed = []
    while lines:
        key = rng.choice(list(lines))
        mixed.append(lines[key].pop(0))
        if not lines[key]:
            del lines[key]
    assert report(mixed, by="desk") == report(book.contents, by="desk")


@given(BEATS, st.integers(1, 100))
def test_periods_add_up(beats: list[Beat], percent: int) -> None:
    contents = story(beats).contents
    end = max(content["t_ms"] for content in contents) + 1
    middle = end * percent // 100
    if not 0 < middle < end:
        return
    whole = report(contents).whole
    parts = [report(contents, end=middle).whole, report(contents, begin=middle).whole]
    assert sum(one.alarms for one in parts) == whole.alarms
    assert sum(one.acknowledge.count for one in parts) == whole.acknowledge.count
    assert sum(sum(one.held.values()) for one in parts) == sum(whole.held.values())
    for step, clock in whole.clocks.items():
        halves = [one.clocks[step] for one in parts if step in one.clocks]
        assert sum(one.kept for one in halves) == clock.kept
        assert sum(one.missed for one in halves) == clock.missed


@given(BEATS)
def test_days_are_those_of_slow_counting(beats: list[Beat]) -> None:
    book = story(beats)
    zone = ZoneInfo("America/New_York")
    seen: set[str] = set()
    days: dict[str, int] = {}
    for one in book.contents:
        if one.get("kind") == "raised" and one["announced"] and one["alarm"] not in seen:
            seen.add(one["alarm"])
            day = f"{datetime.fromtimestamp(one['t_ms'] / 1000, zone):%Y-%m-%d}"
            days[day] = days.get(day, 0) + 1
    assert report(book.contents, zone="America/New_York").whole.days == days
