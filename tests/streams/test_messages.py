"""Headers of what Tocsin writes can be read back, and no bytes of others do harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ledger import Chain
from streams.messages import (
    KINDS,
    MAX_HEADERS,
    MAX_VALUE,
    Envelope,
    Headers,
    Living,
    NotOurs,
    alert_headers,
    cli_source,
    envelope,
    parse,
    worker_source,
)

T = 1767225600123
SOURCE = worker_source("tocsin", 3)


def test_headers_are_those_of_cloudevents() -> None:
    made = envelope(SOURCE, "alert.raised", "17", T, "电梯 L1", epoch="4")
    assert made == [
        ("ce_specversion", b"1.0"), ("ce_id", b"17"), ("ce_source", b"/tocsin/worker/3"),
        ("ce_type", b"tocsin.alert.raised"), ("ce_time", b"2026-01-01T00:00:00.123Z"),
        ("ce_subject", "电梯 L1".encode()), ("content-type", b"application/json"), ("epoch", b"4"),
    ]  # fmt: skip
    assert "ce_subject" not in dict(envelope(cli_source("t"), "pack", "1", T))


@given(st.sampled_from(KINDS), st.text(max_size=200), st.integers(0, 10**14 - 1))
def test_what_is_written_is_read(kind: str, subject: str, t: int) -> None:
    found = parse(envelope(SOURCE, kind, "7", t, subject, reason="future"))
    assert (found.kind, found.t_ms, found.more) == (kind, t, {"reason": "future"})
    assert found.subject == subject or not subject.isprintable()


def test_what_a_header_cannot_hold_is_replaced_and_cut() -> None:
    made = dict(envelope(SOURCE, "asset", "1", T, "a\nb\ud800", detail="\U0001f514" * 2_000))
    assert made["ce_subject"].decode() == "a\ufffdb\ufffd"
    assert made["detail"].decode() == "\U0001f514" * 999 + "…"
    assert len(made["detail"]) <= MAX_VALUE
    parse(made.items())


def test_a_record_of_the_ledger_is_named_by_its_hash() -> None:
    content = {"type": "alert", "kind": "raised", "asset": "L1", "t_ms": T}
    record = Chain().append(content)
    found = parse(alert_headers(SOURCE, content, record.hash, 5))
    assert found == Envelope(
        SOURCE, "alert.raised", record.hash.hex()[:32], T, "L1", record.hash, 5)
    fence = parse(alert_headers(SOURCE, {"type": "owner", "t_ms": T}, b"", 6))
    assert fence == Envelope(SOURCE, "owner", "owner-6", T, epoch=6)


def replaced(name: str, value: bytes | None) -> Headers:
    made = dict(envelope(SOURCE, "tick", "1", T, epoch="1", hash="0" * 64))
    return list((made | {name: value or b""}).items())


@pytest.mark.parametrize(("headers", "reason"), [
    ([], "missing"),
    (replaced("ce_id", b""), "missing"),
    (replaced("ce_specversion", b"0.3"), "version"),
    (replaced("ce_type", b"tocsin.alarm.raised"), "type"),
    (replaced("ce_type", b"com.example.tick"), "type"),
    (replaced("ce_time", b"yesterday"), "time"),
    (replaced("ce_source", b"\xff"), "not_text"),
    (replaced("epoch", b"-1"), "epoch"),
    (replaced("epoch", b""), "epoch"),
    (replaced("epoch", b"9" * 5_000), "too_large"),
    (replaced("hash", b"0" * 63), "hash"),
    ([*replaced("epoch", b"1"), ("epoch", b"2")], "twice"),
    ([("x", b"")] * (MAX_HEADERS + 1), "too_many"),
])
def test_others_are_told_apart(headers: Headers, reason: str) -> None:
    with pytest.raises(NotOurs) as caught:
        parse(headers)
    assert caught.value.reason == reason


def test_headers_that_others_add_are_passed_over() -> None:
    more: list[tuple[str, bytes | None]] = [("traceparent", b"\xff"), ("traceparent", None)]
    assert parse([*more, *envelope(SOURCE, "tick", "1", T)]).kind == "tick"


@given(st.lists(st.tuples(
    st.sampled_from(["ce_id", "ce_time", "ce_type", "epoch", "hash", "x"]), st.binary() | st.none(),
)))  # fmt: skip
def test_any_headers_are_read_or_told(headers: list[tuple[str, bytes | None]]) -> None:
    with pytest.raises(NotOurs):
        parse(headers)


def test_records_of_who_was_fenced_off_do_not_count() -> None:
    living = Living()
    fed = [(0, 1), (0, 2), (0, 1), (1, 1), (0, 2), (0, 3), (0, 2)]
    assert [living.counts(*one) for one in fed] == [True, True, False, True, True, True, False]
    later = Living(living.greatest)
    assert [later.counts(0, 2), later.counts(1, 1)] == [False, True]
