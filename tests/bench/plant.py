"""What is measured: a class with 20 rules, 10,000 assets, and their messages."""

from __future__ import annotations

import random

from rules.load import load_texts
from rules.model import Pack

ASSETS = 10_000
SEED = 7

CLASS = """
classes:
  pump:
    signals:
      speed:    {unit: m/s, range: [-10, 10], stale_after: 60 s, period: 1 s}
      temp:     {unit: °C, range: [-40, 250], stale_after: 5 min}
      pressure: {unit: bar, range: [0, 100], stale_after: 60 s}
      status:   {states: {0: stopped, 1: running}}
      door:     {type: bool}
      occupied: {type: bool}
    attributes:
      rated: {unit: m/s, default: 1.75}
      mop:   {unit: bar, default: 60}
    silent_after: 10 min
"""

#: Conditions as packs have them, with their delays: limits, states, timers, windows.
WHENS = (
    ("abs(speed) > 1.15 * rated and status == running and not door", "for: 3 s, clear_for: 5 s"),
    ("status == stopped and not door and occupied", "for: 15 s"),
    ("pressure > 1.05 * mop", "for: 5 s, deadband: 0.5 bar, clear_for: 30 s"),
    ("temp > 120 °C", "for: 60 s, clear_for: 5 s"),
    ("pressure < 0.3 bar and status == running", "for: 10 s, clear_for: 15 s"),
    ("held(occupied for 60 s) and status == stopped", "clear_for: 5 s"),
    ("mean(temp over 10 s) > 110 °C", "clear_for: 10 s"),
    ("door and abs(speed) > 2 m/s", "for: 3 samples, clear_for: 5 s"),
    ("times(door over 1 min) >= 20", "clear_for: 10 s"),
    ("abs(speed) > 1.3 * rated", "for: 1 s, clear_for: 15 s"),
    ("max(pressure - mop, 0 bar) > 5 bar or temp > 150 °C", "clear_for: 10 s"),
    ("since(status == running) > 1 h and pressure > 10 bar", "clear_for: 10 s"),
    ("change(pressure) > 15 bar", "clear_for: 10 s"),
    ("at_least(2 of temp > 110 °C, pressure > 55 bar, abs(speed) > 2.2 m/s)", "for: 3 s"),
    ("not_followed(status == running by door within 1 h)", "clear_for: 10 s"),
    ("ewma(temp over 1 min) > 105 °C", "clear_for: 10 s"),
    ("temp > 110 °C and pressure > 40 bar and status == running", "for: 10 s, clear_for: 10 s"),
    ("rate(pressure over 10 s) > 900 bar/min", "for: 3 s, clear_for: 10 s"),
    ("not known(pressure) and status == running", "for: 30 s"),
    ("if(occupied, abs(speed) > 2.2 m/s, abs(speed) > 2.4 m/s)", "for: 2 s, clear_for: 5 s"),
)


def text(count: int) -> str:
    """A pack with so many rules: the twenty above, each time with other numbers."""
    lines = [CLASS, "rules:"]
    for i in range(count):
        when, more = WHENS[i % len(WHENS)]
        if i >= len(WHENS):
            when = f"({when}) and abs(speed) < {8 + i / 1000:.3f} m/s"
        lines.append(
            f'- {{rule: pump.r{i}, class: pump, severity: yellow, when: "{when}", {more}}}'
        )
    return "\n".join(lines) + "\n"


def pack(count: int = 20) -> Pack:
    """The pack, loaded."""
    found = load_texts([("pack.yaml", text(count).encode())])
    assert found.pack is not None, found.problems
    return found.pack


def lines(seconds: int, assets: int = ASSETS, start: int = 1_772_323_200_000) -> list[bytes]:
    """One message an asset and second, of two to four values, as JSON lines."""
    pick = random.Random(SEED)
    bars = [pick.gauss(45, 2) for _ in range(assets)]
    found = []
    for second in range(seconds):
        for asset in range(assets):
            t = start + second * 1000 + asset % 997
            bars[asset] += pick.gauss(0, 0.2)
            values = f'"speed":{pick.gauss(1.0, 0.2):.2f},"pressure":{bars[asset]:.2f}'
            if second % 10 == asset % 10:
                values += f',"temp":{pick.gauss(70, 8):.1f}'
            elif second % 5 == asset % 5:
                door = pick.choice(("true", "false"))
                values += f',"status":{pick.randrange(2)},"door":{door}'
            found.append(
                f'{{"asset":"P{asset:06d}","class":"pump","t":{t},"values":{{{values}}}}}'.encode()
            )
    return found
