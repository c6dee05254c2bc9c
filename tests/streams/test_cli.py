"""The command as people and scripts use it: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.cli import main, spread
from tests.test_house import ROOT, commands

ACCEPTANCE = ROOT / "tests" / "acceptance"
PACK = ROOT / "rules" / "packs" / "lift"

GOOD = """
classes:
  c: {signals: {x: {unit: bar, range: [0, 10]}, p: {type: bool}}, attributes: {site: {type: text}}}
rules:
- {rule: c.high, class: c, severity: red, when: x > 5 bar}
groups:
- {group: c.many, by: site, over: [c.high], when: assets >= 2, within: 1 min, severity: red}
tests:
- {test: it is raised, class: c, given: {0 s: {x: 6}}, expect: [{at: 0 s, raised: c.high}]}
- {test: it is quiet, class: c, given: {0 s: {x: 4}}, never: [c.high]}
"""
WRONG = GOOD.replace("at: 0 s, raised", "at: 1 s, raised")
BROKEN = GOOD.replace("5 bar", "5 °C").replace("severity: red, when: x", "severity: pink, when: x")


class Outcome:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Tocsin = Callable[..., Outcome]
Shell = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tocsin(capsys: pytest.CaptureFixture[str]) -> Tocsin:
    def run(*words: object) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run


def write(folder: Path, text: str, name: str = "rules.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_version_is_said_at_once(tocsin: Tocsin) -> None:
    outcome = tocsin("--version")
    assert outcome.code == 0
    assert outcome.out.startswith("tocsin")


@pytest.mark.parametrize("words", [["--version"], ["rules", "check", str(PACK)]])
def test_commands_that_run_no_rules_do_not_load_the_engine(words: list[str]) -> None:
    program = (
        "import sys\nfrom streams.cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "assert 'numba' not in sys.modules\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["rules", "check"],
        ["rules", "check", "/none"],
        ["rules", "test", "/none"],
        ["rules", "explain", "c.high", "--rules", "/none"],
        ["rules", "check", "--nonsense", "."],
        ["replay", "--rules", "/none", "--data", "/none"],
        ["replay", "--rules", str(PACK), "--data", "/none"],
        ["replay", "--rules", str(PACK), "--data", str(ROOT)],
        ["replay", "--rules", str(PACK), "--data", __file__, "--until", "soon"],
        ["replay", "--rules", str(PACK), "--data", __file__, "--until", "9" * 30],
        ["replay", "--rules", str(PACK), "--data", __file__, "--zone", "Mars/Olympus"],
        ["replay", "--rules", str(PACK), "--data", __file__, "--inventory", "/none"],
        ["replay", "--data", __file__],
        ["rules", "explain", "lift.overspeed", "L1", "--rules", str(PACK)],
    ],
)
def test_wrong_usage_is_2_with_the_reason_on_stderr(tocsin: Tocsin, words: list[str]) -> None:
    outcome = tocsin(*words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert len(outcome.err.splitlines()) >= 1
    assert "Traceback" not in outcome.err


def test_check_of_good_rules(tocsin: Tocsin, tmp_path: Path) -> None:
    outcome = tocsin("rules", "check", write(tmp_path, GOOD))
    assert outcome.code == 0
    assert outcome.err == ""
    assert "[no-hysteresis]" in outcome.out
    assert "1 file: 0 errors" in outcome.out


def test_check_is_strict_if_asked(tocsin: Tocsin, tmp_path: Path) -> None:
    assert tocsin("rules", "check", "--strict", write(tmp_path, GOOD)).code == 1


def test_check_tells_all_errors_with_their_places(tocsin: Tocsin, tmp_path: Path) -> None:
    path = write(tmp_path, BROKEN)
    outcome = tocsin("rules", "check", path)
    assert outcome.code == 1
    lines = outcome.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{path}:5:") and ": error: " in line for line in lines)


def test_check_gives_json(tocsin: Tocsin, tmp_path: Path) -> None:
    outcome = tocsin("rules", "check", "--json", write(tmp_path, BROKEN))
    problems = [json.loads(line) for line in outcome.out.splitlines()]
    assert outcome.code == 1
    assert outcome.err == ""
    assert {(one["line"], one["kind"]) for one in problems} == {(5, "error")}
    assert all(one["message"] and one["column"] for one in problems)


def test_check_speaks_chinese(tocsin: Tocsin, tmp_path: Path) -> None:
    assert "回差" in tocsin("rules", "check", "--lang", "zh", write(tmp_path, GOOD)).out


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"rules: [", b"- 1", b"rules: {a: 1}"])
def test_check_of_strange_files_ends_without_a_traceback(
    tocsin: Tocsin, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(content)
    outcome = tocsin("rules", "check", path)
    assert outcome.code == (0 if content == b"" else 1)
    assert "fault of ours" not in outcome.err


def test_tests_pass_and_are_counted(tocsin: Tocsin, tmp_path: Path) -> None:
    outcome = tocsin("rules", "test", write(tmp_path, GOOD))
    assert (outcome.code, outcome.out) == (0, "2 passed, 0 failed\n")


def test_a_failed_test_shows_both_timelines(tocsin: Tocsin, tmp_path: Path) -> None:
    outcome = tocsin("rules", "test", write(tmp_path, WRONG))
    assert outcome.code == 1
    assert "FAILED: it is raised" in outcome.out
    assert "expected" in outcome.out
    assert "0 s raised c.high red" in outcome.out
    assert outcome.out.endswith("1 passed, 1 failed\n")


def test_tests_are_chosen_by_name(tocsin: Tocsin, tmp_path: Path) -> None:
    path = write(tmp_path, WRONG)
    assert tocsin("rules", "test", path, "-k", "QUIET").out == "1 passed, 0 failed\n"
    assert tocsin("rules", "test", path, "-k", "nothing like it").code == 1


def test_tests_give_json(tocsin: Tocsin, tmp_path: Path) -> None:
    outcome = tocsin("rules", "test", "--json", write(tmp_path, WRONG))
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [(one["test"], one["passed"]) for one in lines] == [
        ("it is raised", False), ("it is quiet", True),
    ]  # fmt: skip


def test_rules_with_errors_are_not_tested(tocsin: Tocsin, tmp_path: Path) -> None:
    outcome = tocsin("rules", "test", write(tmp_path, BROKEN))
    assert outcome.code == 1
    assert "the rules have errors" in outcome.err
    assert outcome.out == ""


def test_every_test_that_must_fail_does(tocsin: Tocsin) -> None:
    outcome = tocsin("rules", "test", ACCEPTANCE / "must_fail")
    assert outcome.code == 1
    assert outcome.out.splitlines()[-1].startswith("0 passed, ")


def test_rules_are_explained(tocsin: Tocsin, tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert "x > 5 bar" in tocsin("rules", "explain", "c.high", "--rules", path).out
    assert "红色" in tocsin("rules", "explain", "c.high", "--rules", path, "--lang", "zh").out
    unknown = tocsin("rules", "explain", "c.hihg", "--rules", path)
    assert unknown.code == 1
    assert "did you mean `c.high`?" in unknown.err


def test_rules_are_explained_for_an_asset(tocsin: Tocsin, tmp_path: Path) -> None:
    rules = write(tmp_path, GOOD.replace("x > 5 bar", "x > limit").replace(
        "attributes: {", "attributes: {limit: {unit: bar, default: 5 bar}, "
    ))  # fmt: skip
    assets = write(tmp_path, "id,class,limit\nP1,c,7\n", "assets.csv")
    words = ["rules", "explain", "c.high", "P1", "--rules", rules, "--inventory", assets]
    assert "limit = 7 bar" in tocsin(*words).out
    words[3] = "P2"
    assert "no asset P2" in tocsin(*words).err


def test_graphs_are_drawn(tocsin: Tocsin, tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert tocsin("rules", "graph", "c.high", "--rules", path).out.startswith("stateDiagram-v2")
    for rule in ("c.high", "c.many"):
        drawn = tocsin("rules", "graph", rule, "--rules", path, "--form", "text")
        assert "red active" in drawn.out
    assert tocsin("rules", "graph", "c.none", "--rules", path).code == 1


def test_the_schema_is_json(tocsin: Tocsin) -> None:
    schema = json.loads(tocsin("rules", "schema").out)
    assert {"classes", "plans", "rules", "groups", "tests"} <= set(schema["properties"])


RUN = ACCEPTANCE / "runs" / "groups"


def replay(*more: object) -> list[object]:
    return ["replay", "--rules", f"{RUN}.yaml", "--data", f"{RUN}.jsonl", *more]


def test_a_replay_gives_json_and_a_table(tocsin: Tocsin) -> None:
    inventory = ("--inventory", f"{RUN}.inventory.csv", "--until", "30000")
    outcome = tocsin(*replay(*inventory, "--json"))
    expected = Path(f"{RUN}.expected.jsonl").read_text(encoding="utf-8").splitlines()
    assert list(map(json.loads, outcome.out.splitlines())) == list(map(json.loads, expected))
    table = tocsin(*replay(*inventory)).out
    assert len(table.splitlines()) == len(expected) + 1
    assert "1970-01-01 00:00:03.500  north  run.both     raised" in table


@pytest.mark.parametrize("until", ["4000", "1970-01-01T00:00:04Z", "1970-01-01T08:00:04+08:00"])
def test_until_is_a_number_or_a_time(tocsin: Tocsin, until: str) -> None:
    lines = tocsin(*replay("--until", until, "--json")).out.splitlines()
    assert [json.loads(line)["t"] for line in lines][-1] == 7000
    assert "11000" not in "".join(lines)


def test_refused_lines_are_told_on_stderr(tocsin: Tocsin, tmp_path: Path) -> None:
    good = '{"asset": "A", "class": "c", "t": 1, "values": {"x": 6}}'
    data = write(tmp_path, f"{good}\n{{\n", "data.jsonl")
    outcome = tocsin("replay", "--rules", write(tmp_path, GOOD), "--data", data, "--json")
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == 1
    assert "line 2: not_json" in outcome.err
    assert "2 lines; not used: 1 not_json" in outcome.err


def test_empty_data_are_an_error(tocsin: Tocsin, tmp_path: Path) -> None:
    data = write(tmp_path, "", "data.jsonl")
    outcome = tocsin("replay", "--rules", write(tmp_path, GOOD), "--data", data)
    assert outcome.code == 1
    assert "it has no lines" in outcome.err


def test_a_bad_inventory_is_told_with_its_place(tocsin: Tocsin, tmp_path: Path) -> None:
    assets = write(tmp_path, "id,class\nA,none\n", "assets.csv")
    outcome = tocsin(*replay("--inventory", assets))
    assert outcome.code == 1
    assert f"{assets}:2:" in outcome.err


def test_a_fault_of_ours_is_a_line(
    tocsin: Tocsin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the moon is full")

    monkeypatch.setattr("rules.load.load", broken)
    outcome = tocsin("rules", "check", write(tmp_path, GOOD))
    assert outcome.code == 1
    assert outcome.err == "tocsin: a fault of ours: RuntimeError: the moon is full\n"


def test_several_paths_may_follow_one_option(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert spread(["replay", "--rules", "x", "y", "--data", "d"]) == [
        "replay", "--rules", "x", "--rules", "y", "--data", "d",
    ]  # fmt: skip
    assert spread(["rules", "explain", "r", "--rules", a, b]) == [
        "rules", "explain", "r", "--rules", a, "--rules", b,
    ]  # fmt: skip
    assert spread(["rules", "explain", "--rules", a, "rule", "asset"])[3:] == [a, "rule", "asset"]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs blocks of commands in a copy of the repository's folder, as a reader would.

    `tocsin` is this checkout's; `make` skips setting up, and its run is headless and fast.
    """
    for entry in ROOT.iterdir():
        if not entry.name.startswith("."):
            (tmp_path / entry.name).symlink_to(entry)
    tools = tmp_path / "tools"
    tools.mkdir()
    python = sys.executable
    # Modules from where they are, with what is compiled already: the copy is only a place to work.
    cache = os.environ.get("NUMBA_CACHE_DIR", "")
    kept = f'PYTHONPATH="{ROOT}" NUMBA_CACHE_DIR="{cache}"'
    scripts = {
        "tocsin": f'exec {python} -m streams.cli "$@"',
        "make": f'exec "$(command -v -p make)" -o setup BIN={Path(python).parent} {kept} '
                'ARGS="--headless --speed 0" "$@"',
    }  # fmt: skip
    for name, line in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
    }

    def run(block: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("document", ["README.md", "rules/README.md"])
def test_the_commands_of_a_guide_do_what_it_says(shell: Shell, document: str) -> None:
    blocks = commands(ROOT / document)
    assert blocks
    printed = ""
    for block in blocks:
        ran = shell(block)
        assert ran.returncode == 0, f"{block}\n{ran.stdout}{ran.stderr}"
        printed += ran.stdout
    assert " 0 failed" in printed
    if document == "README.md":
        assert "0 errors, 0 findings" in printed
        assert '"rule": "pump.over_pressure", "kind": "raised"' in printed
