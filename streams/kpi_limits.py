"""The limits that alarm-management figures are held against: one table, each with its source. Pure.

They are meant for one operator (a desk) and for at least a month of normal operation. "After" a
standard means that its published figures were taken over, not that anything is certified to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "manageable", "over"]

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

#: Shares are judged from this many alarms on: of fewer, ten points cannot have less than 5 %, and
#: 1 % is less than two alarms.
ENOUGH = 200


@dataclass(frozen=True, slots=True)
class Limit:
    """`ok` up to the first number, `manageable` up to the second, `over` beyond.

    `span_ms`: a period shorter than this says nothing about the figure, which gets no verdict.
    `enough`: nor do fewer alarms than this.
    """

    ok: float
    manageable: float
    source: str
    span_ms: int = 0
    enough: int = 0


_RATE = "after EEMUA 191 and ISA-18.2 / IEC 62682: 6 an hour acceptable, 12 at most manageable"
_FLOOD = "after ISA-18.2 / IEC 62682: a flood is more than 10 in 10 min until fewer than 5"
_NUISANCE = "after ISA-18.2 / IEC 62682: none, each one found is repaired"
_MIX = "after ISA-18.2 / IEC 62682, four priorities: about 80 / 15 / 5 %, the highest below 1 %"

#: All judged figures, in the order in which people read them. Shares are of 1.
LIMITS: dict[str, Limit] = {
    "mean_10_min":  Limit(1, 2, _RATE, span_ms=10 * MINUTE),
    "peak_10_min":  Limit(10, 10, _FLOOD),
    "mean_hour":    Limit(6, 12, _RATE, span_ms=HOUR),
    "mean_day":     Limit(150, 300, "after EEMUA 191 and ISA-18.2 (2009)", span_ms=DAY),
    "flood_share":  Limit(0.01, 0.01, f"{_FLOOD}; below 1 % of the time", span_ms=10 * MINUTE),
    "chattering":   Limit(0, 0, _NUISANCE),
    "fleeting":     Limit(0, 0, _NUISANCE),
    "stale":        Limit(4, 4, "after ISA-18.2 / IEC 62682: fewer than 5 present on any day"),
    "top_share":    Limit(0.01, 0.05, "after ISA-18.2 / IEC 62682: 1 % to 5 %", enough=ENOUGH),
    "red_share":    Limit(0.01, 0.01, _MIX, enough=ENOUGH),
    "orange_share": Limit(0.05, 0.05, _MIX, enough=ENOUGH),
    "yellow_share": Limit(0.15, 0.15, _MIX, enough=ENOUGH),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """A figure beside its limit. Without a value there was nothing to measure."""

    value: float | None
    ok: float
    manageable: float
    verdict: Verdict | None  # None: no value, or too little to judge by


def judge(name: str, value: float | None, span_ms: int, alarms: int) -> Judged:
    """A figure of a period of `span_ms` with so many alarms, judged. Raises KeyError."""
    limit = LIMITS[name]
    verdict: Verdict | None = None
    if value is not None and span_ms >= limit.span_ms and alarms >= limit.enough:
        verdict = (
            "ok" if value <= limit.ok else "manageable" if value <= limit.manageable else "over"
        )
    return Judged(value, limit.ok, limit.manageable, verdict)


def worst(judged: dict[str, Judged]) -> Verdict | None:
    """The worst verdict, or None where nothing was judged."""
    order: dict[Verdict, int] = {"ok": 0, "manageable": 1, "over": 2}
    given = [one.verdict for one in judged.values() if one.verdict is not None]
    return max(given, key=order.__getitem__, default=None)
