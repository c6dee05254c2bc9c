"""Functions of the values in a window: `over W`, `over W ending D ago`, `since c`, `delta`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from tests.oracle.log import Log, Point, became_true, known_samples, points
from tests.oracle.values import Value

MAX_TIMES = 1_000


@dataclass(frozen=True)
class Window:
    """From `start` (left out) to `end` (taken in), ms; `since` also counts by steps of the asset.

    With `step`, what was noted at that step or later is inside, and `start` is its time.
    """

    start: int
    end: int
    step: int | None = None

    def has(self, t: int, step: int) -> bool:
        """Whether a sample belongs to the window."""
        if self.step is not None:
            return step >= self.step
        return self.start < t <= self.end


def _inside(curve: list[Point], window: Window) -> list[Point]:
    """The curve as the window sees it: what was held at its start begins there."""
    if window.step is None:
        return [p for p in curve if p.t <= window.end]
    held = [p for p in curve if p.step <= window.step]
    later = [p for p in curve if p.step > window.step]
    first = [Point(window.start, window.step, held[-1].value)] if held else []
    return first + later


def parts(log: Log, window: Window) -> tuple[list[tuple[int, float]], Value]:
    """(length ms, value) of each known part that has a length, and the value at the end."""
    curve = _inside(points(log), window)
    found: list[tuple[int, float]] = []
    for i, point in enumerate(curve):
        until = curve[i + 1].t if i + 1 < len(curve) else window.end
        length = min(until, window.end) - max(point.t, window.start)
        if point.value is not None and length > 0:
            found.append((length, point.value))
    return found, curve[-1].value if curve else None


def over_time(name: str, log: Log, window: Window) -> Value:
    """mean, min, max, range, total of the value held over time."""
    found, last = parts(log, window)
    values = [value for _, value in found] + ([] if last is None else [last])
    if not values:
        return None
    length = sum(ms for ms, _ in found)
    integral = math.fsum(ms * value for ms, value in found)
    match name:
        case "mean":
            return integral / length if length else last
        case "min":
            return min(values)
        case "max":
            return max(values)
        case "range":
            return max(values) - min(values)
        case _:
            return integral / 1000.0


def slope(samples: list[tuple[int, float]]) -> Value:
    """The least-squares slope a second; unknown of fewer than two samples or of one instant."""
    if len(samples) < 2:
        return None
    mid_t = math.fsum(t for t, _ in samples) / len(samples)
    mid_x = math.fsum(x for _, x in samples) / len(samples)
    below = math.fsum((t - mid_t) ** 2 for t, _ in samples)
    if below == 0.0:
        return None
    return math.fsum((t - mid_t) * (x - mid_x) for t, x in samples) / below * 1000.0


def std(values: list[float]) -> Value:
    """The standard deviation with n - 1."""
    if len(values) < 2:
        return None
    mid = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((x - mid) ** 2 for x in values) / (len(values) - 1))


def median(values: list[float]) -> Value:
    """The middle one, or the mean of the middle two."""
    if not values:
        return None
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def increase(values: list[float]) -> Value:
    """The growth of a counter: a sample below the one before counts from 0."""
    if len(values) < 2:
        return None
    return math.fsum(b - a if b >= a else b for a, b in pairwise(values))


def over_samples(name: str, log: Log, window: Window) -> Value:
    """count, sum, std, median, rate, increase of the known samples."""
    inside = [(e.t, x) for e, x in known_samples(log) if window.has(e.t, e.step)]
    values = [x for _, x in inside]
    match name:
        case "count":
            return float(len(values))
        case "sum":
            return math.fsum(values) if values else None
        case "rate":
            return slope(inside)
        case "std":
            return std(values)
        case "median":
            return median(values)
        case _:
            return increase(values)


def times(log: Log, window: Window) -> Value:
    """How often the condition became true; unknown while it is unknown."""
    if log[-1].args[0] is None:
        return None
    kept = became_true(log, 0)[-MAX_TIMES:]
    return float(sum(1 for e in kept if window.has(e.t, e.step)))


def delta(log: Log, now: int, span: int) -> Value:
    """The value less the one held `span` ms ago."""
    before = [p for p in points(log) if p.t <= now - span]
    then, present = (before[-1].value if before else None), log[-1].args[0]
    return None if then is None or present is None else present - then


def window_value(name: str, log: Log, window: Window) -> Value:
    """The value of any function over a window."""
    if name == "times":
        return times(log, window)
    if name in ("mean", "min", "max", "range", "total"):
        return over_time(name, log, window)
    return over_samples(name, log, window)
