"""What a run shows: lines for pipes and logs here, the live screen in `screen`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from rules.model import SEVERITIES, Text
from streams.ledger import Broken
from streams.render import KIND, SEVERITY, Language, span
from streams.run.board import RANK, Alert, Board
from streams.run.journal import DATABASE, Journal


@dataclass(frozen=True)
class Frame:
    """The run at one instant: plant's clock `now`, source from `start` to `end` (ms), the list of
    alarms (`streams.listing`) with the worst first."""

    board: Board
    rows: list[dict[str, Any]]
    now: int
    start: int
    end: int
    speed: float


class View(Protocol):
    """Whoever shows a run."""

    def begin(self, frame: Frame, title: str, ledger: Path, aside: Path | None) -> None:
        """The run begins, or goes on. `aside`: where the files of a finished run have gone."""

    def alert(self, alert: Alert) -> None:
        """Something happened; the board knows already."""

    def frame(self, frame: Frame) -> None:
        """Time has passed."""

    def end(self) -> None:
        """The last frame was shown."""

    def report(
        self,
        frame: Frame,
        trips: Collection[str],
        journal: Journal,
        broken: Broken | None,
        *,
        finished: bool,
    ) -> None:
        """What came of it."""


def make_view(language: Language, zone: ZoneInfo, *, headless: bool) -> View:
    """The screen where there is one, else lines."""
    if headless or not sys.stdout.isatty():
        return Lines(language, zone)
    from streams.run.screen import Screen  # noqa: PLC0415 rich takes its time, lines need none

    return Screen(language, zone)


def severity_word(alert: Alert, language: Language) -> str:
    """`RED`, `红`."""
    return SEVERITY[SEVERITIES[alert["severity"]]].get(language)


def clock(ms: int, zone: ZoneInfo, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """An instant in local time."""
    return datetime.fromtimestamp(ms / 1000, zone).strftime(form)


def kind_of(alert: Alert, language: Language) -> str:
    """What happened, in a word or two: `raised`, `step arrive`."""
    kind, step = KIND[alert["kind"]].get(language), alert.get("step", "")
    return f"{kind} {step}" if step and alert["kind"] in ("step", "overdue") else kind


def remark_of(alert: Alert) -> str:
    """Who did it, and what they said: `(chen: two people, calm)`."""
    said = ": ".join(filter(None, (alert.get("by", ""), alert.get("reason", ""))))
    return f"({said})" if said else ""


def text_of(alert: Alert, language: Language) -> str:
    """Title and text in one line."""
    title, text = alert["title"][language], alert["text"][language]
    return title if text == title else f"{title}{'：' if language == 'zh' else ': '}{text}"


def evidence_of(alert: Alert, language: Language) -> str:
    """The evidence in one line."""
    return " · ".join(x[language] for x in alert["evidence"])


class Lines:
    """Plain lines, one an announced transition."""

    def __init__(self, language: Language, zone: ZoneInfo) -> None:
        self.language = language
        self.zone = zone

    def begin(self, frame: Frame, title: str, ledger: Path, aside: Path | None) -> None:
        """Says where the run begins and where it is written down."""
        for line in beginning(frame, title, ledger, aside, self.language, self.zone):
            self._print(line)

    def alert(self, alert: Alert) -> None:
        """One line."""
        if not (alert["announced"] or alert["raised_ms"] == 0):
            return
        said = [
            clock(alert["t_ms"], self.zone), severity_word(alert, self.language),
            kind_of(alert, self.language), alert["asset"],
        ]  # fmt: skip
        if alert["kind"] in ("raised", "level"):
            said.append(text_of(alert, self.language))
            evidence = evidence_of(alert, self.language)
            said += [f"[{evidence}]"] if evidence else []
        else:
            said += [alert["title"][self.language], remark_of(alert)]
        self._print("  ".join(filter(None, said)))

    def frame(self, frame: Frame) -> None:
        """Lines come with alerts only."""

    def end(self) -> None:
        """Nothing to close."""

    def report(
        self,
        frame: Frame,
        trips: Collection[str],
        journal: Journal,
        broken: Broken | None,
        *,
        finished: bool,
    ) -> None:
        """Lead times, counts, and what the next start does."""
        for line in ending(frame, trips, journal, broken, self.language, self.zone, finished):
            self._print(line)

    def _print(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def beginning(
    frame: Frame, title: str, ledger: Path, aside: Path | None, language: Language, zone: ZoneInfo
) -> Iterator[str]:
    """The first lines of a run."""
    zh = language == "zh"
    at, goes_on = clock(frame.now, zone), frame.now > frame.start
    if aside is not None:
        yield (f"上次演示已播放完毕，其记录保存在 {aside}。现在重新开始。" if zh else
               f"The last run had come to its end; its files are in {aside}. Starting anew.")
    pace = pace_of(frame.speed, language)
    if zh:
        yield f"Tocsin：{title}，{'从上次停止处继续，' if goes_on else ''}时钟 {at}，{pace}"
        yield f"台账：{ledger / DATABASE}。按 Ctrl-C 停止，下次启动从停止处继续。"
    else:
        yield f"Tocsin: {title}, {'going on at' if goes_on else 'from'} {at}, {pace}"
        yield f"Ledger: {ledger / DATABASE}. Ctrl-C stops; the next start goes on from there."


def pace_of(speed: float, language: Language) -> str:
    """`300 × real time`."""
    if not speed:
        return Text("尽快播放", "as fast as possible").get(language)
    return Text(f"{speed:g} 倍速", f"{speed:g} × real time").get(language)


def lead_times(board: Board, trips: Collection[str], language: Language) -> Iterator[str]:
    """How long before the trip of an asset each of its other alarms had come."""
    for (asset, rule), trip in board.first.items():
        if rule not in trips:
            continue
        earlier = [
            alert
            for (other, _), alert in board.first.items()
            if other == asset and alert["t_ms"] < trip["t_ms"]
        ]
        for alert in sorted(earlier, key=lambda x: x["t_ms"]):
            lead = span(trip["t_ms"] - alert["t_ms"], language)
            first, last = alert["title"][language], trip["title"][language]
            yield Text(
                f"{asset}：“{first}”比“{last}”提前 {lead}",
                f"{asset}: {first!r} came {lead} before {last!r}",
            ).get(language)


def ending(
    frame: Frame,
    trips: Collection[str],
    journal: Journal,
    broken: Broken | None,
    language: Language,
    zone: ZoneInfo,
    finished: bool,
) -> Iterator[str]:
    """The last lines of a run."""
    zh = language == "zh"
    if finished:
        yield from lead_times(frame.board, trips, language)
    counts: dict[str, Any] = {x: frame.board.raised[x] for x in RANK if frame.board.raised[x]}
    said = ", ".join(
        f"{count} {SEVERITY[RANK[x]].get(language)}" for x, count in counts.items()
    ) or "0"
    standing = sum(1 for row in frame.rows if row["active"] or row["latched"])
    whole = ("完整" if zh else "whole") if broken is None else str(broken)
    if zh:
        yield f"报警 {said}；仍有 {standing} 条未消除。"
        yield f"台账 {journal.length} 条记录，{whole}，位于 {journal.folder}"
        yield ("播放完毕，再次启动将重新开始。" if finished else
               f"已停在 {clock(frame.now, zone)}，再次启动从此处继续。")
    else:
        yield f"Alarms raised: {said}; {standing} still stand."
        yield f"Ledger: {journal.length} records, {whole}, in {journal.folder}"
        yield ("The end. The next start begins anew." if finished else
               f"Stopped at {clock(frame.now, zone)}; the next start goes on from there.")
