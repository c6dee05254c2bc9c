"""Rules in words: sentences, limits of one asset, state, expressions as text, graphs."""

from __future__ import annotations

import pytest

from rules.errors import Invalid
from rules.explain import explain
from rules.graph import edges, mermaid, text
from rules.load import load_texts
from rules.model import Asset, Pack
from rules.show import show

RULES = """
classes:
  lift:
    signals:
      speed: {unit: m/s, range: [-10, 10], period: 1 s, stale_after: 10 s}
      temp:  {unit: °C, period: 100 ms}
      mode:  {states: {0: normal, 2: inspection}, default: normal}
      door:  {type: bool}
      code:  {events: {1: opened, 5: moved}}
    attributes:
      rated:    {unit: m/s, default: 1.75 m/s}
      travel:   {unit: s, default: 20 s}
      mounting: {states: [rigid, flexible], default: rigid}
      vibration: {unit: m/s, by: mounting, table: {rigid: 4.5 m/s, flexible: 7.1 m/s}}
    unless: mode == inspection
plans:
  lift.rescue: {steps: [{step: go, role: desk, do: Go}]}
rules:
- rule: lift.fast
  class: lift
  title: {zh: 超速, en: Overspeed}
  when: abs(speed) > 1.15 * rated
  for: min(45 s, travel + 10 s)
  clear_for: 15 s
  only_if: not door
  severity: red
  latch: true
  plan: lift.rescue
  escalate: {after: 30 min, to: red}
- {rule: lift.plain, class: lift, when: door, severity: yellow, unless: false}
- {rule: lift.table, class: lift, when: abs(speed) > vibration, severity: yellow}
- {rule: lift.hot, class: lift, severity: yellow, when: mean(temp over 1 h) > 80 °C}
- {rule: lift.middle, class: lift, severity: yellow, when: median(temp over 1 h) > 80 °C}
- {rule: lift.off, class: lift, severity: yellow, when: door, enabled: false, mode: shadow}
groups:
- {group: lift.many, by: asset, over: [lift.fast], when: alarms >= 3, within: 5 min, severity: red}
"""


def pack() -> Pack:
    loaded = load_texts([("rules.yaml", RULES.encode())])
    assert loaded.pack is not None, [str(problem) for problem in loaded.problems]
    return loaded.pack


def test_a_rule_is_told_in_a_sentence() -> None:
    told = explain(pack(), "lift.fast")
    assert "lift.fast: Overspeed (lift)" in told
    assert "A red alarm is raised when abs(speed) > 1.15 * rated has been true for 30 s" in told
    assert "for 30 s (min(45 s, travel + 10 s)), as long as not door" in told
    assert "; it ends when that has not been so for 15 s." in told
    assert "an operator must reset it" in told
    assert "suppressed by design while mode == inspection" in told
    assert "It rises to red 30 min after the raise, unless the end comes first." in told
    assert "Plan: lift.rescue." in told


def test_a_rule_is_told_in_chinese_too() -> None:
    told = explain(pack(), "lift.fast", language="zh")
    assert "lift.fast: 超速" in told
    assert "发出红色报警" in told
    assert "30 s" in told


def test_what_a_rule_does_not_have_is_not_told() -> None:
    told = explain(pack(), "lift.plain")
    assert "A yellow alarm is raised when door is true; it ends when that is no longer so." in told
    for word in ("reset", "suppressed", "Limits", "rises", "Plan"):
        assert word not in told


def test_limits_are_resolved_for_an_asset() -> None:
    assert "1.15 * rated = 2.0125 m/s" in explain(pack(), "lift.fast")
    fast = Asset("L1", "lift", {"rated": 4.0})
    assert "1.15 * rated = 4.6 m/s" in explain(pack(), "lift.fast", fast)


def test_a_table_is_looked_up_for_an_asset() -> None:
    assert "vibration = 4.5 m/s" in explain(pack(), "lift.table", Asset("L1", "lift"))
    flexible = Asset("L1", "lift", {"mounting": 1.0})
    assert "vibration = 7.1 m/s" in explain(pack(), "lift.table", flexible)


def test_an_asset_s_overrides_hold() -> None:
    slow = Asset("L1", "lift", overrides={"lift.fast.for": "7 s"})
    assert "has been true for 7 s" in explain(pack(), "lift.fast", slow)


def test_signals_are_listed() -> None:
    told = explain(pack(), "lift.fast")
    assert "speed: m/s, [-10, 10], period 1 s, stale_after 10 s" in told
    assert "mode: states, the default 0" in told


