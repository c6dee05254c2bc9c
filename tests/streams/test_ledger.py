import math
from dataclasses import replace
from hashlib import sha256

import pytest

from rules.model import Level, Message, Pos, Rule, Text
from rules.tree import Const, Op, SignalRef
from streams.ledger import GENESIS, Broken, Chain, Record, canonical, meaning, read, verify


def chained(count: int) -> list[Record]:
    chain = Chain()
    return [chain.append({"what": i}) for i in range(count)]


def test_a_record_is_canonical_json_chained_by_sha_256() -> None:
    first, second = Chain(), None
    one = first.append({"b": 1.5, "a": "氢"})
    second = first.append({})
    assert one.body == '{"a":"氢","b":1.5,"n":1}'.encode()
    assert one.hash == sha256(GENESIS + one.body).digest()
    assert second.hash == sha256(one.hash + b'{"n":2}').digest()


@pytest.mark.parametrize(
    ("value", "written"),
    [(math.nan, "null"), (math.inf, '"inf"'), (-math.inf, '"-inf"'), (-0.0, "0.0"), ((1,), "[1]")],
)
def test_values_that_json_lacks(value: object, written: str) -> None:
    assert canonical({"x": value}) == f'{{"x":{written}}}'.encode()


def test_an_untouched_ledger_verifies_with_its_head() -> None:
    records = chained(5)
    assert verify(records, (5, records[-1].hash)) is None
    assert verify([], None) is None


def test_a_changed_body_is_found() -> None:
    records = chained(5)
    records[2] = replace(records[2], body=records[2].body.replace(b"2", b"7"))
    assert verify(records) == Broken(3, "changed")


def test_a_body_changed_together_with_its_hash_breaks_the_next_link() -> None:
    records = chained(5)
    body = b'{"n":3,"what":99}'
    records[2] = Record(3, sha256(records[1].hash + body).digest(), body)
    assert verify(records) == Broken(4, "changed")


def test_a_changed_last_record_is_found_by_the_head() -> None:
    records = chained(3)
    head = (3, records[2].hash)
    body = b'{"n":3,"what":99}'
    records[2] = Record(3, sha256(records[1].hash + body).digest(), body)
    assert verify(records, head) == Broken(3, "changed")


@pytest.mark.parametrize("gone", range(5))
def test_a_missing_record_is_found_anywhere(gone: int) -> None:
    records = chained(5)
    head = (5, records[-1].hash)
    del records[gone]
    assert verify(records, head) == Broken(gone + 1, "missing")


@pytest.mark.parametrize(("i", "j"), [(0, 1), (1, 2), (0, 4), (2, 4)])
def test_reordered_records_are_found(i: int, j: int) -> None:
    records = chained(5)
    records[i], records[j] = records[j], records[i]
    assert verify(records) == Broken(i + 1, "reordered")


def test_bodies_swapped_under_their_numbers_are_reordered() -> None:
    records = chained(3)
    one, two = records[0], records[1]
    records[0], records[1] = replace(two, n=1), replace(one, n=2)
    assert verify(records) == Broken(1, "reordered")


@pytest.mark.parametrize("body", [b"", b"\xff", b"[1]", b'{"n":"3"}', b'{"what":3}'])
def test_a_body_that_is_no_record_is_changed(body: bytes) -> None:
    records = chained(4)
    records[2] = replace(records[2], body=body)
    assert verify(records) == Broken(3, "changed")


def test_a_chain_goes_on_after_a_record() -> None:
    whole = Chain()
    records = [whole.append({"x": i}) for i in range(3)]
    again = Chain(records[1].n, records[1].hash)
    assert again.append({"x": 2}) == records[2]


def rule(limit: float, line: int = 1) -> Rule:
    at = Pos("x.yaml", line, 1)
    when = Op("gt", (SignalRef("p"), Const(limit)))
    level = Level(3, when, Const(0), None, Const(0), None, None, None, Message(), at=at)
    return Rule("r", "c", Text(), (level,), at=at, source={"line": line})


def test_the_meaning_of_a_rule_changes_with_a_limit_and_not_with_its_place() -> None:
    assert meaning(rule(5.0, 1)) == meaning(rule(5.0, 99))
    assert meaning(rule(5.0)) != meaning(rule(6.0))


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"null", b'{"n": ', b"[" * 100_000])
def test_a_body_that_says_nothing_is_told_from_one_that_does(body: bytes) -> None:
    assert read(body) is None
    assert read(b'{"n": 1}') == {"n": 1}
