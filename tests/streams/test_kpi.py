"""Figures: what counts, and where windows and periods end."""

from __future__ import annotations

import pytest

from streams.kpi import Clock, Figures, ReportError, Times, report
from streams.kpi_history import HistoryError
from streams.kpi_limits import LIMITS, Verdict
from streams.kpi_windows import Flood, floods, peak
from tests.streams.kpi_kit import DAY, MIN, Book, H, S


def figures(book: Book, begin: int | None = None, end: int | None = None) -> Figures:
    return report(book.contents, begin=begin, end=end).whole


def verdict(found: Figures, name: str) -> Verdict | None:
    return found.judged[name].verdict


# What counts as an alarm


def test_a_period_without_alarms_has_figures() -> None:
    book = Book()
    book.mark(DAY)
    found = figures(book)
    assert found.alarms == 0
    assert found.days == {}
    assert found.acknowledge == Times(0, None, None, None)
    assert found.judged["top_share"].value is None
    assert {one.verdict for one in found.judged.values()} == {"ok", None}


def test_only_the_first_announced_raise_of_an_occurrence_is_an_alarm() -> None:
    book = Book()
    alarm = book.raised(1 * MIN)
    book.say(alarm, 5 * MIN, "raised")                                  # a shelf has ended
    book.say(alarm, 6 * MIN, "cleared")
    book.raised(7 * MIN)                                                # a new occurrence
    assert figures(book).alarms == 2


def test_an_alarm_is_counted_when_people_are_told() -> None:
    book = Book()
    alarm = book.raised(1 * MIN, announced=False, held="suppressed")
    book.raised(2 * MIN, "s", announced=False, held="shadow")
    book.say(alarm, 20 * MIN, "raised", announced=True)
    early, late = figures(book, end=10 * MIN), figures(book, begin=10 * MIN)
    assert (early.alarms, early.held) == (0, {"shadow": 1, "suppressed": 1})
    assert (late.alarms, late.held) == (1, {})
    assert early.unacknowledged == early.standing == 0


def test_alarms_of_groups_count() -> None:
    book = Book()
    book.raised(MIN, "g", "north", group=True, **{"class": ""})
    book.raised(MIN)
    found = report(book.contents, by="class")
    assert {key: one.alarms for key, one in found.each.items()} == {"": 1, "c": 1}


def test_the_top_ten_and_the_severities_at_the_announcement() -> None:
    book = Book()
    for i in range(12):
        book.spell(i * H, i * H + MIN, asset=f"A{i:02}")
    alarm = book.spell(13 * H, 14 * H, asset="A11", severity="yellow")
    book.say(alarm, 14 * H, "level", severity="red")
    found = figures(book)
    assert [(one.asset, one.alarms) for one in found.top[:2]] == [("A11", 2), ("A00", 1)]
    assert found.judged["top_share"].value == pytest.approx(11 / 13)
    assert verdict(found, "top_share") is None                          # too few to judge by
    assert found.severities == {"blue": 12, "yellow": 1, "orange": 0, "red": 0}


def test_shares_are_judged_where_there_are_enough_alarms() -> None:
    book = Book()
    for i in range(200):
        book.spell(i * H, i * H + MIN, asset=f"A{i}", severity="red" if i < 3 else "blue")
    found = figures(book)
    assert found.judged["top_share"].value == pytest.approx(0.05)
    assert verdict(found, "top_share") == "manageable"
    assert verdict(found, "red_share") == "over"
    assert verdict(found, "orange_share") == "ok"


# Rates, days and the edges of a period


def test_a_period_takes_its_begin_and_not_its_end() -> None:
    book = Book()
    for t in (MIN, 2 * MIN, 3 * MIN):
        book.raised(t)
    assert figures(book, MIN, 3 * MIN).alarms == 2
    assert figures(book).alarms == 3                                    # the last record is in it


def test_of_a_short_period_means_come_without_a_verdict() -> None:
    book = Book()
    for i in range(3):
        book.raised(i * MIN)
    found = figures(book, 0, 5 * MIN)
    assert found.judged["mean_10_min"].value == pytest.approx(6)
    assert found.judged["mean_hour"].value == pytest.approx(36)
    names = ("mean_10_min", "mean_hour", "mean_day", "flood_share")
    assert [verdict(found, name) for name in names] == [None] * 4
    assert verdict(figures(book, 0, 10 * MIN), "mean_10_min") == "over"
    assert verdict(figures(book, 0, 30 * MIN), "mean_10_min") == "ok"
    assert verdict(figures(book, 0, 20 * MIN), "mean_10_min") == "manageable"


