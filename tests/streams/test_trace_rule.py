"""A rule's text cut out of its file, and the limits that a picture can show."""

import math

import pytest

from rules.errors import Problems
from rules.model import Asset, Pos
from streams.trace_rule import Basis, Limit, basis, cut
from tests.streams.trace_kit import RULES

FILES = [("tank.yaml", RULES.encode())]


def of(rule: str, asset: Asset | None = None, text: str = RULES, cls: str = "tank") -> Basis:
    found = basis([("tank.yaml", text.encode())], [asset] if asset else [], rule, "T-1", cls)
    assert found is not None
    return found


def limits(when: str, more: str = "") -> list[tuple[str, float, str]]:
    text = f"""
classes:
  tank:
    signals:
      p: {{unit: kPa, range: [0, 5000], period: 1 s}}
      q: {{unit: kPa, range: [0, 5000], period: 1 s}}
      f: {{unit: m³/h}}
      mode: {{states: {{0: a, 1: b}}}}
    attributes: {{cap: {{unit: kPa, default: 300}}, none: {{unit: kPa}}}}
rules:
- {{rule: r, class: tank, severity: red, when: "{when}"{more}}}
"""
    return [(x.signal, x.value, x.role) for x in of("r", text=text).limits]


def test_the_text_of_a_rule_is_cut_without_its_neighbours() -> None:
    first = of("tank.pressure").cuts[0]
    assert first.text.startswith("- rule: tank.pressure\n  class: tank\n")
    assert first.text.endswith("evidence: [pressure, valve]")
    assert RULES.splitlines()[first.line - 1] == "- rule: tank.pressure"


def test_the_plan_and_the_named_expressions_come_with_it() -> None:
    assert [one.text.partition(":")[0] for one in of("tank.pressure").cuts[1:]] == ["tank.relieve"]
    busy = of("tank.busy").cuts
    assert [one.text for one in busy] == [
        "- {rule: tank.busy, class: tank, severity: blue,\n   when: busy}",
        "busy: mode == filling and open", "open: valve",
    ]  # fmt: skip


def test_health_alarms_show_the_line_that_asks_for_them() -> None:
    assert [one.text for one in of("tank.silent").cuts] == ["silent_after: 30 min"]
    assert len(of("tank.silent").signals) == 5    # what was heard before it fell silent
    text = RULES.replace("stale_after: 2 min", "frozen_after: 2 min")
    assert of("tank.pressure.frozen", text=text).cuts[0].text.startswith("pressure: {title:")


def test_groups_have_text_and_sentence() -> None:
    group = of("site.both", cls="")
    assert group.cuts[0].text.splitlines()[0] == "- group: site.both"
    assert "alarms >= 2" in group.sentences["en"][0]


def test_what_an_alias_stands_for_does_not_stretch_a_cut() -> None:
    text = b"""\
rules:
- &a
  rule: one
  when: {x: 1,
    y: [2,
      3
    ]
  }

- rule: two
  base: *a
# the end
"""
    one, two = cut([("f", text)], Pos("f", 3, 9)), cut([("f", text)], Pos("f", 10, 9))
    assert one is not None and one.text.endswith("    3\n  ]\n}")  # noqa: PT018 - for mypy
    assert two is not None and two.text == "- rule: two\n  base: *a"  # noqa: PT018 - for mypy


def test_texts_that_are_no_rules_give_nothing() -> None:
    for data in (b"\xff\xfe", b"[" * 50, b"rules: [", b""):
        assert basis([("f", data)], [], "r", "a", "tank") is None
        assert cut([("f", data)], Pos("f", 1, 1)) is None
    assert basis(FILES, [], "no.such", "T-1", "tank") is None
    assert cut(FILES, Pos("other.yaml", 1, 1)) is None
    assert Problems() is not None


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("p > 200 kPa", [("p", 200.0, "raise")]),
        ("p > 2 bar", [("p", 200.0, "raise")]),
        ("2 bar < p", [("p", 200.0, "raise")]),
        ("p > 110 % * cap", [("p", 330.0, "raise")]),
        ("100 kPa < p < 200 kPa", [("p", 100.0, "raise"), ("p", 200.0, "raise")]),
        ("abs(p) > cap", [("p", 300.0, "raise"), ("p", -300.0, "raise")]),
        ("mean(p over 1 min) > cap", [("p", 300.0, "raise")]),
        ("held(p > cap for 3 s)", [("p", 300.0, "raise")]),
        ("time_to(p > cap over 1 h) < 1 h", [("p", 300.0, "raise")]),
        ("2 * p + 100 kPa > cap", [("p", 100.0, "raise")]),
        ("mode == b or p > cap", [("p", 300.0, "raise")]),
        ("p - q > cap", []),
        ("p > q", []),
        ("p > none", []),
        ("delta(p over 1 min) > 5 kPa", []),
        ("p - mean(p over 1 h) > 5 kPa", []),
        ("mode == a", []),
    ],
)
def test_limits_are_where_the_signal_makes_the_comparison_turn(
    when: str, expected: list[tuple[str, float, str]]
) -> None:
    assert limits(when) == expected


def test_gates_and_the_ways_back_are_limits_of_their_own() -> None:
    assert limits("p > cap", ", only_if: q > 10 kPa, deadband: 10 kPa") == [
        ("p", 300.0, "raise"), ("q", 10.0, "gate"), ("p", 290.0, "clear"),
    ]  # fmt: skip
    assert limits("p > cap", ", clear_when: p < 100 kPa") == [
        ("p", 300.0, "raise"), ("p", 100.0, "clear"),
    ]  # fmt: skip


def test_limits_are_of_the_asset() -> None:
    found = of("tank.pressure", Asset("T-1", "tank", {"limit": 4.0})).limits
    assert Limit("pressure", 5.0, "raise", 3, "1.25 * limit") in found
    assert all(math.isfinite(limit.value) for limit in found)
