"""The table of commands in streams/README.md is the one that the code has."""

from pathlib import Path

import pytest

from rules.records import Command, CommandKind
from streams.alarms import Done, Occurrence, Out, Point, Shelf, word
from streams.guards import GUARDS, Case, refused

README = Path(__file__).parents[2] / "streams" / "README.md"
BY = Done(1, "chen", 2)
STEPS = {"look": (), "close": ()}


def alarm(**facts: object) -> Occurrence:
    base = {"severity": 2, "loud": True, "announced": True, "plan": "p", "closing": True}
    return Occurrence(1, **{**base, **facts})  # type: ignore[arg-type]


#: A typical alarm of each state; it has a plan with a step `look` to be done.
STATES: dict[str, tuple[Point, Occurrence | None]] = {
    "normal": (Point(), None),
    "unacknowledged": (Point(), alarm()),
    "acknowledged": (Point(), alarm(acknowledged=BY)),
    "returned_unacknowledged": (Point(), alarm(condition="normal")),
    "latched": (Point(), alarm(condition="latched")),
    "shelved": (Point(shelf=Shelf(1, "li", "why", 9, once=False)), alarm()),
    "suppressed": (Point(), alarm(suppressed=True)),
    "out_of_service": (Point(out=Out(1, "li", "why")), alarm()),
}


def order(kind: CommandKind) -> Command:
    return Command(kind, "r", "a", by="chen", reason="why", step="look", duration=1)


def legal(kind: CommandKind, state: str) -> bool:
    point, occurrence = STATES[state]
    return not refused(Case(order(kind), 2, point, occurrence, STEPS, 10))


def table() -> str:
    lines = ["| | " + " | ".join(f"`{state}`" for state in STATES) + " |",
             "|---|" + "---|" * len(STATES)]
    for kind in GUARDS:
        if kind != "set":
            cells = ("yes" if legal(kind, state) else "–" for state in STATES)
            lines.append(f"| `{kind}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@pytest.mark.parametrize("state", STATES)
def test_the_typical_alarms_are_in_their_states(state: str) -> None:
    assert word(*STATES[state]) == state


def test_the_readme_has_the_table_that_the_code_has() -> None:
    assert table() in README.read_text(encoding="utf-8"), f"write this into it:\n{table()}"
