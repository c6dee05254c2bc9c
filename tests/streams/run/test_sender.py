"""The sender against real servers, with real threads and real kills."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from rules.load import load
from streams.notices import Channel
from streams.outbox import Outbox
from streams.run import sender as module
from streams.run.sender import Sender
from streams.site import Site
from streams.store import StoreError
from tests.connectors.notify.kit import Answer, Got, peer
from tests.streams.notices_kit import Ledger, alert, channel, told_of

ZONE = ZoneInfo("Asia/Shanghai")


@contextlib.contextmanager
def sending(ledger: Ledger, *channels: Channel) -> Iterator[Sender]:
    """A sender at work."""
    sender = Sender(ledger.path, channels, ZONE)
    sender.start()
    try:
        yield sender
    finally:
        sender.close()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for what another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def test_everything_goes_out_and_a_slow_channel_delays_no_other(tmp_path: Path) -> None:
    with peer() as slow, peer() as quick:
        slow.answer = lambda _: slow.hang
        channels = channel("slow", slow.url), channel("quick", quick.url)
        ledger = Ledger(tmp_path / "t.db", *channels)
        with sending(ledger, *channels) as sender:
            slow_first = [alert(alarm=f"{i}") for i in range(5)]
            ledger.write(*slow_first, now=module.wall())
            sender.wake()
            quick.wait(5)
            slow.wait()
            assert len(slow.got) == 1
            until(lambda: {state for *_, state in ledger.states("quick")} == {"sent"})
        ledger.db.close()


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    with peer() as server:
        given = channel(url=server.url)
        ledger = Ledger(tmp_path / "t.db", given)
        ledger.write(alert(alarm="a"), now=module.wall())
        with sending(ledger, given):
            server.wait()
            until(lambda: ledger.row("state") == "sent")
        ledger.write(alert("cleared", alarm="a"), alert(alarm="b"), now=module.wall())
        with sending(ledger, given):
            server.wait(2)
            until(lambda: all(state == "sent" for *_, state in ledger.states()))
        assert sorted(told_of(got.body) for got in server.got) == [
            ("a", "cleared"), ("a", "raised"), ("b", "raised"),
        ]  # fmt: skip
        ledger.db.close()


def test_closing_takes_two_seconds_at_most_and_blames_nobody(tmp_path: Path) -> None:
    before = threading.active_count()
    with peer() as server:
        server.answer = lambda _: server.hang
        given = channel(url=server.url)
        ledger = Ledger(tmp_path / "t.db", given)
        ledger.write(alert(), now=module.wall())
        sender = Sender(ledger.path, [given], ZONE)
        sender.start()
        server.wait()
        began = time.monotonic()
        sender.close()
        assert time.monotonic() - began < 2
        assert not any(thread.is_alive() for thread in sender._threads)
        assert (ledger.row("state"), ledger.row("error")) == ("pending", "")
        assert not Outbox(ledger.db, "x").health(module.wall()).failing
        sender.close()  # again: nothing happens
        ledger.db.close()
    until(lambda: threading.active_count() <= before)


def test_closing_lets_the_present_notice_finish(tmp_path: Path) -> None:
    go = threading.Event()

    def late(handler: BaseHTTPRequestHandler) -> None:
        go.wait(20)
        handler.send_response(204)
        handler.end_headers()

    with peer(lambda _: late) as server:
        given = channel(url=server.url)
        ledger = Ledger(tmp_path / "t.db", given)
        ledger.write(alert(alarm="a"), alert(alarm="b"), now=module.wall())
        sender = Sender(ledger.path, [given], ZONE)
        sender.start()
        server.wait()
        threading.Timer(0.2, go.set).start()
        sender.close()
        assert [state for *_, state in ledger.states()] == ["sent", "pending"]
        ledger.db.close()


_CHILD = """
import sys
from pathlib import Path
from zoneinfo import ZoneInfo
from tests.streams.notices_kit import channel
from streams.run.sender import Sender
sender = Sender(Path(sys.argv[1]), [channel(url=sys.argv[2])], ZoneInfo("UTC"))
sender.start()
sys.stdin.read()
"""


def test_killed_between_sending_and_marking_it_is_sent_again_with_the_same_id(
    tmp_path: Path,
) -> None:
    child: list[subprocess.Popen[bytes]] = []

    def kill(_got: Got) -> Answer:
        if len(server.got) == 2:                    # the second notice has arrived: now
            os.kill(child[0].pid, signal.SIGKILL)
            child[0].wait()
        return 200, {}, b""

    with peer(kill) as server:
        given = channel(url=server.url)
        ledger = Ledger(tmp_path / "t.db", given)
        ledger.write(*(alert(alarm=x) for x in "abc"), now=module.wall())
        root = Path(__file__).parents[3]
        child.append(subprocess.Popen([sys.executable, "-c", _CHILD, str(ledger.path), server.url],
                                      stdin=subprocess.PIPE, cwd=root))  # fmt: skip
        try:
            server.wait(2)
            child[0].wait(20)
        finally:
            child[0].kill()
            assert child[0].stdin is not None
            child[0].stdin.close()
            child[0].wait()
        assert [state for *_, state in ledger.states()] == ["sent", "pending", "pending"]
        with sending(ledger, given):
            server.wait(2)
            until(lambda: all(state == "sent" for *_, state in ledger.states()))
        ids = [got.headers["ce-id"] for got in server.got]
        assert ids == ["a-0", "b-0", "b-0", "c-0"]
        assert server.got[1].body == server.got[2].body
        assert ledger.row("tries", 2) == 2
        ledger.db.close()


def heard(sender: Sender, seconds: float = 20.0) -> dict[str, object]:
    """The next message of health."""
    message = sender.health.get(timeout=seconds)
    assert message.asset == "notify.x"
    assert message.cls == "tocsin_channel"
    assert abs(message.t - module.wall()) < 60_000
    return message.values


def test_how_a_channel_does_is_said_when_it_changes(tmp_path: Path) -> None:
    answers: list[Answer] = [(500, {}, b""), (400, {}, b"no"), (204, {}, b"")]
    with peer(lambda _: answers.pop(0)) as server:
        given = channel(url=server.url)
        ledger = Ledger(tmp_path / "t.db", given)
        with sending(ledger, given) as sender:
            assert heard(sender) == {"failing": False, "pending": 0, "oldest": 0, "refused": 0}
            ledger.write(alert(alarm="a"), now=module.wall())
            sender.wake()
            until(lambda: heard(sender)["failing"] is True)
            until(lambda: (found := heard(sender))["failing"] is False and found["refused"] == 1)
        ledger.db.close()


def test_how_a_channel_does_is_said_also_when_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_MS", 50)
    monkeypatch.setattr(module, "LOOK_S", 0.02)
    ledger = Ledger(tmp_path / "t.db", channel())
    with sending(ledger, channel()) as sender:
        for _ in range(3):
            assert heard(sender)["failing"] is False
    ledger.db.close()


def test_nobody_reads_what_is_said_and_the_newest_stays(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "t.db", channel())
    sender = Sender(ledger.path, [channel()], ZONE)
    sender.health = queue.Queue(3)
    for now in range(10):
        sender._say("x", None, now)
    assert [sender.health.get_nowait().t for _ in range(3)] == [7, 8, 9]
    ledger.db.close()


def test_a_ledger_that_cannot_be_used_is_said_and_overcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    real = module.connected
    broken = threading.Event()

    def connected_or_not(path: Path) -> sqlite3.Connection:
        if broken.is_set():
            raise sqlite3.OperationalError("disk I/O error")
        return real(path)

    monkeypatch.setattr(module, "connected", connected_or_not)
    with peer() as server:
        given = channel(url=server.url)
        ledger = Ledger(tmp_path / "t.db", given)
        sender = Sender(ledger.path, [given], ZONE)
        sender.start()
        broken.set()
        until(lambda: heard(sender) == {"failing": True})
        broken.clear()
        until(lambda: heard(sender)["failing"] is False)
        ledger.write(alert(), now=module.wall())
        sender.wake()
        server.wait()
        sender.close()
        ledger.db.close()


def test_the_ledgers_writer_and_the_sender_share_the_file(tmp_path: Path) -> None:
    """While the sender marks, the run writes; nobody meets a locked file."""
    with peer() as server:
        given = channel(url=server.url, per_minute=6_000)
        ledger = Ledger(tmp_path / "t.db", given)
        with sending(ledger, given) as sender:
            for i in range(60):
                ledger.write(alert(alarm=f"{i}"), now=module.wall())
                sender.wake()
            server.wait(60)
            until(lambda: all(state == "sent" for *_, state in ledger.states()))
        assert sorted(told_of(got.body)[0] for got in server.got) == sorted(map(str, range(60)))
        ledger.db.close()


def test_a_file_without_an_outbox_is_no_ledger(tmp_path: Path) -> None:
    sender = Sender(tmp_path / "other.db", [channel()], ZONE)
    with pytest.raises(StoreError, match=r"other.db: its outbox cannot be used: no such table"):
        sender.start()
    sender.close()


def test_channels_that_are_no_more_are_told_at_the_start(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "t.db", channel("old"))
    ledger.write(alert())
    sender = Sender(ledger.path, [channel("new")], ZONE)
    assert sender.start() == 1
    sender.close()
    ledger.db.close()


def test_a_channel_that_fails_is_an_alarm_like_any_other(tmp_path: Path) -> None:
    """R22: what the sender says goes through the engine, with the pack that is shipped."""
    pack = load([Path(__file__).parents[3] / "rules" / "packs" / "tocsin"]).pack
    assert pack is not None
    site = Site(pack, "UTC", [], 0)
    answers: list[Answer] = [(400, {}, b"no")]
    with peer(lambda _: answers.pop(0) if answers else (503, {}, b"")) as server:
        given = channel(url=server.url)
        ledger = Ledger(tmp_path / "t.db", given)
        with sending(ledger, given) as sender:
            said = [sender.health.get(timeout=20)]
            ledger.write(alert(alarm="a"), alert(alarm="b"), now=module.wall())
            sender.wake()
            until(lambda: said.append(sender.health.get(timeout=20)) or
                  (said[-1].values["failing"] is True and said[-1].values["refused"] == 1))
        ledger.db.close()
    plant = [replace(said[0], t=1_000), replace(said[-1], t=10_000)]   # stamped by the loop
    made = site.messages(plant) + site.run_until(90_000)
    assert [(x.t, x.rule, x.asset, x.kind) for x in made] == [
        (10_000, "tocsin.channel_refuses", "notify.x", "raised"),
        (70_000, "tocsin.channel_failing", "notify.x", "raised"),
    ]
