"""Each finding of lint: a rule that gets it, and a near miss that does not."""

from __future__ import annotations

import string

import pytest

from rules.lint import CHECKS, lint
from rules.load import load_texts

CLASS = """
classes:
  c:
    signals:
      x:    {unit: m/s, range: [-10, 10], period: 1 s, stale_after: 20 s}
      slow: {period: 10 s}
      rare: {}
      p:    {type: bool}
      q:    {type: bool, default: false}
      mode: {states: {0: off, 1: on}}
      code: {events: {1: opened, 2: closed}}
    attributes:
      limit: {unit: m/s, default: 5 m/s}
      site:  {type: text}
plans:
  plan: {steps: [{step: go, role: desk, do: Go}]}
"""

#: What a rule of these tests has unless it says otherwise, so that it gets no other finding.
WHOLE = "cause: A, consequence: B, action: C, plan: plan, severity: yellow, class: c"
GOOD = "when: p"


def found(*rules: str, groups: str = "", tests: str = "all") -> dict[str, list[int]]:
    """Ids of the findings with the lines (from 1, among the rules) at which they stand."""
    lines = "\n".join(f"- {{rule: c.r{i}, {rule}}}" for i, rule in enumerate(rules))
    text = f"{CLASS}rules:\n{lines}\n"
    first = text.count("\n") - len(rules)
    if groups:
        text += f"groups:\n{groups}\n"
    loaded = load_texts([("rules.yaml", text.encode())])
    assert loaded.pack is not None, [str(problem) for problem in loaded.problems]
    owners = [rule.id for rule in loaded.pack.rules] + [group.id for group in loaded.pack.groups]
    result: dict[str, list[int]] = {}
    for problem in lint(loaded.pack, owners if tests == "all" else ()):
        assert problem.kind == "lint"
        assert problem.fix
        check = problem.message[problem.message.rindex("[") + 1 : -1]
        result.setdefault(check, []).append(problem.at.line - first)
    return result