def test_state_is_counted_and_crowded_windows_are_said() -> None:
    plain, hot = explain(pack(), "lift.plain"), explain(pack(), "lift.hot")
    assert "windows" not in plain
    bytes_of = {t: int(t.split("State: ")[1].split()[0]) for t in (plain, hot)}
    assert 0 < bytes_of[plain] < bytes_of[hot]
    assert "262144 bytes for windows" in hot
    assert "mean(temp over 1 h) sees more than 4096 samples: it keeps 4096 panes of 880 ms" in hot
    assert "uses the newest 4096" in explain(pack(), "lift.middle")


def test_a_disabled_rule_is_told_as_such() -> None:
    told = explain(pack(), "lift.off")
    assert "not evaluated" in told
    assert "never announced" in told


def test_a_group_is_told() -> None:
    told = explain(pack(), "lift.many")
    assert "counts the alarms of 1 rules by asset, within 5 min" in told
    assert "A red alarm is raised when alarms >= 3 is true" in told


@pytest.mark.parametrize(
    ("name", "asset", "words"),
    [
        ("lift.fats", None, "no rule lift.fats"),
        ("lift.fast", Asset("P1", "pump"), "not a rule of P1, which is a pump"),
    ],
)
def test_what_cannot_be_told_is_said(name: str, asset: Asset | None, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        explain(pack(), name, asset)


@pytest.mark.parametrize(
    "written",
    [
        "speed > 1 m/s and (door or mode == inspection)",
        "not (door and speed > 1 m/s)",
        "not door and speed > 1 m/s",
        "speed - (1 m/s - speed) > 2 m/s",
        "door and speed > 1 m/s and mode == inspection",
        "rate(speed over 5 s) > 1 m/s/s",
        "max(speed, 2 m/s) > 3 m/s",
        "clamp(speed, 1 m/s, 2 m/s) > speed + 1 m/s",
        "speed / (speed * 2) > 2",
        "held(door for 5 s)",
        "mean(speed over 10 s ending 1 h ago) > 1 m/s",
        "count(speed since door) > 3",
        "latched(code == opened until code == moved)",
        "at(speed when door) > 1 m/s",
        "lag(door to code == opened) > 1 s",
        "not_followed(door by code == opened within 5 s)",
        "age(speed) > 5 s",
        "since(door) <= 90 s",
        "silent(5 min)",
        "at_least(2 of door, code == opened, known(speed))",
        "delta(speed over 1 min) > 1 m/s",
        "active(lift.plain)",
        "hour() >= 22",
        "-speed > 1 m/s",
    ],
)
def test_an_expression_is_shown_as_it_could_be_written(written: str) -> None:
    rule = f"- {{rule: lift.one, class: lift, severity: blue, when: {written!r}}}\n"
    source = RULES.replace("groups:", f"{rule}groups:")

    def when(text: str) -> tuple[str, object]:
        loaded = load_texts([("rules.yaml", text.encode())])
        assert loaded.pack is not None, [str(problem) for problem in loaded.problems]
        one = next(rule for rule in loaded.pack.rules if rule.id == "lift.one")
        return show(one.levels[0].when, loaded.pack.classes["lift"]), one.levels[0].when

    shown, tree = when(source)
    again, same = when(source.replace(repr(written), repr(shown)))
    assert same == tree
    assert again == shown


def rule_edges(name: str) -> set[tuple[str, str]]:
    found = pack()
    rule = next(rule for rule in found.rules if rule.id == name)
    return {(edge.start, edge.end) for edge in edges(rule, found.classes["lift"])}


def test_the_states_of_a_latched_alarm_with_delays() -> None:
    assert rule_edges("lift.fast") == {
        ("normal", "pending"), ("pending", "normal"), ("returned", "pending"),
        ("pending", "returned"), ("pending", "red active"), ("red active", "clearing"),
        ("clearing", "red active"), ("clearing", "returned"), ("returned", "normal"),
    }  # fmt: skip


def test_the_states_of_a_plain_alarm() -> None:
    assert rule_edges("lift.plain") == {("normal", "yellow active"), ("yellow active", "normal")}


def test_a_graph_is_drawn_as_mermaid_and_text() -> None:
    found = pack()
    rule = next(rule for rule in found.rules if rule.id == "lift.plain")
    drawn = mermaid(edges(rule, found.classes["lift"])).splitlines()
    assert drawn[0] == "stateDiagram-v2"
    assert "    normal --> yellow_active: door" in drawn
    assert "normal" in text(edges(rule, found.classes["lift"]))
