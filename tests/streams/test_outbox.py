from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import outbox as module
from streams.ledger import Record, canonical
from streams.outbox import (
    CAP_MS,
    KEPT_MS,
    LONGEST_MS,
    Due,
    Outbox,
    configure,
    pause_ms,
    queue,
)
from tests.streams.notices_kit import Ledger, T, alert, channel

SEVERITIES = ["blue", "yellow", "orange", "red"]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "t.db", channel(least=1))
    yield made
    made.db.close()


@pytest.fixture
def box(ledger: Ledger) -> Outbox:
    return Outbox(ledger.db, "x")


def drain(box: Outbox, now: int = T) -> list[tuple[str, str]]:
    """All that is due, sent: (alarm, kind)."""
    found = []
    while (due := box.due(now)) is not None:
        box.trying(due, now)
        box.sent(due)
        found.append((due.content["alarm"], due.content["kind"]))
    return found


def fail(box: Outbox, now: int, after_ms: int | None = None) -> Due:
    due = box.due(now)
    assert due is not None
    box.trying(due, now)
    box.failed(due, "no answer", after_ms, now)
    return due


def test_a_notice_is_there_exactly_when_its_alert_is(ledger: Ledger, box: Outbox) -> None:
    ledger.db.execute("BEGIN")
    queue(ledger.db, ledger.channels, [Record(1, b"", canonical(alert()))], T)
    ledger.db.execute("ROLLBACK")
    assert ledger.states() == []
    assert box.health(T).pending == 0
    ledger.write(alert())
    assert ledger.states() == [("a", "raised", "pending")]


def test_the_record_is_the_body_and_is_not_kept_twice(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert(text={"zh": "独一无二", "en": "unique-text"}))
    due = box.due(T)
    assert due is not None
    assert due.body == ledger.db.execute("SELECT body FROM ledger").fetchone()[0]
    assert ledger.dump().lower().count(b"unique-text".hex()) == 1


def test_red_goes_first_then_the_oldest(ledger: Ledger, box: Outbox) -> None:
    for i, severity in enumerate(["blue", "red", "yellow", "orange", "red", "blue"]):
        ledger.write(alert(alarm=f"{i}", severity=severity))
    assert [alarm for alarm, _ in drain(box)] == ["1", "4", "3", "2", "0", "5"]


def test_the_notices_of_an_alarm_keep_their_order_and_share_their_urgency(
    ledger: Ledger, box: Outbox
) -> None:
    ledger.write(alert(alarm="o", severity="orange"))
    ledger.write(alert(alarm="a", severity="blue"))
    ledger.write(alert("level", alarm="a", severity="red"))     # not held up behind its own blue
    ledger.write(alert("cleared", alarm="a", severity="red"))
    assert drain(box) == [("a", "raised"), ("a", "level"), ("a", "cleared"), ("o", "raised")]


def test_a_failure_holds_up_its_alarm_alone(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert(alarm="a", severity="red"), alert("level", alarm="a", severity="red"))
    ledger.write(alert(alarm="b", severity="blue"))
    fail(box, T)
    until = box.paused_until(T)
    assert drain(box, until) == [("b", "raised")]
    assert drain(box, T + 10_000) == [("a", "raised"), ("a", "level")]


def test_raised_cleared_and_raised_again_are_three_notices(ledger: Ledger, box: Outbox) -> None:
    """R12: however slowly they are sent, none stands for another."""
    ledger.write(alert(alarm="a"), alert("cleared", alarm="a"), alert(alarm="b"))
    assert drain(box) == [("a", "raised"), ("a", "cleared"), ("b", "raised")]


def test_an_end_is_told_where_the_alarm_was(ledger: Ledger, box: Outbox) -> None:
    """R24."""
    ledger.write(alert(alarm="a"), alert(alarm="q", announced=False))
    assert drain(box) == [("a", "raised")]
    ledger.write(alert("cleared", alarm="a"), alert("cleared", alarm="q"))
    assert drain(box) == [("a", "cleared")]
    ledger.write(alert("cleared", alarm="a"))
    assert drain(box) == []
    assert not ledger.db.execute("SELECT * FROM outbox_told").fetchall()


def test_the_end_of_what_was_never_taken_is_not_told(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert(alarm="a"), alert("cleared", alarm="a"))
    due = box.due(T)
    assert due is not None
    box.refused(due, "HTTP 400")
    assert box.due(T) is None
    assert ledger.states() == [("a", "raised", "refused"), ("a", "cleared", "moot")]
    assert not ledger.db.execute("SELECT * FROM outbox_told").fetchall()


def test_later_notices_know_what_was_delivered_before(ledger: Ledger, box: Outbox) -> None:
    kinds = ["raised"] + ["level"] * 30 + ["cleared"]
    ledger.write(*(alert(kind, t_ms=T + i) for i, kind in enumerate(kinds)))
    seen = []
    while (due := box.due(T)) is not None:
        seen.append(due.earlier)
        if len(seen) == 2:
            box.refused(due, "no")
        else:
            box.sent(due)
    assert seen[0] == ()
    assert seen[1] == seen[2] == ((0, T),)
    assert seen[3] == ((0, T), (2, T + 2))
    assert seen[-1] == ((0, T), *((i, T + i) for i in range(16, 31)))


