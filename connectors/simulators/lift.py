"""A bank of lifts: trips with S-curve travel, doors, passengers, and scripted incidents.

Each lift reports changes of state at once, its speed once a second while it moves, and everything
every 60 s (the heartbeat). The same settings give the same messages, byte for byte.

Travel is the ideal S-curve of R. D. Peters (*Ideal Lift Kinematics*, 1995): jerk j up to the
acceleration a, on up to the speed v. Door times are those usual for 800 mm openings (GB/T 10058).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rules.records import Message

FLOOR_M = 3.0
HEARTBEAT_MS = 60_000
OPEN_MS, CLOSE_MS, START_MS, LEVEL_MS = 2_200, 2_600, 600, 500
ZONE_M = 0.2           # half of the unlocking zone
ALARM_BUTTON, SAFETY_CIRCUIT = 90, 1

IncidentKind = Literal["entrapment", "overspeed", "door_held", "offline"]
Values = dict[str, object]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Incident:
    """Something that goes wrong with one lift at the first trip after `at_ms`, for `lasts_ms`."""

    kind: IncidentKind
    lift: int
    at_ms: int
    lasts_ms: int = 0


@dataclass(frozen=True)
class Bank:
    """Settings of a bank. `start` is ms since 1970; lengths are in ms; `gap_ms` between trips."""

    start: int
    length_ms: int
    lifts: int = 6
    floors: int = 16
    speed: float = 1.75          # m/s, rated
    acceleration: float = 0.8    # m/s²
    jerk: float = 1.0            # m/s³
    gap_ms: int = 150_000        # mean; with the trip itself some 400 trips a day
    seed: int = 7
    prefix: str = "L-"
    incidents: tuple[Incident, ...] = ()


class Travel:
    """One trip over a distance (m): seven phases of constant jerk."""

    def __init__(self, distance: float, v: float, a: float, j: float) -> None:
        """Raises ValueError unless all are above 0 and `a` is reached before `v` (v >= a²/j)."""
        if min(distance, v, a, j) <= 0 or v < a * a / j:
            raise ValueError(f"no such trip: {distance} m at {v} m/s, {a} m/s², {j} m/s³")
        jerk, steady, cruise = a / j, v / a - a / j, distance / v - v / a - a / j
        if cruise < 0:  # the rated speed is not reached
            cruise = 0.0
            peak = (((a / j) ** 2 + 4 * distance / a) ** 0.5 - a / j) * a / 2
            steady = peak / a - a / j
            if steady < 0:  # nor is the acceleration
                jerk, steady = (distance / (2 * j)) ** (1 / 3), 0.0
        lengths = np.array([jerk, steady, jerk, cruise, jerk, steady, jerk])
        self._jerks: Floats = np.array([j, 0, -j, 0, -j, 0, j])
        self._knots: Floats = np.concatenate([[0.0], np.cumsum(lengths)])
        self._states: Floats = np.zeros((8, 3))  # position, speed, acceleration at each knot
        for i, h in enumerate(lengths):
            self._states[i + 1] = self._after(i, h)
        self.seconds = float(self._knots[-1])

    def _after(self, phase: int, h: float) -> tuple[float, float, float]:
        s, v, a = self._states[phase]
        j = self._jerks[phase]
        return s + v * h + a * h * h / 2 + j * h**3 / 6, v + a * h + j * h * h / 2, a + j * h

    def at(self, t: Floats) -> tuple[Floats, Floats]:
        """Position (m) and speed (m/s) at these times (s from the start)."""
        t = np.clip(t, 0.0, self.seconds)
        phase = np.clip(np.searchsorted(self._knots, t, side="right") - 1, 0, 6)
        h, j = t - self._knots[phase], self._jerks[phase]
        s, v, a = self._states[phase].T
        return s + v * h + a * h * h / 2 + j * h**3 / 6, v + a * h + j * h * h / 2


def messages(bank: Bank) -> Iterator[Message]:
    """The messages of a bank in order of time, from its start to before its end."""
    lifts = (_Lift(bank, i).life() for i in range(bank.lifts))
    return heapq.merge(*lifts, key=lambda message: (message.t, message.asset))


class _Lift:
    """One lift. Its methods yield what it says while `now` moves on."""

    def __init__(self, bank: Bank, index: int) -> None:
        self.bank = bank
        self.name = f"{bank.prefix}{index + 1}"
        self.random = np.random.default_rng([bank.seed, index])
        self.now = bank.start + 1000 * index  # heartbeats of a bank do not all fall together
        self.end = bank.start + bank.length_ms
        self.floor = 1
        self.beat = self.now
        self.online = True
        self.incidents = sorted(
            (x for x in bank.incidents if x.lift == index + 1), key=lambda x: x.at_ms
        )
        self.state: Values = {
            "service_mode": "normal", "car_status": "stopped", "door_zone": True,
            "door_closed": True, "passenger": False, "floor": 1, "speed": 0.0,
        }  # fmt: skip

    def life(self) -> Iterator[Message]:
        for message in self._days():
            if message.t >= self.end:
                return
            if self.online:
                yield message

    def _days(self) -> Iterator[Message]:
        yield from self._wait(int(self.random.integers(0, self.bank.gap_ms)))
        while self.now < self.end:
            if self.incidents and self.now >= self.bank.start + self.incidents[0].at_ms:
                yield from self._incident(self.incidents.pop(0))
            else:
                yield from self._trip(self._somewhere())
                yield from self._wait(int(self.random.exponential(self.bank.gap_ms)))

    def _say(self, **values: object) -> Iterator[Message]:
        events = {name: values.pop(name) for name in ("message_code",) if name in values}
        self.state.update(values)
        yield Message(self.name, "lift", self.now, {**values, **events})

    def _wait(self, ms: int) -> Iterator[Message]:
        """Lets time pass, with the heartbeats that fall into it."""
        until = self.now + ms
        while self.beat <= until:
            self.now = max(self.now, self.beat)
            self.beat += HEARTBEAT_MS
            yield Message(self.name, "lift", self.now, dict(self.state))
        self.now = until

    def _somewhere(self) -> int:
        """Half of all trips begin or end at the ground floor."""
        if self.floor != 1 and self.random.random() < 0.5:
            return 1
        other = int(self.random.integers(1, self.bank.floors))
        return other if other < self.floor else other + 1

    def _trip(self, to: int) -> Iterator[Message]:
        yield from self._board()
        yield from self._travel(to)
        yield from self._arrive()

    def _board(self) -> Iterator[Message]:
        yield from self._say(door_closed=False)
        yield from self._wait(OPEN_MS + int(self.random.integers(1_500, 4_000)))
        yield from self._say(passenger=True)
        if self.random.random() < 0.07:  # somebody holds the door
            yield from self._wait(int(self.random.integers(3_000, 6_000)))
        yield from self._wait(CLOSE_MS)
        yield from self._say(door_closed=True)
        yield from self._wait(START_MS)

    def _travel(
        self, to: int, factor: float = 1.0, until: float | None = None
    ) -> Iterator[Message]:
        """To another floor at `factor` times the rated speed, or for `until` seconds only."""
        bank, sign = self.bank, 1 if to > self.floor else -1
        travel = Travel(
            abs(to - self.floor) * FLOOR_M, factor * bank.speed, bank.acceleration, bank.jerk
        )
        seconds = travel.seconds if until is None else min(until, travel.seconds)
        times = np.arange(0.0, seconds, 1.0) + 0.3
        positions, speeds = travel.at(times)
        begin, first = self.now, self.floor
        yield from self._say(car_status="running")
        for t, position, speed in zip(
            times.tolist(), positions.tolist(), speeds.tolist(), strict=True
        ):
            if t >= seconds:
                break
            yield from self._wait(begin + round(t * 1000) - self.now)
            floors = position / FLOOR_M
            here = first + sign * int(floors + 0.5)
            in_zone = bool(abs(floors - round(floors)) * FLOOR_M <= ZONE_M)
            said: Values = {"speed": round(sign * float(speed), 3)}
            said |= {} if self.state["floor"] == here else {"floor": here}
            said |= {} if self.state["door_zone"] == in_zone else {"door_zone": in_zone}
            self.floor = here
            yield from self._say(**said)
        yield from self._wait(max(0, begin + round(seconds * 1000) - self.now))
        if until is None:
            self.floor = to
            yield from self._say(floor=to, speed=0.0, door_zone=True, car_status="stopped")
            yield from self._wait(LEVEL_MS)

    def _arrive(self) -> Iterator[Message]:
        yield from self._say(door_closed=False)
        yield from self._wait(OPEN_MS)
        yield from self._say(passenger=False)
        yield from self._wait(int(self.random.integers(2_000, 4_000)) + CLOSE_MS)
        yield from self._say(door_closed=True)

    def _far(self) -> int:
        return 1 if self.floor > self.bank.floors // 2 else self.bank.floors

    def _incident(self, incident: Incident) -> Iterator[Message]:
        match incident.kind:
            case "entrapment":
                yield from self._entrapment(incident.lasts_ms)
            case "overspeed":
                yield from self._overspeed()
            case "door_held":
                yield from self._say(door_closed=False)
                yield from self._wait(incident.lasts_ms)
                yield from self._say(door_closed=True)
            case "offline":
                yield from self._offline(incident.lasts_ms)

    def _entrapment(self, lasts: int) -> Iterator[Message]:
        """The safety circuit opens in mid-flight; somebody presses the button; rescue comes."""
        yield from self._board()
        yield from self._travel(self._far(), until=9.45)
        yield from self._say(
            car_status="stopped", speed=0.0, door_zone=False, message_code=SAFETY_CIRCUIT
        )
        left = lasts
        for pause in (35_000, 3_000, 2_500, 240_000):
            if pause < left:
                left -= pause
                yield from self._wait(pause)
                yield from self._say(message_code=ALARM_BUTTON)
        yield from self._wait(left)
        yield from self._say(car_status="running", speed=0.25)  # levelled by hand
        yield from self._wait(5_000)
        yield from self._say(car_status="stopped", speed=0.0, door_zone=True)
        yield from self._arrive()

    def _overspeed(self) -> Iterator[Message]:
        """Down (or up) the shaft at 1.2 times the rated speed; then out of service for 20 min."""
        yield from self._board()
        yield from self._travel(self._far(), factor=1.2)
        yield from self._arrive()
        yield from self._say(service_mode="out_of_service")
        yield from self._wait(20 * 60_000)
        yield from self._say(service_mode="normal")

    def _offline(self, lasts: int) -> Iterator[Message]:
        """The gateway says nothing while the lift goes on."""
        self.online = False
        until = self.now + lasts
        while self.now < until:
            yield from self._trip(self._somewhere())
            yield from self._wait(int(self.random.exponential(self.bank.gap_ms)))
        self.online = True
        yield from self._say(**self.state)


def incidents_of(kinds: Iterable[tuple[IncidentKind, int, float, float]]) -> tuple[Incident, ...]:
    """Incidents from rows (kind, lift, minute at which, minutes for which)."""
    return tuple(
        Incident(kind, lift, round(at * 60_000), round(lasts * 60_000))
        for kind, lift, at, lasts in kinds
    )
