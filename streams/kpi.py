"""Alarm-management figures: how much the alarms ask of the people at a desk. Pure.

What counts (the ledger's records say all of it):

    alarm        an occurrence whose raise was announced, of a rule or a group, at the instant of
                 its first announced raise. A raise announced again (a shelf ended) is no new one;
                 what was never announced is counted under `held` only, by the reason
    point        a rule on an asset
    period       from <= t < to; unless given, from the first record to the last one, which is in
                 it. What began before counts where it goes on: windows look back over `from`,
                 floods and standing alarms go on. Nothing after `to` is looked at: "now" is `to`
    mean         alarms of the period over its length, in 10 min, hours, days; of a period shorter
                 than that the mean is what its rate would come to, without a verdict
    peak         the most alarms in any sliding window t - 10 min < x <= t (or 1 h), exact
    days         alarms a calendar day of the site's zone; days without alarms are not listed
    flood        more than 10 alarms in a sliding window of 10 min, until it holds fewer than 5
    chattering   a point whose announced alarms were raised and normal again, together, at least 3
                 times within a sliding minute
    fleeting     an alarm normal again in less than 10 s, before anybody acknowledged it
    standing     announced and not normal again at `to`, shelved ones included
    stale        standing for more than 24 h since it was announced (not the transition `stale`);
                 of a period, the most that there were on any one calendar day
    top          the ten points with the most alarms, and their share of all
    severities   at the announcement, before anything raised it
    acknowledge  from the announcement to the first acknowledgement that was not taken back, of the
                 acknowledgements of the period; close likewise. Of n sorted values the share p is
                 the ceil(p n)-th
    clocks       of the plans, by step: kept (done at or before the deadline) and missed (`overdue`)
                 in the period. A clock is decided once, so periods add up; one that a new plan
                 replaced, or that stopped because the alarm was over, is not decided
    shelved ...  points shelved and out of service at `to`

The figures of a key's value are those of its alarms alone. The limits are for one operator, so a
verdict reads: as if one person had these alarms and no others. Alarms without desk or place, and
groups by class, stand under "".

Cost: sorting; memory is that of the history (streams.kpi_history) and 8 bytes an alarm a key.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from zoneinfo import ZoneInfo

from rules.model import SEVERITY_NAMES
from streams.kpi_history import ACKNOWLEDGE, CLOSE, By, Content, Occurrence, Point, history
from streams.kpi_limits import DAY, HOUR, MINUTE, Judged, Verdict, judge
from streams.kpi_windows import FLOOD_WINDOW, Flood, flooded, floods, peak

CHATTER_WINDOW, CHATTER_CHANGES = MINUTE, 3
FLEETING_MS = 10_000        # nobody reads an alarm and acts on it in less
STALE_MS = DAY
TOP = 10


@dataclass(frozen=True, slots=True)
class Period:
    """The instants begin <= t < end, ms since 1970."""

    begin: int
    end: int

    @property
    def length(self) -> int:
        """In ms, more than 0."""
        return self.end - self.begin

    def __contains__(self, t: object) -> bool:
        return isinstance(t, int) and self.begin <= t < self.end


@dataclass(frozen=True, slots=True)
class Share:
    """A point and its part of the alarms."""

    rule: str
    asset: str
    alarms: int
    share: float            # of 1


@dataclass(frozen=True, slots=True)
class Chatterer:
    """A point that chatters: the most changes in a minute, and its alarms."""

    rule: str
    asset: str
    changes: int
    alarms: int


@dataclass(frozen=True, slots=True)
class Standing:
    """An alarm that is still there."""

    rule: str
    asset: str
    since_ms: int           # announced


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took, ms; None where it never was done."""

    count: int
    median_ms: int | None
    p95_ms: int | None
    max_ms: int | None


@dataclass(frozen=True, slots=True)
class Clock:
    """A step of plans against its clocks; the limit is the plan's own, none may be missed."""

    kept: int
    missed: int
    share: float            # kept, of 1
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of some alarms. Lists of points and alarms hold the first ten."""

    alarms: int
    judged: dict[str, Judged]           # the figures that have a limit, by the names of LIMITS
    peak_hour: int
    days: dict[str, int]                # date -> alarms
    busiest_day: int
    floods: tuple[Flood, ...]
    longest_flood_ms: int
    chattering: tuple[Chatterer, ...]
    standing: int
    standing_stale: int
    oldest: tuple[Standing, ...]
    top: tuple[Share, ...]
    severities: dict[str, int]
    acknowledge: Times
    unacknowledged: int                 # now
    close: Times
    unclosed: int                       # now, of those whose plan is to be closed
    clocks: dict[str, Clock]            # by step
    shelved: int                        # now
    out_of_service: int                 # now
    held: dict[str, int]                # raises that nobody was told of at that time, by reason


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of all alarms, and of each value of a key. `desks`: how many desks had alarms."""

    period: Period
    zone: str
    by: By | None
    desks: int
    whole: Figures
    each: dict[str, Figures]


