"""The oracle: messages, ticks and commands in; transitions out."""

from __future__ import annotations

from collections.abc import Iterable

from rules.model import Asset, Group, Pack
from rules.records import Command, Message, Transition
from tests.oracle.asset import AssetOracle
from tests.oracle.groups import GroupsOracle
from tests.oracle.values import MESSAGE, STALE


class Oracle:
    """Evaluates a pack slowly, by the text of the language.

    `start` is the time at which the inventory's assets begin, ms.
    """

    def __init__(
        self, pack: Pack, zone: str = "UTC", inventory: Iterable[Asset] = (),
        start: int | None = None,
    ) -> None:
        """Assets outside the inventory are taken in when first heard."""
        self.pack, self.zone = pack, zone
        self.inventory = {asset.id: asset for asset in inventory}
        self.assets: dict[str, AssetOracle] = {}
        self.system: int | None = None
        self.groups = GroupsOracle(pack.groups, self.key_of, self.members)
        self.lateness = max([c.lateness for c in pack.classes.values()], default=0)
        for asset in self.inventory.values():
            self.add(asset, 0 if start is None else start)

    def add(self, asset: Asset, start: int | None) -> AssetOracle:
        """Begin with an asset."""
        rules = [self.pack.variant(r, asset.overrides) for r in self.pack.rules_of(asset.cls)]
        cls = self.pack.classes[asset.cls]
        self.assets[asset.id] = AssetOracle(asset, cls, rules, self.zone, start)
        return self.assets[asset.id]

    def key_of(self, asset: str, group: Group) -> str | None:
        """The key of an asset in a group: the value of the group's attribute."""
        if group.by == "asset":
            return asset
        return self.key_by(self.assets[asset], group.by)

    def key_by(self, oracle: AssetOracle, by: str) -> str | None:
        """The value of an attribute as a key."""
        if by not in oracle.cls.attributes:
            return None
        value = oracle.attribute(by)
        if value is None:
            return None
        names = {float(code): name for name, code in oracle.cls.attributes[by].names.items()}
        return str(names.get(value, value) if isinstance(value, int | float) else value)

    def members(self, group: Group, key: str) -> int | None:
        """How many assets of the inventory have the key; None without an inventory."""
        if not self.inventory:
            return None
        return sum(1 for a in self.inventory if self.key_of(a, group) == key)

    def messages(self, messages: Iterable[Message]) -> list[Transition]:
        """Take messages in, in order of arrival."""
        found: list[Transition] = []
        for message in messages:
            oracle = self.assets.get(message.asset)
            if oracle is None:
                if message.historical:
                    continue
                oracle = self.add(Asset(message.asset, message.cls), None)
            lateness = oracle.cls.lateness
            system = None if self.system is None else self.system - lateness
            found += oracle.message(message, system)
        self.groups.add(found)
        return found

    def tick(self, now: int) -> list[Transition]:
        """The system's clock says `now`: run the instants before `now` less lateness."""
        self.system = now if self.system is None else max(self.system, now)
        found: list[Transition] = []
        for oracle in self.assets.values():
            found += oracle.advance((now - oracle.cls.lateness, MESSAGE))
        self.groups.add(found)
        return found + self.groups.advance((now - self.lateness, MESSAGE))

    def run_until(self, t: int) -> list[Transition]:
        """Run all instants up to and with t."""
        found: list[Transition] = []
        for oracle in self.assets.values():
            found += oracle.advance((t, STALE + 1))
        self.groups.add(found)
        return found + self.groups.advance((t, STALE + 1))

    def command(self, command: Command, t: int) -> list[Transition]:
        """Do what an operator orders at t; an order to a group waits until the groups are there."""
        if command.group:
            self.groups.order(command, t)
            return []
        if command.asset not in self.assets:
            return []
        found = self.assets[command.asset].command(command, t)
        self.groups.add(found)
        return found
