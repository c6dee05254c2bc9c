"""The words of alarms, how changes make their state, and what is forgotten when."""

from __future__ import annotations

import msgspec
import pytest

from rules.records import Change
from streams.alarms import LADDER, Book, Done, Occurrence, Out, Point, Shelf, alarm_id, word
from streams.listing import rows
from tests.streams.alarm_kit import MIN, STATES, Desk, S, after, plain, rebuilt, standing

#: The word of each state; `listed`: whether operators see a row of it, acknowledged or not.
WORDS = """
nothing             normal
unacknowledged      unacknowledged           listed  open
acknowledged        acknowledged             listed  by-ana
risen               unacknowledged           listed  open
returned            returned_unacknowledged  listed  open
latched             latched                  listed  open
latched_acked       latched                  listed  by-ana
shelved_empty       shelved                  listed  open
shelved             shelved                  listed  open
shelved_once        shelved                  listed  by-ana
shelved_fresh       shelved                  listed  open
shelved_returned    shelved                  listed  open
shelved_latched     shelved                  listed  open
suppressed_fresh    suppressed               listed  open
suppressed          suppressed               listed  by-ana
suppressed_latched  suppressed               listed  open
suppressed_shelved  suppressed               listed  open
out_empty           out_of_service           listed  open
out                 out_of_service           listed  open
out_shelved         out_of_service           listed  open
out_suppressed      out_of_service           listed  open
shadow              normal
plan                unacknowledged           listed  open
plan_acked          acknowledged             listed  by-ana
plan_latched        latched                  listed  by-ana
plan_shelved        shelved                  listed  open
loop                normal                   listed  by-ana
loop_unacked        returned_unacknowledged  listed  open
loop_shelved        shelved                  listed  by-ana
closed              normal
rule_gone           returned_unacknowledged  listed  open
plan_gone           normal                   listed  by-ana
"""
LINES = [line.split() for line in WORDS.strip().splitlines()]


def test_every_state_has_a_word_and_every_word_a_state() -> None:
    assert [line[0] for line in LINES] == list(STATES)
    assert {line[1] for line in LINES} == {name for name, _ in LADDER}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_the_word_shown(line: list[str]) -> None:
    state, shown, *listed = line
    desk = STATES[state]()
    found = rows(desk.alarms, desk.contents)
    assert desk.word == shown
    assert [row["word"] for row in found] == ([shown] if listed else [])
    assert [row["acknowledged"] is not None for row in found] == [x == "by-ana" for x in listed[1:]]


@pytest.mark.parametrize("state", STATES)
def test_records_alone_make_the_state_and_a_snapshot_keeps_it(state: str) -> None:
    desk = STATES[state]()
    desk.at(desk.now + 1)
    before = desk.state()
    assert rebuilt(desk.records, desk.now - 1) == before
    assert desk.restart().state() == before
    assert desk.at(desk.now + 5 * MIN).state() == STATES[state]().at(desk.now).state()


def test_the_ladder_shows_the_uppermost_of_all_that_holds() -> None:
    shelf, out = Shelf(0, "a", "r", 9, once=False), Out(0, "a", "r")
    o = Occurrence(1, announced=True, suppressed=True, condition="latched")
    assert word(Point(shelf=shelf, out=out), o) == "out_of_service"
    assert word(Point(shelf=shelf), o) == "suppressed"
    o.suppressed = False
    assert word(Point(shelf=shelf), o) == "shelved"
    assert word(Point(), o) == "latched"
    o.condition = "active"
    assert word(Point(), o) == "unacknowledged"
    o.acknowledged = Done(2, "a")
    assert word(Point(), o) == "acknowledged"


def test_ids_tell_rule_asset_and_raise_apart() -> None:
    same = alarm_id("a.b", "P1", 1_000)
    others = {alarm_id("a.b", "P1", 1_001), alarm_id("a.b", "P2", 1_000),
              alarm_id("a.c", "P1", 1_000), alarm_id("a.b", "P1", 0)}  # fmt: skip
    assert len({same, *others}) == 5
    assert len(same) == 32
    assert same == alarm_id("a.b", "P1", 1_000)


@pytest.mark.parametrize("data", [None, 5, {}, [["a"]], [["a", "b", 3]], [[1, "b", {}]], ["ab"],
                                  [["a", "b", {"open": {"x": {}}}]]])
def test_what_is_no_state_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        Book().restore(data)


def test_a_finished_alarm_is_forgotten_once_nothing_more_can_come_of_it() -> None:
    desk = Desk()
    desk.raised(1 * S)
    desk.says("cleared")
    desk.does("acknowledge")                   # all in the ms of the raise
    desk.take(desk.alarms.advance(1 * S))
    assert desk.alarm.finished                 # it may be raised again within that ms
    desk.take(desk.alarms.advance(1 * S + 1))
    assert not desk.alarms.book.points
    assert not desk.alarms.book.ids


def test_a_point_that_was_shelved_once_keeps_counting() -> None:
    desk = Desk().does("shelve").does("unshelve").at(1 * MIN).does("shelve")
    desk.restart().at(2 * MIN).does("unshelve")
    assert [change.seq for change in desk.made] == [0, 1, 2, 3]
    assert {content["alarm"] for content in desk.records} == {alarm_id("pump.plain", "P1", 0)}


def test_a_snapshot_goes_through_bytes() -> None:
    desk = after(standing("pump.trapped").does("shelve"), "returned")
    data = msgspec.msgpack.encode(desk.alarms.state())
    book = Book()
    book.restore(msgspec.msgpack.decode(data))
    assert plain(book.state()) == desk.state()
    assert book.ids == desk.alarms.book.ids


def test_a_changed_copy_leaves_the_first_alone() -> None:
    first = Book()
    first.apply(Change(1, "P1", "r", "raised", 2, announced=True, group=False, raised=1, seq=0))
    second = Book()
    second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.state())))
    second.apply(Change(2, "P1", "r", "step", 2, announced=True, group=False, raised=1, seq=1,
                        step="look"))
    assert not first.points["r", "P1"].open[1].done
