"""`tocsin alarms` against a process that answers, over real HTTP."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner, Result

from streams import cli_alarms
from streams.cli_alarms_options import Filters, Where
from streams.cli_options import spread_out
from streams.run import client as client_module
from streams.run import control_http
from streams.run.client import Client, ClientError, NotRunning
from streams.run.control import Order
from tests.streams.run.control_kit import MIN, NOW, Loop, accepted, row, running

STEPS = [
    {"step": "acknowledge", "role": "duty_officer", "do": {"zh": "接通对讲", "en": "Answer"},
     "needs": [], "deadline_ms": NOW - 11 * MIN, "done_ms": NOW - 11 * MIN - 5_000, "by": "ana",
     "late": False},
    {"step": "dispatch", "role": "duty_officer", "do": {"zh": "派人", "en": "Send somebody"},
     "needs": [], "deadline_ms": NOW - 7 * MIN, "done_ms": None, "by": "", "late": True},
    {"step": "arrive", "role": "maintainer", "do": {"zh": "到场", "en": "Be there"},
     "needs": [], "deadline_ms": NOW + 18 * MIN, "done_ms": None, "by": "", "late": False},
    {"step": "close", "role": "duty_officer", "do": {"zh": "", "en": ""},
     "needs": ["cause_code"], "deadline_ms": None, "done_ms": None, "by": "", "late": False},
]  # fmt: skip
TRAPPED = row(
    "lift.trapped", "L1", severity="red", word="acknowledged", plan="lift.rescue", loop="open",
    acknowledged={"t_ms": NOW - 11 * MIN, "by": "ana"}, steps=STEPS, seq=4, comments=2,
    evidence=[{"zh": "轿厢速度 0 m/s", "en": "speed 0 m/s"}],
)  # fmt: skip
HOT = row("lift.hot", "L2", severity="yellow", place="South tower", desk="west", stale=True)
SILENT = row("lift.silent", "L3", word="returned_unacknowledged", active=False, hazard=True)
LATCHED = row("gate.open", "G1", severity="blue", word="latched", active=False, latched=True)
SHELVED = row(
    "lift.noise", "L4", word="shelved", raised_ms=0, active=False, severity="blue",
    shelf={"t": NOW, "by": "bob", "reason": "works", "until": NOW + 25 * MIN, "once": False},
    title={"zh": "噪声", "en": "Noise"}, text={"zh": "噪声", "en": "Noise"},
)  # fmt: skip
OUT = row(
    "lift.door", "L5", word="out_of_service", raised_ms=0, active=False, severity="blue",
    service={"t": NOW, "by": "bob", "reason": "new door"},
)  # fmt: skip
ROWS = [HOT, SHELVED, TRAPPED, LATCHED, OUT, SILENT]

Tocsin = Callable[..., Result]
answered = pytest.mark.usefixtures("loop")


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with running(tmp_path, ROWS) as made:
        yield made


@pytest.fixture
def run(tmp_path: Path) -> Tocsin:
    def run(*words: str, by: str | None = "ana") -> Result:
        more = ["--ledger", str(tmp_path)]
        if by is not None and words[0] not in ("list", "show"):
            more += ["--by", by]
        return CliRunner().invoke(cli_alarms.app, [*words, *more])

    return run


def refusing(*assets: str) -> Callable[[Order], dict[str, Any]]:
    def decide(order: Order) -> dict[str, Any]:
        assert order.command is not None
        if order.command.asset in assets:
            return {"result": "refused", "why": "outdated: look at it again", "t_ms": NOW}
        return accepted(order)

    return decide


# Looking ----------------------------------------------------------------------------------------


@answered
def test_the_worst_comes_first_with_its_clock(run: Tocsin) -> None:
    found = run("list")
    assert (found.exit_code, found.stderr) == (0, "")
    head, *lines = found.stdout.splitlines()
    assert re.split(r"\s{2,}", head.strip()) == [
        "severity", "state", "condition", "raised", "age", "place", "asset", "alarm", "evidence",
        "acknowledged", "next step", "id",
    ]  # fmt: skip
    rules = [next(x["rule"] for x in ROWS if x["alarm"][:8] in line) for line in lines]
    assert rules == ["lift.trapped", "lift.silent", "lift.hot", "gate.open", "lift.noise",
                     "lift.door"]  # fmt: skip
    for said in ("RED", "○ acknowledged", "active", "2026-03-02 13:48:00", "12 min", "North tower",
                 "Passenger trapped: L1: trapped for 12 min", "speed 0 m/s",
                 "ana 2026-03-02 13:49:00", "dispatch (late 7 min)"):  # fmt: skip
        assert said in lines[0]
    assert "active (stale)" in lines[2]
    assert "◆ latched" in lines[3]
    assert "▽ shelved (25 min left)" in lines[4]
    assert "× out of service" in lines[5]


@answered
def test_the_list_speaks_chinese(run: Tocsin) -> None:
    text = run("list", "--lang", "zh").stdout
    for said in ("级别", "红", "困人：L1 困人 12分", "dispatch (超时 7分)", "已搁置 (剩 25分)"):
        assert said in text


@answered
@pytest.mark.parametrize(("words", "assets"), [
    ([], ["L1", "L3", "L2", "G1", "L4", "L5"]),
    (["--state", "shelved", "--state", "returned-unacknowledged"], ["L3", "L4"]),
    (["--severity", "orange"], ["L1", "L3"]),
    (["--asset", "L2"], ["L2"]),
    (["--rule", "lift.hot"], ["L2"]),
    (["--rule", "lift.*"], ["L1", "L3", "L2", "L4", "L5"]),
    (["--place", "South tower"], ["L2"]),
    (["--desk", "west"], ["L2"]),
    (["--text", "NOISE"], ["L4"]),
    (["--text", "噪声"], ["L4"]),
    (["--hazards"], ["L3"]),
    (["--hazards", "--severity", "red"], []),
])  # fmt: skip
def test_the_list_is_filtered(run: Tocsin, words: list[str], assets: list[str]) -> None:
    found = [json.loads(line) for line in run("list", "--json", *words).stdout.splitlines()]
    assert [x["asset"] for x in found] == assets


@answered
def test_an_empty_list_says_so(run: Tocsin) -> None:
    assert run("list", "--asset", "L9").stdout == "no alarms\n"
    assert run("list", "--asset", "L9", "--json").stdout == ""


@answered
def test_a_state_that_there_is_not_is_wrong_usage(run: Tocsin) -> None:
    found = run("list", "--state", "loud")
    assert found.exit_code == 2
    assert "unacknowledged" in found.stderr


@answered
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_list_fits_a_terminal(
    run: Tocsin, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr("streams.cli_alarms_view.console_of", lambda: console)
    assert run("list").exit_code == 0
    lines = drawn.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "…" not in drawn.getvalue()
    words = drawn.getvalue().split()
    for said in ("trapped", "RED", "acknowledged", "dispatch", "L1", TRAPPED["alarm"][:8]):
        assert said in words


def test_what_an_alarm_says_cannot_move_the_cursor(loop: Loop, run: Tocsin) -> None:
    bad = row("lift.hot", "L\x1b[2J", place="\u202eright", text={"zh": "", "en": "a\rb"})
    loop.control.publish([bad], NOW, {})
    for words in (["list"], ["show", bad["alarm"]]):
        text = run(*words).stdout
        assert "L�[2J" in text
        assert not {"\x1b", "\r", "\u202e"} & set(text)


@answered
def test_one_alarm_is_shown_with_its_plan(run: Tocsin) -> None:
    found = run("show", TRAPPED["alarm"][:6])
    assert found.exit_code == 0
    text = found.stdout
    for said in (
        f"id: {TRAPPED['alarm']}", "rule: lift.trapped", "raised: 2026-03-02 13:48:00",
        "acknowledged: ana 2026-03-02 13:49:00", "plan lift.rescue", "comments: 2",
        "[x] acknowledge  duty_officer  due 2026-03-02 13:49:00  done ana 2026-03-02 13:48:55",
        "[!] dispatch  duty_officer  due 2026-03-02 13:53:00  (late 7 min)",
        "[ ] arrive  maintainer  due 2026-03-02 14:18:00  (18 min left)", "Be there",
        "[ ] close  duty_officer  needs cause_code",
    ):  # fmt: skip
        assert said in text, text


@answered
def test_shelves_and_service_are_shown_with_their_reasons(run: Tocsin) -> None:
    text = run("show", "lift.noise@L4", "lift.door@L5").stdout
    assert "shelved: bob 2026-03-02 14:00:00: works (until 2026-03-02 14:25:00)" in text
    assert "out of service: bob 2026-03-02 14:00:00: new door" in text
    assert json.loads(run("show", "lift.noise@L4", "--json").stdout) == SHELVED
    assert "搁置" in run("show", "lift.noise@L4", "--lang", "zh").stdout


@answered
@pytest.mark.parametrize(("word", "said"), [
    ("lift.trapped@L9", "not in the list"), ("ffff0000", "no alarm with this id"),
    ("L1", "RULE@ASSET"), ("@L1", "RULE@ASSET"), ("abc", "at least 4"),
])  # fmt: skip
def test_an_alarm_that_there_is_not_is_named(run: Tocsin, word: str, said: str) -> None:
    found = run("show", word, "lift.hot@L2")
    assert found.exit_code == 1
    assert word in found.stderr
    assert said in found.stderr
    assert "lift.hot" in found.stdout


def test_show_wants_an_alarm(run: Tocsin) -> None:
    assert run("show").exit_code == 2


def test_a_list_that_is_old_says_so(
    loop: Loop, run: Tocsin, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = loop.control.view
    assert view is not None
    monkeypatch.setattr(loop.control, "view", type(view)(view.rows, NOW, {}, view.at - 60))
    assert "nothing for 60 s" in run("list").stderr


def test_watching_goes_on_when_the_run_is_gone(tmp_path: Path) -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, width=160, height=30, force_terminal=True, color_system=None)
    pictures = []

    def pause(_: float) -> None:
        pictures.append(drawn.getvalue())
        drawn.seek(drawn.truncate(0))
        if len(pictures) == 1:
            with_run.__exit__(None, None, None)
        else:
            raise KeyboardInterrupt

    with_run = running(tmp_path, ROWS)
    with_run.__enter__()
    cli_alarms.keep_showing(Where(ledger=tmp_path), Filters(asset="L2"), console, pause)
    assert "Passenger trapped" in pictures[0]
    assert "is old" not in pictures[0]
    assert "what is below is old: no `tocsin run` on this ledger" in pictures[1]
    assert "Passenger trapped" in pictures[1]


@answered
def test_watching_needs_a_terminal(run: Tocsin) -> None:
    assert run("list", "--watch").exit_code == 2


# Ordering ---------------------------------------------------------------------------------------


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


# The process that is not there ------------------------------------------------------------------


@pytest.fixture
def gone(tmp_path: Path) -> Path:
    with running(tmp_path, ROWS) as loop:
        said = loop.control.path.read_text()
    (tmp_path / "control.json").write_text(said)
    return tmp_path / "control.json"


@pytest.mark.parametrize("words", [["list"], ["show", "abcd"], ["ack", "abcd"], ["ack", "--all"]])
def test_without_a_run_there_is_an_error(tmp_path: Path, run: Tocsin, words: list[str]) -> None:
    found = run(*words)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "no `tocsin run` on this ledger" in found.stderr
    assert f"start one with `tocsin run --ledger {tmp_path}`" in found.stderr


@pytest.mark.usefixtures("gone")
def test_nobody_listens(run: Tocsin) -> None:
    assert "nobody listens on port" in run("list").stderr


def test_a_process_that_has_died_is_named(gone: Path, run: Tocsin) -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    gone.write_text(json.dumps({**json.loads(gone.read_text()), "pid": child}))
    assert f"process {child}" in run("list").stderr


def test_another_program_has_the_port(loop: Loop, run: Tocsin) -> None:
    path = loop.control.path
    path.write_text(json.dumps({**json.loads(path.read_text()), "token": "x" * 43}))
    assert "another program's" in run("list").stderr


@pytest.mark.parametrize("said", [
    "", "{}", "[1]", '{"url": "http://evil.example:80", "token": "' + "x" * 43 + '", "pid": 1}',
    '{"url": "http://127.0.0.1:80/x", "token": "' + "x" * 43 + '", "pid": 1}',
    '{"url": "http://127.0.0.1:80", "token": "a b\\r\\nHost: x", "pid": 1}', "x" * 5_000,
])  # fmt: skip
def test_a_control_file_of_another_make_is_not_followed(
    tmp_path: Path, run: Tocsin, said: str
) -> None:
    (tmp_path / "control.json").write_text(said)
    found = run("list")
    assert found.exit_code == 1
    assert "start `tocsin run` anew" in found.stderr


def test_a_run_that_is_being_prepared_is_waited_for(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, waits = loop.control.view, []
    monkeypatch.setattr(loop.control, "view", None)

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            loop.control.view = view

    found = Client.of(tmp_path)
    assert len(Client(found.folder, found.port, found.token, pause).listing().rows) == len(ROWS)
    assert len(waits) == 3
    loop.control.view = None
    with pytest.raises(ClientError, match="being prepared"):
        Client(found.folder, found.port, found.token, waits.append).listing()


def test_a_slow_result_is_asked_for_again(
    loop: Loop, run: Tocsin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_http, "ANSWER_S", 0.05)
    loop.hold = True
    found = run("ack", "lift.hot@L2")
    assert (found.exit_code, found.stdout) == (1, "0 accepted, 1 not\n")
    assert "pending: accepted for execution" in found.stderr
    assert len(loop.taken) == 1

    def answering(order: Order) -> dict[str, Any]:
        return accepted(order)

    loop.hold, loop.decide = False, answering
    assert run("ack", "lift.hot@L2").exit_code == 0


def test_an_answer_that_is_lost_is_asked_for_again(
    loop: Loop, run: Tocsin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order had been carried out: asking again gives its result, and does not do it twice."""
    once = Client._once
    calls: list[str] = []

    def unlucky(self: Client, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        found = once(self, method, path, body)
        calls.append(path)
        if calls == ["/alarms", "/commands"]:
            raise client_module.Lost("the connection broke")
        return found

    monkeypatch.setattr(Client, "_once", unlucky)
    assert run("ack", "lift.hot@L2").stdout == "1 accepted\n"
    assert calls == ["/alarms", "/commands", "/commands"]
    assert len(loop.taken) == 1


@answered
@pytest.mark.parametrize("answer", [
    (200, b"<html>"), (200, b"[]"), (200, b'{"rows": 1}'), (200, b"\xff"), (404, b"{}"), (500, b""),
])  # fmt: skip
def test_an_answer_of_another_make_is_an_error(
    run: Tocsin, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes]
) -> None:
    monkeypatch.setattr(Client, "_once", lambda *_: answer)
    found = run("list")
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.startswith("tocsin: ")


