"""Sliding windows over instants, exact: the count changes where an alarm enters or leaves. Pure.

At t a window of w holds what fell in t - w < x <= t, as windows of rules do. What enters and what
leaves at one instant do so together. Linear in the number of (sorted) instants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge

from streams.kpi_limits import MINUTE

FLOOD_WINDOW = 10 * MINUTE
FLOOD_ABOVE, FLOOD_BELOW = 10, 5    # begins with more than 10 in the window, ends with fewer than 5


@dataclass(frozen=True, slots=True)
class Flood:
    """`begin_ms` is the instant of the alarm that was one too many; `end_ms` None: it goes on.

    `alarms` counts those that made it (of the window at its begin) and those that came in it.
    """

    begin_ms: int
    end_ms: int | None
    peak: int
    alarms: int


def counts(times: Sequence[int], window: int) -> Iterator[tuple[int, int]]:
    """(instant, count in force from it on) wherever the count may change. `times` are sorted."""
    entered = left = 0
    for t in merge(times, (x + window for x in times)):
        while entered < len(times) and times[entered] <= t:
            entered += 1
        while left < entered and times[left] <= t - window:
            left += 1
        yield t, entered - left


def peak(times: Sequence[int], window: int, begin: int, end: int) -> int:
    """The most that a window ending in begin <= t < end held, earlier instants included."""
    at_begin = most = 0
    for t, count in counts(times, window):
        if t <= begin:
            at_begin = count
        elif t < end:
            most = max(most, count)
        else:
            break
    return max(at_begin, most)


def floods(times: Sequence[int], begin: int, end: int) -> tuple[Flood, ...]:
    """The floods that touch begin <= t < end; one may have begun earlier. `times` are sorted."""
    found: list[Flood] = []
    since: int | None = None
    most = alarms = before = seen = 0
    for t, count in counts(times, FLOOD_WINDOW):
        if t >= end:
            break
        while seen < len(times) and times[seen] <= t:
            seen += 1
        if since is None and count > FLOOD_ABOVE:
            since, most, before = t, count, seen - count
        elif since is not None and count < FLOOD_BELOW:
            found.append(Flood(since, t, most, seen - before))
            since = None
        most, alarms = max(most, count), seen - before
    if since is not None:
        found.append(Flood(since, None, most, alarms))
    return tuple(flood for flood in found if flood.end_ms is None or flood.end_ms > begin)


def flooded(found: Sequence[Flood], begin: int, end: int) -> int:
    """How many ms of begin <= t < end lie in floods."""
    return sum(
        (end if one.end_ms is None else one.end_ms) - max(one.begin_ms, begin) for one in found
    )
