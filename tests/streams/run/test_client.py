"""The client of a running process: when there is none, when it is slow, when answers are lost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.run import client as client_module
from streams.run import control_http
from streams.run.client import Client, ClientError, NotRunning
from tests.streams.cli_alarms_kit import ROWS, Tocsin, tocsin
from tests.streams.run.control_kit import Loop, running

answered = pytest.mark.usefixtures("loop")


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with running(tmp_path, ROWS) as made:
        yield made


@pytest.fixture
def run(tmp_path: Path) -> Tocsin:
    return tocsin(tmp_path)


@pytest.fixture
def gone(tmp_path: Path) -> Path:
    with running(tmp_path, ROWS) as loop:
        said = loop.control.path.read_text()
    (tmp_path / "control.json").write_text(said)
    return tmp_path / "control.json"


@pytest.mark.parametrize("words", [["list"], ["show", "abcd"], ["ack", "abcd"], ["ack", "--all"]])
def test_without_a_run_there_is_an_error(tmp_path: Path, run: Tocsin, words: list[str]) -> None:
    found = run(*words)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "no `tocsin run` on this ledger" in found.stderr
    assert f"start one with `tocsin run --ledger {tmp_path}`" in found.stderr


@pytest.mark.usefixtures("gone")
def test_nobody_listens(run: Tocsin) -> None:
    assert "nobody listens on port" in run("list").stderr


def test_a_process_that_has_died_is_named(gone: Path, run: Tocsin) -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    gone.write_text(json.dumps({**json.loads(gone.read_text()), "pid": child}))
    assert f"process {child}" in run("list").stderr


def test_another_program_has_the_port(loop: Loop, run: Tocsin) -> None:
    path = loop.control.path
    path.write_text(json.dumps({**json.loads(path.read_text()), "token": "x" * 43}))
    assert "another program's" in run("list").stderr


@pytest.mark.parametrize("said", [
    "", "{}", "[1]", '{"url": "http://evil.example:80", "token": "' + "x" * 43 + '", "pid": 1}',
    '{"url": "http://127.0.0.1:80/x", "token": "' + "x" * 43 + '", "pid": 1}',
    '{"url": "http://127.0.0.1:80", "token": "a b\\r\\nHost: x", "pid": 1}', "x" * 5_000,
])  # fmt: skip
def test_a_control_file_of_another_make_is_not_followed(
    tmp_path: Path, run: Tocsin, said: str
) -> None:
    (tmp_path / "control.json").write_text(said)
    found = run("list")
    assert found.exit_code == 1
    assert "start `tocsin run` anew" in found.stderr


def test_a_run_that_is_being_prepared_is_waited_for(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, waits = loop.control.view, []
    monkeypatch.setattr(loop.control, "view", None)

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            loop.control.view = view

    found = Client.of(tmp_path)
    assert len(Client(found.folder, found.port, found.token, pause).listing().rows) == len(ROWS)
    assert len(waits) == 3
    loop.control.view = None
    with pytest.raises(ClientError, match="being prepared"):
        Client(found.folder, found.port, found.token, waits.append).listing()


def test_a_slow_result_is_asked_for_again(
    loop: Loop, run: Tocsin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_http, "ANSWER_S", 0.05)
    loop.hold = True
    found = run("ack", "lift.hot@L2")
    assert (found.exit_code, found.stdout) == (1, "0 accepted, 1 not\n")
    assert "pending: accepted for execution" in found.stderr
    assert len(loop.taken) == 1
    loop.hold = False
    assert run("ack", "lift.hot@L2").exit_code == 0


def test_an_answer_that_is_lost_is_asked_for_again(
    loop: Loop, run: Tocsin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order had been carried out: asking again gives its result, and does not do it twice."""
    once = Client._once
    calls: list[str] = []

    def unlucky(self: Client, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        found = once(self, method, path, body)
        calls.append(path)
        if calls == ["/alarms", "/commands"]:
            raise client_module.Lost("the connection broke")
        return found

    monkeypatch.setattr(Client, "_once", unlucky)
    assert run("ack", "lift.hot@L2").stdout == "1 accepted\n"
    assert calls == ["/alarms", "/commands", "/commands"]
    assert len(loop.taken) == 1


@answered
@pytest.mark.parametrize("answer", [
    (200, b"<html>"), (200, b"[]"), (200, b'{"rows": 1}'), (200, b"\xff"), (404, b"{}"), (500, b""),
])  # fmt: skip
def test_an_answer_of_another_make_is_an_error(
    run: Tocsin, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes]
) -> None:
    monkeypatch.setattr(Client, "_once", lambda *_: answer)
    found = run("list")
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.startswith("tocsin: ")


@answered
def test_the_run_ends_between_list_and_order(
    run: Tocsin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    once = Client._once

    def ended(self: Client, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        if method == "POST":
            raise NotRunning(tmp_path, "nobody listens")
        return once(self, method, path, body)

    monkeypatch.setattr(Client, "_once", ended)
    found = run("ack", "lift.hot@L2", "gate.open@G1")
    assert (found.exit_code, found.stdout) == (1, "0 accepted, 2 not\n")
    assert found.stderr.count("failed: no `tocsin run`") == 2


@answered
def test_health_is_told(tmp_path: Path) -> None:
    assert Client.of(tmp_path).health()["health"]["zone"] == "Asia/Shanghai"
    assert "x" * 10 not in repr(Client(tmp_path, 1, "x" * 43))
