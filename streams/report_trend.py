"""The trend picture of a report: courses, limit lines and marks over time, as inline SVG. Pure.

marks     what happened, as labels over the whole picture
panels    a course each: numbers as lines, states and yes/no as bands, events as strokes
axis      the site's time
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo

from rules.model import SEVERITY_NAMES
from streams.render import KIND, Language, number
from streams.trace_series import Series
from streams.trace_story import Story
from streams.trace_text import columns, limit_said, moment, name_of, safe, say

WIDTH = 760
LEFT = 56                       # beside the plots: values; at their right, what limits are
RIGHT, BARE = 138, 10           # with limits, without
TALL, LOW, BAND = 126, 76, 20   # heights: a signal of the conditions, of the evidence, a band
GAP = 22                        # with a course's name in it
ROWS, ROW = 3, 15               # of labels
MOST_PANELS = 8
MOST_BANDS = 14
MOST_MARKS = 40
COLUMN = 6.0                    # width of a column of small text

COLOURS = {"blue": "#1f6fb5", "yellow": "#b98900", "orange": "#d9620b", "red": "#c0152f"}
LINE, INK, FAINT, GRID = "#16425b", "#222b33", "#6b7680", "#e3e7ea"
GOOD, BAD = "#2b7a3d", "#c0152f"
STATES = ("#cfe0ee", "#f3dcb4", "#d5e8d4", "#e6d5ea", "#f2d0cc", "#dfe3d0", "#d0e6e6", "#ecece0")
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
            86_400, 172_800, 604_800, 1_209_600, 2_592_000)  # fmt: skip


@dataclass(frozen=True)
class _Frame:
    """Where instants lie across the picture. The plots end at `right`."""

    begin: int
    end: int
    right: int

    @property
    def width(self) -> int:
        return self.right - LEFT

    def x(self, t: float) -> float:
        share = (t - self.begin) / max(1, self.end - self.begin)
        return LEFT + self.width * min(1.0, max(0.0, share))

    def holds(self, t: float) -> bool:
        return self.begin <= t <= self.end


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened, as it is drawn."""

    t: int
    text: str
    colour: str
    dash: str = ""
    strong: bool = False


def trend(story: Story, language: Language) -> str:
    """The picture as an `<svg>` element; "" when there is nothing to draw."""
    panels = _chosen(story)
    limits = story.basis is not None and bool(story.basis.limits)
    frame = _Frame(story.window.begin, story.window.end, WIDTH - (RIGHT if limits else BARE))
    shown = list(_marks(story, language))
    top = ROWS * ROW + 6
    parts: list[str] = []
    names: list[str] = []
    y = float(top + GAP - 4)
    for one in panels:
        tall = _height(one, story)
        unit = f"  {one.unit}" if one.unit else ""
        names.append(_text(LEFT, y - 5, _cut(name_of(one, language) + unit, 80), class_="n"))
        parts.append(_panel(one, story, frame, y, tall, language))
        y += tall + GAP
    bottom = y - GAP if panels else y + BAND
    zone = ZoneInfo(story.zone)
    inside = [
        _DEFINED, _spans(story, frame, top, bottom), *parts, _axis(frame, bottom, zone),
        _drawn_marks(shown, frame, top, bottom), *names,
    ]  # fmt: skip
    height = bottom + 40
    label = escape(safe(f"{story.chronicle.alarm.rule} {story.chronicle.alarm.asset}"))
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(inside)}</svg>'
    )


_DEFINED = (
    '<defs><pattern id="unknown" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="6" height="6" fill="#f4f4f4"/>'
    '<line x1="0" y1="0" x2="0" y2="6" stroke="#c4c9cd" stroke-width="1.6"/></pattern></defs>'
)


def left_out(story: Story) -> int:
    """How many courses there is no room for in the picture."""
    return len(story.series) - len(_chosen(story))


def _chosen(story: Story) -> list[Series]:
    """Those with a limit first, in the order of the rule, as many as there is room for."""
    limited = {limit.signal for limit in story.basis.limits} if story.basis is not None else set()
    by_need = sorted(story.series, key=lambda one: one.name not in limited)
    numeric = [one for one in by_need if one.kind == "number"][:MOST_PANELS]
    bands = [one for one in by_need if one.kind not in ("number", "text")]
    bands = bands[: max(4, MOST_BANDS - len(numeric))]
    return numeric + bands


