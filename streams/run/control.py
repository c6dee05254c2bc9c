"""Operators' access to a running `tocsin run`: orders come in, the alarms are looked at.

    commands, packs ─► request (a thread each) ─► queue ─► loop: `orders`, `Order.answer`
    lists           ◄─ request                 ◄─ view  ◄─ loop: `publish`

The threads of requests never touch the engine. The loop takes what was ordered at its beats, and
publishes a view that is not changed afterwards. A request waits for its answer; whoever asks again
with the same request id gets the first result again, so asking again is always safe. (After a
restart it is the site on duty that knows which commands it has carried out.)

`control.json` in the ledger's folder says where this is and holds the token, for whoever may read
the folder's private files. It is there for as long as the run is.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rules.records import Command

CONTROL = "control.json"
MAX_WAITING = 1_000      # orders that the loop has not taken yet
MAX_RESULTS = 10_000     # newest results that are kept
#: What a result may say. A command's are also in its record of the ledger.
RESULT = ("result", "why", "alarm", "seq", "t_ms", "pack", "anew", "gone")

Row = Mapping[str, Any]


class Full(Exception):  # noqa: N818 the state of the queue
    """More orders than may wait: try again after the next beat."""


@dataclass(slots=True)
class Ticket:
    """A request and, once there is one, its result. Done without a result: the run has ended."""

    request: str
    done: threading.Event = field(default_factory=threading.Event)
    result: dict[str, Any] | None = None

    def answer(self, result: Mapping[str, Any]) -> None:
        """The result; the first one counts."""
        if not self.done.is_set():
            known = {name: result[name] for name in RESULT if name in result}
            self.result = {"request": self.request, **known}
            self.done.set()


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants done: a command, or a pack (path and text of each file) to activate."""

    ticket: Ticket
    by: str
    command: Command | None = None
    pack: Sequence[tuple[str, bytes]] = ()

    @property
    def request(self) -> str:
        """The id that its author gave it."""
        return self.ticket.request

    def answer(self, result: Mapping[str, Any]) -> None:
        """Says what came of it, after that is durable.

        `result` has `result` (accepted or refused), `why`, `t_ms`; of a command `alarm` and `seq`,
        too; of a pack `pack`, `anew` and `gone`. What else it has is not told.
        """
        self.ticket.answer(result)


@dataclass(frozen=True, slots=True)
class View:
    """What was published last. `at` is of the monotonic clock."""

    rows: tuple[Row, ...] = ()
    now_ms: int = 0
    health: Mapping[str, object] = field(default_factory=dict)
    at: float = 0.0

    def age_ms(self) -> int:
        """How long ago that was."""
        return int((time.monotonic() - self.at) * 1000)


class Control:
    """Use it in a `with` statement around the loop; it listens from `open` to `close`."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.path = folder / CONTROL
        self.port = port
        self.token = secrets.token_urlsafe(32)
        self.view: View | None = None          # replaced as a whole, so it needs no lock
        self.closed = False
        self._close: Callable[[], None] | None = None
        self._lock = threading.Lock()          # of the two below
        self._waiting: list[Order] = []
        self._tickets: OrderedDict[str, Ticket] = OrderedDict()

    # The loop's side

    def orders(self) -> list[Order]:
        """What was ordered since the last call, in order. Does not wait."""
        with self._lock:
            taken, self._waiting = self._waiting, []
        return taken

    def publish(self, rows: Sequence[Row], now_ms: int, health: Mapping[str, object]) -> None:
        """Shows the alarms at an instant of the plant's time. None of it may be changed later.

        Of `health`, `zone` is the site's time zone; all else is for people and monitors.
        """
        self.view = View(tuple(rows), now_ms, health, time.monotonic())

    # The requests' side

    def order(self, orders: Sequence[Order]) -> list[Ticket]:
        """Queues the orders that are new, all or none. Raises Full. Gives the tickets of all."""
        with self._lock:
            new: dict[str, Order] = {}
            for one in orders:
                if one.request not in self._tickets:
                    new.setdefault(one.request, one)
            if self.closed or len(self._waiting) + len(new) > MAX_WAITING:
                raise Full
            tickets = [new[x.request].ticket if x.request in new else self._tickets[x.request]
                       for x in orders]  # fmt: skip
            for one in new.values():
                self._waiting.append(one)
                self._tickets[one.request] = one.ticket
            while len(self._tickets) > MAX_RESULTS:
                self._tickets.popitem(last=False)
            return tickets

    def ticket(self, request: str) -> Ticket | None:
        """A request that is known, of the newest `MAX_RESULTS`."""
        with self._lock:
            return self._tickets.get(request)

    # Its time

    def open(self) -> None:
        """Starts to listen and writes `control.json`. Raises OSError (the port is taken, …)."""
        from streams.run.control_http import Server  # noqa: PLC0415 - it knows this file

        server = Server(self, self.port)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True,
                                  name="control")  # fmt: skip
        thread.start()

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()
            server.drain()

        self._close = close
        try:
            self._write(server.url)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Stops listening. Who still waits is told that the run has ended."""
        with self._lock:
            self.closed = True
            pending = [ticket for ticket in self._tickets.values() if not ticket.done.is_set()]
            for ticket in pending:
                ticket.done.set()
        if self._close is not None:
            self._remove()
            self._close()
            self._close = None

    def _write(self, url: str) -> None:
        """Whole and private from its first instant, as it holds the token."""
        text = json.dumps({"url": url, "token": self.token, "pid": os.getpid()})
        new = self.path.with_name(f"{CONTROL}.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    def _remove(self) -> None:
        """Removes our own file only."""
        try:
            if json.loads(self.path.read_bytes())["token"] == self.token:
                self.path.unlink()
        except (OSError, ValueError, LookupError, TypeError):
            return

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

