"""A site on duty, told as a story: what the assets say, what people order, what is on record."""

from __future__ import annotations

from typing import Any

from rules.model import Asset
from rules.records import Command, CommandKind, Message
from streams.contents import Content
from streams.duty import Duty, Edition
from tests.streams.alarm_kit import MIN, S


def edition(text: str) -> Edition:
    return Edition.of([("pack.yaml", text.encode())])


class Story:
    """Times are ms from 0. Lists of what was recorded leave out what is not asked for."""

    def __init__(
        self, rules: str, assets: tuple[str, ...] = ("P1",), cls: str = "pump",
        inventory: tuple[Asset, ...] = (),
    ) -> None:
        self.rules, self.cls = rules, cls
        self.duty = Duty(edition(rules), inventory=inventory or [Asset(a, cls) for a in assets])
        self.records: list[dict[str, Any]] = self.duty.begin("start")
        self.requests = 0

    def to(self, t: int) -> Story:
        """All up to and with `t` happens."""
        self.records += self.duty.play([], t)
        return self

    def hear(self, t: int, asset: str = "P1", **values: object) -> Story:
        """An asset says something at `t`."""
        self.records += self.duty.play([Message(asset, self.cls, t, dict(values))], t)
        return self

    def order(self, kind: CommandKind, rule: str, asset: str = "P1", **more: object) -> Content:
        """Somebody orders something at the next instant; the result."""
        self.requests += 1
        said: dict[str, Any] = {"by": "ana", "reason": "because", "request": f"r{self.requests}"}
        answer, made = self.duty.command(Command(kind, rule, asset, **(said | more)))
        self.records += made
        return answer

    def does(self, kind: CommandKind, rule: str, asset: str = "P1", **more: object) -> Story:
        """Orders what has to be accepted."""
        answer = self.order(kind, rule, asset, **more)
        assert answer["result"] == "accepted", answer["why"]
        return self

    def edit(self, old: str, new: str) -> dict[str, Any]:
        """The rules are changed; the activation's record."""
        assert old in self.rules
        self.rules = self.rules.replace(old, new)
        made = self.duty.activate(edition(self.rules), "ana")
        self.records += made
        return made[0]

    def restart(self) -> Story:
        """Everything stops, and goes on from its snapshot under the same rules."""
        data = self.duty.snapshot()
        self.duty = Duty.restore({self.duty.edition.name: self.duty.edition}, data)
        return self

    # What is seen -----------------------------------------------------------------------------

    def alerts(self, rule: str, asset: str = "P1") -> list[dict[str, Any]]:
        return [one for one in self.records if one["type"] == "alert"
                and (one["rule"], one["asset"]) == (rule, asset)]  # fmt: skip

    def said(self, rule: str, asset: str = "P1") -> list[tuple[int, str]]:
        """What people were told of a rule on an asset: instant and kind."""
        return [(one["t_ms"], one["kind"]) for one in self.alerts(rule, asset) if one["announced"]]

    def kept(self, rule: str, asset: str = "P1") -> list[tuple[int, str]]:
        """What is on record and was not told: instant and kind."""
        return [(x["t_ms"], x["kind"]) for x in self.alerts(rule, asset) if not x["announced"]]

    def rows(self, rule: str, asset: str = "P1") -> list[dict[str, Any]]:
        return [row for row in self.duty.alarms_list()
                if (row["rule"], row["asset"]) == (rule, asset)]  # fmt: skip

    def row(self, rule: str, asset: str = "P1") -> dict[str, Any]:
        [found] = self.rows(rule, asset)
        return found

    def word(self, rule: str, asset: str = "P1") -> str:
        return str(self.row(rule, asset)["word"])


__all__ = ["MIN", "S", "Story", "edition"]