def _height(series: Series, story: Story) -> int:
    if series.kind != "number":
        return BAND
    limits = story.basis.limits if story.basis is not None else ()
    return TALL if any(limit.signal == series.name for limit in limits) else LOW


def _text(x: float, y: float, text: str, **given: str) -> str:
    style = "".join(f' {key.rstrip("_").replace("_", "-")}="{x}"' for key, x in given.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}>{escape(safe(text))}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}" '
            f'fill="{fill}"{more}/>')  # fmt: skip


def _spans(story: Story, frame: _Frame, top: float, bottom: float) -> str:
    """The time in which the condition was true, and in which the alarm was active."""
    chronicle = story.chronicle
    raised, ended = frame.x(chronicle.alarm.raised_ms), frame.x(chronicle.ended_ms or frame.end)
    since = frame.x(chronicle.since_ms)
    colour = COLOURS.get(chronicle.worst, FAINT)
    height = bottom - top
    return _rect(since, top, raised - since, height, colour, ' opacity="0.05"') + _rect(
        raised, top, ended - raised, height, colour, ' opacity="0.11"'
    )


# Panels -------------------------------------------------------------------------------------------


def _panel(one: Series, story: Story, frame: _Frame, y: float, height: float,
           language: Language) -> str:  # fmt: skip
    if one.kind == "number":
        return _numeric(one, story, frame, y, height, language)
    inner = _strokes if one.kind == "events" else _bands
    return inner(one, frame, y, height, language)


def _numeric(one: Series, story: Story, frame: _Frame, y: float, height: float,
             language: Language) -> str:  # fmt: skip
    limits = [x for x in (story.basis.limits if story.basis else ()) if x.signal == one.name]
    low, high = _reach(one, [x.value for x in limits if x.role == "raise"])
    limits = [x for x in limits if low <= x.value <= high]

    def place(value: float) -> float:
        return y + height * (1.0 - (value - low) / (high - low))

    parts = [_rect(LEFT, y, frame.width, height, "none", f' stroke="{GRID}"')]
    for tick in _ticks(low, high, 4 if height > LOW else 3):
        at = place(tick)
        parts.append(f'<line x1="{LEFT}" x2="{frame.right}" y1="{at:.1f}" y2="{at:.1f}" '
                     f'stroke="{GRID}"/>')  # fmt: skip
        parts.append(_text(LEFT - 7, at + 3.6, number(tick), text_anchor="end", fill=FAINT))
    unknown, line = _line(one, frame, place, y, height)
    parts += [unknown, line]
    taken: list[float] = []
    for limit in sorted(limits, key=lambda x: ("raise", "clear", "gate").index(x.role)):
        colour = COLOURS[SEVERITY_NAMES[limit.severity]] if limit.role == "raise" else FAINT
        dash = {"raise": "", "clear": ' stroke-dasharray="5 4"', "gate": ' stroke-dasharray="2 3"'}
        at = place(limit.value)
        parts.append(f'<line x1="{LEFT}" x2="{frame.right}" y1="{at:.1f}" y2="{at:.1f}" '
                     f'stroke="{colour}" stroke-width="1.4"{dash[limit.role]}/>')  # fmt: skip
        where = _free(at + 3.6, taken, y, height)
        said = _cut(limit_said(limit, story, language), 24)
        if where is not None:
            parts.append(_text(frame.right + 6, where, said, fill=colour, class_="l"))
    return "".join(parts)


def _free(at: float, taken: list[float], y: float, height: float) -> float | None:
    """A place for a label near its line that covers no other label."""
    for shift in (0, 11, -11, 22, -22):
        where = at + shift
        if y - 4 <= where <= y + height + 6 and all(abs(where - other) >= 11 for other in taken):
            taken.append(where)
            return where
    return None


