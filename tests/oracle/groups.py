"""Groups: rules over the alarms of assets. They see transitions, sorted by time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rules.model import Group, Rule, Text
from rules.records import Command, Transition
from rules.tree import AttributeRef, Const, Expr, Op, SignalRef
from tests.oracle.machine import Alarm
from tests.oracle.values import COMMAND, MESSAGE, Position, Value, apply, known


@dataclass
class Key:
    """One group of alarms: those of one value of the group's attribute."""

    group: Group
    name: str
    members: int | None        # the inventory's assets, if there is one
    raises: list[Transition] = field(default_factory=list)
    active: set[tuple[str, str]] = field(default_factory=set)  # (asset, rule)
    at: Position = (-(2**62), MESSAGE)

    def __post_init__(self) -> None:
        group = self.group
        rule = Rule(group.id, "", Text(), group.levels, latch=group.latch)
        self.alarm = Alarm(rule, self.name, group=True)

    def inside(self) -> list[Transition]:
        """The raises within the window."""
        within = self.group.within
        assert within is not None
        return [r for r in self.raises if self.at[0] - within < r.t <= self.at[0]]

    def count(self, name: str) -> Value:
        """One of the six counts."""
        assets = {asset for asset, _ in self.active}
        match name:
            case "alarms":
                return float(len(self.inside()))
            case "assets":
                return float(len({r.asset for r in self.inside()}))
            case "rules":
                return float(len({r.rule for r in self.inside()}))
            case "active":
                return float(len(self.active))
            case "active_assets":
                return float(len(assets))
            case _:
                return len(assets) / self.members if self.members else None

    def value(self, e: Expr) -> Value:
        """The value of an expression of counts."""
        match e:
            case Const(value=value):
                return known(value)
            case SignalRef(name=name):
                return self.count(name)
            case Op(op=op, args=args):
                return apply(op, [self.value(arg) for arg in args])
            case AttributeRef():
                return None
            case _:
                raise AssertionError(f"{e} in a group")

    def sampled(self, _signals: frozenset[str], /) -> bool:
        """Groups have no messages."""
        return False

    def take(self, transition: Transition, t: int) -> None:
        """Count a transition of a member in, at t."""
        who = (transition.asset, transition.rule)
        if transition.kind == "raised" and transition.announced:
            entered = Transition(t, *who, "raised", transition.severity, True)
            self.raises.append(entered)
            self.active.add(who)
        elif transition.kind in ("returned", "cleared"):
            self.active.discard(who)

    def instants(self) -> list[Position]:
        """Raises leave their window, delays run out."""
        found = self.alarm.deadlines(self)
        if self.group.within is not None:
            found += [(r.t + self.group.within, MESSAGE) for r in self.raises]
        return [p for p in found if p > self.at]


class GroupsOracle:
    """All groups; transitions wait until the groups' clock has passed their time."""

    def __init__(
        self, groups: tuple[Group, ...], key_of: Callable[[str, Group], str | None],
        members: Callable[[Group, str], int | None],
    ) -> None:
        """`key_of(asset, group)`: the asset's key, `members(group, key)`: how many it has."""
        self.groups, self.key_of, self.members = groups, key_of, members
        self.keys: dict[tuple[str, str], Key] = {}
        self.waiting: list[Transition] = []
        self.orders: list[tuple[int, Command]] = []
        self.clock: Position = (-(2**62), MESSAGE)

    def add(self, transitions: list[Transition]) -> None:
        """Take transitions of assets in."""
        self.waiting += transitions

    def key(self, group: Group, name: str) -> Key:
        """The group of that key, new where it is the first time."""
        if (group.id, name) not in self.keys:
            self.keys[group.id, name] = Key(group, name, self.members(group, name))
        return self.keys[group.id, name]

    def advance(self, until: Position) -> list[Transition]:
        """Run everything before `until`, instant by instant."""
        found: list[Transition] = []
        while True:
            begin = self.clock[0]
            places = [max((w.t, MESSAGE), (begin, MESSAGE)) for w in self.waiting]
            places += [max((t, COMMAND), self.clock) for t, _ in self.orders]
            places += [p for key in self.keys.values() for p in key.instants()]
            if not places or min(places) >= until:
                break
            found += self.run(min(places))
        self.clock = max(self.clock, until)
        return found

    def run(self, at: Position) -> list[Transition]:
        """One instant: all transitions of this time together, then the keys it concerns."""
        concerned = [key for key in self.keys.values() if at in key.instants()]
        if at[1] == MESSAGE:
            now = [w for w in self.waiting if w.t <= at[0]]
            self.waiting = [w for w in self.waiting if w.t > at[0]]
            for transition in now:
                concerned += self.give(transition, at[0])
        self.clock = max(self.clock, at)
        found: list[Transition] = []
        if at[1] >= COMMAND:
            now_due = [c for t, c in self.orders if (t, COMMAND) <= at]
            self.orders = [(t, c) for t, c in self.orders if (t, COMMAND) > at]
            found += [tr for c in now_due for tr in self.obey(c, at)]
        for key in dict.fromkeys(id(k) for k in concerned):
            member = next(k for k in concerned if id(k) == key)
            member.at = max(member.at, at)
            found += member.alarm.step(member)
        return found

    def give(self, transition: Transition, t: int) -> list[Key]:
        """Hand a transition to the keys of all groups that count its rule."""
        keys = []
        for group in self.groups:
            name = self.key_of(transition.asset, group)
            if name is not None and transition.rule in group.over:
                keys.append(self.key(group, name))
                keys[-1].take(transition, t)
        return keys

    def order(self, command: Command, t: int) -> None:
        """A reset of a group's alarm at t, after the alarms of that very time."""
        if command.kind == "reset":
            self.orders.append((t, command))

    def obey(self, command: Command, at: Position) -> list[Transition]:
        """Do what is ordered."""
        key = self.keys.get((command.target, command.asset))
        if key is None:
            return []
        key.at = max(key.at, at)
        return key.alarm.reset(key) + key.alarm.step(key)
