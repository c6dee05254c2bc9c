"""A worker that watches itself: what it sees goes to `readings`, where rules judge it.

Every 5 s, and once more when it stops in order. See `streams.health` for what is said, and for what
must be seen by others: a worker that is dead says nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from streams.health import REPORT_MS, Observed, PartitionSeen, Skews, reports
from streams.partition import EXPECTED
from streams.run.clock import wall
from streams.run.fetching import TP, Place
from streams.run.held import Held, Names
from streams.run.outgoing import SendError

log = logging.getLogger(__name__)

AWAY_MS = 2_000         # without an answer of any broker: it is away
LAST_S = 0.5            # for the last report, of the 2 s that a worker has to end

_QUIET = frozenset(reason.value for reason in EXPECTED)

#: Sends (key, value) to `readings`. Raises SendError.
Send = Callable[[Sequence[tuple[str, bytes]]], Awaitable[None]]


@dataclass
class Watch:
    """What a worker says of itself. Times in ms by this machine's clock."""

    name: str
    names: Names
    partition_of: Callable[[str], int]
    held: Callable[[], Mapping[int, Held]]
    places: Callable[[], Mapping[TP, Place]]
    skew_ms: Callable[[], int]
    started: int = field(default_factory=wall)
    stalled: Mapping[TP, float] = field(default_factory=dict)       # as the transport said last
    _skews: dict[int, Skews] = field(default_factory=dict)
    _answered: int = 0              # newest answer of a broker
    _away: int = 0                  # over since the last report

    def answered(self, at: int) -> None:
        """A broker has answered."""
        if self._answered and at - self._answered > AWAY_MS:
            self._away = max(self._away, at - self._answered)
        self._answered = max(self._answered, at)

    def skewed(self, partition: int, devices: Sequence[tuple[str, int]]) -> None:
        """Devices whose times do not fit their arrival: (asset, ms ahead)."""
        skews, now = self._skews.setdefault(partition, Skews()), wall()
        for asset, skew in devices:
            skews.note(asset, skew, now)

    def look(self, *, stopped: bool = False) -> Observed:
        """What there is to see now."""
        now, away = wall(), self._away
        self._away = 0
        held = self.held()
        self._skews = {number: one for number, one in self._skews.items() if number in held}
        return Observed(
            self.name, now, self.started, tuple(self._seen(one, now) for one in held.values()),
            self.skew_ms(), away, stopped=stopped,
        )  # fmt: skip

    def _seen(self, held: Held, now: int) -> PartitionSeen:
        tp = TP(self.names.of("readings"), held.number)
        place, said = self.places().get(tp), held.pace.inputs["readings"]
        lag = place.lag if place is not None else 0
        stalled = max((s for at, s in self.stalled.items() if at.partition == held.number),
                      default=0.0)
        skewed, off = self._skews.setdefault(held.number, Skews()).look(now)
        refused = sum(n for reason, n in held.partition.counts.items() if reason not in _QUIET)
        return PartitionSeen(
            held.number, held.epoch, lag, int(stalled * 1000), refused, 0,
            held.unsaved_ms(now), max(0, now - self.skew_ms() - said.stamp) if lag else 0,
            skewed, off,
        )  # fmt: skip

    async def run(
        self, send: Send, classes: Callable[[], Container[str]], stop: asyncio.Event,
        stopping: asyncio.Event,
    ) -> None:
        """Reports until `stop` is set, then once more, and sets `stopping`."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REPORT_MS / 1000)
            try:
                said = reports(self.look(stopped=stop.is_set()), self.partition_of, classes())
                async with asyncio.timeout(LAST_S if stop.is_set() else None):
                    await send(said)
            except (SendError, TimeoutError) as error:
                log.warning("the worker could not report on itself: %s", error)
        stopping.set()
        await asyncio.Event().wait()