def test_days_are_those_of_the_zone() -> None:
    book = Book(zone="Asia/Shanghai")
    for t in (15 * H, 16 * H - 1, 16 * H, 23 * H):                      # midnight there: 16:00 UTC
        book.raised(t)
    book.mark(DAY)
    assert figures(book).days == {"1970-01-01": 2, "1970-01-02": 2}
    found = report(book.contents, zone="UTC")
    assert (found.zone, found.whole.days) == ("UTC", {"1970-01-01": 4})
    assert found.whole.busiest_day == 4


def test_a_period_looks_back_over_its_begin_but_not_beyond_its_end() -> None:
    book = Book()
    for i in range(11):
        book.raised(i * S)
    book.raised(12 * MIN)
    found = figures(book, MIN, 11 * MIN)
    assert found.alarms == 0
    assert found.judged["peak_10_min"].value == 11
    assert found.floods == (Flood(10 * S, 10 * MIN + 6 * S, 11, 11),)
    assert found.judged["flood_share"].value == pytest.approx((9 * MIN + 6 * S) / (10 * MIN))
    assert found.standing == found.unacknowledged == 11


@pytest.mark.parametrize(
    ("begin", "end", "why"),
    [(5, 5, "not before its end"), (H, None, "end of the records"), (None, -5, "no records")],
)
def test_an_empty_period_is_refused(begin: int | None, end: int | None, why: str) -> None:
    with pytest.raises(ReportError, match=why):
        report(Book().contents, begin=begin, end=end)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ReportError, match="no time zone; expected a name like"):
        report(Book(zone="Mars/Olympus").contents)


# Floods


def test_a_flood_begins_above_ten_and_ends_below_five() -> None:
    ten = [i * S for i in range(10)]
    assert floods(ten, 0, H) == ()
    eleven = [*ten, 10 * S]
    # Of eleven a second apart the seventh leaves at 10 min 6 s; then there are four.
    assert floods(eleven, 0, H) == (Flood(10 * S, 10 * MIN + 6 * S, 11, 11),)
    assert floods(eleven, 0, 10 * MIN + 6 * S) == (Flood(10 * S, None, 11, 11),)
    # An alarm that comes when another leaves keeps the flood: the count is 5 at that instant.
    assert floods([*eleven, 10 * MIN + 6 * S], 0, H)[0].end_ms == 10 * MIN + 7 * S


def test_what_is_ten_minutes_old_has_left_the_window() -> None:
    assert peak([0, 10 * MIN], 10 * MIN, 0, H) == 1
    assert peak([0, 10 * MIN - 1], 10 * MIN, 0, H) == 2


# Nuisance alarms


def test_three_changes_within_a_minute_are_chattering() -> None:
    book = Book()
    book.spell(0, 30 * S)
    book.raised(60 * S)                                                 # a full minute after
    book.spell(0, 30 * S, rule="s")
    alarm = book.raised(60 * S - 1, "s")
    book.say(alarm, 61 * S, "raised")                                   # no change of the condition
    found = figures(book)
    assert [(one.rule, one.changes, one.alarms) for one in found.chattering] == [("s", 3, 2)]
    assert verdict(found, "chattering") == "over"


def test_a_reset_after_the_return_is_no_change() -> None:
    book = Book()
    alarm = book.raised(0)
    book.say(alarm, 10 * S, "returned")
    book.say(alarm, 20 * S, "cleared")
    assert figures(book).chattering == ()


def test_an_alarm_gone_in_less_than_ten_seconds_is_fleeting() -> None:
    book = Book()
    book.spell(0, 10 * S - 1)
    book.spell(MIN, MIN + 10 * S, asset="B")
    book.spell(MIN, MIN + 9 * S, asset="C", acknowledged=MIN + 2 * S)
    found = figures(book)
    assert found.judged["fleeting"].value == 1
    assert found.chattering == ()