class ReportError(ValueError):
    """What was asked for cannot be told: an empty period, an unknown zone. Its text says which."""


@dataclass(slots=True)
class _Part:
    """The occurrences and points of one value of a key."""

    occurrences: list[Occurrence] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


def report(
    contents: Iterable[Content],
    *,
    begin: int | None = None,
    end: int | None = None,
    by: By | None = None,
    zone: str = "",
) -> Report:
    """The figures of a ledger. Times are ms; `zone` is the newest activation's unless given.

    Raises ReportError, HistoryError.
    """
    told = history(contents, end)
    period = _period(told.first, told.last, begin, end)
    zone = zone or told.zone or "UTC"
    clock = _clock(zone)
    whole = _Part(list(told.occurrences.values()), list(told.points.values()))
    parts: defaultdict[str, _Part] = defaultdict(_Part)
    if by is not None:
        for one in whole.occurrences:
            parts[one.point.key(by)].occurrences.append(one)
        for point in whole.points:
            parts[point.key(by)].points.append(point)
    desks = {one.point.desk for one in whole.occurrences if one.announced in period}
    return Report(
        period, zone, by, len(desks), figures(whole, period, clock),
        {key: figures(part, period, clock) for key, part in sorted(parts.items())},
    )  # fmt: skip


def _period(first: int | None, last: int | None, begin: int | None, end: int | None) -> Period:
    low = first if begin is None else begin
    high = end if end is not None else None if last is None else last + 1
    if low is None or high is None:
        raise ReportError("there are no records in this time")
    if low >= high:
        to = f"{'the end of the records' if end is None else 'its end'}, {high} ms"
        raise ReportError(f"the period is empty: its begin, {low} ms, is not before {to}")
    return Period(low, high)


def _clock(zone: str) -> tzinfo:
    """The zone; a ledger may name one that this machine does not know. Raises ReportError."""
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        hint = "a name like Asia/Shanghai or UTC"
        raise ReportError(f"{zone!r} is no time zone; expected {hint}") from None


def figures(part: _Part, period: Period, zone: tzinfo) -> Figures:
    """The figures of some occurrences and points."""
    told = [one for one in part.occurrences if one.announced is not None]
    times = sorted(_at(one) for one in told)
    alarms = [one for one in told if one.announced in period]
    days = Counter(_day(_at(one), zone).isoformat() for one in alarms)
    found = floods(times, period.begin, period.end)
    chattering = _chattering(told, period)
    standing = sorted(
        (Standing(one.point.rule, one.point.asset, _at(one)) for one in told if one.normal is None),
        key=lambda x: (x.since_ms, x.rule, x.asset),
    )
    top = _top(alarms)
    severities = Counter(one.severity for one in alarms)
    measured: dict[str, float | None] = {
        "mean_10_min": len(alarms) * 10 * MINUTE / period.length,
        "peak_10_min": peak(times, FLOOD_WINDOW, period.begin, period.end),
        "mean_hour": len(alarms) * HOUR / period.length,
        "mean_day": len(alarms) * DAY / period.length,
        "flood_share": flooded(found, period.begin, period.end) / period.length,
        "chattering": len(chattering),
        "fleeting": sum(map(_is_fleeting, alarms)),
        "stale": _most_stale(told, period, zone),
        "top_share": sum(one.alarms for one in top) / len(alarms) if alarms else None,
    }
    for name in ("red", "orange", "yellow"):
        measured[f"{name}_share"] = severities[name] / len(alarms) if alarms else None
    return Figures(
        alarms=len(alarms),
        judged={k: judge(k, value, period.length, len(alarms)) for k, value in measured.items()},
        peak_hour=peak(times, HOUR, period.begin, period.end),
        days=dict(sorted(days.items())),
        busiest_day=max(days.values(), default=0),
        floods=found,
        longest_flood_ms=max(
            ((period.end if x.end_ms is None else x.end_ms) - x.begin_ms for x in found), default=0
        ),
        chattering=tuple(chattering[:TOP]),
        standing=len(standing),
        standing_stale=sum(period.end - one.since_ms > STALE_MS for one in standing),
        oldest=tuple(standing[:TOP]),
        top=top,
        severities={name: severities[name] for name in SEVERITY_NAMES.values()},
        acknowledge=_times(told, period, [one.acknowledged for one in told]),
        unacknowledged=sum(one.unacknowledged for one in told),
        close=_times(told, period, [one.closed for one in told]),
        unclosed=sum(one.unclosed for one in told),
        clocks=_clocks(part.occurrences, period),
        shelved=sum(point.is_shelved(period.end) for point in part.points),
        out_of_service=sum(point.out_of_service for point in part.points),
        held=dict(sorted(_held(part.occurrences, period).items())),
    )


