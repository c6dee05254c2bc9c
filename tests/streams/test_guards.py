"""Which command is accepted in which state, written out by hand."""

from __future__ import annotations

import pytest

from rules.records import Refusal
from streams.guards import GUARDS, MAX_FIELDS, MAX_TEXT
from tests.streams.alarm_kit import HOUR, MIN, STATES, Desk, S, standing

REASONS = {
    "none": "there is no such alarm now",
    "shelf": "it is shelved",
    "supp": "it is suppressed",
    "outs": "it is out of service",
    "by-ana": "already acknowledged by ana",
    "quiet": "it was not announced",
    "unack": "it is not acknowledged",
    "ended": "the alarm has ended",
    "noplan": "no plan has begun for it",
    "active": "still active: it can be reset once its condition has returned to normal",
    "nolatch": "it is not latched",
    "isshelf": "already shelved by ana",
    "noshelf": "it is not shelved",
    "isout": "already out of service, by ana",
    "isin": "it is in service",
    "stands": "the loop cannot be closed while the alarm is active",
    "unreset": "the loop cannot be closed before the alarm is reset",
    "ackfirst": "acknowledge it before it is closed",
    "gone": "its rule is gone",
}
COLUMNS = {
    "ack": ("acknowledge", {}),
    "undo": ("unacknowledge", {}),
    "comment": ("comment", {}),
    "arrive": ("step", {"step": "arrive"}),
    "close": ("step", {"step": "close", "fields": {"cause_code": "c", "responsible": "r"}}),
    "reset": ("reset", {}),
    "shelve": ("shelve", {}),
    "unshelve": ("unshelve", {}),
    "out": ("out_of_service", {}),
    "in": ("in_service", {}),
}
#: `ok`: accepted. Columns are those above.
TABLE = """
                    ack     undo   comment arrive  close    reset    shelve   unshelve  out    in
nothing             none    none   none    none    none     none     ok       noshelf   ok     isin
unacknowledged      ok      unack  ok      noplan  noplan   active   ok       noshelf   ok     isin
acknowledged        by-ana  ok     ok      noplan  noplan   active   ok       noshelf   ok     isin
risen               ok      unack  ok      ok      stands   active   ok       noshelf   ok     isin
returned            ok      ended  ok      noplan  noplan   nolatch  ok       noshelf   ok     isin
latched             ok      unack  ok      noplan  noplan   ok       ok       noshelf   ok     isin
latched_acked       by-ana  ok     ok      noplan  noplan   ok       ok       noshelf   ok     isin
shelved_empty       none    none   none    none    none     none     isshelf  ok        ok     isin
shelved             shelf   shelf  ok      noplan  noplan   active   isshelf  ok        ok     isin
shelved_once        shelf   shelf  ok      noplan  noplan   active   isshelf  ok        ok     isin
shelved_fresh       shelf   shelf  ok      noplan  noplan   active   isshelf  ok        ok     isin
shelved_returned    shelf   shelf  ok      noplan  noplan   nolatch  isshelf  ok        ok     isin
shelved_latched     shelf   shelf  ok      noplan  noplan   ok       isshelf  ok        ok     isin
suppressed_fresh    supp    supp   ok      noplan  noplan   active   ok       noshelf   ok     isin
suppressed          supp    supp   ok      noplan  noplan   active   ok       noshelf   ok     isin
suppressed_latched  supp    supp   ok      noplan  noplan   ok       ok       noshelf   ok     isin
suppressed_shelved  shelf   shelf  ok      noplan  noplan   active   isshelf  ok        ok     isin
out_empty           none    none   none    none    none     none     isout    noshelf   isout  ok
out                 outs    outs   ok      noplan  noplan   active   isout    noshelf   isout  ok
out_shelved         outs    outs   ok      noplan  noplan   active   isout    ok        isout  ok
out_suppressed      outs    outs   ok      noplan  noplan   active   isout    noshelf   isout  ok
shadow              quiet   unack  ok      noplan  noplan   active   ok       noshelf   ok     isin
plan                ok      unack  ok      ok      stands   active   ok       noshelf   ok     isin
plan_acked          by-ana  ok     ok      ok      stands   active   ok       noshelf   ok     isin
plan_latched        by-ana  ok     ok      ok      unreset  ok       ok       noshelf   ok     isin
plan_shelved        shelf   shelf  ok      ok      stands   active   isshelf  ok        ok     isin
loop                by-ana  ended  ok      ok      ok       nolatch  ok       noshelf   ok     isin
loop_unacked        ok      ended  ok      ok      ackfirst nolatch  ok       noshelf   ok     isin
loop_shelved        shelf   shelf  ok      ok      ok       nolatch  isshelf  ok        ok     isin
closed              none    none   none    none    none     none     ok       noshelf   ok     isin
rule_gone           ok      ended  ok      noplan  noplan   nolatch  gone     noshelf   gone   isin
plan_gone           by-ana  ended  ok      ok      ok       nolatch  ok       noshelf   ok     isin
"""
HEAD, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [(row[0], column, cell) for row in ROWS for column, cell in zip(HEAD, row[1:], strict=True)]


