"""The list of alarms as operators see it: one row an open alarm. Pure.

Words are derived from facts (`streams.alarms.word`); times are ms since 1970 and RFC 3339.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from rules.model import SEVERITY_NAMES, Plan
from streams.alarms import Key, Occurrence, Out, Point, Shelf, alarm_id, word
from streams.attend import Alarms
from streams.contents import Contents
from streams.render import rfc3339

Row = dict[str, Any]


def rows(alarms: Alarms, contents: Contents) -> list[Row]:
    """A row for each occurrence that is not finished, and for each covered point without one."""
    return [row for key in alarms.book.points for row in rows_of(alarms, contents, key)]


def rows_of(alarms: Alarms, contents: Contents, key: Key) -> Iterator[Row]:
    """Those of one point, which may be one that there is not."""
    point = alarms.book.points.get(key)
    if point is None:
        return
    rule, asset = key
    shown = [o for o in point.open.values() if not o.finished and _is_shown(point, o)]
    for o in shown:
        alarm = alarm_id(rule, asset, o.raised)
        plan = alarms.pack.plans.get(o.plan)
        yield {
            **_row(rule, asset, point, o), "alarm": alarm,
            **_said(contents.said[alarm]), "steps": _steps(plan, o),
        }  # fmt: skip
    if not shown and point.covered:
        found = alarms.rule(key)
        title = found.title if found is not None else None
        names = {lang: (title.get(lang) if title else "") or rule for lang in ("zh", "en")}
        yield {
            **_row(rule, asset, point, Occurrence(0, condition="normal")),
            "alarm": alarm_id(rule, asset, 0), "title": names, "text": names, "class": "",
            "place": "", "desk": "", "hazard": False, "evidence": [], "steps": [],
        }  # fmt: skip


def _is_shown(point: Point, o: Occurrence) -> bool:
    """Not in shadow: those are for the authors of rules."""
    return o.announced or o.suppressed or bool(point.covered and o.loud)


def _row(rule: str, asset: str, point: Point, o: Occurrence) -> Row:
    return {
        "seq": o.moved, "rule": rule, "asset": asset, "group": point.group,
        "severity": SEVERITY_NAMES.get(o.severity, "blue"),
        "word": word(point, o if o.raised else None),
        "active": o.condition == "active", "latched": o.condition == "latched",
        "stale": o.stale, "suppressed": o.suppressed, "raised_ms": o.raised,
        "time": rfc3339(o.raised) if o.raised else "",
        "acknowledged": {"t_ms": o.acknowledged.t, "by": o.acknowledged.by}
        if o.acknowledged and o.attended else None,
        "shelf": _cover(point.shelf), "service": _cover(point.out),
        "plan": o.plan, "loop": "open" if o.looped else "", "comments": o.comments,
    }  # fmt: skip


def _cover(cover: Shelf | Out | None) -> Row | None:
    """Shelf or service as a row says it: times are named with their unit."""
    names = {"t": "t_ms", "until": "until_ms"}
    plain: Row | None = msgspec.to_builtins(cover)
    return None if plain is None else {names.get(key, key): x for key, x in plain.items()}


def _said(said: Row) -> Row:
    kept = {name: said.get(name, "") for name in ("class", "place", "desk")}
    return {
        **kept, "title": said["title"], "text": said["text"], "evidence": said["evidence"],
        "hazard": said.get("hazard", False),
    }  # fmt: skip


def _steps(plan: Plan | None, o: Occurrence) -> list[Row]:
    """The plan as a checklist with its clocks."""
    made: list[Row] = []
    for step in plan.steps if plan is not None else ():
        done = o.done.get(step.name)
        made.append({
            "step": step.name, "role": step.role, "do": {"zh": step.do.zh, "en": step.do.en},
            "needs": list(step.needs), "deadline_ms": o.clocks.get(step.name),
            "done_ms": done.t if done else None, "by": done.by if done else "",
            "late": step.name in o.late,
        })  # fmt: skip
    return made
