"""What happened last, and how often. Pure.

Fed with the records of the ledger, so it can be filled again from one. Which alarms stand is not
kept here: that is `streams.listing`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Alert = Mapping[str, Any]

RANK = {"red": 4, "orange": 3, "yellow": 2, "blue": 1}
RECENT = 200


@dataclass
class Board:
    """The news of one site."""

    recent: deque[Alert] = field(default_factory=lambda: deque(maxlen=RECENT))
    raised: Counter[str] = field(default_factory=Counter)
    first: dict[tuple[str, str], Alert] = field(default_factory=dict)  # asset, rule -> first raise

    def take(self, record: Alert) -> None:
        """Takes the next record, in the order of the ledger; only alerts are looked at."""
        if record["type"] != "alert" or not (record["announced"] or record["raised_ms"] == 0):
            return
        self.recent.append(record)
        if record["kind"] == "raised":
            self.raised[record["severity"]] += 1
            self.first.setdefault((record["asset"], record["rule"]), record)


def worst_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the list of alarms: what is covered last, the worst first, of one severity what
    nobody attends to, then the newest."""
    covered = ("shelved", "suppressed", "out_of_service")
    waits = ("unacknowledged", "returned_unacknowledged")
    return sorted(rows, key=lambda x: (
        x["word"] in covered, -RANK[x["severity"]], x["word"] not in waits, -x["raised_ms"],
        x["asset"], x["rule"],
    ))  # fmt: skip


def counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many of each severity there are, red first."""
    found = Counter(x["severity"] for x in rows)
    return {severity: found[severity] for severity in RANK}
