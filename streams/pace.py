"""How far a partition's clock may go: the time by which all that was sent has come in. Pure.

The clock must not run ahead of what still waits in the topics: a worker that takes over, or was
cut off, would find everything late and silent. So the *pace* of an input is

    while records wait     the broker's stamp of the last one played
    when all are played    the moment of the newest answer of a broker that there is nothing more

and a partition's clock goes no further than the least of its inputs'. After a leap (the brokers
were away) those who send need a moment to send what they kept: the clock waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LEAP_MS = 2_000      # between two looks: more is a leap
SETTLE_MS = 5_000    # after it
UNKNOWN = -(1 << 62)


@dataclass(slots=True)
class Input:
    """One topic's partition. `stamp`: of the last record played; `polled`: of the newest answer of
    a broker (both ms, by the brokers' clock)."""

    stamp: int = UNKNOWN
    polled: int = UNKNOWN
    done: int = 0             # next offset to be played
    end: int = -1             # as the newest answer had it; -1: none yet

    def pace(self) -> int:
        """See above."""
        if 0 <= self.end <= self.done:
            return max(self.polled, self.stamp)
        return self.stamp


@dataclass(slots=True)
class Pace:
    """Of a partition, by topic. `begun` (ms): where its clock stands when it is taken over."""

    begun: int
    inputs: dict[str, Input] = field(default_factory=dict)
    _reached: int = UNKNOWN
    _settled: int = UNKNOWN

    def look(self) -> int:
        """The time (ms) up to which everything has come in, as far as can be known."""
        return min((one.pace() for one in self.inputs.values()), default=UNKNOWN)

    def clock(self) -> int | None:
        """Where the partition's clock may go now; None: not on, for the present."""
        now = self.look()
        if now == UNKNOWN:
            return None
        before = self._reached if self._reached != UNKNOWN else self.begun
        if now - before > LEAP_MS:
            self._settled = now + SETTLE_MS
        self._reached = max(now, before)
        return now if now >= self._settled else None


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
