"""The ledger: canonical records, each with the hash of the one before. Pure.

    body   canonical JSON (UTF-8, keys sorted, no spaces, NaN as null), with its number `n` from 1
    hash   SHA-256 of the hash of the record before (32 zero bytes before the first) and the body

What the records say is the matter of `streams.contents`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from hashlib import sha256
from typing import Any, Literal

from rules.model import Group, Rule

GENESIS = bytes(32)

Fault = Literal["changed", "missing", "reordered"]


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it is stored."""

    n: int
    hash: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """The first record that is not what was written, and in which way."""

    n: int
    fault: Fault

    def __str__(self) -> str:
        said = {
            "changed": "is not what was written",
            "missing": "is missing",
            "reordered": "is not in its place",
        }
        return f"record {self.n} {said[self.fault]}"


class Chain:
    """Numbers, names and chains records. It goes on from any record of a ledger."""

    def __init__(self, n: int = 0, head: bytes = GENESIS) -> None:
        self.n = n
        self.head = head

    def append(self, content: Mapping[str, object]) -> Record:
        """The next record with this content (its `n` is put in)."""
        self.n += 1
        body = canonical({**content, "n": self.n})
        self.head = link(self.head, body)
        return Record(self.n, self.head, body)


def link(before: bytes, body: bytes) -> bytes:
    """The hash of a record after the one with the hash `before`."""
    return sha256(before + body).digest()


def canonical(content: Mapping[str, object]) -> bytes:
    """The one way to write a record. NaN becomes null, infinite values the words inf and -inf."""
    return _encode(_plain(content)).encode()


_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _plain(value: object) -> object:
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:     # most of a record
        return value
    if kind is dict:        # before the match, which asks an abstract class
        return {str(key): _plain(item) for key, item in value.items()}  # type: ignore[attr-defined] # it is one
    match value:
        case float() if math.isnan(value):
            return None
        case float() if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        case float() if value == 0:
            return 0.0  # never -0.0
        case list() | tuple():
            return [_plain(item) for item in value]
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case _:
            return value


def verify(records: Iterable[Record], head: tuple[int, bytes] | None = None) -> Broken | None:
    """The first fault of a ledger, or None. `head` (number, hash) also finds a cut-off end."""
    before, expected = GENESIS, 1
    rest = iter(records)
    for record in rest:
        n = _number(record)
        if n is None:
            return Broken(expected, "changed")
        if n != expected or record.n != expected:
            return Broken(expected, _absent(expected, record, rest))
        if link(before, record.body) != record.hash:
            return Broken(expected, "changed")
        before, expected = record.hash, expected + 1
    if head is not None and head[0] >= expected:
        return Broken(expected, "missing")
    if head is not None and head != (expected - 1, before):
        return Broken(expected - 1, "changed")
    return None


def _absent(expected: int, found: Record, rest: Iterator[Record]) -> Fault:
    """Why another record stands where `expected` belongs: it comes later, or nowhere."""
    here = found.n < expected or _number(found) == expected
    return "reordered" if here or any(_number(r) == expected for r in rest) else "missing"


def read(body: bytes) -> dict[str, Any] | None:
    """What the body of a record says; None where it says nothing, being no JSON object."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _number(record: Record) -> int | None:
    n = (read(record.body) or {}).get("n")
    return n if isinstance(n, int) else None


def meaning(rule: Rule | Group) -> str:
    """A hash of all that a rule means: equal texts at other places are the same rule."""
    return sha256(canonical({"rule": _meaning(rule)})).hexdigest()[:16]


def _meaning(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        named = {f.name: _meaning(getattr(value, f.name)) for f in fields(value) if f.compare}
        return {**named, "": type(value).__name__}
    match value:
        case Mapping():
            return {str(key): _meaning(item) for key, item in value.items()}
        case frozenset():
            return sorted(map(str, value))
        case list() | tuple():
            return [_meaning(item) for item in value]
        case _:
            return value
