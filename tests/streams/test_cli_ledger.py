"""`tocsin trace` and `tocsin ledger`, as people type them."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from streams.run.journal import DATABASE
from tests.streams.trace_kit import invoke, usual


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return usual(tmp_path_factory.mktemp("cli") / "ledger").end()


@pytest.fixture
def broken(made: Path, tmp_path: Path) -> str:
    folder = shutil.copytree(made, tmp_path / "broken")
    db = sqlite3.connect(folder / DATABASE)
    with db:
        db.execute("UPDATE ledger SET body = CAST(replace(CAST(body AS TEXT), '9.4', '7.4') "
                   "AS BLOB) WHERE n = 3")  # fmt: skip
    db.close()
    return str(folder)


# ledger -------------------------------------------------------------------------------------------


def test_a_whole_ledger_is_said_to_be_whole(made: Path) -> None:
    result = invoke("ledger", "verify", "--ledger", str(made))
    assert result.exit_code == 0
    assert result.stdout.startswith("whole: 24 records, the newest ")
    head = result.stdout.split()[-1]
    assert invoke("ledger", "verify", "--ledger", str(made), "--head", head).exit_code == 0


def test_a_changed_record_is_named_and_the_command_fails(broken: str) -> None:
    result = invoke("ledger", "verify", "--ledger", broken)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "record 3 is not what was written"
    assert result.stdout == ""


def test_verify_as_json(made: Path, broken: str) -> None:
    whole = json.loads(invoke("ledger", "verify", "--json", "--ledger", str(made)).stdout)
    assert (whole["whole"], whole["records"], whole["faults"]) == (True, 24, [])
    found = json.loads(invoke("ledger", "verify", "--json", "--ledger", broken).stdout)
    assert found["faults"][0] == {
        "kind": "changed", "n": 3, "text": "record 3 is not what was written",
    }  # fmt: skip


def test_a_wrong_hash_or_folder_is_told(made: Path, tmp_path: Path) -> None:
    assert invoke("ledger", "verify", "--ledger", str(made), "--head", "abc").exit_code == 2
    other = invoke("ledger", "verify", "--ledger", str(made), "--head", "0" * 64)
    assert other.exit_code == 1
    assert "the ledger is another one" in other.stderr
    for words in (("ledger", "verify"), ("ledger", "show"), ("trace", "abcd")):
        result = invoke(*words, "--ledger", str(tmp_path))
        assert result.exit_code == 1
        assert "no such ledger; `tocsin run` makes one" in result.stderr


def test_records_are_shown_as_lines_and_chosen(made: Path) -> None:
    lines = invoke("ledger", "show", "--ledger", str(made)).stdout.splitlines()
    assert len(lines) == 24
    assert lines[2].split()[:5] == ["#3", "2026-03-02", "14:01:50", "YELLOW", "raised"]
    some = invoke("ledger", "show", "--ledger", str(made), "--from", "18", "--rule",
                  "tank.pressure", "--asset", "T-1", "--zone", "UTC", "--lang", "zh")  # fmt: skip
    shown = some.stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["#18", "#19", "#20", "#21", "#23"]
    assert "06:06:40" in shown[0]
    assert "销号：close" in shown[1]
    assert invoke("ledger", "show", "--ledger", str(made), "--asset", "T-9").stdout == ""


def test_records_as_json_are_as_they_are(made: Path) -> None:
    lines = invoke("ledger", "show", "--json", "--ledger", str(made)).stdout.splitlines()
    assert lines == (made / "alerts.jsonl").read_text(encoding="utf-8").splitlines()


# trace --------------------------------------------------------------------------------------------


def test_the_story_is_printed(made: Path) -> None:
    result = invoke("trace", "tank.pressure@T-1", "--ledger", str(made))
    assert result.exit_code == 0
    assert "ORANGE  T-1  Pressure high" in result.stdout
    assert "- rule: tank.pressure" in result.stdout
    chinese = invoke("trace", "tank.pressure@T-1", "--ledger", str(made), "--lang", "zh", "--zone",
                     "UTC")  # fmt: skip
    assert "2026-03-02 06:01:50" in chinese.stdout
    assert "压力高" in chinese.stdout


def test_the_story_as_json_with_the_verdict(made: Path) -> None:
    result = invoke("trace", "tank.pressure@T-1", "--ledger", str(made), "--json", "--verify")
    found = json.loads(result.stdout)
    assert found["rule"] == "tank.pressure"
    assert found["verified"] == {
        "same": True, "compared": 14, "differs": None, "how": "", "whose": "",
        "broke_off": False, "gone": "",
    }  # fmt: skip


def test_the_report_is_written_whole(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "报告 1.html"
    result = invoke("trace", "tank.pressure@T-1", "--ledger", str(made), "--html", str(path),
                    "--verify", "--lang", "zh")  # fmt: skip
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        str(path), "由保存的消息重新运算：14 条记录逐字节一致",
    ]  # fmt: skip
    assert "逐字节一致" in path.read_text(encoding="utf-8")
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_report_that_cannot_be_written_is_an_error(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.html"
    result = invoke("trace", "tank.busy@T-1", "--ledger", str(made), "--html", str(path))
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_running_again_says_the_same_or_what_differs(made: Path, broken: str) -> None:
    for words in (("tank.pressure@T-1",), ("--all",)):
        good = invoke("trace", *words, "--verify", "--ledger", str(made))
        assert good.exit_code == 0
        assert "run again from the kept messages: the same" in good.stdout
        bad = invoke("trace", *words, "--verify", "--ledger", broken)
        assert bad.exit_code == 1
        assert "run again it differs: record 3 (" in bad.stderr
        assert "evidence: the ledger has" in bad.stderr
    found = json.loads(invoke("trace", "--all", "--verify", "--json", "--ledger", broken).stdout)
    assert (found["same"], found["differs"], found["alarms"]) == (False, 3, 5)


@pytest.mark.parametrize(
    "words",
    [(), ("--all",), ("tank.busy@T-1", "--all", "--verify"), ("--verify",),
     ("--all", "--verify", "--html", "x.html"), ("tank.busy@T-1", "--zone", "Mars/Base"),
     ("tank.busy@T-1", "--lang", "fr")],
)  # fmt: skip
def test_wrong_usage_ends_with_2(made: Path, words: tuple[str, ...]) -> None:
    assert invoke("trace", *words, "--ledger", str(made)).exit_code == 2


def test_an_alarm_that_is_not_meant_clearly_is_an_error(made: Path) -> None:
    for asked in ("ffff", "no such", "tank.x@T-1"):
        result = invoke("trace", asked, "--ledger", str(made))
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith("tocsin: ")