#: id: (rules that get it, near misses that do not)
CASES: dict[str, tuple[list[str], list[str]]] = {
    "no-hysteresis": (
        ["when: x > 5 m/s", "when: mean(x over 1 min) > limit", "when: p and x > limit, for: 5 s"],
        [
            "when: x > 5 m/s, deadband: 1 m/s",
            "when: x > 5 m/s, clear_when: x < 4 m/s",
            "when: x > 5 m/s, clear_for: 5 s",
            "when: count(x over 1 min) < 3",
            "when: p",
        ],
    ),
    "delay-shorter-than-period": (
        ["when: slow > 5, for: 9 s, deadband: 1"],
        ["when: slow > 5, for: 10 s, deadband: 1", "when: slow > 5, deadband: 1"],
    ),
    "delay-longer-than-stale": (
        ["when: x > 5 m/s, for: 21 s, deadband: 1 m/s"],
        [
            "when: x > 5 m/s, for: 20 s, deadband: 1 m/s",
            "when: slow > 5, for: 10 min, deadband: 1",
        ],
    ),
    "unreachable-level": (
        [
            "levels: {yellow: {when: x > 8 m/s}, red: {when: x > 6 m/s}}, deadband: 1 m/s",
            "levels: {yellow: {when: p}, red: {when: p}}",
            "when: x > 8 m/s and x < 6 m/s, clear_for: 1 s",
            "when: p and not p",
            "levels: {yellow: {when: x > 1.2 * limit}, red: {when: x > limit}}, deadband: 1 m/s",
        ],
        [
            "levels: {yellow: {when: x > 6 m/s}, red: {when: x > 8 m/s}}, deadband: 1 m/s",
            "levels: {yellow: {when: p}, red: {when: p, for: 10 s}}",
            "levels: {yellow: {when: x > 8 m/s}, red: {when: x > 6 m/s, for: 9 s}}, clear_for: 9 s",
            "when: x > 6 m/s and x < 8 m/s, clear_for: 1 s",
            "when: x >= 6 m/s and x <= 6 m/s, clear_for: 1 s",
        ],
    ),
    "limit-outside-range": (
        [
            "when: x > 10 m/s, deadband: 1 m/s",
            "when: abs(x) < 0 m/s, clear_for: 1 s",
            "when: x > 2.5 * limit, deadband: 1 m/s",
            "when: held(x < -11 m/s for 5 s)",
        ],
        [
            "when: x > 9.9 m/s, deadband: 1 m/s",
            "when: x >= 10 m/s, deadband: 1 m/s",
            "when: rare > 1000, deadband: 1",
            "when: mode == on",
        ],
    ),
    "gate-unheard": (
        ["when: x > 5 m/s, clear_for: 1 s, only_if: mode == on", "when: p, only_if: rare > 1"],
        [
            "when: p, only_if: q",
            "when: p, only_if: x > 5 m/s",
            "when: p, only_if: known(mode) and mode == on",
            "when: mode == on",
        ],
    ),
    "or-unheard": (
        ["when: q or p", "when: q or (mode == on and q)"],
        [
            "when: q or x > 5 m/s, clear_for: 1 s",
            "when: q or (known(p) and p)",
            "when: mode == on or mode == off",
            "when: code == opened or q",
            "when: q and p",
        ],
    ),
    "unless-lingers": (
        ["when: p, unless: q, clear_for: 10 min"],
        ["when: p, unless: q, clear_for: 10 s", "when: p, only_if: q, clear_for: 10 min"],
    ),
    "delay-of-instant": (
        [
            "when: code == opened, for: 5 s, latch: true",
            "when: p and rises(q), for: 5 s, latch: true",
        ],
        [
            "when: code == opened, latch: true",
            "when: latched(code == opened until code == closed), for: 5 s",
            "when: code == opened or p, for: 5 s",
        ],
    ),
    "endless-instant": (
        ["when: code == opened", "when: falls(p)"],
        [
            "when: code == opened, clear_for: 5 s",
            "when: code == opened, clear_when: code == closed",
            "when: code == opened, latch: true",
            "when: p",
        ],
    ),
    "few-samples": (
        ["when: rate(rare over 1 min) > 1 1/s, clear_for: 1 s",
         "when: median(rare over 1 min) > 1, clear_for: 1 s"],
        [
            "when: rate(slow over 1 min) > 1 1/s, clear_for: 1 s",
            "when: rate(rare over 1 min) > 1 1/s and count(rare over 1 min) >= 2, clear_for: 1 s",
            "when: mean(rare over 1 min) > 1, clear_for: 1 s",
        ],
    ),
    "at-in-clearing": (
        ["when: p, clear_when: x < at(x when p)"],
        ["when: x > at(x when p), clear_when: x < 1 m/s", "when: p, clear_when: x < prev(x)"],
    ),
    "foreign-message": (
        ['when: p, message: "{x} is high"'],
        [
            'when: p, message: "{p} and {limit} of {asset} {held}"',
            'when: p, evidence: [x], message: "{x} is high"',
            'when: p, only_if: x > 1 m/s, message: "{x}"',
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("check", CASES)
def test_each_rule_that_should_gets_the_finding_at_its_line(check: str) -> None:
    bad, good = CASES[check]
    whole = [f"{rule}, {_whole(rule)}" for rule in bad + good]
    assert found(*whole).get(check) == list(range(1, len(bad) + 1))


def _whole(rule: str) -> str:
    return WHOLE.replace("severity: yellow, ", "") if "levels:" in rule else WHOLE


@pytest.mark.parametrize("missing", ["cause: A", "consequence: B", "action: C", "plan: plan"])
def test_a_rule_without_response_is_said(missing: str) -> None:
    rule = WHOLE.replace(f"{missing}, ", "")
    assert found(f"when: p, {rule}", f"when: p, {WHOLE}").get("no-response") == [1]


def test_a_rule_or_group_that_no_test_expects_is_said() -> None:
    group = "- {group: c.g, by: site, when: active >= 1, severity: yellow}"
    assert len(found(f"when: p, {WHOLE}", groups=group, tests="none")["no-test"]) == 2
    assert "no-test" not in found(f"when: p, {WHOLE}", groups=group)


def test_too_many_reds_and_oranges_are_said_once() -> None:
    severe = [f"when: p, {WHOLE}".replace("yellow", colour) for colour in ("red", "orange")]
    mild = f"when: p, {WHOLE}"
    assert found(*severe, *severe, mild)["many-severe"] == [1]
    assert "many-severe" not in found(*severe, mild, mild, mild)


INSTANT = f"when: code == opened, latch: true, {WHOLE}"


def test_active_of_a_latched_instant_is_said() -> None:
    asking = f"when: active(c.r0), {WHOLE}"
    lasting = f"when: code == opened, latch: true, clear_for: 5 s, {WHOLE}"
    assert found(INSTANT, asking)["instant-active"] == [2]
    assert "instant-active" not in found(lasting, asking)


@pytest.mark.parametrize(("count", "said"), [("active", True), ("alarms", False)])
def test_a_group_over_active_ones_of_a_latched_instant_is_said(count: str, said: bool) -> None:
    group = f"- {{group: c.g, by: site, when: {count} >= 1, within: 1 min, severity: yellow}}"
    assert ("instant-active" in found(INSTANT, groups=group)) is said


def test_every_finding_has_a_test_and_both_languages() -> None:
    others = {"no-response", "no-test", "many-severe", "instant-active"}
    assert {check.id for check in CHECKS} == CASES.keys() | others
    for check in CHECKS:
        words = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name}
            for text in (check.text.zh, check.text.en)
        ]
        assert all(words) or not any(words)
        assert check.fix.zh
        assert check.fix.en


def test_findings_come_in_chinese_too() -> None:
    rule = f"- {{rule: c.r, when: x > 5 m/s, {WHOLE}}}"
    loaded = load_texts([("rules.yaml", f"{CLASS}rules:\n{rule}\n".encode())])
    assert loaded.pack is not None
    messages = [problem.message for problem in lint(loaded.pack, {"c.r"}, "zh")]
    assert any("回差" in message for message in messages)
