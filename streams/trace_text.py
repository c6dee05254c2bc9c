"""The story of an alarm as lines for a terminal, and what lines and pages share. Pure.

A line is (style, text); styles are words that rich knows, "" is plain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from unicodedata import category, east_asian_width
from zoneinfo import ZoneInfo

from rules.model import SEVERITIES, Text
from streams.render import SEVERITY, Language, number, span
from streams.trace import Content
from streams.trace_figures import Lead, State, Task, plan_of
from streams.trace_rule import Limit
from streams.trace_series import Series, spark
from streams.trace_story import STANDING, Entry, Story, entries, entry, matches

Line = tuple[str, str]

_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})    # categories of Unicode

STYLES = {"blue": "blue", "yellow": "yellow", "orange": "dark_orange", "red": "bold red"}
MOST_LINES = 200      # of a rule's text
MARKS: dict[State, str] = {
    "in time": "✓", "late": "✓", "done": "✓", "overdue": "✗", "open": " ", "skipped": "–",
}  # fmt: skip
STATES: dict[State, Text] = {
    "in time": Text("按时", "in time"), "late": Text("超时完成", "late"),
    "done": Text("完成", "done"),
    "overdue": Text("超时未完成", "overdue"), "open": Text("待完成", "open"),
    "skipped": Text("未做", "not done"),
}  # fmt: skip
ROLES: dict[str, Text] = {
    "raise": Text("报警", "alarm"), "clear": Text("恢复", "return"), "gate": Text("条件", "gate"),
}  # fmt: skip

WORDS: dict[str, Text] = {
    "alarm": Text("报警编号", "Alarm"), "asset": Text("设备", "Asset"),
    "rule": Text("规则", "Rule"),
    "group": Text("分组", "Group"), "class": Text("类别", "Class"), "place": Text("位置", "Place"),
    "desk": Text("值班台", "Desk"), "since": Text("条件成立", "Condition began"),
    "raised": Text("报警时间", "Raised"), "ended": Text("恢复时间", "Normal again"),
    "active": Text("仍在报警", "still active"), "state": Text("状态", "State"),
    "figures": Text("时间指标", "Figures"), "plan": Text("预案", "Plan"),
    "readings": Text("前后读数", "Readings"), "story": Text("全过程", "Story"),
    "stood": Text("当时的规则", "The rule as it stood"), "limits": Text("限值", "Limits"),
    "members": Text("计入的报警", "Alarms counted in"),
    "before": Text("报警前条件已持续", "condition before the raise"),
    "lasted": Text("报警持续", "alarm active for"),
    "acknowledged": Text("报警至确认", "raise to acknowledgement"),
    "closed": Text("报警至销号", "raise to closing"), "never": Text("未确认", "not acknowledged"),
    "trip": Text("提前于联锁", "lead before the trip"),
    "higher": Text("提前于更高级报警", "lead before a higher alarm"),
    "within": Text("限时", "within"),
    "late": Text("超出", "late by"), "first": Text("首值", "first"), "last": Text("末值", "last"),
    "low": Text("最小", "least"), "high": Text("最大", "greatest"),
    "samples": Text("样本", "samples"),
    "pack": Text("规则包", "pack"), "since_pack": Text("自", "since"),
    "time": Text("时间", "Time"), "after": Text("距报警", "From raise"),
    "what": Text("事件", "What"),
    "who": Text("人员", "Who"), "detail": Text("内容", "Details"), "record": Text("记录", "Record"),
    "step": Text("步骤", "Step"), "role": Text("角色", "Role"), "due": Text("期限", "Due"),
    "done": Text("完成", "Done"), "unkept": Text(
        "当时的规则文本未保存在此台账中", "the texts of that time are not kept in this ledger"),
    "unlike": Text(
        "注意：保存的规则与记录的版本不一致", "Beware: the rule kept is not the one recorded"),
    "alone": Text("没有其他记录", "none are recorded"),
    "none": Text("没有读数", "no readings are kept"), "zone": Text("时区", "Time zone"),
    "more": Text("另有 {} 行", "{} more lines"),
}  # fmt: skip


def say(key: str, language: Language) -> str:
    """One of WORDS."""
    return WORDS[key].get(language)


def moment(ms: int, zone: ZoneInfo, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """An instant in the site's time, with its milliseconds where it has any."""
    try:
        at = datetime.fromtimestamp(ms // 1000, zone)
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"
    return at.strftime(form) + (f".{ms % 1000:03}" if ms % 1000 else "")


def safe(text: str) -> str:
    """A text without what would steer a terminal or turn the direction of reading."""
    plain = text.replace("\n", " ").replace("\t", " ")
    return "".join("\ufffd" if category(x) in _STEERING else x for x in plain)


def after(ms: int, language: Language) -> str:
    """How long from the raise: `+2 min 5 s`."""
    return "0" if ms == 0 else f"{'+' if ms > 0 else '-'}{span(abs(ms), language)}"


def lines(story: Story, language: Language) -> Iterator[Line]:
    """All of the story."""
    zone = ZoneInfo(story.zone)
    for part in (_head, _numbers, _tasks, _limits, _readings, _story, _rule):
        found = list(part(story, language, zone))
        if found:
            yield from found
            yield "", ""


def _head(story: Story, language: Language, zone: ZoneInfo) -> Iterator[Line]:
    chronicle, first = story.chronicle, story.chronicle.first
    severity = chronicle.worst
    word = SEVERITY[SEVERITIES[severity]].get(language)
    title = first["title"][language]
    yield STYLES[severity], safe(f"{word}  {first['asset']}  {title}")
    if first["text"][language] != title:
        yield "", safe(first["text"][language])
    ended = chronicle.ended_ms
    rows = [
        ("alarm", chronicle.alarm.id), ("rule", first["rule"]),
        ("group" if chronicle.alarm.group else "asset", first["asset"]),
        ("class", first.get("class", "")), ("place", first.get("place", "")),
        ("desk", first.get("desk", "")),
        ("since", moment(chronicle.since_ms, zone)),
        ("raised", moment(chronicle.alarm.raised_ms, zone)),
        ("ended", say("active", language) if ended is None else moment(ended, zone)),
        ("state", STANDING[chronicle.standing].get(language)), ("zone", story.zone),
    ]  # fmt: skip
    shown = [(say(key, language), value) for key, value in rows if value]
    width = max(columns(key) for key, _ in shown)
    yield from (("", f"  {padded(key, width)}  {safe(value)}") for key, value in shown)


def numbers(story: Story, language: Language) -> Iterator[tuple[str, str, str]]:
    """The figures: (what, how long, remark)."""
    figures = story.figures
    yield say("before", language), span(figures.condition_ms, language), ""
    lasted = story.window.end - story.chronicle.alarm.raised_ms
    yield say("lasted", language), span(
        lasted if figures.active_ms is None else figures.active_ms, language
    ), say("active", language) if figures.active_ms is None else ""
    for lead in figures.leads:
        yield say(lead.to, language), span(lead.ms, language), _led(lead, language)
    if figures.acknowledged_ms is not None:
        remark = _within(story, "acknowledge", language)
        yield (say("acknowledged", language), span(figures.acknowledged_ms, language),
               f"{figures.acknowledged_by}{remark}")  # fmt: skip
    elif any(c.get("announced") and c["kind"] == "raised" for c in story.chronicle.own):
        yield say("acknowledged", language), "—", say("never", language)
    if figures.closed_ms is not None:
        yield (say("closed", language), span(figures.closed_ms, language),
               f"{figures.closed_by}{_within(story, 'close', language)}")  # fmt: skip


def _led(lead: Lead, language: Language) -> str:
    word = SEVERITY[SEVERITIES[lead.severity]].get(language)
    return f"{word} {lead.title.get(language) or lead.rule}"


def _within(story: Story, step: str, language: Language) -> str:
    task = next((task for task in story.figures.tasks if task.step == step), None)
    if task is None or task.within_ms is None:
        return ""
    said = f"{say('within', language)} {span(task.within_ms, language)}"
    if task.late_ms:
        said += f", {say('late', language)} {span(task.late_ms, language)}"
    return f" ({said})"


def _numbers(story: Story, language: Language, _: ZoneInfo) -> Iterator[Line]:
    yield "bold", say("figures", language)
    rows = list(numbers(story, language))
    width = max(columns(row[0]) for row in rows)
    for what, length, remark in rows:
        yield "", f"  {padded(what, width)}  {padded(length, 14)} {safe(remark)}".rstrip()


def _tasks(story: Story, language: Language, zone: ZoneInfo) -> Iterator[Line]:
    begun = plan_of(story.chronicle)
    if begun is None:
        return
    plans = story.basis.plans if story.basis is not None else {}
    plan = plans.get(begun["plan"])
    title = plan.title.get(language) if plan else ""
    yield "bold", safe(f"{say('plan', language)}  {title} ({begun['plan']})")
    for task in story.figures.tasks:
        style = {"overdue": "red", "late": "yellow", "open": ""}.get(task.state, "")
        what = f"[{MARKS[task.state]}] {padded(task.step, 12)} {padded(task.role, 16)}"
        yield style, safe(f"  {what} {task_said(task, language, zone)}")
        if task.do.get(language):
            yield "dim", safe(f"      {task.do.get(language)}")
        yield from (("", safe(f"      {name}: {x}")) for name, x in task.fields.items())


def task_said(task: Task, language: Language, zone: ZoneInfo) -> str:
    """What became of a step, in a line."""
    late = f" {span(task.late_ms, language)}" if task.late_ms else ""
    parts = [STATES[task.state].get(language) + late]
    if task.done_ms is not None and task.took_ms is not None:
        parts.append(f"{moment(task.done_ms, zone)} ({after(task.took_ms, language)})")
    if task.within_ms is not None:
        parts.append(f"{say('within', language)} {span(task.within_ms, language)}")
    parts += [task.by] if task.by else []
    return " · ".join([*parts, *([task.reason] if task.reason else [])])


def limit_said(limit: Limit, story: Story, language: Language) -> str:
    """A limit with its unit, and where it is from."""
    unit = next((one.unit for one in story.series if one.name == limit.signal), "")
    said = f"{number(limit.value)} {unit}".rstrip()
    role = ROLES[limit.role].get(language)
    if limit.role == "raise":
        role = SEVERITY[limit.severity].get(language)
    return f"{role} {said}" + (f" = {limit.text}" if limit.text else "")


def _limits(story: Story, language: Language, _: ZoneInfo) -> Iterator[Line]:
    if story.basis is None or not story.basis.limits:
        return
    yield "bold", say("limits", language)
    for limit in story.basis.limits:
        yield "", safe(f"  {padded(limit.signal, 16)}  {limit_said(limit, story, language)}")


def _readings(story: Story, language: Language, zone: ZoneInfo) -> Iterator[Line]:
    begin, end = story.window.begin, story.window.end
    heading = say("members" if story.chronicle.alarm.group else "readings", language)
    yield "bold", f"{heading}  {moment(begin, zone)} – {moment(end, zone)}"
    if not any(one.points for one in story.series):
        yield "", f"  {say('alone' if story.chronicle.alarm.group else 'none', language)}"
        return
    width = max(columns(name_of(one, language)) for one in story.series)
    width = min(width, 28)
    for one in story.series:
        drawn = spark(one, begin, end)
        yield "", safe(f"  {padded(name_of(one, language), width)}  {drawn}  "
                       f"{course_said(one, language)}")  # fmt: skip


def name_of(series: Series, language: Language) -> str:
    """A signal's title, else its name."""
    return series.title.get(language) or series.name


def course_said(series: Series, language: Language) -> str:
    """First, last, least and greatest value of a course, and how many samples it is from."""
    if series.kind == "events":
        names = [series.says(x, language, number) for _, x in series.points]
        return ", ".join(dict.fromkeys(names)) or "—"
    if math.isnan(series.first):
        return series.says(math.nan, language, number)
    shown = ("first", "last", "low", "high") if series.kind == "number" else ("first", "last")
    said = [f"{say(key, language)} {series.says(getattr(series, key), language, number)}"
            for key in shown]  # fmt: skip
    return " · ".join([*said, f"{say('samples', language)} {series.samples}"])


def _story(story: Story, language: Language, zone: ZoneInfo) -> Iterator[Line]:
    yield "bold", say("story", language)
    raised = story.chronicle.alarm.raised_ms
    for one in entries(story):
        yield _entry(one, raised, language, zone)


def _entry(entry: Entry, raised: int, language: Language, zone: ZoneInfo) -> Line:
    severity = SEVERITY[SEVERITIES[entry.severity]].get(language) if entry.severity else ""
    style = STYLES.get(entry.severity, "") if entry.kind in ("raised", "level", "overdue") else ""
    cells = [
        f"  #{entry.n:<6}", moment(entry.t_ms, zone), f"{after(entry.t_ms - raised, language):>14}",
        padded(severity, 6), padded(entry.what.get(language), 18), padded(entry.by, 8),
        entry.detail.get(language),
    ]  # fmt: skip
    return style if entry.announced else "dim", safe(" ".join(cells)).rstrip()


def shown(content: Content, language: Language, zone: str) -> str:
    """Any record of a ledger in a line."""
    found = entry(content)
    severity = SEVERITY[SEVERITIES[found.severity]].get(language) if found.severity else ""
    about = f"{content.get('rule') or ''}@{content['asset']}" if content.get("asset") else ""
    cells = [
        f"#{found.n:<6}", moment(found.t_ms, ZoneInfo(zone)), padded(severity, 6),
        padded(found.what.get(language), 18), padded(about, 32), padded(found.by, 8),
        found.detail.get(language),
    ]  # fmt: skip
    return safe(" ".join(cells)).rstrip()


def _rule(story: Story, language: Language, zone: ZoneInfo) -> Iterator[Line]:
    yield "bold", say("stood", language)
    found, activation = story.basis, story.chronicle.activation
    if found is None or activation is None:
        yield "", f"  {say('unkept', language)}"
        return
    yield "", safe(f"  {say('pack', language)} {activation.get('pack', '')}, "
                   f"{say('since_pack', language)} {moment(activation['t_ms'], zone)}")  # fmt: skip
    if not matches(story):
        yield "bold red", f"  {say('unlike', language)}"
    yield from (("", safe(f"  {said}")) for said in found.sentences[language])
    for one in found.cuts:
        yield "", ""
        yield "dim", safe(f"  {one.path}:{one.line}")
        text = one.text.split("\n")
        yield from (("", f"    {safe(line)}") for line in text[:MOST_LINES])
        if len(text) > MOST_LINES:
            yield "dim", "    " + say("more", language).format(len(text) - MOST_LINES)


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(2 if east_asian_width(x) in "WF" else 1 for x in text)


def padded(text: str, width: int) -> str:
    """A text with blanks up to a width in columns."""
    return text + " " * (width - columns(text))
