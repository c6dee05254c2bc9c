"""A time zone as two arrays, for the interpreter: from when on which offset from UTC holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from rules.layout import NEVER, Ints

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(days=7)       # no zone has two changes within a week
_STEPS = 52 * 130               # until about 2100


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1000)


@lru_cache(maxsize=16)
def offsets(name: str) -> tuple[Ints, Ints]:
    """(instants in ms at which an offset begins to hold, those offsets in ms), 1970 to 2100."""
    zone = ZoneInfo(name)
    times, found = [NEVER], [_offset(zone, _FIRST)]
    for step in range(_STEPS if name != "UTC" else 0):
        low, high = _FIRST + step * _STEP, _FIRST + (step + 1) * _STEP
        if _offset(zone, high) == found[-1]:
            continue
        while high - low > timedelta(seconds=1):
            middle = low + (high - low) / 2
            low, high = (middle, high) if _offset(zone, middle) == found[-1] else (low, middle)
        change = round(high.timestamp()) * 1000
        times.append(change)
        found.append(_offset(zone, high))
    return np.array(times, np.int64), np.array(found, np.int64)
