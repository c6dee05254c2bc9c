from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.assets import MAX_ASSETS
from streams.feed import MAX_BYTES, Mark, Said, bytes_of, fact_of
from streams.group_cells import Raise
from streams.groups import Fact, Total

T = 1_700_000_000_000
FACT = {"source": 1, "n": 7, "group": "g", "key": "s1", "t": T, "asset": "A1", "rule": "r"}
TOTAL = {"source": 1, "n": 8, "group": "g", "key": "s1", "assets": 40}
MARK = {"source": 3, "to": T}


@pytest.mark.parametrize(
    "said",
    [
        Said(0, 1, Fact("g", "k", Raise(0, "A", "r"), ended=False)),
        Said(3, (1 << 63) - 1, Fact("组", '"k\n"', Raise(T, "é" * 128, "r.x"), ended=True)),
        Said(2, 5, Total("g", "s1", 0)),
        Said(2, 5, Total("g", "s1", MAX_ASSETS)),
        Mark(0, 0),
        Mark(3, T),
    ],
)
def test_what_is_told_is_understood(said: Said | Mark) -> None:
    assert fact_of(bytes_of(said), 4) == said


def test_the_forms_are_those_of_the_table() -> None:
    fact = Fact("g", "s1", Raise(T, "A1", "r"), ended=False)
    assert fact_of(json.dumps(FACT).encode(), 4) == Said(1, 7, fact)
    assert fact_of(json.dumps(TOTAL).encode(), 4) == Said(1, 8, Total("g", "s1", 40))
    assert fact_of(json.dumps(MARK).encode(), 4) == Mark(3, T)


HOSTILE: list[object] = [
    {}, [], None, 1, "x", [FACT],
    {**FACT, "source": -1}, {**FACT, "source": 4}, {**FACT, "source": "1"}, {**FACT, "source": 1.5},
    {**FACT, "source": True}, {**FACT, "source": None}, {**FACT, "n": 0}, {**FACT, "n": -3},
    {**FACT, "n": 1 << 63}, {**FACT, "n": 10**40}, {**FACT, "more": 1}, {**FACT, "group": ""},
    {**FACT, "key": ""}, {**FACT, "asset": ""}, {**FACT, "rule": ""}, {**FACT, "rule": 5},
    {**FACT, "t": -1}, {**FACT, "t": 10**14}, {**FACT, "t": 1e99}, {**FACT, "t": "now"},
    {**FACT, "ended": "no"}, {**FACT, "ended": None}, {**FACT, "to": T}, {**FACT, "assets": 1},
    {k: v for k, v in FACT.items() if k != "source"}, {k: v for k, v in FACT.items() if k != "n"},
    {**TOTAL, "assets": -1}, {**TOTAL, "assets": MAX_ASSETS + 1}, {**TOTAL, "ended": True},
    {**TOTAL, "n": 0}, {**TOTAL, "key": ""}, {**TOTAL, "assets": "many"},
    {**MARK, "to": -1}, {**MARK, "to": 10**14}, {**MARK, "to": 1 << 62}, {**MARK, "to": 1 << 80},
    {**MARK, "n": 1}, {**MARK, "group": "g"}, {**MARK, "source": 4}, {"to": T},
    {**FACT, "key": "k" * MAX_BYTES},
]  # fmt: skip


@pytest.mark.parametrize("said", HOSTILE, ids=lambda x: str(x)[:60])
def test_what_is_no_such_thing_is_not_taken_for_one(said: object) -> None:
    assert fact_of(json.dumps(said).encode(), 4) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b'{"source": 1, "to": NaN}', b'{"source": 1, "to": ' + b"[" * 9_000,
     b"[" * MAX_BYTES, json.dumps(FACT).encode() + b"x",
     b"\xef\xbb\xbf" + json.dumps(MARK).encode(),
     b'{"source": 1, "n": 1, "group": "\xff", "key": "k", "assets": 1}',
     b'{"source": 1, "n": 1, "group": "\\ud800", "key": "k", "assets": 1}'],
)  # fmt: skip
def test_bytes_that_are_nothing_are_passed_over(data: bytes) -> None:
    assert fact_of(data, 4) is None


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    fact_of(data, 4)