def _reach(one: Series, limits: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest value that a panel shows."""
    values = [x for x in (one.low, one.high, *limits) if math.isfinite(x)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    margin = (high - low) * 0.09 or max(abs(high) * 0.05, 1e-6)
    return low - margin, high + margin


def _line(
    one: Series, frame: _Frame, place: Callable[[float], float], y: float, height: float
) -> tuple[str, str]:
    """Where the course is unknown, and the course: each value holds until the next."""
    unknown: list[str] = []
    path: list[str] = []
    on = False
    first = one.points[0][0] if one.points else frame.end
    if first > frame.begin:
        unknown.append(_rect(frame.x(frame.begin), y, frame.x(first) - frame.x(frame.begin), height,
                             "url(#unknown)"))  # fmt: skip
    for (t, value), upto in _held(one, frame):
        x, then = frame.x(t), frame.x(upto)
        if math.isnan(value):
            unknown.append(_rect(x, y, then - x, height, "url(#unknown)"))
            on = False
            continue
        at = place(value)
        path.append(f"V{at:.1f}H{then:.1f}" if on else f"M{x:.1f} {at:.1f}H{then:.1f}")
        on = True
    drawn = f'<path d="{"".join(path)}" fill="none" stroke="{LINE}" stroke-width="1.7"/>'
    return "".join(unknown), drawn if path else ""


def _held(one: Series, frame: _Frame) -> Iterator[tuple[tuple[int, float], int]]:
    """Each point with the instant until which its value holds."""
    for i, point in enumerate(one.points):
        yield point, one.points[i + 1][0] if i + 1 < len(one.points) else frame.end


def _bands(one: Series, frame: _Frame, y: float, height: float, language: Language) -> str:
    parts = [_rect(LEFT, y, frame.width, height, "url(#unknown)")]
    codes = sorted({int(x) for _, x in one.points if math.isfinite(x)} | set(one.titles))
    joined: list[tuple[int, float, int]] = []
    for (t, value), upto in _held(one, frame):
        if joined and joined[-1][1] == value:
            joined[-1] = (joined[-1][0], value, upto)
        else:
            joined.append((t, value, upto))
    if one.kind == "bool":
        joined.sort(key=lambda held: held[1])    # what was true for an instant is still seen
    for t, value, upto in joined:
        if math.isnan(value):
            continue     # the ground shows
        x, width = frame.x(t), frame.x(upto) - frame.x(t)
        colour = ("#7ba6c9" if value else "#eceff1") if one.kind == "bool" else (
            STATES[codes.index(int(value)) % len(STATES)]
        )
        parts.append(_rect(x, y, max(width, 1.2), height, colour))
        said = one.says(value, language, number)
        if columns(said) * COLUMN + 6 < width:
            parts.append(_text(x + 4, y + height / 2 + 3.8, said, fill=INK))
    parts.append(_rect(LEFT, y, frame.width, height, "none", f' stroke="{GRID}"'))
    return "".join(parts)


def _strokes(one: Series, frame: _Frame, y: float, height: float, language: Language) -> str:
    parts = [_rect(LEFT, y, frame.width, height, "#f7f8f9", f' stroke="{GRID}"')]
    free = -math.inf
    for t, code in one.points:
        x = frame.x(t)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{y + height:.1f}" '
                     f'stroke="{LINE}" stroke-width="2"/>')  # fmt: skip
        said = one.says(code, language, number)
        if x > free and x + columns(said) * COLUMN < frame.right:
            parts.append(_text(x + 4, y + height / 2 + 3.8, said, fill=INK))
            free = x + columns(said) * COLUMN + 10
    return "".join(parts)


# Axis and marks -----------------------------------------------------------------------------------


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers between two values."""
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = next((m * size for m in (1, 2, 2.5, 5, 10) if m * size >= raw), 10 * size)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)][:12]