@answered
def test_the_run_ends_between_list_and_order(
    run: Tocsin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    once = Client._once

    def ended(self: Client, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        if method == "POST":
            raise NotRunning(tmp_path, "nobody listens")
        return once(self, method, path, body)

    monkeypatch.setattr(Client, "_once", ended)
    found = run("ack", "lift.hot@L2", "gate.open@G1")
    assert (found.exit_code, found.stdout) == (1, "0 accepted, 2 not\n")
    assert found.stderr.count("failed: no `tocsin run`") == 2


@answered
def test_health_is_told(tmp_path: Path) -> None:
    assert Client.of(tmp_path).health()["health"]["zone"] == "Asia/Shanghai"
    assert "x" * 10 not in repr(Client(tmp_path, 1, "x" * 43))


# Rules ------------------------------------------------------------------------------------------

PACK = """
classes: {c: {signals: {x: {unit: bar, range: [0, 10]}}}}
rules: [{rule: c.high, class: c, severity: red, when: x > 5 bar}]  # 高
"""
rules = typer.Typer()
rules.command("activate")(cli_alarms.activate)


@rules.callback()
def _rules() -> None:
    """As in `tocsin rules …`."""


def activate(ledger: Path, *words: object) -> Result:
    return CliRunner().invoke(rules, ["activate", *map(str, words), "--ledger", str(ledger),
                                      "--by", "ana"])  # fmt: skip


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "packs" / "lift"
    (folder / "more").mkdir(parents=True)
    (folder / "rules.yaml").write_text(PACK, encoding="utf-8")
    (folder / "more" / "b.yaml").write_text("rules: []\n")
    return folder


def test_rules_are_sent_and_what_starts_anew_is_told(
    loop: Loop, tmp_path: Path, pack: Path
) -> None:
    found = activate(tmp_path, pack)
    assert found.exit_code == 0
    assert found.stdout.splitlines() == [
        "activated: pack 00ff00ff00ff00ff", "starts anew: lift.trapped", "ended: lift.old",
    ]  # fmt: skip
    order = loop.taken[0]
    assert order.by == "ana"
    assert list(order.pack) == [
        ("lift/more/b.yaml", b"rules: []\n"), ("lift/rules.yaml", PACK.encode()),
    ]  # fmt: skip
    found = activate(tmp_path, pack / "rules.yaml", "--json")
    assert json.loads(found.stdout)["anew"] == ["lift.trapped"]
    assert [path for path, _ in loop.taken[1].pack] == ["rules.yaml"]


def test_rules_with_errors_are_not_sent(loop: Loop, tmp_path: Path, pack: Path) -> None:
    path = pack / "rules.yaml"
    path.write_text(PACK.replace("5 bar", "5 °C").replace("red", "pink"), encoding="utf-8")
    found = activate(tmp_path, pack)
    assert found.exit_code == 1
    assert found.stderr.count(f"{path}:3:") == 2
    assert loop.taken == []


def test_rules_that_the_run_refuses_are_an_error(loop: Loop, tmp_path: Path, pack: Path) -> None:
    loop.decide = lambda _: {"result": "refused", "why": "two classes are gone", "t_ms": NOW}
    found = activate(tmp_path, pack)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "not activated: two classes are gone" in found.stderr


def test_rules_without_a_run_are_an_error(tmp_path: Path, pack: Path) -> None:
    found = activate(tmp_path, pack)
    assert (found.exit_code, found.stdout) == (1, "")
    assert "no `tocsin run`" in found.stderr


# Options ----------------------------------------------------------------------------------------


def test_a_command_with_shared_options_keeps_its_own_help() -> None:
    app = typer.Typer()

    @app.command()
    @spread_out
    def look(name: str, *, filters: Filters, loud: bool = False) -> None:
        """Looks."""
        print(name, filters.asset, filters.state, loud)

    ran = CliRunner().invoke(app, ["x", "--asset", "L1", "--loud", "--state", "normal"])
    assert ran.stdout == "x L1 ['normal'] True\n"
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert "Looks." in shown
    assert "filters" not in shown
