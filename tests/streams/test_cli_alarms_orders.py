"""Orders of `tocsin alarms`, against a process that answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.streams.cli_alarms_kit import HOT, ROWS, SHELVED, TRAPPED, Tocsin, refusing, tocsin
from tests.streams.run.control_kit import MIN, NOW, Loop, row, running


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with running(tmp_path, ROWS) as made:
        yield made


@pytest.fixture
def run(tmp_path: Path) -> Tocsin:
    return tocsin(tmp_path)


def test_an_order_says_what_was_seen(loop: Loop, run: Tocsin) -> None:
    found = run("ack", TRAPPED["alarm"], "--comment", "on my way")
    assert (found.exit_code, found.stdout, found.stderr) == (0, "1 accepted\n", "")
    command = loop.asked[0]
    assert (command.kind, command.target, command.asset) == ("acknowledge", "lift.trapped", "L1")
    assert (command.alarm, command.against) == (TRAPPED["alarm"], 4)
    assert (command.by, command.reason) == ("ana", "on my way")
    assert re.fullmatch("[0-9a-f]{32}", command.request)


@pytest.mark.parametrize(("words", "kind", "more"), [
    (["ack"], "acknowledge", {}),
    (["unack"], "unacknowledge", {}),
    (["shelve", "--for", "30m", "--reason", "works"], "shelve", {"duration": 30 * MIN}),
    (["shelve", "--for", "2 h", "--reason", "works", "--once"], "shelve",
     {"duration": 120 * MIN, "once": True}),
    (["shelve", "--for", "30 m", "--reason", "works"], "shelve", {"duration": 30 * MIN}),
    (["shelve", "--for", "1.5 min", "--reason", "works"], "shelve", {"duration": 90_000}),
    (["unshelve"], "unshelve", {}),
    (["reset"], "reset", {}),
    (["out-of-service", "--reason", "works"], "out_of_service", {"reason": "works"}),
    (["in-service"], "in_service", {}),
    (["comment", "两人在场"], "comment", {"reason": "两人在场"}),
    (["step", "dispatch", "--field", "team=A=1", "--field", "car=7"], "step",
     {"step": "dispatch", "fields": {"team": "A=1", "car": "7"}}),
    (["close", "--cause", "C3", "--responsible", "bob", "--action", "new belt", "--field", "n=1"],
     "step", {"step": "close", "fields": {
         "cause_code": "C3", "responsible": "bob", "corrective_action": "new belt", "n": "1"}}),
])  # fmt: skip
def test_every_order_can_be_given(
    loop: Loop, run: Tocsin, words: list[str], kind: str, more: dict[str, Any]
) -> None:
    assert run(*words, "lift.hot@L2").exit_code == 0
    command = loop.asked[0]
    assert (command.kind, command.target, command.asset) == (kind, "lift.hot", "L2")
    assert {name: getattr(command, name) for name in more} == more


@pytest.mark.parametrize(("text", "value"), [
    ("true", True), ("false", False), ("5", 5.0), ("-2.5e1", -25.0), ("fire", "fire"),
    ("nan", "nan"), ("inf", "inf"),
])  # fmt: skip
def test_a_signal_is_set_on_several_assets(
    loop: Loop, run: Tocsin, text: str, value: object
) -> None:
    assert run("set", "--asset", "L1", "--asset", "L2", "mode", text).exit_code == 0
    assert [(x.target, x.asset, x.value) for x in loop.asked] == [
        ("mode", "L1", value), ("mode", "L2", value),
    ]  # fmt: skip


def test_a_rule_without_an_alarm_can_be_shelved(loop: Loop, run: Tocsin) -> None:
    assert run("shelve", "--for", "1 h", "--reason", "x", "lift.hot@L7").exit_code == 0
    command = loop.asked[0]
    assert (command.target, command.asset, command.alarm) == ("lift.hot", "L7", "")
    assert command.against is None


def test_a_point_is_named_by_its_rule_and_not_by_an_alarm(loop: Loop, run: Tocsin) -> None:
    assert run("unshelve", SHELVED["alarm"][:5]).exit_code == 0
    assert (loop.asked[0].target, loop.asked[0].alarm) == ("lift.noise", "")


def test_five_hundred_are_acknowledged_or_the_failures_named(loop: Loop, run: Tocsin) -> None:
    """Field test R30."""
    rows = [row("lift.hot", f"L{i}") for i in range(500)]
    loop.control.publish(rows, NOW, {})
    assert run("ack", "--all", "--comment", "one cause").stdout == "500 accepted\n"
    assert {(x.asset, x.reason) for x in loop.asked} == {(f"L{i}", "one cause") for i in range(500)}
    loop.decide = refusing("L7", "L300")
    found = run("ack", "--all", "--comment", "one cause")
    assert (found.exit_code, found.stdout) == (1, "498 accepted, 2 not\n")
    lines = found.stderr.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "tocsin: lift.hot@L7", "tocsin: lift.hot@L300",
    ]  # fmt: skip
    assert all("refused: outdated: look at it again" in line for line in lines)


def test_more_than_one_request_may_hold(loop: Loop, run: Tocsin) -> None:
    """The loop takes a thousand at a time, a request has a mebibyte: all get through."""
    rows = [row("lift.hot", f"L{i}") for i in range(1_500)]
    loop.control.publish(rows, NOW, {})
    assert run("comment", "长" * 1_000, "--all").stdout == "1500 accepted\n"
    assert [x.asset for x in loop.asked] == [f"L{i}" for i in range(1_500)]


@pytest.mark.parametrize(("words", "assets"), [
    (["ack"], ["L2", "G1", "L3"]),
    (["ack", "--rule", "lift.*", "--severity", "orange"], ["L3"]),
    (["unack"], ["L1"]),
    (["shelve", "--for", "1h", "--reason", "x"], ["L2", "L1", "G1", "L3"]),
    (["unshelve"], ["L4"]),
    (["reset"], ["G1"]),
    (["out-of-service", "--reason", "x"], ["L2", "L4", "L1", "G1", "L3"]),
    (["in-service"], ["L5"]),
    (["comment", "x"], ["L2", "L1", "G1", "L3"]),
    (["step", "arrive"], ["L1"]),
    (["close", "--cause", "x", "--responsible", "x", "--action", "x"], []),
])  # fmt: skip
def test_all_are_those_that_it_fits(
    loop: Loop, run: Tocsin, words: list[str], assets: list[str]
) -> None:
    assert run(*words, "--all").stdout == f"{len(assets)} accepted\n"
    assert [x.asset for x in loop.asked] == assets


def test_two_alarms_of_one_point_are_one_order_for_it(loop: Loop, run: Tocsin) -> None:
    loop.control.publish([HOT, row("lift.hot", "L2", raised_ms=NOW)], NOW, {})
    assert run("out-of-service", "--reason", "x", "--all").stdout == "1 accepted\n"
    found = run("ack", "lift.hot@L2")
    assert found.exit_code == 1
    assert f"2 alarms ({HOT['alarm'][:12]}" in found.stderr
    assert len(loop.asked) == 1


def test_results_come_as_json(loop: Loop, run: Tocsin) -> None:
    loop.decide = refusing("L2")
    found = run("ack", "lift.hot@L2", "gate.open@G1", "--json")
    assert found.exit_code == 1
    results = [json.loads(line) for line in found.stdout.splitlines()]
    assert [(x["about"].partition(" ")[0], x["result"]) for x in results] == [
        ("lift.hot@L2", "refused"), ("gate.open@G1", "accepted"),
    ]  # fmt: skip


def test_what_means_no_alarm_is_named_and_the_others_are_ordered(loop: Loop, run: Tocsin) -> None:
    found = run("ack", "ffff0000", "gate.open@G1", "gate.open@G1")
    assert (found.exit_code, found.stdout) == (1, "1 accepted, 1 not\n")
    assert "ffff0000" in found.stderr
    assert [x.asset for x in loop.asked] == ["G1"]


@pytest.mark.parametrize("words", [
    ["ack"], ["ack", "lift.hot@L2", "--all"], ["ack", "lift.hot@L2", "--severity", "red"],
    ["shelve", "lift.hot@L2"], ["shelve", "lift.hot@L2", "--for", "30m"],
    ["shelve", "lift.hot@L2", "--for", "30", "--reason", "x"],
    ["shelve", "lift.hot@L2", "--for", "30 bar", "--reason", "x"],
    ["shelve", "lift.hot@L2", "--for", "0 s", "--reason", "x"],
    ["shelve", "lift.hot@L2", "--for", "-5 min", "--reason", "x"],
    ["out-of-service", "lift.hot@L2"], ["out-of-service", "lift.hot@L2", "--reason", " "],
    ["comment"], ["comment", "x", "lift.hot@L2", "--comment", "y"], ["step"],
    ["step", "arrive", "lift.hot@L2", "--field", "a"],
    ["step", "arrive", "lift.hot@L2", "--field", "=a"],
    ["step", "arrive", "lift.hot@L2", "--field", "a=1", "--field", "a=2"],
    ["close", "lift.hot@L2", "--cause", "x"], ["set", "mode", "1"], ["set", "mode", "--asset", "x"],
])  # fmt: skip
def test_wrong_usage_orders_nothing(loop: Loop, run: Tocsin, words: list[str]) -> None:
    assert run(*words).exit_code == 2
    assert loop.taken == []


def test_who_orders_is_the_login_unless_said(
    loop: Loop, run: Tocsin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "chen")
    assert run("ack", "lift.hot@L2", by=None).exit_code == 0
    assert loop.asked[0].by == "chen"
    assert run("ack", "lift.hot@L2", by=" ").exit_code == 2
    assert run("set", "mode", "1", "--asset", "L1", by="").exit_code == 2


def test_what_is_refused_as_a_whole_is_told_for_each(loop: Loop, run: Tocsin) -> None:
    found = run("comment", "x" * 2_001, "lift.hot@L2", "gate.open@G1")
    assert (found.exit_code, found.stdout) == (1, "0 accepted, 2 not\n")
    assert found.stderr.count("[0].reason: found 'xxx") == 2
    assert loop.taken == []
