"""A partition's share of a site: its own assets, and of the groups those that fall to it. Pure.

What the assets say and groups count may concern groups of any partition, so it goes out as facts
and comes in, from all partitions, by `feed`. How far the groups may go says `advance`. A group that
asks for the share of the inventory needs how many assets all partitions have: that goes out and
comes in likewise, first of all and whenever other rules ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from rules.model import Asset, Pack
from rules.records import Transition
from streams.activate import Activation
from streams.engine import in_order
from streams.groups import Fact, Groups, Total
from streams.site import Site

#: By group and key: how many assets each partition has.
Totals = dict[tuple[str, str], dict[int, int]]


class Share(Site):
    """A site whose groups are fed from outside."""

    _out: tuple[Fact | Total, ...] = ()
    totals: Totals | None = None     # None: nothing has been told

    @property
    def inventory(self) -> tuple[Asset, ...]:
        """In an order of its own: the hash of it is recorded, also after a takeover."""
        return tuple(sorted(self._inventory, key=lambda asset: asset.id))

    def take(self) -> tuple[Fact | Total, ...]:
        """What groups need to know of what happened since the last call, in its order."""
        out, self._out = self._out, ()
        return out

    def begin(self) -> None:
        """Tells of the inventory."""
        self._inform({})

    def feed(self, facts: Iterable[Fact]) -> None:
        """Facts of any partition; those of one asset come in their order."""
        self.groups.count(facts)

    def total(self, source: int, told: Total) -> None:
        """How many assets a partition has; groups count with it from where they have come to."""
        if self.totals is None:
            self.totals = {}
        of = self.totals.setdefault((told.group, told.key), {})
        of[source] = told.assets
        if not any(of.values()):
            del self.totals[told.group, told.key]
        self.groups.look(told.group, told.key)

    def advance(self, to: int) -> list[Transition]:
        """Runs all that falls before `to` in the groups: no earlier fact will come."""
        return in_order(self.groups.advance(to, inclusive=False))

    def activate(self, pack: Pack, t: int) -> Activation:
        """As of `Site`; groups do not run on to `t`: others may be behind. Assets of a class that
        is gone leave the inventory, too."""
        before = self.groups.totals()
        self._inventory = tuple(x for x in self._inventory if x.cls in pack.classes)
        done = super().activate(pack, t)
        self._inform(before)
        return done

    def _restock(
        self, ids: Sequence[str], t: int, work: Callable[[], list[Transition]]
    ) -> list[Transition]:
        before = self.groups.totals()
        made = super()._restock(ids, t, work)
        self._inform(before)
        return made

    def _grouped(self, pack: Pack) -> Groups:
        return Groups(pack, self._inventory, self.attribute, self._total)

    def _total(self, group: str, key: str) -> int:
        return sum((self.totals or {}).get((group, key), {}).values())

    def _inform(self, before: Mapping[tuple[str, str], int]) -> None:
        """What of the inventory is not as it was told."""
        now = self.groups.totals()
        self._out += tuple(
            Total(*at, now.get(at, 0)) for at in sorted(before.keys() | now.keys())
            if before.get(at, 0) != now.get(at, 0)
        )  # fmt: skip

    def _tell(self, facts: Iterable[Fact]) -> None:
        self._out += tuple(facts)

    def _advance(self, to: int, *, inclusive: bool) -> list[Transition]:
        """Nothing: groups do not follow the clock of this partition."""
        del to, inclusive
        return []
