"""Records of a ledger for tests of figures, as its contract has them."""

from __future__ import annotations

from hashlib import sha256
from itertools import count
from typing import Any

from streams.render import rfc3339

S, MIN, H, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def alarm_id(rule: str, asset: str, raised: int) -> str:
    """32 hex digits, one for each alarm."""
    return sha256(f"{rule} {asset} {raised}".encode()).hexdigest()[:32]


class Book:
    """Writes contents one after another. Times are ms."""

    def __init__(self, begin: int = 0, zone: str = "UTC") -> None:
        self.contents: list[dict[str, Any]] = []
        self._alarms: dict[str, dict[str, Any]] = {}
        self._numbers = count(1)
        self._write(type="activation", t_ms=begin, zone=zone, pack="0" * 16, by="", anew=[],
                    gone=[])  # fmt: skip

    def _write(self, **content: Any) -> None:  # noqa: ANN401 - JSON
        n = next(self._numbers)
        self.contents.append({"n": n, "time": rfc3339(content["t_ms"]), **content})

    def mark(self, t: int) -> None:
        """A record that changes no figure."""
        self._write(type="command", t_ms=t, request="r", command="comment", result="accepted")

    def point(self, t: int, kind: str, rule: str = "r", asset: str = "A", **more: Any) -> None:  # noqa: ANN401
        """A record of a point: shelved, unshelved, out_of_service, in_service."""
        self._alert(t, kind, rule=rule, asset=asset, raised_ms=0, alarm=alarm_id(rule, asset, 0),
                    **more)  # fmt: skip

    def raised(self, t: int, rule: str = "r", asset: str = "A", **more: Any) -> str:  # noqa: ANN401
        """A raise; returns the alarm's id. `more` but for held and the plan holds from now on."""
        alarm = alarm_id(rule, asset, t)
        once = {key: more.pop(key) for key in ("held", "plan", "clocks", "closing") if key in more}
        self._alarms[alarm] = {"rule": rule, "asset": asset, "raised_ms": t, "alarm": alarm, **more}
        self.say(alarm, t, "raised", **once)
        return alarm

    def say(self, alarm: str, t: int, kind: str, **more: Any) -> None:  # noqa: ANN401
        """A later record of an alarm."""
        self._alert(t, kind, **{**self._alarms[alarm], **more})

    def _alert(self, t: int, kind: str, **more: Any) -> None:  # noqa: ANN401
        plain = {"class": "c", "group": False, "severity": "blue", "announced": True, "level": 0}
        self._write(**{"type": "alert", "t_ms": t, "kind": kind, **plain, **more})

    def spell(self, begin: int, end: int, *, acknowledged: int | None = None, **more: Any) -> str:  # noqa: ANN401
        """An alarm from raise to normal."""
        alarm = self.raised(begin, **more)
        if acknowledged is not None:
            self.say(alarm, acknowledged, "acknowledged")
        self.say(alarm, end, "cleared")
        return alarm
