"""The engine: messages, ticks, commands in; transitions of alarms out.

Pure: nothing here reads a clock or the outside. The outcome depends on the sequence of messages,
ticks and commands only, and not on how they come in batches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from rules import layout as k
from rules import vm
from rules.errors import Refused
from rules.model import Asset, Pack
from rules.records import Command, Message, Refusal, Transition
from streams.activate import Activation, active, carry_over, ended, take_over
from streams.assets import MAX_ASSETS, AssetError, Assets
from streams.intake import Batch, Intake
from streams.plant import Jobs, Plant, Programs, advance, entry, job
from streams.readings import Mine

#: A rule that cannot decide for so long (ms) is counted and listed.
UNDECIDED_AFTER = 10 * 60_000

Outcome = tuple[Refusal | None, list[Transition]]


class Engine:
    """All assets of a pack. `start` (ms) is when the inventory's assets begin; unless given, with
    the first time that is heard of. `mine`: which assets that are first heard belong here."""

    def __init__(
        self,
        pack: Pack,
        zone: str = "UTC",
        inventory: Sequence[Asset] = (),
        start: int | None = None,
        programs: Programs | None = None,
        mine: Mine | None = None,
    ) -> None:
        self.pack = pack
        self.zone = zone
        self.mine = mine
        self.programs = programs if programs is not None else Programs(pack, zone)
        self.assets = Assets(pack)
        self.intake = Intake(pack, self.assets, mine=mine)
        self.plants = [Plant(self.programs, cls) for cls in pack.classes]
        self.rows: list[int] = []          # asset -> row in its class's plant
        self._row_of = np.zeros(0, np.int32)    # the same as an array, made anew when it grew
        self.owners: list[list[int]] = [[] for _ in self.plants]     # class -> row -> asset
        self.started: int | None = None
        for asset in inventory:
            self.assets.add(asset)
        self.enrol()
        if start is not None:
            self.start(start)

    def enrol(self) -> None:
        """Gives a row to every asset that has none yet."""
        fresh: list[list[int]] = [[] for _ in self.plants]
        for number in range(len(self.rows), len(self.assets)):
            fresh[self.assets.cls[number]].append(number)
            self.rows.append(-1)
        for plant, owners, numbers in zip(self.plants, self.owners, fresh, strict=True):
            rows = plant.add([self.assets.given(number) for number in numbers]) if numbers else []
            owners.extend([-1] * (plant.count - len(owners)))
            for number, row in zip(numbers, rows, strict=True):
                self.rows[number], owners[row] = row, number

    def places(self, numbers: Sequence[int]) -> npt.NDArray[np.int64]:
        """The rows of assets, each in its class's plant."""
        return np.array([self.rows[number] for number in numbers], np.int64)

    def start(self, at: int) -> None:
        """The inventory's assets begin, unless they have begun."""
        if self.started is None:
            self.started = at
            self.begin(np.nonzero(self.assets.listed)[0].tolist())

    def begin(self, numbers: Iterable[int]) -> None:
        """These assets begin, when those of the inventory did."""
        assert self.started is not None
        for number in numbers:
            self.plants[self.assets.cls[number]].start(self.rows[number], self.started)

    def touched(self) -> npt.NDArray[np.int64]:
        """The assets whose state may have changed since the last call, by number, ascending.

        How far the clock has come is no asset's state: a tick touches only those that it ran.
        """
        found = [
            owners[row]
            for plant, owners in zip(self.plants, self.owners, strict=True)
            for row in plant.take_touched().tolist()
        ]
        return np.sort(np.array(found, np.int64))

    # In ---------------------------------------------------------------------------------------

    def messages(self, messages: Iterable[Message]) -> list[Transition]:
        """Takes messages given as plain values; those that intake refuses change nothing."""
        return self.batch(self.intake.messages(list(messages)).batch)

    def batch(self, batch: Batch) -> list[Transition]:
        """Takes a batch of messages in their order of arrival."""
        if not len(batch.t):
            return []
        self.enrol()
        self.start(int(batch.t.min()))
        found: list[Transition] = []
        cls = self.assets.cls[batch.asset]
        if len(self._row_of) != len(self.rows):
            self._row_of = np.array(self.rows, np.int32)
        rows = self._row_of[batch.asset]
        for number in np.unique(cls):
            mine = np.nonzero(cls == number)[0]
            found += self._run(int(number), Jobs(
                np.full(len(mine), vm.J_MESSAGE, np.int32), rows[mine], batch.t[mine],
                mine.astype(np.int32), batch.first, batch.slot, batch.value,
            ))  # fmt: skip
        return in_order(found)

    def tick(self, now: int) -> list[Transition]:
        """The system's clock stands at `now`: the instants before it less the lateness run."""
        self.start(now)
        found: list[Transition] = []
        for number, plant in enumerate(self.plants):
            at = now - plant.cls.lateness
            found += self._run(number, advance(plant.due_before(at * 8), at * 8))
            plant.raise_floor(at)
        return in_order(found)

    def run_until(self, t: int) -> list[Transition]:
        """Runs all instants up to and with `t`."""
        self.start(t)
        found: list[Transition] = []
        for number, plant in enumerate(self.plants):
            found += self._run(number, advance(plant.due_before((t + 1) * 8), (t + 1) * 8))
            plant.raise_floor(t)
        return in_order(found)

    def run_before(self, t: int) -> list[Transition]:
        """Runs all instants before `t`, for a change of rules or assets that takes effect then."""
        self.enrol()
        found: list[Transition] = []
        for number, plant in enumerate(self.plants):
            found += self._run(number, advance(plant.due_before(t * 8), t * 8))
        return in_order(found)

    def undecided(self, now: int, after: int = UNDECIDED_AFTER) -> dict[str, list[str]]:
        """The rules that have been unable to decide for `after` ms, each with its assets: a `when`
        that needs a value which is not there guards nothing."""
        found: dict[str, list[str]] = {}
        for plant, owners in zip(self.plants, self.owners, strict=True):
            for rule, rows in plant.undecided(now - after):
                assets = [self.assets.ids[owners[row]] for row in rows.tolist()]
                found.setdefault(rule, []).extend(assets)
        return found

    # Commands ---------------------------------------------------------------------------------

    def command(self, command: Command, t: int) -> Outcome:
        """Carries out a command of an asset; the instants before `t` run first."""
        self.start(t)
        number = self.assets.index(command.asset)
        if number is None:
            return Refusal(f"unknown asset {command.asset!r}"), []
        self.enrol()
        cls, row = int(self.assets.cls[number]), self.rows[number]
        found = self._run(cls, job(vm.J_ADVANCE, row, t * 8))
        if command.kind == "set":
            refusal, more = self._set(cls, row, command, t)
        else:
            refusal, more = self._order(cls, row, command, t)
        return refusal, in_order(found + more)

    def _set(self, cls: int, row: int, command: Command, t: int) -> Outcome:
        """An operator's entry."""
        plant = self.plants[cls]
        signal = plant.cls.signals.get(command.target)
        if signal is None or not signal.operator:
            return Refusal(f"{command.target!r} is not a signal that an operator enters"), []
        value = signal_value(signal.names, command.value)
        if value is None:
            return Refusal(f"{command.value!r} is not a value of {command.target!r}"), []
        slot = plant.cls.slots()[command.target]
        return None, self._run(cls, entry(row, t, slot, value))

    def _order(self, cls: int, row: int, command: Command, t: int) -> Outcome:
        """A reset, an acknowledgement, a step of a plan."""
        plant = self.plants[cls]
        rule = plant.compiled.index.get(command.target)
        if rule is None:
            return Refusal(f"{command.asset!r} has no rule {command.target!r}"), []
        state, spec = plant.memory.state[row], plant.rule(rule)
        alarm = plant.compiled.program.rules[rule, k.R_ALARM]
        status = int(state[alarm + k.FLAGS]) & 3
        if command.kind == "reset":
            if status != k.RETURNED:
                return Refusal("still active" if status else "no alarm to reset"), []
            return None, self._run(cls, job(vm.J_RESET, row, t, rule))
        if status == k.INACTIVE:
            return Refusal(f"no alarm of {command.target!r}"), []
        done = "acknowledge" if command.kind == "acknowledge" else command.step
        if spec.escalate is not None and spec.escalate.until == done:
            state[alarm + k.ESCALATE_AT] = np.nan
        return None, []

    # Activation -------------------------------------------------------------------------------

    def activate(self, pack: Pack, t: int) -> Activation:
        """A changed pack takes over at `t`; the instants before it run first, under the old one.

        Assets of a class that is gone are forgotten, with their alarms cleared.
        """
        found = self.run_before(t)
        programs = Programs(pack, self.zone)
        fresh = {name: Plant(programs, name) for name in pack.classes}
        done = []
        for plant, owners in zip(self.plants, self.owners, strict=True):
            to = fresh.get(plant.cls.name, Plant(programs.without(plant.cls), plant.cls.name))
            done.append(carry_over(plant, to, t, [self.assets.ids[n] for n in owners]))
            to.clear(plant.spare)
        self._readdress(pack, programs, list(fresh.values()))
        return Activation(
            tuple(name for one in done for name in one.anew),
            tuple(name for one in done for name in one.gone),
            tuple(in_order([*found, *(tr for one in done for tr in one.transitions)])),
        )

    # Inventory --------------------------------------------------------------------------------

    def check(self, assets: Iterable[Asset], leaving: Collection[str] = ()) -> None:
        """Whether `enter` can take these, once `leaving` have left. Raises AssetError."""
        more: set[str] = set()
        of: dict[str, list[Asset]] = {}
        for asset in assets:
            self.assets.check(asset, fresh=asset.id in leaving)
            of.setdefault(asset.cls, []).append(asset)
            if asset.id not in self.assets:
                more.add(asset.id)
        if len(self.assets) + len(more) > MAX_ASSETS:
            raise AssetError(f"more than {MAX_ASSETS:,} assets, which is the limit")
        for cls, some in of.items():
            try:
                self.plants[self.assets.classes.index(cls)].make_room(some)
            except Refused as error:
                raise AssetError(f"an override that means nothing: {error}") from None

    def active(self, assets: Iterable[str]) -> dict[str, list[tuple[str, int]]]:
        """The announced alarms that are active on those of these assets that are known: rule, and
        when it was raised."""
        found = {}
        self.enrol()
        for asset in assets:
            number = self.assets.index(asset)
            if number is not None:
                found[asset] = active(self.plants[self.assets.cls[number]], self.rows[number])
        return found

    def enter(self, assets: Sequence[Asset], t: int) -> list[Transition]:
        """Assets come into the inventory at `t`, or it says something else of them from then on;
        of one asset the last counts. The instants before `t` run first.

        A new asset begins at `t`. One that is known, if only heard of, keeps what it knows: its
        rules look at `t` with its attributes as they are now, and a rule that an override gives
        another meaning starts anew, its alarm cleared. Raises AssetError, having changed nothing,
        for what `Assets.add` refuses and for overrides that mean nothing.
        """
        self.check(assets)
        found, fresh = self.run_before(t), []
        for asset in {asset.id: asset for asset in assets}.values():
            known = self.assets.index(asset.id)
            number = self.assets.add(asset)
            if known is None:
                fresh.append(number)
            else:
                plant = self.plants[self.assets.cls[number]]
                found += take_over(plant, self.rows[number], asset, t)
        self.enrol()
        if self.started is not None:
            for number in fresh:
                self.plants[self.assets.cls[number]].start(self.rows[number], t)
        return in_order(found)

    def leave(self, assets: Iterable[str], t: int) -> list[Transition]:
        """Assets are gone at `t`, before which all instants run: their alarms are cleared, and they
        are forgotten, as if never heard of. Those that are not known are passed over.

        The others are numbered anew, which takes as long as there are many; so hand in many at
        once.
        """
        found = self.run_before(t)
        known = {n for n in map(self.assets.index, assets) if n is not None}
        names: list[dict[int, str]] = [{} for _ in self.plants]
        for number in sorted(known):
            names[self.assets.cls[number]][self.rows[number]] = self.assets.ids[number]
        for plant, some in zip(self.plants, names, strict=True):
            found += ended(plant, some, t)
        if known:
            self.forget(known)
        return in_order(found)

    def forget(self, numbers: Iterable[int]) -> None:
        """Takes these assets out; the others are numbered anew."""
        gone: list[list[int]] = [[] for _ in self.plants]
        for number in set(numbers):
            cls, row = self.assets.cls[number], self.rows[number]
            gone[cls].append(row)
            self.owners[cls][row] = -1
        for plant, rows in zip(self.plants, gone, strict=True):
            plant.clear(rows)
        self._readdress(self.pack, self.programs, self.plants)

    def _readdress(self, pack: Pack, programs: Programs, plants: list[Plant]) -> None:
        """Takes the plants of a pack, and numbers their assets anew."""
        old, owners = self.assets, self.owners
        at = {plant.cls.name: i for i, plant in enumerate(self.plants)}
        self.pack, self.programs, self.plants = pack, programs, plants
        self.assets, self.rows = Assets(pack), []
        self.owners = [[-1] * plant.count for plant in plants]
        self._row_of = np.zeros(0, np.int32)
        places = sorted(
            (number, cls, row)
            for cls, plant in enumerate(plants) if plant.cls.name in at
            for row, number in enumerate(owners[at[plant.cls.name]]) if number >= 0
        )  # fmt: skip
        for number, cls, row in places:
            given = plants[cls].given.get(row)
            if given is not None:
                self.assets.add(given)
            else:
                self.assets.hear(old.ids[number], cls)
            self.owners[cls][row] = len(self.rows)
            self.rows.append(row)
        self.intake = Intake(pack, self.assets, mine=self.mine)

    # Out --------------------------------------------------------------------------------------

    def _run(self, cls: int, jobs: Jobs) -> list[Transition]:
        """Runs jobs of one class and says what they changed."""
        if not len(jobs.asset):
            return []
        found: list[Transition] = []
        plant, owners, ids = self.plants[cls], self.owners[cls], self.assets.ids
        for table, values in plant.run(jobs):
            for row, shown in zip(table.tolist(), values.tolist(), strict=True):
                t, asset, rule, kind, severity, announced, raised, since, level = row
                found.append(Transition(
                    t, ids[owners[asset]], plant.rule(rule).id, k.KINDS[kind], severity,
                    announced == 1, False, raised, since, level, tuple(shown[: plant.shown(rule)]),
                ))  # fmt: skip
        return found


def signal_value(names: dict[str, int], value: float | str | bool | None) -> float | None:
    """An operator's value as a number: a state by name or code, a bool, a number."""
    if isinstance(value, str):
        return float(names[value]) if value in names else None
    if value is None or (names and value not in names.values()):
        return None
    return float(value)


def in_order(found: list[Transition]) -> list[Transition]:
    """By time, then asset, then rule; those of one alarm at one instant as they happened."""
    return sorted(found, key=lambda tr: (tr.t, tr.asset, tr.rule))
