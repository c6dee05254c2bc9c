"""Operators' access to a running process: over real HTTP, with a loop that answers."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rules.records import Command
from streams.run import control_http
from streams.run.control import MAX_RESULTS, MAX_WAITING, Control, Full, Order, Ticket
from tests.streams.run.control_kit import NOW, Loop, Wire, row, running

ROWS = [
    row("lift.trapped", "L1"),
    row("lift.silent", "L2", severity="red", word="acknowledged"),
    row("lift.hot", "L3", word="shelved", raised_ms=0),
]
ALARM = ROWS[0]["alarm"]


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with running(tmp_path, ROWS) as made:
        yield made


@pytest.fixture
def wire(loop: Loop, tmp_path: Path) -> Wire:
    assert loop.control.path == tmp_path / "control.json"
    return Wire(tmp_path)


def ack(**more: object) -> dict[str, Any]:
    return {"request": "r-1", "by": "ana", "command": "acknowledge", "alarm": ALARM, **more}


# The file ---------------------------------------------------------------------------------------


def test_where_it_is_stands_in_a_private_file_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "control.json"
    path.write_text("left by a run that crashed")
    (tmp_path / "control.json.new").write_text("so was this")
    with Control(tmp_path) as control:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        said = json.loads(path.read_text())
        assert said == {
            "url": said["url"], "token": control.token, "pid": os.getpid(),
        }  # fmt: skip
        assert said["url"].startswith("http://127.0.0.1:")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_run_is_left_alone(tmp_path: Path) -> None:
    with Control(tmp_path) as control:
        control.path.write_text('{"token": "of another"}')
    assert control.path.exists()


def test_a_port_that_is_taken_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with Control(tmp_path) as control:
        port = int(json.loads(control.path.read_text())["url"].rpartition(":")[2])
        (tmp_path / "other").mkdir()
        with pytest.raises(OSError, match="in use"):
            Control(tmp_path / "other", port).open()
    assert list((tmp_path / "other").iterdir()) == []


# Looking ----------------------------------------------------------------------------------------


def test_the_list_is_what_was_published_last(wire: Wire, loop: Loop) -> None:
    found = wire.get("/alarms").body
    assert (found["now_ms"], found["zone"], found["total"]) == (NOW, "Asia/Shanghai", 3)
    assert found["rows"] == ROWS
    loop.control.publish(ROWS[1:], NOW + 1, {})
    assert wire.get("/alarms").body["rows"] == ROWS[1:]


def test_the_list_is_filtered_by_states(wire: Wire) -> None:
    found = wire.get("/alarms?state=shelved&state=acknowledged").body
    assert [x["rule"] for x in found["rows"]] == ["lift.silent", "lift.hot"]
    assert found["total"] == 3
    for query in ("state=loud", "colour=red", "state", "&", "&".join(["state=normal"] * 30)):
        assert wire.get(f"/alarms?{query}").status == 400


def test_one_alarm_is_shown(wire: Wire) -> None:
    assert wire.get(f"/alarms/{ALARM}").body["row"] == ROWS[0]
    assert wire.get("/alarms/0000").status == 404


def test_health_says_how_old_the_list_is(
    wire: Wire, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = wire.get("/health").body
    assert found["ready"]
    assert found["health"] == {"zone": "Asia/Shanghai", "behind_ms": 0}
    view = loop.control.view
    assert view is not None
    monkeypatch.setattr(loop.control, "view", type(view)(view.rows, NOW, {}, view.at - 7.0))
    assert wire.get("/health").body["age_ms"] >= 7_000


def test_before_the_first_view_the_list_is_not_there_yet(tmp_path: Path) -> None:
    with Control(tmp_path):
        found = Wire(tmp_path).get("/alarms")
        assert (found.status, found.headers["Retry-After"]) == (503, "1")
        assert Wire(tmp_path).get("/health").body == {"ready": False}


def test_ten_thousand_rows_come_whole(wire: Wire, loop: Loop) -> None:
    many = [row("lift.hot", f"L{i}") for i in range(10_000)]
    loop.control.publish(many, NOW, {})
    assert wire.get("/alarms").body["rows"] == many


# Ordering ---------------------------------------------------------------------------------------


def test_a_command_reaches_the_loop_with_all_it_says(wire: Wire, loop: Loop) -> None:
    found = wire.post("/commands", {
        "request": "r", "by": "ana", "command": "step", "rule": "lift.trapped", "asset": "L1",
        "against": 3, "step": "dispatch", "fields": {"team": "二班"}, "reason": "two\nlines",
    })  # fmt: skip
    assert found.status == 200
    assert found.body == {
        "request": "r", "result": "accepted", "why": "", "alarm": "", "seq": 1, "t_ms": NOW,
    }  # fmt: skip
    assert loop.asked == [Command(
        "step", "lift.trapped", "L1", step="dispatch", by="ana", reason="two\nlines", request="r",
        against=3, fields={"team": "二班"},
    )]  # fmt: skip


@pytest.mark.parametrize("value", [True, 2.5, "fire_service", 3])
def test_a_signal_is_set(wire: Wire, loop: Loop, value: object) -> None:
    body = {"request": "r", "by": "ana", "command": "set", "signal": "mode", "value": value}
    assert wire.post("/commands", {**body, "asset": "L1"}).status == 200
    assert loop.asked[0].target == "mode"
    assert loop.asked[0].value == value
    assert isinstance(loop.asked[0].value, bool) == isinstance(value, bool)


def test_each_of_a_list_gets_its_own_result(wire: Wire, loop: Loop) -> None:
    loop.decide = lambda order: {
        "result": "refused" if order.request == "7" else "accepted", "why": "", "seq": 0,
        "secret": "of the loop",
    }  # fmt: skip
    found = wire.post("/commands", [ack(request=str(i)) for i in range(500)]).body
    assert [x["request"] for x in found] == [str(i) for i in range(500)]
    assert [x["request"] for x in found if x["result"] == "refused"] == ["7"]
    assert [order.request for order in loop.taken] == [str(i) for i in range(500)]
    assert "secret" not in found[0]


def test_the_same_request_is_carried_out_once(wire: Wire, loop: Loop) -> None:
    first = wire.post("/commands", ack()).body
    loop.decide = lambda _: {"result": "refused", "why": "twice"}
    assert wire.post("/commands", ack()).body == first
    assert wire.post("/commands", [ack(), ack()]).body == [first, first]
    assert wire.get("/requests/r-1").body == first
    assert len(loop.taken) == 1


def test_an_order_that_takes_long_is_asked_for_later(
    wire: Wire, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_http, "ANSWER_S", 0.05)
    loop.hold = True
    found = wire.post("/commands", ack())
    assert found.status == 202
    assert found.body["why"] == "accepted for execution, result under GET /requests/r-1"
    assert wire.get("/requests/r-1").status == 202
    assert [x["result"] for x in wire.post("/commands", [ack()]).body] == ["pending"]
    loop.held[0].answer({"result": "refused", "why": "too late"})
    loop.held[0].answer({"result": "accepted", "why": "the first result counts"})
    assert wire.get("/requests/r-1").body["why"] == "too late"
    assert wire.get("/requests/r-2").status == 404


def test_a_pack_reaches_the_loop(wire: Wire, loop: Loop) -> None:
    files = [{"path": "lift/rules.yaml", "text": "# 电梯"}, {"path": "b.yaml", "text": ""}]
    found = wire.post("/packs", {"request": "p", "by": "ana", "files": files}).body
    assert found["anew"] == ["lift.trapped"]
    assert found["gone"] == ["lift.old"]
    order = loop.taken[0]
    assert (order.by, order.request, order.command) == ("ana", "p", None)
    assert order.pack == [("lift/rules.yaml", "# 电梯".encode()), ("b.yaml", b"")]


def test_a_pack_may_have_8_mib(wire: Wire) -> None:
    body = {"request": "p", "by": "ana", "files": [{"path": "a.yaml", "text": "#" * 8_300_000}]}
    assert wire.post("/packs", body).status == 200


def order(request: str) -> Order:
    return Order(Ticket(request), "ana", Command("reset", "r", "a"))


def test_a_full_queue_takes_none_of_a_list(tmp_path: Path) -> None:
    with Control(tmp_path) as control:
        control.order([order(str(i)) for i in range(MAX_WAITING - 1)])
        with pytest.raises(Full):
            control.order([order("a"), order("b")])
        found = Wire(tmp_path).post("/commands", [ack(request="a"), ack(request="b")])
        assert (found.status, found.headers["Retry-After"]) == (503, "1")
        assert control.ticket("a") is None
        control.order([order("0"), order("c"), order("c")])
        assert [x.request for x in control.orders()] == [*map(str, range(MAX_WAITING - 1)), "c"]
        assert control.orders() == []


def test_the_newest_results_are_kept(tmp_path: Path) -> None:
    control = Control(tmp_path)
    for i in range(MAX_RESULTS + 1):
        control.order([order(str(i))])
        control.orders()
    assert control.ticket("0") is None
    assert control.ticket("1") is not None
    assert control.ticket(str(MAX_RESULTS)) is not None


def test_who_waits_when_the_run_ends_is_told(tmp_path: Path) -> None:
    with Control(tmp_path) as control:
        wire = Wire(tmp_path)
        found: list[int] = []
        asking = threading.Thread(target=lambda: found.append(wire.post("/commands", ack()).status))
        asking.start()
        while not (waiting := control.orders()) and asking.is_alive():
            asking.join(0.002)
    asking.join()
    assert found == [500]
    waiting[0].answer({"result": "accepted"})
    with pytest.raises(Full):
        control.order([order("after the end")])
