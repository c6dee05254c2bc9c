"""The assets of one class: their rows, the programs that run on them, and room that grows.

`Programs` are a pack's compiled rules, made once and shared; `Plant` holds the rows of one class
and hands jobs to the interpreter (rules.vm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rules import layout as k
from rules import vm
from rules.compile import S_CELLS, S_PIECES, S_POOL, S_SLOTS, Compiled, compile_class
from rules.memory import Memory
from rules.model import Asset, AssetClass, Attribute, Pack, Rule
from streams.zone import offsets

OUT_ROWS = 4_096     # transitions that one call of the interpreter hands back at most, and some


@dataclass(frozen=True)
class Jobs:
    """Work for the interpreter, in order (see rules.vm.drive)."""

    kind: npt.NDArray[np.int32]
    asset: npt.NDArray[np.int32]
    when: npt.NDArray[np.int64]
    arg: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]
    slot: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]


_NO_PAIRS = (np.zeros(2, np.int32), np.zeros(0, np.int32), np.zeros(0))


def job(kind: int, row: int, when: int, arg: int = 0) -> Jobs:
    """One job without samples."""
    one = [np.array([n], np.int32) for n in (kind, row, arg)]
    return Jobs(one[0], one[1], np.array([when], np.int64), one[2], *_NO_PAIRS)


def entry(row: int, when: int, slot: int, value: float) -> Jobs:
    """An operator's entry of one signal."""
    base = job(vm.J_OPERATOR, row, when)
    first, slots = np.array([0, 1], np.int32), np.array([slot], np.int32)
    return Jobs(base.kind, base.asset, base.when, base.arg, first, slots, np.array([value]))


def advance(rows: npt.NDArray[np.int64], key: int) -> Jobs:
    """Orders the instants of these rows up to a key."""
    n = len(rows)
    return Jobs(
        np.full(n, vm.J_ADVANCE, np.int32), rows.astype(np.int32), np.full(n, key, np.int64),
        np.zeros(n, np.int32), *_NO_PAIRS,
    )  # fmt: skip


class Programs:
    """A pack's rules, compiled for a time zone; classes are compiled when first needed."""

    def __init__(self, pack: Pack, zone: str = "UTC") -> None:
        self.pack = pack
        self.zone = zone
        self._classes: dict[str, Compiled] = {}

    def of(self, cls: str, variants: Sequence[Rule] = ()) -> Compiled:
        """The programs of a class; with variants of overridden rules, made anew."""
        if variants or cls not in self._classes:
            made = compile_class(
                self.pack.classes[cls], self.pack.rules_of(cls), offsets(self.zone), variants
            )
            if variants:
                return made
            self._classes[cls] = made
        return self._classes[cls]


    def without(self, cls: AssetClass) -> Programs:
        """Programs for a class that is gone: it has no rules any more."""
        return Programs(Pack({cls.name: cls}, (), (), {}), self.zone)


