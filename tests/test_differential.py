"""The engine against the slow second implementation, on random packs and streams.

`TOCSIN_SEEDS=500 pytest tests/test_differential.py` tries more; `TOCSIN_SEED=17` one.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.differential import (
    Difference,
    by_engine,
    compare,
    in_batches,
    lives,
    more_ticks,
    one_by_one,
    shrink,
    sorted_keys,
)
from tests.random_packs import Case, make

FEW = 12
ONE = os.environ.get("TOCSIN_SEED")
SEEDS = [int(ONE)] if ONE else range(int(os.environ.get("TOCSIN_SEEDS", FEW)))


@pytest.mark.parametrize("seed", SEEDS)
def test_engine_and_oracle_find_the_same(seed: int) -> None:
    difference = compare(make(seed))
    if difference is not None:
        pytest.fail(shrink(difference, compare).report())


def variants(case: Case) -> Difference | None:
    """The difference between one message a batch and any other way to feed the same."""
    random = Random(case.seed)
    expected = by_engine(case)
    more = more_ticks(case, random)
    for found in (
        by_engine(case, in_batches(case, random)),
        by_engine(more, one_by_one(more)),
        by_engine(more, in_batches(more, random), saves=0.2),
    ):
        if lives(expected) != lives(found) or sorted_keys(expected) != sorted_keys(found):
            return Difference(case, sorted_keys(expected), sorted_keys(found))
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_batches_ticks_and_restarts_change_nothing(seed: int) -> None:
    difference = variants(make(seed, strict=True))
    if difference is not None:
        pytest.fail(shrink(difference, variants).report())
