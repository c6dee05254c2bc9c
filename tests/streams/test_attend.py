"""What follows for people from transitions, clocks and commands, one promise a test."""

from __future__ import annotations

import pytest

from rules.records import CommandKind, TransitionKind
from streams.alarms import MAX_OPEN
from tests.streams.alarm_kit import (
    HOUR,
    MIN,
    ORANGE,
    RED,
    RULES,
    STATES,
    YELLOW,
    Desk,
    S,
    after,
    pack_of,
    standing,
)

# Acknowledgement ------------------------------------------------------------------------------


def test_a_severity_that_rose_and_fell_again_is_to_be_acknowledged() -> None:
    desk = standing("pump.levels", level=2).does("acknowledge").at(3 * S)
    desk.says("level", level=0)
    desk.at(4 * S).says("level", level=2)
    assert desk.word == "unacknowledged"       # nobody has acknowledged the red
    desk.does("acknowledge").at(5 * S).says("level", level=2, severity=YELLOW)
    assert desk.word == "acknowledged"


def test_a_fall_of_the_severity_keeps_the_acknowledgement() -> None:
    desk = standing("pump.levels", level=0).does("acknowledge").at(3 * S)
    desk.says("level", level=1)
    assert desk.word == "acknowledged"


def test_acknowledging_one_occurrence_leaves_the_others() -> None:
    desk = after(standing(), "cleared")
    first = desk.id
    desk.raised(4 * S)
    desk.does("acknowledge", alarm=first)
    assert desk.word == "unacknowledged"
    assert [o.attended for o in desk.point.open.values()] == [True, False]


def test_without_an_id_all_that_wait_are_acknowledged() -> None:
    desk = after(standing(), "cleared")
    desk.raised(4 * S)
    desk.does("acknowledge")
    assert [(x.raised, x.kind, x.by) for x in desk.made[-2:]] == [
        (1 * S, "acknowledged", "ana"), (4 * S, "acknowledged", "ana"),
    ]


def test_raised_again_within_one_ms_is_not_acknowledged_by_the_one_before() -> None:
    desk = Desk()
    desk.raised(1 * S)
    desk.does("acknowledge")
    desk.says("cleared")
    desk.says("raised")                        # the same rule, asset and instant: the same id
    assert desk.word == "unacknowledged"
    assert [x.seq for x in desk.made] == [0, 1, 2, 3]


def test_an_acknowledgement_undone_lets_the_clock_of_its_step_go_on() -> None:
    desk = standing("pump.watched", acked=True).at(10 * S).does("unacknowledge").at(1 * MIN)
    assert desk.said[-1] == (31 * S, "overdue", True)
    assert desk.made[-1].step == "acknowledge"


def test_an_acknowledgement_undone_after_its_time_is_late_at_once() -> None:
    desk = standing("pump.watched", acked=True).at(50 * S).does("unacknowledge").at(1 * MIN)
    assert desk.said[-2:] == [(50 * S, "unacknowledged", True), (50 * S, "overdue", True)]
    desk.does("acknowledge").does("unacknowledge").at(5 * MIN)
    assert desk.kinds.count("overdue") == 1    # once


# Shelf, service, suppression --------------------------------------------------------------------


def test_what_comes_on_the_shelf_is_told_when_it_ends_and_not_before() -> None:
    desk = Desk().does("shelve", duration=10 * MIN)
    desk.raised(1 * MIN)
    desk.at(10 * MIN + 1)
    assert desk.said == [(0, "shelved", False), (1 * MIN, "raised", False),
                         (10 * MIN, "unshelved", False), (10 * MIN, "raised", True)]  # fmt: skip
    assert desk.made[1].held == "shelved"
    assert desk.word == "unacknowledged"


def test_what_was_acknowledged_comes_back_from_the_shelf_unacknowledged() -> None:
    desk = standing(acked=True).does("shelve").at(10 * MIN + 3 * S)
    assert desk.said[-2:] == [(10 * MIN + 2 * S, "unshelved", False),
                              (10 * MIN + 2 * S, "unacknowledged", True)]  # fmt: skip
    assert desk.word == "unacknowledged"


def test_what_came_and_went_on_the_shelf_is_never_told() -> None:
    desk = Desk().does("shelve")
    desk.raised(1 * S)
    after(desk, "cleared").at(1 * HOUR)
    assert not any(announced for _, _, announced in desk.said)
    assert not desk.point.open


@pytest.mark.parametrize("kind", ["shelve", "out_of_service"])
def test_an_end_is_told_although_it_comes_under_cover(kind: CommandKind) -> None:
    desk = after(standing().does(kind), "cleared")
    assert desk.said[-1] == (3 * S, "cleared", True)


