"""One channel of the sender, step by step, at times that the test sets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from connectors.notify import dingtalk
from connectors.notify import table as connectors
from connectors.notify.base import Delivered, Notice, Outcome
from streams.notices import Channel
from streams.outbox import Outbox
from streams.run import sender as module
from streams.run.sender import IDLE_MS, WINDOW_MS, Worker, connected
from tests.connectors.notify.kit import Answer, peer
from tests.streams.notices_kit import Ledger, T, alert, channel

ZONE = ZoneInfo("Asia/Shanghai")
KEY = "t0ken-that-nobody-may-see"


class Clock:
    """A wall clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = T

    def __call__(self) -> int:
        return self.now


def robot(url: str) -> Channel:
    """A robot whose address has a key in it."""
    settings = dingtalk.Settings(
        name="x", url=SecretStr(f"{url}?access_token={KEY}"), secret=SecretStr(f"SEC{KEY}")
    )
    secrets = (f"{url}?access_token={KEY}", f"access_token={KEY}", f"SEC{KEY}", KEY)
    return channel(type="dingtalk", settings=settings, per_minute=20, secrets=secrets)


@contextlib.contextmanager
def working(path: Path, given: Channel, clock: Clock) -> Iterator[tuple[Ledger, Worker]]:
    """A ledger, and a worker whose steps the test takes."""
    ledger = Ledger(path / "t.db", given)
    with contextlib.closing(connected(ledger.path)) as db:
        worker = Worker(db, given, ZONE, clock)
        try:
            yield ledger, worker
        finally:
            worker.cut()
            ledger.db.close()


@pytest.mark.parametrize(
    ("answer", "state", "error", "pause"),
    [
        ((200, {}, b'{"errcode":0}'), "sent", "", 0),
        ((200, {}, b'{"errcode":310000,"errmsg":"sign not match"}'), "refused",
         "errcode 310000: sign not match", 0),
        ((200, {}, b'{"errcode":130101,"errmsg":"send too fast"}'), "pending",
         "errcode 130101: send too fast", 600_000),
        ((200, {}, b"<html>Log in"), "pending",
         "HTTP 200 without the robot's answer: <html>Log in", 1_000),
        ((429, {"retry-after": "7"}, b""), "pending", "HTTP 429", 7_000),
        ((500, {}, b"oops"), "pending", "HTTP 500: oops", 1_000),
        ((404, {}, b"gone"), "refused", "HTTP 404: gone", 0),
        ((302, {"location": "http://127.0.0.1:1/"}, b""), "pending", "HTTP 302: a redirect", 1_000),
        ((200, {}, b'{"errcode":1,"errmsg":"no ' + KEY.encode() + b'"}'), "pending",
         "errcode 1: no ***", 1_000),
        ((400, {}, b"x" * 150 + KEY.encode()), "refused", "HTTP 400: " + "x" * 150 + "***…", 0),
    ],
)  # fmt: skip
def test_what_comes_of_a_notice(
    tmp_path: Path, answer: Answer, state: str, error: str, pause: int
) -> None:
    clock = Clock()
    with peer(lambda _: answer) as server, working(tmp_path, robot(server.url), clock) as (
        ledger, worker,
    ):  # fmt: skip
        ledger.write(alert())
        assert worker.step() == 0
        assert ledger.row("state") == state
        assert ledger.row("error").startswith(error)
        assert ledger.row("tries") == 1
        waits = ledger.db.execute("SELECT until_ms FROM outbox_channels").fetchone()[0]
        assert 0.75 * pause <= max(0, waits - T) <= 1.25 * pause
        assert worker.step() == IDLE_MS
        assert len(server.got) == 1
        assert KEY not in ledger.dump()


def test_it_is_tried_again_until_it_is_taken(tmp_path: Path) -> None:
    clock = Clock()
    answers: list[Answer] = [(500, {}, b""), (503, {}, b""), (200, {}, b"")]
    with peer(lambda _: answers.pop(0)) as server:
        given = channel(url=server.url)
        with working(tmp_path, given, clock) as (ledger, worker):
            ledger.write(alert())
            while ledger.row("state") == "pending":
                clock.now += 500 if worker.step() else 0
            assert ledger.row("tries") == 3
            assert len({got.headers["ce-id"] for got in server.got}) == 1
            assert clock.now - T < 10_000


