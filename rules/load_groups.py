"""Groups and plans of the documents, and the order in which alarms may ask for each other."""

from __future__ import annotations

from dataclasses import dataclass

from rules.document import ConditionsDoc, GroupDoc, PlanDoc
from rules.errors import Problems, near
from rules.expression import Scope
from rules.load_checked import Expressions
from rules.load_rules import NO_DELAY, plan_name
from rules.load_texts import message
from rules.load_values import identifier, span
from rules.model import (
    SEVERITIES,
    AssetClass,
    Group,
    Level,
    Message,
    Plan,
    Step,
)
from rules.reader import Mapping, Node, Scalar, describe
from rules.tree import Expr, SignalRef, walk

#: These count raises within a window, so they need one.
WINDOWED = frozenset({"alarms", "assets", "rules"})
#: What the steps of a hazard's plan have to say: the measure, whose it is, and until when.
HAZARD_NEEDS = frozenset({"measure", "owner", "time_limit"})
MAX_WITHIN_MS = 31 * 24 * 3_600_000


@dataclass(frozen=True)
class Countable:
    """What a group may count: a rule's id with its tags."""

    id: str
    tags: frozenset[str] = frozenset()


def plan(key: Scalar, doc: PlanDoc, problems: Problems) -> Plan | None:
    """A plan; its steps have names of their own."""
    if identifier(key, "plan", problems) is None:
        return None
    steps: list[Step] = []
    for one in doc.steps:
        if one.step.text in {step.name for step in steps}:
            problems.add(one.step.at, f"duplicate step {describe(one.step)}")
            continue
        steps.append(Step(
            name=one.step.text,
            role=one.role.text,
            do=one.do,
            within=span(one.within, "within", problems),
            needs=tuple(need.text for need in one.needs),
        ))
    if not steps:
        problems.add(doc.key_at("steps"), "a plan without steps", "- {step: acknowledge, role: …}")
    overdue = doc.overdue
    raise_to = overdue.raise_to if overdue is not None else None
    return Plan(
        name=key.text,
        title=doc.title,
        steps=tuple(steps),
        raise_to=SEVERITIES[raise_to] if raise_to is not None else None,
        notify=tuple(one.text for one in overdue.notify) if overdue is not None else (),
        at=key.at,
    )


def group(doc: GroupDoc, countable: list[Countable], classes: dict[str, AssetClass],
          plans: dict[str, Plan], problems: Problems) -> Group:
    """A group; `countable` are all rules and health alarms."""
    expressions = Expressions(
        Scope(cls="", signals={}, attributes={}, derived={}, rules=frozenset(), counts=True)
    )
    _check_by(doc.by, classes, problems)
    levels = [
        level
        for severity, own in _level_docs(doc, problems)
        if (level := _level(severity, own, doc, expressions, plans, problems)) is not None
    ]
    within = span(doc.within, "within", problems)
    if within is not None and doc.within is not None and within > MAX_WITHIN_MS:
        problems.add(doc.within.at, f"within can be 31 d at most, found {describe(doc.within)}")
    counts = {node.name for level in levels for expr in (level.when, level.clear_when)
              if expr is not None for node in walk(expr) if isinstance(node, SignalRef)}
    if doc.within is None and counts & WINDOWED:
        listed = ", ".join(sorted(counts & WINDOWED))
        problems.add(doc.at, "within missing", f"write `within: 5 min`: {listed} count in a window")
    if doc.hazard:
        _check_hazard(doc, levels, plans, problems)
    return Group(
        id=doc.group.text,
        title=doc.title,
        by=doc.by.text,
        over=_over(doc, countable, problems),
        levels=tuple(levels),
        within=within,
        latch=doc.latch,
        parent=doc.parent,
        first_out=doc.first_out,
        hazard=doc.hazard,
        at=doc.group.at,
    )


def _level_docs(doc: GroupDoc, problems: Problems) -> list[tuple[str, ConditionsDoc]]:
    if doc.levels is not None:
        if doc.severity is not None:
            problems.add(doc.key_at("severity"), "severity and levels, not both",
                         "each level has its severity as its key")
        return [
            (severity, one)
            for severity in sorted(doc.levels, key=SEVERITIES.__getitem__, reverse=True)
            for one in doc.levels[severity]
        ]
    if "levels" in doc.node.keys:
        return []                    # refused already
    if "when" not in doc.node.keys:
        problems.add(doc.at, "when missing", "write the condition: `when: assets >= 3`")
    if "severity" not in doc.node.keys:
        problems.add(doc.at, "severity missing", "blue, yellow, orange, red, or `levels`")
    return [(doc.severity or "yellow", doc)] if doc.when is not None else []


