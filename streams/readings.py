"""From plain values to what the engine may use: assets, classes, signals, quality, ranges. Pure.

One message or value at a time, in the order of `streams.reasons.Reason`: the slow twin of
`streams.scan`, which leaves to it whatever is not the common case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from rules.model import AssetClass, Signal
from rules.records import Message
from streams.assets import AssetError, Assets
from streams.decode import Reading, Refuse, shown
from streams.reasons import Reason
from streams.scan_tables import HASH_MASK, mix, text_hash

KEPT = 1_000  # refusals kept a call; the others are counted only
KEPT_BYTES = 4_096  # of each; its position finds the whole

#: The words that mean good quality; every other word, number or null is bad. 192 is "good" in OPC
#: DA. 0 is "Good" in OPC UA but "bad" in OPC DA, and good taken for bad is the error that shows.
GOOD_TEXTS = frozenset({"good", "Good", "GOOD"})
GOOD_NUMBER = 192

NAN = float("nan")
_CODES = 1 << 63  # codes are int64


#: Which assets belong here, where a topic is shared out between partitions: asset id -> whether.
Mine = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that was not used, or (with `signal`) a value of one: why, and what was found.

    `data` are the record's first KEPT_BYTES bytes; `asset` is "" where it is not even known.
    """

    reason: Reason
    position: int
    data: bytes
    asset: str = ""
    signal: str = ""
    found: str = ""


@dataclass(eq=False)
class Draft:
    """Messages being written down one after the other; columns as in `streams.intake.Batch`.

    `line` is the number of the message's record in the call, `size` how many values it has.
    """

    line: list[int] = field(default_factory=list)
    asset: list[int] = field(default_factory=list)
    t: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    slot: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    counts: Counter[Reason] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Record:
    """The record at hand: its number in the call, position, bytes, and arrival (ms, if known)."""

    line: int
    position: int
    data: bytes
    now: int | None


class Readings:
    """Writes readings into a draft, for assets of some classes (in the order of `assets.classes`).

    `accept`: an asset first heard is taken in; its message must name its class unless there is only
    one. `mine`: an asset first heard that does not belong here is refused; None: all belong here.
    """

    def __init__(
        self, assets: Assets, classes: list[AssetClass], accept: bool, mine: Mine | None = None
    ) -> None:
        assert [cls.name for cls in classes] == list(assets.classes)
        self._assets = assets
        self._classes = classes
        self._slots = [cls.slots() for cls in classes]
        self._event_slots = [cls.event_slots() for cls in classes]
        self._accept = accept
        self._mine = mine

    def take(self, reading: Reading | Refuse, record: Record, draft: Draft) -> None:
        """Add a message to the draft, or the reason why not; the same for each of its values."""
        if isinstance(reading, Refuse):
            _refuse(draft, record, reading, reading.asset)
            return
        try:
            asset = self._admit(reading, record.now)
        except Refuse as refuse:
            _refuse(draft, record, refuse, reading.asset)
            return
        before = len(draft.slot)
        cls = int(self._assets.cls[asset])
        for name, value in reading.values.items():
            try:
                self._write(cls, name, value, _quality(reading, name), draft)
            except Refuse as refuse:
                _refuse(draft, record, refuse, reading.asset, name)
        draft.line.append(record.line)
        draft.asset.append(asset)
        draft.t.append(reading.t)
        draft.size.append(len(draft.slot) - before)

    def _admit(self, reading: Reading, now: int | None) -> int:
        """The index of the message's asset, taken in if need be; raises Refuse."""
        if reading.historical:
            raise Refuse(Reason.HISTORICAL)
        index = self._assets.index(reading.asset)
        if index is None and self._mine is not None and not self._mine(reading.asset):
            raise Refuse(Reason.MISPLACED)
        cls = self._class_of(reading, index)
        arrival = reading.arrival if reading.arrival is not None else now
        ahead = self._classes[cls].max_ahead
        if arrival is not None and reading.t > arrival + ahead:
            late = f"{reading.t - arrival:,} ms ahead of its arrival; {ahead:,} ms are allowed"
            raise Refuse(Reason.FUTURE, late)
        if index is not None:
            return index
        try:
            return self._assets.hear(reading.asset, cls)
        except AssetError as error:
            raise Refuse(Reason.UNKNOWN_ASSET, str(error)) from None

    def _class_of(self, reading: Reading, index: int | None) -> int:
        said = self._assets.class_index(reading.cls) if reading.cls else None
        if reading.cls and said is None:
            known = ", ".join(self._assets.classes)
            raise Refuse(Reason.UNKNOWN_CLASS, f"{shown(reading.cls)}; the pack has: {known}")
        if index is not None:
            cls = int(self._assets.cls[index])
            if said is not None and said != cls:
                has = self._assets.classes[cls]
                raise Refuse(Reason.CLASS_CHANGED, f"known as {has!r}, now {reading.cls!r}")
            return cls
        if not self._accept:
            raise Refuse(Reason.UNKNOWN_ASSET, "not in the inventory (unknown_assets: reject)")
        if said is not None:
            return said
        if len(self._classes) == 1:
            return 0
        raise Refuse(Reason.UNKNOWN_ASSET, 'first heard without "class"')

    def _write(self, cls: int, name: str, value: object, good: bool, draft: Draft) -> None:
        """One value into the draft. Raises Refuse, having written NaN where it is a sample."""
        signal = self._classes[cls].signals.get(name)
        if signal is None:
            raise Refuse(Reason.UNKNOWN_SIGNAL, shown(name))
        if signal.operator:
            raise Refuse(Reason.NOT_FROM_OUTSIDE, shown(name))
        draft.slot.append(self._slots[cls][name])
        draft.value.append(NAN)
        if not good:
            raise Refuse(Reason.BAD_QUALITY)
        if value is None:
            return
        if signal.kind != "events":
            draft.value[-1] = plain_value(signal, value)
            return
        codes, unlisted = event_codes(signal, value)
        listed = [code for code in codes if (name, code) in self._event_slots[cls]]
        draft.value[-1] = float(sum(map(mix, codes), sum(map(text_hash, unlisted))) & HASH_MASK)
        draft.slot.extend(self._event_slots[cls][name, code] for code in listed)
        draft.value.extend(1.0 for _ in listed)
        ignored = [*(code for code in codes if code not in listed), *unlisted]
        draft.counts[Reason.UNKNOWN_EVENT] += max(0, len(ignored) - 1)  # the raise counts one
        if ignored:
            raise Refuse(Reason.UNKNOWN_EVENT, shown(ignored))