def test_nobody_listens(tmp_path: Path) -> None:
    with working(tmp_path, channel(url="http://127.0.0.1:1/"), Clock()) as (ledger, worker):
        ledger.write(alert())
        worker.step()
        assert "no connection" in ledger.row("error")
        assert Outbox(ledger.db, "x").health(T + 61_000).failing


def test_a_fault_of_ours_ends_no_channel_and_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object) -> Outcome:
        raise KeyError(KEY)

    broken = replace(connectors.CONNECTORS["webhook"], request=fault)
    monkeypatch.setattr(module, "CONNECTORS", {"webhook": broken})
    with working(tmp_path, channel(), Clock()) as (ledger, worker):
        ledger.write(alert())
        worker.step()
        assert ledger.row("error") == "a fault of Tocsin: KeyError"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Channels that take everything; (alarm, kind) in the order of arrival."""
    found: list[tuple[str, str]] = []

    class Quiet:
        def close(self) -> None:
            pass

    def take(given: Notice, _link: object) -> Outcome:
        found.append((given.alarm, given.kind))
        return Delivered()

    easy = replace(connectors.CONNECTORS["webhook"], request=lambda _s, notice, _now: notice,
                   send=take, open=lambda _: Quiet())  # fmt: skip
    monkeypatch.setattr(module, "CONNECTORS", {"webhook": easy})
    return found


def run(worker: Worker, clock: Clock, ms: int) -> None:
    """So much time passes."""
    end = clock.now + ms
    while clock.now < end:
        clock.now += worker.step()


def test_a_flood_under_a_limit_on_the_rate(tmp_path: Path, taken: list[tuple[str, str]]) -> None:
    """R22: red goes first, no minute holds more than the limit, and in the end all are told."""
    clock = Clock()
    with working(tmp_path, channel(least=1, per_minute=20), clock) as (ledger, worker):
        ledger.write(*(alert(alarm=f"b{i}", severity="blue") for i in range(100)))
        run(worker, clock, 2_000)
        assert len(taken) == 14                     # 6 of 20 are kept for the urgent
        ledger.write(*(alert(alarm=f"o{i}", severity="orange") for i in range(10)))
        ledger.write(*(alert(alarm=f"r{i}", severity="red") for i in range(2)))
        run(worker, clock, 2_000)
        assert [alarm for alarm, _ in taken[14:]] == ["r0", "r1", "o0"]     # 3 for red alone
        ledger.write(alert(alarm="late", severity="red"))
        run(worker, clock, 2_000)
        assert taken[17:] == [("late", "raised")]
        run(worker, clock, 10 * 60_000)
        assert len(taken) == len(set(taken)) == 113
        assert taken.index(("o9", "raised")) < taken.index(("b14", "raised"))
        times = sorted(t for (t,) in ledger.db.execute("SELECT tried_ms FROM outbox"))
        assert all(b - a > 60_000 for a, b in zip(times, times[20:], strict=False))


def test_the_limit_holds_over_a_restart(tmp_path: Path, taken: list[tuple[str, str]]) -> None:
    clock = Clock()
    given = channel(least=1, per_minute=20)
    with working(tmp_path, given, clock) as (ledger, worker):
        ledger.write(*(alert(alarm=f"r{i}", severity="red") for i in range(50)))
        run(worker, clock, 1_000)
        assert len(taken) == 20
    with working(tmp_path, given, clock) as (_, worker):
        run(worker, clock, 30_000)
        assert len(taken) == 20
        run(worker, clock, WINDOW_MS - 30_000)
        assert len(taken) == 40


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 600])
def test_any_limit_lets_everything_through(
    tmp_path: Path, taken: list[tuple[str, str]], limit: int
) -> None:
    clock = Clock()
    with working(tmp_path, channel(least=1, per_minute=limit), clock) as (ledger, worker):
        ledger.write(*(alert(alarm=f"{s}{i}", severity=s) for i in range(3)
                       for s in ("blue", "yellow", "orange", "red")))  # fmt: skip
        run(worker, clock, 15 * 61_000)
        assert len(taken) == 12


def test_raised_cleared_raised_within_a_minute_are_three(
    tmp_path: Path, taken: list[tuple[str, str]]
) -> None:
    """R12."""
    clock = Clock()
    with working(tmp_path, channel(per_minute=1), clock) as (ledger, worker):
        ledger.write(alert(alarm="a"), alert("cleared", alarm="a"), alert(alarm="b"))
        run(worker, clock, 5 * 61_000)
        assert taken == [("a", "raised"), ("a", "cleared"), ("b", "raised")]