def test_a_one_shot_shelf_ends_with_its_alarm_or_in_time() -> None:
    desk = after(standing().does("shelve", once=True), "cleared")
    assert desk.kinds[-2:] == ["cleared", "unshelved"]
    assert desk.raised(5 * S)[0].announced
    desk = standing().does("shelve", once=True, duration=5 * S).at(8 * S)
    assert desk.said[-2:] == [(7 * S, "unshelved", False), (7 * S, "unacknowledged", True)]


def test_a_one_shot_shelf_lasts_while_a_latched_alarm_waits() -> None:
    desk = after(standing("pump.latch").does("shelve", once=True), "returned")
    desk.raised(4 * S)
    assert desk.point.shelf
    assert [x.kind for x in desk.made[-2:]] == ["cleared", "raised"]
    after(desk, "returned", "cleared")
    assert not desk.point.shelf


def test_of_two_covers_the_last_to_end_brings_it_back() -> None:
    desk = standing().does("shelve", duration=1 * MIN).does("out_of_service").at(2 * MIN)
    assert desk.kinds[-1] == "unshelved"       # still out of service
    desk.does("in_service")
    assert desk.said[-1] == (2 * MIN, "unacknowledged", True)


def test_what_is_suppressed_by_design_stays_so_when_the_shelf_ends() -> None:
    desk = STATES["suppressed_shelved"]().does("unshelve")
    assert desk.kinds[-1] == "unshelved"
    assert desk.word == "suppressed"
    desk.says("raised")
    assert desk.word == "unacknowledged"


def test_suppression_that_ends_on_the_shelf_is_told_after_the_shelf() -> None:
    desk = STATES["suppressed_shelved"]()
    assert desk.says("raised")[0].held == "shelved"
    desk.does("unshelve")
    assert desk.said[-1] == (desk.now, "raised", True)


@pytest.mark.parametrize("acked", [True, False])
def test_the_end_of_suppression_takes_back_the_acknowledgement(acked: bool) -> None:
    desk = after(standing("pump.latch", acked=acked), "suppressed", "unsuppressed")
    assert desk.word == "unacknowledged"


@pytest.mark.parametrize("cover", ["shelved", "suppressed"])
def test_a_latched_alarm_that_is_told_late_can_be_reset(cover: str) -> None:
    desk = Desk("pump.latch")
    if cover == "shelved":
        desk.does("shelve")
        desk.raised(1 * S)
        after(desk, "returned").does("unshelve")
    else:
        desk.raised(1 * S, announced=False)
        after(desk, "returned", announced=False).at(4 * S).says("raised")
    assert desk.made[-1].kind == "raised"
    assert desk.made[-1].announced
    assert desk.word == "latched"
    assert desk.order("reset") is None


def test_a_shadow_is_recorded_and_never_told() -> None:
    desk = after(STATES["shadow"](), "level", "stale", "fresh", "cleared", announced=False)
    assert {x.held for x in desk.made} == {"shadow"}
    assert not any(x.announced for x in desk.made)
    desk.at(1 * MIN)
    assert not desk.point.open


# Occurrences ----------------------------------------------------------------------------------


def test_true_again_before_its_reset_is_a_new_alarm_and_ends_the_one_before() -> None:
    desk = after(standing("pump.latch"), "returned")
    desk.raised(4 * S)
    assert [(x.raised, x.kind, x.announced) for x in desk.made[-2:]] == [
        (1 * S, "cleared", True), (4 * S, "raised", True),
    ]
    assert [o.unattended for o in desk.point.open.values()] == [True, True]


def test_of_too_many_that_nobody_works_off_the_oldest_gives_way_on_record() -> None:
    desk = Desk()
    for n in range(MAX_OPEN + 2):
        desk.raised((2 * n + 1) * S)
        after(desk, "cleared")
    gone = [x for x in desk.made if x.kind == "superseded"]
    assert [x.raised for x in gone] == [1 * S, 3 * S]
    assert len(desk.point.open) == MAX_OPEN
    assert len(desk.alarms.book.ids) == MAX_OPEN


# Plans ----------------------------------------------------------------------------------------


def test_clocks_run_out_at_their_instants_and_raise_the_severity_once() -> None:
    desk = standing("pump.trapped").at(3 * HOUR)
    assert [(x.t, x.step, x.severity, x.notify) for x in desk.made if x.kind == "overdue"] == [
        (31 * S, "acknowledge", RED, ("district",)),
        (20 * MIN + 1 * S, "arrive", RED, ("district",)),
        (2 * HOUR + 1 * S, "close", RED, ("district",)),
    ]  # fmt: skip


def test_a_step_done_stops_its_clock() -> None:
    desk = standing("pump.trapped", acked=True).does("step", step="arrive").at(1 * HOUR)
    assert "overdue" not in desk.kinds


def test_without_a_loop_clocks_end_with_the_alarm() -> None:
    desk = after(standing("pump.watched"), "cleared").at(1 * HOUR)
    assert "overdue" not in desk.kinds


