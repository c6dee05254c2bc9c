from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.notify.base import Notice
from streams.notices import KINDS, USUAL, Channel, for_channels, notice
from tests.streams.notices_kit import T, alert, channel

ZONE = ZoneInfo("Asia/Shanghai")


def tells(content: dict[str, Any], given: Channel, *told: tuple[str, str]) -> bool:
    return bool(for_channels(content, [given], lambda name, alarm: (name, alarm) in told))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (alert("raised"), True),
        (alert("level", severity="red"), True),
        (alert("overdue"), True),
        (alert("raised", severity="yellow"), False),     # below the channel's severity
        (alert("level", severity="blue"), False),
        (alert("raised", announced=False), False),
        (alert("level", announced=False), False),
        (alert("cleared"), False),                       # of an alarm that was not told
        (alert("returned"), False),
        (alert("stale"), False),
        (alert("acknowledged"), False),
        (alert("suppressed"), False),
        ({"n": 1, "type": "activation", "pack": ""}, False),
        ({"n": 1, "type": "command", "command": "reset", "alarm": "a"}, False),
    ],
)
def test_what_is_told_first(content: dict[str, Any], expected: bool) -> None:
    assert tells(content, channel()) is expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (alert("cleared"), True),
        (alert("cleared", severity="blue"), True),
        (alert("level", severity="blue"), True),          # it went down: whoever heard, hears
        (alert("overdue", severity="blue"), True),
        (alert("raised", severity="blue"), True),
        (alert("cleared", announced=False), True),        # shelved meanwhile
        (alert("level", announced=False), False),
        (alert("returned"), False),                       # not of its kinds
        (alert("stale"), False),
    ],
)
def test_what_is_told_once_the_alarm_was(content: dict[str, Any], expected: bool) -> None:
    assert tells(content, channel(), ("x", "a")) is expected


def test_who_heard_is_known_for_each_channel_and_alarm() -> None:
    cleared = alert("cleared")
    assert not tells(cleared, channel(), ("y", "a"))
    assert not tells(cleared, channel(), ("x", "b"))
    both = [channel("x"), channel("y")]
    found = for_channels(cleared, both, lambda name, _: name == "y")
    assert [one.name for one in found] == ["y"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rules": ("lift.entrapment",)}, True),
        ({"rules": ("lift.*",)}, True),
        ({"rules": ("machine.*", "lift.*")}, True),
        ({"rules": ("lift",)}, False),
        ({"rules": ("lif.*",)}, False),
        ({"tags": frozenset({"entrapment"})}, True),
        ({"tags": frozenset({"other", "entrapment"})}, True),
        ({"tags": frozenset({"other"})}, False),
        ({"places": frozenset({"east"})}, True),
        ({"places": frozenset({"west"})}, False),
        ({"desks": frozenset({"d1"})}, True),
        ({"desks": frozenset({"d2"})}, False),
        ({"tags": frozenset({"entrapment"}), "desks": frozenset({"d2"})}, False),
    ],
)
def test_filters(changes: dict[str, Any], expected: bool) -> None:
    content = alert(tags=["entrapment", "x"], place="east", desk="d1")
    given = channel(**changes)
    assert tells(content, given) is expected
    assert tells(alert("cleared"), given, ("x", "a")), "who heard, hears the end"


def test_what_a_record_lacks_fits_no_filter() -> None:
    for changes in ({"tags": frozenset({"t"})}, {"places": frozenset({""})}):
        assert not tells(alert(), channel(**changes))


def test_an_overdue_plan_reaches_the_roles_it_notifies() -> None:
    given = channel(least=4, kinds=frozenset({"raised"}), rules=("x.*",),
                    roles=frozenset({"district_desk"}))  # fmt: skip
    assert tells(alert("overdue", notify=["plant_manager", "district_desk"]), given)
    assert not tells(alert("overdue", notify=["plant_manager"]), given)
    assert not tells(alert("overdue"), given)
    assert not tells(alert("raised", notify=["district_desk"]), given)
    assert not tells(alert("overdue", notify=["district_desk"], announced=False), given)


def test_kinds() -> None:
    assert frozenset(USUAL) == channel().kinds
    for kind in KINDS:
        given = channel(kinds=frozenset({kind}))
        assert [k for k in KINDS if tells(alert(k), given, ("x", "a"))] == [kind]


def test_a_notice_says_what_the_alert_says() -> None:
    content = alert("overdue", step="arrive", place="east", plan="lift.rescue", seq=4)
    body = json.dumps(content).encode()
    made = notice(content, body, ZONE, ((0, T),))
    assert made == Notice(
        alarm="a", seq=4, kind="overdue", severity="orange", t_ms=T, since_ms=T, zone=ZONE,
        asset="L1", rule="lift.entrapment", title=content["title"], text=content["text"],
        kind_word=made.kind_word, severity_word={"zh": "橙", "en": "ORANGE"},
        evidence={"zh": "楼层 3 · 有人 是", "en": "floor 3 · passenger yes"},
        place="east", plan="lift.rescue", step="arrive", body=body, earlier=((0, T),),
    )  # fmt: skip
    assert all(made.kind_word[language] for language in ("zh", "en"))
    assert made.id == "a-4"


def test_every_kind_has_words() -> None:
    for kind in KINDS:
        made = notice(alert(kind), b"", ZONE)
        assert made.kind_word["zh"]
        assert made.kind_word["en"]
        assert made.ended == (kind in ("returned", "cleared"))
