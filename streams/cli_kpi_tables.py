"""The figures of `tocsin kpi` as tables, in the reader's language, coloured on a terminal only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text as Cell

from rules.model import SEVERITIES, Text
from streams.kpi import Figures, Report, Times
from streams.kpi_limits import Judged, Verdict, worst
from streams.render import SEVERITY, Language, number, span

ROWS = 50       # values of a key that are shown, those with most alarms first
FLOODS = 10     # floods that are shown, the newest

_VERDICT: dict[Verdict, tuple[Text, str]] = {
    "ok": (Text("达标", "ok"), "green"),
    "manageable": (Text("可控", "manageable"), "yellow"),
    "over": (Text("超限", "over"), "red"),
}
_FIGURE = {
    "mean_10_min": Text("报警 / 10 分钟，平均", "alarms per 10 min, mean"),
    "peak_10_min": Text("报警 / 10 分钟，峰值", "alarms per 10 min, peak"),
    "mean_hour": Text("报警 / 小时，平均", "alarms per hour, mean"),
    "mean_day": Text("报警 / 天，平均", "alarms per day, mean"),
    "flood_share": Text("报警泛滥时间占比", "time in flood"),
    "chattering": Text("抖动报警点", "chattering points"),
    "fleeting": Text("瞬时报警", "fleeting alarms"),
    "stale": Text("陈旧报警（超过 24 小时），单日最多", "stale alarms (> 24 h), most on a day"),
    "top_share": Text("前十报警点占比", "share of the top ten points"),
    "red_share": Text("红色占比", "red"),
    "orange_share": Text("橙色占比", "orange"),
    "yellow_share": Text("黄色占比", "yellow"),
}
_HELD = {
    "suppressed": Text("设计抑制", "suppressed"),
    "shadow": Text("影子规则", "shadow rule"),
    "shelved": Text("搁置", "shelved"),
    "out_of_service": Text("停用", "out of service"),
}
_NONE = Text("（无）", "(none)")


def show(found: Report, language: Language) -> None:
    """Prints a report."""
    _Tables(found, language).show()


class _Tables:
    """The tables of one report."""

    def __init__(self, found: Report, language: Language) -> None:
        self.found, self.language = found, language
        self.zone = ZoneInfo(found.zone)
        self.console = Console(highlight=False)
        if not self.console.is_terminal:    # a pipe has no width to fit into
            self.console = Console(width=10_000, highlight=False)

    def show(self) -> None:
        """All tables that have something to say."""
        whole = self.found.whole
        self._head()
        self._judged(whole)
        self._counted(whole)
        self._answered(whole)
        self._floods(whole)
        self._points(whole)
        if self.found.by is not None:
            self._each(self.found.by)

    def say(self, zh: str, en: str) -> str:
        """One of two texts."""
        return zh if self.language == "zh" else en

    def _head(self) -> None:
        period = self.found.period
        begin, end = self._time(period.begin), self._time(period.end)
        length = span(period.length, self.language)
        self._line(self.say(
            f"{begin} 至 {end}（{length}，{self.found.zone}）",
            f"{begin} to {end} ({length}, {self.found.zone})",
        ))  # fmt: skip
        if self.found.desks > 1 and self.found.by != "desk":
            self._line(self.say(
                f"限值按一名操作员计，而报警分属 {self.found.desks} 个席位：用 --by desk 分开看",
                f"limits are for one operator, but {self.found.desks} desks had alarms: "
                "--by desk shows each",
            ))  # fmt: skip

    def _judged(self, whole: Figures) -> None:
        columns = [
            self.say("指标", "figure"), self.say("数值", "value"),
            self.say("达标至", "ok to"), self.say("可控至", "manageable to"), "",
        ]  # fmt: skip
        rows: list[list[str | Cell]] = []
        for name, one in whole.judged.items():
            bounds = [_number(name, one.ok), _number(name, one.manageable)]
            title = _FIGURE[name].get(self.language)
            value = "–" if one.value is None else _number(name, one.value)
            rows.append([title, value, *bounds, self._verdict(one.verdict, one)])
        self._table(columns, rows, right={1, 2, 3})

    def _counted(self, whole: Figures) -> None:
        language = self.language
        longest = span(whole.longest_flood_ms, language) if whole.floods else "–"
        mix = ", ".join(
            f"{SEVERITY[SEVERITIES[name]].get(language).lower()} {count}"
            for name, count in whole.severities.items()
        )
        held = ", ".join(
            f"{_HELD.get(why, Text(why)).get(language)} {count}"
            for why, count in whole.held.items()
        )
        rows = [
            [self.say("报警总数", "alarms"), str(whole.alarms)],
            [self.say("按颜色", "by severity"), mix],
            [self.say("报警 / 小时，峰值", "alarms per hour, peak"), str(whole.peak_hour)],
            [self.say("最多的一天", "busiest day"), str(whole.busiest_day)],
            [self.say("泛滥次数；最长", "floods; longest"), f"{len(whole.floods)}; {longest}"],
            [self.say("当前存在", "standing now"), str(whole.standing)],
            [self.say("其中陈旧", "of them stale"), str(whole.standing_stale)],
            [self.say("当前未确认", "unacknowledged now"), str(whole.unacknowledged)],
            [self.say("当前未销号", "not closed now"), str(whole.unclosed)],
            [self.say("当前搁置", "shelved now"), str(whole.shelved)],
            [self.say("当前停用", "out of service now"), str(whole.out_of_service)],
            [self.say("未通知的报警", "raised but held back"), held or "0"],
        ]
        self._table([self.say("计数", "counts"), ""], rows)

    def _answered(self, whole: Figures) -> None:
        columns = [
            self.say("用时", "time to"), self.say("次数", "count"),
            self.say("中位数", "median"), "95 %", self.say("最长", "longest"),
        ]  # fmt: skip
        rows: list[list[str | Cell]] = [
            [title, str(times.count), *self._spans(times)]
            for title, times in (
                (self.say("确认", "acknowledge"), whole.acknowledge),
                (self.say("销号", "close"), whole.close),
            )
        ]
        self._table(columns, rows, right={1, 2, 3, 4})
        if whole.clocks:
            columns = [
                self.say("预案时限", "plans' clocks"), self.say("按时", "kept"),
                self.say("超时", "missed"), self.say("按时率", "in time"), "",
            ]  # fmt: skip
            clocks: list[list[str | Cell]] = [
                [step, str(one.kept), str(one.missed), _percent(one.share),
                 self._verdict(one.verdict)]
                for step, one in whole.clocks.items()
            ]  # fmt: skip
            self._table(columns, clocks, right={1, 2, 3})

    def _floods(self, whole: Figures) -> None:
        columns = [
            self.say("泛滥开始", "flood began"), self.say("结束", "ended"),
            self.say("报警", "alarms"), self.say("峰值 / 10 分钟", "peak per 10 min"),
        ]  # fmt: skip
        rows: list[list[str | Cell]] = [
            [self._time(one.begin_ms),
             self.say("持续中", "goes on") if one.end_ms is None else self._time(one.end_ms),
             str(one.alarms), str(one.peak)]
            for one in whole.floods[-FLOODS:]
        ]  # fmt: skip
        self._table(columns, rows, right={2, 3})

    def _points(self, whole: Figures) -> None:
        columns = [
            self.say("最频繁的报警点", "most frequent points"), self.say("设备", "asset"),
            self.say("报警", "alarms"), self.say("占比", "share"),
        ]  # fmt: skip
        self._table(
            columns,
            [[one.rule, one.asset, str(one.alarms), _percent(one.share)] for one in whole.top],
            right={2, 3},
        )
        columns = [
            self.say("抖动报警点", "chattering points"), self.say("设备", "asset"),
            self.say("1 分钟内变化", "changes in a minute"), self.say("报警", "alarms"),
        ]  # fmt: skip
        self._table(
            columns,
            [[one.rule, one.asset, str(one.changes), str(one.alarms)] for one in whole.chattering],
            right={2, 3},
        )
        self._table(
            [self.say("存在最久", "standing longest"), self.say("设备", "asset"),
             self.say("自", "since")],
            [[one.rule, one.asset, self._time(one.since_ms)] for one in whole.oldest],
        )  # fmt: skip

    def _each(self, by: str) -> None:
        word = {"desk": "席位", "class": "类别", "place": "位置", "rule": "规则"}
        columns = [
            self.say(word[by], by), self.say("报警", "alarms"), self.say("/小时", "/h"),
            self.say("峰值/10分", "peak/10 min"), self.say("泛滥", "in flood"),
            self.say("抖动", "chattering"), self.say("陈旧", "stale"),
            self.say("未确认", "unacked"), self.say("超时", "missed"), "",
        ]  # fmt: skip
        ordered = sorted(self.found.each.items(), key=lambda x: (-x[1].alarms, x[0]))
        rows: list[list[str | Cell]] = []
        for key, one in ordered[:ROWS]:
            values = {name: _number(name, x.value or 0) for name, x in one.judged.items()}
            rows.append([
                key or _NONE.get(self.language), str(one.alarms), values["mean_hour"],
                values["peak_10_min"], values["flood_share"], values["chattering"],
                values["stale"], str(one.unacknowledged),
                str(sum(clock.missed for clock in one.clocks.values())),
                self._verdict(worst(one.judged)),
            ])  # fmt: skip
        self._table(columns, rows, right=set(range(1, 9)))
        if (more := len(ordered) - ROWS) > 0:
            self._line(self.say(f"另有 {more} 个（--json 列出全部）", f"{more} more (in --json)"))

    def _spans(self, times: Times) -> list[str]:
        found = (times.median_ms, times.p95_ms, times.max_ms)
        return ["–" if x is None else span(x, self.language) for x in found]

    def _verdict(self, verdict: Verdict | None, one: Judged | None = None) -> Cell:
        if verdict is not None:
            said, colour = _VERDICT[verdict]
            return Cell(said.get(self.language), style=colour)
        too_little = one is not None and one.value is not None
        return Cell(self.say("数据不足", "too little to judge") if too_little else "")

    def _time(self, t: int) -> str:
        try:
            return f"{datetime.fromtimestamp(t // 1000, self.zone):%Y-%m-%d %H:%M:%S}"
        except (ValueError, OverflowError, OSError):
            return f"{t} ms"

    def _line(self, text: str) -> None:
        self.console.print(Cell(text))

    def _table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str | Cell]],
        right: Iterable[int] = (),
    ) -> None:
        """A table after an empty line; none without rows."""
        if not rows:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for i, column in enumerate(columns):
            table.add_column(column, justify="right" if i in set(right) else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(_cell(cell) for cell in row))
        self.console.print()
        self.console.print(table)


def _cell(value: str | Cell) -> Cell:
    """A cell without what would move the cursor (attributes of assets are free texts)."""
    if isinstance(value, Cell):
        return value
    return Cell("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value))


def _percent(share: float) -> str:
    return f"{number(100 * share)} %"


def _number(name: str, value: float) -> str:
    """A figure of LIMITS as people read it."""
    return _percent(value) if name.endswith("_share") else number(value)
