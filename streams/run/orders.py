"""Orders of operators in a file, to be played with the data: for drills, demos and tests.

    {"t": "2026-03-02T06:31:00Z", "request": "d-1", "by": "chen", "command": "acknowledge",
     "rule": "lift.entrapment", "asset": "L-3"}

One JSON object a line, in order of time: `t` (ms since 1970 or RFC 3339), and all else as in a body
of `POST /commands`. Lines that begin with # and empty ones are passed over.
"""

from __future__ import annotations

import json
from pathlib import Path

from rules.records import Command
from streams.decode import Refuse, time_ms
from streams.run.control_bodies import WrongBody, commands_of

MAX_BYTES = 64 << 20

#: Commands, each with the instant (ms) at which it takes effect.
Orders = tuple[tuple[int, Command], ...]


class OrdersError(Exception):
    """The file cannot be played: file and line, what was found, what was expected."""


def read_orders(path: Path) -> Orders:
    """The orders of a file. Raises OrdersError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise OrdersError(f"{path}: larger than {MAX_BYTES >> 20} MiB; split it")
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise OrdersError(f"{path}: {error.strerror}") from None
    found: list[tuple[int, Command]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        try:
            order = _order(line)
        except (ValueError, WrongBody, Refuse) as error:
            raise OrdersError(f"{path}:{number}: {error}") from None
        if found and order[0] < found[-1][0]:
            raise OrdersError(f"{path}:{number}: earlier than the line before; sort them by `t`")
        found.append(order)
    return tuple(found)


def _order(line: bytes) -> tuple[int, Command]:
    content = json.loads(line.decode())
    if not isinstance(content, dict) or "t" not in content:
        raise ValueError('found no `t`, expected {"t": …, "request": …, "by": …, "command": …}')
    t = time_ms(content.pop("t"))
    bodies, _ = commands_of(json.dumps(content).encode())
    return t, bodies[0].order()
