"""The fast way of intake takes what the slow way would, to the last bit, or leaves it alone."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rules.jit import kernel
from streams.decode import MAX_BYTES, MAX_VALUES
from streams.intake import Scanned
from streams.reasons import Reason
from streams.scan_numbers import Bytes, read_number
from streams.scan_tables import mix
from tests.streams.intake_kit import LIFT, assert_same, intake

LINE = '{"asset":"L1","class":"lift","t":1700000000000,"values":{"speed":1.25,"door_closed":true}}'


def both(data: bytes | list[bytes], now: int | None = None) -> Scanned:
    """What both ways make of it, which must be the same."""
    fast = intake(fast=True).scan(data, now, position0=7)
    assert_same(fast, intake().scan_slowly(data, now, position0=7))
    return fast


@kernel
def number_at_0(buf: Bytes) -> tuple[int, float]:
    return read_number(buf, 0)


def read(text: str) -> float | None:
    """The number as the fast way reads it; None if it leaves it to the slow one."""
    raw = text.encode() + b"\n"
    buf = np.frombuffer(raw, np.uint8) if hasattr(number_at_0, "py_func") else raw
    end, value = number_at_0(buf)
    assert end in (-1, len(text)), text
    return None if end < 0 else value


digits = st.text("0123456789", min_size=1, max_size=20)
numbers = st.one_of(
    st.integers().map(str),
    st.integers(-(10**18), 10**18).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-100, 100).map(repr),
    st.builds("{}.{}".format, st.integers(-(10**9), 10**9), digits),
    st.builds("{}e{}".format, st.integers(-(10**16), 10**16), st.integers(-40, 40)),
    st.builds("{}.{}E{}".format, st.integers(0, 99), digits, st.integers(-400, 400)),
)


@settings(max_examples=2_000, deadline=None)
@given(numbers)
@example("9007199254740993")
@example("0.30000000000000004")
@example("9007199254740993.0")
@example("4503599627370497.5")
@example("1e23")
@example("123456789012345678e-22")
@example("-0")
@example("-0.0")
@example("0.000000000000000000000001")
def test_a_number_is_what_float_makes_of_it_or_left_alone(text: str) -> None:
    value = read(text)
    if value is not None:
        assert value == float(text)
        assert value != 0 or math.copysign(1, value) == 1  # -0.0 is 0.0


@settings(max_examples=1_000, deadline=None)
@given(st.integers(1 << 52, (1 << 53) - 1), st.integers(0, 6))
def test_the_middle_of_two_floats_is_never_guessed(m: int, k: int) -> None:
    halves = (2 * m + 1) * 5**k  # (m + 1/2) · 10^k / 2^(k-1): decimal digits that end in a tie
    text = f"{halves}e-{k}"
    if len(str(halves)) <= 18:
        assert read(text) in (None, float(text))


def test_numbers_as_gateways_send_them_take_the_fast_way() -> None:
    for i in range(1, 2_000):
        for value in (i / 7, i / 1000, -i * 0.1, i * 1e-4 / 3, float(i), i * 1234.5678):
            assert read(repr(value)) == value
            assert read(f"{value:.3f}") == float(f"{value:.3f}")


@pytest.mark.parametrize("text", ["01", "-", "-01", "1.", ".5", "1e", "1e+", "+1", "1.e3", "0x1"])
def test_what_is_no_json_number_is_left_alone(text: str) -> None:
    raw = text.encode() + b"\n"
    buf = np.frombuffer(raw, np.uint8) if hasattr(number_at_0, "py_func") else raw
    assert number_at_0(buf)[0] in (-1, 1)  # "0x1" ends after the 0, where a comma would have to be
    both(f'{{"asset":"L1","t":1,"values":{{"count":{text}}}}}'.encode())


def test_codes_hash_alike_compiled_and_plain() -> None:
    plain = getattr(mix, "py_func", mix)
    for code in (0, 1, 41, 90, -1, 1 << 40, -(1 << 63), (1 << 63) - 1):
        assert mix(code) == plain(code)
        assert 0 <= mix(code) < 1 << 52
    assert len({mix(code) for code in range(-5_000, 5_000)}) == 10_000


names = st.sampled_from([*LIFT.signals, "温度", "unheard", "spee", "speedy", "", 'a"b'])
words = st.sampled_from(["stopped", "running", "off", "mains_lost", "alarm", "released", "x"])
plain_values = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 2, 3, 41, 90, -7, 1.0, 0.5, 11, 1e3, -10, 1 << 53, 1 << 63, 10**30]),
    st.floats(-10, 10),
    st.floats(allow_nan=False, allow_infinity=False),
    words,
)
values = st.one_of(plain_values, st.lists(plain_values, max_size=4), st.just({}))
assets = st.sampled_from(["L1", "P1", "L2", "X9", "", "L1 ", "电梯", 7])
times = st.one_of(
    st.sampled_from([0, 1, 1_000, 1_001, 60_000, 61_001, "2026-03-01T06:00:00Z", -5, 1.5, None]),
    st.integers(0, 10**20),
)
qualities = st.sampled_from(["good", "Good", "GOOD", "bad", True, False, 192, 1920, 0, None, 192.0])
options = {
    "class": st.sampled_from(["lift", "pump", "crane", "", 3]),
    "arrival": times,
    "historical": st.booleans(),
}
wide = st.fixed_dictionaries(
    {"asset": assets, "t": times, "values": st.dictionaries(names, values, max_size=4)},
    optional={**options, "quality": qualities | st.dictionaries(names, qualities, max_size=2)},
)
narrow = st.fixed_dictionaries(
    {"asset": assets, "t": times, "signal": names, "v": values},
    optional={**options, "q": qualities},
)
common = st.fixed_dictionaries(
    {
        "asset": st.sampled_from(["L1", "P1"]),
        "t": st.integers(0, 10**18),
        "values": st.fixed_dictionaries(
            {},
            optional={
                "speed": st.floats(-10, 10),
                "car_status": st.sampled_from([0, 1, -7, "running", "off"]),
                "door_closed": st.sampled_from([True, False, 0, 1]),
                "message_code": st.sampled_from([41, 90, "alarm"]),
                "count": st.integers(-(10**6), 10**6),
            },
        ),
    },
    optional={"class": st.sampled_from(["lift", "pump"]), "quality": qualities},
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A message, or something like one, as bytes without a newline."""
    message = draw(common | wide | narrow | st.lists(wide | narrow, max_size=2))
    if isinstance(message, dict) and draw(st.booleans()):
        message = dict(draw(st.permutations(list(message.items()))))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :  ")]))
    ascii_only = draw(st.booleans())
    text = json.dumps(message, separators=separators, ensure_ascii=ascii_only).encode()
    kind = draw(st.integers(0, 5))
    if kind == 0:  # a byte changed, taken out or put in
        at = draw(st.integers(0, len(text)))
        bytes_ = [b'"', b"\\", b"{", b"}", b",", b":", b"0", b"e", b"\xff", b" "]
        byte = draw(st.sampled_from(bytes_))
        text = text[:at] + draw(st.sampled_from([byte, b""])) + text[at + draw(st.integers(0, 1)) :]
    elif kind == 1:
        text = text[: draw(st.integers(0, len(text)))]
    elif kind == 2:
        tail = draw(st.sampled_from([b" ", b"\t\r", b",", b"}", b"\0", b"{}", b"//"]))
        text = draw(st.sampled_from([b"", b" ", b"\r", b"\xef\xbb\xbf"])) + text + tail
    return text


