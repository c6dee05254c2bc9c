"""A site: the engine and the groups behind one set of methods.

Pure: time comes in with each call. All methods return the transitions of assets and groups ordered
by time, then asset or group, then rule (those of one alarm at one instant as they happened).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from heapq import heappop, heappush

import msgspec

from rules.model import Asset, Attribute, Pack
from rules.records import Command, Message, Refusal, Transition
from streams import parcels
from streams.activate import Activation
from streams.engine import Engine, in_order
from streams.groups import Fact, Groups, Places
from streams.intake import Batch, Scanned
from streams.plant import Programs
from streams.readings import Mine

#: Tells what became of a command that waited for its time.
Told = Callable[[Refusal | None], None]


class Site:
    """All assets and groups of one pack. `start` (ms) is when the inventory's assets begin.

    `programs` are the pack's compiled rules, for those who make many sites of one pack; `engine`
    is one that already runs (with `inventory`). `mine`: which assets that are first heard belong
    here (of an engine that already runs: as it was made).
    """

    def __init__(
        self,
        pack: Pack,
        zone: str = "UTC",
        inventory: Sequence[Asset] = (),
        start: int | None = None,
        programs: Programs | None = None,
        engine: Engine | None = None,
        mine: Mine | None = None,
    ) -> None:
        self._pack = pack
        self.engine = engine or Engine(pack, zone, inventory, start, programs, mine)
        self._inventory = tuple(inventory)
        self.groups = self._grouped(pack)
        self._lateness = max((cls.lateness for cls in pack.classes.values()), default=0)
        self._waiting: list[tuple[int, int, Command, Told]] = []
        self._scheduled = 0

    @property
    def assets(self) -> Sequence[str]:
        """The ids of all assets known, in the order in which they came."""
        return self.engine.assets.ids

    @property
    def inventory(self) -> tuple[Asset, ...]:
        """The assets of the inventory."""
        return self._inventory

    def class_of(self, asset: str) -> str | None:
        """The class of an asset, None when it is not known."""
        index = self.engine.assets.index(asset)
        return None if index is None else self.engine.assets.classes[self.engine.assets.cls[index]]

    def attribute(self, asset: str, name: str) -> str | None:
        """An attribute of an asset as text, defaults filled in; None where it has none."""
        assets = self.engine.assets
        index = assets.index(asset)
        if index is None:
            return None
        declared = self._pack.classes[assets.classes[assets.cls[index]]].attributes.get(name)
        if declared is None:
            return None
        given = assets.attributes(index).get(name)
        return _text(declared, declared.default if given is None else given)

    def scan(self, data: bytes | list[bytes], now: int | None = None) -> Scanned:
        """Understands messages in bytes, one a line; what comes of it is for `batch`."""
        return self.engine.intake.scan(data, now)

    def messages(self, messages: Sequence[Message]) -> list[Transition]:
        """Takes messages in the order of their arrival."""
        return self._fed(self.engine.messages(list(messages)))

    def batch(self, batch: Batch) -> list[Transition]:
        """Takes a batch of messages as the intake made it of bytes."""
        return self._fed(self.engine.batch(batch))

    def tick(self, now: int) -> list[Transition]:
        """The system's clock stands at `now`: what fell due before it less the lateness runs."""
        made = self.engine.tick(now)
        self._count(made)
        return in_order(made + self._advance(now - self._lateness, inclusive=False))

    def run_until(self, t: int) -> list[Transition]:
        """Runs all instants up to and with `t`."""
        made = self.engine.run_until(t)
        self._count(made)
        return in_order(made + self._advance(t, inclusive=True))

    def command(self, command: Command, t: int) -> tuple[Refusal | None, list[Transition]]:
        """An operator's command at `t`; refused, it changes nothing."""
        if command.group:
            return self.groups.command(command, t)
        refusal, made = self.engine.command(command, t)
        return refusal, self._fed(made)

    def activate(self, pack: Pack, t: int) -> Activation:
        """A changed pack takes over at `t`, before which all instants have run."""
        done = self.engine.activate(pack, t)
        groups = self._grouped(pack)
        self._pack = pack
        self._lateness = max((cls.lateness for cls in pack.classes.values()), default=0)
        before = self.groups
        self._count(done.transitions)
        ran = self._advance(t, inclusive=False)
        anew, ended = groups.succeed(before, t)
        self.groups = groups
        kept = {group.id for group in pack.groups}
        gone = tuple(name for name in before.ids if name not in kept)
        return Activation(
            (*done.anew, *anew), (*done.gone, *gone),
            tuple(in_order([*done.transitions, *ran, *ended])),
        )  # fmt: skip

    def enter(self, assets: Sequence[Asset], t: int) -> list[Transition]:
        """Assets come into the inventory at `t`, or it says something else of them: as
        `Engine.enter`, and in groups as `Groups.move`. Raises AssetError, having changed nothing.
        """
        self.engine.check(assets)
        made = self._restock([x.id for x in assets], t, lambda: self.engine.enter(assets, t))
        kept = {x.id: x for x in self._inventory}
        self._inventory = tuple((kept | {x.id: x for x in assets}).values())
        return made

    def leave(self, assets: Collection[str], t: int) -> list[Transition]:
        """Assets are gone at `t`, with their alarms cleared, as `Engine.leave`; groups do not count
        them any more. Those that are not known are passed over."""
        gone = frozenset(assets)
        made = self._restock(sorted(gone), t, lambda: self.engine.leave(gone, t))
        self._inventory = tuple(x for x in self._inventory if x.id not in gone)
        return made

    def _restock(
        self, ids: Sequence[str], t: int, work: Callable[[], list[Transition]]
    ) -> list[Transition]:
        """Brings all to `t`, changes assets there, and tells the groups where they count now."""
        ran = self.engine.run_before(t)
        self._count(ran)
        ran += self._advance(t, inclusive=False)
        was, active = self._places(ids), self.engine.active(ids)
        made = work()
        self._tell(self.groups.move(was, self._places(ids), active, t))
        self._count(made)
        return in_order([*ran, *made])

    def _places(self, ids: Sequence[str]) -> Places:
        assets = self.engine.assets
        numbers = {x: n for x in ids if (n := assets.index(x)) is not None}
        return self.groups.places(numbers, lambda x: bool(assets.listed[numbers[x]]))

    def schedule(self, command: Command, t: int, told: Told) -> None:
        """A command to a group that waits until the groups have come to `t`.

        For replays, where what happened before `t` may still be on its way. `told` hears of it.
        """
        self._scheduled += 1
        heappush(self._waiting, (t, self._scheduled, command, told))

    def _grouped(self, pack: Pack) -> Groups:
        return Groups(pack, self._inventory, self.attribute)

    def _count(self, made: Sequence[Transition]) -> None:
        """Has the groups count what the assets say."""
        self._tell(self.groups.facts(made))

    def _tell(self, facts: Iterable[Fact]) -> None:
        """Facts for the groups."""
        self.groups.count(facts)

    def _fed(self, made: list[Transition]) -> list[Transition]:
        self._count(made)
        return in_order(made)

    def _advance(self, to: int, *, inclusive: bool) -> list[Transition]:
        made: list[Transition] = []
        while self._waiting and (self._waiting[0][0] < to + inclusive):
            t, _, command, told = heappop(self._waiting)
            refusal, transitions = self.groups.command(command, t)
            made += transitions
            told(refusal)
        return made + self.groups.advance(to, inclusive=inclusive)

    def snapshot(self) -> bytes:
        """All state; scheduled commands are not part of it."""
        rows = [[x.id, x.cls, x.attributes, x.overrides] for x in self._inventory]
        return msgspec.msgpack.encode([parcels.snapshot(self.engine), self.groups.state(), rows])

    @classmethod
    def restore(
        cls, pack: Pack, data: bytes, zone: str = "UTC", mine: Mine | None = None
    ) -> Site:
        """The site as it was at its snapshot. Raises ValueError when it is none."""
        try:
            match msgspec.msgpack.decode(data):
                case [bytes(engine), groups, list(rows)]:
                    inventory = [Asset(*row) for row in rows]
                case _:
                    raise ValueError("not the snapshot of a site")
        except (msgspec.DecodeError, TypeError) as error:
            raise ValueError(f"not the snapshot of a site: {error}") from None
        site = cls(pack, zone, inventory, engine=parcels.restore(pack, engine, zone, mine=mine))
        site.groups.restore(groups)
        return site


def _text(attribute: Attribute, given: float | str | None) -> str | None:
    if given is None or given == "":
        return None
    if isinstance(given, str):
        return given
    if attribute.kind == "states":
        return next((name for name, code in attribute.names.items() if code == given), None)
    if attribute.kind == "bool":
        return "true" if given else "false"
    return f"{given:.12g}"
