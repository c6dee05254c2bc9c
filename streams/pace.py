"""How far a partition's clock may go: the time by which all that was sent has come in. Pure.

The clock must not run ahead of what still waits in the topics: a worker that takes over, or was
cut off, would find everything late and silent. So the *pace* of an input is

    while records wait     the broker's stamp of the last one played
    when all are played    the moment of the newest answer of a broker that there is nothing more

and a partition's clock goes no further than the least of its inputs'. While the brokers are away,
those who send readings keep them, and need a moment to send them after: so a *gap*, a time of which
nothing is known (no reading arrived, and no broker said that there is none), keeps the clock back,
and so do those after it that had been kept (older on arrival than a gap is long), for a while.
Our own haste or slowness is no gap: what was played has stamps, however late it was played. Orders
and facts need no moment: orders act on arrival, and facts have marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

GAP_MS = 2_000       # more is a gap
SETTLE_MS = 5_000    # after it, and after the last reading that had been kept …
LONGEST_MS = 60_000  # … at most: a device with a wrong clock sends nothing else
KEPT = "readings"    # the input whose senders keep what they have
UNKNOWN = -(1 << 62)


@dataclass(slots=True)
class Input:
    """One topic's partition. `stamp`: of the last record played; `polled`: of the newest answer of
    a broker (both ms, by the brokers' clock)."""

    stamp: int = UNKNOWN
    polled: int = UNKNOWN
    done: int = 0             # next offset to be played
    end: int = -1             # as the newest answer had it; -1: none yet
    known: int = UNKNOWN      # what came up to then (ms) is known
    gap: int = UNKNOWN        # when the newest gap ended
    kept: int = UNKNOWN       # when readings came, the newest of those kept meanwhile

    def pace(self) -> int:
        """See above."""
        if 0 <= self.end <= self.done:
            return max(self.polled, self.stamp)
        return self.stamp

    def played(self, stamps: Sequence[int], done: int, eldest: int | None = None) -> None:
        """Records with these stamps (one at least) were played, the last before offset `done`.
        `eldest`: the earliest time (ms) that their readings tell of.
        """
        self.done, self.stamp = done, max(self.stamp, stamps[-1])
        for stamp in stamps if stamps[-1] - self.known > GAP_MS else stamps[-1:]:
            self._know(stamp)
        if eldest is not None and stamps[0] - eldest > GAP_MS and stamps[0] < self.settled():
            self.kept = min(stamps[-1], self.gap + LONGEST_MS - SETTLE_MS)
        self._know(self.pace())

    def settled(self) -> int:
        """When those who send will have sent what they kept (ms)."""
        return max(self.gap, self.kept) + SETTLE_MS

    def asked(self, end: int, polled: int) -> None:
        """A broker's answer: where the partition ends, and when it said so."""
        self.end, self.polled = end, polled
        self._know(self.pace())

    def _know(self, t: int) -> None:
        if t - self.known > GAP_MS:
            self.gap = t
        self.known = max(self.known, t)


@dataclass(slots=True)
class Pace:
    """Of a partition, by topic. `begun` (ms): where its clock stands when it is taken over."""

    begun: int
    inputs: dict[str, Input] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.inputs.values():
            one.known = max(one.known, self.begun)

    def look(self) -> int:
        """The time (ms) up to which everything has come in, as far as can be known."""
        return min((one.pace() for one in self.inputs.values()), default=UNKNOWN)

    def clock(self) -> int | None:
        """Where the partition's clock may go now; None: not on, for the present."""
        now = self.look()
        kept = self.inputs.get(KEPT)
        if now == UNKNOWN or (kept is not None and now < kept.settled()):
            return None
        return now


class Skew:
    """How far this machine's clock is ahead of the brokers' (ms), by the stamps of records that
    have just come: the least difference lately is the skew and the shortest way."""

    SPAN_MS = 300_000

    def __init__(self) -> None:
        self._least: list[tuple[int, int]] = []      # (when, difference), of the last spans

    def heard(self, now: int, stamp: int) -> None:
        """A record that was written at `stamp` is here at `now`."""
        if self._least and now - self._least[-1][0] < self.SPAN_MS:
            when, least = self._least[-1]
            self._least[-1] = when, min(least, now - stamp)
        else:
            self._least = [*self._least[-1:], (now, now - stamp)]

    @property
    def ms(self) -> int:
        """The skew; 0 as long as nothing has been heard."""
        return min((difference for _, difference in self._least), default=0)
