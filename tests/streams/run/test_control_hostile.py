"""What hostile and broken clients may send to a running process, and what they are told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from streams.run import control_http
from streams.run.control_bodies import ARGUMENTS, MAX_COMMANDS
from tests.streams.run.control_kit import NOW, Loop, Wire, answer, answer_status, row, running

ROWS = [row("lift.trapped", "L1")]
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


INFINITE = (b'{"request":"r","by":"a","command":"set","signal":"s","asset":"L1",'
            b'"value":1e999}')
TELLING = [
    ("", [1, 2], "expected"),
    ("not JSON", b"{", "one JSON value"),
    ("a key twice", b'{"request": "a", "request": "b"}', "a key twice"),
    ("NaN", b'{"value": NaN}', "NaN"),
    ("no UTF-8", b'{"by": "\xff"}', "UTF-8"),
    ("nested", b"[" * 60_000, "nesting too deep"),
    ("a number", b"7", "dictionary"),
    ("an unknown key", ack(colour="red"), "unknown key 'colour'"),
    ("a slip", ack(agianst=3), "did you mean `against`"),
    ("no author", {k: v for k, v in ack().items() if k != "by"}, "by: found nothing"),
    ("an empty author", ack(by=""), "at least 1 character"),
    ("an unknown command", ack(command="acknowlege"), "did you mean `acknowledge`"),
    ("no command", ack(command=["acknowledge"]), "a list of 1"),
    ("no alarm", ack(alarm=""), "the alarm's id, or `rule` and `asset`"),
    ("a bad id", ack(alarm="zz"), "pattern"),
    ("an id with a new line", ack(alarm=ALARM + "\n"), "pattern"),
    ("a text for a number", ack(against="3"), "integer"),
    ("a huge number", b'{"against": 1' + b"0" * 5_000 + b"}", "integer"),
    ("a negative shelf", ack(command="shelve", duration_ms=-1, reason="x"), "greater than 0"),
    ("a shelf for ever", ack(command="shelve", duration_ms=2**62, reason="x"), "less than"),
    ("a shelf without reason", ack(command="shelve", duration_ms=5), "`reason` with shelve"),
    ("a shelf that ends", ack(command="reset", duration_ms=5), "no such argument with reset"),
    ("a flag as text", ack(command="shelve", duration_ms=5, reason="x", once="yes"), "boolean"),
    ("no value", ack(command="set", signal="s", asset="L1", alarm=""), "`value` with set"),
    ("an infinite value", INFINITE, "finite"),
    ("a list as value", ack(command="set", signal="s", asset="L1", value=[1]), "value"),
    ("control characters", ack(reason="\x1b[2J"), "without control characters"),
    ("a new line in a name", ack(by="ana\nbob"), "without control characters"),
    ("half a character as a key", b'{"\\ud800": 1}', "valid string"),
    ("half a character", b'{"request":"r","by":"\\ud800","command":"reset"}', "by: "),
    ("a long text", ack(reason="x" * 2_001), "2000 characters"),
    ("many fields", ack(command="step", step="s", fields={str(i): "" for i in range(33)}),
     "at most 32"),
    ("a field that is no text", ack(command="step", step="s", fields={"a": 1}), "fields.a"),
    ("nothing", [], "1 to 1,000"),
    ("too many", [ack(request=str(i)) for i in range(MAX_COMMANDS + 1)], "1,001 commands"),
    ("one bad of two", [ack(), ack(by=3)], "[1].by"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "said"), [x[1:] for x in TELLING], ids=[x[0] for x in TELLING])
def test_a_command_that_is_wrong_is_told_why(
    wire: Wire, loop: Loop, body: object, said: str
) -> None:
    found = wire.post("/commands", body)
    assert found.status == 422
    wrong = found.body["errors"]
    assert any(said in json.dumps(one, ensure_ascii=False) or
               said in f"{one['at']}: found {one['found']}" for one in wrong), wrong
    assert all(set(one) == {"at", "found", "expected", "fix"} for one in wrong)
    assert len(json.dumps(wrong)) < 20_000
    assert loop.taken == []
    assert loop.control.ticket("r-1") is None


@pytest.mark.parametrize("files", [
    [], [{"path": "/etc/rules.yaml", "text": ""}], [{"path": "../a.yaml", "text": ""}],
    [{"path": "a\\b.yaml", "text": ""}], [{"path": "", "text": ""}], [{"path": "a.yaml"}],
    [{"path": "a.yaml", "text": "\ud800"}], [{"path": "a.yaml", "text": "", "mode": 7}],
    [{"path": "a.yaml", "text": ""}] * 2, [{"path": f"{i}.yaml", "text": ""} for i in range(1_001)],
    {"a.yaml": ""},
])  # fmt: skip
def test_a_pack_that_is_wrong_is_told_why(wire: Wire, loop: Loop, files: object) -> None:
    found = wire.post("/packs", {"request": "p", "by": "ana", "files": files})
    assert found.status == 422
    assert found.body["errors"]
    assert loop.taken == []


def test_no_kind_of_command_is_without_its_arguments(wire: Wire) -> None:
    """What a kind needs is enough, and one of another kind is too much."""
    values = {"duration_ms": 60_000, "reason": "work", "step": "arrive", "signal": "mode",
              "value": True, "asset": "L1"}  # fmt: skip
    for number, (kind, (needed, _)) in enumerate(ARGUMENTS.items()):
        body = ack(request=str(number), command=kind, **{name: values[name] for name in needed})
        assert wire.post("/commands", body).status == 200, kind
        if needed:
            del body[needed[0]]
            assert wire.post("/commands", {**body, "request": f"{number}-"}).status == 422, kind


@pytest.mark.parametrize(("lines", "status"), [
    ([], 401),
    (["Authorization: Bearer wrong"], 401),
    (["Authorization: Bearer \xff\xfe"], 401),
    (["Authorization: Basic {token}"], 401),
    (["Authorization: Bearer {token}", "Authorization: Bearer {token}"], 401),
    (["Authorization: Bearer {token}"], 200),
])  # fmt: skip
def test_nothing_is_said_without_the_token(wire: Wire, lines: list[str], status: int) -> None:
    head = ["GET /alarms HTTP/1.1", f"Host: {wire.host}", *lines, "", ""]
    found = wire.raw("\r\n".join(head).replace("{token}", wire.token).encode("latin-1"))
    assert found.status == status
    if status != 200:
        assert found.body == {"errors": []}


@pytest.mark.parametrize("host", ["evil.example", "localhost:1", "127.0.0.1", "127.0.0.1:80"])
def test_a_page_that_reached_us_by_another_name_is_refused(wire: Wire, host: str) -> None:
    found = wire.raw(wire.head("GET", "/alarms", host=host))
    assert (found.status, found.body) == (403, {"errors": []})


@pytest.mark.parametrize(("method", "path", "status"), [
    ("DELETE", "/alarms", 405), ("POST", "/alarms", 405), ("GET", "/commands", 405),
    ("PUT", "/packs", 405), ("OPTIONS", "/health", 405), ("GET", "/", 404), ("GET", "*", 404),
    ("GET", "/alarms/../health", 404), ("GET", "/health/x", 404), ("GET", "/alarms//x", 404),
    ("GET", "/%61larms", 404), ("GET", "/health?x=1", 400), ("GET", "http://x/alarms", 404),
    ("GET", "/requests", 404), ("BREW", "/alarms", 501), ("GET", "/requests/%FF%00", 404),
])  # fmt: skip
def test_other_methods_and_paths_are_refused(
    wire: Wire, method: str, path: str, status: int
) -> None:
    found = wire.raw(wire.head(method, path))
    assert found.status == status
    if status == 405:
        assert found.headers["Allow"] in ("GET", "POST")


def test_an_answer_to_head_has_no_body(wire: Wire) -> None:
    found = wire.raw(wire.head("HEAD", "/alarms"))
    assert (found.status, found.body) == (405, None)


@pytest.mark.parametrize(("lines", "status"), [
    (["Content-Type: application/json"], 411),
    (["Content-Type: application/json", "Content-Length: 2", "Content-Length: 2"], 411),
    (["Content-Type: application/json", "Content-Length: 2", "Transfer-Encoding: chunked"], 411),
    (["Content-Type: application/json", "Content-Length: -2"], 400),
    (["Content-Type: application/json", "Content-Length: ²"], 400),
    (["Content-Type: application/json", "Content-Length: 99999999999999999999"], 400),
    (["Content-Type: application/json", "Content-Length: 1048577"], 413),
    (["Content-Type: text/plain", "Content-Length: 2"], 415),
    (["Content-Length: 2"], 415),
])  # fmt: skip
def test_bodies_without_a_proper_length_or_type_are_refused(
    wire: Wire, lines: list[str], status: int
) -> None:
    head = wire.head("POST", "/commands").removesuffix(b"\r\n")
    found = wire.raw(head + "\r\n".join([*lines, "", "{}"]).encode("latin-1"))
    assert found.status == status


def test_huge_bodies_are_refused_with_an_answer(wire: Wire, loop: Loop) -> None:
    assert wire.post("/packs", b" " * (8 * 1024 * 1024 + 1)).status == 413
    found = wire.post("/commands", b" " * 65_536 + json.dumps(ack()).encode())
    assert found.status == 413
    assert "65,536 at most" in found.body["errors"][0]["expected"]
    assert loop.taken == []


def test_huge_headers_are_refused(wire: Wire) -> None:
    assert wire.raw(wire.head("GET", "/alarms", f"X: {'x' * 20_000}")).status == 431
    assert wire.raw(b"GET /" + b"x" * 100_000).status in (414, 431)


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n",
                                  b"GET /alarms\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])  # fmt: skip
def test_what_is_no_request_harms_nobody(
    wire: Wire, data: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control_http, "READ_S", 0.1)
    with wire.open() as connection:
        connection.sendall(data)
        while connection.recv(65_536):
            pass
    assert wire.get("/health").status == 200
    assert capfd.readouterr() == ("", "")


def test_a_body_that_drips_is_cut_off_in_time(
    wire: Wire, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes before a timeout of the socket would end; the whole does not."""
    monkeypatch.setattr(control_http, "READ_S", 0.3)
    with wire.open() as connection:
        lines = ("Content-Type: application/json", "Content-Length: 1000")
        connection.sendall(wire.head("POST", "/commands", *lines))
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.02):
                connection.send(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        began = time.monotonic()
        found = answer_status(connection)
        stop.set()
        dripping.join()
    assert found == 408
    assert time.monotonic() - began < 5
    assert loop.taken == []


def test_a_body_that_breaks_off_is_refused(wire: Wire, loop: Loop) -> None:
    with wire.open() as connection:
        lines = ("Content-Type: application/json", "Content-Length: 1000")
        connection.sendall(wire.head("POST", "/commands", *lines) + b"{}")
        connection.shutdown(1)
        assert answer(connection).status == 400
    assert loop.taken == []


def test_connections_beyond_the_threads_are_turned_away(wire: Wire) -> None:
    held = [wire.open() for _ in range(control_http.THREADS)]
    try:
        found = wire.raw(wire.head("GET", "/health"))
        assert (found.status, found.headers["Retry-After"]) == (503, "1")
    finally:
        for connection in held:
            connection.close()
    while wire.get("/health").status != 200:      # the threads hear of it in their own time
        pass


def test_a_fault_of_ours_does_not_reach_the_loop(wire: Wire, loop: Loop) -> None:
    loop.control.publish([{"alarm": object()}], NOW, {})
    found = wire.get("/alarms/x")
    assert (found.status, found.body) == (404, found.body)
    found = wire.get("/alarms?state=normal")
    assert (found.status, found.body["fault"]) == (500, "KeyError")
    assert wire.get("/alarms").status == 500
    assert wire.get("/health").status == 200


def test_the_standard_client_is_served(wire: Wire) -> None:
    connection = HTTPConnection(wire.host, timeout=20)
    connection.request("GET", "/health", headers={"Authorization": f"Bearer {wire.token}"})
    response = connection.getresponse()
    assert (response.status, response.getheader("Server")) == (200, "tocsin ")
    assert json.loads(response.read())["ready"]
    connection.close()
