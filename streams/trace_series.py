"""The readings around an alarm, as courses over time that stay small. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rules.model import AssetClass, Kind, Signal, Text
from rules.records import Message

Point = tuple[int, float]

MOST = 4_000      # points that a course keeps
BUCKETS = 800     # of a longer one, each with its first, least, greatest and last point
_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"


@dataclass(frozen=True)
class Series:
    """A signal's course: each point's value holds until the next one; NaN is unknown.

    Of events, a point is one code that came. A course of more than MOST points is thinned so that
    no peak is lost. `samples` counts what came in the window; `first` … `high` are of the values
    known in it (NaN without any).
    """

    name: str
    title: Text
    unit: str
    kind: Kind
    titles: dict[int, Text]
    points: tuple[Point, ...]
    samples: int
    first: float
    last: float
    low: float
    high: float
    thinned: bool = False

    def says(self, x: float, language: str, number: Callable[[float], str]) -> str:
        """A value as people read it: with unit, as a state's title."""
        if math.isnan(x):
            return "未知" if language == "zh" else "unknown"
        if self.kind == "bool":
            return (("否", "是") if language == "zh" else ("no", "yes"))[bool(x)]
        if self.kind in ("states", "events"):
            title = self.titles.get(int(x))
            return (title.get(language) if title else "") or number(x)
        return f"{number(x)} {self.unit}".rstrip()


@dataclass(slots=True)
class _Track:
    """A signal being followed. `held` is its newest sample, `at` when it came."""

    signal: Signal
    held: float = math.nan
    at: int | None = None
    points: list[Point] = field(default_factory=list)
    samples: int = 0
    thinned: bool = False


class Collector:
    """Takes an asset's messages in order of time and gives the courses from `begin` to `end` (ms).

    Earlier messages say what holds at the beginning. Samples are taken as the rules see them: out
    of range, of a wrong type or an unlisted state is unknown, and so is a signal that is stale.
    """

    def __init__(self, cls: AssetClass, signals: Iterable[Signal], begin: int, end: int) -> None:
        self.cls, self.begin, self.end = cls, begin, end
        self._heard: int | None = None
        self._tracks = {signal.name: _Track(signal) for signal in signals}
        for track in self._tracks.values():
            if track.signal.default is not None:
                self._put(track, begin, track.signal.default)

    def take(self, message: Message) -> None:
        """One message of the asset; those behind its clock count at their own time."""
        if message.historical or message.t > self.end:
            return
        self._silence(message.t)
        for name, given in message.values.items():
            track = self._tracks.get(name)
            if track is None or track.signal.operator:
                continue
            if track.signal.kind == "events":
                for code in _codes(track.signal, given):
                    if self.begin <= message.t:
                        track.points.append((message.t, float(code)))
                        track.samples += 1
            elif track.at is None or message.t >= track.at:  # else superseded
                self._sample(track, message.t, value_of(track.signal, given))

    def operator(self, t: int, name: str, given: object) -> None:
        """A signal that an operator set."""
        track = self._tracks.get(name)
        if track is not None and t <= self.end:
            self._sample(track, t, value_of(track.signal, given))
            expires = track.signal.expires
            if expires is not None and track.signal.default is not None and t + expires <= self.end:
                self._put(track, t + expires, track.signal.default)

    def _silence(self, t: int, *, restored: bool = True) -> None:
        """Nothing heard for `silent_after`: unknown until the next message, then as before."""
        quiet, heard = self.cls.silent_after, self._heard
        self._heard = t if heard is None else max(t, heard)
        if quiet is None or heard is None or t - heard <= quiet:
            return
        for track in self._tracks.values():
            if track.at is not None and track.signal.kind != "events" and not track.signal.operator:
                self._stale(track, heard + quiet)
                self._put(track, heard + quiet, math.nan)
                stale = track.signal.stale_after
                if restored and (stale is None or t - track.at < stale):
                    self._put(track, t, track.held)

    def _stale(self, track: _Track, t: int) -> None:
        stale = track.signal.stale_after
        if stale is not None and track.at is not None and t - track.at > stale:
            self._put(track, track.at + stale, math.nan)

    def _sample(self, track: _Track, t: int, x: float) -> None:
        self._stale(track, t)
        track.held, track.at = x, t
        track.samples += t >= self.begin
        self._put(track, t, x)

    def _put(self, track: _Track, t: int, x: float) -> None:
        points = track.points
        t = max(t, self.begin)
        while points and points[-1][0] > t:  # an expiry that a newer entry forestalled
            points.pop()
        if points and points[-1][0] == t:
            points.pop()
        points.append((t, x))
        if len(points) > 4 * MOST:
            track.points, track.thinned = thinned(points, self.begin, self.end), True

    def series(self) -> list[Series]:
        """The courses, in the order of the signals."""
        self._silence(self.end, restored=False)
        made = []
        for track in self._tracks.values():
            if track.signal.kind != "events":
                self._stale(track, self.end)
            made.append(_made(track, self.begin, self.end))
        return made


