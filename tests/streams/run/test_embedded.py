"""The whole run: demo, stops, crashes, wrong input. On the real engine."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.run.again import again
from streams.run.embedded import run
from streams.run.journal import ALERTS, DATABASE
from streams.run.loop import RunSettings
from streams.store import Store

ROOT = Path(__file__).parents[3]
FAST = RunSettings(speed=0, headless=True)
PROGRAM = """
import sys
from pathlib import Path
from streams.run.embedded import run
from streams.run.loop import RunSettings
sys.exit(run(RunSettings(speed=float(sys.argv[1]), headless=True, ledger=Path(sys.argv[2]))))
"""


def start(folder: Path, speed: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(speed), str(folder)],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo that was played without a stop."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(replace(FAST, ledger=folder)) == 0
    return folder


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / ALERTS).read_text().splitlines()]


def alerts(folder: Path) -> list[dict[str, Any]]:
    return [x for x in records(folder) if x["type"] == "alert"]


def test_the_feed_loss_is_announced_five_hours_and_48_minutes_before_the_trip(whole: Path) -> None:
    raised = {
        (x["asset"], x["rule"]): x["t_ms"]
        for x in alerts(whole)
        if x["kind"] == "raised" and x["announced"]
    }
    lead = raised["R-601", "reactor.trip"] - raised["R-601", "reactor.feed_loss"]
    assert lead == (5 * 60 + 48) * 60_000


def test_normal_running_is_quiet_and_a_standstill_is_not_frozen(whole: Path) -> None:
    assert not [x for x in alerts(whole) if x["asset"] == "R-602"]
    assert not [x for x in alerts(whole) if x["rule"].endswith(".frozen")]


def test_every_scripted_incident_of_the_lifts_is_seen(whole: Path) -> None:
    seen = {(x["asset"], x["rule"]) for x in alerts(whole)}
    assert seen >= {
        ("L-2", "lift.door_held_open"), ("L-3", "lift.entrapment"), ("L-6", "lift.silent"),
        ("L-5", "lift.overspeed"), ("L-1", "lift.door_held_open"), ("L-4", "lift.entrapment"),
    }  # fmt: skip


def test_the_rescue_is_worked_off_to_its_end(whole: Path) -> None:
    rescue = [x for x in alerts(whole) if (x["asset"], x["rule"]) == ("L-3", "lift.entrapment")]
    assert [(x["kind"], x.get("step", ""), x["severity"], x["seq"]) for x in rescue] == [
        ("raised", "", "orange", 0), ("acknowledged", "acknowledge", "orange", 1),
        ("step", "dispatch", "orange", 2), ("step", "arrive", "orange", 3),
        ("level", "", "red", 4), ("acknowledged", "", "red", 5), ("step", "release", "red", 6),
        ("cleared", "", "red", 7), ("closed", "close", "red", 8),
    ]  # fmt: skip
    refused = [x for x in records(whole) if x["type"] == "command" and x["result"] == "refused"]
    assert [(x["rule"], x["step"], x["why"]) for x in refused] == [
        ("lift.entrapment", "close", "the loop cannot be closed while the alarm is active"),
    ]


def test_a_step_that_nobody_takes_is_overdue_at_its_instant(whole: Path) -> None:
    late = [x for x in alerts(whole) if x["kind"] == "overdue" and x["asset"] == "M-301"]
    assert [(x["time"], x["step"], x["severity"]) for x in late] == [
        ("2026-03-02T13:50:00.000Z", "acknowledge", "red"),
    ]


def test_the_messages_kept_give_the_same_ledger_again(whole: Path) -> None:
    with Store(whole / DATABASE, readonly=True) as store:
        ledger = list(store.records())
        assert list(again(store)) == ledger
        base = store.base(1 << 62)
        assert base is not None
        assert list(again(store, since=base.position + 1)) == ledger[base.n :]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_or_killed_run_goes_on_and_ends_with_the_same_bytes(
    how: signal.Signals, whole: Path, tmp_path: Path
) -> None:
    process = start(tmp_path, 6_000)
    assert process.stdout is not None
    for line in process.stdout:
        if "Alarm button" in line:
            break
    time.sleep(2.5)  # past a snapshot, and some alarms further
    process.send_signal(how)
    said, wrong = process.communicate(timeout=120)
    assert process.returncode == (-how if how == signal.SIGKILL else 0), wrong
    if how != signal.SIGKILL:
        assert "the next start goes on from there" in said
    before = (tmp_path / ALERTS).read_bytes()
    assert (whole / ALERTS).read_bytes().startswith(before)
    assert len(before) < (whole / ALERTS).stat().st_size
    assert run(replace(FAST, ledger=tmp_path)) == 0
    assert (tmp_path / ALERTS).read_bytes() == (whole / ALERTS).read_bytes()


def test_a_finished_run_begins_anew_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.yaml").write_text(RULES)
    (tmp_path / "d.jsonl").write_text(DATA)
    settings = replace(
        FAST, data=(tmp_path / "d.jsonl",), rules=(tmp_path / "r.yaml",), ledger=tmp_path / "out"
    )
    assert run(settings) == 0
    assert "anew." not in capsys.readouterr().out.split("The end")[0]
    assert run(settings) == 0
    said = capsys.readouterr().out
    assert "The last run had come to its end" in said
    assert "finished-001" in said
    assert said.count("raised") == 2  # the line of the alarm and the count
    first = (tmp_path / "out" / "finished-001" / ALERTS).read_bytes()
    assert first == (tmp_path / "out" / ALERTS).read_bytes() != b""


RULES = """
classes:
  tank:
    signals: {level: {unit: mm, period: 1 s}}
