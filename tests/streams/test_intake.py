"""Intake: each sentence about messages, values, times, quality and refusals as a test."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from rules.model import Pack
from rules.records import Message
from streams.decode import Refuse, time_ms
from streams.intake import Intake, Reason, Scanned
from streams.readings import KEPT, KEPT_BYTES
from tests.streams.intake_kit import LIFT, PACK, SLOT, intake, plain

T = 1_700_000_000_000


def lift(values: object, **more: object) -> bytes:
    return json.dumps({"asset": "L1", "t": T, "values": values, **more}).encode()


def scan(*records: bytes, now: int | None = None, into: Intake | None = None) -> Scanned:
    return (into or intake()).scan(list(records), now)


def values(found: Scanned) -> list[tuple[int, float]]:
    assert len(found.batch) == 1
    return plain(found.batch)[0][2]


def why(found: Scanned) -> list[tuple[Reason, str]]:
    return [(one.reason, one.signal) for one in found.refused]


def test_a_wide_message_gives_its_values_in_order() -> None:
    found = scan(lift({"speed": 1.25, "car_status": 1, "door_closed": True}))
    assert plain(found.batch) == [
        (0, T, [(SLOT["speed"], 1.25), (SLOT["car_status"], 1.0), (SLOT["door_closed"], 1.0)])
    ]
    assert found.refused == []
    assert not found.counts


def test_a_narrow_message_gives_one_value() -> None:
    text = b'{"asset":"L1","signal":"speed","t":1700000000000,"v":-2,"q":"good"}'
    assert plain(scan(text).batch) == [(0, T, [(SLOT["speed"], -2.0)])]


def test_an_array_gives_its_messages_at_one_position() -> None:
    text = b"[" + lift({"speed": 1}) + b"," + lift({"speed": 2}, t=5) + b"]"
    found = intake().scan([lift({}), text], position0=100)
    assert found.batch.position.tolist() == [100, 101, 101]
    assert found.batch.value.tolist() == [1.0, 2.0]


def test_one_bad_message_of_an_array_does_not_harm_the_others() -> None:
    found = scan(b"[3, " + lift({"speed": 1}) + b', {"asset":"L1","asset":"L1"}]')
    assert len(found.batch) == 1
    assert why(found) == [(Reason.NOT_AN_OBJECT, ""), (Reason.DUPLICATE_KEY, "")]


def test_positions_count_lines_and_records() -> None:
    buffer = b"\n".join([lift({}), b"", b"   ", b"nonsense", lift({})]) + b"\n"
    found = intake().scan(buffer, position0=10)
    assert found.batch.position.tolist() == [10, 14]
    assert [(one.reason, one.position) for one in found.refused] == [(Reason.NOT_JSON, 13)]


def test_a_message_without_values_is_heard() -> None:
    assert plain(scan(lift({})).batch) == [(0, T, [])]


@pytest.mark.parametrize(
    ("t", "ms"),
    [
        (0, 0),
        (-28_800_000, -28_800_000),
        (-2_208_988_800_000, -2_208_988_800_000),
        (T, T),
        (99_999_999_999_999, 99_999_999_999_999),
        (100_000_000_000_000, 100_000_000_000),
        (T * 1_000 + 999, T),
        (T * 1_000_000 + 999_999, T),
        ("2026-03-01T06:00:00Z", 1_772_344_800_000),
        ("2026-03-01t06:00:00.25z", 1_772_344_800_250),
        ("2026-03-01 14:00:00.0019+08:00", 1_772_344_800_001),
        ("2026-02-28T22:30:00-07:30", 1_772_344_800_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_times_are_told_apart_by_size_or_are_rfc_3339(t: object, ms: int) -> None:
    assert time_ms(t) == ms
    assert scan(lift({}, t=t)).batch.t.tolist() == [ms]


@pytest.mark.parametrize(
    ("t", "hint"),
    [
        (1.5, "integer"),
        (True, "integer"),
        (None, "integer"),
        (1 << 63, "too large"),
        (10**30, "integer"),
        ("2026-03-01T06:00:00", "not like"),
        ("2026-03-01", "not like"),
        ("２０２６-03-01T06:00:00Z", "not like"),
        ("2016-12-31T23:59:60Z", "leap second"),
        ("2026-02-29T00:00:00Z", "day"),
        ("2026-03-01T24:00:00Z", "hour"),
        ("2026-03-01T00:00:00+24:00", "hour"),
        ("0000-01-01T00:00:00Z", "year"),
        ("0001-01-01T00:00:00+10:00", "1900"),
        (-2_208_988_800_001, "1900"),
        (-99_999_999_999_999, "1900"),
    ],
)
def test_other_times_are_refused_and_say_why(t: object, hint: str) -> None:
    found = scan(lift({}, t=t))
    assert why(found) == [(Reason.BAD_TIME, "")]
    assert hint in found.refused[0].found
    with pytest.raises(Refuse):
        time_ms(t)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", Reason.NOT_JSON),
        (b"{", Reason.NOT_JSON),
        (lift({}) + b" x", Reason.NOT_JSON),
        (lift({}) + lift({}), Reason.NOT_JSON),
        (b'{"asset":"L1","t":1,"values":{"speed":NaN}}', Reason.NOT_JSON),
        (b'{"asset":"L1","t":1,"values":{"speed":-Infinity}}', Reason.NOT_JSON),
        (b"\xef\xbb\xbf" + lift({}), Reason.NOT_JSON),
        (b'{"asset":"L1\n"}', Reason.NOT_JSON),
        (b'{"asset":"\xff"}', Reason.BAD_UTF8),
        (b'{"asset":"\xed\xa0\x80"}', Reason.BAD_UTF8),
        (b" " * (1 << 20) + b"1", Reason.TOO_LARGE),
        (b"[" * 100_000, Reason.TOO_LARGE),
        (b'{"a":' * 9 + b"1" + b"}" * 9, Reason.TOO_LARGE),
        (lift({"message_code": [1] * 1_025}), Reason.TOO_LARGE),
        (b"[" + b"0," * 20_000 + b"0]", Reason.TOO_LARGE),
        (b"3", Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
        (b"[[]]", Reason.NOT_AN_OBJECT),
        (lift({}, ts=1), Reason.UNKNOWN_KEY),
        (lift({}, q="good"), Reason.UNKNOWN_KEY),
        (lift({}, signal="speed", v=1), Reason.UNKNOWN_KEY),
        (b'{"asset":"L1","t":1}', Reason.MISSING_KEY),
        (b'{"asset":"L1","t":1,"signal":"speed"}', Reason.MISSING_KEY),
        (b'{"t":1,"values":{}}', Reason.MISSING_KEY),
        (b'{"asset":"L1","t":1,"t":1,"values":{}}', Reason.DUPLICATE_KEY),
        (b'{"asset":"L1","t":1,"values":{"speed":1,"speed":1}}', Reason.DUPLICATE_KEY),
        (lift([1]), Reason.WRONG_TYPE),
        (lift({}, historical=1), Reason.WRONG_TYPE),
        (lift({}, **{"class": 1}), Reason.WRONG_TYPE),
        (b'{"asset":"L1","t":1,"signal":7,"v":1}', Reason.WRONG_TYPE),
        (lift({}, arrival="soon"), Reason.BAD_TIME),
        (lift({}, asset=""), Reason.BAD_ASSET),
        (lift({}, asset=7), Reason.BAD_ASSET),
        (lift({}, asset="L\x7f1"), Reason.BAD_ASSET),
        (lift({}, asset="\ud800"), Reason.BAD_ASSET),
        (lift({}, asset="x" * 129), Reason.BAD_ASSET),
        (lift({}, **{"class": "crane"}), Reason.UNKNOWN_CLASS),
        (lift({}, **{"class": "pump"}), Reason.CLASS_CHANGED),
        (lift({}, asset="L2"), Reason.UNKNOWN_ASSET),
        (lift({}, historical=True), Reason.HISTORICAL),
        (lift({}, arrival=T - 60_001), Reason.FUTURE),
    ],
)
def test_a_message_is_refused_with_its_reason(record: bytes, reason: Reason) -> None:
    found = intake().scan([lift({}), record], position0=5)
    assert found.counts == {reason: 1}
    assert found.batch.position.tolist() == [5]
    refused = found.refused[0]
    assert (refused.reason, refused.position) == (reason, 6)
    assert refused.data == record[:KEPT_BYTES]
    assert refused.signal == ""


NAN = math.nan


@pytest.mark.parametrize(
    ("signal", "value", "expected"),
    [
        ("speed", 10, 10.0),
        ("speed", -0.0, 0.0),
        ("speed", None, NAN),
        ("speed", 10.5, Reason.OUT_OF_RANGE),
        ("speed", True, Reason.WRONG_TYPE),
        ("speed", "1", Reason.WRONG_TYPE),
        ("speed", [1], Reason.WRONG_TYPE),
        ("speed", {}, Reason.WRONG_TYPE),
        ("count", 1 << 70, float(1 << 70)),
        ("count", 10**400, Reason.OUT_OF_RANGE),
        ("door_closed", False, 0.0),
        ("door_closed", 1, 1.0),
        ("door_closed", 0.0, 0.0),
        ("door_closed", 2, Reason.WRONG_TYPE),
        ("door_closed", "true", Reason.WRONG_TYPE),
        ("door_closed", None, NAN),
        ("car_status", 1, 1.0),
        ("car_status", "off", -7.0),
        ("car_status", 1.0, 1.0),
        ("car_status", 5, Reason.UNKNOWN_STATE),
        ("car_status", 0.5, Reason.UNKNOWN_STATE),
        ("car_status", "parked", Reason.UNKNOWN_STATE),
        ("car_status", True, Reason.WRONG_TYPE),
        ("car_status", None, NAN),
        ("message_code", None, NAN),
        ("message_code", 1.5, Reason.WRONG_TYPE),
        ("message_code", True, Reason.WRONG_TYPE),
        ("message_code", [41, None], Reason.WRONG_TYPE),
        ("message_code", [[41]], Reason.WRONG_TYPE),
        ("message_code", 1 << 63, Reason.OUT_OF_RANGE),
    ],
)
def test_a_value_is_good_or_a_sample_without_value(
    signal: str, value: object, expected: float | Reason
) -> None:
    found = scan(lift({signal: value, "count": 1} if signal != "count" else {"count": value}))
    slot, number = values(found)[0]
    assert slot == SLOT[signal]
    if isinstance(expected, Reason):
        assert math.isnan(number)
        assert found.counts == {expected: 1}
        assert why(found) == [(expected, signal)]
    else:
        assert number == expected or (math.isnan(number) and math.isnan(expected))
        assert math.copysign(1, number) == 1 or number < 0
        assert not found.counts
    assert signal == "count" or values(found)[1:] == [(SLOT["count"], 1.0)]


def test_an_unknown_signal_and_an_operators_refuse_only_themselves() -> None:
    found = scan(lift({"spedd": 1, "maintenance": True, "speed": 2}))
    assert values(found) == [(SLOT["speed"], 2.0)]
    assert why(found) == [
        (Reason.UNKNOWN_SIGNAL, "spedd"),
        (Reason.NOT_FROM_OUTSIDE, "maintenance"),
    ]


def test_events_give_a_hash_and_each_listed_code() -> None:
    found = values(scan(lift({"message_code": ["alarm", 41, 90, 77, "zz"], "speed": 1})))
    assert [slot for slot, _ in found] == [
        SLOT["message_code"],
        SLOT["message_code", 90],
        SLOT["message_code", 41],
        SLOT["speed"],
    ]
    assert found[0][1] >= 0
    assert [value for _, value in found[1:]] == [1.0, 1.0, 1.0]


def test_the_hash_of_events_goes_by_the_set_of_codes_as_sent() -> None:
    def of(codes: object) -> float:
        return values(scan(lift({"message_code": codes})))[0][1]

    same = [of(codes) for codes in ([41, 90], [90, 41], ["mains_lost", 90, 41.0], ["alarm", 41])]
    assert len(set(same)) == 1
    different = [of(codes) for codes in (41, 90, [41, 90], [], 7, "7", "zz", [41, 7], [41, "zz"])]
    assert len(set(different)) == len(different)
    assert of(41) == of([41]) == of("mains_lost")
    assert of([41, 7]) != of(41), "a code that is not listed counts, or a repeat would look new"


def test_unlisted_events_are_ignored_and_counted_one_by_one() -> None:
    found = scan(lift({"message_code": [7, 8, "zz", 41, 7]}))
    assert [slot for slot, _ in values(found)] == [SLOT["message_code"], SLOT["message_code", 41]]
    assert found.counts == {Reason.UNKNOWN_EVENT: 3}
    assert found.refused[0].found == '[7, 8, "zz"]'


@pytest.mark.parametrize("word", ["good", "Good", "GOOD", True, 192, 192.0])
def test_words_of_good_quality(word: object) -> None:
    assert values(scan(lift({"speed": 1}, quality=word))) == [(SLOT["speed"], 1.0)]


@pytest.mark.parametrize("word", ["bad", "gOOD", "", "192", False, 0, 1, 193, None, [], ["good"]])
def test_every_other_word_is_bad_quality(word: object) -> None:
    found = scan(lift({"speed": 1, "message_code": 41}, quality=word))
    assert [slot for slot, _ in values(found)] == [SLOT["speed"], SLOT["message_code"]]
    assert all(math.isnan(value) for _, value in values(found))
    assert found.counts == {Reason.BAD_QUALITY: 2}


def test_quality_by_signal_leaves_the_others_good() -> None:
    found = scan(lift({"speed": 1, "count": 2}, quality={"speed": "uncertain", "other": "bad"}))
    assert math.isnan(values(found)[0][1])
    assert values(found)[1] == (SLOT["count"], 2.0)
    assert why(found) == [(Reason.BAD_QUALITY, "speed")]


def test_future_is_asked_only_where_an_arrival_is_known() -> None:
    ahead = lift({}, t=T + 60_001)
    assert len(scan(ahead).batch) == 1
    assert scan(ahead, now=T).counts == {Reason.FUTURE: 1}
    assert len(scan(lift({}, t=T + 60_000), now=T).batch) == 1
    assert len(scan(lift({}, t=T + 60_001, arrival=T + 1), now=0).batch) == 1
    assert scan(lift({}, t=T + 60_001, arrival=T), now=T + 9_000_000).counts == {Reason.FUTURE: 1}


def test_a_class_has_its_own_max_ahead() -> None:
    pump = b'{"asset":"P1","t":11001,"values":{}}'
    assert scan(pump, now=10_000).counts == {Reason.FUTURE: 1}
    assert len(scan(pump, now=10_001).batch) == 1


def test_a_refused_message_takes_no_asset_in() -> None:
    box = intake()
    new = {"asset": "L9", "class": "lift"}
    scan(lift({}, **new, historical=True), lift({}, **new, arrival=0), into=box)
    scan(lift({}, asset="L9", **{"class": "crane"}), into=box)
    assert "L9" not in box._readings._assets


def test_an_asset_first_heard_names_its_class() -> None:
    box = intake()
    first = lift({"speed": 1}, asset="L9", **{"class": "lift"})
    found = scan(lift({}, asset="L9"), first, lift({}, asset="L9"), into=box)
    assert found.counts == {Reason.UNKNOWN_ASSET: 1}
    assert found.batch.asset.tolist() == [2, 2]


def test_a_pack_of_one_class_needs_no_class() -> None:
    box = intake(Pack({"lift": LIFT}, (), (), {}))
    assert scan(lift({"speed": 1}, asset="L9"), into=box).batch.asset.tolist() == [1]


def test_rejecting_unknown_assets_takes_only_the_inventorys() -> None:
    box = intake(unknown_assets="reject")
    found = scan(lift({}), lift({}, asset="L9", **{"class": "lift"}), into=box)
    assert found.counts == {Reason.UNKNOWN_ASSET: 1}
    assert len(found.batch) == 1


def test_refusals_kept_are_bounded_and_the_rest_counted() -> None:
    found = scan(*[b"x" * 10_000] * (KEPT + 10))
    assert found.counts == {Reason.NOT_JSON: KEPT + 10}
    assert len(found.refused) == KEPT
    assert {len(one.data) for one in found.refused} == {KEPT_BYTES}


def test_every_message_is_in_the_batch_or_refused() -> None:
    records = [lift({}), b"", lift({}, t="x"), lift({"nope": 1}), lift({"speed": 99}), b"[]"]
    found = scan(*records)
    whole = [one for one in found.refused if not one.signal]
    assert len(found.batch) + len(whole) == len(records) - 1  # an empty array has no message


def test_plain_messages_follow_the_same_rules() -> None:
    sent = {"speed": 99, "door_closed": True, "message_code": [41], "nope": 1}
    for more in ({}, {"historical": True}, {"arrival": 0}, {"cls": "pump"}, {"asset": ""}):
        fields: dict[str, Any] = {"asset": "L1", "cls": "lift", "t": T, "values": sent, **more}
        text = {key: value for key, value in fields.items() if key != "cls"}
        by_bytes = scan(json.dumps({**text, "class": fields["cls"]}).encode())
        by_value = intake().messages([Message(**fields)])
        assert str(plain(by_bytes.batch)) == str(plain(by_value.batch))  # NaN shows as itself
        assert why(by_bytes) == why(by_value)
        assert by_bytes.counts == by_value.counts


def test_plain_messages_take_what_python_can_hold() -> None:
    messages = [
        Message("L1", "lift", T, {"speed": math.nan, "count": math.inf, "door_closed": object()}),
        Message("L1", "lift", 10**14, {}),
        Message("L1", "", -5, {"count": 10**400}),
    ]
    found = intake().messages(messages)
    assert found.batch.t.tolist() == [T, -5]
    assert found.counts == {Reason.OUT_OF_RANGE: 3, Reason.WRONG_TYPE: 1, Reason.BAD_TIME: 1}


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    for reason in Reason:
        assert reason.text.zh
        assert reason.text.en
        assert reason.text.zh != reason.text.en


def test_nothing_at_all_is_an_empty_batch() -> None:
    nothing: list[bytes | list[bytes]] = [b"", b"\n\n", []]
    for data in nothing:
        found = Intake(PACK, intake()._readings._assets).scan(data)
        assert len(found.batch) == 0
        assert found.batch.first.tolist() == [0]
