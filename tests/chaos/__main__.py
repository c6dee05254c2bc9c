"""`make chaos`: kills by the hundred. `python -m tests.chaos --kills 200 --seed 1`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from streams.run.loop import RunSettings
from tests.chaos.kills import disturbed, same, twice_announced
from tests.chaos.operators import Operators


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


def main() -> int:
    """Until there were so many kills; 1 if a run ended otherwise than the undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    seed = random.randrange(1 << 31) if given.seed is None else given.seed
    chance = random.Random(seed)
    print(f"seed {seed}: {given.kills} kills -9 of the demo")
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        disturbed(home / "first", chance, 0.0, 0)     # may have to compile
        begun = time.monotonic()
        disturbed(home / "whole", chance, 0.0, 0)
        longest = time.monotonic() - begun
        if not live(home / "live", chance, 20):
            return 1
        kills = runs = 0
        while kills < given.kills:
            runs += 1
            folder = home / f"run-{runs}"
            done = disturbed(folder, chance, longest, min(40, given.kills - kills))
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


if __name__ == "__main__":
    sys.exit(main())