def test_the_table_has_a_row_for_every_state_and_a_column_for_every_command() -> None:
    assert [row[0] for row in ROWS] == list(STATES)
    assert list(COLUMNS) == HEAD
    assert {kind for kind, _ in COLUMNS.values()} == GUARDS.keys() - {"set"}
    assert {cell for _, _, cell in CELLS} == REASONS.keys() | {"ok"}


@pytest.mark.parametrize(("state", "column", "cell"), CELLS)
def test_a_command_is_carried_out_or_changes_nothing(state: str, column: str, cell: str) -> None:
    desk = STATES[state]()
    kind, more = COLUMNS[column]
    before, made = desk.state(), len(desk.made)
    refusal = desk.order(kind, **more)
    if cell == "ok":
        assert refusal is None
        if kind == "reset":     # that is for the engine to do
            assert desk.state() == before
        else:
            assert desk.state() != before
            assert all(change.by == "ana" for change in desk.made[made:][:1])
    else:
        assert refusal == Refusal(REASONS[cell])
        assert (desk.state(), len(desk.made)) == (before, made)


@pytest.mark.parametrize("state", STATES)
def test_a_command_without_author_is_refused_everywhere(state: str) -> None:
    desk = STATES[state]()
    before = desk.state()
    for kind, more in COLUMNS.values():
        assert desk.order(kind, **more, by="  ") == Refusal("it does not say who orders it")
    assert desk.state() == before


# One reason after the other ----------------------------------------------------------------------


def refused(desk: Desk, kind: str, **more: object) -> str:
    """The reason; a refused command has changed nothing."""
    before = desk.state()
    refusal = desk.order(kind, **more)
    assert refusal is not None
    assert desk.state() == before
    return refusal.reason


@pytest.mark.parametrize("kind", ["comment", "shelve", "out_of_service"])
def test_a_reason_is_needed_where_others_will_ask_for_it(kind: str) -> None:
    assert refused(standing(), kind, reason=" \n") == "a reason is needed"


@pytest.mark.parametrize("kind", ["acknowledge", "unshelve", "in_service", "reset"])
def test_no_reason_is_needed_for_the_rest(kind: str) -> None:
    state = {"acknowledge": "unacknowledged", "unshelve": "shelved", "in_service": "out",
             "reset": "latched"}[kind]  # fmt: skip
    assert STATES[state]().order(kind, reason="") is None


def test_texts_are_bounded() -> None:
    assert "2,000 characters" in refused(standing(), "comment", reason="x" * (MAX_TEXT + 1))
    assert standing().order("comment", reason="x" * MAX_TEXT) is None
    plan = STATES["plan"]()
    assert "2,000" in refused(plan, "step", step="arrive", fields={"a": "x" * (MAX_TEXT + 1)})
    assert "2,000" in refused(plan, "step", step="arrive", fields={"x" * (MAX_TEXT + 1): "a"})
    many = {str(n): "" for n in range(MAX_FIELDS + 1)}
    assert "32 fields" in refused(plan, "step", step="arrive", fields=many)


def test_what_was_decided_on_an_old_picture_is_refused() -> None:
    desk = standing("pump.trapped")            # number 0
    assert desk.order("comment", against=0) is None
    desk.says("stale")
    assert desk.order("comment", against=0) is None    # neither changes what is decided on
    desk.does("acknowledge", against=0)        # number 4
    for kind in ("unacknowledge", "comment", "reset", "shelve", "out_of_service"):
        assert refused(desk, kind, against=2).startswith("outdated: made against number 2")
    assert "number 4" in refused(desk, "step", step="arrive", against=0)
    assert desk.order("unacknowledge", against=4) is None


