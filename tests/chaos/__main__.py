"""`make chaos`: kills by the hundred; of the demo, then of workers on a Kafka under live load.

    python -m tests.chaos --demo --kills 200 --seed 1
    python -m tests.chaos --fleet --kills 60 --joins 30 --zombies 3 --broker 3 --readings 2000000
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from streams.run.loop import RunSettings
from tests.chaos.kills import disturbed, same, twice_announced
from tests.chaos.operators import Operators
from tests.kafka.broker import cluster


def live(folder: Path, chance: random.Random, kills: int) -> bool:
    """Kills under live orders; says how it went."""
    people = Operators(folder, chance, 200)
    settings = RunSettings(speed=6_000, headless=True)
    done = disturbed(folder, chance, 4.0, kills, people.poll, settings)
    wrong = people.wrong() + [f"announced twice: {x}" for x in twice_announced(folder)]
    said = "; ".join(wrong) or "each counts once, run again it is the same"
    print(f"{done.kills} kills under {len(people.given)} live orders, {len(people.results)} "
          f"answered: {said}", flush=True)
    return not wrong


def embedded(chance: random.Random, wanted: int) -> int:
    """Kills of the demo; 1 if a run ended otherwise than the undisturbed one."""
    print(f"{wanted} kills -9 of the demo")
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        disturbed(home / "first", chance, 0.0, 0)     # may have to compile
        begun = time.monotonic()
        disturbed(home / "whole", chance, 0.0, 0)
        longest = time.monotonic() - begun
        if not live(home / "live", chance, 20):
            return 1
        kills = runs = 0
        while kills < wanted:
            runs += 1
            folder = home / f"run-{runs}"
            done = disturbed(folder, chance, longest, min(40, wanted - kills))
            kills += done.kills
            wrong = [] if same(home / "whole", folder) else ["another ledger"]
            wrong += [f"announced twice: {x}" for x in twice_announced(folder)]
            said = "; ".join(wrong) or "the same bytes"
            print(f"{kills:4} kills, run {runs}: {done.kills} kills, {done.starts} starts: {said}",
                  flush=True)
            if wrong:
                return 1
    print(f"{kills} kills in {runs} runs: every ledger the same as the undisturbed one's")
    return 0


def on_kafka(given: argparse.Namespace, seed: int) -> int:
    """A fleet on one node, without orders and with them, and then on three nodes; 1 if anything was
    not as it must be. What is to be done is spread over the three."""
    from tests.chaos.fleet_run import Plan, run  # noqa: PLC0415 - imports Kafka's client

    def share(of: int) -> list[int]:
        return [of // 2, of - of // 2 - of // 4, of // 4]

    counts = zip(*map(share, (given.kills, given.joins, given.zombies, given.broker,
                              given.readings)), strict=True)
    runs = (("plain", 1, 0), ("ordered", 1, 2_000), ("three", 3, 0))
    for (name, nodes, orders), (kills, joins, zombies, brokers, readings) in zip(
            runs, counts, strict=True):
        plan = Plan(kills, joins, zombies, brokers, orders=orders, readings=readings,
                    zombie_s=12.0, assets=int(given.rate / 4), rate=given.rate)
        print(f"{name}: {plan}, on {nodes} node(s)", flush=True)
        with tempfile.TemporaryDirectory() as made, cluster(
                Path(made) / "kafka", "--nodes", nodes) as broker:
            wrong = asyncio.run(run(broker, Path(made), seed, {name: plan}, nodes,
                                    partial(print, flush=True)))
        if wrong:
            print(f"{len(wrong)} things are not as they must be; seed {seed}")
            return 1
        print(f"{name}: as undisturbed", flush=True)
    return 0


def main() -> int:
    """Both parts take a seed; 0 if all was as it must be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", action="store_true", help="only the demo")
    parser.add_argument("--fleet", action="store_true", help="only workers on a Kafka")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--kills", type=int, default=None, help="200 of the demo, 60 of workers")
    parser.add_argument("--joins", type=int, default=30, help="of a worker that leaves again")
    parser.add_argument("--zombies", type=int, default=3, help="workers stopped for 12 s")
    parser.add_argument("--broker", type=int, default=3, help="a broker is away for 20 s")
    parser.add_argument("--readings", type=int, default=2_000_000, help="in all, at least")
    parser.add_argument("--rate", type=float, default=4_000.0, help="readings a second")
    given = parser.parse_args()
    seed = random.randrange(1 << 31) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    wrong = 0
    if not given.fleet:
        wrong = embedded(random.Random(seed), 200 if given.kills is None else given.kills)
    if not given.demo and not wrong:
        given.kills = 60 if given.kills is None else given.kills
        wrong = on_kafka(given, seed)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