class Plant:
    """The rows of one class's assets."""

    def __init__(self, programs: Programs, cls: str) -> None:
        self.programs = programs
        self.cls: AssetClass = programs.pack.classes[cls]
        self._use(programs.of(cls))
        self.count = 0
        self.given: dict[int, Asset] = {}      # row -> what an inventory said of it
        self.variants: list[Rule] = []
        self._variant: dict[tuple[str, str], int] = {}
        self.memory = self._memory(0)

    def _use(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.cells = int(compiled.program.scalars[S_CELLS])
        rows = compiled.program.rules
        self._shown: list[int] = (rows[:, k.R_PIECE_END] - rows[:, k.R_PIECE]).tolist()

    # Rows -------------------------------------------------------------------------------------

    def _memory(self, rows: int, pool: int = 0) -> Memory:
        """Empty memory for so many rows."""
        compiled, program = self.compiled, self.compiled.program
        signals, slots = len(self.cls.signals), int(program.scalars[S_SLOTS])
        rules = len(compiled.index) + int(program.scalars[S_CELLS])
        pool = max(pool, k.WINDOW_SAMPLES + int(program.scalars[S_POOL]) * vm.MAX_BLOCK)
        out = OUT_ROWS + 4 * vm.MAX_PASSES * (rules + 1)
        never = k.FOREVER * 8
        times = np.full((rows, k.TIME_COLUMNS), k.NEVER, np.int64)
        times[:, k.SOONEST], times[:, k.MARK] = never, 0
        heads = np.array([k.WINDOW_SAMPLES] + [-1] * 32 + [k.NEVER, 0, 0, 0], np.int64)
        varied = rows if self.variants else 1
        return Memory(
            val=np.tile(program.default, (rows, 1)),
            raw=np.tile(program.default, (rows, 1)),
            newest=np.full((rows, signals), k.NEVER, np.int64),
            seen=np.full((rows, signals), k.NEVER, np.int64),
            flag=np.zeros((rows, signals), np.uint8),
            state=np.tile(compiled.initial, (rows, 1)),
            due=np.full((rows, rules + 1), never, np.int64),
            times=times,
            attr=np.full((rows, len(compiled.attributes)), np.nan),
            variant=np.tile(np.arange(rules, dtype=np.int32), (varied, 1)),
            pool=np.empty(pool),
            heads=heads,
            out=np.zeros((out, k.OUT_WIDTH), np.int64),
            values=np.full((out, int(program.scalars[S_PIECES])), np.nan),
            scratch=np.zeros((4, max(slots, rules) + 1), np.uint8),
        )

    ROWS = ("val", "raw", "newest", "seen", "flag", "state", "due", "times", "attr")

    def reserve(self, rows: int) -> None:
        """Room for so many rows at least; doubles."""
        have = len(self.memory.times)
        if rows <= have:
            return
        fresh = self._memory(max(rows, 2 * have, 8), len(self.memory.pool))
        n = self.count
        for name in self.ROWS + (("variant",) if self.variants else ()):
            getattr(fresh, name)[:n] = getattr(self.memory, name)[:n]
        self.memory = fresh._replace(
            pool=self.memory.pool, heads=self.memory.heads, variant=fresh.variant
        )

    def add(self, assets: Sequence[Asset | None]) -> None:
        """New rows, in order; attributes from the inventory (None: heard of otherwise), else the
        defaults. Assets with overrides are added before anything runs."""
        own = [self._variants_of(asset) for asset in assets]
        if len(self.variants) > len(self.compiled.variants):
            self._use(self.programs.of(self.cls.name, self.variants))
            self.memory = self._memory(0)
        self.reserve(self.count + len(assets))
        for asset, variants in zip(assets, own, strict=True):
            row = self.count
            self.count += 1
            if asset is not None:
                self.given[row] = asset
            for rule, number in variants.items():
                self.memory.variant[row, self.compiled.index[rule]] = self.compiled.variants[number]
            self._fill(row)

    def start(self, row: int, at: int) -> None:
        """An inventory's asset begins: every rule looks at that instant, and silence counts."""
        memory = self.memory
        memory.times[row, [k.HEARD, k.CLOCK]] = at
        memory.due[row, :-1] = at * 8 + k.FUNCTION
        memory.due[row, -1] = at * 8 + k.STALENESS
        memory.times[row, k.SOONEST] = at * 8 + k.FUNCTION

    def _fill(self, row: int) -> None:
        asset = self.given.get(row)
        given: Mapping[str, float | str] = asset.attributes if asset is not None else {}
        for name, column in self.compiled.attributes.items():
            self.memory.attr[row, column] = self._attribute(self.cls.attributes[name], given)

    def _attribute(self, of: Attribute, given: Mapping[str, float | str]) -> float:
        """An attribute as a number: a code, 0/1, the number of a text; NaN where it has none."""
        value = given.get(of.name, of.default)
        if of.by is not None:
            key = self._text(self.cls.attributes[of.by], given)
            value = of.table.get(key, np.nan) if key is not None else None
        if value is None:
            return np.nan
        if isinstance(value, str):
            return float(self.compiled.texts.get(value, -1))
        return float(value)

    def _text(self, of: Attribute, given: Mapping[str, float | str]) -> str | None:
        """What a table is looked up by: a text, or the name of a state."""
        value = given.get(of.name, of.default)
        if value is None or isinstance(value, str):
            return value
        return next((name for name, code in of.names.items() if code == value), None)

    # Overrides --------------------------------------------------------------------------------

    def _variants_of(self, asset: Asset | None) -> dict[str, int]:
        """Rule -> number of the variant that an asset's overrides make of it."""
        found: dict[str, int] = {}
        if asset is None or not asset.overrides:
            return found
        for rule in self.compiled.rules:
            own = {
                key: value
                for key, value in asset.overrides.items()
                if key.startswith(rule.id + ".")
            }
            name = (rule.id, repr(sorted(own.items(), key=lambda item: item[0])))
            if own and name not in self._variant:
                self._variant[name] = len(self.variants)
                self.variants.append(self.programs.pack.variant(rule, own))
            if own:
                found[rule.id] = self._variant[name]
        return found

    def rule(self, number: int) -> Rule:
        """The rule of a number that the interpreter uses."""
        return self.compiled.rules[number - self.cells]

    def shown(self, number: int) -> int:
        """How many values a rule's transitions show."""
        return self._shown[number]

    # Running ----------------------------------------------------------------------------------

    def run(self, jobs: Jobs) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
        """Runs jobs; returns the outgoing tables (see rules.vm) in order."""
        tables = []
        at = 0
        while True:
            at, written, why = vm.drive(
                self.compiled.program, self.memory, jobs.kind, jobs.asset, jobs.when, jobs.arg,
                jobs.first, jobs.slot, jobs.value, at,
            )  # fmt: skip
            if written:
                tables.append(
                    (self.memory.out[:written].copy(), self.memory.values[:written].copy())
                )
            if why == vm.POOL_LOW:
                self.deepen()
            elif why == vm.DONE:
                return tables

    def deepen(self) -> None:
        """Doubles the pool of rings."""
        pool = np.empty(2 * len(self.memory.pool))
        used = int(self.memory.heads[0])
        pool[:used] = self.memory.pool[:used]
        self.memory = self.memory._replace(pool=pool)

    def due_before(self, key: int) -> npt.NDArray[np.int64]:
        """The rows that have an instant before a key."""
        return np.nonzero(self.memory.times[: self.count, k.SOONEST] < key)[0]

    def undecided(self, before: int) -> list[tuple[str, npt.NDArray[np.int64]]]:
        """Each rule and the rows on which it has been unable to decide since `before` or longer."""
        found = []
        for rule, part in zip(self.compiled.rules, self.compiled.parts, strict=True):
            since = self.memory.state[: self.count, part.start + k.UNDECIDED]
            rows = np.nonzero(since <= before)[0]
            if len(rows):
                found.append((rule.id, rows))
        return found

    def raise_floor(self, at: int) -> None:
        """No clock of an asset stands before `at` any more."""
        self.memory.heads[k.H_FLOOR] = max(self.memory.heads[k.H_FLOOR], at)
