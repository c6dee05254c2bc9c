from typing import Any

from streams.run.board import Board


def alert(kind: str, t: int, *, asset: str = "a", rule: str = "r", severity: str = "orange",
          announced: bool = True, raised: int = 1) -> dict[str, Any]:
    return {"kind": kind, "t_ms": t, "asset": asset, "rule": rule, "severity": severity,
            "announced": announced, "raised_ms": raised}


def board(*alerts: dict[str, Any]) -> Board:
    made = Board()
    for one in alerts:
        made.take(one)
    return made


def test_an_alarm_stands_from_its_raise_until_it_is_cleared() -> None:
    made = board(alert("raised", 1))
    assert made.counts() == {"red": 0, "orange": 1, "yellow": 0, "blue": 0}
    made.take(alert("level", 2, severity="red"))
    assert [x.alert["severity"] for x in made.shown()] == ["red"]
    made.take(alert("cleared", 3, severity="red"))
    assert made.shown() == []
    assert [x["kind"] for x in made.recent] == ["raised", "level", "cleared"]


def test_stale_keeps_what_the_alarm_said() -> None:
    made = board(alert("raised", 1), alert("stale", 2))
    assert (made.shown()[0].stale, made.shown()[0].alert["kind"]) == (True, "raised")
    made.take(alert("fresh", 3))
    assert not made.shown()[0].stale


def test_a_latched_alarm_waits_for_its_reset_and_may_come_again() -> None:
    made = board(alert("raised", 1), alert("returned", 2))
    assert made.shown()[0].returned
    made.take(alert("raised", 3, raised=3))
    assert (made.shown()[0].returned, made.shown()[0].raised_ms) == (False, 3)


def test_what_is_not_announced_is_not_shown_until_it_is() -> None:
    made = board(alert("raised", 1, announced=False))
    assert (made.shown(), list(made.recent), made.raised.total()) == ([], [], 0)
    made.take(alert("raised", 5))
    assert len(made.shown()) == 1


def test_the_worst_come_first_and_of_one_severity_the_newest() -> None:
    made = board(
        alert("raised", 1, asset="old"),
        alert("raised", 2, asset="new", raised=2),
        alert("raised", 3, asset="mild", severity="blue", raised=3),
        alert("raised", 1, asset="worst", severity="red"),
    )
    assert [x.alert["asset"] for x in made.shown()] == ["worst", "new", "old", "mild"]


def test_the_first_raise_is_remembered() -> None:
    made = board(alert("raised", 1), alert("cleared", 2), alert("raised", 9, raised=9))
    assert made.first["a", "r"]["t_ms"] == 1
    assert made.raised == {"orange": 2}