rules:
- rule: tank.full
  class: tank
  title: {zh: 满, en: Full}
  when: level > 90 mm
  deadband: 5 mm
  severity: red
  message: {zh: "{asset} 液位 {level}", en: "{asset} at {level}"}
"""
DATA = """{"asset":"T-1","class":"tank","t":1000,"values":{"level":50}}
{"asset":"T-1","class":"tank","t":2000,"values":{"level":95}}
"""


def test_files_of_the_user_in_chinese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.yaml").write_text(RULES)
    (tmp_path / "d.jsonl").write_text(DATA)
    settings = replace(
        FAST, data=(tmp_path / "d.jsonl",), rules=(tmp_path / "r.yaml",), ledger=tmp_path / "out",
        lang="zh", zone="Asia/Shanghai",
    )  # fmt: skip
    assert run(settings) == 0
    assert "1970-01-01 08:00:02  红  报警  T-1  满：T-1 液位 95 mm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"speed": -1.0}, 2, "--speed -1: expected"),
        ({"speed": float("nan")}, 2, "--speed nan"),
        ({"zone": "Mars/Base"}, 2, "no such time zone"),
        ({"rules": (Path("nowhere.yaml"),)}, 2, "nowhere.yaml:1:1: no such file"),
        ({"data": (Path("nowhere.csv"),)}, 2, "nowhere.csv: no such file"),
        ({"data": (Path("x.xlsx"),)}, 2, "not a recording"),
        ({"ledger": Path("/dev/null/x")}, 1, "cannot be used as a ledger"),
    ],
)
def test_wrong_input_is_said_without_a_traceback(
    change: dict[str, Any], status: int, said: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(replace(FAST, **({"ledger": tmp_path} | change))) == status
    wrong = capsys.readouterr().err
    assert said in wrong
    assert "Traceback" not in wrong


def test_data_that_the_rules_do_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.jsonl").write_text(DATA)
    assert run(replace(FAST, data=(tmp_path / "d.jsonl",), ledger=tmp_path / "out")) == 2
    assert "class 'tank', which no rules describe (classes of these rules: lift" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_rules_with_a_mistake_are_told_with_their_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.yaml").write_text(RULES.replace("level > 90 mm", "level > 90 kPa"))
    assert run(replace(FAST, rules=(tmp_path / "r.yaml",), ledger=tmp_path)) == 2
    assert "r.yaml:9:" in capsys.readouterr().err


def test_a_ledger_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(tmp_path / DATABASE):
        assert run(replace(FAST, ledger=tmp_path)) == 1
    assert "another run is writing" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_ends_the_run_quietly(tmp_path: Path) -> None:
    process = start(tmp_path, 0)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
