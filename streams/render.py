"""What people read of an alarm: texts filled in, values with their units, spans, times. Pure.

Everything that shows an alarm (the screen, alerts, notices) goes through here, so that all of them
say the same. Languages are `zh` and `en`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from rules.compile import pieces
from rules.model import SEVERITY_NAMES, Group, Message, Pack, Piece, Rule, Signal, Text
from rules.records import Transition
from rules.tree import Expr

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")

SEVERITY: dict[int, Text] = {
    1: Text("蓝", "BLUE"), 2: Text("黄", "YELLOW"), 3: Text("橙", "ORANGE"), 4: Text("红", "RED"),
}  # fmt: skip
KIND: dict[str, Text] = {
    "raised": Text("报警", "raised"),
    "level": Text("变级", "level"),
    "cleared": Text("消除", "cleared"),
    "returned": Text("恢复待复位", "returned"),
    "stale": Text("数据失效", "stale"),
    "fresh": Text("数据恢复", "fresh"),
    "suppressed": Text("抑制", "suppressed"),
    "unsuppressed": Text("解除抑制", "unsuppressed"),
    "acknowledged": Text("确认", "acknowledged"),
    "unacknowledged": Text("待确认", "unacknowledged"),
    "comment": Text("备注", "comment"),
    "step": Text("处置", "step"),
    "overdue": Text("超时", "overdue"),
    "closed": Text("销号", "closed"),
    "superseded": Text("并入后续", "superseded"),
    "shelved": Text("搁置", "shelved"),
    "unshelved": Text("解除搁置", "unshelved"),
    "out_of_service": Text("停用", "out of service"),
    "in_service": Text("恢复使用", "in service"),
}
#: The words of `streams.alarms.word`, with what is to be done.
WORDS: dict[str, Text] = {
    "unacknowledged": Text("未确认", "unacknowledged"),
    "acknowledged": Text("已确认", "acknowledged"),
    "returned_unacknowledged": Text("已恢复未确认", "returned, unacknowledged"),
    "latched": Text("已恢复，待复位", "latched: reset it"),
    "shelved": Text("已搁置", "shelved"),
    "suppressed": Text("设计抑制", "suppressed by design"),
    "out_of_service": Text("已停用", "out of service"),
    "normal": Text("已恢复，待销号", "normal, to be closed"),
}
_UNKNOWN = Text("未知", "unknown")
_NEVER = Text("无限", "never")
_YES, _NO = Text("是", "yes"), Text("否", "no")
_SPANS = ((86_400, "天", "d"), (3_600, "小时", "h"), (60, "分", "min"), (1, "秒", "s"))
_HEALTH = {
    "silent": Text("没有任何消息", "No message at all"),
    "frozen": Text("示值长时间不变", "The reading does not move"),
}


def number(value: float) -> str:
    """A number with four significant digits (three below 1), never in powers of ten."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "∞" if value > 0 else "-∞"
    whole = math.floor(math.log10(abs(value)))
    decimals = min(9, max(0, (3 if whole >= 0 else 2) - whole))
    said = f"{value:.{decimals}f}"
    if "." in said:
        said = said.rstrip("0").rstrip(".")
    return "0" if said == "-0" else said