def _at(one: Occurrence) -> int:
    """The instant of an announced alarm."""
    assert one.announced is not None
    return one.announced


def _day(t: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(t // 1000, zone).date()


def _is_fleeting(one: Occurrence) -> bool:
    if one.normal is None or one.normal - _at(one) >= FLEETING_MS:
        return False
    return one.acknowledged is None or one.acknowledged > one.normal


def _chattering(told: Iterable[Occurrence], period: Period) -> list[Chatterer]:
    """The points that chatter, the worst first."""
    changes: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    alarms: Counter[tuple[str, str]] = Counter()
    for one in told:
        key = (one.point.rule, one.point.asset)
        changes[key].append(_at(one))
        if one.normal is not None:
            changes[key].append(one.normal)
        alarms[key] += one.announced in period
    found = []
    for key, times in changes.items():
        if len(times) < CHATTER_CHANGES:    # most points
            continue
        most = peak(sorted(times), CHATTER_WINDOW, period.begin, period.end)
        if most >= CHATTER_CHANGES:
            found.append(Chatterer(*key, most, alarms[key]))
    return sorted(found, key=lambda x: (-x.changes, -x.alarms, x.rule, x.asset))


def _top(alarms: Sequence[Occurrence]) -> tuple[Share, ...]:
    count = Counter((one.point.rule, one.point.asset) for one in alarms)
    most = sorted(count.items(), key=lambda x: (-x[1], x[0]))[:TOP]
    return tuple(Share(*key, n, n / len(alarms)) for key, n in most)


def _most_stale(told: Iterable[Occurrence], period: Period, zone: tzinfo) -> int:
    """The most stale alarms on one calendar day of the period, at whatever times of it."""
    change: Counter[int] = Counter()    # day -> stale alarms that day more than on the one before
    for one in told:
        begin = max(_at(one) + STALE_MS + 1, period.begin)
        end = min(period.end if one.normal is None else one.normal, period.end)
        if begin < end:
            change[_day(begin, zone).toordinal()] += 1
            change[_day(end - 1, zone).toordinal() + 1] -= 1
    most = now = 0
    for _, more in sorted(change.items()):
        now += more
        most = max(most, now)
    return most


def _times(told: Sequence[Occurrence], period: Period, done: Sequence[int | None]) -> Times:
    """How long it took from the announcement, of what was done in the period."""
    took = sorted(
        t - _at(one) for one, t in zip(told, done, strict=True) if t is not None and t in period
    )
    if not took:
        return Times(0, None, None, None)

    def rank(percent: int) -> int:
        return took[-(-percent * len(took) // 100) - 1]

    return Times(len(took), rank(50), rank(95), took[-1])


def _clocks(occurrences: Iterable[Occurrence], period: Period) -> dict[str, Clock]:
    count: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])    # missed, kept
    for one in occurrences:
        for t, step, kept in one.settled or ():
            if t in period:
                count[step][kept] += 1
    # What the lifecycle knows of comes first; the other steps are the plans' own words.
    steps = sorted(count, key=lambda step: (step != ACKNOWLEDGE, step == CLOSE, step))
    return {
        step: Clock(kept, missed, kept / (kept + missed), "over" if missed else "ok")
        for step in steps
        for missed, kept in [count[step]]
    }


def _held(occurrences: Iterable[Occurrence], period: Period) -> Counter[str]:
    return Counter(
        one.held or "other"
        for one in occurrences
        if one.raised in period and one.announced != one.raised
    )