slow_to_make = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
nows = st.sampled_from([None, 0, 1_000, -5, 10**12])


@slow_to_make
@given(st.lists(texts(), max_size=5), nows)
@example([b""], None)
@example([b"", b" ", LINE.encode(), b""], None)
def test_records_and_lines_come_out_alike(records: list[bytes], now: int | None) -> None:
    both(records, now)
    both(b"\n".join(records), now)


@slow_to_make
@given(st.lists(st.binary(max_size=60) | texts(), max_size=4))
def test_hostile_bytes_come_out_alike(records: list[bytes]) -> None:
    both(records)
    both(b"".join(records))


@pytest.mark.parametrize(
    "text",
    [
        '{"asset":"L1","t":1,"values":{"speed":1,"speed":2}}',
        '{"asset":"L1","asset":"L1","t":1,"values":{}}',
        '{"asset":"L1","t":1,"values":{},"signal":"speed"}',
        '{"asset":"L1","t":1,"signal":"speed","v":1,"quality":"good"}',
        '{"asset":"L1","t":1,"signal":"speed","v":1,"values":{}}',
        '{"asset":"L1","t":1,"values":{"speed":1},}',
        '{"asset":"L1","t":1,"values":{"speed":1,}}',
        '{"asset":"L1","t":1,"values":{,}}',
        '{"asset":"L1","t":01,"values":{}}',
        '{"asset":"L1","t":1.0,"values":{}}',
        '{"asset":"L1","t":1e3,"values":{}}',
        '{"asset":"L1","t":9999999999999999999,"values":{}}',
        '{"asset":"L1","t":1,"values":{"maintenance":true}}',
        '{"asset":"L1","t":1,"values":{"car_status":null,"message_code":null}}',
        '{"asset":"L1","t":1,"values":{"car_status":tru}}',
        '{"asset":"L1","t":1,"values":{"door_closed":truee}}',
        '{"asset":"L1","t":1,"values":{"door_closed":nulll}}',
        '{"asset":"L1","t":1,"values":{"door_closed":-1}}',
        '{"asset":"L1","t":1,"values":{"speed":10.000000000000001}}',
        '{"asset":"L1","t":1,"values":{"speed":10}}',
        '{"asset":"L\\u0031","t":1,"values":{"speed":10}}',
        '{"class":"lift","asset":"P1","t":1,"values":{"speed":1}}',
        '{"values":{"speed":1},"t":1,"asset":"L1"}',
        '{"v":1,"signal":"speed","t":1,"asset":"L1"}',
        '{"asset":"P1","t":1,"values":{"温度":80}}',
        "{}",
        "[]",
        "",
        LINE + LINE,
        LINE + "\n" + LINE,
    ],
)
def test_odd_forms_come_out_alike(text: str) -> None:
    both([text.encode(), LINE.encode()])
    both(text.encode() + b"\r\n\n" + LINE.encode())