def test_with_a_loop_they_run_until_it_is_closed() -> None:
    desk = STATES["loop"]().at(1 * HOUR)
    assert [x.step for x in desk.made if x.kind == "overdue"] == ["arrive"]
    assert desk.word == "returned_unacknowledged"      # it was late, so red, which is new
    desk.does("acknowledge")
    desk.does("step", step="close", fields={"cause_code": "c", "responsible": "r"}).at(3 * HOUR)
    assert desk.kinds.count("overdue") == 1


def test_what_is_late_under_cover_is_held_and_told_with_its_end() -> None:
    desk = standing("pump.watched").does("shelve", duration=1 * MIN).at(2 * MIN)
    late = next(x for x in desk.made if x.kind == "overdue")
    assert (late.t, late.announced, late.held, late.severity) == (31 * S, False, "shelved", ORANGE)
    back = desk.made[-1]
    assert (back.kind, back.announced, back.severity) == ("unacknowledged", True, ORANGE)


def test_a_higher_level_brings_its_plan_and_a_lower_one_does_not_take_it_away() -> None:
    desk = standing("pump.levels", level=2)
    assert desk.alarm.plan == "watch"
    desk.says("level", level=1)                # orange has none
    assert desk.alarm.plan == "watch"
    desk.at(5 * S).says("level", level=0)
    assert (desk.alarm.plan, desk.alarm.clocks["acknowledge"]) == ("rescue", 35 * S)
    desk.says("level", level=2)
    desk.does("shelve").at(6 * S).does("unshelve")
    assert desk.alarm.plan == "rescue"
    assert desk.alarm.closing


@pytest.mark.parametrize("cover", ["shelf", "suppression"])
def test_a_plan_that_came_under_cover_begins_when_that_ends(cover: str) -> None:
    desk = standing("pump.levels", level=2)
    if cover == "shelf":
        desk.does("shelve")
    else:
        desk.says("suppressed")
    desk.at(3 * S).says("level", level=0, announced=cover == "shelf")
    assert desk.alarm.plan == "watch"
    desk.at(4 * S)
    if cover == "shelf":
        desk.does("unshelve")
    else:
        desk.says("unsuppressed")
    assert desk.alarm.plan == "rescue"
    assert desk.made[-1].clocks["acknowledge"] == 34 * S
    assert desk.records[-1]["plan"] == "rescue"


def test_a_floor_by_a_late_step_holds_against_the_engine() -> None:
    desk = standing("pump.watched").at(40 * S)
    assert desk.alarm.severity == ORANGE
    assert desk.says("level", severity=ORANGE)[0].held == "unchanged"
    assert desk.says("level", severity=YELLOW)[0].severity == ORANGE


def test_a_time_limit_is_of_a_plan_that_is_closed() -> None:
    desk = standing("pump.watched").does("step", step="look", fields={"time_limit": "1 min"})
    assert desk.made[-1].until is None
    assert "close" not in desk.alarm.clocks


# Rules that change ------------------------------------------------------------------------------


def test_covers_of_a_rule_that_is_gone_are_taken_away() -> None:
    desk = Desk().does("shelve").does("out_of_service")
    desk.take(desk.alarms.activate(pack_of(RULES.replace("pump.plain", "pump.other")), 5))
    assert [(x.t, x.kind, x.reason) for x in desk.made[-2:]] == [
        (5, "unshelved", "the rule is gone"), (5, "in_service", "the rule is gone"),
    ]


def test_alarms_and_loops_of_what_is_gone_can_still_be_worked_off() -> None:
    STATES["rule_gone"]().does("comment").does("acknowledge")
    desk = STATES["plan_gone"]().does("step", step="close").at(1 * MIN)
    assert not desk.point.open


def test_an_edit_keeps_clocks_shelves_and_acknowledgements() -> None:
    desk = standing("pump.watched", acked=True).does("shelve")
    before = desk.state()
    assert not desk.alarms.activate(pack_of(RULES.replace("within: 10 min", "within: 1 min")), 5)
    assert desk.state() == before


@pytest.mark.parametrize("order", [1, -1])
def test_an_activation_speaks_of_points_in_one_order(order: int) -> None:
    desk = Desk()
    for asset in ("P3", "P1", "P2")[::order]:
        desk.does("shelve", asset=asset)
    changes = desk.alarms.activate(pack_of(RULES.replace("pump.plain", "pump.other")), 5)
    assert [x.asset for x in changes] == ["P1", "P2", "P3"]


# Snapshots --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [(), ("cleared",), ("stale",)])
def test_clocks_and_shelves_end_on_time_after_a_stop(kinds: tuple[TransitionKind, ...]) -> None:
    def life(*, stopped: bool) -> list[tuple[int, str, bool]]:
        desk = after(standing("pump.trapped").does("shelve"), *kinds).at(8 * MIN)
        if stopped:
            desk.restart()
        return desk.at(12 * MIN).at(3 * HOUR).said

    assert life(stopped=True) == life(stopped=False)
    assert (10 * MIN + 2 * S, "unshelved", False) in life(stopped=True)
