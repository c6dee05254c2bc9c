"""What partitions tell each other for groups, as bytes. Pure.

    {"source": 3, "n": 17, "group": …, "key": …, "t": …, "asset": …, "rule": …, "ended": false}
    {"source": 3, "n": 18, "group": …, "key": …, "assets": 40}     of its inventory, with this key
    {"source": 3, "to": 1772432460000}      a mark: of what happened before, all has been told

What one partition tells but for marks is numbered, so that what is told again after a crash counts
once.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from streams.assets import MAX_ASSETS
from streams.decode import BAD_BYTES, MS_BELOW
from streams.group_cells import Raise
from streams.groups import Fact, Total

MAX_BYTES = 1 << 14      # four names; those of assets have at most 128 characters


@dataclass(frozen=True, slots=True)
class Said:
    """What a partition told as the nth: a fact, or how many assets it has."""

    source: int
    n: int
    fact: Fact | Total


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a partition is (ms)."""

    source: int
    to: int


class _Plain(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    source: int
    n: int = 0
    to: int | None = None
    group: str = ""
    key: str = ""
    t: int = 0
    asset: str = ""
    rule: str = ""
    ended: bool = False
    assets: int | None = None


_DECODER = msgspec.json.Decoder(_Plain)


def bytes_of(said: Said | Mark) -> bytes:
    """What goes to the topic."""
    if isinstance(said, Mark):
        return msgspec.json.encode(_Plain(said.source, to=said.to))
    fact = said.fact
    if isinstance(fact, Total):
        plain = _Plain(said.source, said.n, None, fact.group, fact.key, assets=fact.assets)
        return msgspec.json.encode(plain)
    return msgspec.json.encode(_Plain(
        said.source, said.n, None, fact.group, fact.key, fact.what.t, fact.what.asset,
        fact.what.rule, fact.ended,
    ))  # fmt: skip


def fact_of(data: bytes, count: int) -> Said | Mark | None:
    """What came from the topic of so many partitions; None: it is nothing of the kind.

    Times must be between 1970 and 5138: a mark beyond would let groups run away for ever.
    """
    if len(data) > MAX_BYTES:
        return None
    try:
        plain = _DECODER.decode(data)
    except BAD_BYTES:
        return None
    if not 0 <= plain.source < count:
        return None
    if plain.to is not None:
        whole = plain == _Plain(plain.source, to=plain.to)
        return Mark(plain.source, plain.to) if whole and 0 <= plain.to < MS_BELOW else None
    if not (0 < plain.n < 1 << 63 and plain.group and plain.key):
        return None
    if plain.assets is not None:
        total = Total(plain.group, plain.key, plain.assets)
        known = bytes_of(Said(plain.source, plain.n, total))
        whole = plain == _DECODER.decode(known) and 0 <= plain.assets <= MAX_ASSETS
        return Said(plain.source, plain.n, total) if whole else None
    if not (plain.asset and plain.rule and 0 <= plain.t < MS_BELOW):
        return None
    what = Raise(plain.t, plain.asset, plain.rule)
    return Said(plain.source, plain.n, Fact(plain.group, plain.key, what, plain.ended))