def _instants(frame: _Frame, zone: ZoneInfo) -> tuple[list[int], int]:
    """Round instants of local time, and their distance in seconds."""
    span = max(1.0, (frame.end - frame.begin) / 1000)
    step = next((one for one in _STEPS_S if span / one <= 8), round(span / 8))
    offset = _offset(frame.begin // 1000, zone)
    t = -(-(frame.begin // 1000 + offset) // step) * step - offset
    found: list[int] = []
    while t * 1000 <= frame.end:
        moved = _offset(t, zone) - offset      # summer time begins or ends
        t, offset = t - moved, offset + moved
        if t * 1000 >= frame.begin and (not found or t * 1000 > found[-1]):
            found.append(t * 1000)
        t += step
    return found, step


def _offset(t: int, zone: ZoneInfo) -> int:
    """From UTC to local time, in seconds."""
    offset = datetime.fromtimestamp(t, UTC).astimezone(zone).utcoffset()
    return round(offset.total_seconds()) if offset else 0


def _axis(frame: _Frame, bottom: float, zone: ZoneInfo) -> str:
    parts = [(f'<line x1="{LEFT}" x2="{frame.right}" y1="{bottom:.1f}" y2="{bottom:.1f}" '
              f'stroke="{FAINT}"/>')]  # fmt: skip
    instants, step = _instants(frame, zone)
    day = ""
    for t in instants:
        x = frame.x(t)
        form = "%H:%M:%S" if step < 60 else "%H:%M"
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:.1f}" y2="{bottom + 5:.1f}" '
                     f'stroke="{FAINT}"/>')  # fmt: skip
        anchor = "middle" if x < WIDTH - 20 else "end"
        parts.append(_text(x, bottom + 17, moment(t, zone, form), text_anchor=anchor, fill=INK))
        if (today := moment(t, zone, "%Y-%m-%d")) != day:
            day = today
            parts.append(_text(x, bottom + 31, day, text_anchor="middle", fill=FAINT))
    parts.append(_text(WIDTH - 4, bottom + 31, str(zone), text_anchor="end", fill=FAINT))
    return "".join(parts)


def _marks(story: Story, language: Language) -> Iterator[Mark]:
    """What is marked: conditions, acknowledgements, steps; not what is only recorded."""
    chronicle = story.chronicle
    if chronicle.since_ms < chronicle.alarm.raised_ms:
        yield Mark(chronicle.since_ms, say("since", language), FAINT, "2 3")
    for change in chronicle.own:
        kind, said = change["kind"], KIND.get(change["kind"])
        text = said.get(language) if said else kind
        match kind:
            case "raised" | "level":
                colour = COLOURS.get(change["severity"], FAINT)
                yield Mark(change["t_ms"], text, colour, strong=True)
            case "cleared" | "returned":
                yield Mark(change["t_ms"], text, GOOD, strong=True)
            case "acknowledged" | "closed":
                yield Mark(change["t_ms"], text, INK, "6 3")
            case "step" | "overdue":
                colour = BAD if kind == "overdue" else FAINT
                step = change.get("step", "")
                named = step if kind == "step" else f"{text}: {step}"
                yield Mark(change["t_ms"], named, colour, "6 3")
            case "unacknowledged" | "suppressed" | "unsuppressed" | "stale" | "fresh":
                yield Mark(change["t_ms"], text, FAINT, "2 3")
            case _:
                pass


def _drawn_marks(marks: Sequence[Mark], frame: _Frame, top: float, bottom: float) -> str:
    """Lines down the picture; labels in rows, the strong ones first; without room there is none."""
    inside = [mark for mark in marks if frame.holds(mark.t)]
    chosen = sorted(inside, key=lambda mark: not mark.strong)[:MOST_MARKS]
    rows: list[list[tuple[float, float]]] = [[] for _ in range(ROWS)]
    parts = []
    for mark in chosen:
        x, width = frame.x(mark.t), columns(mark.text) * COLUMN + 8
        left = x - 3 if x + width < WIDTH - 4 else x + 3 - width
        row = next((i for i, taken in enumerate(rows)
                    if all(left + width < a or left > b for a, b in taken)), None)  # fmt: skip
        start = top - 4.0 if row is None else top - 8 - (ROWS - 1 - row) * ROW
        low = top + 4 if row is None and not mark.strong else bottom     # no thicket of them
        dash = f' stroke-dasharray="{mark.dash}"' if mark.dash else ""
        width_of = 1.6 if mark.strong else 1
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{start:.1f}" y2="{low:.1f}" '
                     f'stroke="{mark.colour}" stroke-width="{width_of}"{dash}/>')  # fmt: skip
        if row is not None:
            rows[row].append((left, left + width))
            parts.append(_text(left + 4, start - 3, mark.text, fill=mark.colour,
                               font_weight="600" if mark.strong else "400"))  # fmt: skip
    return "".join(parts)


def _cut(text: str, most: int) -> str:
    """A text of at most so many columns."""
    if columns(text) <= most:
        return text
    while columns(text) > most - 1:
        text = text[:-1]
    return f"{text}…"
