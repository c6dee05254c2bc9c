"""The short form of `make chaos ARGS=--fleet`: real workers on a real Kafka, disturbed under load.

TOCSIN_SEED repeats a run.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.chaos.fleet import environ_seed
from tests.chaos.fleet_run import Plan, run
from tests.kafka.broker import cluster

BUSY_S = 30.0       # other tests keep the machine busy

SHORT = Plan(kills=2, joins=1, zombies=1, brokers=1, away_s=2.0, pause_s=(0.0, 0.5), assets=200,
             rate=800, idle_s=BUSY_S)
ORDERED = Plan(kills=1, orders=60, assets=80, rate=300, idle_s=BUSY_S)


def test_a_disturbed_fleet_says_what_an_undisturbed_one_says(tmp_path: Path) -> None:
    """One without orders, whose undisturbed run is known; beside it one with orders."""
    seed = environ_seed()
    print(f"TOCSIN_SEED={seed}")
    plans = {"plain": SHORT, "ordered": ORDERED}
    with cluster(tmp_path / "kafka") as broker:
        assert asyncio.run(run(broker, tmp_path, seed, plans)) == []
