"""What the fleet is tried on: rules, and assets that send in real time, with what must come of it.

Two rules are so simple that their alerts are known without the engine: each event `trip` raises
`pump.trip` at its instant, and `hot_raises` says when `pump.hot` is raised.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

STALE_MS = 2_000
SILENT_MS = 3_500
HOT_FOR_MS = 2_000
HOT_CLEAR_MS = 1_000
HOT, CALM = (95.0, 130.0), (20.0, 70.0)

_CLASS = """
  {side}_pump:
    signals:
      temp: {{unit: °C, range: [-40, 250], stale_after: 2 s, period: 200 ms}}
      run: {{states: {{0: stopped, 1: running}}}}
      code: {{events: {{1: trip, 2: button}}}}
    attributes:
      district: {{type: text, default: {side}}}
    silent_after: 3500 ms
    lateness: 3 s
"""
_RULES = """
plans:
  pump.cool:
    title: Cool it
    steps:
    - {{step: acknowledge, role: operator, within: 2 s, do: Say that you have seen it}}
    - {{step: close, role: operator, needs: [cause]}}
    overdue: {{raise_to: red, notify: [desk]}}
rules:
- rule: pump.hot
  class: [east_pump, west_pump]
  when: temp > {limit} °C
  for: 2 s
  clear_when: temp < 80 °C
  clear_for: 1 s
  severity: yellow
  escalate: {{after: 3 s, to: orange}}
  plan: pump.cool
  message: "{{asset}}: {{temp}} for {{held}}"
- rule: pump.trip
  class: [east_pump, west_pump]
  when: code == trip
  severity: red
  latch: true
- rule: pump.warm
  class: [east_pump, west_pump]
  when: mean(temp over 3 s) > 75 °C
  deadband: 5 °C
  severity: blue
- rule: pump.no_start
  class: [east_pump, west_pump]
  when: not_followed(code == button by run == running within 1 s)
  clear_when: run == running
  severity: yellow
groups:
- group: district.hot
  by: district
  over: [pump.hot]
  when: assets >= 12
  within: 2 s
  clear_when: assets < 4
  severity: red
  first_out: true
  plan: pump.cool
- group: pump.session
  by: asset
  over: [pump.hot, pump.trip, pump.warm]
  when: rules >= 3
  within: 6 s
  severity: orange
"""


def pack(limit: float = 90.0) -> bytes:
    """The text of the rules; `limit` (°C) of `pump.hot` may be any between calm and hot."""
    classes = "".join(_CLASS.format(side=side) for side in ("east", "west"))
    return f"classes:{classes}{_RULES.format(limit=limit)}".encode()


@dataclass(slots=True)
class _Pump:
    name: str
    cls: str
    hot_until: int = 0
    samples: list[tuple[int, float]] = field(default_factory=list)
    doubtful: bool = False      # it sent what is no good: what comes of its samples is not known


@dataclass(frozen=True, slots=True)
class Sent:
    """A record for the topic `readings`."""

    asset: str
    value: bytes


class Pumps:
    """Assets that send at random moments. Times are ms since 1970, handed in."""

    def __init__(self, chance: random.Random, count: int, rate: float, start: int) -> None:
        """`rate`: readings a second, of all together."""
        self._chance = chance
        self._pumps = [_Pump(f"P{n:04}", f"{('east', 'west')[n % 2]}_pump") for n in range(count)]
        self._every = 1000.0 * count / rate
        self._due: list[tuple[int, int]] = []
        for n in range(count):
            heappush(self._due, (start + chance.randrange(1_000), n))
        self._wave = start + 4_000
        self.trips: set[tuple[str, int]] = set()
        self.bad = 0                    # records that must come to `refused`
        self.sent = 0

    def until(self, now: int) -> Iterator[Sent]:
        """What they send up to `now`, in the order of time."""
        while self._due and self._due[0][0] <= now:
            t, n = heappop(self._due)
            pump = self._pumps[n]
            if t >= self._wave:         # many of a district at once
                self._wave = t + self._chance.randrange(4_000, 9_000)
                side = self._chance.randrange(2)
                for other in self._chance.sample(self._pumps[side::2], len(self._pumps) // 10):
                    other.hot_until = t + 4_000
            yield from self._says(pump, t)
            wait = self._chance.uniform(0.5, 1.5) * self._every
            if self._chance.random() < 0.1 * self._every / 1000:
                wait = self._chance.uniform(1_000, 6_000)       # stale, silent
            heappush(self._due, (t + max(1, round(wait)), n))

    def _says(self, pump: _Pump, t: int) -> Iterator[Sent]:
        chance = self._chance
        self.sent += 1
        if chance.random() < 0.06 * self._every / 1000:
            pump.hot_until = t + chance.randrange(500, 6_000)
        temp = round(chance.uniform(*(HOT if t < pump.hot_until else CALM)), 1)
        values: dict[str, object] = {"temp": temp}
        if chance.random() < 0.06 * self._every / 1000:
            values["code"] = code = chance.choice([1, 2])
            if code == 1:
                self.trips.add((pump.name, t))
        if chance.random() < 0.05:
            values["run"] = chance.randrange(2)
        if chance.random() < 0.0003:
            pump.doubtful, values["temp"], self.bad = True, 9_999, self.bad + 1
        else:
            pump.samples.append((t, temp))
        message = {"asset": pump.name, "t": t, "class": pump.cls, "values": values}
        yield Sent(pump.name, json.dumps(message).encode())
        if chance.random() < 0.0003:
            self.bad += 1
            yield Sent(pump.name, b'{"asset": no json')

    def hot_raises(self, end: int) -> dict[str, set[int]]:
        """Asset -> when `pump.hot` is raised; of those for which it is beyond doubt."""
        found = {pump.name: hot_raises(pump.samples, end) for pump in self._pumps
                 if not pump.doubtful}
        return {name: raises for name, raises in found.items() if raises is not None}


def hot_raises(samples: Sequence[tuple[int, float]], end: int) -> set[int] | None:
    """When `pump.hot` is raised by (t, temp), by a machine of its own; None where two things fall
    on one instant."""
    raises: set[int] = set()
    active, since, was = False, 0, ""
    for (t, temp), (following, _) in zip(samples, [*samples[1:], (end, 0.0)], strict=True):
        word = "hot" if temp > HOT[0] - 1 else "calm"
        since = since if word == was else t
        was = word
        known_to = min(following, t + STALE_MS)
        due = since + (HOT_CLEAR_MS if active else HOT_FOR_MS)
        if due in (known_to, t) or following == t + STALE_MS:
            return None
        if (word == "hot") is not active and due < known_to:
            if not active:
                raises.add(due)
            active = not active
        if following > t + STALE_MS:
            was = ""
    return raises
