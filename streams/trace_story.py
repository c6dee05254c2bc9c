"""The whole story of an alarm: what `tocsin trace` shows, and as plain JSON. Pure.

`plain` gives one object; times are ms since 1970 (`…_ms`, also lengths), texts {zh, en}:

    alarm rule asset group class title text severity (its highest) standing raised_ms since_ms
    ended_ms (null: active) zone place desk tags hazard version (the rule's, of the raise)
    basis     null if not kept; pack inventory since_ms by, matches (its rule is the one recorded),
              sentences {zh [], en []}, texts [{path line text}],
              limits [{signal value role severity text}]
    readings  begin_ms end_ms, signals [{name title unit kind titles first last low high samples
              thinned points [[t_ms, value or null]]}]
    records   the ledger's records of the alarm, its point, its commands, activations, in order
    around    records of other alarms: later raises on the asset, groups that counted it; of a
              group, the alarms that it counted
    figures   condition_ms active_ms acknowledged_ms acknowledged_by closed_ms closed_by,
              leads [{to alarm rule title severity t_ms ms}], plan (name or null),
              tasks [{step role do needs state deadline_ms within_ms done_ms took_ms late_ms by
              fields reason}]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rules.model import Asset, AssetClass, Group, Signal, Text
from rules.records import Message
from streams.duty import SHADOW
from streams.render import KIND, span
from streams.trace import HOUR, Chronicle, Content
from streams.trace_figures import Figures, figures, plan_of
from streams.trace_rule import Basis, basis
from streams.trace_series import Collector, Series

#: (asset, rule) -> whether it belongs to a group.
Belongs = Callable[[str, str], bool]

MINUTE = 60_000
#: Readings are shown from this long before the condition began (or twice the on-delay) …
BEFORE = 10 * MINUTE
MOST_BEFORE = 4 * HOUR    # of an alarm that lasted long, a quarter of that
#: … and looked for this much earlier, for what held when they begin.
LOOKBACK = HOUR
LANGUAGES = ("zh", "en")
SHOWN = 10                 # assets of a change of the inventory, and how many there are

COMMANDS: dict[str, Text] = {
    "acknowledge": Text("确认", "acknowledge"), "unacknowledge": Text("取消确认", "unacknowledge"),
    "shelve": Text("搁置", "shelve"), "unshelve": Text("解除搁置", "unshelve"),
    "reset": Text("复位", "reset"), "out_of_service": Text("停用", "take out of service"),
    "in_service": Text("恢复使用", "bring back into service"), "comment": Text("备注", "comment"),
    "step": Text("处置", "step"), "set": Text("设置", "set"),
}  # fmt: skip
HELD: dict[str, Text] = {
    "suppressed": Text("按设计抑制", "suppressed by design"), "shadow": Text("试运行", "in shadow"),
    "shelved": Text("已搁置", "shelved"), "out_of_service": Text("已停用", "out of service"),
    "unchanged": Text("严重度不变", "severity unchanged"),
}  # fmt: skip
STANDING: dict[str, Text] = {
    "out_of_service": Text("停用", "out of service"), "suppressed": Text("抑制", "suppressed"),
    "shelved": Text("搁置", "shelved"), "latched": Text("待复位", "latched"),
    "returned_unacknowledged": Text("已恢复未确认", "returned, unacknowledged"),
    "unacknowledged": Text("未确认", "unacknowledged"),
    "acknowledged": Text("已确认", "acknowledged"),
    "unclosed": Text("待销号", "not closed yet"), "normal": Text("正常", "normal"),
    "finished": Text("已结束", "finished"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when readings are shown (ms)."""

    begin: int
    end: int