def test_waits_double_up_to_a_bound_with_a_jitter_of_the_notices_own() -> None:
    for number, failures in itertools.product(range(50), range(1, 40)):
        whole = min(1_000 * 2 ** (failures - 1), CAP_MS)
        assert 0.75 * whole <= pause_ms(number, failures) < 1.25 * whole
        assert pause_ms(number, failures) == pause_ms(number, failures)
    assert len({pause_ms(number, 5) for number in range(50)}) > 40


def test_a_channel_waits_longer_with_every_failure(ledger: Ledger, box: Outbox) -> None:
    ledger.write(*(alert(alarm=f"{i}") for i in range(20)))
    now, waits = T, []
    for _ in range(12):
        fail(box, now)
        waits.append(box.paused_until(now) - now)
        now = box.paused_until(now)
    assert all(b > a for a, b in itertools.pairwise(waits[:8]))
    assert max(waits) < 1.25 * CAP_MS
    assert box.health(now).failing


def test_after_an_outage_all_is_due_at_once_and_red_first(ledger: Ledger, box: Outbox) -> None:
    ledger.write(*(alert(alarm=f"{s}{i}", severity=s) for i in range(3) for s in ("blue", "red")))
    now, failures = T, 0
    while failures < 12:
        now = box.paused_until(now) + 1_000
        if box.due(now) is not None:
            fail(box, now)
            failures += 1
    put_off = "SELECT count(*) FROM outbox WHERE next_ms > ?"
    while (due := box.due(now)) is None or box.paused_until(now) > now:
        now += 1_000
    assert ledger.db.execute(put_off, (now,)).fetchone()[0] > 0
    box.sent(due)
    assert box.paused_until(now) == now
    assert not box.health(now).failing
    rest = [alarm for alarm, _ in drain(box, now)]
    assert rest == sorted(rest, key=lambda alarm: alarm[0], reverse=True)
    assert len(rest) == 5


def test_a_channel_that_tells_no_ends_forgets_the_alarm_at_its_end(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "u.db", channel(kinds=frozenset({"raised"})))
    ledger.write(alert(alarm="a"), alert(alarm="b"))
    assert drain(Outbox(ledger.db, "x")) == [("a", "raised"), ("b", "raised")]
    ledger.write(alert("cleared", alarm="a"))
    assert ledger.db.execute("SELECT alarm FROM outbox_told").fetchall() == [("b",)]
    ledger.db.close()


def test_one_notice_that_never_succeeds_does_not_stop_the_rest(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert(alarm="poison", severity="red"))
    ledger.write(*(alert(alarm=f"{i}", severity="blue") for i in range(50)))
    now, sent, tries = T, 0, 0
    while sent < 50:
        now = box.paused_until(now)
        due = box.due(now)
        if due is None:
            now += 1_000
        elif due.content["alarm"] == "poison":
            fail(box, now)
            tries += 1
        else:
            box.sent(due)
            sent += 1
        assert now - T < 60_000
    assert tries < 10


def test_a_pause_that_the_peer_asks_for_is_kept_also_by_the_next_run(
    ledger: Ledger, box: Outbox
) -> None:
    ledger.write(alert())
    fail(box, T, 600_000)
    assert box.paused_until(T) == T + 600_000
    again = Outbox(sqlite3.connect(ledger.path, isolation_level=None), "x")
    configure(again._db, ["x"])
    assert again.paused_until(T + 599_999) == T + 600_000
    assert again.paused_until(T + 600_000) == T + 600_000
    assert again.due(T + 600_000) is not None
    again._db.close()


def test_a_peer_that_asks_for_no_pause_is_not_hammered(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert())
    now = T
    for _ in range(30):
        fail(box, now, 0)
        assert box.paused_until(now) > now + 700
        now = box.paused_until(now)
    assert now - T > 3_600_000


def test_a_clock_that_is_set_back_stops_nothing(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert())
    fail(box, T)
    earlier = T - 2 * LONGEST_MS
    assert box.paused_until(earlier) == earlier
    assert box.due(earlier) is not None
    assert box.health(earlier).oldest_s == 0


def test_a_day_later_it_is_given_up(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert(alarm="a"), alert("cleared", alarm="a"))
    fail(box, T)
    assert box.due(T + KEPT_MS) is not None
    ledger.write(alert(alarm="b"), now=T + KEPT_MS)
    assert drain(box, T + KEPT_MS + 1) == [("b", "raised")]
    assert ledger.states()[:2] == [("a", "raised", "expired"), ("a", "cleared", "moot")]
    assert ledger.row("error") == "no answer"
    assert box.health(T).lost == 1


