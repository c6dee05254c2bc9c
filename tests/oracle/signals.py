"""The signals of one asset: what was heard of each, and what that is worth now."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rules.model import Signal
from tests.oracle.values import FUNCTION, STALE, Position, Value


@dataclass(frozen=True)
class Sample:
    """One reading: its own time, when it took effect, and its value (None: bad)."""

    source: int
    t: int
    value: object  # of events the set of codes, else a float or None


def reading(signal: Signal, raw: object) -> object:
    """What a raw value is worth: a float, None where it is bad, the listed codes of events."""
    if signal.kind == "events":
        return codes(signal, raw)
    if signal.kind == "states":
        return _state(signal, raw)
    if isinstance(raw, bool):
        return float(raw) if signal.kind == "bool" else None
    if not isinstance(raw, int | float):
        return None
    if signal.kind == "bool":
        return float(raw) if raw in (0, 1) else None
    x = float(raw)
    return x if math.isfinite(x) and signal.low <= x <= signal.high else None


def _state(signal: Signal, raw: object) -> Value:
    if isinstance(raw, str):
        return float(signal.names[raw]) if raw in signal.names else None
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return None
    return float(raw) if raw in signal.names.values() else None


def codes(signal: Signal, raw: object) -> frozenset[int] | None:
    """The listed codes that a message carries; None where its quality is bad."""
    if raw is None:
        return None
    listed = raw if isinstance(raw, list | tuple | set | frozenset) else [raw]
    found = {signal.names.get(item, item) if isinstance(item, str) else item for item in listed}
    return frozenset(code for code in signal.names.values() if code in found)


@dataclass
class Channel:
    """A signal of an asset. Of an operator's signal the samples are its entries."""

    signal: Signal
    samples: list[Sample] = field(default_factory=list)
    equal_since: int | None = None
    frozen: bool = False

    def newest(self) -> Sample | None:
        """The sample with the newest time of its own; of equal ones the last to arrive."""
        newest = None
        for sample in self.samples:
            if newest is None or sample.source >= newest.source:
                newest = sample
        return newest

    def verdict(self, source: int, value: object) -> str:
        """What becomes of a reading: `applied`, `duplicate` or `superseded`."""
        newest = self.newest()
        if newest is None or source > newest.source:
            return "applied"
        if source == newest.source and value == newest.value:
            return "duplicate"
        if source < newest.source and self.signal.kind != "events":
            return "superseded"
        return "applied"

    def good(self) -> list[Sample]:
        """The samples of good quality."""
        return [s for s in self.samples if s.value is not None]

    def thaw_or_freeze(self, now: int, allowed: Value) -> None:
        """Judge `frozen_after` at the sample just added; `allowed` is `frozen_while`."""
        good = self.good()
        if self.signal.frozen_after is None or not good or self.samples[-1].value is None:
            return
        if len(good) < 2 or good[-2].value != good[-1].value:
            self.equal_since, self.frozen = now, False
        elif self.frozen or self.equal_since is None:
            return
        elif not allowed:
            self.equal_since = now
        elif now - self.equal_since >= self.signal.frozen_after:
            self.frozen = True

    def expiry(self) -> int | None:
        """When the operator's entry ends by itself."""
        if self.signal.expires is None or not self.samples:
            return None
        return self.samples[-1].t + self.signal.expires

    def stale_from(self) -> int | None:
        """When the last sample becomes stale."""
        if self.signal.stale_after is None or not self.samples:
            return None
        return self.samples[-1].t + self.signal.stale_after

    def value(self, at: Position, silent: bool) -> Value:
        """The value that rules see."""
        signal = self.signal
        if signal.operator:
            end = self.expiry()
            if not self.samples or (end is not None and (end, FUNCTION) <= at):
                return signal.default
            return _number(self.samples[-1].value)
        if silent:
            return None
        if not self.samples:
            return signal.default
        stale = self.stale_from()
        if self.frozen or (stale is not None and (stale, STALE) <= at):
            return None
        return _number(self.samples[-1].value)


def _number(value: object) -> Value:
    return float(value) if isinstance(value, int | float) else None
