"""The two forms of a message, from bytes to plain values: exact, clear, not fast. Pure.

    wide    {"asset", "t", "values": {signal: value}, "quality"?: word or {signal: word}}
    narrow  {"asset", "t", "signal", "v", "q"?: word}
    both    "class"?, "arrival"?, "historical"?

or an array of those. JSON as RFC 8259 has it, stricter where readers differ: a key occurs once, no
NaN, no byte order mark. The fast scanner (`streams.scan`) leaves to this module whatever it is not
sure of.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any, NoReturn

import msgspec

from rules import records
from streams.assets import is_asset_id
from streams.reasons import Reason

MAX_BYTES = 1 << 20  # of a message, or an array of messages
MAX_VALUES = 1_024  # of a message, codes of events counted one by one
MAX_MESSAGES = 20_000  # of an array; without it a million bytes could be half a million refusals
MAX_DEPTH = 8  # of nesting; an array of messages with lists of codes needs 4

#: Epochs are told apart by size: below 1e14 they are ms (up to the year 5138), below 1e17 µs, else
#: ns (both from 1973 on).
MS_BELOW, US_BELOW, NS_BELOW = 10**14, 10**17, 1 << 63
#: 1900: nothing was measured before, and calendars cannot say every earlier time in every zone.
EARLIEST_MS = -2_208_988_800_000

#: What msgspec raises of bytes that are not what was expected: also of text that is not UTF-8 where
#: it first looks at it, and of nesting without end.
BAD_BYTES = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_WIDE = {"asset", "class", "t", "values", "quality", "arrival", "historical"}
_NARROW = {"asset", "class", "t", "signal", "v", "q", "arrival", "historical"}
_EPOCH = date(1970, 1, 1).toordinal()
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,18}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Refuse(Exception):  # noqa: N818 - what happens, not an error of ours
    """A message, or a value of it, that cannot be used: why, and what was found."""

    def __init__(self, reason: Reason, found: str = "", asset: str = "") -> None:
        super().__init__(reason.value, found)
        self.reason = reason
        self.found = found
        self.asset = asset


@dataclass(frozen=True, slots=True)
class Reading:
    """One message in plain values; nothing is said yet about asset, class and signals.

    `quality` is one word for all values or a dict signal → word. Times are ms.
    """

    asset: str
    cls: str
    t: int
    values: dict[str, Any]
    quality: Any = True
    arrival: int | None = None
    historical: bool = False


class _Repeated(dict[str, Any]):
    """An object in which a key occurs twice."""

    key = ""


def decode(data: bytes) -> list[Reading | Refuse]:
    """The messages in one record, in order. Raises nothing: what is wrong is in the list.

    One bad message of an array does not harm its neighbours.
    """
    try:
        value = _parse(data)
    except Refuse as refuse:
        return [refuse]
    if not isinstance(value, list):
        return [_reading_or_refuse(value)]
    if len(value) > MAX_MESSAGES:
        found = f"an array of {len(value):,} messages; the limit is {MAX_MESSAGES:,}"
        return [Refuse(Reason.TOO_LARGE, found)]
    return [_reading_or_refuse(one) for one in value]


def from_message(message: records.Message) -> Reading | Refuse:
    """A message of plain values, by the rules for those in bytes; its times are ms already."""
    fields: dict[str, Any] = {"asset": message.asset, "t": message.t, "values": message.values}
    if message.cls:
        fields["class"] = message.cls
    if message.arrival is not None:
        fields["arrival"] = message.arrival
    for key in ("t", "arrival"):
        value = fields.get(key, 0)
        if not isinstance(value, int) or abs(value) >= MS_BELOW:
            found = f'"{key}" is an integer of ms since 1970, not {shown(value)}'
            return Refuse(Reason.BAD_TIME, found, message.asset)
    return _reading_or_refuse({**fields, "historical": message.historical})


def time_ms(value: object) -> int:
    """A time in ms since 1970: an integer (ms, µs or ns by its size) or RFC 3339 text.

    Parts of a ms are cut off (towards the past). Raises Refuse(BAD_TIME); before 1900, too.
    """
    t = _any_ms(value)
    if t < EARLIEST_MS:
        raise Refuse(Reason.BAD_TIME, f"{shown(value)} is before the year 1900")
    return t


def _any_ms(value: object) -> int:
    if isinstance(value, str):
        return _rfc3339_ms(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refuse(Reason.BAD_TIME, f"a time is an integer or text, not {shown(value)}")
    size = abs(value)
    if size < MS_BELOW:
        return value
    if size < US_BELOW:
        return value // 1_000
    if size < NS_BELOW:
        return value // 1_000_000
    raise Refuse(Reason.BAD_TIME, f"{shown(value)} is too large for ns since 1970")


def shown(value: object) -> str:
    """A value as an error shows it: JSON in ASCII, cut at 80 characters."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = ascii(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _parse(data: bytes) -> object:
    if len(data) > MAX_BYTES:
        raise Refuse(Reason.TOO_LARGE, f"{len(data):,} bytes; the limit is {MAX_BYTES:,}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refuse(Reason.BAD_UTF8, f"byte {error.start}: {error.reason}") from None
    if _too_deep(data):
        raise Refuse(Reason.TOO_LARGE, f"nested more than {MAX_DEPTH} deep")
    try:
        return _JSON.decode(text)
    except ValueError as error:
        raise Refuse(Reason.NOT_JSON, str(error)[:200]) from None


def _too_deep(data: bytes) -> bool:
    """Found beforehand, so that the outcome does not depend on how much stack is left."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for byte in _STRING.sub(b"", data):
        if byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif byte in b"]}":
            depth -= 1
    return False


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = _Repeated(found)
    counts = Counter(key for key, _ in pairs)
    repeated.key = next(key for key, count in counts.items() if count > 1)
    return repeated


def _integer(text: str) -> int | float:
    """Integers beyond 19 digits are numbers like any other: the nearest float."""
    return int(text) if len(text) <= 20 else float(text)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


_JSON = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_constant=_no_constant
)


def _reading_or_refuse(value: object) -> Reading | Refuse:
    try:
        return _reading(value)
    except Refuse as refuse:
        if isinstance(value, dict) and is_asset_id(asset := value.get("asset")):
            refuse.asset = str(asset)
        return refuse


def _reading(value: object) -> Reading:
    if not isinstance(value, dict):
        raise Refuse(Reason.NOT_AN_OBJECT, shown(value))
    for one in (value, value.get("values"), value.get("quality")):
        if isinstance(one, _Repeated):
            raise Refuse(Reason.DUPLICATE_KEY, shown(one.key))
    wide = "values" in value
    if unknown := value.keys() - (_WIDE if wide else _NARROW):
        known = ", ".join(sorted(_WIDE if wide else _NARROW))
        raise Refuse(Reason.UNKNOWN_KEY, f"{shown(min(unknown))}; the keys are {known}")
    for key in ("asset", "t") if wide else ("asset", "t", "signal", "v"):
        if key not in value:
            raise Refuse(Reason.MISSING_KEY, f'"{key}" is missing')
    if not is_asset_id(value["asset"]):
        raise Refuse(Reason.BAD_ASSET, shown(value["asset"]))
    values = value["values"] if wide else {_word(value, "signal"): value["v"]}
    if not isinstance(values, dict):
        raise Refuse(Reason.WRONG_TYPE, f'"values" is an object {{signal: value}}: {shown(values)}')
    historical = value.get("historical", False)
    if not isinstance(historical, bool):
        raise Refuse(Reason.WRONG_TYPE, f'"historical" is true or false, not {shown(historical)}')
    count = sum(len(one) if isinstance(one, list) else 1 for one in values.values())
    if count > MAX_VALUES:
        raise Refuse(Reason.TOO_LARGE, f"{count:,} values; the limit is {MAX_VALUES:,}")
    return Reading(
        asset=value["asset"],
        cls=_word(value, "class") if "class" in value else "",
        t=time_ms(value["t"]),
        values=values,
        quality=value.get("quality" if wide else "q", True),
        arrival=time_ms(value["arrival"]) if "arrival" in value else None,
        historical=historical,
    )


def _word(value: dict[str, Any], key: str) -> str:
    word = value[key]
    if not isinstance(word, str) or not word:
        raise Refuse(Reason.WRONG_TYPE, f'"{key}" is a name, not {shown(word)}')
    return word


def _rfc3339_ms(text: str) -> int:
    found = _RFC3339.fullmatch(text)
    if not found:
        hint = "2026-03-01T06:00:00.250Z or 2026-03-01T14:00:00+08:00"
        raise Refuse(Reason.BAD_TIME, f"{shown(text)} is not like {hint}")
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    if second == 60:
        raise Refuse(Reason.BAD_TIME, f"{shown(text)} is a leap second, which has no place in ms")
    offset_hour, offset_minute = int(found[9] or 0), int(found[10] or 0)
    if hour > 23 or minute > 59 or second > 59 or offset_hour > 23 or offset_minute > 59:
        raise Refuse(Reason.BAD_TIME, f"{shown(text)} has an hour, minute or second out of range")
    try:
        days = date(year, month, day).toordinal() - _EPOCH
    except ValueError as error:
        raise Refuse(Reason.BAD_TIME, f"{shown(text)}: {error}") from None
    offset = (offset_hour * 60 + offset_minute) * (-1 if found[8] == "-" else 1)
    minutes = (days * 24 + hour) * 60 + minute - offset
    return (minutes * 60 + second) * 1_000 + int((found[7] or "").ljust(3, "0")[:3])
