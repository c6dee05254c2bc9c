"""A list of alarms, and the command that orders about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from streams import cli_alarms
from streams.run.control import Order
from tests.streams.run.control_kit import MIN, NOW, accepted, row

Tocsin = Callable[..., Result]

STEPS = [
    {"step": "acknowledge", "role": "duty_officer", "do": {"zh": "接通对讲", "en": "Answer"},
     "needs": [], "deadline_ms": NOW - 11 * MIN, "done_ms": NOW - 11 * MIN - 5_000, "by": "ana",
     "late": False},
    {"step": "dispatch", "role": "duty_officer", "do": {"zh": "派人", "en": "Send somebody"},
     "needs": [], "deadline_ms": NOW - 7 * MIN, "done_ms": None, "by": "", "late": True},
    {"step": "arrive", "role": "maintainer", "do": {"zh": "到场", "en": "Be there"},
     "needs": [], "deadline_ms": NOW + 18 * MIN, "done_ms": None, "by": "", "late": False},
    {"step": "close", "role": "duty_officer", "do": {"zh": "", "en": ""},
     "needs": ["cause_code"], "deadline_ms": None, "done_ms": None, "by": "", "late": False},
]  # fmt: skip
TRAPPED = row(
    "lift.trapped", "L1", severity="red", word="acknowledged", plan="lift.rescue", loop="open",
    acknowledged={"t_ms": NOW - 11 * MIN, "by": "ana"}, steps=STEPS, seq=4, comments=2,
    evidence=[{"zh": "轿厢速度 0 m/s", "en": "speed 0 m/s"}],
)  # fmt: skip
HOT = row("lift.hot", "L2", severity="yellow", place="South tower", desk="west", stale=True)
SILENT = row("lift.silent", "L3", word="returned_unacknowledged", active=False, hazard=True)
LATCHED = row("gate.open", "G1", severity="blue", word="latched", active=False, latched=True)
SHELVED = row(
    "lift.noise", "L4", word="shelved", raised_ms=0, active=False, severity="blue",
    shelf={"t_ms": NOW, "by": "bob", "reason": "works", "until_ms": NOW + 25 * MIN, "once": False},
    title={"zh": "噪声", "en": "Noise"}, text={"zh": "噪声", "en": "Noise"},
)  # fmt: skip
OUT = row(
    "lift.door", "L5", word="out_of_service", raised_ms=0, active=False, severity="blue",
    service={"t_ms": NOW, "by": "bob", "reason": "new door"},
)  # fmt: skip
ROWS = [HOT, SHELVED, TRAPPED, LATCHED, OUT, SILENT]


def tocsin(ledger: Path) -> Tocsin:
    """Runs `tocsin alarms WORDS` on a ledger, in the name of ana."""

    def run(*words: str, by: str | None = "ana") -> Result:
        more = ["--ledger", str(ledger)]
        if by is not None and words[0] not in ("list", "show"):
            more += ["--by", by]
        return CliRunner().invoke(cli_alarms.app, [*words, *more])

    return run


def refusing(*assets: str) -> Callable[[Order], dict[str, Any]]:
    def decide(order: Order) -> dict[str, Any]:
        assert order.command is not None
        if order.command.asset in assets:
            return {"result": "refused", "why": "outdated: look at it again", "t_ms": NOW}
        return accepted(order)

    return decide
