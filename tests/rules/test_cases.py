"""Tests beside the rules: how they are read, run and judged."""

from __future__ import annotations

from datetime import timedelta, timezone
from pathlib import Path

import pytest
from msgspec.structs import replace

from rules.cases import Case, Moment, run_case
from rules.load import load, load_texts
from rules.model import SEVERITIES, Asset
from rules.records import Command, Message, Transition, TransitionKind

ACCEPTANCE = Path(__file__).resolve().parent.parent / "acceptance"
PACK = """
classes:
  c:
    signals:
      x: {unit: bar}
      p: {type: bool}
      m: {states: {0: off, 1: on}}
      e: {events: {1: opened, 2: closed}}
      hold: {type: bool, set_by: operator}
    attributes: {site: {type: text}, limit: {unit: bar}}
  d: {signals: {y: {}}}
rules:
- {rule: c.high, class: c, when: x > 5 bar, severity: yellow}
- {rule: c.low, class: c, when: x < 1 bar, severity: red, latch: true}
groups:
- {group: c.many, by: site, when: active >= 2, severity: red}
tests:
"""
SHANGHAI = timezone(timedelta(hours=8))


def case(test: str) -> Case:
    loaded = load_texts([("a.yaml", f"{PACK}- {{test: t, class: c, {test}}}".encode())], SHANGHAI)
    assert loaded.pack is not None, loaded.problems
    return loaded.cases[0]


def wrong(test: str) -> list[str]:
    return [f"{one.at.column} {one.message}" for one in case(test).problems]


ZERO = -8 * 3_600_000


def test_lines_and_series_of_one_time_are_one_message() -> None:
    found = case("given: {0 s: {x: 3, p: true}, 2 s: {m: on}}, "
                 'series: {x: "4 + 0.1 x 3 every 1 s from 2 s"}')
    assert found.problems == ()
    assert found.assets == (Asset("asset", "c"),)
    assert found.moments == tuple(
        Moment(ZERO + t, (Message("asset", "c", ZERO + t, values),), ())
        for t, values in [
            (0, {"x": 3.0, "p": True}), (2000, {"m": 1, "x": 4.0}), (3000, {"x": 4.1}),
            (4000, {"x": 4.2}),
        ]
    )
    assert (found.start, found.until) == (ZERO, ZERO + 4000)


@pytest.mark.parametrize(("written", "taken"), [
    ("x: 600 kPa", 6.0), ("x: 5", 5.0), ("x: bad", None), ("x: null", None), ("p: false", False),
    ("m: off", 0), ("m: 1", 1), ("m: 7", 7), ("e: opened", 1), ("e: 9", 9),
    ("e: [1, closed, 9]", [1, 2, 9]), ("e: other", "other"),
])  # fmt: skip
def test_values(written: str, taken: object) -> None:
    [moment] = case(f"given: {{0 s: {{{written}}}}}").moments
    [value] = moment.messages[0].values.values()
    assert value == taken
    assert type(value) is type(taken)


def test_several_assets_by_time_or_by_asset() -> None:
    assets = "assets: {A: {site: n}, B: {class: d}}"
    by_time = case(f"{assets}, given: {{1 s: {{A: {{x: 1}}, B: {{y: 2}}}}}}")
    by_asset = case(f"{assets}, given: {{A: {{1 s: {{x: 1}}}}, B: {{1 s: {{y: 2}}}}}}")
    assert by_time.problems == ()
    assert by_time.moments == by_asset.moments
    assert by_time.assets == (Asset("A", "c", {"site": "n"}), Asset("B", "d"))


def test_commands() -> None:
    found = case("do: {1 s: {reset: c.low, by: ana}, 2 s: [{step: go, of: c.low}, "
                 "{set: hold, to: true}, {acknowledge: c.many, group: n}]}")
    assert found.problems == ()
    assert [moment.commands for moment in found.moments] == [
        (Command("reset", "c.low", "asset", by="ana"),),
        (Command("step", "c.low", "asset", step="go"), Command("set", "hold", "asset", value=True),
         Command("acknowledge", "c.many", "n", group=True)),
    ]
    assert found.until == found.start + 2000


def test_start_is_local_time_unless_it_says_otherwise() -> None:
    assert case("start: 1970-01-02T08:00:00").start == 86_400_000
    assert case("start: 1970-01-02T00:00:00Z").start == 86_400_000


