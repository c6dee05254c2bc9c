"""`tocsin kpi` as people and programs use it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from streams.cli_kpi import kpi
from streams.ledger import Chain
from streams.run.journal import DATABASE
from streams.store import Store
from tests.streams.kpi_kit import MIN, Book, H, S

BEGIN = 1_772_323_200_000       # 2026-03-01T00:00:00Z
Run = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    app = typer.Typer()
    app.command()(kpi)

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            app([str(word) for word in words], prog_name="tocsin")
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def scene() -> Book:
    """A flood of 12 at one desk, two alarms at another."""
    book = Book(BEGIN, "Asia/Shanghai")
    for i in range(12):
        t = BEGIN + H + i * 20 * S
        alarm = book.raised(t, "lift.trapped", f"L{i}", desk="east", severity="red", plan="rescue",
                            clocks={"acknowledge": t + 30 * S})  # fmt: skip
        if i % 2:
            book.say(alarm, t + 30 * S, "overdue", step="acknowledge")
        book.say(alarm, t + (40 if i % 2 else 20) * S, "acknowledged")
        book.say(alarm, t + H, "cleared")
    tank = {"rule": "tank.high", "asset": "T1", "desk": "we\x1b[1mst"}
    book.spell(BEGIN + 3 * H, BEGIN + 3 * H + 5 * S, **tank)
    book.raised(BEGIN + 4 * H, **tank)
    book.raised(BEGIN + 4 * H, "g", "north", group=True, announced=False, held="suppressed",
                **{"class": ""})  # fmt: skip
    book.mark(BEGIN + 5 * H)
    return book


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    write(tmp_path, scene())
    return tmp_path


def write(folder: Path, book: Book) -> None:
    chain = Chain()
    with Store(folder / DATABASE) as store:
        store.append([chain.append(content) for content in book.contents])


def test_the_tables_show_each_figure_beside_its_limit(run: Run, ledger: Path) -> None:
    code, out, err = run("--ledger", ledger)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "alarms per 10 min, peak 12 10 10 over" in lines
    assert "alarms per hour, mean 2.8 6 12 ok" in lines
    assert "fleeting alarms 1 0 0 over" in lines
    assert "red 85.71 % 1 % 1 % too little to judge" in lines
    assert "acknowledge 6 6 50 % over" in lines
    assert "raised but held back suppressed 1" in lines
    assert "2026-03-01 09:03:20 2026-03-01 09:12:20 12 12" in lines
    assert "2026-03-01 08:00:00 to 2026-03-01 13:00:00 (5 h, Asia/Shanghai)" in out
    assert "2 desks had alarms: --by desk shows each" in out
    assert "\x1b" not in out


def test_each_desk_has_a_line_with_its_worst_verdict(run: Run, ledger: Path) -> None:
    _, out, _ = run("--ledger", ledger, "--by", "desk")
    table = [line.split() for line in out.split("missed")[-1].splitlines()]
    assert [words[0] for words in table if words] == ["east", "we\N{REPLACEMENT CHARACTER}[1mst",
                                                      "(none)"]  # fmt: skip
    assert "--by desk shows each" not in out


def test_the_texts_are_chinese_if_asked(run: Run, ledger: Path) -> None:
    _, out, _ = run("--ledger", ledger, "--lang", "zh", "--by", "place")
    assert "报警 / 10 分钟，峰值" in out
    assert "超限" in out
    assert "设计抑制 1" in out
    assert "（无）" in out


def test_json_is_one_object(run: Run, ledger: Path) -> None:
    code, out, _ = run("--ledger", ledger, "--by", "rule", "--json")
    assert code == 0
    assert len(out.splitlines()) == 1
    found = json.loads(out)
    assert (found["from"], found["zone"]) == ("2026-03-01T00:00:00.000Z", "Asia/Shanghai")
    whole = found["whole"]
    assert whole["alarms"] == 14
    assert whole["judged"]["peak_10_min"] == {
        "value": 12, "ok": 10, "manageable": 10, "verdict": "over"
    }  # fmt: skip
    assert whole["days"] == {"2026-03-01": 14}
    assert [flood["alarms"] for flood in whole["floods"]] == [12]
    assert whole["clocks"]["acknowledge"]["missed"] == 6
    assert {key: one["alarms"] for key, one in found["each"].items()} == {
        "g": 0, "lift.trapped": 12, "tank.high": 2
    }  # fmt: skip
    assert set(found["limits"]) == set(whole["judged"])


def test_period_and_zone_may_be_given(run: Run, ledger: Path) -> None:
    words = ["--from", "2026-03-01T10:30:00+08:00", "--to", BEGIN + 3 * H + 1, "--zone", "UTC"]
    found = json.loads(run("--ledger", ledger, "--json", *words)[1])
    assert (found["whole"]["alarms"], found["zone"]) == (1, "UTC")
    assert found["to_ms"] - found["from_ms"] == 30 * MIN + 1


def test_a_ledger_without_alarms_is_shown(run: Run, tmp_path: Path) -> None:
    book = Book(BEGIN)
    write(tmp_path, book)
    code, out, err = run("--ledger", tmp_path)
    assert (code, err) == (0, "")
    assert "most frequent points" not in out


def test_it_reads_while_a_run_writes(run: Run, tmp_path: Path) -> None:
    book, chain = scene(), Chain()
    with Store(tmp_path / DATABASE) as store:
        for content in book.contents[:30]:
            store.append([chain.append(content)])
        early = json.loads(run("--ledger", tmp_path, "--json")[1])
        store.append([chain.append(content) for content in book.contents[30:]])
        late = json.loads(run("--ledger", tmp_path, "--json")[1])
    assert early["whole"]["alarms"] < late["whole"]["alarms"] == 14


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--from", "soon"], "--from 'soon'"),
        (["--to", "9" * 30], "RFC 3339"),
        (["--by", "colour"], "colour"),
        (["--zone", "Mars/Olympus"], "no time zone"),
        (["--from", "2030-01-01T00:00:00Z"], "the period is empty"),
        (["--to", "2020-01-01T00:00:00Z"], "no records"),
    ],
)
def test_wrong_usage_is_2_with_the_reason_on_stderr(
    run: Run, ledger: Path, words: list[str], why: str
) -> None:
    code, out, err = run("--ledger", ledger, *words)
    assert (code, out) == (2, "")
    assert why in " ".join(err.replace("│", " ").split())


def test_a_missing_or_foreign_ledger_is_1(run: Run, tmp_path: Path) -> None:
    code, out, err = run("--ledger", tmp_path)
    assert (code, out) == (1, "")
    assert "no such ledger" in err
    (tmp_path / DATABASE).write_bytes(b"no database")
    assert run("--ledger", tmp_path)[0] == 1


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"type":"alert","t_ms":1,"n":2}'])
def test_a_damaged_record_is_named(run: Run, tmp_path: Path, body: bytes) -> None:
    record = Chain().append({"type": "activation", "t_ms": 0})
    with Store(tmp_path / DATABASE) as store:
        store.append([type(record)(2, b"", body)])
    code, out, err = run("--ledger", tmp_path)
    assert (code, out) == (1, "")
    assert "record" in err
    assert "ledger verify" in err


def test_the_command_does_not_load_what_it_shows_with() -> None:
    program = "import sys, streams.cli_kpi\nassert not {'numba', 'sqlite3'} & set(sys.modules)\n"
    subprocess.run([sys.executable, "-c", program], check=True)
