"""The lines of a replay's data: messages, ticks and commands, one JSON object a line.

    {"asset": "L1", "class": "elevator", "t": 1000, "values": {"speed": 1.7}}
    {"tick": 2000}
    {"command": {"reset": "elevator.trapped", "asset": "L1", "by": "ana"}, "t": 3000}

Times are ms since 1970. A line that cannot be used is a `LineError` that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

import msgspec

from streams.records import Command, CommandKind

#: A longer line is no message of an asset: 1 MiB holds some 20,000 values.
MAX_LINE = 1 << 20

#: Times beyond this are no times: the year 9999.
MAX_TIME = 253_402_300_799_999

_ORDERS: dict[str, CommandKind] = {
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


@dataclass(frozen=True, slots=True)
class Data:
    """A message, still to be understood by the intake; `t` moves the replay's clock."""

    t: int
    asset: str
    cls: str
    arrival: int | None
    historical: bool


class _Line(msgspec.Struct):
    """What a line may hold. Values are left to the intake."""

    asset: str = ""
    cls: str = msgspec.field(default="", name="class")
    t: int | None = None
    arrival: int | None = None
    historical: bool = False
    tick: int | None = None
    command: dict[str, object] | None = None


_decode = msgspec.json.Decoder(_Line).decode


def parse(line: bytes) -> Data | Tick | Order:
    """What kind of line this is. Raises LineError."""
    try:
        made = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LineError(_json_error(error)) from None
    if made.tick is not None:
        return Tick(_time(made.tick, "tick"))
    if made.t is None:
        raise LineError("it has no `t`; a message needs asset, class, t and values; a tick `tick`")
    t = _time(made.t, "t")
    if made.command is not None:
        return Order(t, made.command)
    if not made.asset:
        raise LineError("it has no `asset`; a message needs asset, class, t and values")
    return Data(t, made.asset, made.cls, made.arrival, made.historical)


def _json_error(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return f"it is not what was expected: {error}"


def _time(t: int, name: str) -> int:
    if not 0 <= t <= MAX_TIME:
        raise LineError(f"`{name}` is {t}: expected ms since 1970, up to the year 9999")
    return t


def read(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines that hold something, with their numbers from 1.

    Of a line longer than MAX_LINE comes its beginning only, which no reader takes for a message.
    """
    number = 0
    while piece := file.readline(MAX_LINE):
        number += 1
        if number == 1:
            piece = piece.removeprefix(b"\xef\xbb\xbf")
        rest = piece
        while not rest.endswith(b"\n") and len(rest) == MAX_LINE:
            rest = file.readline(MAX_LINE)
        if piece.strip():
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
        raise LineError(f"the command needs `{'group' if is_group else 'asset'}`: there are several")
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
            missing: Literal["missing"] | str = "missing" if found is None else repr(found)
            raise LineError(f"`{name}` of the command is {missing}: expected a text")
        return found

    return text
