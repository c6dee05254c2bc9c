"""Sends what is in the outbox: a thread for each channel, so that a slow one delays no other.

Each thread has its own connection to the ledger's file. Beside them one thread looks how the
channels do and says so as messages of the assets `notify.NAME` (class `tocsin_channel`, see
`rules/packs/tocsin`): a channel that fails is an alarm like any other. The loop of the run takes
them from `Sender.health` and gives them the plant's time.

`close` takes 2 s at most. What was under way then, as after a kill, is sent again at the next start
if it could not be marked: at least once, with the same id.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors.notify.base import Delivered, Outcome, Refused, Retry
from connectors.notify.table import CONNECTORS, Link
from rules.records import Message
from streams.ledger import Record
from streams.notices import Channel, notice
from streams.outbox import Due, Health, Outbox, configure
from streams.outbox import queue as queue_notices
from streams.run.clock import wall
from streams.store import StoreError

CLASS = "tocsin_channel"
IDLE_MS = 500           # between looks into an outbox with nothing due
REPORT_MS = 10_000      # at least so often a channel says how it does
LOOK_S = 1.0
WINDOW_MS = 61_000      # the minute of `per_minute`, and a second for the way
WAITING = 256           # messages of health that wait; the oldest go
_BUSY_S = 1.0           # longest wait for the ledger's writer
_CLOSE_S, _CUT_S = 1.4, 0.5

Now = Callable[[], int]


def connected(path: Path) -> sqlite3.Connection:
    """A connection for this thread. Marks need not reach the disk at once (a lost one has a notice
    sent again), so the ledger's own commits are not slowed down. Raises sqlite3.Error.
    """
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    db.execute("PRAGMA synchronous=NORMAL")
    return db


class Worker:
    """Sends the notices of one channel, one by one. Used by one thread; `cut` by any."""

    def __init__(self, db: sqlite3.Connection, channel: Channel, zone: ZoneInfo, now: Now) -> None:
        """Raises sqlite3.Error."""
        self._channel, self._zone, self._now = channel, zone, now
        self._connector = CONNECTORS[channel.type]
        self._outbox = Outbox(db, channel.name)
        self._tried = deque(self._outbox.tried_since(now() - WINDOW_MS))
        self._link: Link | None = None
        self._ended = False

    def step(self) -> int:
        """Sends a notice if one may be sent. How long to wait for the next step, ms.

        Blocks while it sends. Raises sqlite3.Error.
        """
        now = self._now()
        least = self._least(now)
        if self._ended or not least or self._outbox.paused_until(now) > now:
            return IDLE_MS
        due = self._outbox.due(now, least)
        if due is None:
            return IDLE_MS
        self._outbox.trying(due, now)
        self._tried.append(now)
        self._mark(due, self._deliver(due, now))
        return 0

    def _least(self, now: int) -> int:
        """The least priority that may be sent at this rate; 0 for none.

        The last of what a minute holds is kept for the urgent: of 20, 6 for orange and red, of
        these 3 for red.
        """
        while self._tried and not now - WINDOW_MS < self._tried[0] <= now:
            self._tried.popleft()
        limit = self._channel.per_minute
        left = limit - len(self._tried)
        if left <= 0:
            return 0
        return 4 if left * 100 <= limit * 15 else 3 if left * 100 <= limit * 30 else 1

    def _deliver(self, due: Due, now: int) -> Outcome:
        try:
            told = notice(due.content, due.body, self._zone, due.earlier)
            if self._link is None:
                self._link = self._connector.open(self._channel.settings)
            return self._connector.deliver(self._channel.settings, told, now, self._link)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the channel
            # Only its type: what it says may hold a secret.
            return Retry(f"a fault of Tocsin: {type(error).__name__}")

    def _mark(self, due: Due, outcome: Outcome) -> None:
        match outcome:
            case Delivered(partly):
                self._outbox.sent(due, self._scrubbed(partly))
            case Refused(why):
                self._outbox.refused(due, self._scrubbed(why))
            case Retry(why, after_ms) if not self._ended:
                self._outbox.failed(due, self._scrubbed(why), after_ms, self._now())
            case _:  # cut off by ourselves: the channel has not failed
                return

    def _scrubbed(self, why: str) -> str:
        """What a peer says may repeat what it was sent, also cut off by us."""
        for secret in self._channel.secrets:
            why = why.replace(secret, "***")
            for size in range(len(secret) - 1, 3, -1):
                why = why.replace(f"{secret[:size]}…", "***…")
        return why

    def cut(self) -> None:
        """Ends what is under way. The worker sends nothing any more."""
        self._ended = True
        if self._link is not None:
            self._link.close()


class Sender:
    """The threads. `start` it, `wake` it after the ledger was written, and `close` it.

    health: messages for the engine, newest last; their `t` is the wall clock's.
    """

    def __init__(
        self, path: Path, channels: Sequence[Channel], zone: ZoneInfo, now: Now = wall
    ) -> None:
        self.health: queue.Queue[Message] = queue.Queue(WAITING)
        self._path, self._channels, self._zone, self._now = path, tuple(channels), zone, now
        self._stop = threading.Event()
        self._wake = {channel.name: threading.Event() for channel in channels}
        self._workers: dict[str, Worker] = {}
        self._broken: set[str] = set()
        self._threads = [
            threading.Thread(target=self._send, args=(channel,), name=f"notify.{channel.name}",
                             daemon=True)
            for channel in channels
        ]  # fmt: skip
        self._threads.append(threading.Thread(target=self._watch, name="notify", daemon=True))

    def start(self) -> int:
        """Starts sending. Returns how many notices waited for channels that are no more, and were
        dropped. Raises StoreError.
        """
        try:
            with contextlib.closing(connected(self._path)) as db:
                dropped = configure(db, [channel.name for channel in self._channels])
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: its outbox cannot be used: {error}") from None
        for thread in self._threads:
            thread.start()
        return dropped

    def queue(self, db: sqlite3.Connection, records: Sequence[Record]) -> None:
        """Queues the notices of new records, within their transaction. Raises sqlite3.Error."""
        queue_notices(db, self._channels, records, self._now())

    def wake(self) -> None:
        """There may be something new in the outbox."""
        for event in self._wake.values():
            event.set()

    def close(self) -> None:
        """Ends the threads: those that are sending may finish for a moment, then are cut off."""
        self._stop.set()
        self.wake()
        self._join(_CLOSE_S)
        for worker in tuple(self._workers.values()):
            worker.cut()
        self._join(_CUT_S)

    def _join(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def _send(self, channel: Channel) -> None:
        """A channel's thread."""
        while not self._stop.is_set():
            try:
                with contextlib.closing(connected(self._path)) as db:
                    worker = Worker(db, channel, self._zone, self._now)
                    self._workers[channel.name] = worker
                    try:
                        self._work(worker, channel.name)
                    finally:
                        worker.cut()
            except Exception:  # noqa: BLE001 - a busy file, a full disk, a fault of ours: go on
                self._broken.add(channel.name)
                self._stop.wait(LOOK_S)

    def _work(self, worker: Worker, name: str) -> None:
        wake = self._wake[name]
        while not self._stop.is_set():
            wait = worker.step()
            self._broken.discard(name)
            if wait and wake.wait(wait / 1000):
                wake.clear()

    def _watch(self) -> None:
        """The thread that says how the channels do."""
        said: dict[str, tuple[int, Health | None]] = {}
        while True:
            for name, health in self._look().items():
                now = self._now()
                at, before = said.get(name, (0, None))
                if name not in said or health != before or not 0 <= now - at < REPORT_MS:
                    said[name] = now, health
                    self._say(name, health, now)
            if self._stop.wait(LOOK_S):
                return

    def _look(self) -> dict[str, Health | None]:
        """How each channel does; None where it cannot be known."""
        names = [channel.name for channel in self._channels]
        try:
            with contextlib.closing(connected(self._path)) as db:
                found = {name: Outbox(db, name).health(self._now()) for name in names}
        except Exception:  # noqa: BLE001 - as in `_send`: whoever watches must not end
            return dict.fromkeys(names)
        return {name: None if name in self._broken else found[name] for name in names}

    def _say(self, name: str, health: Health | None, now: int) -> None:
        values: dict[str, object] = {"failing": True}  # the rest stays what it was
        if health is not None:
            values = {"failing": health.failing, "pending": health.pending,
                      "oldest": health.oldest_s, "refused": health.lost}
        message = Message(f"notify.{name}", CLASS, now, values)
        while True:
            try:
                self.health.put_nowait(message)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self.health.get_nowait()
            else:
                return
