"""The stated baseline: the same twenty rules as a plain Python loop over dictionaries.

What a careful programmer writes by hand without an engine: limits, states, timers and windows, but
no unknown logic, no exact instants, no suppression. It is there to be compared with.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

State = dict[str, Any]


def new() -> State:
    """An asset of which nothing is known."""
    return {
        "speed": 0.0, "temp": 20.0, "pressure": 40.0, "status": 1, "door": False, "occupied": False,
        "since": {}, "on": set(), "temps": deque(), "bars": deque(), "doors": deque(), "rows": 0,
        "was_door": False, "ended": 0, "occupied_at": None, "mean": 20.0, "last": 0, "before": 40.0,
    }  # fmt: skip


def _window(queue: deque[tuple[int, float]], t: int, v: float, width: int) -> None:
    queue.append((t, v))
    while queue[0][0] <= t - width:
        queue.popleft()


def _slope(queue: deque[tuple[int, float]]) -> float:
    n = len(queue)
    if n < 2:
        return 0.0
    mean_t = sum(t for t, _ in queue) / n
    mean_v = sum(v for _, v in queue) / n
    along = sum((t - mean_t) ** 2 for t, _ in queue)
    return 1000 * sum((t - mean_t) * (v - mean_v) for t, v in queue) / along if along else 0.0


def conditions(s: State, t: int, values: dict[str, Any]) -> list[tuple[bool, int]]:
    """Each rule's condition after a message, and how long it must hold in ms."""
    s.update(values)
    speed, temp, bar = abs(s["speed"]), s["temp"], s["pressure"]
    running, door, occupied = s["status"] == 1, s["door"], s["occupied"]
    if "temp" in values:
        _window(s["temps"], t, temp, 10_000)
        s["mean"] += (1 - math.exp(-(t - s["last"]) / 60_000)) * (temp - s["mean"])
        s["last"] = t
    if "pressure" in values:
        change = bar - s["before"]
        s["before"] = bar
        _window(s["bars"], t, bar, 10_000)
    else:
        change = 0.0
    if door and not s["was_door"]:
        _window(s["doors"], t, 1.0, 60_000)
    s["was_door"] = door
    if running:
        s["ended"] = t
    s["occupied_at"] = (s["occupied_at"] or t) if occupied else None
    s["rows"] = s["rows"] + 1 if door and speed > 2 else 0
    held = occupied and t - s["occupied_at"] >= 60_000
    mean = sum(v for _, v in s["temps"]) / len(s["temps"]) if s["temps"] else temp
    return [
        (speed > 1.15 * 1.75 and running and not door, 3_000),
        (not running and not door and occupied, 15_000),
        (bar > 1.05 * 60, 5_000), (temp > 120, 60_000), (bar < 0.3 and running, 10_000),
        (held and not running, 0), (mean > 110, 0), (s["rows"] >= 3, 0),
        (len(s["doors"]) >= 20, 0), (speed > 1.3 * 1.75, 1_000),
        (max(bar - 60, 0) > 5 or temp > 150, 0), (t - s["ended"] > 3_600_000 and bar > 10, 0),
        (change > 15, 0), ((temp > 110) + (bar > 55) + (speed > 2.2) >= 2, 3_000),
        (False, 0), (s["mean"] > 105, 0), (temp > 110 and bar > 40 and running, 10_000),
        (_slope(s["bars"]) > 15, 3_000), (False, 30_000),
        (speed > (2.2 if occupied else 2.4), 2_000),
    ]  # fmt: skip


def take(s: State, t: int, values: dict[str, Any]) -> list[tuple[int, int, bool]]:
    """One message: (time, rule, on) of each alarm that began or ended."""
    found = []
    for rule, (true, wait) in enumerate(conditions(s, t, values)):
        if not true:
            s["since"].pop(rule, None)
            if rule in s["on"]:
                s["on"].discard(rule)
                found.append((t, rule, False))
        elif rule not in s["on"] and t - s["since"].setdefault(rule, t) >= wait:
            s["on"].add(rule)
            found.append((t, rule, True))
    return found