def test_stale_is_longer_than_a_day_and_standing_is_now() -> None:
    book = Book()
    book.raised(0)
    book.spell(0, DAY + 1, asset="B")                                   # no longer than 24 h
    book.spell(0, DAY + 2, asset="C")
    book.spell(DAY, 3 * DAY, asset="D")
    book.mark(4 * DAY)
    found = figures(book)
    assert (found.standing, found.standing_stale) == (1, 1)
    assert [(one.asset, one.since_ms) for one in found.oldest] == [("A", 0)]
    assert found.judged["stale"].value == 2                             # A with C, then A with D
    assert figures(book, end=DAY).standing_stale == 0
    assert figures(book, end=DAY + 1).standing_stale == 4 - 1


def test_stale_alarms_are_counted_by_the_day_and_not_by_the_instant() -> None:
    book = Book()
    for i in range(5):
        book.spell(i * H, DAY + i * H + 30 * MIN, asset=f"A{i}")        # one after another
    book.mark(3 * DAY)
    found = figures(book)
    assert found.judged["stale"].value == 5
    assert verdict(found, "stale") == "over"
    assert verdict(figures(book, end=DAY + 4 * H), "stale") == "ok"


# What people do


def test_times_to_acknowledge_and_close() -> None:
    book = Book()
    for i, took in enumerate(range(1, 21)):
        alarm = book.raised(i * H, asset=f"A{i}")
        book.say(alarm, i * H + took * S, "acknowledged")
        if i < 2:
            book.say(alarm, i * H + 10 * MIN, "closed", fields={"cause_code": "7"})
    found = figures(book)
    assert found.acknowledge == Times(20, 10 * S, 19 * S, 20 * S)
    assert found.close == Times(2, 10 * MIN, 10 * MIN, 10 * MIN)
    assert found.unacknowledged == 0


def test_an_acknowledgement_holds_up_to_its_severity() -> None:
    book = Book()
    alarm = book.raised(0, severity="yellow")
    assert figures(book).unacknowledged == 1
    book.say(alarm, MIN, "acknowledged", severity="orange")
    book.say(alarm, 2 * MIN, "level", severity="orange")
    assert figures(book).unacknowledged == 0
    book.say(alarm, 3 * MIN, "level", severity="red")
    assert figures(book).unacknowledged == 1
    book.say(alarm, 4 * MIN, "cleared", severity="red")                 # returned unacknowledged
    assert figures(book).unacknowledged == 1
    book.say(alarm, 5 * MIN, "acknowledged", severity="red")
    found = figures(book)
    assert found.unacknowledged == 0
    assert found.acknowledge == Times(1, MIN, MIN, MIN)                 # the first one is measured


def test_an_acknowledgement_taken_back_does_not_count() -> None:
    book = Book()
    alarm = book.raised(0, plan="p", clocks={"acknowledge": 10 * MIN})
    book.say(alarm, MIN, "acknowledged")
    book.say(alarm, 2 * MIN, "unacknowledged", by="li")
    found = figures(book)
    assert (found.unacknowledged, found.acknowledge.count) == (1, 0)
    book.say(alarm, 9 * MIN, "acknowledged")
    found = figures(book)
    assert found.acknowledge == Times(1, 9 * MIN, 9 * MIN, 9 * MIN)
    assert found.clocks == {"acknowledge": Clock(1, 0, 1, "ok")}


@pytest.mark.parametrize("kind", ["raised", "unsuppressed", "unacknowledged"])
def test_back_in_sight_it_must_be_acknowledged_again(kind: str) -> None:
    book = Book()
    alarm = book.raised(0)
    book.say(alarm, MIN, "acknowledged")
    book.say(alarm, H, kind)
    book.say(alarm, 2 * H, "acknowledged")
    assert figures(book, end=2 * H).unacknowledged == 1
    assert figures(book).unacknowledged == 0
    assert figures(book).acknowledge == Times(1, MIN, MIN, MIN)         # nobody took it back


def test_nobody_waits_for_what_was_superseded() -> None:
    book = Book()
    alarm = book.spell(0, MIN, plan="p", closing=True)
    assert (figures(book).unacknowledged, figures(book).unclosed) == (1, 1)
    book.say(alarm, H, "superseded")
    assert (figures(book).unacknowledged, figures(book).unclosed) == (0, 0)