def _made(track: _Track, begin: int, end: int) -> Series:
    signal, points = track.signal, track.points
    was_thinned = track.thinned or len(points) > MOST
    if len(points) > MOST:
        points = thinned(points, begin, end)
    known = [x for _, x in points if not math.isnan(x)]
    titles = {code: signal.titles.get(code) or Text(name, name)
              for name, code in signal.names.items()}  # fmt: skip
    ends = (known[0], known[-1], min(known), max(known)) if known else (math.nan,) * 4
    return Series(signal.name, signal.title, signal.unit, signal.kind, titles, tuple(points),
                  track.samples, *ends, thinned=was_thinned)  # fmt: skip


def thinned(points: Sequence[Point], begin: int, end: int) -> list[Point]:
    """Of each of BUCKETS spans of time: first, least, greatest, last and one unknown point."""
    width = max(1, -(-(end - begin + 1) // BUCKETS))
    kept: list[Point] = []
    bucket: list[Point] = []
    for point in points:
        if bucket and (point[0] - begin) // width != (bucket[0][0] - begin) // width:
            kept += _extremes(bucket)
            bucket = []
        bucket.append(point)
    return kept + _extremes(bucket)


def _extremes(bucket: list[Point]) -> list[Point]:
    if len(bucket) <= 4:
        return bucket
    known = [point for point in bucket if not math.isnan(point[1])]
    chosen = {bucket[0], bucket[-1]}
    if known:
        chosen |= {min(known, key=lambda p: p[1]), max(known, key=lambda p: p[1])}
    chosen |= {point for point in bucket if math.isnan(point[1])} if len(known) < len(
        bucket) <= len(known) + 2 else set()  # fmt: skip
    return [point for point in bucket if point in chosen]


def value_of(signal: Signal, given: object) -> float:
    """A value as the rules see it: NaN is unknown."""
    match given:
        case bool():
            return float(given) if signal.kind == "bool" else math.nan
        case int() | float() if not math.isfinite(given):
            return math.nan
        case int() | float() if signal.kind == "number":
            return float(given) if signal.low <= given <= signal.high else math.nan
        case int() | float() if signal.kind == "bool":
            return float(given) if given in (0, 1) else math.nan
        case int() | float() if signal.kind == "states":
            return float(given) if given in signal.names.values() else math.nan
        case str() if signal.kind == "states":
            return float(signal.names.get(given, math.nan))
        case _:
            return math.nan


def _codes(signal: Signal, given: object) -> list[int]:
    several = given if isinstance(given, list | tuple) else [given]
    known = set(signal.names.values())
    codes = [signal.names.get(one) if isinstance(one, str) else one for one in several]
    return [one for one in codes if isinstance(one, int) and one in known]


def at(points: Sequence[Point], t: int) -> float:
    """The value that holds at `t`."""
    held = math.nan
    for when, x in points:
        if when > t:
            break
        held = x
    return held


def spark(series: Series, begin: int, end: int, columns: int = 32) -> str:
    """A course in one line of blocks; `·` where it is unknown."""
    if series.kind == "events":
        hit = {(t - begin) * columns // max(1, end - begin + 1) for t, _ in series.points}
        return "".join("█" if i in hit else _GAP for i in range(columns))
    low, high = (0.0, 1.0) if series.kind == "bool" else (series.low, series.high)
    drawn = []
    for i in range(columns):
        x = at(series.points, begin + (end - begin) * (2 * i + 1) // (2 * columns))
        reach = high - low
        share = (x - low) / reach if reach > 0 else 0.5
        drawn.append(_GAP if math.isnan(x) else _BARS[round(share * (len(_BARS) - 1))])
    return "".join(drawn)
