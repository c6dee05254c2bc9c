from typing import Any

from streams.run.board import Board, counts, worst_first


def alert(kind: str, t: int, *, severity: str = "orange", announced: bool = True,
          raised: int = 1) -> dict[str, Any]:
    return {"type": "alert", "kind": kind, "t_ms": t, "asset": "a", "rule": "r",
            "severity": severity, "announced": announced, "raised_ms": raised}


def board(*records: dict[str, Any]) -> Board:
    made = Board()
    for one in records:
        made.take(one)
    return made


def test_only_what_is_announced_is_news() -> None:
    made = board(alert("raised", 1, announced=False))
    assert (list(made.recent), made.raised.total()) == ([], 0)
    made.take(alert("raised", 5))
    assert ([x["t_ms"] for x in made.recent], made.raised) == ([5], {"orange": 1})


def test_what_people_do_with_a_point_is_news_and_other_records_are_none() -> None:
    made = board(alert("shelved", 1, announced=False, raised=0), {"type": "command"})
    assert [x["kind"] for x in made.recent] == ["shelved"]


def test_the_first_raise_is_remembered() -> None:
    made = board(alert("raised", 1), alert("cleared", 2), alert("raised", 9, raised=9))
    assert made.first["a", "r"]["t_ms"] == 1
    assert made.raised == {"orange": 2}


def row(asset: str, severity: str, word: str, raised: int) -> dict[str, Any]:
    return {"asset": asset, "rule": "r", "severity": severity, "word": word, "raised_ms": raised}


def test_the_worst_come_first_then_what_nobody_attends_to_then_the_newest() -> None:
    rows = [
        row("old", "orange", "acknowledged", 1), row("new", "orange", "acknowledged", 2),
        row("waits", "orange", "returned_unacknowledged", 0), row("mild", "blue", "normal", 3),
        row("worst", "red", "acknowledged", 1),
    ]  # fmt: skip
    assert [x["asset"] for x in worst_first(rows)] == ["worst", "waits", "new", "old", "mild"]
    assert counts(rows) == {"red": 1, "orange": 3, "yellow": 0, "blue": 1}
