"""The states of a rule's alarm as a table of edges, and that table as Mermaid or text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rules.model import SEVERITY_NAMES, AssetClass, Group, Level, Rule
from rules.show import immediate, show, show_delay


@dataclass(frozen=True)
class Edge:
    """One way from state to state, and what makes the alarm go it."""

    start: str
    end: str
    label: str


def edges(owner: Rule | Group, cls: AssetClass | None = None) -> list[Edge]:
    """All ways of an alarm; the states of several levels bear the level's name."""
    found: dict[Edge, None] = {}
    for level in owner.levels:
        for edge in _level(level, cls, latch=owner.latch, severities=len(owner.levels) > 1):
            found.setdefault(edge)
    if owner.latch:
        found.setdefault(Edge("returned", "normal", "reset"))
    return list(found)


def _level(
    level: Level, cls: AssetClass | None, *, latch: bool, severities: bool
) -> Iterator[Edge]:
    name = SEVERITY_NAMES[level.severity]
    active = f"{name} active"
    pending, clearing = ("pending", "clearing")
    if severities:
        pending, clearing = f"{name} pending", f"{name} clearing"
    when = show(level.when, cls)
    raising = when if level.only_if is None else f"{when} and {show(level.only_if, cls)}"
    rests = ("normal", "returned") if latch else ("normal",)
    for rest in rests:
        if immediate(level.delay):
            yield Edge(rest, active, raising)
        else:
            yield Edge(rest, pending, raising)
            yield Edge(pending, rest, "no longer so")
    if not immediate(level.delay):
        yield Edge(pending, active, f"after {show_delay(level.delay, cls)}")
    if level.clear_when is not None:
        ending = show(level.clear_when, cls)
    else:
        ending = f"not ({show(level.when if level.moved is None else level.moved, cls)})"
    if immediate(level.clear_delay):
        yield Edge(active, rests[-1], ending)
        return
    yield Edge(active, clearing, ending)
    yield Edge(clearing, active, "no longer so")
    yield Edge(clearing, rests[-1], f"after {show_delay(level.clear_delay, cls)}")


def mermaid(of: list[Edge]) -> str:
    """The edges as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> normal"]
    names = dict.fromkeys(name for edge in of for name in (edge.start, edge.end))
    lines += [f'    state "{name}" as {_id(name)}' for name in names if " " in name]
    for edge in of:
        label = edge.label.replace(";", "#59;").replace(":", "#58;")
        lines.append(f"    {_id(edge.start)} --> {_id(edge.end)}: {label}")
    return "\n".join(lines)


def text(of: list[Edge]) -> str:
    """The edges as a table of text."""
    start = max((len(edge.start) for edge in of), default=0)
    end = max((len(edge.end) for edge in of), default=0)
    rows = (f"{edge.start:<{start}}  ->  {edge.end:<{end}}  {edge.label}" for edge in of)
    return "\n".join(rows)


def _id(name: str) -> str:
    return name.replace(" ", "_")
