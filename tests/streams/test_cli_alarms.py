"""`tocsin alarms list` and `show`, `tocsin rules activate`: against a process that answers."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner, Result

from streams import cli_alarms
from streams.cli_alarms_options import Filters, Where
from streams.cli_options import spread_out
from tests.streams.cli_alarms_kit import ROWS, SHELVED, TRAPPED, Tocsin, tocsin
from tests.streams.run.control_kit import NOW, Loop, row, running

answered = pytest.mark.usefixtures("loop")


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with running(tmp_path, ROWS) as made:
        yield made


@pytest.fixture
def run(tmp_path: Path) -> Tocsin:
    return tocsin(tmp_path)


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