def test_bounds_hold_on_both_ways() -> None:
    padded = LINE.encode() + b" " * (MAX_BYTES - len(LINE))
    assert len(both([padded]).batch) == 1
    assert both([padded + b" "]).counts == {Reason.TOO_LARGE: 1}
    many = {f"s{i}": 1 for i in range(MAX_VALUES + 1)}
    text = json.dumps({"asset": "L1", "t": 1, "values": many}).encode()
    assert both([text]).counts == {Reason.TOO_LARGE: 1}


def test_common_messages_take_the_fast_way() -> None:
    texts = [
        LINE,
        LINE.replace(":", ": ").replace(",", ", "),
        '{"asset":"L1","signal":"car_status","t":1700000000000000,"v":"running","q":"good"}',
        '{"asset":"L1","t":1700000000000000000,"values":{"message_code":90},"quality":192}',
        '{"arrival":1700000000000,"asset":"P1","t":1700000000000,"values":{"温度":null}}',
    ]
    taken = intake(fast=True)._scanner.scan([text.encode() for text in texts], None)
    assert taken.rest == []
    assert both("\n".join(texts).encode()).batch.t.tolist() == [1_700_000_000_000] * 5


def test_an_asset_taken_in_is_read_the_fast_way_from_the_next_call_on() -> None:
    fast, slow = intake(fast=True), intake()
    record = LINE.replace("L1", "L77").encode()
    for _ in range(3):
        assert_same(fast.scan([record] * 3), slow.scan_slowly([record] * 3))
    assert fast._scanner.scan([record], None).rest == []


def test_ids_that_collide_are_still_told_apart() -> None:
    fast, slow = intake(fast=True), intake()
    ids = [f"{a}{b}" for a in range(200) for b in ("", "x", "yy", "zzz")]
    records = [
        json.dumps({"asset": one, "class": "lift", "t": 1, "values": {"speed": 1}}).encode()
        for one in ids
    ]
    for _ in range(2):
        assert_same(fast.scan(records), slow.scan_slowly(records))
    assert fast.scan(records).batch.asset.tolist() == slow.scan_slowly(records).batch.asset.tolist()
