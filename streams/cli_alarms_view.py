"""The list of alarms and one alarm, as the command line shows them. Pure but for the console.

Rows are those of `Duty.alarms_list`. Whatever they hold is printed without control characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text as Rich

from rules.model import SEVERITIES, Text
from streams.alarms import Word
from streams.render import SEVERITY, WORDS, Language, span
from streams.run.screen import STYLE

Row = dict[str, Any]

#: Icons of the states, beside their words.
ICONS: dict[Word, str] = {
    "unacknowledged": "●", "returned_unacknowledged": "◐", "latched": "◆", "acknowledged": "○",
    "normal": "·", "shelved": "▽", "suppressed": "∅", "out_of_service": "×",
}  # fmt: skip

_ACTIVE, _LATCHED = Text("报警中", "active"), Text("待复位", "latched")
_NORMAL = Text("正常", "normal")
_STALE, _LATE = Text("数据失效", "stale"), Text("超时", "late")
_LEFT, _NONE = Text("剩", "left"), Text("无报警", "no alarms")
_COLUMNS = {
    "severity": Text("级别", "severity"), "state": Text("状态", "state"),
    "condition": Text("条件", "condition"), "raised": Text("起始", "raised"),
    "age": Text("历时", "age"), "place": Text("地点", "place"), "asset": Text("对象", "asset"),
    "alarm": Text("报警", "alarm"), "evidence": Text("依据", "evidence"),
    "seen": Text("确认", "acknowledged"),
    "next": Text("下一步", "next step"), "id": Text("编号", "id"),
}  # fmt: skip
#: Of a terminal with so many columns and more: what stands side by side, and below each other.
_STACKED: tuple[tuple[int, tuple[tuple[str, ...], ...]], ...] = (
    (120, (("severity",), ("state", "condition"), ("raised", "age"), ("asset", "place"),
           ("alarm", "evidence"), ("seen", "next"), ("id",))),
    (80, (("severity",), ("state", "condition"), ("raised", "age"), ("alarm", "next"),
          ("asset", "id"))),
    (0, (("severity",), ("state", "age"), ("alarm", "next"), ("asset", "id"))),
)  # fmt: skip
#: Of a pipe: one line an alarm, all of it.
_FLAT = tuple((name,) for name in _COLUMNS)
_WIDEST = {"state": 16, "asset": 20, "seen": 20}      # beyond that they are wrapped


def clean(value: object) -> str:
    """A text without what would move the cursor or turn the line around."""
    return "".join("�" if unicodedata.category(c) in ("Cc", "Cf") else c for c in str(value))


def next_step(row: Row) -> Row | None:
    """The first step of the plan that is not done, while the plan runs."""
    if not (row["active"] or row["latched"] or row["loop"] == "open"):
        return None
    found: Row | None = next((step for step in row["steps"] if step["done_ms"] is None), None)
    return found


class Sheet:
    """Rows as texts, at an instant of the plant's time."""

    def __init__(self, now_ms: int, zone: str, language: Language) -> None:
        self.now, self.language = now_ms, language
        self.zone = ZoneInfo(zone)

    def table(self, rows: Sequence[Row], width: int | None) -> Table | Rich:
        """The list for a terminal of that width; None: one line an alarm, as long as it is."""
        if not rows:
            return Rich(_NONE.get(self.language))
        table = Table(box=None, pad_edge=False, header_style="bold", expand=width is not None)
        columns = _FLAT if width is None else next(
            stacks for least, stacks in _STACKED if width >= least
        )
        for first, *_ in columns:
            table.add_column(
                _COLUMNS[first].get(self.language), overflow="fold",
                no_wrap=width is None or first not in ("alarm", *_WIDEST),
                max_width=_WIDEST.get(first) if width is not None else None,
                ratio=1 if first == "alarm" and width is not None else None,
            )  # fmt: skip
        for row in rows:
            table.add_row(*(self._stack(names, row, lines=width is not None) for names in columns))
        return table

    def _stack(self, names: tuple[str, ...], row: Row, *, lines: bool) -> Rich:
        cells = (self._cell(name, row, lines=lines) for name in names)
        return Rich("\n").join(cell for cell in cells if cell)

    def _cell(self, name: str, row: Row, *, lines: bool) -> Rich:
        match name:
            case "severity":
                return Rich(f" {self.severity(row)} ", style=STYLE.get(row["severity"], ""))
            case "state":
                return Rich(self.state(row))
            case "condition":
                return Rich(self.condition(row))
            case "raised":
                return Rich(self.at(row["raised_ms"]))
            case "age":
                return Rich(self.span(self.now - row["raised_ms"]) if row["raised_ms"] else "")
            case "alarm":
                return self._alarm(row, lines=lines)
            case "evidence":
                said = " · ".join(clean(one[self.language]) for one in row["evidence"])
                return Rich(said, style="dim")
            case "seen":
                return Rich(self.done(row["acknowledged"]))
            case "next":
                step = next_step(row)
                return Rich(f"{clean(step['step'])} {self.left(step)}".strip() if step else "")
            case "id":
                return Rich(row["alarm"][:8])
        return Rich(clean(row[name] or ""))

    def _alarm(self, row: Row, *, lines: bool) -> Rich:
        title, text = (clean(row[name][self.language]) for name in ("title", "text"))
        said = Rich(title, style="bold")
        if text not in ("", title):
            between = "\n" if lines else "：" if self.language == "zh" else ": "
            said.append(f"{between}{text}", style="not bold")
        return said

    def severity(self, row: Row) -> str:
        """`RED`, `红`."""
        known = SEVERITIES.get(row["severity"])
        return SEVERITY[known].get(self.language) if known else ""

    def state(self, row: Row) -> str:
        """Icon and word, and how long a shelf lasts."""
        said = f"{ICONS[row['word']]} {WORDS[row['word']].get(self.language)}"
        if row["word"] == "shelved" and row["shelf"]:
            said += f" ({self._remaining(row['shelf']['until_ms'])})"
        return said

    def condition(self, row: Row) -> str:
        """What the signals say now, whatever people have done."""
        of = _ACTIVE if row["active"] else _LATCHED if row["latched"] else _NORMAL
        stale = f" ({_STALE.get(self.language)})" if row["stale"] else ""
        return of.get(self.language) + stale

    def left(self, step: Row) -> str:
        """How much time a step has left, or since when it is late."""
        if step["deadline_ms"] is None:
            return ""
        return f"({self._remaining(step['deadline_ms'])})"

    def _remaining(self, until: int) -> str:
        left = until - self.now
        word, length = (_LEFT if left > 0 else _LATE).get(self.language), self.span(abs(left))
        if left <= 0:
            return f"{word} {length}"
        return f"{word} {length}" if self.language == "zh" else f"{length} {word}"

    def span(self, ms: float) -> str:
        """A length of time."""
        return span(ms, self.language)

    def at(self, ms: int | None) -> str:
        """An instant in the site's time, to the second."""
        if not ms:
            return ""
        return f"{datetime.fromtimestamp(ms // 1000, self.zone):%Y-%m-%d %H:%M:%S}"

    def done(self, what: Row | None) -> str:
        """Who did something, and when."""
        return f"{clean(what['by'])} {self.at(what['t_ms'])}" if what else ""

    # One alarm

    def story(self, row: Row) -> Iterator[Rich]:
        """An alarm with its plan, line by line."""
        head = self._cell("severity", row, lines=False)
        head.append(f" {self.state(row)} · {self.condition(row)}", style="not bold default")
        yield head
        yield self._alarm(row, lines=True)
        facts = [(name, self._cell(name, row, lines=False).plain)
                 for name in ("asset", "place", "raised", "age", "evidence", "seen")]
        facts.insert(0, ("id", clean(row["alarm"])))
        for name, said in (*facts, *self._notes(row)):
            if said:
                label = _COLUMNS[name].get(self.language) if name in _COLUMNS else name
                yield Rich(f"  {label}: {said}")
        if row["plan"]:
            yield Rich(f"{_PLAN.get(self.language)} {clean(row['plan'])}", style="bold")
            for step in row["steps"]:
                yield from self._step(step)

    def _notes(self, row: Row) -> Iterator[tuple[str, str]]:
        shelf, service, language = row["shelf"], row["service"], self.language
        yield _RULE.get(language), clean(row["rule"])
        yield _DESK.get(language), clean(row["desk"] or "")
        if shelf:
            until = self.at(shelf["until_ms"])
            said = f"{self._covered(shelf)} ({_UNTIL.get(language)} {until})"
            yield _COVER[0].get(language), said
        if service:
            yield _COVER[1].get(language), self._covered(service)
        if row["comments"]:
            yield _COMMENTS.get(language), str(row["comments"])

    def _covered(self, by: Row) -> str:
        return f"{self.done(by)}: {clean(by['reason'])}"

    def _step(self, step: Row) -> Iterator[Rich]:
        """`[x] dispatch  duty_officer  due … done …`, then what is to be done."""
        late = step["late"] or (
            step["done_ms"] is None and (step["deadline_ms"] or self.now) < self.now
        )
        box = "[x]" if step["done_ms"] is not None else "[!]" if late else "[ ]"
        parts = [f"{box} {clean(step['step'])}", clean(step["role"])]
        if step["deadline_ms"] is not None:
            parts.append(f"{_DUE.get(self.language)} {self.at(step['deadline_ms'])}")
        if step["done_ms"] is not None:
            done = {"by": step["by"], "t_ms": step["done_ms"]}
            parts.append(f"{_DONE.get(self.language)} {self.done(done)}")
            if late:
                parts.append(_LATE.get(self.language))
        else:
            parts.append(self.left(step))
        if step["needs"]:
            parts.append(f"{_NEEDS.get(self.language)} {clean(', '.join(step['needs']))}")
        style = "red" if late else "dim" if step["done_ms"] is not None else ""
        yield Rich("  " + "  ".join(filter(None, parts)), style=style)
        said = clean(step["do"].get(self.language) or "")
        if said:
            yield Rich(f"      {said}", style="dim")


_PLAN, _DUE, _UNTIL = Text("预案", "plan"), Text("限", "due"), Text("至", "until")
_DONE, _NEEDS = Text("完成", "done"), Text("须填", "needs")
_RULE, _DESK, _COMMENTS = Text("规则", "rule"), Text("席位", "desk"), Text("备注数", "comments")
_COVER = Text("搁置", "shelved"), Text("停用", "out of service")


def console_of() -> Console:
    """The terminal; a pipe has no width to fit into."""
    console = Console()
    return console if console.is_terminal else Console(width=100_000)