@pytest.mark.parametrize(("test", "expected"), [
    ("given: {0 s: {xx: 6}}", "unknown signal `xx`"),
    ("given: {0 s: {p: 6}}", "p: expected true or false"),
    ("given: {0 s: {m: open}}", "unknown state"),
    ("given: {0 s: {x: high}}", "x: "),
    ("given: {0: {x: 1}, 0 s: {x: 1}}", "duplicate"),
    ("given: {-1 s: {x: 1}}", "negative"),
    ("given: {5: {x: 1}}", "duration"),
    ("given: [1]", "expected a mapping"),
    ("asset: {colour: red}", "unknown attribute `colour`"),
    ("asset: {overrides: {c.hihg.for: 1 s}}", "unknown rule in the override"),
    ("asset: {overrides: {c.high.for: 1}}", "duration"),
    ("asset: {class: z}", "unknown class"),
    ("asset: {}, assets: {}", "not both"),
    ("assets: {A: {}}, given: {0 s: {B: {x: 1}}}", "unknown asset `B`"),
    ("assets: {A: {}}, expect: [{at: 0 s, raised: c.high, asset: B}]", "unknown asset `B`"),
    ('series: {x: "1 y 5"}', "series: not understood"),
    ('series: {x: "1 x 9999999 every 1 s"}', "series: more than"),
    ('series: {x: "1 x 5 every 0 s"}', "series: the period"),
    ('series: {x: "1 + a x 5 every 1 s"}', "series: expected a number"),
    ('series: {B.x: "1 x 5 every 1 s"}', "unknown asset `B`"),
    ("do: {1 s: {reset: c.hihg}}", "unknown rule"),
    ("do: {1 s: {set: p, to: true}}", "not entered by operators"),
    ("do: {1 s: {set: hold}}", "to missing"),
    ("do: {1 s: {step: go}}", "of missing"),
    ("do: {1 s: {open: c.low}}", "unknown key `open`"),
    ("do: {1 s: {reset: c.many}}", "group missing"),
    ("assets: {A: {}, B: {}}, do: {1 s: {reset: c.low}}", "asset missing"),
    ("expect: [{at: 1 s, raised: c.hihg}]", "unknown rule"),
    ("expect: [{raised: c.high}]", "at missing"),
    ("expect: [{at: 1 s}]", "expected a kind"),
    ("expect: [{at: 1 s, raised: c.high, cleared: c.high}]", "not both"),
    ("expect: [{at: 1 s, raised: c.high, severity: black}]", "unknown severity"),
    ("never: [c.hihg]", "unknown rule"),
    ("until: soon", "until: "),
    ("start: noon", "start: "),
    ("given: {0 s: {x: 1}}, expects: []", "unknown key `expects`"),
])  # fmt: skip
def test_a_mistake_in_a_test_fails_that_test(test: str, expected: str) -> None:
    assert any(expected in line for line in wrong(test)), wrong(test)
    assert not case(test).judge(()).passed


# Judging --------------------------------------------------------------------------------------


def at(t: int, kind: TransitionKind, rule: str = "c.high", severity: str = "yellow",
       asset: str = "A", *, announced: bool = True) -> Transition:
    return Transition(ZERO + t, asset, rule, kind, SEVERITIES[severity], announced)


RAISED, CLEARED = at(1000, "raised"), at(2000, "cleared")
BOTH = "expect: [{at: 1 s, raised: c.high}, {at: 2 s, cleared: c.high}]"


EITHER = ("assets: {A: {}, B: {}}, expect: [{at: 1 s, raised: c.high}, "
          "{at: 1 s, raised: c.high, asset: A}]")


@pytest.mark.parametrize(("test", "found", "passed"), [
    (BOTH, [RAISED, CLEARED], True),
    (BOTH, [CLEARED, RAISED], True),
    (BOTH, [RAISED], False),
    (BOTH, [RAISED, CLEARED, CLEARED], False),
    (BOTH, [RAISED, at(2001, "cleared")], False),
    (BOTH, [RAISED, CLEARED, at(1500, "stale")], True),
    (BOTH, [RAISED, CLEARED, at(1500, "level", severity="red")], False),
    (BOTH, [RAISED, CLEARED, at(500, "raised", "c.low")], True),
    (BOTH, [RAISED, CLEARED, at(3000, "raised", announced=False)], True),
    ("expect: [{at: 2 s, cleared: c.high}, {at: 1 s, raised: c.high}]", [RAISED, CLEARED], False),
    ("expect: [{at: 1 s, raised: c.high, severity: red}]", [RAISED], False),
    ("expect: [{at: 1 s, stale: c.high}]", [at(1000, "stale"), at(3000, "stale")], False),
    ("expect: [{at: 1 s, cleared: c.high}, {at: 1 s, raised: c.high}]",
     [at(1000, "raised"), at(1000, "cleared")], False),
    ("never: [c.high]", [RAISED], False),
    ("never: [c.high]", [at(1000, "raised", announced=False), CLEARED], True),
    ("assets: {A: {}, B: {}}, expect: [{at: 1 s, raised: c.high, asset: B}]", [RAISED], False),
    (EITHER, [RAISED, at(1000, "raised", asset="B")], True),
    ("expect: [{at: 1 s, raised: c.many, group: n}]",
     [at(1000, "raised", "c.many", asset="s")], False),
])  # fmt: skip
def test_judging(test: str, found: list[Transition], passed: bool) -> None:
    assert case(test).judge(found).passed is passed


def test_a_failure_shows_both_timelines_side_by_side() -> None:
    verdict = case(BOTH).judge([RAISED, replace(CLEARED, t=CLEARED.t + 5)])
    assert verdict.text.splitlines() == [
        "  expected            found",
        "  1 s raised c.high   1 s raised c.high yellow A",
        "! 2 s cleared c.high  (nothing)",
        "! (nothing)           2005 ms cleared c.high yellow A",
    ]


class Recorder:
    """An engine that only writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def messages(self, messages: list[Message]) -> list[Transition]:
        self.said += [f"{one.asset} {one.t - ZERO}" for one in messages]
        return [replace(RAISED, t=one.t) for one in messages]

    def command(self, command: Command, t: int) -> list[Transition]:
        self.said.append(f"{command.kind} {t - ZERO}")
        return []

    def run_until(self, t: int) -> list[Transition]:
        self.said.append(f"until {t - ZERO}")
        return []


def test_messages_come_before_commands_and_instants_of_that_time_after_both() -> None:
    recorder = Recorder()
    found = case("given: {1 s: {x: 6}, 9 s: {x: 6}}, do: {1 s: {reset: c.low}}, until: 2 s, "
                 "expect: [{at: 1 s, raised: c.high}]")
    assert run_case(found, lambda _: recorder).passed
    assert recorder.said == ["until 999", "asset 1000", "reset 1000", "until 2000"]


def test_the_tests_that_must_fail_are_read() -> None:
    cases = load([ACCEPTANCE / "must_fail"]).cases
    assert len(cases) == 24
    for one in cases:
        assert bool(one.problems) == ("is an error" in one.name or "same value" in one.name)
