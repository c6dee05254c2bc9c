"""An attribute may give any duration: too long a one never runs out, a negative one counts as 0."""

from __future__ import annotations

import pytest

from rules.load import load_texts
from rules.model import Asset
from rules.records import Message
from streams.engine import Engine

PACK = b"""
classes:
  a: {signals: {x: {}, p: {type: bool}}, attributes: {w: {unit: s}}}
rules:
- {rule: a.delay, class: a, severity: red, when: x > 5, for: w}
- {rule: a.mean, class: a, severity: red, when: mean(x over w) > 5}
- {rule: a.since, class: a, severity: red, when: since(p) > w}
- {rule: a.held, class: a, severity: red, when: held(p for 2 * w)}
- {rule: a.ending, class: a, severity: red, when: count(x over 10 s ending w ago) > 1}
"""


@pytest.mark.parametrize(
    ("seconds", "raised"),
    [
        (1e300, ["a.mean"]),
        (1e14, ["a.mean"]),
        (0.0, ["a.delay", "a.ending", "a.held", "a.since"]),
        (-5.0, ["a.delay", "a.ending", "a.held", "a.since"]),
        (-1e300, ["a.delay", "a.ending", "a.held", "a.since"]),
    ],
)
def test_extreme_durations(seconds: float, raised: list[str]) -> None:
    pack = load_texts([("pack.yaml", PACK)]).pack
    assert pack is not None
    engine = Engine(pack, inventory=[Asset("A", "a", {"w": seconds})], start=0)
    found = engine.messages([
        Message("A", "a", 1_000, {"x": 9, "p": True}),
        Message("A", "a", 2_000, {"x": 9, "p": False}),
    ]) + engine.run_until(100_000)  # fmt: skip
    assert sorted({one.rule for one in found if one.kind == "raised"}) == raised