def test_clocks_are_kept_or_missed_once() -> None:
    book = Book()
    clocks = {"acknowledge": 30 * S, "dispatch": 5 * MIN, "close": H}
    alarm = book.raised(0, plan="p", clocks=clocks)
    book.say(alarm, 30 * S, "acknowledged")                             # at the deadline: in time
    book.say(alarm, 5 * MIN, "overdue", step="dispatch")
    book.say(alarm, 6 * MIN, "step", step="dispatch")
    book.say(alarm, 7 * MIN, "step", step="arrive")                     # has no clock
    assert figures(book).unclosed == 1
    book.say(alarm, 50 * MIN, "closed")
    found = figures(book)
    assert found.clocks == {
        "acknowledge": Clock(1, 0, 1, "ok"),
        "dispatch": Clock(0, 1, 0, "over"),
        "close": Clock(1, 0, 1, "ok"),
    }
    assert list(found.clocks) == ["acknowledge", "dispatch", "close"]
    assert found.unclosed == 0
    assert list(figures(book, begin=6 * MIN).clocks) == ["close"]


def test_a_step_may_set_the_time_limit_of_closing() -> None:
    book = Book()
    alarm = book.raised(0, plan="hazard", closing=True)
    book.say(alarm, MIN, "step", step="rectify", until_ms=DAY)
    assert figures(book).unclosed == 1
    book.say(alarm, H, "closed")
    assert figures(book).clocks == {"close": Clock(1, 0, 1, "ok")}


def test_the_clocks_of_a_new_plan_replace_those_of_the_one_before() -> None:
    book = Book()
    alarm = book.raised(0, plan="p", clocks={"acknowledge": MIN, "dispatch": 2 * MIN})
    book.say(alarm, 30 * S, "acknowledged")
    book.say(alarm, 40 * S, "level", severity="red", plan="q", clocks={"acknowledge": 70 * S})
    book.say(alarm, 70 * S, "overdue", step="acknowledge")
    assert figures(book).clocks == {"acknowledge": Clock(1, 1, 0.5, "over")}


def test_shelved_and_out_of_service_are_those_of_now() -> None:
    book = Book()
    book.point(MIN, "shelved", until_ms=10 * MIN)
    book.point(MIN, "shelved", asset="B", once=True)
    book.point(MIN, "out_of_service", asset="C")
    assert figures(book).shelved == 2
    book.mark(20 * MIN)                                                 # the time limit has come
    assert figures(book).shelved == 1
    assert figures(book, end=9 * MIN).shelved == 2
    book.point(21 * MIN, "unshelved", asset="B")
    book.point(21 * MIN, "in_service", asset="C")
    found = figures(book)
    assert (found.shelved, found.out_of_service) == (0, 0)
    assert figures(book, end=5 * MIN).out_of_service == 1


def test_a_shelf_stays_when_the_inventory_moves_its_asset() -> None:
    book = Book()
    book.point(MIN, "shelved", desk="east")
    book.raised(2 * MIN, desk="west", announced=False, held="shelved")
    found = report(book.contents, by="desk")
    assert (found.whole.shelved, found.each["west"].shelved) == (1, 1)


# Hostile or foreign records


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"t_ms": "soon", "type": "alert"},
        {"t_ms": 1},
        {"t_ms": 1, "type": "alert"},
        {"t_ms": 1, "type": "alert", "kind": "raised", "rule": 7, "asset": "A", "alarm": "x"},
        {"t_ms": 1, "type": "alert", "kind": "raised", "rule": "r", "asset": "A", "alarm": "x",
         "severity": "pink", "announced": True},
    ],
)  # fmt: skip
def test_a_record_of_another_form_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(HistoryError, match="record 7 is not one of a ledger"):
        report([*Book().contents, {"n": 7, **wrong}])


def test_unknown_types_kinds_and_later_parts_of_unknown_alarms_change_nothing() -> None:
    book = Book()
    alarm = book.raised(0)
    before = figures(book)
    book.say(alarm, 0, "comment", reason="looked at it")
    book.say(alarm, 0, "sparkle")
    book.contents.append({"n": 9, "type": "notice", "t_ms": 0})
    book.contents.append({**book.contents[1], "kind": "cleared", "alarm": "f" * 32})
    assert figures(book) == before


def test_every_judged_figure_has_a_limit_and_every_limit_a_figure() -> None:
    assert list(figures(Book()).judged) == list(LIMITS)
    assert all(limit.ok <= limit.manageable and limit.source for limit in LIMITS.values())
