"""What is refused is kept whole, found again, and sent again to where it belongs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from streams.messages import parse as envelope_of
from streams.reasons import Reason
from streams.refusals import MAX_BYTES, MAX_KEY, Refusal, again, asset_of, parse, shown, text_of

T = 1_767_312_000_000
SOURCE = "/tocsin/worker/3"
ONE = Refusal(
    "tocsin.readings", 3, 17, "unknown_asset", 'the asset "电梯" is new', "电梯", b'{"asset":"\xe7',
    b"\x00key",
)  # fmt: skip


def test_it_comes_back_as_it_was() -> None:
    key, value, headers = ONE.message(SOURCE, T)
    assert (key, value) == (b"tocsin.readings/3/17", ONE.value)
    assert parse(key, value, headers) == ONE
    assert parse(key, value, [*headers, ("traceparent", b"\xff")]) == ONE
    said = envelope_of(headers)
    assert (said.kind, said.ident, said.t_ms, said.subject) == (
        "refused", "tocsin.readings/3/17", T, "电梯")
    for other in (replace(ONE, key=None), replace(ONE, asset="", detail=""),
                  replace(ONE, value=b"", key=b"")):
        assert parse(*other.message(SOURCE, T)) == other


def test_what_is_too_large_is_cut_and_says_so() -> None:
    large = Refusal("tocsin.readings", 0, 1, "too_large", "d" * 5_000, "a" * 500,
                    b"x" * (MAX_BYTES + 9), b"k" * (MAX_KEY + 1))
    key, value, headers = large.message(SOURCE, T)
    assert len(value) == MAX_BYTES
    assert sum(len(name) + len(content) for name, content in headers) < 10_000
    found = parse(key, value, headers)
    assert found is not None
    assert (found.size, found.key, len(found.asset)) == (MAX_BYTES + 9, None, 128)
    assert "only 2,097,152 of its 2,097,161 bytes are kept" in again(found, "tocsin").why
    assert found.message(SOURCE, T)[2][-1] == ("bytes", b"2097161")     # written on, it stays so
    whole = replace(large, value=b"x" * MAX_BYTES, key=b"k" * MAX_KEY)
    found = parse(*whole.message(SOURCE, T))
    assert found is not None
    assert (found.size, found.key, again(found, "tocsin").why) == (0, b"k" * MAX_KEY, "")


@pytest.mark.parametrize("change", [
    {"ce_type": b"tocsin.command"}, {"ce_type": b""}, {"topic": b"tocsin.alerts"},
    {"partition": b"4"}, {"offset": b"x"}, {"offset": b""}, {"reason": b"\xff"},
    {"detail": b"x" * 5_000},
])  # fmt: skip
def test_what_is_no_refusal_is_none(change: dict[str, bytes]) -> None:
    key, value, headers = ONE.message(SOURCE, T)
    assert parse(key, value, list((dict(headers) | change).items())) is None
    assert parse(key, value, [*headers, ("topic", b"tocsin.readings")]) is None
    assert parse(None, value, headers) is None
    assert parse(key, None, headers) is None
    assert parse(b"\xff", value, headers) is None
    assert parse(b"a/b/1/2", value, []) is None


@pytest.mark.parametrize(("value", "asset"), [
    ('{"asset": "L1", "t": 1, "values": {}}', "L1"),
    ('{"asset": "L1", "t": "yesterday", "values": {"a": 1}}', "L1"),
    ('{"asset": "L1", "tt": 1}', "L1"),
    ('[{"asset": "L1", "t": 1, "values": {}}, {"asset": "L1"}]', "L1"),
    ('[{"asset": "L1", "t": 1, "values": {}}, {"asset": "L2"}]', ""),
    ('[{"asset": "L1", "t": 1, "values": {}}, 7]', ""),
    ('{"request": "r", "by": "b", "command": "reset", "rule": "a.b", "asset": "east"}', "east"),
    ('{"asset": "a\\u0007", "t": 1, "values": {}}', ""),
    ('{"asset": 7}', ""), ("{}", ""), ("[]", ""), ("", ""), ("L1", ""), ("[" * 90_000, ""),
])  # fmt: skip
def test_the_asset_is_read_from_the_bytes(value: str, asset: str) -> None:
    assert asset_of(value.encode()) == asset


@pytest.mark.parametrize(("topic", "value", "key", "partition"), [
    ("readings", b'{"asset": "L1"}', b"L1", None),
    ("commands", b'{"asset": "L1"}', b"L1", None),
    ("readings", b"\xff", b"\x00key", 3),
    ("commands", b"[]", b"\x00key", 3),
    ("assets", b'{"asset": "L1"}', b"\x00key", 3),
    ("rules", b"x", b"\x00key", 3),
])  # fmt: skip
def test_it_is_sent_to_where_it_belongs(
    topic: str, value: bytes, key: bytes | None, partition: int | None
) -> None:
    how = again(replace(ONE, topic=f"p.q.{topic}", value=value), "p.q")
    assert (how.topic, how.value, how.key, how.partition) == (f"p.q.{topic}", value, key, partition)
    assert how.headers == [("retried", f"p.q.{topic}/3/17".encode())]
    assert how.why == ""


@pytest.mark.parametrize("topic", ["p.alerts", "p.snapshots", "q.readings", "p", "p.refused"])
def test_nothing_is_sent_to_other_topics(topic: str) -> None:
    assert again(replace(ONE, topic=topic), "p").why == (
        f"found the topic {topic}, expected one of p.readings, p.commands, p.rules, p.assets")


def test_every_reason_has_its_sentence() -> None:
    assert text_of("bad_time") == Reason.BAD_TIME.text
    assert text_of("not_a_command").zh != text_of("not_a_command").en
    assert text_of("of_tomorrow").en == "of_tomorrow"


@pytest.mark.parametrize(("value", "begins"), [
    (b'{"a":1}', '{"a":1}'),
    ("电梯".encode(), "电梯"),
    (b"\xff\x1b[2Jx\n", "\\xff\\x1b[2Jx\\n"),
    (b"x" * 101, "x" * 100 + "… (101 bytes)"),
    (b"\x00" * 1_000_000, "\\x00" * 100 + "… (1,000,000 bytes)"),
    (b"", ""),
])  # fmt: skip
def test_the_first_bytes_are_shown_and_harm_no_terminal(value: bytes, begins: str) -> None:
    assert shown(value) == begins
    assert json.dumps(shown(value))