def span(ms: float, language: Language) -> str:
    """A length of time in its two largest units: `5 h 48 min`, `5小时48分`."""
    if math.isnan(ms):
        return _UNKNOWN.get(language)
    if math.isinf(ms):
        return _NEVER.get(language)
    if 0 < abs(ms) < 1000:
        return f"{ms:.0f} ms" if language == "en" else f"{ms:.0f}毫秒"
    sign, left = ("-" if ms < 0 else ""), int(abs(ms) // 1000)
    parts: list[str] = []
    for seconds, zh, en in _SPANS:
        count, left = divmod(left, seconds)
        if count and len(parts) < 2:
            parts.append(f"{count}{zh}" if language == "zh" else f"{count} {en}")
        elif parts:
            break  # 2 d 5 min would read as if hours had been counted
    said = ("" if language == "zh" else " ").join(parts)
    return sign + (said or ("0秒" if language == "zh" else "0 s"))


def value(piece: Piece, x: float, language: Language) -> str:
    """A value of a piece as people read it: with unit, as a state's title, as a span of time."""
    if piece.unit == "ms":
        return span(x, language)
    if math.isnan(x):
        return _UNKNOWN.get(language)
    if piece.kind == "bool":
        return (_YES if x else _NO).get(language)
    if piece.kind in ("states", "events"):
        title = piece.titles.get(int(x)) if math.isfinite(x) else None
        return (title.get(language) if title else "") or number(x)
    return f"{number(x)} {piece.unit}".rstrip()


def values_of(rule: Rule | Group, values: tuple[float, ...]) -> dict[Expr, float]:
    """Which expression of a rule had which value (see `records.Transition.values`)."""
    return dict(zip(pieces(rule), values, strict=False)) if isinstance(rule, Rule) else {}


def text(
    message: Message, known: Mapping[Expr, float], asset: str, held_ms: float, language: Language
) -> str:
    """A message with everything filled in; what has no value is said to be unknown."""
    first, second = (message.zh, message.en) if language == "zh" else (message.en, message.zh)
    said = []
    for part in first or second:
        if isinstance(part, str):
            said.append(part)
        elif part.expr is not None:
            said.append(value(part, known.get(part.expr, math.nan), language))
        else:
            said.append(span(held_ms, language) if part.source == "held" else asset)
    return "".join(said)


def said_of(rule: Rule | Group, transition: Transition, language: Language) -> str:
    """What an alarm says: its message, else (without one) what its kind of alarm means."""
    known = values_of(rule, transition.values)
    levels = rule.levels
    message = levels[min(transition.level, len(levels) - 1)].message if levels else Message()
    said = text(message, known, transition.asset, transition.t - transition.since, language)
    if said:
        return said
    health = rule.health if isinstance(rule, Rule) else ""
    return _HEALTH[health].get(language) if health else title_of(rule, language)


def title_of(rule: Rule | Group, language: Language) -> str:
    """The title of a rule, or its id."""
    return rule.title.get(language) or rule.id


def catalogue(pack: Pack) -> dict[tuple[str, str], Rule | Group]:
    """Rules by id and class, groups by id and "" (a rule on two classes differs in its units)."""
    rules: dict[tuple[str, str], Rule | Group] = {(rule.id, rule.cls): rule for rule in pack.rules}
    return rules | {(group.id, ""): group for group in pack.groups}


def rfc3339(ms: int) -> str:
    """An instant as `2026-03-02T08:06:00.000Z`."""
    return f"{_to_the_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(4096)        # what happens at once has the same seconds
def _to_the_second(s: int) -> str:
    return f"{datetime.fromtimestamp(s, UTC):%Y-%m-%dT%H:%M:%S}"


def evidence_of(
    rule: Rule | Group, transition: Transition, signals: Mapping[str, Signal]
) -> list[dict[str, object]]:
    """The evidence: as written, the value and its unit, and as people read it: `pressure 2912 kPa`.

    `signals` are those of the asset's class, for their titles.
    """
    known = values_of(rule, transition.values)
    made: list[dict[str, object]] = []
    for piece in rule.evidence if isinstance(rule, Rule) else ():
        if piece.expr is None:
            continue
        x = known.get(piece.expr, math.nan)
        signal = signals.get(piece.source)
        title = signal.title if signal else Text()
        said: dict[str, object] = {
            language: f"{title.get(language) or piece.source} {value(piece, x, language)}"
            for language in LANGUAGES
        }
        made.append({"name": piece.source, "value": x, "unit": piece.unit, **said})
    return made


def alert(
    rule: Rule | Group, transition: Transition, alarm: str, seq: int, signals: Mapping[str, Signal]
) -> dict[str, object]:
    """A transition as the plain content of an alert and of a ledger's record."""
    return {
        "alarm": alarm,
        "seq": seq,
        "time": rfc3339(transition.t),
        "t_ms": transition.t,
        "raised_ms": transition.raised,
        "since_ms": transition.since,
        "asset": transition.asset,
        "group": transition.group,
        "rule": transition.rule,
        "kind": transition.kind,
        "severity": SEVERITY_NAMES[transition.severity],
        "level": transition.level,
        "announced": transition.announced,
        "title": {"zh": title_of(rule, "zh"), "en": title_of(rule, "en")},
        "text": {"zh": said_of(rule, transition, "zh"), "en": said_of(rule, transition, "en")},
        "evidence": evidence_of(rule, transition, signals),
    }
