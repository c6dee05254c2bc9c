"""An edited pack takes over without wiping what it did not touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.load import load
from rules.model import Asset, Pack
from rules.records import Message
from streams.engine import Engine
from streams.parcels import restore, snapshot

BASE = """
classes:
  tank:
    signals: {x: {}, p: {type: bool}}
    attributes: {limit: {default: 5}}
rules:
- {rule: tank.high,  class: tank, severity: yellow, when: x > limit, latch: true}
- {rule: tank.delay, class: tank, severity: yellow, when: p, for: 10 s}
- {rule: tank.mean,  class: tank, severity: yellow, when: mean(x over 10 s) > 5, clear_for: 5 s}
"""


def pack(tmp_path: Path, text: str) -> Pack:
    path = tmp_path / "pack.yaml"
    path.write_text(text, encoding="utf-8")
    found = load([path])
    assert found.pack is not None, found.problems
    return found.pack


def say(t: int, **values: object) -> list[Message]:
    return [Message("A", "tank", t, values)]


def running(tmp_path: Path) -> Engine:
    """An asset with an active alarm, a running delay and a half-filled window."""
    engine = Engine(pack(tmp_path, BASE))
    raised = engine.messages(say(1_000, x=9, p=False) + say(4_000, x=1, p=True))
    assert [(tr.rule, tr.kind) for tr in raised] == [
        ("tank.high", "raised"), ("tank.mean", "raised"), ("tank.high", "returned"),
    ]  # fmt: skip
    return engine


def test_an_edited_text_keeps_alarms_timers_and_windows(tmp_path: Path) -> None:
    engine = running(tmp_path)
    edited = BASE.replace("latch: true", "latch: true, message: 'now {x}', severity: yellow", 1)
    edited = edited.replace("severity: yellow, when: x", "when: x", 1)
    done = engine.activate(pack(tmp_path, edited), 5_000)
    assert (done.anew, done.gone, done.transitions) == ((), (), ())
    found = engine.run_until(60_000)
    assert [(tr.t, tr.rule, tr.kind) for tr in found] == [
        (12_000, "tank.mean", "cleared"), (14_000, "tank.delay", "raised"),
    ]  # fmt: skip


def test_a_changed_meaning_starts_anew_and_leaves_the_others(tmp_path: Path) -> None:
    engine = running(tmp_path)
    done = engine.activate(pack(tmp_path, BASE.replace("when: p", "when: p and x < 5")), 5_000)
    assert done.anew == ("tank.delay",)
    assert not done.transitions
    found = engine.run_until(60_000)
    assert [(tr.t, tr.rule, tr.kind) for tr in found] == [
        (12_000, "tank.mean", "cleared"), (15_000, "tank.delay", "raised"),
    ]  # fmt: skip


def test_an_alarm_whose_rule_is_gone_is_cleared(tmp_path: Path) -> None:
    engine = running(tmp_path)
    done = engine.activate(pack(tmp_path, BASE.replace("- {rule: tank.high", "# ")), 5_000)
    assert done.gone == ("tank.high",)
    assert [(tr.t, tr.rule, tr.kind, tr.announced) for tr in done.transitions] == [
        (5_000, "tank.high", "cleared", True),
    ]


def test_a_disabled_rule_raises_nothing_and_enabled_again_counts_anew(tmp_path: Path) -> None:
    engine = running(tmp_path)
    engine.activate(pack(tmp_path, BASE.replace("for: 10 s", "for: 10 s, enabled: false")), 5_000)
    assert [tr.rule for tr in engine.run_until(30_000)] == ["tank.mean"]
    engine.activate(pack(tmp_path, BASE), 31_000)
    found = engine.run_until(90_000)
    assert [(tr.t, tr.rule) for tr in found] == [(41_000, "tank.delay")]


def test_edited_five_times_a_rule_alarms_once(tmp_path: Path) -> None:
    engine = running(tmp_path)
    for i in range(5):
        text = BASE.replace("for: 10 s", f"for: 10 s, message: 'edit {i}'")
        engine.activate(pack(tmp_path, text), 5_000 + i)
    found = [tr for tr in engine.run_until(90_000) if tr.rule == "tank.delay"]
    assert [(tr.t, tr.kind) for tr in found] == [(14_000, "raised")]


def test_a_class_that_is_gone_takes_its_assets_along(tmp_path: Path) -> None:
    engine = running(tmp_path)
    other = BASE.replace("tank", "pump")
    done = engine.activate(pack(tmp_path, other), 5_000)
    assert {tr.rule for tr in done.transitions} == {"tank.high", "tank.mean"}
    assert engine.assets.ids == []
    assert engine.messages([Message("B", "pump", 6_000, {"x": 9})])


@pytest.mark.parametrize("limit", [5, 20])
def test_attributes_of_the_inventory_survive(tmp_path: Path, limit: int) -> None:
    engine = Engine(pack(tmp_path, BASE), inventory=[Asset("A", "tank", {"limit": limit})], start=0)
    engine.activate(pack(tmp_path, BASE + "# edited\n"), 1_000)
    found = engine.messages(say(2_000, x=9, p=False))
    assert ("tank.high" in [tr.rule for tr in found]) == (limit < 9)


def test_snapshots_of_an_activated_pack_fit(tmp_path: Path) -> None:
    engine = running(tmp_path)
    edited = pack(tmp_path, BASE.replace("when: p", "when: p and x < 5"))
    engine.activate(edited, 5_000)
    again = restore(edited, snapshot(engine))
    assert again.run_until(60_000) == engine.run_until(60_000)
