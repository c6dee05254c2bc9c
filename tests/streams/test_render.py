import math

import pytest

from rules.model import Level, Message, Piece, Rule, Signal, Text
from rules.records import Transition
from rules.tree import Const, SignalRef
from streams.render import alert, number, rfc3339, said_of, span, text, value

PRESSURE = Piece("pressure", SignalRef("pressure"), "kPa")
MODE = Piece("mode", SignalRef("mode"), kind="states", titles={2: Text("检修", "inspection")})
HELD = Piece("held", None, "ms")
ASSET = Piece("asset", None)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (0.0, "0"), (-0.0, "0"), (2705.66, "2706"), (120.397, "120.4"), (1.75, "1.75"),
        (250.0, "250"), (0.19442, "0.194"), (0.0194, "0.0194"), (-0.0001234, "-0.000123"),
        (123456.0, "123456"), (1e-15, "0"), (math.inf, "∞"), (9.9999, "10"),
    ],
)  # fmt: skip
def test_numbers(x: float, said: str) -> None:
    assert number(x) == said


@pytest.mark.parametrize(
    ("ms", "zh", "en"),
    [
        (0, "0秒", "0 s"),
        (250, "250毫秒", "250 ms"),
        (15_000, "15秒", "15 s"),
        (348 * 60_000, "5小时48分", "5 h 48 min"),
        (2 * 86_400_000 + 300_000, "2天", "2 d"),
        (3_600_000, "1小时", "1 h"),
        (90_061_000, "1天1小时", "1 d 1 h"),
        (-90_000, "-1分30秒", "-1 min 30 s"),
        (math.inf, "无限", "never"),
        (math.nan, "未知", "unknown"),
    ],
)
def test_spans(ms: float, zh: str, en: str) -> None:
    assert (span(ms, "zh"), span(ms, "en")) == (zh, en)


def test_values_have_units_titles_and_words() -> None:
    assert value(PRESSURE, 2705.66, "en") == "2706 kPa"
    assert value(PRESSURE, math.nan, "zh") == "未知"
    assert value(MODE, 2.0, "zh") == "检修"
    assert value(MODE, 7.0, "en") == "7"
    assert value(Piece("open", SignalRef("open"), kind="bool"), 1.0, "zh") == "是"
    assert value(Piece("age(x)", Const(0), "ms"), 15_000.0, "en") == "15 s"


def rule(message: Message) -> Rule:
    level = Level(3, Const(1), Const(0), None, Const(0), None, None, None, message)
    return Rule("r", "c", Text("超压", "Too much"), (level,), evidence=(PRESSURE, MODE))


MESSAGE = Message(
    zh=("", ASSET, " 压力 ", PRESSURE, "，", HELD),
    en=(ASSET, " at ", PRESSURE, " in ", MODE, " for ", HELD),
)
RAISED = Transition(
    15_000, "V-1", "r", "raised", 3, announced=True, raised=15_000, since=0, values=(812.5, 2.0)
)


def test_a_message_is_filled_in_for_each_language() -> None:
    assert said_of(rule(MESSAGE), RAISED, "en") == "V-1 at 812.5 kPa in inspection for 15 s"
    assert said_of(rule(MESSAGE), RAISED, "zh") == "V-1 压力 812.5 kPa，15秒"


def test_a_missing_language_falls_back_and_a_missing_value_is_unknown() -> None:
    message = Message(en=("at ", PRESSURE))
    assert text(message, {}, "V-1", 0, "zh") == "at 未知"


def test_without_a_message_the_title_speaks() -> None:
    assert said_of(rule(Message()), RAISED, "zh") == "超压"


def test_health_alarms_say_what_is_wrong() -> None:
    level = Level(2, Const(1), Const(0), None, Const(0), None, None, None, Message())
    silent = Rule("c.silent", "c", Text(), (level,), health="silent")
    assert said_of(silent, RAISED, "en") == "No message at all"


def test_an_alert_holds_both_languages_and_plain_values() -> None:
    signals = {"pressure": Signal("pressure", "number", title=Text("压力", "Pressure"))}
    made = alert(rule(MESSAGE), RAISED, "abc", 0, signals)
    assert made["time"] == "1970-01-01T00:00:15.000Z"
    assert made["severity"] == "orange"
    assert made["title"] == {"zh": "超压", "en": "Too much"}
    assert made["evidence"] == [
        {"name": "pressure", "value": 812.5, "unit": "kPa",
         "zh": "压力 812.5 kPa", "en": "Pressure 812.5 kPa"},
        {"name": "mode", "value": 2.0, "unit": "", "zh": "mode 检修", "en": "mode inspection"},
    ]
    assert (made["alarm"], made["seq"]) == ("abc", 0)
    assert (made["raised_ms"], made["since_ms"]) == (15_000, 0)


def test_times_are_rfc_3339_with_milliseconds_before_1970_too() -> None:
    assert rfc3339(1_772_431_200_007) == "2026-03-02T06:00:00.007Z"
    assert rfc3339(-1) == "1969-12-31T23:59:59.999Z"


