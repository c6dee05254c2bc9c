"""A partition's share of a site: its own assets, and of the groups those that fall to it. Pure.

What the assets say and groups count may concern groups of any partition, so it goes out as facts
and comes in, from all partitions, by `feed`. How far the groups may go says `advance`.
"""

from __future__ import annotations

from collections.abc import Iterable

from rules.records import Transition
from streams.engine import in_order
from streams.groups import Fact
from streams.site import Site


class Share(Site):
    """A site whose groups are fed from outside."""

    _facts: tuple[Fact, ...] = ()

    def take_facts(self) -> tuple[Fact, ...]:
        """What groups count of what happened since the last call, in its order."""
        facts, self._facts = self._facts, ()
        return facts

    def feed(self, facts: Iterable[Fact]) -> None:
        """Facts of any partition; those of one asset come in their order."""
        self.groups.count(facts)

    def advance(self, to: int) -> list[Transition]:
        """Runs all that falls before `to` in the groups: no earlier fact will come."""
        return in_order(self.groups.advance(to, inclusive=False))

    def _tell(self, facts: Iterable[Fact]) -> None:
        self._facts += tuple(facts)

    def _advance(self, to: int, *, inclusive: bool) -> list[Transition]:
        """Nothing: groups do not follow the clock of this partition."""
        del to, inclusive
        return []