def test_refusals_are_kept_with_their_reason_and_counted(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert(alarm="a"), alert(alarm="b"))
    fail(box, T)
    due = box.due(T + 60_000)
    assert due is not None
    box.refused(due, "HTTP 401: " + "x" * 1_000)
    health = box.health(T + 60_000)
    assert (health.failing, health.pending, health.oldest_s, health.lost) == (False, 1, 60, 1)
    assert ledger.row("error", due.id).startswith("HTTP 401: xxx")
    assert len(ledger.row("error", due.id)) == 300


def test_taken_for_some_is_sent_and_counted(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert())
    due = box.due(T)
    assert due is not None
    box.sent(due, "b@x: 550 gone")
    assert (ledger.row("state"), ledger.row("error")) == ("sent", "b@x: 550 gone")
    assert box.health(T).lost == 1


def test_tries_are_timed_before_they_are_made(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert(alarm="a"), alert(alarm="b"))
    for now in (T + 5, T + 7):
        due = box.due(now)
        assert due is not None
        box.trying(due, now)
        if now == T + 5:
            box.sent(due)
    assert box.tried_since(T) == [T + 5, T + 7]
    assert box.tried_since(T + 5) == [T + 7]


def test_only_the_urgent_are_asked_for(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert(alarm="y", severity="yellow"), alert(alarm="o", severity="orange"))
    assert box.due(T, 4) is None
    due = box.due(T, 3)
    assert due is not None
    assert due.content["alarm"] == "o"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(module, "MOST", 10)
    return 10


def test_too_many_drop_the_oldest_blue_then_yellow(ledger: Ledger, box: Outbox, few: int) -> None:
    assert ledger.write(*(alert(alarm=f"y{i}", severity="yellow") for i in range(5))) == 0
    assert ledger.write(*(alert(alarm=f"b{i}", severity="blue") for i in range(few))) == 5
    dropped = [alarm for alarm, _, state in ledger.states() if state == "dropped"]
    assert dropped == ["b0", "b1", "b2", "b3", "b4"]
    assert ledger.write(*(alert(alarm=f"o{i}", severity="orange") for i in range(8))) == 8
    dropped = [alarm for alarm, _, state in ledger.states() if state == "dropped"]
    assert sorted(dropped) == sorted([*(f"b{i}" for i in range(few)), "y0", "y1", "y2"])
    assert box.health(T).lost == 13


def test_orange_and_red_are_never_dropped(ledger: Ledger, box: Outbox, few: int) -> None:
    ledger.write(*(alert(alarm=f"{i}", severity=SEVERITIES[2 + i % 2]) for i in range(3 * few)))
    ledger.write(alert(alarm="b", severity="blue"))
    assert ledger.states()[-1] == ("b", "raised", "dropped")
    assert box.health(T).pending == 3 * few


def test_whoever_heard_of_an_alarm_hears_its_end_in_any_flood(
    ledger: Ledger, box: Outbox, few: int
) -> None:
    ledger.write(alert(alarm="a", severity="blue"))
    drain(box)
    ledger.write(alert("cleared", alarm="a", severity="blue"))
    ledger.write(*(alert(alarm=f"o{i}", severity="orange") for i in range(2 * few)))
    assert ("a", "cleared") in drain(box)


def test_a_channel_that_is_no_more_leaves_nothing_behind(ledger: Ledger) -> None:
    ledger.write(alert(), alert(alarm="b"))
    assert configure(ledger.db, ["y"]) == 2
    assert {state for _, _, state in ledger.states()} == {"dropped"}
    assert not ledger.db.execute("SELECT * FROM outbox_told").fetchall()
    assert ledger.db.execute("SELECT name FROM outbox_channels").fetchall() == [("y",)]
    assert configure(ledger.db, ["y"]) == 0


def test_what_ended_long_ago_is_forgotten(
    ledger: Ledger, box: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENDED", 10)
    ledger.write(*(alert(alarm=f"{i}") for i in range(300)))
    assert len(drain(box)) == 300
    assert len(ledger.states()) <= 10 + module._SWEEP


def test_a_record_that_is_missing_is_a_refusal(ledger: Ledger, box: Outbox) -> None:
    ledger.write(alert())
    ledger.db.execute("DELETE FROM ledger")
    assert box.due(T) is None
    assert ledger.row("error") == "its record is missing from the ledger"


def test_a_look_into_a_full_outbox_uses_the_indexes(ledger: Ledger) -> None:
    plan = ledger.db.execute(
        "EXPLAIN QUERY PLAN SELECT o.id FROM outbox o WHERE o.channel = 'x' "
        "AND o.state = 'pending' AND o.priority >= 1 AND NOT EXISTS (SELECT 1 FROM outbox e "
        "WHERE e.channel = 'x' AND e.state = 'pending' AND e.alarm = o.alarm AND e.id < o.id) "
        "ORDER BY o.priority DESC, o.id LIMIT 1"
    ).fetchall()
    said = " | ".join(row[3] for row in plan)
    assert "outbox_order" in said
    assert "outbox_alarm" in said
    assert "TEMP B-TREE" not in said
