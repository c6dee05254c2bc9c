"""What the duty room looks at: the alarms that stand, and what happened last. Pure.

Fed with the contents of alerts (`render.alert`), so it can be filled again from a ledger.
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
class Standing:
    """An alarm that stands. `alert` is the newest one that says something about its condition."""

    alert: Alert
    raised_ms: int
    announced: bool
    stale: bool = False
    returned: bool = False

    @property
    def rank(self) -> int:
        """1 blue to 4 red."""
        return RANK[self.alert["severity"]]


@dataclass
class Board:
    """The alarms of one site."""

    standing: dict[tuple[str, str], Standing] = field(default_factory=dict)
    recent: deque[Alert] = field(default_factory=lambda: deque(maxlen=RECENT))
    raised: Counter[str] = field(default_factory=Counter)
    first: dict[tuple[str, str], Alert] = field(default_factory=dict)  # asset, rule -> first raise

    def take(self, alert: Alert) -> None:
        """Takes the next record, in the order of the ledger; only alerts are looked at."""
        if alert["type"] != "alert" or alert["raised_ms"] == 0:
            return
        key, kind = (alert["asset"], alert["rule"]), alert["kind"]
        if alert["announced"]:
            self.recent.append(alert)
            if kind == "raised":
                self.raised[alert["severity"]] += 1
                self.first.setdefault(key, alert)
        if kind == "cleared":
            self.standing.pop(key, None)
            return
        was = self.standing.get(key)
        if was is None:
            self.standing[key] = Standing(alert, alert["raised_ms"], alert["announced"])
            return
        was.announced |= alert["announced"]
        if kind in ("raised", "level", "returned"):
            was.alert, was.raised_ms = alert, alert["raised_ms"]
            was.returned = kind == "returned"
        elif kind in ("stale", "fresh"):
            was.stale = kind == "stale"

    def shown(self) -> list[Standing]:
        """The announced alarms that stand: the worst first, of one severity the newest first."""
        found = [x for x in self.standing.values() if x.announced]
        return sorted(found, key=lambda x: (-x.rank, -x.raised_ms, x.alert["asset"]))

    def counts(self) -> dict[str, int]:
        """How many of each severity stand, red first."""
        found = Counter(x.alert["severity"] for x in self.shown())
        return {severity: found[severity] for severity in RANK}
