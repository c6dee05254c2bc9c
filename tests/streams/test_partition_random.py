"""Partitions on random packs and streams: at any pace, through crashes, the same is said.

`TOCSIN_SEEDS=500 pytest tests/streams/test_partition_random.py` tries more; `TOCSIN_SEED=17` one.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from rules.records import Message
from streams.decode import Reading, decode
from streams.duty import Duty
from streams.ledger import verify
from tests.random_packs import BASE
from tests.streams.partition_kit import Fleet, bare
from tests.streams.partition_story import Story, story

FEW = 4
ONE = os.environ.get("TOCSIN_SEED")
SEEDS = [int(ONE)] if ONE else range(int(os.environ.get("TOCSIN_SEEDS", FEW)))


def sound(fleet: Fleet) -> None:
    """Each ledger is whole, nothing is there twice, and played again it comes out the same."""
    for number, kept in enumerate(fleet.kept):
        partition, records = fleet.proof(number)
        assert verify(records, (partition.chain.n, partition.chain.head)) is None
        assert records[-1].hash == partition.chain.head
        said = [(c["alarm"], c["seq"]) for _, c in kept.ledger if c["type"] == "alert"]
        assert len(said) == len(set(said))
        asked = [c["request"] for _, c in kept.ledger if c["type"] == "command"]
        assert len(asked) == len(set(asked))


def messages(one: Story) -> list[Message]:
    """All that was sent and can be read."""
    read = [reading for _, _, data in one.sent for reading in decode(data)]
    return [Message(x.asset, x.cls, x.t, x.values) for x in read if isinstance(x, Reading)]


def by_one_duty(one: Story) -> list[bytes]:
    """What one duty over all assets says."""
    case, edition = one.case, one.editions[0][1]
    duty = Duty(edition, case.zone, case.inventory, BASE)
    lateness = max(cls.lateness for cls in edition.pack.classes.values())
    return sorted(map(bare, duty.play(messages(one), one.end - lateness - 1)))


@pytest.mark.parametrize("seed", SEEDS)
def test_at_any_pace_and_through_crashes_the_same_is_said(seed: int) -> None:
    one = story(seed, strict=True)
    steady = Fleet(one, None).run()
    wild = Fleet(one, Random(seed)).run()
    sound(steady)
    sound(wild)
    assert steady.alerts() == by_one_duty(one), one.shown()
    assert wild.alerts() == steady.alerts(), one.shown()
    assert wild.parcels() == steady.parcels(), one.shown()


@pytest.mark.parametrize("seed", SEEDS)
def test_late_readings_orders_and_edited_rules_are_played_again_exactly(seed: int) -> None:
    one = story(seed, strict=False)
    wild = Fleet(one, Random(seed)).run()
    sound(wild)
