"""Where a notifier begins, and what ends it. (With a broker: `tests/kafka/test_notify.py`.)"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

import pytest

from connectors.kafka import DeniedError, LinkError, Record, RefusedError
from streams.cli import main
from streams.run import notify_kafka as module
from streams.run.notify_box import Position
from streams.run.notify_kafka import Notifier, NotifyError, NotifySettings
from streams.settings import Kafka
from tests.streams.notices_kit import channel
from tests.streams.run.test_notify_box import on, told

KAFKA = Kafka(brokers=("127.0.0.1:1",))


class Topic:
    """`alerts` as its partitions stand; `begun` is where reading was begun."""

    def __init__(self, kept: Mapping[int, tuple[int, int]],
                 committed: Mapping[int, int] | None = None) -> None:  # fmt: skip
        self.kept, self._committed = kept, committed or {}
        self.begun: dict[int, int] = {}
        self.told: list[dict[int, int]] = []
        self.records: list[Callable[[], list[Record]]] = []

    @property
    def partitions(self) -> list[int]:
        return sorted(self.kept)

    def range(self) -> dict[int, tuple[int, int]]:
        return dict(self.kept)

    def since(self, t_ms: int) -> dict[int, int]:
        return {partition: first + t_ms for partition, (first, _) in self.kept.items()}

    def committed(self) -> dict[int, int]:
        return dict(self._committed)

    def seek(self, offsets: Mapping[int, int]) -> None:
        self.begun = dict(offsets)

    def poll(self) -> list[Record]:
        return self.records.pop(0)() if self.records else []

    def commit(self, offsets: Mapping[int, int]) -> None:
        self.told.append(dict(offsets))

    def __call__(self, *_: object) -> Topic:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def notifier(tmp_path: Path) -> Iterator[Callable[..., Notifier]]:
    made: list[Notifier] = []

    def make(since_ms: int | None = None) -> Notifier:
        made.append(Notifier(NotifySettings(
            KAFKA, (channel(),), tmp_path, ZoneInfo("UTC"), since_ms)))
        return made[-1]

    yield make
    for one in made:
        one._box.close()


def seek(one: Notifier, topic: Topic) -> dict[int, int]:
    one._seek(topic)    # type: ignore[arg-type]  # what is used of it
    return topic.begun


def test_at_first_it_begins_at_the_end(notifier: Callable[..., Notifier]) -> None:
    one = notifier()
    assert seek(one, Topic({0: (0, 5), 1: (2, 7)})) == {0: 5, 1: 7}
    assert one._box.positions == {0: Position(5), 1: Position(7)}
    assert seek(one, Topic({0: (0, 9), 1: (2, 9)})) == {0: 5, 1: 7}     # and goes on from there
    assert seek(one, Topic({0: (6, 9), 1: (2, 9)})) == {0: 6, 1: 7}     # as far as it is kept


def test_without_its_folder_it_goes_on_from_what_was_committed(
    notifier: Callable[..., Notifier]
) -> None:
    assert seek(notifier(), Topic({0: (0, 5), 1: (2, 7)}, {1: 4})) == {0: 5, 1: 4}


def test_it_begins_where_it_is_told_to(notifier: Callable[..., Notifier]) -> None:
    assert seek(notifier(3), Topic({0: (0, 5), 1: (2, 7)}, {1: 4})) == {0: 3, 1: 5}


@pytest.mark.parametrize("kept", [{0: (0, 4), 1: (0, 9)}, {0: (0, 9)}])
def test_a_topic_that_was_made_anew_ends_it(
    notifier: Callable[..., Notifier], kept: dict[int, tuple[int, int]]
) -> None:
    one = notifier()
    seek(one, Topic({0: (0, 5), 1: (0, 7)}))
    with pytest.raises(NotifyError, match=r"the topic was made anew; choose another folder"):
        seek(one, Topic(kept))


def running(one: Notifier, monkeypatch: pytest.MonkeyPatch, topic: Topic) -> threading.Thread:
    """The notifier at work on this topic; channels are well and say nothing."""
    monkeypatch.setattr(module, "Follower", topic)
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    monkeypatch.setattr(module, "COMMIT_S", 0.0)
    monkeypatch.setattr(one, "_tell", one._stop.wait)
    one._threads.pop()
    thread = threading.Thread(target=one.run)
    thread.start()
    return thread


def test_outages_lose_nothing(
    notifier: Callable[..., Notifier], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    one, topic = notifier(), Topic({0: (0, 3)}, {0: 0})
    real, busy = one._box.take, [True, True]

    def take(*given: object) -> int:
        if busy:
            busy.pop()
            raise sqlite3.OperationalError("database is locked")
        return real(*given)  # type: ignore[arg-type]  # as it was called

    def away() -> list[Record]:
        raise LinkError("127.0.0.1:1: nobody")

    def end() -> list[Record]:
        one.stop()
        return []

    monkeypatch.setattr(one._box, "take", take)
    topic.records = [
        lambda: [on(0, told(1))], away, lambda: [on(0, told(1)), on(1, told(2, "b"))],
        lambda: [Record(0, 2, 0, None, b"?", ())], list, end,
    ]  # fmt: skip
    running(one, monkeypatch, topic).join(20)
    with sqlite3.connect(one._box.path) as db:
        assert db.execute("SELECT alarm FROM outbox ORDER BY id").fetchall() == [("a",), ("b",)]
    db.close()
    assert topic.told[-1] == {0: 3}
    assert capsys.readouterr().err.splitlines() == [
        "tocsin notify: reads tocsin.alerts",
        f"tocsin notify: {one._box.path}: cannot be written: database is locked; trying again",
        "tocsin notify: 127.0.0.1:1: nobody; trying again",
        "tocsin notify: reads tocsin.alerts",
        "tocsin notify: tocsin.alerts holds what is no record of a ledger: passed over",
    ]


@pytest.mark.parametrize(("error", "said"), [
    (DeniedError("no right"), "^no right$"), (RefusedError("no"), "^no$"),
    (KeyError("x"), "^a fault of ours: KeyError: 'x'$"),
])  # fmt: skip
def test_what_is_wrong_for_good_ends_it(
    notifier: Callable[..., Notifier], monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def wrong(*_: object) -> Topic:
        raise error

    one = notifier()
    monkeypatch.setattr(module, "Follower", wrong)
    monkeypatch.setattr(one, "_tell", one._stop.wait)
    one._threads.pop()
    with pytest.raises(NotifyError, match=said):
        one.run()


def test_wrong_usage_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("channels:\n  x:\n    type: pigeon\n")
    (tmp_path / "good.yaml").write_text("channels: {}\n")
    for words, said in (
        ([], "Missing option '--channels'"),
        (["--channels", "none.yaml"], "no such file"),
        (["--channels", "bad.yaml"], "bad.yaml:3:11: expected `type`"),
        (["--channels", "good.yaml", "--since", "soon"], "--since 'soon'"),
        (["--channels", "good.yaml", "--kafka", "none.yaml"], "none.yaml:1:1: error: cannot be"),
        (["--channels", "good.yaml", "--zone", "Mars"], "no time zone"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["notify", *words])
        assert ended.value.code == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "tocsin-notify").exists()
