"""What the story of an alarm comes to: lead times, reaction times against the plan's clocks. Pure.

All lengths are ms. A *lead* runs from the raise to the next trip (a rule with the tag `trip`), and
to the next alarm of a higher severity on the same asset, if one comes within 24 h of the raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rules.model import SEVERITIES, Plan, Text
from streams.trace import Chronicle, Content

#: Kinds with which a step is done -> the step that they stand for where none is named.
_DONE = {"acknowledged": "acknowledge", "step": "", "closed": "close"}

State = Literal["in time", "late", "done", "overdue", "open", "skipped"]


@dataclass(frozen=True, slots=True)
class Lead:
    """How long before something worse this alarm came."""

    to: Literal["trip", "higher"]
    alarm: str
    rule: str
    title: Text
    severity: str
    t_ms: int
    ms: int


@dataclass(frozen=True, slots=True)
class Task:
    """A step of the plan, and what became of it.

    `within_ms` and `took_ms` count from the raise that began the plan; `late_ms` is how far behind
    its clock it was done, or (overdue) is by the end of the ledger.
    """

    step: str
    role: str
    do: Text
    needs: tuple[str, ...]
    state: State
    deadline_ms: int | None
    within_ms: int | None
    done_ms: int | None
    took_ms: int | None
    late_ms: int | None
    by: str
    fields: Mapping[str, str]
    reason: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The alarm in numbers.

    condition_ms     the condition was true this long before the raise
    active_ms        raise to end, or None while it is active
    acknowledged_ms  raise to the first acknowledgement, by whom; None without one
    closed_ms        raise to the end of its loop
    """

    condition_ms: int
    active_ms: int | None
    acknowledged_ms: int | None
    acknowledged_by: str
    closed_ms: int | None
    closed_by: str
    leads: tuple[Lead, ...]
    tasks: tuple[Task, ...]


def figures(chronicle: Chronicle, plans: Mapping[str, Plan]) -> Figures:
    """The figures of an alarm. `plans` are those of the pack in force at its raise."""
    raised, ended = chronicle.alarm.raised_ms, chronicle.ended_ms
    acknowledged = _first(chronicle, "acknowledged")
    closed = _first(chronicle, "closed")
    return Figures(
        condition_ms=raised - chronicle.since_ms,
        active_ms=None if ended is None else ended - raised,
        acknowledged_ms=acknowledged["t_ms"] - raised if acknowledged else None,
        acknowledged_by=acknowledged.get("by", "") if acknowledged else "",
        closed_ms=closed["t_ms"] - raised if closed else None,
        closed_by=closed.get("by", "") if closed else "",
        leads=tuple(_leads(chronicle)),
        tasks=tuple(tasks(chronicle, plans)),
    )


def _first(chronicle: Chronicle, kind: str) -> Content | None:
    return next((content for content in chronicle.own if content["kind"] == kind), None)


def _leads(chronicle: Chronicle) -> list[Lead]:
    alarm, severity = chronicle.alarm, SEVERITIES[chronicle.first["severity"]]
    if alarm.group or "trip" in (chronicle.first.get("tags") or ()):
        return []
    found: dict[str, Lead] = {}
    for content in chronicle.others:
        here = content["asset"] == alarm.asset and not content.get("group")
        if not here or content["t_ms"] < alarm.raised_ms:
            continue
        kinds: list[Literal["trip", "higher"]] = []
        if "trip" in (content.get("tags") or ()):
            kinds.append("trip")
        if SEVERITIES[content["severity"]] > severity:
            kinds.append("higher")
        for kind in kinds:
            found.setdefault(kind, Lead(
                kind, content["alarm"], content["rule"], Text(**content["title"]),
                content["severity"], content["t_ms"], content["t_ms"] - alarm.raised_ms,
            ))  # fmt: skip
    same = len({lead.alarm for lead in found.values()}) < len(found)
    return [found["trip"]] if same else list(found.values())


def plan_of(chronicle: Chronicle) -> Content | None:
    """The record with which the plan began that holds last, if there is any."""
    begun = [content for content in chronicle.own if content.get("plan")]
    return begun[-1] if begun else None


def tasks(chronicle: Chronicle, plans: Mapping[str, Plan]) -> list[Task]:
    """The plan as a checklist. Steps done count from the record with which the plan began."""
    begun = plan_of(chronicle)
    if begun is None:
        return []
    clocks: dict[str, int] = dict(begun.get("clocks") or {})
    plan = plans.get(begun["plan"])
    steps = {step.name: step for step in plan.steps} if plan is not None else {}
    done: dict[str, Content] = {}
    ran_out: set[str] = set()
    for change in chronicle.own:
        if change["n"] < begun["n"]:
            continue
        kind, name = change["kind"], change.get("step", "")
        if kind in _DONE:
            done.setdefault(name or _DONE[kind], change)
            if kind == "step" and change.get("until_ms") is not None:
                clocks["close"] = change["until_ms"]    # a time limit that was set (隐患)
        elif kind == "overdue":
            ran_out.add(name)
    over = not chronicle.open
    made = []
    for name in dict.fromkeys([*steps, *clocks]):
        step = steps.get(name)
        content = done.get(name)
        deadline = clocks.get(name)
        now = content["t_ms"] if content else chronicle.last_ms
        late = now - deadline if deadline is not None and now > deadline else None
        if content is not None:
            state: State = "done" if deadline is None else "late" if late else "in time"
        elif name in ran_out and not over:
            state = "overdue"
        else:
            state, late = ("skipped" if over else "open"), None
        made.append(Task(
            name, step.role if step else "", step.do if step else Text(),
            step.needs if step else (), state, deadline,
            None if deadline is None else deadline - begun["t_ms"],
            content["t_ms"] if content else None,
            content["t_ms"] - begun["t_ms"] if content else None, late,
            *_author(content),
        ))  # fmt: skip
    return made


def _author(content: Content | None) -> tuple[str, Mapping[str, str], str]:
    """Who did a step, with which fields and remark."""
    if content is None:
        return "", {}, ""
    return content.get("by", ""), content.get("fields") or {}, content.get("reason", "")
