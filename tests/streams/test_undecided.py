"""A rule that cannot decide guards nothing: it is counted and listed."""

from __future__ import annotations

from rules.load import load_texts
from rules.records import Message
from streams.engine import Engine

PACK = b"""
classes:
  tank: {signals: {x: {}, p: {type: bool}}}
rules:
- {rule: tank.high, class: tank, severity: yellow, when: x > 5}
- {rule: tank.both, class: tank, severity: yellow, when: x > 5 and p}
- {rule: tank.flag, class: tank, severity: yellow, when: p}
"""
MIN = 60_000


def test_a_rule_is_listed_after_ten_minutes_and_no_longer_once_it_can_decide() -> None:
    pack = load_texts([("pack.yaml", PACK)]).pack
    assert pack is not None
    engine = Engine(pack)
    engine.messages([
        Message("A", "tank", 0, {"p": True}), Message("B", "tank", 0, {"p": False, "x": 1}),
    ])
    assert engine.undecided(10 * MIN - 1) == {}
    assert engine.undecided(10 * MIN) == {"tank.high": ["A"], "tank.both": ["A"]}
    engine.messages([Message("A", "tank", 20 * MIN, {"x": None, "p": False})])
    assert engine.undecided(20 * MIN) == {"tank.high": ["A"]}
    engine.messages([Message("A", "tank", 21 * MIN, {"x": 3})])
    assert engine.undecided(60 * MIN) == {}
