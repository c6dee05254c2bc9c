"""A cell: one group for one key ("power loss, district north"), what counts in it and its alarm."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from rules.model import Level
from streams.group_levels import LevelState

#: Before all times.
BEGINNING = -(1 << 62)


@dataclass(frozen=True, slots=True, order=True)
class Raise:
    """An announced raise: when it was raised, by which asset's alarm of which rule."""

    t: int
    asset: str
    rule: str


@dataclass(slots=True)
class Cell:
    """What counts now (in the window, and active), what is still to come, levels and the alarm."""

    key: str
    levels: list[LevelState]
    clock: int = BEGINNING
    queue: list[tuple[int, int, Raise, bool]] = field(default_factory=list)  # (at, n, what, ended)
    window: deque[tuple[int, Raise]] = field(default_factory=deque)  # (taken in at, what)
    active: dict[tuple[str, str], Raise] = field(default_factory=dict)  # (asset, rule) -> its raise
    assets: Counter[str] = field(default_factory=Counter)  # raises in the window, by asset
    rules: Counter[str] = field(default_factory=Counter)  # raises in the window, by rule
    active_assets: Counter[str] = field(default_factory=Counter)
    severity: int = 0  # of the alarm: its highest active level's, kept while returned
    level: int = 0  # index of that level
    raised: int | None = None  # instant of the raise; None while there is no alarm
    since: int = 0
    returned: bool = False
    first: Raise | None = None
    counted: dict[tuple[str, str], None] = field(default_factory=dict)  # in order of counting in

    def idle(self) -> bool:
        """Whether a new cell would behave the same from now on."""
        busy = self.queue or self.window or self.active or self.raised is not None
        return not busy and all(level.idle() for level in self.levels)

    def alarmed(self) -> bool:
        """Whether the alarm is active, not only waiting for its reset."""
        return self.raised is not None and not self.returned

    def put(self, at: int, n: int, what: Raise, *, ended: bool) -> None:
        """Queues a raise or an end for `at`; `n` keeps the order of those at one instant."""
        heappush(self.queue, (at, n, what, ended))

    def next_instant(self, within: int | None) -> int | None:
        """The earliest instant at which something happens by itself, or None."""
        times = [level.timer.due for level in self.levels if level.timer.due is not None]
        if self.queue:
            times.append(self.queue[0][0])
        if self.window and within is not None:
            times.append(self.window[0][0] + within)
        return min(times, default=None)

    def take(self, now: int, within: int | None) -> list[Raise]:
        """Takes in what is queued for `now`, lets go what has left the window; the new raises."""
        new = []
        while self.queue and self.queue[0][0] <= now:
            _, _, what, ended = heappop(self.queue)
            if ended:
                self._end(what)
            else:
                self._begin(what, now, within)
                new.append(what)
        while self.window and within is not None and self.window[0][0] <= now - within:
            _, gone = self.window.popleft()
            _less(self.assets, gone.asset)
            _less(self.rules, gone.rule)
        return new

    def _begin(self, what: Raise, now: int, within: int | None) -> None:
        if within is not None:
            self._enter(now, what)
        if (what.asset, what.rule) not in self.active:
            self.active_assets[what.asset] += 1
        self.active[what.asset, what.rule] = what

    def _enter(self, at: int, what: Raise) -> None:
        self.window.append((at, what))
        self.assets[what.asset] += 1
        self.rules[what.rule] += 1

    def _end(self, what: Raise) -> None:
        if self.active.pop((what.asset, what.rule), None) is not None:
            _less(self.active_assets, what.asset)

    def counts(self, total: int) -> dict[str, float]:
        """The six counts; `share` is unknown where the inventory has no asset of this key."""
        return {
            "alarms": float(len(self.window)),
            "assets": float(len(self.assets)),
            "rules": float(len(self.rules)),
            "active": float(len(self.active)),
            "active_assets": float(len(self.active_assets)),
            "share": len(self.active_assets) / total if total else math.nan,
        }

    def step(self, levels: Sequence[Level], total: int, now: int) -> int | None:
        """One evaluation of all levels; the index of the highest one that is active, or None."""
        counts = self.counts(total)
        for level, state in zip(levels, self.levels, strict=True):
            state.step(level, counts, now)
        return next((i for i, state in enumerate(self.levels) if state.active), None)

    def forget(self) -> None:
        """The alarm has ended."""
        self.raised, self.returned, self.first, self.counted = None, False, None, {}
        self.severity = self.level = 0

    def plain(self) -> list[object]:
        """Plain data for a snapshot."""
        return [
            self.key,
            [level.plain() for level in self.levels],
            self.clock,
            [[at, n, *_row(what), ended] for at, n, what, ended in self.queue],
            [[at, *_row(what)] for at, what in self.window],
            [_row(what) for what in self.active.values()],
            [self.severity, self.level, self.raised, self.since, self.returned],
            None if self.first is None else _row(self.first),
            [list(pair) for pair in self.counted],
        ]

    @classmethod
    def of(cls, data: Sequence[object]) -> Cell:
        """The cell that `plain` was called on. Raises ValueError when it is none."""
        match data:
            case [
                str(key), list(levels), int(clock), list(queue), list(window), list(active),
                [int(severity), int(level), int() | None as raised, int(since), bool(returned)],
                first, list(counted),
            ]:  # fmt: skip
                pass
            case _:
                raise ValueError("not the state of a group")
        cell = cls(key, [LevelState.of(state) for state in levels], clock)
        cell.queue = [(at, n, Raise(*row), ended) for at, n, *row, ended in queue]
        heapify(cell.queue)
        for at, *row in window:
            cell._enter(at, Raise(*row))
        for what in (Raise(*row) for row in active):
            cell.active[what.asset, what.rule] = what
            cell.active_assets[what.asset] += 1
        cell.severity, cell.level, cell.raised = severity, level, raised
        cell.since, cell.returned = since, returned
        cell.first = Raise(*first) if isinstance(first, list) else None
        cell.counted = dict.fromkeys((asset, rule) for asset, rule in counted)
        return cell


def _row(what: Raise) -> list[object]:
    return [what.t, what.asset, what.rule]


def _less(counter: Counter[str], name: str) -> None:
    counter[name] -= 1
    if not counter[name]:
        del counter[name]