def test_a_shelf_has_a_duration_within_the_limit_of_the_class() -> None:
    for duration in (None, 0, -5):
        assert "duration above 0" in refused(standing(), "shelve", duration=duration)
    assert refused(standing(), "shelve", duration=2 * HOUR + 1) == (
        "longer than the limit of 120 min for its class"
    )
    assert standing().order("shelve", duration=2 * HOUR) is None
    assert refused(standing(), "shelve", duration=10**30).startswith("longer than the limit")


def test_a_group_is_shelved_as_long_as_its_asset_or_a_shift() -> None:
    flood = Desk("pump.flood", "P1")
    assert "120 min" in refused(flood, "shelve", duration=2 * HOUR + 1)
    assert "480 min" in refused(Desk("pump.flood", "north"), "shelve", duration=8 * HOUR + 1)


def test_a_step_is_one_of_the_plan_and_is_done_once() -> None:
    desk = STATES["plan"]()
    assert refused(desk, "step", step="dance") == (
        "its plan has no step 'dance'; it has: acknowledge, arrive, close, verify"
    )
    assert "no step ''" in refused(desk, "step", step="")
    desk.does("step", step="arrive", by="li")
    assert refused(desk, "step", step="arrive") == "step arrive was done by li"
    desk.does("step", step="acknowledge", by="li")
    assert desk.alarm.acknowledged is not None
    assert desk.alarm.done.keys() == {"arrive", "acknowledge"}
    assert refused(desk, "step", step="acknowledge") == "already acknowledged by li"


def test_a_loop_is_closed_with_all_that_has_to_be_said() -> None:
    desk = STATES["loop"]()
    assert refused(desk, "step", step="close") == "step close needs cause_code, responsible"
    only = {"cause_code": "door", "responsible": " "}
    assert refused(desk, "step", step="close", fields=only) == "step close needs responsible"
    desk.does("step", step="close", fields={**only, "responsible": "li"})
    assert desk.made[-1].kind == "closed"
    assert desk.made[-1].skipped == ("arrive", "verify")
    assert desk.alarm.finished


@pytest.mark.parametrize(
    ("limit", "until"),
    [("30 d", 30 * 24 * HOUR + 2 * S), ("90 min", 90 * MIN + 2 * S),
     ("1970-01-03T00:00:00Z", 48 * HOUR)],
)  # fmt: skip
def test_a_time_limit_is_a_duration_or_an_instant(limit: str, until: int) -> None:
    desk = standing("pump.again")
    fields = {"measure": "new door", "owner": "li", "time_limit": limit}
    desk.does("step", step="assign", fields=fields)
    assert desk.made[-1].until == until
    assert desk.alarm.clocks == {"close": until}
    desk.says("cleared")
    desk.does("acknowledge").at(until + 1)
    assert desk.said[-1] == (until, "overdue", True)


@pytest.mark.parametrize(
    "limit",
    ["", "soon", "-5 d", "0 s", "30", "1e9999 d", "9" * 1900 + " d", "11 y", "4000 d",
     "1970-01-01T00:00:02Z", "9999-12-31T23:59:59Z", "2026-13-01T00:00:00Z", "nan", "\0"],
)  # fmt: skip
def test_a_time_limit_that_is_none_is_refused(limit: str) -> None:
    fields = {"measure": "new door", "owner": "li", "time_limit": limit}
    why = refused(standing("pump.again"), "step", step="assign", fields=fields)
    assert why.startswith("time_limit ") or why == "step assign needs time_limit"
    assert len(why) < 2 * MAX_TEXT


def test_what_there_is_not_cannot_be_commanded() -> None:
    desk = standing()
    assert refused(desk, "comment", target="pump.gone") == "there is no rule 'pump.gone' on 'P1'"
    assert refused(desk, "comment", asset="T9") == "there is no rule 'pump.plain' on 'T9'"
    assert "there is no alarm" in refused(desk, "comment", target="", asset="", alarm="0" * 32)
    other = {"target": "pump.latch", "alarm": desk.id}
    assert refused(desk, "acknowledge", **other).startswith("there is no alarm")
    assert refused(desk, "acknowledge", asset="P2", alarm=desk.id).startswith("there is no alarm")
    assert desk.order("acknowledge", target="", asset="", alarm=desk.id) is None


def test_an_entry_needs_an_author_only_and_is_carried_out_by_the_engine() -> None:
    desk = Desk()
    assert refused(desk, "set", target="maintenance", value=True, by="") == (
        "it does not say who orders it"
    )
    assert desk.order("set", target="maintenance", value=True) is None
    assert not desk.made
