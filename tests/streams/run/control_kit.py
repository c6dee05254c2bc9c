"""A loop that answers orders, without an engine behind it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.alarms import alarm_id
from streams.run.control import Control, Order

NOW = 1_772_431_200_000  # 2026-03-02 06:00 UTC
MIN = 60_000
Decide = Callable[[Order], dict[str, Any]]


def row(rule: str, asset: str, **more: object) -> dict[str, Any]:
    """A row of the list: an active alarm that nobody has acknowledged."""
    raised = more.get("raised_ms", NOW - 12 * MIN)
    assert isinstance(raised, int)
    return {
        "alarm": alarm_id(rule, asset, raised), "seq": 0, "rule": rule, "asset": asset,
        "group": False, "class": "lift", "severity": "orange", "word": "unacknowledged",
        "active": True, "latched": False, "stale": False, "raised_ms": raised,
        "time": "2026-03-02T05:48:00.000Z", "acknowledged": None, "shelf": None, "service": None,
        "suppressed": False, "plan": "", "loop": "", "steps": [],
        "title": {"zh": "困人", "en": "Passenger trapped"},
        "text": {"zh": f"{asset} 困人 12分", "en": f"{asset}: trapped for 12 min"},
        "place": "North tower", "desk": "east", "hazard": False, "comments": 0,
        "evidence": [], **more,
    }  # fmt: skip


def accepted(order: Order) -> dict[str, Any]:
    if order.pack:
        return {"result": "accepted", "why": "", "t_ms": NOW, "pack": "00ff00ff00ff00ff",
                "anew": ["lift.trapped"], "gone": ["lift.old"]}  # fmt: skip
    assert order.command is not None
    return {"result": "accepted", "why": "", "alarm": order.command.alarm, "seq": 1, "t_ms": NOW}


@dataclass
class Loop:
    """What it was asked; what it says to it. `held` orders are taken and not answered."""

    control: Control
    decide: Decide = accepted
    taken: list[Order] = field(default_factory=list)
    held: list[Order] = field(default_factory=list)
    hold: bool = False
    wake: threading.Event = field(default_factory=threading.Event)
    ended: bool = False

    def run(self) -> None:
        while not self.ended:
            for order in self.control.orders():
                self.taken.append(order)
                if self.hold:
                    self.held.append(order)
                else:
                    order.answer(self.decide(order))
            self.wake.wait(0.002)

    @property
    def asked(self) -> list[Any]:
        return [order.command for order in self.taken]


@contextmanager
def running(folder: Path, rows: list[dict[str, Any]], decide: Decide = accepted) -> Iterator[Loop]:
    """A control with a loop that publishes these rows."""
    with Control(folder) as control:
        control.publish(rows, NOW, {"zone": "Asia/Shanghai", "behind_ms": 0})
        loop = Loop(control, decide)
        thread = threading.Thread(target=loop.run)
        thread.start()
        try:
            yield loop
        finally:
            loop.ended = True
            thread.join()


@dataclass
class Answer:
    """What came back over the wire."""

    status: int
    headers: dict[str, str]
    body: Any


class Wire:
    """Speaks raw HTTP, so that it can also speak badly."""

    def __init__(self, folder: Path) -> None:
        said = json.loads((folder / "control.json").read_text())
        self.host = said["url"].removeprefix("http://")
        self.token = said["token"]

    def open(self) -> socket.socket:
        address, _, port = self.host.partition(":")
        return socket.create_connection((address, int(port)), timeout=20)

    def head(self, method: str, path: str, *lines: str, host: str = "", token: str = "") -> bytes:
        return "\r\n".join((
            f"{method} {path} HTTP/1.1", f"Host: {host or self.host}",
            f"Authorization: Bearer {token or self.token}", *lines, "", "",
        )).encode()  # fmt: skip

    def raw(self, data: bytes) -> Answer:
        with self.open() as connection:
            connection.sendall(data)
            return answer(connection)

    def get(self, path: str) -> Answer:
        return self.raw(self.head("GET", path))

    def post(self, path: str, body: object, kind: str = "application/json") -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = (f"Content-Type: {kind}", f"Content-Length: {len(data)}")
        return self.raw(self.head("POST", path, *lines) + data)


def answer(connection: socket.socket) -> Answer:
    """The answer, up to the end of the connection."""
    data = b"".join(_received(connection))
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split(" ")[1]), headers, json.loads(body) if body else None)


def _received(connection: socket.socket) -> Iterator[bytes]:
    try:
        while data := connection.recv(65_536):
            yield data
    except ConnectionResetError:      # closed before it had read all that we sent
        return


def answer_status(connection: socket.socket) -> int:
    """The status of an answer whose end is not waited for."""
    return int(connection.recv(65_536).split(b" ")[1])
