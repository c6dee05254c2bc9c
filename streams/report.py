"""The report of an alarm for the file: one HTML page that stands alone, in A4. Pure.

No script, no address outside; everything that came from outside is escaped. The same story gives
the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from zoneinfo import ZoneInfo

from rules.model import SEVERITIES
from streams.render import SEVERITY, Language, span
from streams.report_style import STYLE
from streams.report_trend import left_out, trend
from streams.trace_figures import Task, plan_of
from streams.trace_story import STANDING, Story, entries, matches
from streams.trace_text import (
    MARKS,
    MOST_LINES,
    STATES,
    after,
    course_said,
    limit_said,
    moment,
    name_of,
    numbers,
    safe,
    say,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(story: Story, language: Language, note: str = "") -> str:
    """The page. `note` says what running the alarm again came to, if it was."""
    zone = ZoneInfo(story.zone)
    parts = (_head, _meta, _numbers, _trend, _plan, _story, _readings, _rule)
    body = "".join("".join(part(story, language, zone)) for part in parts)
    lang = "zh-CN" if language == "zh" else "en"
    first = story.chronicle.first
    title = _e(f"{first['title'][language]} · {first['asset']}")
    return (
        f'<!DOCTYPE html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>"
        f'<body><main>{body}{"".join(_foot(story, language, note))}</main></body></html>\n'
    )


def _e(text: object) -> str:
    return escape(safe(str(text)))


def _row(cells: Iterable[str], tag: str = "td", more: str = "") -> str:
    return f"<tr{more}>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"


def _head(story: Story, language: Language, zone: ZoneInfo) -> Iterator[str]:
    chronicle, first = story.chronicle, story.chronicle.first
    severity = chronicle.worst
    word = SEVERITY[SEVERITIES[severity]].get(language)
    kind = "隐患记录" if first.get("hazard") else "报警追溯报告"
    if language == "en":
        kind = "Hazard record" if first.get("hazard") else "Alarm report"
    yield (
        f'<header class="{_e(severity)}"><div class="kind">{kind}'
        f"<span>{_e(moment(chronicle.alarm.raised_ms, zone))}</span></div>"
        f'<h1><span class="chip">{_e(word)}</span> {_e(first["title"][language])}'
        f' <span class="asset">{_e(first["asset"])}</span></h1>'
        f"<p>{_e(first['text'][language])}</p></header>"
    )


def _meta(story: Story, language: Language, zone: ZoneInfo) -> Iterator[str]:
    chronicle, first = story.chronicle, story.chronicle.first
    ended = chronicle.ended_ms
    rows = [
        ("alarm", chronicle.alarm.id), ("rule", first["rule"]),
        ("group" if chronicle.alarm.group else "asset", first["asset"]),
        ("class", first.get("class", "")), ("place", first.get("place", "")),
        ("desk", first.get("desk", "")), ("since", moment(chronicle.since_ms, zone)),
        ("raised", moment(chronicle.alarm.raised_ms, zone)),
        ("ended", say("active", language) if ended is None else moment(ended, zone)),
        ("state", STANDING[chronicle.standing].get(language)), ("zone", story.zone),
    ]  # fmt: skip
    yield '<dl class="meta">'
    yield from (f"<div><dt>{say(key, language)}</dt><dd>{_e(value)}</dd></div>"
                for key, value in rows if value)  # fmt: skip
    yield "</dl>"


def _numbers(story: Story, language: Language, _: ZoneInfo) -> Iterator[str]:
    yield '<div class="tiles">'
    for what, length, remark in numbers(story, language):
        yield (f'<div><div class="big">{_e(length)}</div><div>{_e(what)}</div>'
               f'<div class="faint">{_e(remark)}</div></div>')  # fmt: skip
    yield "</div>"


def _trend(story: Story, language: Language, _: ZoneInfo) -> Iterator[str]:
    heading = say("members" if story.chronicle.alarm.group else "readings", language)
    yield f"<section><h2>{heading}</h2>"
    if not any(one.points for one in story.series):
        key = "alone" if story.chronicle.alarm.group else "none"
        yield f'<p class="faint">{say(key, language)}</p>'
    yield f"<figure>{trend(story, language)}</figure>"
    rest = left_out(story)
    if rest:
        said = f"另有 {rest} 个未绘出" if language == "zh" else f"{rest} more are not drawn"
        yield f'<p class="faint">{said}</p>'
    yield "</section>"


def _plan(story: Story, language: Language, zone: ZoneInfo) -> Iterator[str]:
    begun = plan_of(story.chronicle)
    if begun is None:
        return
    plans = story.basis.plans if story.basis is not None else {}
    plan = plans.get(begun["plan"])
    title = plan.title.get(language) if plan is not None else ""
    yield f"<section><h2>{say('plan', language)}: {_e(title)} <code>{_e(begun['plan'])}</code></h2>"
    yield '<table class="plan"><thead>'
    yield _row(("", *(say(key, language) for key in ("step", "role", "due", "done", "who"))), "th")
    yield "</thead><tbody>"
    for task in story.figures.tasks:
        yield _task(task, language, zone)
    yield "</tbody></table></section>"


def _task(task: Task, language: Language, zone: ZoneInfo) -> str:
    what = f"<b>{_e(task.step)}</b>"
    if task.do.get(language):
        what += f"<div>{_e(task.do.get(language))}</div>"
    remarks = [*(f"{name}: {x}" for name, x in task.fields.items()),
               *([task.reason] if task.reason else [])]  # fmt: skip
    what += "".join(f'<div class="faint">{_e(one)}</div>' for one in remarks)
    due = "" if task.deadline_ms is None or task.within_ms is None else (
        f'{_e(moment(task.deadline_ms, zone))}<div class="faint">'
        f"{_e(span(task.within_ms, language))}</div>"
    )
    state = STATES[task.state].get(language)
    if task.late_ms:
        state += f" {span(task.late_ms, language)}"
    done = f"<div>{_e(state)}</div>"
    if task.done_ms is not None and task.took_ms is not None:
        done = (f'{_e(moment(task.done_ms, zone))}<div class="faint">'
                f"{_e(after(task.took_ms, language))}</div>{done}")  # fmt: skip
    cells = (f'<span class="box">{MARKS[task.state]}</span>', what, _e(task.role), due, done,
             _e(task.by))  # fmt: skip
    return _row(cells, more=f' class="{task.state.replace(" ", "-")}"')


def _story(story: Story, language: Language, zone: ZoneInfo) -> Iterator[str]:
    yield f"<section><h2>{say('story', language)}</h2>"
    yield '<table class="story"><thead>'
    names = ("record", "time", "after", "what", "who", "detail")
    yield _row((say(key, language) for key in names), "th")
    yield "</thead><tbody>"
    raised = story.chronicle.alarm.raised_ms
    for entry in entries(story):
        severity = (f'<span class="dot {_e(entry.severity)}"></span>' if entry.severity else "")
        quiet = "" if entry.announced else ' class="quiet"'
        yield _row((
            f"{entry.n}", _e(moment(entry.t_ms, zone)), _e(after(entry.t_ms - raised, language)),
            severity + _e(entry.what.get(language)), _e(entry.by), _e(entry.detail.get(language)),
        ), more=quiet)  # fmt: skip
    yield "</tbody></table></section>"


def _readings(story: Story, language: Language, _: ZoneInfo) -> Iterator[str]:
    limits = story.basis.limits if story.basis is not None else ()
    if not story.series or story.chronicle.alarm.group:
        return
    heading = f"{say('readings', language)} · {say('limits', language)}"
    yield f'<section><h2>{heading}</h2><table class="readings"><tbody>'
    for one in story.series:
        own = [limit_said(limit, story, language) for limit in limits if limit.signal == one.name]
        yield _row((f"<b>{_e(name_of(one, language))}</b> <code>{_e(one.name)}</code>",
                    _e(course_said(one, language)), _e("; ".join(own))))  # fmt: skip
    yield "</tbody></table></section>"


def _rule(story: Story, language: Language, zone: ZoneInfo) -> Iterator[str]:
    found, activation = story.basis, story.chronicle.activation
    yield f"<section><h2>{say('stood', language)}</h2>"
    if found is None or activation is None:
        yield f'<p class="faint">{say("unkept", language)}</p></section>'
        return
    if not matches(story):
        yield f'<p class="warn">{say("unlike", language)}</p>'
    yield from (f"<p>{_e(said)}</p>" for said in found.sentences[language])
    pack, by = activation.get("pack", ""), activation.get("by", "")
    since = f"{say('since_pack', language)} {moment(activation['t_ms'], zone)} {by}"
    yield f'<p class="faint">{say("pack", language)} <code>{_e(pack)}</code>, {_e(since)}</p>'
    for one in found.cuts:
        text = one.text.split("\n")
        shown = "\n".join(_e(line) for line in text[:MOST_LINES])
        yield f'<div class="path">{_e(one.path)}:{one.line}</div><pre>{shown}</pre>'
        if len(text) > MOST_LINES:
            more = say("more", language).format(len(text) - MOST_LINES)
            yield f'<p class="faint">{more}</p>'
    yield "</section>"


def _foot(story: Story, language: Language, note: str) -> Iterator[str]:
    records = story.chronicle.records()
    zh = language == "zh"
    version = story.chronicle.first.get("version", "")
    yield '<footer><div class="sign">'
    for name in ("编制", "审核", "批准") if zh else ("Prepared", "Checked", "Approved"):
        yield f"<div>{name}</div>"
    yield "</div><p>"
    if note:
        yield f"<b>{_e(note)}</b><br>"
    between = f"{len(records)} (#{records[0]['n']} – #{records[-1]['n']})"
    yield f"台账记录：{between}；规则版本 " if zh else f"Ledger records: {between}; rule version "
    yield f"<code>{_e(version)}</code>. Tocsin</p></footer>"
