"""What partitions tell each other for groups, as bytes. Pure.

    {"source": 3, "n": 17, "group": …, "key": …, "t": …, "asset": …, "rule": …, "ended": false}
    {"source": 3, "to": 1772432460000}      a mark: of what happened before, all has been told

Facts of one partition are numbered, so that those told again after a crash count once.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from streams.group_cells import Raise
from streams.groups import Fact


@dataclass(frozen=True, slots=True)
class Said:
    """A fact, and the partition that told it as the nth of its facts."""

    source: int
    n: int
    fact: Fact


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


_DECODER = msgspec.json.Decoder(_Plain)


def bytes_of(said: Said | Mark) -> bytes:
    """What goes to the topic."""
    if isinstance(said, Mark):
        return msgspec.json.encode(_Plain(said.source, to=said.to))
    fact = said.fact
    return msgspec.json.encode(_Plain(
        said.source, said.n, None, fact.group, fact.key, fact.what.t, fact.what.asset,
        fact.what.rule, fact.ended,
    ))  # fmt: skip


def fact_of(data: bytes, count: int) -> Said | Mark | None:
    """What came from the topic of so many partitions; None: it is neither."""
    try:
        plain = _DECODER.decode(data)
    except msgspec.MsgspecError:
        return None
    if not 0 <= plain.source < count:
        return None
    if plain.to is not None:
        return Mark(plain.source, plain.to)
    if plain.n <= 0 or not (plain.group and plain.key and plain.asset and plain.rule):
        return None
    what = Raise(plain.t, plain.asset, plain.rule)
    return Said(plain.source, plain.n, Fact(plain.group, plain.key, what, plain.ended))
