"""Somebody who reads all changes in order, and holds each to what was promised."""

from __future__ import annotations

from dataclasses import dataclass, field

from rules.records import Change
from streams.alarms import ENDS

CONDITION = {"raised", "level", "returned", "cleared", "stale", "fresh", "suppressed",
             "unsuppressed"}  # fmt: skip


@dataclass
class Seen:
    """An occurrence in the eyes of somebody who reads changes only."""

    seq: int = 0
    told: bool = False
    heard: bool = False          # told of this raise; another one within its ms has the same id
    over: bool = False           # cleared
    holds: int = 0               # severity up to which it is acknowledged
    clocks: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    suppressed: bool = False
    closing: bool = False
    closed: bool = False

    @property
    def finished(self) -> bool:
        return self.over and bool(self.holds or not self.told) and (
            self.closed or not self.closing
        )


class Reader:
    """Reads changes in order and holds each to what was promised."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str, int], Seen] = {}
        self.shelf: dict[tuple[str, str], Change] = {}
        self.out: set[tuple[str, str]] = set()
        self.seqs: dict[tuple[str, str], int] = {}
        self.at: dict[tuple[str, str], int] = {}

    def read(self, change: Change) -> None:
        key = change.rule, change.asset
        assert change.t >= self.at.get(key, 0), "time of a point goes on"
        self.at[key] = change.t
        if change.raised == 0:
            self._point(key, change)
        else:
            self._occurrence(key, change)

    def _point(self, key: tuple[str, str], change: Change) -> None:
        assert change.seq == self.seqs.get(key, 0), "gapless, over the whole run"
        self.seqs[key] = change.seq + 1
        assert not change.announced
        match change.kind:
            case "shelved":
                self.shelf[key] = change
            case "unshelved":
                shelf = self.shelf.pop(key)
                assert change.by or change.t == shelf.until or (
                    shelf.once and change.t < (shelf.until or 0)
                ), "a shelf ends by somebody, at its end, or with its alarm"
            case "out_of_service":
                self.out.add(key)
            case "in_service":
                self.out.remove(key)
            case _:
                raise AssertionError(change.kind)

    def _occurrence(self, key: tuple[str, str], change: Change) -> None:
        first = (*key, change.raised) not in self.seen
        o = self.seen.setdefault((*key, change.raised), Seen())
        assert change.seq == o.seq, "gapless from 0"
        o.seq += 1
        assert not first or (change.kind == "raised" and change.t == change.raised)
        if change.kind in CONDITION:
            assert change.announced != bool(change.held), "what is not announced says why"
        if change.announced and change.kind not in ENDS:
            assert key not in self.shelf, "nothing is announced from the shelf"
            assert key not in self.out, "nothing is announced from out of service"
            # At the end of suppression the engine says all of that instant aloud.
            assert not o.suppressed or change.kind in CONDITION
        if change.kind in ENDS:
            assert change.announced == o.told, "an end is announced if the alarm was"
        if change.kind == "raised":
            assert not o.heard or change.t == change.raised, "announced once"
            o.heard = change.announced
        self._clocks(o, change)
        self._attention(o, change)
        o.told |= change.announced

    def _clocks(self, o: Seen, change: Change) -> None:
        if change.kind == "overdue":
            assert change.t == o.clocks[change.step], "exactly when its time has run out"
            assert change.step not in o.late, "once"
            assert change.step not in o.done, "no step fires when it was done"
            o.late.add(change.step)
        if change.plan:
            o.clocks, o.closing = dict(change.clocks), change.closing
            o.done, o.late = set(), set()
        if change.kind == "step" and change.until is not None:
            o.clocks["close"] = change.until
        if change.step and change.kind in ("step", "closed", "acknowledged"):
            assert change.step not in o.done
            o.done.add(change.step)

    def _attention(self, o: Seen, change: Change) -> None:
        if change.severity > o.holds:
            o.holds = 0
        match change.kind:
            case "raised":
                assert o.over == (o.over and change.t == change.raised)
                o.suppressed = change.held == "suppressed"
                if change.t == change.raised:
                    o.over, o.holds, o.closed, o.done = False, 0, False, set()
            case "suppressed":
                o.suppressed = True
            case "unsuppressed":
                o.suppressed, o.holds = False, 0
            case "cleared":
                assert not o.over, "one end"
                o.over, o.suppressed = True, False
            case "acknowledged":
                assert change.by, "never acknowledged by nobody"
                assert o.told
                o.holds = change.severity
            case "unacknowledged":
                o.holds = 0
                if change.by:
                    o.done.discard("acknowledge")
                    if "acknowledge" in o.clocks:
                        o.clocks["acknowledge"] = max(o.clocks["acknowledge"], change.t)
            case "closed":
                assert o.over, "a loop cannot be closed while the alarm is active"
                assert o.holds
                o.closed = True
            case "superseded":
                assert o.over
                o.told, o.closing = False, False
            case _:
                pass
