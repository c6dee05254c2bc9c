"""Groups: rules over the announced alarms of many assets, or of one.

Facts come in as the assets' transitions, in any order of assets. Each cell (a group for one key)
queues its own by time and is evaluated at its own instants: when a raise or an end comes, when a
raise leaves the window, when a delay runs out. All that happens at one instant counts together,
then comes one evaluation. What comes in behind a cell's clock takes effect at the clock.

Pure: the clock is handed in. Times are ms since 1970.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from rules.model import Asset, Group, Pack
from rules.records import Command, Refusal, Transition, TransitionKind
from rules.tree import signals
from streams.group_cells import BEGINNING, Cell, Raise
from streams.group_levels import LevelState

#: An attribute of an asset as text, or None where it has none: (asset, attribute) -> text.
AttributeOf = Callable[[str, str], str | None]

#: Where assets count: (group, asset) -> the group's key, and whether the inventory lists the asset.
Places = Mapping[tuple[str, str], tuple[str, bool]]
#: The announced alarms of assets that are active: asset -> (rule, when raised).
Active = Mapping[str, Sequence[tuple[str, int]]]
#: Assets of the inventory that have a key: (group, key) -> how many.
TotalOf = Callable[[str, str], int]

#: Alarms remembered as counted in, for one alarm of a parent group: 4,096 x ~100 bytes.
MAX_COUNTED = 4_096

_WINDOWED = frozenset({"alarms", "assets", "rules"})
_ENDS = frozenset({"cleared", "returned"})


@dataclass(frozen=True, slots=True)
class _Kind:
    """A group and what follows from it once."""

    group: Group
    totals: Counter[str]  # key -> assets of the inventory
    by_window: bool  # whether `when` counts raises of the window
    by_active: bool  # whether `when` counts active alarms

    def shares(self) -> bool:
        """Whether it asks for the share of the inventory, of keys that hold many assets."""
        exprs = [e for x in self.group.levels for e in (x.when, x.only_if, x.clear_when, x.moved)]
        asked = frozenset[str]().union(*(signals(e) for e in exprs if e is not None))
        return "share" in asked and self.group.by != "asset"

    def meaning(self) -> str:
        """What gives the state its meaning: a snapshot is used only where this is the same."""
        group = self.group
        levels = [
            (x.severity, x.when, x.delay, x.clear_when, x.clear_delay, x.moved, x.only_if)
            for x in group.levels
        ]
        return repr((group.by, sorted(group.over), group.within, levels))

    def counting(self, cell: Cell) -> Iterable[Raise]:
        """The raises that `when` counts at this moment."""
        if self.by_window:
            yield from (what for _, what in cell.window)
        if self.by_active:
            yield from cell.active.values()


@dataclass(frozen=True, slots=True)
class Total:
    """How many assets of somebody's inventory have a key of a group."""

    group: str
    key: str
    assets: int


@dataclass(frozen=True, slots=True)
class Fact:
    """What a group counts for a key: a raise, or (`ended`) its end."""

    group: str
    key: str
    what: Raise
    ended: bool