@dataclass(frozen=True)
class Story:
    """All of it, in one value."""

    chronicle: Chronicle
    basis: Basis | None
    window: Window
    series: tuple[Series, ...]
    figures: Figures
    zone: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the story: a record in words. `severity` is "" where it is of no alarm."""

    n: int
    t_ms: int
    kind: str
    severity: str
    announced: bool
    by: str
    what: Text
    detail: Text


def stood_on(
    chronicle: Chronicle, files: Sequence[tuple[str, bytes]], inventory: Iterable[Asset]
) -> Basis | None:
    """The rule of an alarm as it stood, by the files of the pack in force at its raise."""
    alarm = chronicle.alarm
    shadow = str((chronicle.activation or {}).get("pack", "")).endswith(SHADOW)
    return basis(files, inventory, alarm.rule, alarm.asset, chronicle.first.get("class", ""),
                 shadow=shadow)


def in_group(found: Basis | None, key: str, inventory: Iterable[Asset]) -> Belongs:
    """Whether an alarm of (asset, rule) is one that the group with this key may count."""
    group = found.rule if found is not None else None
    if not isinstance(group, Group):
        return lambda _asset, _rule: False
    if group.by == "asset":
        inside = {key}
    else:
        inside = {one.id for one in inventory if one.attributes.get(group.by) == key}
    return lambda asset, rule: rule in group.over and asset in inside


def window(chronicle: Chronicle, found: Basis | None) -> Window:
    """The span around an alarm of which readings are shown."""
    delay = found.delay_ms if found is not None else 0.0
    raised, ended = chronicle.alarm.raised_ms, chronicle.ended_ms
    lasted = (chronicle.last_ms if ended is None else ended) - raised
    before = max(BEFORE, 2 * math.ceil(delay), 2 * (raised - chronicle.since_ms), min(
        lasted // 4, MOST_BEFORE))
    begin = chronicle.since_ms - before
    if ended is None:
        return Window(begin, max(chronicle.last_ms, chronicle.alarm.raised_ms + MINUTE))
    after = max(BEFORE, (ended - chronicle.alarm.raised_ms) // 10)
    return Window(begin, max(ended + MINUTE, min(ended + after, max(chronicle.last_ms, ended))))


def told(
    chronicle: Chronicle, found: Basis | None, messages: Iterable[Message], around: Window,
    zone: str,
) -> Story:
    """The story, with the asset's messages from LOOKBACK before the window to its end."""
    series: tuple[Series, ...] = ()
    if found is not None and found.cls is not None:
        series = _courses(found.cls, found.signals, messages, chronicle.commands, around)
    elif chronicle.alarm.group:
        series = tuple(_members(chronicle, around))
    plans = found.plans if found is not None else {}
    return Story(chronicle, found, around, series, figures(chronicle, plans), zone)


def _courses(
    cls: AssetClass, signals: Sequence[Signal], messages: Iterable[Message],
    commands: Sequence[Content], around: Window,
) -> tuple[Series, ...]:  # fmt: skip
    collector = Collector(cls, signals, around.begin, around.end)
    orders = [c for c in commands if c.get("command") == "set" and c.get("result") == "accepted"]
    for order in orders:
        collector.operator(order["t_ms"], order["signal"], order.get("value"))
    for message in messages:
        collector.take(message)
    return tuple(collector.series())


def _members(chronicle: Chronicle, around: Window) -> list[Series]:
    """Of a group: when the alarms that it counted were active, the first ones."""
    courses: dict[tuple[str, str], tuple[Text, list[tuple[int, float]]]] = {}
    for content in chronicle.others:
        key = (content["asset"], content["rule"])
        title, points = courses.setdefault(key, (Text(**content["title"]), []))
        active = {"raised": 1.0, "cleared": 0.0, "returned": 0.0}.get(content["kind"])
        if active is not None and content["t_ms"] <= around.end:
            points.append((max(content["t_ms"], around.begin), active))
    made = []
    for (asset, _), (title, points) in courses.items():
        held = [(around.begin, 0.0), *points]
        held = held[sum(t <= around.begin for t, _ in points):]
        named = Text(f"{asset} {title.get('zh')}", f"{asset} {title.get('en')}")
        made.append(Series(asset, named, "", "bool", {}, tuple(held), len(points),
                           held[0][1], held[-1][1], 0.0, 1.0))  # fmt: skip
    return made


