"""The lines of a replay's data: messages, ticks and commands, one JSON object a line.

    {"asset": "L1", "class": "elevator", "t": 1000, "values": {"speed": 1.7}}
    {"tick": 2000}
    {"command": {"reset": "elevator.trapped", "asset": "L1", "by": "ana"}, "t": 3000}

Times are ms since 1970 or RFC 3339. Messages are left to the intake; a tick or command that cannot
be used is a `LineError` that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from rules.records import Command, EngineCommand
from streams.decode import BAD_BYTES, MAX_BYTES, Refuse, time_ms

#: No line is read further: one byte more than a message may have, so that it is told as too large.
MAX_LINE = MAX_BYTES + 1

_ORDERS: dict[str, EngineCommand] = {
    "reset": "reset",
    "acknowledge": "acknowledge",
    "step": "step",
    "set": "set",
}
_ORDER_KEYS = frozenset({*_ORDERS, "of", "to", "asset", "group", "by"})


class LineError(ValueError):
    """Why a line cannot be used."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The system's clock stands at `t`."""

    t: int


@dataclass(frozen=True, slots=True)
class Order:
    """A command at `t`, as written."""

    t: int
    command: dict[str, object]


class _Line(msgspec.Struct):
    """What a line may hold that is no message."""

    t: int | str | None = None
    tick: int | str | None = None
    command: dict[str, object] | None = None


_decode = msgspec.json.Decoder(_Line).decode


def control(line: bytes) -> Tick | Order | None:
    """The tick or command in a line, None for all else. Raises LineError."""
    if b'"tick"' not in line and b'"command"' not in line:
        return None
    try:
        made = _decode(line)
    except BAD_BYTES:
        return None  # the intake says what is wrong with it
    if made.tick is not None:
        return Tick(_time(made.tick, "tick"))
    if made.command is None:
        return None
    if made.t is None:
        raise LineError("a command needs `t`, its time in ms since 1970")
    return Order(_time(made.t, "t"), made.command)


def _time(value: int | str, name: str) -> int:
    try:
        return time_ms(value)
    except Refuse as refuse:
        raise LineError(f"`{name}`: {refuse.found or refuse.reason.text.en}") from None


def read(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines that hold something, with their numbers from 1.

    Of a line longer than MAX_LINE only its beginning comes.
    """
    number = 0
    while piece := file.readline(MAX_LINE):
        number += 1
        if number == 1:
            piece = piece.removeprefix(b"\xef\xbb\xbf")
        rest = piece
        while not rest.endswith(b"\n") and len(rest) == MAX_LINE:
            rest = file.readline(MAX_LINE)
        piece = piece.strip()
        if piece:
            yield number, piece


def command(order: Order, groups: frozenset[str], only_asset: str | None) -> Command:
    """The command that an order is; without `asset` it is for the only asset, if there is one.

    Raises LineError.
    """
    given = order.command
    unknown = sorted(given.keys() - _ORDER_KEYS)
    if unknown:
        raise LineError(f"a command has no `{unknown[0]}`; it has {', '.join(sorted(_ORDER_KEYS))}")
    kinds = [kind for kind in _ORDERS if kind in given]
    if len(kinds) != 1:
        raise LineError("a command is one of reset, acknowledge, step or set")
    kind = _ORDERS[kinds[0]]
    text = _texts(given)
    target = text("of") if kind == "step" else text(kind)
    is_group = target in groups
    where = text("group", "") if is_group else text("asset", only_asset or "")
    if not where:
        raise LineError(f"the command needs `{'group' if is_group else 'asset'}`")
    value = given.get("to")
    if kind == "set" and not isinstance(value, bool | int | float | str):
        raise LineError(f"`set` needs `to`: a number, true, false or a state; found {value!r}")
    return Command(
        kind, target, where, group=is_group, by=text("by", ""),
        value=value if isinstance(value, bool | int | float | str) else None,
        step=text("step") if kind == "step" else "",
    )  # fmt: skip


def _texts(given: dict[str, object]) -> Callable[..., str]:
    def text(name: str, default: str | None = None) -> str:
        found = given.get(name, default)
        if not isinstance(found, str):
            what = "missing" if found is None else repr(found)
            raise LineError(f"`{name}` of the command is {what}: expected a text")
        return found

    return text
