"""`series` of tests: `40 + 0.5 x 120 every 1 s; 5 x 10 every 2 s from 30 s`, exact in decimals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal

from rules.errors import Invalid
from rules.units import milliseconds

MAX_VALUES = 1_000_000      # of one series
_SEGMENT = re.compile(
    r"(?P<first>\S.*?)(?:\s+(?P<sign>[-+])\s*(?P<step>\S+))?\s+x\s+(?P<count>\d{1,7})"
    r"\s+every\s+(?P<period>\S.*?)(?:\s+from\s+(?P<start>\S.*))?"
)
_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?")


def series(text: str, constant: Callable[[str], object]) -> Iterator[tuple[int, object]]:
    """Times (ms from 0 s) with values. `constant` understands the value of a segment without a
    step. Raises Invalid.
    """
    t = total = 0
    for part in text.split(";"):
        found = _SEGMENT.fullmatch(part.strip())
        if found is None:
            raise Invalid(f"series: not understood: `{part.strip()[:60]}`",
                          "for example 40 + 0.5 x 120 every 1 s from 10 s")
        period = milliseconds(found["period"])
        if period < 1:
            raise Invalid("series: the period must be longer than 0 s")
        if found["start"] is not None:
            t = milliseconds(found["start"])
        count = int(found["count"])
        total += count
        if total > MAX_VALUES:
            raise Invalid(f"series: more than {MAX_VALUES} values")
        if found["step"] is None:
            value = constant(found["first"])
            yield from ((t + index * period, value) for index in range(count))
        else:
            first = _decimal(found["first"])
            step = _decimal(found["step"]) * (1 if found["sign"] == "+" else -1)
            yield from ((t + index * period, float(first + index * step)) for index in range(count))
        t += count * period


def _decimal(text: str) -> Decimal:
    """A number exactly as written."""
    if not _DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
        raise Invalid(f"series: expected a number, found `{text[:40]}`")
    return Decimal(text)