class Groups:
    """All groups of a pack: transitions and time come in, the groups' transitions come out.

    `total_of` answers for a group whose inventory lies in several places; else it is `inventory`.
    """

    def __init__(
        self, pack: Pack, inventory: Sequence[Asset], attribute_of: AttributeOf,
        total_of: TotalOf | None = None,
    ) -> None:
        self._attribute_of = attribute_of
        self._total_of = total_of
        self._kinds = {group.id: self._kind(group, inventory) for group in pack.groups}
        self._counted_by: dict[str, list[_Kind]] = {}  # rule -> the groups over it
        for kind in self._kinds.values():
            for rule in kind.group.over:
                self._counted_by.setdefault(rule, []).append(kind)
        self._cells: dict[tuple[str, str], Cell] = {}
        self._agenda: list[tuple[int, str, str]] = []  # (instant, group, key), some out of date
        self._clock = BEGINNING
        self._fed = 0

    @property
    def ids(self) -> tuple[str, ...]:
        """The groups there are."""
        return tuple(self._kinds)

    def totals(self) -> dict[tuple[str, str], int]:
        """Assets of this inventory by group and key, of the groups whose share may need others."""
        return {(name, key): count for name, kind in self._kinds.items() if kind.shares()
                for key, count in kind.totals.items()}

    @property
    def clock(self) -> int:
        """How far all groups have been advanced."""
        return self._clock

    def _kind(self, group: Group, inventory: Sequence[Asset]) -> _Kind:
        keys = (self._key(group, asset.id) for asset in inventory)
        named = frozenset[str]().union(*(signals(level.when) for level in group.levels))
        totals = Counter(key for key in keys if key is not None)
        return _Kind(group, totals, bool(named & _WINDOWED), bool(named - _WINDOWED))

    def _key(self, group: Group, asset: str) -> str | None:
        return asset if group.by == "asset" else self._attribute_of(asset, group.by)

    def feed(self, transitions: Iterable[Transition]) -> None:
        """Takes in the assets' transitions; those of one asset come in their order."""
        self.count(self.facts(transitions))

    def facts(self, transitions: Iterable[Transition]) -> Iterator[Fact]:
        """What of the assets' transitions counts, and where.

        Announced raises and ends count; others, and those of groups, are passed over.
        """
        for transition in transitions:
            kinds = self._counted_by.get(transition.rule)
            if kinds is None or not transition.announced or transition.group:
                continue
            ended = transition.kind in _ENDS
            if ended or transition.kind == "raised":
                what = Raise(transition.t, transition.asset, transition.rule)
                for kind in kinds:
                    key = self._key(kind.group, what.asset)
                    if key is not None:     # an asset without the attribute is in no group
                        yield Fact(kind.group.id, key, what, ended)

    def count(self, facts: Iterable[Fact]) -> None:
        """Takes in facts; those of one asset come in their order. Of a group that there is not any
        more they are passed over."""
        for fact in facts:
            kind = self._kinds.get(fact.group)
            if kind is not None:
                self._queue(kind, fact.key, fact.what, ended=fact.ended)

    def _queue(self, kind: _Kind, key: str, what: Raise, *, ended: bool) -> None:
        cell = self._cells.get((kind.group.id, key))
        if cell is None:
            if ended:
                return  # nothing of it was counted
            cell = Cell(key, [LevelState() for _ in kind.group.levels])
            self._cells[kind.group.id, key] = cell
        self._fed += 1
        cell.put(max(what.t, cell.clock, self._clock), self._fed, what, ended=ended)
        self._plan(kind, cell)

    def look(self, group: str, key: str) -> None:
        """The number of assets has changed: an alarm that was looked at is so anew, at once."""
        cell = self._cells.get((group, key))
        if group in self._kinds and cell is not None and cell.clock > BEGINNING:
            self._queue(self._kinds[group], key, Raise(cell.clock, "", ""), ended=True)

    def places(self, assets: Iterable[str], listed: Callable[[str], bool]) -> Places:
        """Where these assets, which are known, count now."""
        keys = {
            (name, asset): (self._key(kind.group, asset), listed(asset))
            for asset in assets for name, kind in self._kinds.items()
        }  # fmt: skip
        return {at: (key, in_list) for at, (key, in_list) in keys.items() if key is not None}

    def move(self, was: Places, now: Places, active: Active, t: int) -> list[Fact]:
        """Assets count elsewhere from `t` on; the facts that follow, for `count`.

        An asset that comes to another key, or goes, takes its active alarms along: they end under
        the old key and are raised under the new one. What counted in a window stays there. Where
        the number of assets changes, the alarm is looked at, as `share` changes.
        """
        facts = []
        for name, asset in sorted({**was, **now}):
            kind = self._kinds[name]
            old, new = was.get((name, asset)), now.get((name, asset))
            if old == new:
                continue
            for place, more in ((old, -1), (new, 1)):
                if place is not None and place[1]:
                    kind.totals[place[0]] += more
                    self._queue(kind, place[0], Raise(t, "", ""), ended=True)    # an end of none
            before, after = old and old[0], new and new[0]
            for rule, raised in active.get(asset, ()):
                if before != after and rule in kind.group.over:
                    what = Raise(max(t, raised), asset, rule)
                    facts += [Fact(name, key, what, ended) for key, ended in
                              ((before, True), (after, False)) if key is not None]  # fmt: skip
        return facts

    def _plan(self, kind: _Kind, cell: Cell) -> None:
        instant = cell.next_instant(kind.group.within)
        if instant is not None:
            heappush(self._agenda, (instant, kind.group.id, cell.key))

    def advance(self, to: int, *, inclusive: bool) -> list[Transition]:
        """Runs all that falls before `to` (`inclusive`: up to and with it); by time, group, key."""
        end = to if inclusive else to - 1
        out: list[Transition] = []
        while self._agenda and self._agenda[0][0] <= end:
            instant, group, key = heappop(self._agenda)
            kind, cell = self._kinds[group], self._cells.get((group, key))
            if cell is None:
                continue
            if cell.next_instant(kind.group.within) == instant:  # else planned anew since
                self._run(kind, cell, instant, out)
                self._plan(kind, cell)
            if cell.idle():
                del self._cells[group, key]
        self._clock = max(self._clock, to)
        return out

    def command(self, command: Command, t: int) -> tuple[Refusal | None, list[Transition]]:
        """A command to one group's alarm, after what falls before `t` in that cell.

        `reset` clears an alarm that has returned; `acknowledge` and `step` change nothing here and
        are accepted while there is an alarm. A refused command changes nothing.
        """
        kind = self._kinds.get(command.target)
        if kind is None:
            return Refusal(f"there is no group {command.target}"), []
        if command.kind == "set":
            return Refusal("a group has no signals to set"), []
        out: list[Transition] = []
        cell = self._cells.get((command.target, command.asset))
        if cell is not None:
            self._run_before(t, kind, cell, out)
        if cell is None or cell.raised is None:
            return Refusal(f"{command.target} of {command.asset} has no alarm"), out
        if command.kind != "reset":
            return None, out
        if not cell.returned:
            reason = "is active: it can be reset once its condition has returned to normal"
            return Refusal(f"{command.target} of {command.asset} {reason}"), out
        out.append(_transition(kind, cell, "cleared", cell.clock))
        cell.forget()
        return None, out

    def _run_before(self, t: int, kind: _Kind, cell: Cell, out: list[Transition]) -> None:
        while (instant := cell.next_instant(kind.group.within)) is not None and instant < t:
            self._run(kind, cell, instant, out)
        cell.clock = max(cell.clock, self._clock, t)
        # Planned for its clock too, where it is dropped if nothing is left in it.
        heappush(self._agenda, (cell.clock, kind.group.id, cell.key))
        self._plan(kind, cell)

    def _run(self, kind: _Kind, cell: Cell, now: int, out: list[Transition]) -> None:
        group, alarmed = kind.group, cell.alarmed()
        cell.clock = max(cell.clock, now)
        new = cell.take(now, group.within)
        top = cell.step(group.levels, self._total(kind, cell.key), now)
        if top is None:
            if alarmed:
                out.append(_transition(kind, cell, "returned" if group.latch else "cleared", now))
                cell.returned = group.latch
                if not group.latch:
                    cell.forget()
            return
        severity = group.levels[top].severity
        changed = severity != cell.severity
        cell.severity, cell.level = severity, top
        if not alarmed:
            _begin(kind, cell, now)
            out.append(_transition(kind, cell, "raised", now))
            return
        _count_in(kind, cell, sorted(new))
        if changed:
            out.append(_transition(kind, cell, "level", now))

    def _total(self, kind: _Kind, key: str) -> int:
        if self._total_of is None or kind.group.by == "asset":
            return kind.totals.get(key, 0)
        return self._total_of(kind.group.id, key)

    def succeed(self, other: Groups, t: int) -> tuple[tuple[str, ...], list[Transition]]:
        """Takes over from the groups of another pack what means the same here, at `t`.

        Returns the groups that start anew, and the ends of the alarms that are not taken over.
        """
        self.restore(other.state())
        ended = [
            _transition(kind, cell, "cleared", t)
            for (group, key), cell in sorted(other._cells.items())
            if cell.raised is not None and (group, key) not in self._cells
            for kind in (other._kinds[group],)
        ]
        same = {name for name, kind in other._kinds.items()
                if name in self._kinds and self._kinds[name].meaning() == kind.meaning()}
        return tuple(name for name in self._kinds if name not in same), ended

    def state(self) -> object:
        """All state as plain lists, dictionaries, numbers and strings."""
        return [
            self._clock,
            self._fed,
            {group: kind.meaning() for group, kind in self._kinds.items()},
            [[group, *cell.plain()] for (group, _), cell in self._cells.items()],
        ]

    def restore(self, data: object) -> None:
        """Takes over what `state` gave; a group that means something else now starts anew.

        Raises ValueError when it is no such data.
        """
        match data:
            case [int(clock), int(fed), dict(meanings), list(cells)]:
                pass
            case _:
                raise ValueError("not the state of groups")
        self._clock, self._fed = clock, fed
        self._cells, self._agenda = {}, []
        for group, *fields in cells:
            kind = self._kinds.get(group)
            if kind is not None and meanings.get(group) == kind.meaning():
                cell = Cell.of(fields)
                self._cells[group, cell.key] = cell
                self._plan(kind, cell)


def _begin(kind: _Kind, cell: Cell, now: int) -> None:
    cell.raised, cell.returned = now, False
    cell.since = cell.levels[cell.level].since
    cell.first = min(kind.counting(cell), default=None) if kind.group.first_out else None
    cell.counted = {}
    _count_in(kind, cell, sorted(kind.counting(cell)))     # whoever came first by the feed


def _count_in(kind: _Kind, cell: Cell, raises: Iterable[Raise]) -> None:
    if kind.group.parent:
        for what in raises:
            if len(cell.counted) >= MAX_COUNTED:
                return
            cell.counted[what.asset, what.rule] = None


def _transition(kind: _Kind, cell: Cell, what: TransitionKind, t: int) -> Transition:
    first = cell.first
    return Transition(
        t=t,
        asset=cell.key,
        rule=kind.group.id,
        kind=what,
        severity=cell.severity,
        announced=True,
        group=True,
        raised=t if cell.raised is None else cell.raised,
        since=cell.since,
        level=cell.level,
        first_out=None if first is None else (first.asset, first.rule),
        counted=tuple(cell.counted),
    )
