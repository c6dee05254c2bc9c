from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.cells import cell_len
from rich.console import Console

from streams.render import Language
from streams.run.board import Board, worst_first
from streams.run.screen import Screen
from streams.run.views import Frame, Lines, lead_times

START = 1_772_431_200_000  # 2026-03-02 06:00 UTC
MIN = 60_000


def alert(t: int, rule: str, severity: str, zh: str, en: str) -> dict[str, Any]:
    return {
        "type": "alert", "kind": "raised", "t_ms": START + t, "raised_ms": START + t,
        "since_ms": START + t - 15_000,
        "asset": "R-601", "rule": rule, "severity": severity, "announced": True,
        "word": "unacknowledged", "stale": False, "active": True, "latched": False,
        "title": {"zh": zh, "en": en},
        "text": {"zh": "压力 2912 kPa，高限 2895 kPa", "en": "Pressure 2912 kPa, limit 2895 kPa"},
        "evidence": [{"zh": "温度 120.4 °C", "en": "temperature 120.4 °C"}] * 4,
    }  # fmt: skip


def frame(*alerts: dict[str, Any]) -> Frame:
    board = Board()
    for one in alerts:
        board.take(one)
    rows = worst_first(list(alerts))
    return Frame(board, rows, START + 8 * 60 * MIN, START, START + 16 * 60 * MIN, 300.0)


FEED = alert(126 * MIN, "feed", "orange", "A进料中断", "A feed lost")
TRIP = alert(474 * MIN, "trip", "red", "联锁停车", "Plant tripped")
MILD = alert(400 * MIN, "mild", "yellow", "压力趋向联锁值", "Pressure heads for the trip")


def drawn(shown: Frame, language: Language, width: int, height: int = 30) -> list[str]:
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    screen = Screen(language, ZoneInfo("Asia/Shanghai"), console)
    screen.ledger = Path("tocsin-data")
    with console.capture() as captured:
        console.print(screen.draw(shown))
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize(("language", "words"), [
    ("zh", ["红", "橙", "黄", "联锁停车", "A进料中断", "50%", "300 倍速", "2小时6分", "报警"]),
    ("en", ["RED", "ORANGE", "YELLOW", "Plant tripped", "A feed lost", "50%", "300 × real time",
            "raised"]),
])  # fmt: skip
def test_severity_is_a_word_and_nothing_runs_over_the_edge(
    language: Language, words: list[str], width: int
) -> None:
    early = alert(354 * MIN, "e", "blue", "蓝色", "Blue")
    lines = drawn(frame(FEED, MILD, TRIP, early), language, width)
    screen = "\n".join(lines)
    assert not [word for word in words if word not in screen]
    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= 30


def test_the_clock_is_local_and_the_worst_is_on_top() -> None:
    lines = drawn(frame(FEED, TRIP), "en", 140)
    assert "2026-03-02 22:00:00" in lines[1]
    rows = [i for i, line in enumerate(lines) if "Plant tripped" in line or "A feed lost" in line]
    assert "RED" in lines[rows[0]]
    assert "ORANGE" in lines[rows[1]]


def test_many_alarms_fit_and_the_hidden_ones_are_counted() -> None:
    many = [alert(i * MIN, f"r{i}", "orange", f"第{i}", f"Number {i}") for i in range(100)]
    for width in (80, 140):
        lines = drawn(frame(*many), "en", width, height=24)
        assert len(lines) <= 24
        shown = sum("Number" in line and "2912" not in line for line in lines)
        assert any("+ " in line for line in lines), shown


def test_what_has_to_be_done_stands_beside_the_title_in_words() -> None:
    rows = [{**FEED, "stale": True}, {**TRIP, "word": "latched"}, {**MILD, "word": "shelved"}]
    screen = "\n".join(drawn(frame(*rows), "en", 140))
    assert "A feed lost (unacknowledged) (stale)" in screen
    assert "Plant tripped (latched: reset it)" in screen
    assert "Pressure heads for the trip (shelved)" in screen


def test_who_did_what_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines("en", ZoneInfo("UTC"))
    lines.alert({**FEED, "kind": "step", "step": "arrive", "by": "wang", "reason": "on site"})
    lines.alert({**FEED, "kind": "overdue", "step": "arrive"})
    lines.alert({**FEED, "kind": "shelved", "announced": False, "raised_ms": 0, "by": "li"})
    step, overdue, shelved = capsys.readouterr().out.splitlines()
    assert step.endswith("step arrive  R-601  A feed lost  (wang: on site)")
    assert overdue.endswith("overdue arrive  R-601  A feed lost")
    assert shelved.endswith("shelved  R-601  A feed lost  (li)")


def test_quiet_says_that_it_is_quiet() -> None:
    assert "无报警" in "\n".join(drawn(frame(), "zh", 80))


def test_lead_times_are_told_for_the_asset_that_tripped() -> None:
    other = {**alert(1 * MIN, "feed", "orange", "", "elsewhere"), "asset": "R-602"}
    board = frame(other, FEED, TRIP).board
    assert list(lead_times(board, {"trip"}, "en")) == [
        "R-601: 'A feed lost' came 5 h 48 min before 'Plant tripped'"
    ]
    assert list(lead_times(board, {"trip"}, "zh")) == [
        "R-601：“A进料中断”比“联锁停车”提前 5小时48分"
    ]


def test_lines_are_plain_and_leave_out_what_is_only_recorded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines("en", ZoneInfo("UTC"))
    lines.alert({**FEED, "announced": False})
    lines.alert(FEED)
    lines.alert({**FEED, "kind": "cleared"})
    raised, cleared = capsys.readouterr().out.splitlines()
    assert raised.startswith("2026-03-02 08:06:00  ORANGE  raised  R-601  A feed lost: Pressure")
    assert "[temperature 120.4 °C ·" in raised
    assert cleared == "2026-03-02 08:06:00  ORANGE  cleared  R-601  A feed lost"