def plain_value(signal: Signal, value: object) -> float:
    """The value of a number, bool or state as the engine keeps it; raises Refuse."""
    if signal.kind == "states" and isinstance(value, str):
        if value not in signal.names:
            raise Refuse(Reason.UNKNOWN_STATE, shown(value))
        return float(signal.names[value])
    if isinstance(value, bool) and signal.kind == "bool":
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refuse(Reason.WRONG_TYPE, f"{shown(value)} for a signal of kind {signal.kind}")
    if signal.kind == "bool" and value not in (0, 1):
        raise Refuse(Reason.WRONG_TYPE, f"{shown(value)} is neither true, false, 1 nor 0")
    if signal.kind == "states" and value not in signal.names.values():
        raise Refuse(Reason.UNKNOWN_STATE, shown(value))
    if not signal.low <= value <= signal.high or abs(value) > _LARGEST:
        raise Refuse(Reason.OUT_OF_RANGE, shown(value))
    return float(value) + 0.0  # -0.0 is 0.0


_LARGEST = 1.7976931348623157e308  # an integer beyond has no float; infinity is none that is sent


def event_codes(signal: Signal, value: object) -> tuple[list[int], list[str]]:
    """The distinct codes sent, in order, and the names that no code has; raises Refuse."""
    codes: dict[int, None] = {}
    unlisted: dict[str, None] = {}
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            if one in signal.names:
                codes[signal.names[one]] = None
            else:
                unlisted[one] = None
        elif isinstance(one, bool) or not isinstance(one, int | float) or one != one // 1:
            raise Refuse(Reason.WRONG_TYPE, f"{shown(one)} is neither a code nor a name")
        elif not -_CODES <= one < _CODES:
            raise Refuse(Reason.OUT_OF_RANGE, f"{shown(one)}; codes are 64-bit integers")
        else:
            codes[int(one)] = None
    return list(codes), list(unlisted)


def is_good(word: object) -> bool:
    """Whether a word says good quality: one of GOOD_TEXTS, true, or GOOD_NUMBER."""
    if isinstance(word, str):
        return word in GOOD_TEXTS
    if isinstance(word, bool):
        return word
    return isinstance(word, int | float) and word == GOOD_NUMBER


def _quality(reading: Reading, name: str) -> bool:
    if isinstance(reading.quality, dict):
        return is_good(reading.quality.get(name, True))
    return is_good(reading.quality)


def plain_message(reading: Reading) -> Message:
    """The same as a message of plain values: those of no good quality are samples without one."""
    values = {name: value if _quality(reading, name) else None
              for name, value in reading.values.items()}
    return Message(
        reading.asset, reading.cls, reading.t, values, reading.arrival, reading.historical)


def _refuse(draft: Draft, record: Record, why: Refuse, asset: str, signal: str = "") -> None:
    draft.counts[why.reason] += 1
    if len(draft.refused) < KEPT:
        data = record.data[:KEPT_BYTES]
        draft.refused.append(
            Refused(why.reason, record.position, data, asset, signal[:128], why.found[:200])
        )
