"""A site: the engine and the groups behind one set of methods.

Pure: time comes in with each call. All methods return the transitions of assets and groups ordered
by time, then asset or group, then rule (those of one alarm at one instant as they happened).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush

import msgspec

from rules.model import Asset, Attribute, Pack
from streams.engine import Engine
from streams.groups import Groups
from streams.intake import Batch
from streams.records import Command, Message, Refusal, Transition

#: Tells what became of a command that waited for its time.
Told = Callable[[Refusal | None], None]


class Site:
    """All assets and groups of one pack. `start` (ms) is when the inventory's assets begin."""

    def __init__(
        self,
        pack: Pack,
        zone: str = "UTC",
        inventory: Sequence[Asset] = (),
        start: int | None = None,
    ) -> None:
        self._take(pack, inventory, Engine(pack, zone, inventory, start))

    def _take(self, pack: Pack, inventory: Sequence[Asset], engine: Engine) -> None:
        self._pack = pack
        self._engine = engine
        self._inventory = tuple(inventory)
        self._assets = {asset.id: asset for asset in inventory}
        self._heard: dict[str, str] = {}  # asset -> class, of those not in the inventory
        self._groups = Groups(pack, self._inventory, self.attribute)
        self._lateness = max((cls.lateness for cls in pack.classes.values()), default=0)
        self._waiting: list[tuple[int, int, Command, Told]] = []
        self._scheduled = 0

    def attribute(self, asset: str, name: str) -> str | None:
        """An attribute of an asset as text, defaults filled in; None where it has none."""
        known = self._assets.get(asset)
        cls = self._pack.classes.get(known.cls if known else self._heard.get(asset, ""))
        declared = cls.attributes.get(name) if cls else None
        if declared is None:
            return None
        given = known.attributes.get(name) if known else None
        return _text(declared, declared.default if given is None else given)

    def messages(self, messages: Sequence[Message]) -> list[Transition]:
        """Takes messages in the order of their arrival."""
        for message in messages:
            if message.asset not in self._assets:
                self._heard.setdefault(message.asset, message.cls)
        return self._fed(self._engine.messages(list(messages)))

    def batch(self, batch: Batch) -> list[Transition]:
        """Takes a batch of messages as the intake made it of bytes."""
        return self._fed(self._engine.batch(batch))

    def tick(self, now: int) -> list[Transition]:
        """The system's clock stands at `now`: what fell due before it less the lateness runs."""
        made = self._engine.tick(now)
        self._groups.feed(made)
        return _ordered(made + self._advance(now - self._lateness, inclusive=False))

    def run_until(self, t: int) -> list[Transition]:
        """Runs all instants up to and with `t`."""
        made = self._engine.run_until(t)
        self._groups.feed(made)
        return _ordered(made + self._advance(t, inclusive=True))

    def command(self, command: Command, t: int) -> tuple[Refusal | None, list[Transition]]:
        """An operator's command at `t`; refused, it changes nothing."""
        if command.group:
            return self._groups.command(command, t)
        refusal, made = self._engine.command(command, t)
        return refusal, self._fed(made)

    def schedule(self, command: Command, t: int, told: Told) -> None:
        """A command to a group that waits until the groups have come to `t`.

        For replays, where what happened before `t` may still be on its way. `told` hears of it.
        """
        self._scheduled += 1
        heappush(self._waiting, (t, self._scheduled, command, told))

    def _fed(self, made: list[Transition]) -> list[Transition]:
        self._groups.feed(made)
        return _ordered(made)

    def _advance(self, to: int, *, inclusive: bool) -> list[Transition]:
        made: list[Transition] = []
        while self._waiting and (self._waiting[0][0] < to + inclusive):
            t, _, command, told = heappop(self._waiting)
            refusal, transitions = self._groups.command(command, t)
            made += transitions
            told(refusal)
        return made + self._groups.advance(to, inclusive=inclusive)

    def snapshot(self) -> bytes:
        """All state; scheduled commands are not part of it."""
        rows = [[x.id, x.cls, x.attributes, x.overrides] for x in self._inventory]
        parts = [self._engine.snapshot(), self._groups.state(), rows, self._heard]
        return msgspec.msgpack.encode(parts)

    @classmethod
    def restore(cls, pack: Pack, data: bytes, zone: str = "UTC") -> Site:
        """The site as it was at its snapshot. Raises ValueError when it is none."""
        try:
            match msgspec.msgpack.decode(data):
                case [bytes(engine), groups, list(rows), dict(heard)]:
                    inventory = [Asset(*row) for row in rows]
                case _:
                    raise ValueError("not the snapshot of a site")
        except (msgspec.DecodeError, TypeError) as error:
            raise ValueError(f"not the snapshot of a site: {error}") from None
        site = cls.__new__(cls)
        site._take(pack, inventory, Engine.restore(pack, engine, zone))
        site._heard = heard
        site._groups.restore(groups)
        return site


def _ordered(transitions: list[Transition]) -> list[Transition]:
    return sorted(transitions, key=lambda x: (x.t, x.asset, x.rule))


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
