"""The live screen: a clock, the alarms that stand, what happened last. Any width from 60 columns.

Severity is told by colour and by word, so that it survives a photocopy and a colour-blind eye.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text as Rich

from rules.model import Text
from streams.ledger import Broken
from streams.render import SEVERITY, WORDS, Language, span
from streams.run.board import RANK, Alert, counts
from streams.run.journal import DATABASE, Journal
from streams.run.views import (
    Frame,
    beginning,
    clock,
    ending,
    evidence_of,
    kind_of,
    pace_of,
    remark_of,
    severity_word,
)

STYLE = {
    "red": "bold white on red",
    "orange": "bold black on dark_orange",
    "yellow": "bold black on yellow",
    "blue": "bold white on blue",
}
#: Severity is told by colour and by word; so is what has to be done about it.
WORD_STYLE = {
    "unacknowledged": "bold red", "returned_unacknowledged": "bold yellow", "latched": "green",
    "acknowledged": "dim", "shelved": "cyan", "suppressed": "cyan", "out_of_service": "cyan",
    "normal": "dim",
}  # fmt: skip
WIDE = 110         # columns from which the evidence has a column of its own
FIXED = 6          # lines of head, titles and help
FEWEST_RECENT = 4  # lines kept for what happened last

_SEVERITY, _ASSET = Text("级别", "Severity"), Text("对象", "Asset")
_ALARM, _SINCE = Text("报警", "Alarm"), Text("起始", "Since")
_EVIDENCE, _TIME, _WHAT = Text("依据", "Evidence"), Text("时间", "Time"), Text("变化", "What")
_ACTIVE, _RECENT = Text("当前报警", "Alarms now"), Text("最近变化", "What happened last")
_NONE = Text("无报警", "No alarms")
_STALE = Text("数据失效", "stale")
_PREPARING = Text("正在准备规则引擎……（首次启动需编译，约十几秒）",
                  "Preparing the engine … (the first start compiles it, which takes some seconds)")
_HELP = Text("Ctrl-C 停止（下次从此处继续）", "Ctrl-C stops (the next start goes on here)")


class Screen:
    """Draws with rich on the terminal's other screen; the report goes to the usual one."""

    def __init__(self, language: Language, zone: ZoneInfo, console: Console | None = None) -> None:
        self.language = language
        self.zone = zone
        self.console = console or Console()
        self.title = ""
        self.ledger = Path()
        self.live = Live(console=self.console, screen=True, auto_refresh=False)

    def begin(self, frame: Frame, title: str, ledger: Path, aside: Path | None) -> None:
        """Opens the screen; what it says of the beginning stays on the usual one."""
        for line in beginning(frame, title, ledger, aside, self.language, self.zone):
            self.console.print(line, markup=False, highlight=False)
        self.title, self.ledger = title, ledger
        self.live.start()
        waiting = Rich(_PREPARING.get(self.language), style="dim")
        self.live.update(Group(self._head(frame), waiting), refresh=True)

    def alert(self, alert: Alert) -> None:
        """Shown with the next frame."""

    def frame(self, frame: Frame) -> None:
        """Draws everything anew."""
        self.live.update(self.draw(frame), refresh=True)

    def end(self) -> None:
        """Back to the usual screen."""
        self.live.stop()

    def report(
        self,
        frame: Frame,
        trips: Collection[str],
        journal: Journal,
        broken: Broken | None,
        *,
        finished: bool,
    ) -> None:
        """The last lines, on the usual screen."""
        for line in ending(frame, trips, journal, broken, self.language, self.zone, finished):
            self.console.print(line, markup=False, highlight=False)

    def draw(self, frame: Frame) -> RenderableType:
        """The whole screen, no higher than the terminal."""
        free = self.console.size.height - FIXED
        alarms = self._alarms(frame, free - FEWEST_RECENT)
        taken = len(self.console.render_lines(alarms, pad=False))
        return Group(
            self._head(frame),
            self._title(_ACTIVE, self._counts(frame)),
            alarms,
            self._title(_RECENT),
            self._recent(frame, max(FEWEST_RECENT, free - taken)),
            Rich(f"{_HELP.get(self.language)} · {self.ledger / DATABASE}", style="dim",
                 no_wrap=True, overflow="ellipsis"),
        )

    def _head(self, frame: Frame) -> RenderableType:
        done = (frame.now - frame.start) / max(1, frame.end - frame.start)
        line = Table.grid(expand=True, padding=(0, 1))
        line.add_column(no_wrap=True)
        line.add_column(ratio=1)
        line.add_column(no_wrap=True, justify="right")
        line.add_row(
            Rich(clock(frame.now, self.zone), style="bold"),
            ProgressBar(total=1.0, completed=done),
            Rich(f"{done:.0%} · {pace_of(frame.speed, self.language)}"),
        )
        return Panel(line, title=Rich(f"Tocsin · {self.title}", style="bold"), title_align="left")

    def _title(self, text: Text, more: Rich | None = None) -> RenderableType:
        return Rich.assemble((text.get(self.language), "bold underline"), "  ", more or "")

    def _counts(self, frame: Frame) -> Rich:
        said = Rich()
        for severity, count in counts(frame.rows).items():
            style = STYLE[severity] if count else "dim"
            word = SEVERITY[RANK[severity]].get(self.language)
            said.append(f" {word} {count} ", style=style).append(" ")
        return said

    def _table(self, *columns: Text) -> Table:
        table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
        for column in columns:
            wide = column in (_ALARM, _EVIDENCE)
            table.add_column(
                column.get(self.language), ratio=1 if wide else None, no_wrap=not wide,
            )  # fmt: skip
        return table

    def _alarms(self, frame: Frame, lines: int) -> RenderableType:
        shown = frame.rows
        if not shown:
            return Rich(_NONE.get(self.language), style="green")
        wide = self.console.size.width >= WIDE
        table = self._table(
            _SEVERITY, _ASSET, _ALARM, *((_EVIDENCE,) if wide else ()), _SINCE
        )
        fits = max(1, (lines - 2) // (2 if wide else 3))  # header, and how many are not shown
        for row in shown[:fits]:
            table.add_row(*self._row(row, frame.now, wide=wide))
        if len(shown) > fits:
            table.add_row("", "", f"+ {len(shown) - fits}")
        return table

    def _row(self, row: Alert, now: int, *, wide: bool) -> list[RenderableType]:
        language = self.language
        title, text = row["title"][language], row["text"][language]
        said = Rich(title, style="bold")
        said.append(f" ({WORDS[row['word']].get(language)})", style=WORD_STYLE[row["word"]])
        if row["stale"]:
            said.append(f" ({_STALE.get(language)})", style="magenta")
        if text != title:
            said.append(f"\n{text}", style="not bold")
        evidence = Rich(evidence_of(row, language), style="dim")
        if not wide and evidence:
            evidence.truncate(max(20, self.console.size.width - 36), overflow="ellipsis")
            said.append("\n").append_text(evidence)
        at = Rich()
        if row["raised_ms"]:
            at.append(clock(row["raised_ms"], self.zone, "%H:%M:%S"))
            at.append(f"\n{span(now - row['raised_ms'], language)}", style="dim")
        word = Rich(f" {severity_word(row, language)} ", style=STYLE[row["severity"]])
        return [word, row["asset"], said, *((evidence,) if wide else ()), at]

    def _recent(self, frame: Frame, lines: int) -> RenderableType:
        table = Table(box=None, expand=True, pad_edge=False, show_header=False)
        for ratio in (None, None, None, None, 1):
            table.add_column(ratio=ratio, no_wrap=True, overflow="ellipsis")
        for alert in list(frame.board.recent)[-lines:][::-1]:
            style = STYLE[alert["severity"]] if alert["kind"] in ("raised", "level") else "dim"
            table.add_row(
                Rich(clock(alert["t_ms"], self.zone, "%H:%M:%S"), style="dim"),
                Rich(f" {severity_word(alert, self.language)} ", style=style),
                kind_of(alert, self.language),
                alert["asset"],
                f"{alert['title'][self.language]} {remark_of(alert)}",
            )
        return table
