"""The short form of `make chaos`; TOCSIN_KILLS and TOCSIN_SEED make it longer or another one."""

import os
import random
import time
from pathlib import Path

import pytest

from streams.run.loop import RunSettings
from tests.chaos.kills import disturbed, same, twice_announced
from tests.chaos.operators import Operators

KILLS = int(os.environ.get("TOCSIN_KILLS", "8"))
SEED = int(os.environ.get("TOCSIN_SEED", "20261125"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """An undisturbed run, and how long it took (s)."""
    folder = tmp_path_factory.mktemp("whole")
    begun = time.monotonic()
    disturbed(folder, random.Random(SEED), 0.0, 0)
    return folder, time.monotonic() - begun


def test_killed_runs_end_with_the_same_ledger(whole: tuple[Path, float], tmp_path: Path) -> None:
    print(f"seed {SEED}")
    folder, longest = whole
    done = disturbed(tmp_path, random.Random(SEED), longest, KILLS)
    assert done.kills > 0
    assert same(folder, tmp_path)
    assert twice_announced(tmp_path) == []


def test_orders_given_while_the_run_is_killed_count_once(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    people = Operators(tmp_path, chance, 60)
    settings = RunSettings(speed=9_000, headless=True)
    done = disturbed(tmp_path, chance, 3.0, KILLS // 2, people.poll, settings)
    assert done.kills > 0
    assert len(people.results) > 0
    assert people.wrong() == []
    assert twice_announced(tmp_path) == []
