"""What a notifier takes of `alerts`, and that position and notices move together."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka import Record
from rules.records import Message
from streams import outbox
from streams.ledger import canonical
from streams.messages import Living
from streams.outbox import KEPT_MS, Outbox
from streams.run import notify_box
from streams.run.notify_box import Box, Position, entry, number
from streams.run.notify_kafka import reading
from streams.store import StoreError
from tests.kafka.notify_kit import fence, raised, record
from tests.streams.notices_kit import T, alert, channel

CHANNELS = (channel(),)


def on(offset: int, content: dict[str, Any], epoch: int = 1, partition: int = 0,
       t_ms: int = T) -> Record:  # fmt: skip
    """A record as its owner writes it."""
    body, headers, _ = record(content, partition, epoch)
    return Record(partition, offset, t_ms, None, body, tuple(headers))


def told(n: int, name: str = "a", **changes: object) -> dict[str, Any]:
    return {**raised(name), "n": n, **changes}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    one = Box(tmp_path, "tocsin.alerts")
    one.begin({0: 0, 1: 0})
    yield one
    one.close()


def waiting(box: Box) -> list[tuple[int, str, str]]:
    """(number, alarm, state) of all notices."""
    return box._db.execute("SELECT n, alarm, state FROM outbox ORDER BY id").fetchall()


@pytest.mark.parametrize("changes", [
    {"alarm": 7}, {"severity": "purple"}, {"announced": 1}, {"title": {"zh": "x"}}, {"text": "x"},
    {"tags": [1]}, {"evidence": [{"zh": "x"}]}, {"evidence": "x"}, {"t_ms": 1e30}, {"n": 0},
    {"since_ms": 10**15}, {"seq": -1}, {"n": 1 << 60}, {"place": None}, {"notify": {}},
])  # fmt: skip
def test_an_alert_that_no_notice_can_be_made_of_is_odd(changes: dict[str, object]) -> None:
    value, headers = canonical(told(1) | changes), on(0, told(1)).headers
    assert entry(Record(0, 0, T, None, value, headers), Living(), 0) == (None, True)


@pytest.mark.parametrize("key", ["n", "alarm", "seq", "kind", "t_ms", "severity", "announced"])
def test_an_alert_that_lacks_something_is_odd(key: str) -> None:
    body, headers, _ = record(told(1), 0, 1)
    content = json.loads(body)
    del content[key]
    value = json.dumps(content).encode()
    assert entry(Record(0, 0, T, None, value, tuple(headers)), Living(), 0) == (None, True)


def test_what_is_no_record_of_the_ledger_is_odd() -> None:
    good = on(0, told(1))
    headers = dict(good.headers)
    for value, given in (
        (None, headers), (b"", headers), (b"[]", headers), (b"\xff", headers),
        (b" " * (1 << 20) + b"{}", headers), (b'{"type":"alert"}', headers), (good.value, {}),
        (good.value, {k: v for k, v in headers.items() if k != "epoch"}),
        (b'{"type":"command"}', headers),
    ):  # fmt: skip
        odd = Record(0, 0, T, None, value, tuple(given.items()))
        assert entry(odd, Living(), 0) == (None, True)
    found, odd = entry(good, Living(), 0)
    assert found is not None
    assert (found.n, found.body, odd) == (1, good.value, False)


@pytest.mark.parametrize("content", [
    fence(1, 0),
    {"type": "tick", "n": 1, "t_ms": 1, "time": "", "position": {}},
    {"type": "command", "n": 1, "t_ms": 1, "asset": "L1", "request": "r"},
    {"type": "activation", "n": 1, "t_ms": 1},
])  # fmt: skip
def test_other_records_of_the_ledger_are_passed_over(content: dict[str, Any]) -> None:
    assert entry(on(0, content), Living(), 0) == (None, False)


def test_a_fenced_owner_is_passed_over_also_after_a_restart(tmp_path: Path) -> None:
    box = Box(tmp_path, "tocsin.alerts")
    box.begin({0: 0, 1: 0})
    box.take([on(0, told(1), 1), on(1, fence(2, 0), 2), on(2, told(2, "late"), 1)], CHANNELS, T)
    box.close()
    box = Box(tmp_path, "tocsin.alerts")
    assert box.positions == {0: Position(3, 1, 2), 1: Position(0)}
    box.take([on(3, told(2, "later"), 1), on(4, told(2, "b"), 2),
              on(0, told(1, "c"), 1, partition=1)], CHANNELS, T)  # fmt: skip
    assert [alarm for _, alarm, _ in waiting(box)] == ["a", "b", "c"]
    assert box.positions == {0: Position(5, 2, 2), 1: Position(1, 1, 1)}
    box.close()


def test_the_same_number_of_two_partitions_is_two_alerts(box: Box) -> None:
    box.take([on(0, told(1)), on(0, told(1, "b"), partition=1), on(1, told(1))], CHANNELS, T)
    assert [n for n, *_ in waiting(box)] == [number(0, 1), number(1, 1)]
    due = Outbox(box._db, "x").due(T)
    assert due is not None
    assert json.loads(due.body)["alarm"] == "a"


def test_position_and_notices_move_together(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    before = box.positions
    records = [on(0, told(1), 1), on(1, fence(2, 0), 2), on(2, told(2, "b"), 2)]
    with monkeypatch.context() as patch:
        patch.setattr(box, "_sweep", lambda _: box._db.execute("SELECT * FROM nowhere"))
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError):
                box.take(records, CHANNELS, T)
    assert (waiting(box), box.positions) == ([], before)
    assert box.take(records, CHANNELS, T) == 0
    assert [alarm for _, alarm, _ in waiting(box)] == ["a", "b"]


def test_only_records_that_wait_to_be_told_are_kept(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = "SELECT n FROM ledger"
    monkeypatch.setattr(notify_box, "SWEEP", 2)
    box.take([on(0, told(1, severity="blue")), on(1, told(2))], CHANNELS, T)
    assert box._db.execute(kept).fetchall() == [(number(0, 2),)]
    box._db.execute("DELETE FROM outbox")
    box.take([on(2, fence(2, 0), 2), on(3, fence(3, 0), 3)], CHANNELS, T)
    assert box._db.execute(kept).fetchall() == []


def test_what_is_read_a_day_late_is_told_no_more(box: Box) -> None:
    outbox.configure(box._db, ["x"])
    now = T + KEPT_MS + 1
    box.take([on(0, told(1, "old")), on(1, told(2, "new"), t_ms=now + 60_000)], CHANNELS, now)
    due = Outbox(box._db, "x").due(now)
    assert due is not None
    assert due.content["alarm"] == "new"
    assert [state for *_, state in waiting(box)] == ["expired", "pending"]


def test_an_end_is_told_by_whoever_told_of_the_alarm(tmp_path: Path) -> None:
    for offset, content in enumerate((told(1), alert("cleared", n=2, seq=1, severity="blue"))):
        box = Box(tmp_path, "tocsin.alerts")
        box.begin({0: 0})
        box.take([on(offset, content)], CHANNELS, T)
        assert len(waiting(box)) == offset + 1
        box.close()


def test_a_folder_is_of_one_notifier_and_one_topic(tmp_path: Path) -> None:
    box = Box(tmp_path / "a", "tocsin.alerts")
    with pytest.raises(StoreError, match=r"another run is writing .* with --folder"):
        Box(tmp_path / "a", "tocsin.alerts")
    box.close()
    with pytest.raises(StoreError, match=r"tells of tocsin.alerts, not of other.alerts"):
        Box(tmp_path / "a", "other.alerts")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notify.db").write_bytes(b"something else, and long enough" * 99)
    with pytest.raises(StoreError, match="cannot be used for notices: file is not a database"):
        Box(tmp_path / "b", "tocsin.alerts")
    with sqlite3.connect(tmp_path / "c.db") as db:
        db.execute("CREATE TABLE ledger (n)")
    db.close()
    (tmp_path / "c").mkdir()
    (tmp_path / "c.db").rename(tmp_path / "c" / "notify.db")
    with pytest.raises(StoreError, match="not a notifier's file of this version"):
        Box(tmp_path / "c", "tocsin.alerts")
    (tmp_path / "d").write_text("")
    with pytest.raises(StoreError, match="cannot be used for notices"):
        Box(tmp_path / "d", "tocsin.alerts")


def test_how_a_channel_does_is_a_message_like_any_other() -> None:
    said = reading(Message("notify.x", "tocsin_channel", T, {"failing": True}))
    assert json.loads(said) == {
        "asset": "notify.x", "class": "tocsin_channel", "t": T, "values": {"failing": True}}
