"""Random packs and streams, with assets that move between engines at random moments.

`TOCSIN_SEEDS=500 pytest tests/streams/test_parcels_random.py` tries more; `TOCSIN_SEED=17` one.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from rules.records import Message, Transition
from streams.engine import Engine
from streams.parcels import adopt, parcel, release, restore, snapshot
from tests.differential import pack_of
from tests.random_packs import Case, Order, Tick, make

FEW = 20
ONE = os.environ.get("TOCSIN_SEED")
SEEDS = [int(ONE)] if ONE else range(int(os.environ.get("TOCSIN_SEEDS", FEW)))
WORKERS = 3


class Fleet:
    """Engines that share the assets of a case, and hand them to each other with chance `moves`."""

    def __init__(self, case: Case, moves: float) -> None:
        self.case, self.moves, self.random = case, moves, Random(case.seed)
        self.pack = pack_of(case.text())
        self.engines = [Engine(self.pack, case.zone, case.inventory, case.start)]
        self.now: int | None = None
        self.changed = 0

    def holder(self, asset: str) -> Engine:
        """The engine that has the asset, any of them if none has."""
        holding = [engine for engine in self.engines if asset in engine.assets]
        return holding[0] if holding else self.random.choice(self.engines)

    def fresh(self) -> Engine:
        """An engine more, as far on as the others."""
        engine = Engine(self.pack, self.case.zone)
        if self.now is not None:
            engine.tick(self.now)
        return engine

    def move(self) -> None:
        """Some assets of one engine go to one or several others, or leave and come back."""
        random = self.random
        giver = random.choice(self.engines)
        there = list(giver.assets.ids)
        some = random.sample(there, random.randint(0, len(there)))
        self.changed += len(some)
        cuts = sorted(random.sample(range(len(some) + 1), min(2, len(some) + 1)))
        shares = [some[: cuts[0]], some[cuts[0] : cuts[-1]], some[cuts[-1] :]]
        made = [parcel(giver, share) for share in shares]
        release(giver, some)
        if len(self.engines) < WORKERS and random.random() < 0.5:
            self.engines.append(self.fresh())
        if random.random() < 0.5:
            adopt(random.choice(self.engines), made)
        else:
            for one in made:
                adopt(random.choice(self.engines), [one])

    def save(self) -> None:
        """One engine is written down and read again."""
        at = self.random.randrange(len(self.engines))
        data = snapshot(self.engines[at])
        self.engines[at] = restore(self.pack, data, self.case.zone)

    def run(self) -> list[str]:
        """All transitions, values included, in an order that does not depend on who found them."""
        found: list[Transition] = []
        for op in self.case.ops:
            if self.random.random() < self.moves:
                self.move()
                self.save()
            match op:
                case Message(asset=asset):
                    found += self.holder(asset).messages([op])
                case Tick(now=now):
                    self.now = now if self.now is None else max(self.now, now)
                    found += [tr for engine in self.engines for tr in engine.tick(now)]
                case Order(command=command, t=t) if not command.group:
                    found += self.holder(command.asset).command(command, t)[1]
        found += [tr for engine in self.engines for tr in engine.run_until(self.case.until)]
        return sorted(map(repr, found))


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_moved_assets_find_what_undisturbed_ones_find(seed: int, *, strict: bool) -> None:
    case = make(seed, strict=strict)
    fleet = Fleet(case, 0.1)
    assert fleet.run() == Fleet(case, 0.0).run(), case.shown()


def test_assets_do_move() -> None:
    fleet = Fleet(make(3), 0.1)
    fleet.run()
    assert len(fleet.engines) == WORKERS
    assert fleet.changed > 10


@pytest.mark.parametrize("seed", SEEDS)
def test_only_touched_assets_change(seed: int) -> None:
    case = make(seed)
    engine = Fleet(case, 0.0).engines[0]
    kept: dict[str, bytes] = {}
    for op in case.ops:
        match op:
            case Message():
                engine.messages([op])
            case Tick(now=now):
                for plant in engine.plants:     # no asset's state, but it shows in every clock
                    plant.raise_floor(now - plant.cls.lateness)
                kept = {asset: parcel(engine, [asset]) for asset in kept}
                engine.tick(now)
            case Order(command=command, t=t) if not command.group:
                engine.command(command, t)
        changed = {engine.assets.ids[number] for number in engine.touched().tolist()}
        for asset in engine.assets.ids:
            now_held = parcel(engine, [asset])
            if asset not in changed and asset in kept:
                assert now_held == kept[asset], (asset, op, case.shown())
            kept[asset] = now_held