def entries(story: Story) -> list[Entry]:
    """The records in words. An order whose effect is a record of its own is left out."""
    chronicle = story.chronicle
    answered = {c.get("request") for c in (*chronicle.own, *chronicle.point) if c.get("request")}
    made = []
    for content in chronicle.records():
        order = content.get("type") == "command" and content.get("result") == "accepted"
        if not (order and content.get("request") in answered):
            made.append(entry(content, chronicle.alarm.rule))
    return made


def entry(content: Content, rule: str = "") -> Entry:
    """A record in words; of an activation what it means for one rule, if one is given."""
    kind = content.get("type", "alert")
    if kind == "activation":
        return _stock(content) if "assets" in content else _activation(content, rule)
    if kind == "tick":
        return Entry(content["n"], content["t_ms"], "tick", "", announced=True, by="",
                     what=Text("时钟推进", "the clock goes on"),
                     detail=Text("之后到达的较早读数按迟到处理",
                                 "earlier readings that come after it are late"))  # fmt: skip
    return _command(content) if kind == "command" else _alert(content)


def _activation(content: Content, rule: str) -> Entry:
    anew, gone = content.get("anew") or (), content.get("gone") or ()
    zh, en = f"规则包 {content.get('pack', '')}", f"pack {content.get('pack', '')}"
    if rule:
        state = 0 if rule in anew else 1 if rule in gone else 2
        zh += "；本规则" + ("重新开始", "不再存在", "不变")[state]
        en += "; this rule " + ("starts anew", "is gone", "goes on")[state]
    else:
        for ids, of in ((anew, Text("重新开始", "anew")), (gone, Text("不再存在", "gone"))):
            zh += f"；{of.zh}：{', '.join(ids)}" * bool(ids)
            en += f"; {of.en}: {', '.join(ids)}" * bool(ids)
    return Entry(content["n"], content["t_ms"], "activation", "", announced=True,
                 by=content.get("by", ""), what=Text("规则生效", "rules take effect"),
                 detail=Text(zh, en))  # fmt: skip


def _stock(content: Content) -> Entry:
    """Assets that came, changed or went."""
    put, gone = [x["id"] for x in content["assets"]], content["removed"]
    zh, en = [], []
    for ids, of in ((put, Text("增加或变更", "new or changed")), (gone, Text("移除", "gone"))):
        if ids:
            some = ", ".join(ids[:SHOWN]) + f" … ({len(ids)})" * (len(ids) > SHOWN)
            zh.append(f"{of.zh}：{some}")
            en.append(f"{of.en}: {some}")
    return Entry(content["n"], content["t_ms"], "activation", "", announced=True,
                 by=content.get("by", ""), what=Text("设备台账变更", "the inventory changes"),
                 detail=Text("；".join(zh), "; ".join(en)))  # fmt: skip


def _alert(content: Content) -> Entry:
    kind = content["kind"]
    what = KIND.get(kind) or Text(kind, kind)
    step = content.get("step", "")
    if step and kind in ("step", "overdue", "closed"):
        what = Text(f"{what.zh}：{step}", f"{what.en}: {step}")
    said = {language: " · ".join(_said(content, language)) for language in LANGUAGES}
    return Entry(content["n"], content["t_ms"], kind, content["severity"],
                 not content.get("held"), content.get("by", ""), what,
                 Text(said["zh"], said["en"]))  # fmt: skip


