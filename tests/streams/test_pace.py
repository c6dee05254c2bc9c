from __future__ import annotations

import pytest

from streams.pace import GAP_MS, SETTLE_MS, UNKNOWN, Input, Pace, Skew


@pytest.mark.parametrize(
    ("one", "pace"),
    [
        (Input(), UNKNOWN),                                                # nothing is known yet
        (Input(polled=100), UNKNOWN),                                      # nor where it ends
        (Input(polled=100, done=0, end=0), 100),                           # empty
        (Input(polled=100, done=0, end=5), UNKNOWN),                       # all of it waits
        (Input(stamp=40, polled=100, done=3, end=5), 40),                  # some of it waits
        (Input(stamp=40, polled=100, done=5, end=5), 100),                 # all is played
        (Input(stamp=140, polled=100, done=6, end=5), 140),                # and more came since
        (Input(stamp=40, done=5), 40),                                     # no broker has answered
    ],
)
def test_an_input_is_as_far_as_what_was_played_or_asked_for(one: Input, pace: int) -> None:
    assert one.pace() == pace


def at(t: int) -> Input:
    return Input(polled=t, done=0, end=0)


def test_a_clock_goes_as_far_as_the_last_of_its_inputs() -> None:
    pace = Pace(1_000, {"readings": at(1_500), "feed": at(1_200)})
    assert pace.clock() == 1_200
    pace.inputs["feed"] = at(1_700)
    assert pace.clock() == 1_500
    pace.inputs["commands"] = Input()
    assert pace.clock() is None
    assert Pace(1_000).clock() is None


def looks(begun: int, *times: int) -> list[int | None]:
    """What the clock may do at these looks."""
    pace = Pace(begun, {"readings": at(begun)})
    found = []
    for t in times:
        pace.inputs["readings"].asked(0, t)
        found.append(pace.clock())
    return found


def test_small_steps_are_taken_at_once() -> None:
    assert looks(0, 500, 500, 500 + GAP_MS) == [500, 500, 500 + GAP_MS]


def test_after_a_gap_it_waits_until_what_was_kept_has_come() -> None:
    gap = GAP_MS + 1
    steps = [gap + i * 1_000 for i in range(7)]
    settled = gap + SETTLE_MS
    assert looks(0, *steps) == [None] * 5 + [settled, settled + 1_000]


def test_each_gap_begins_the_wait_anew() -> None:
    gap = GAP_MS + 1
    steps = [gap, *(2 * gap + i * 1_000 for i in range(6))]
    assert looks(0, *steps) == [None] * 6 + [2 * gap + SETTLE_MS]


def test_what_goes_back_is_no_gap_forward_again() -> None:
    assert looks(0, 2_000, 500, 2_500) == [2_000, 500, 2_500]


def backlog(*stamps: int) -> tuple[Pace, Input]:
    """What lay there when a partition was taken over whose clock stood at 10,000."""
    pace = Pace(10_000, {"readings": Input(), "commands": Input()})
    one = pace.inputs["readings"]
    one.asked(len(stamps), 90_000)
    pace.inputs["commands"].asked(0, 90_000)
    return pace, one


def test_a_backlog_is_played_by_the_stamps_of_its_records() -> None:
    pace, one = backlog(10_500, 12_000, 13_900)
    assert pace.clock() is None
    found = []
    for done, stamp in ((1, 10_500), (2, 12_000)):
        one.played([stamp], done)
        found.append(pace.clock())
    one.played([13_900], 3)
    assert [*found, pace.look()] == [10_500, 12_000, 90_000]
    assert pace.clock() is None      # of the time from 13,900 on nothing is known


def test_it_is_no_gap_if_much_is_played_at_once() -> None:
    stamps = range(11_000, 89_000, 1_000)
    pace, one = backlog(*stamps)
    one.played(stamps, len(stamps))
    one.asked(len(stamps), 90_000)
    assert pace.clock() == 90_000


def test_a_gap_within_what_is_played_at_once_is_found() -> None:
    stamps = [11_000, 12_000, 40_000, 41_000]
    pace, one = backlog(*stamps, 43_000, 45_000, 46_000)
    one.played(stamps, len(stamps))
    assert one.gap == 40_000
    one.played([43_000], 5)
    assert pace.clock() is None
    one.played([45_000], 6)
    assert pace.clock() == 40_000 + SETTLE_MS


def test_after_a_gap_it_waits_for_what_was_kept_however_long_that_takes_to_come() -> None:
    pace, one = backlog(*range(40))
    one.asked(40, 10_000)
    found = []
    for n in range(14):                 # from 40,000 on; those of before had been kept up to 47,000
        t = 40_000 + n * 1_000
        one.played([t], n + 1, t if n > 7 else 30_000 + n * 1_000)
        found.append(pace.clock())
    assert found == [None] * 12 + [52_000, 53_000]
    one.played([54_000], 15, 40_000)    # this one is late, and that is all
    assert pace.clock() == 54_000


def test_a_device_with_a_wrong_clock_keeps_it_back_for_a_minute_at_most() -> None:
    pace, one = backlog(*range(100))
    one.asked(100, 10_000)
    pace.inputs["commands"].asked(0, 200_000)
    for n in range(61):
        one.played([40_000 + n * 1_000], n + 1, 0)
        assert (pace.clock() is None) is (n < 60)


def test_gaps_of_orders_keep_nobody_waiting() -> None:
    pace = Pace(10_000, {"readings": at(10_000), "commands": at(10_000)})
    pace.inputs["commands"].asked(0, 90_000)
    pace.inputs["readings"].asked(0, 11_000)
    assert pace.inputs["commands"].gap == 90_000
    assert pace.clock() == 11_000


def test_a_skew_is_the_least_difference_lately() -> None:
    skew = Skew()
    assert skew.ms == 0
    for now, stamp in ((1_000, 900), (2_000, 1_970), (3_000, 2_500)):
        skew.heard(now, stamp)
    assert skew.ms == 30
    skew.heard(3_100, 3_200)      # this machine is behind the brokers
    assert skew.ms == -100


def test_a_skew_forgets_what_is_older_than_two_spans() -> None:
    skew = Skew()
    skew.heard(0, -10)
    skew.heard(Skew.SPAN_MS, Skew.SPAN_MS - 500)
    assert skew.ms == 10
    skew.heard(2 * Skew.SPAN_MS, 2 * Skew.SPAN_MS - 400)
    assert skew.ms == 400