def _level(severity: str, own: ConditionsDoc, doc: GroupDoc, expressions: Expressions,
           plans: dict[str, Plan], problems: Problems) -> Level | None:
    when = own.when or doc.when
    if when is None:
        problems.add(own.at, "when missing", "write the condition: `when: assets >= 3`")
        return None
    expr = expressions.condition(when.source(), problems)
    clear_when = own.clear_when or doc.clear_when
    ending = _ending(clear_when, expressions, problems)
    shown = own.message or doc.message
    if expr is None:
        return None
    return Level(
        severity=SEVERITIES[severity],
        when=expr,
        delay=_delay(own.delay or doc.delay, expressions, problems),
        clear_when=ending,
        clear_delay=_delay(own.clear_for or doc.clear_for, expressions, problems),
        moved=None,
        only_if=None,
        plan=plan_name(own.plan or doc.plan, plans, problems),
        message=message(shown, expressions, problems) if shown is not None else Message(),
        at=own.at,
    )


def _ending(scalar: Scalar | None, expressions: Expressions, problems: Problems) -> Expr | None:
    return expressions.condition(scalar.source(), problems) if scalar is not None else None


def _delay(scalar: Scalar | None, expressions: Expressions, problems: Problems) -> Expr:
    if scalar is None:
        return NO_DELAY
    if "sample" in scalar.text:
        problems.add(scalar.at, f"expected a duration, found {describe(scalar)}",
                     "a group has no samples to count")
        return NO_DELAY
    return expressions.duration(scalar.source(), problems) or NO_DELAY


def _check_by(by: Scalar, classes: dict[str, AssetClass], problems: Problems) -> None:
    attributes = {name for cls in classes.values() for name in cls.attributes}
    if by.text != "asset" and by.text not in attributes:
        problems.add(by.at, f"unknown attribute {describe(by)}",
                     near(by.text, attributes) or "expected an attribute of a class, or `asset`")


def _check_hazard(doc: GroupDoc, levels: list[Level], plans: dict[str, Plan],
                  problems: Problems) -> None:
    """A hazard is of one asset, and its plan says by whom and until when it is put right."""
    if doc.by.text != "asset":
        problems.add(doc.by.at, f"a hazard is of one asset, found `by: {doc.by.text}`",
                     "by: asset")
    for level in levels:
        plan = plans.get(level.plan or "")
        needs = {need for step in plan.steps for need in step.needs} if plan else set()
        if plan is None or not needs >= HAZARD_NEEDS or plan.steps[-1].name != "close":
            problems.add(doc.key_at("hazard"), "a hazard needs a plan that has it put right",
                         f"its steps need {', '.join(sorted(HAZARD_NEEDS))}; the last is `close`")
            return


def _over(doc: GroupDoc, countable: list[Countable], problems: Problems) -> frozenset[str]:
    """The ids counted: those named, by wildcard or by tag; every rule if nothing is said."""
    if doc.over is None:
        return frozenset(one.id for one in countable)
    found: set[str] = set()
    for item in doc.over:
        hits = _hits(item, countable, problems)
        if hits is not None and not hits:
            names = [one.id for one in countable]
            written = describe(item)
            fix = near(item.text, names) if isinstance(item, Scalar) else "no rule has this tag"
            problems.add(item.at, f"unknown rule {written} in `over`", fix)
        found |= hits or set()
    return frozenset(found)


def _hits(item: Node, countable: list[Countable], problems: Problems) -> set[str] | None:
    tag = None
    if isinstance(item, Mapping) and list(item.keys) == ["tag"]:
        value = item.values["tag"]
        tag = value.text if isinstance(value, Scalar) else None
    elif isinstance(item, Scalar) and item.text.startswith("tag:"):
        tag = item.text.removeprefix("tag:").strip()
    if tag is not None:
        return {one.id for one in countable if tag in one.tags}
    if not isinstance(item, Scalar):
        problems.add(item.at, f"expected a rule, found {describe(item)}",
                     "an id, `elevator.*` or `tag: entrapment`")
        return None
    if item.text.endswith(".*"):
        return {one.id for one in countable if one.id.startswith(item.text[:-1])}
    return {one.id for one in countable if one.id == item.text}