def _said(content: Content, language: str) -> Iterable[str]:
    zh = language == "zh"
    if content["kind"] in ("raised", "level", "returned", "cleared", "stale", "fresh"):
        yield content["text"][language]
        if content["kind"] in ("raised", "level"):
            yield from (str(x[language]) for x in content.get("evidence") or ())
    if content.get("reason"):
        yield content["reason"]
    yield from (f"{name}: {x}" for name, x in (content.get("fields") or {}).items())
    if content.get("plan"):
        yield f"{'预案' if zh else 'plan'} {content['plan']}"
    if content.get("skipped"):
        yield f"{'未做' if zh else 'not done'}: {', '.join(content['skipped'])}"
    if content.get("notify"):
        yield f"{'通知' if zh else 'told'}: {', '.join(content['notify'])}"
    if content.get("until_ms") is not None:
        length = span(content["until_ms"] - content["t_ms"], "zh" if zh else "en")
        once = ("，一次性" if zh else ", once") * bool(content.get("once"))
        yield f"{'时限' if zh else 'for'} {length}{once}"
    if content.get("first_out"):
        yield f"{'首发' if zh else 'first out'}: {' '.join(reversed(content['first_out']))}"
    held = content.get("held", "")
    if held:
        why = HELD.get(held, Text(held, held)).get(language)
        yield f"未通知（{why}）" if zh else f"not announced ({why})"


def _command(content: Content) -> Entry:
    kind = content.get("command", "")
    what = COMMANDS.get(kind, Text(kind, kind))
    about = " ".join(str(content[key]) for key in ("signal", "value", "step")
                     if content.get(key) is not None)  # fmt: skip
    accepted = content.get("result") == "accepted"
    why = content.get("why", "")
    zh = [f"指令：{what.zh}", about] if accepted else [f"指令被拒：{what.zh}", about]
    en = [f"ordered: {what.en}", about] if accepted else [f"refused: {what.en}", about]
    said = " · ".join(x for x in (why, content.get("reason", "")) if x)
    return Entry(content["n"], content["t_ms"], "command" if accepted else "refused", "",
                 announced=True, by=content.get("by", ""),
                 what=Text(" ".join(filter(None, zh)), " ".join(filter(None, en))),
                 detail=Text(said, said))  # fmt: skip


def plain(story: Story) -> dict[str, Any]:
    """The story as one JSON object (see above)."""
    chronicle, first = story.chronicle, story.chronicle.first
    alarm = chronicle.alarm
    begun = plan_of(chronicle)
    made = {
        "alarm": alarm.id, "rule": alarm.rule, "asset": alarm.asset, "group": alarm.group,
        "class": first.get("class", ""), "title": first["title"], "text": first["text"],
        "severity": chronicle.worst, "standing": chronicle.standing,
        "raised_ms": alarm.raised_ms, "since_ms": chronicle.since_ms,
        "ended_ms": chronicle.ended_ms, "zone": story.zone,
        "place": first.get("place", ""), "desk": first.get("desk", ""),
        "tags": first.get("tags", []), "hazard": bool(first.get("hazard")),
        "version": first.get("version", ""),
        "basis": _plain_basis(story),
        "readings": {
            "begin_ms": story.window.begin, "end_ms": story.window.end,
            "signals": [asdict(one) for one in story.series],
        },
        "records": chronicle.records(), "around": chronicle.others,
        "figures": {**asdict(story.figures), "plan": begun["plan"] if begun else None},
    }  # fmt: skip
    return dict(_jsonable(made))


def _plain_basis(story: Story) -> dict[str, Any] | None:
    found, activation = story.basis, story.chronicle.activation
    if found is None or activation is None:
        return None
    return {
        "pack": activation.get("pack", ""), "inventory": activation.get("inventory", ""),
        "since_ms": activation["t_ms"], "by": activation.get("by", ""),
        "matches": matches(story), "sentences": found.sentences,
        "texts": [asdict(one) for one in found.cuts],
        "limits": [asdict(one) for one in found.limits],
    }  # fmt: skip


def matches(story: Story) -> bool:
    """Whether the rule in the pack kept is the one that the raise was recorded with."""
    version = story.chronicle.first.get("version", "")
    return story.basis is not None and story.basis.version == version


def _jsonable(value: Any) -> Any:  # noqa: ANN401 JSON has no other name
    match value:
        case float() if not math.isfinite(value):
            return None
        case Text():
            return {"zh": value.get("zh"), "en": value.get("en")}
        case Mapping():
            return {str(key): _jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [_jsonable(item) for item in value]
        case _:
            return value
