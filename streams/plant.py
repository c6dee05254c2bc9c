"""The assets of one class: their rows, the programs that run on them, and room that grows.

`Programs` are a pack's compiled rules, made once and shared; `Plant` holds the rows of one class
and hands jobs to the interpreter (rules.vm).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rules import layout as k
from rules import vm
from rules.compile import S_CELLS, S_PIECES, S_POOL, S_SLOTS, Compiled, Part, compile_class
from rules.errors import Refused
from rules.memory import Memory
from rules.model import Asset, AssetClass, Pack, Rule
from streams import parcels_layout as lay
from streams.attributes import attribute_row
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


def fingerprint(compiled: Compiled) -> str:
    """What a class's state depends on: programs, layout, signals, the names of rules. Of the
    registers, those that nothing writes to: the constants."""
    program, given = compiled.program, len(compiled.cls.signals) + len(compiled.attributes)
    constants = np.delete(program.reg, np.union1d(np.arange(given), program.code[:, k.DST]))
    digest = hashlib.sha256()
    for table in program._replace(reg=constants):
        digest.update(np.ascontiguousarray(table).tobytes())
    named = (list(compiled.cls.signals), list(compiled.index), list(compiled.attributes))
    digest.update(repr((k.WINDOW_SAMPLES, named, compiled.texts, compiled.width)).encode())
    return digest.hexdigest()


class Plant:
    """The rows of one class's assets."""

    def __init__(self, programs: Programs, cls: str) -> None:
        self.programs = programs
        self.cls: AssetClass = programs.pack.classes[cls]
        self._use(programs.of(cls))
        self.count = 0
        self.spare: list[int] = []             # rows below count that were given back
        self.given: dict[int, Asset] = {}      # row -> what an inventory said of it
        self.touched = np.zeros(0, np.bool_)   # row -> changed since it was last asked
        self.variants: list[Rule] = []
        self._variant: dict[tuple[str, str], int] = {}
        self.memory = self._memory(0)

    def _use(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.cells = int(compiled.program.scalars[S_CELLS])
        self.widths, self.windows = lay.widths(compiled), lay.windows(compiled)
        self.empty = compiled.initial      # a new asset's row, as far as no variant has a say
        if compiled.variants:
            self.empty = lay.blank(self.programs.of(self.cls.name), self.widths)
        rows = compiled.program.rules
        self._shown: list[int] = (rows[:, k.R_PIECE_END] - rows[:, k.R_PIECE]).tolist()

    # Rows -------------------------------------------------------------------------------------

    def _memory(self, rows: int, pool: int = 0) -> Memory:
        """Empty memory for so many rows."""
        compiled, program = self.compiled, self.compiled.program
        slots = int(program.scalars[S_SLOTS])
        rules = len(compiled.index) + self.cells
        pool = max(pool, k.WINDOW_SAMPLES + int(program.scalars[S_POOL]) * vm.MAX_BLOCK)
        out = OUT_ROWS + 4 * vm.MAX_PASSES * (rules + 1)
        heads = np.array([k.WINDOW_SAMPLES] + [-1] * 32 + [k.NEVER, 0, 0, 0], np.int64)
        return Memory(
            **self.blank(rows),
            pool=np.empty(pool),
            heads=heads,
            out=np.zeros((out, k.OUT_WIDTH), np.int64),
            values=np.full((out, int(program.scalars[S_PIECES])), np.nan),
            scratch=np.zeros((4, max(slots, rules) + 1), np.uint8),
        )

    def blank(self, rows: int) -> dict[str, npt.NDArray[Any]]:
        """The tables of rows that know nothing yet."""
        compiled, program = self.compiled, self.compiled.program
        signals, rules = len(self.cls.signals), len(compiled.index) + self.cells
        times = np.full((rows, k.TIME_COLUMNS), k.NEVER, np.int64)
        times[:, k.SOONEST], times[:, k.MARK] = k.FOREVER * 8, 0
        varied = rows if self.variants else 1
        return {
            "val": np.tile(program.default, (rows, 1)),
            "raw": np.tile(program.default, (rows, 1)),
            "newest": np.full((rows, signals), k.NEVER, np.int64),
            "seen": np.full((rows, signals), k.NEVER, np.int64),
            "flag": np.zeros((rows, signals), np.uint8),
            "state": np.tile(compiled.initial, (rows, 1)),
            "due": np.full((rows, rules + 1), k.FOREVER * 8, np.int64),
            "times": times,
            "attr": np.full((rows, len(compiled.attributes)), np.nan),
            "variant": np.tile(np.arange(rules, dtype=np.int32), (varied, 1)),
        }

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
        self.memory = fresh._replace(pool=self.memory.pool, heads=self.memory.heads)
        self.touched = np.concatenate([self.touched, np.zeros(len(fresh.times) - have, np.bool_)])

    def add(self, assets: Sequence[Asset | None]) -> list[int]:
        """Rows for these assets, in order; those that were given back are used first. Attributes
        come from the inventory (None: heard of otherwise), else from the defaults."""
        own = self.make_room(assets)
        again = min(len(self.spare), len(assets))
        after = self.count + len(assets) - again
        rows = [self.spare.pop() for _ in range(again)] + list(range(self.count, after))
        self.reserve(after)
        self.count = after
        self.memory.attr[rows] = attribute_row(self.compiled, {})
        self.touched[rows] = True
        for row, asset, variants in zip(rows, assets, own, strict=True):
            if asset is not None:
                self._say(row, asset, variants)
        return rows

    def _say(self, row: int, asset: Asset, variants: Mapping[str, int]) -> None:
        """What an inventory says of a row whose rules are those without overrides."""
        self.given[row] = asset
        self.memory.attr[row] = attribute_row(self.compiled, asset.attributes)
        for rule, number in variants.items():
            self.memory.variant[row, self.compiled.index[rule]] = self.compiled.variants[number]

    def say(self, row: int, asset: Asset) -> None:
        """An inventory says something else of a row: its attributes and variants are those from
        now on. What the row knows stays. Raises as `make_room`, having changed nothing."""
        (variants,) = self.make_room([asset])
        if self.variants:
            self.memory.variant[row] = np.arange(self.memory.variant.shape[1])
        self._say(row, asset, variants)

    def rules_on(self, row: int) -> dict[str, Rule]:
        """The rules as they are on a row, with what overrides make of them."""
        own = self._variants_of(self.given.get(row))
        return {
            rule.id: self.variants[own[rule.id]] if rule.id in own else rule
            for rule in self.compiled.rules
        }

    def forget_part(self, row: int, part: Part) -> None:
        """A rule knows nothing any more on a row; its rings are given back."""
        state = self.memory.state[row]
        for offset in self.windows[(part.start <= self.windows) & (self.windows < part.end)]:
            capacity = int(state[offset + k.R_CAP])
            if capacity:
                self._free(state[[offset + k.R_BLOCK]].astype(np.int64), capacity.bit_length() - 1)
        state[part.start : part.end] = self.compiled.initial[part.start : part.end]

    def clear(self, rows: Sequence[int]) -> None:
        """Takes rows back: their rings too; the next assets to come get them."""
        at = np.array(rows, np.int64)
        for row in rows:
            self.given.pop(row, None)
        held = self.memory.state[at[:, None], self.windows + k.R_CAP].astype(np.int64)
        blocks = self.memory.state[at[:, None], self.windows + k.R_BLOCK].astype(np.int64)
        for capacity in np.unique(held[held > 0]):
            self._free(blocks[held == capacity], int(capacity).bit_length() - 1)
        for name, table in self.blank(len(at)).items():
            if name != "variant" or self.variants:
                getattr(self.memory, name)[at] = table
        self.touched[at] = False
        self.spare += rows

    def _widen(self) -> None:
        """Takes in variants that are new; what rows know moves to the wider layout."""
        old, memory, n = self.widths, self.memory, self.count
        self._use(self.programs.of(self.cls.name, self.variants))
        fresh = self._memory(len(memory.times), len(memory.pool))
        for name in self.ROWS:
            if name not in ("state", "attr"):
                getattr(fresh, name)[:n] = getattr(memory, name)[:n]
        source, target = lay.moves(old, self.widths)
        fresh.state[:n, target] = memory.state[:n, source]
        fresh.variant[:n] = memory.variant[: max(n, 1)]
        self.memory = fresh._replace(pool=memory.pool, heads=memory.heads)
        fresh.attr[:n] = attribute_row(self.compiled, {})
        for row, asset in self.given.items():
            fresh.attr[row] = attribute_row(self.compiled, asset.attributes)

    def start(self, row: int, at: int) -> None:
        """An inventory's asset begins: every rule looks at that instant, and silence counts."""
        memory = self.memory
        memory.times[row, [k.HEARD, k.CLOCK]] = at
        memory.due[row, -1] = at * 8 + k.STALENESS
        self.look(row, at)

    def look(self, row: int, at: int) -> None:
        """Every rule looks at that instant; all before it have run."""
        self.touched[row] = True
        self.memory.due[row, :-1] = at * 8 + k.FUNCTION
        self.memory.times[row, k.SOONEST] = at * 8 + k.FUNCTION

    # Overrides --------------------------------------------------------------------------------

    def make_room(self, assets: Sequence[Asset | None]) -> list[dict[str, int]]:
        """Sees to it that rows have room for the variants that these assets make of rules: of
        each asset, rule -> number in `variants`. Raises rules.errors.Refused for an override that
        means nothing, having changed nothing."""
        try:
            own = [self._variants_of(asset) for asset in assets]
        except Refused:
            del self.variants[len(self.compiled.variants) :]
            self._variant = {x: n for x, n in self._variant.items() if n < len(self.variants)}
            raise
        if len(self.variants) > len(self.compiled.variants):
            self._widen()
        return own

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
                self.variants.append(self.programs.pack.variant(rule, own))
                self._variant[name] = len(self.variants) - 1
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
        self.touched[jobs.asset] = True
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

    def take_touched(self) -> npt.NDArray[np.int64]:
        """The rows that were added, started or run since the last call."""
        rows = np.nonzero(self.touched)[0]
        self.touched[rows] = False
        return rows

    @cached_property
    def mark(self) -> str:
        """What of the pack the state of all plants of this class has in common."""
        return fingerprint(self.programs.of(self.cls.name))

    # The pool ---------------------------------------------------------------------------------

    def allocate(self, powers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Blocks of 2 ** powers entries each, as rules.ring gives them out; deepens the pool."""
        while self.memory.heads[0] + int((2 << powers).sum()) > len(self.memory.pool):
            self.deepen()
        pool, heads = self.memory.pool, self.memory.heads
        blocks = np.empty(len(powers), np.int64)
        for power in np.unique(powers):
            wanted = np.nonzero(powers == power)[0]
            freed: list[int] = []
            while len(freed) < len(wanted) and heads[power + 1] >= 0:
                freed.append(int(heads[power + 1]))
                heads[power + 1] = int(pool[freed[-1]])
            anew = np.arange(len(wanted) - len(freed)) * (2 << power)
            blocks[wanted] = np.concatenate([np.array(freed, np.int64), heads[0] + anew])
            heads[0] += len(anew) * (2 << power)
        return blocks

    def _free(self, blocks: npt.NDArray[np.int64], power: int) -> None:
        heads = self.memory.heads
        self.memory.pool[blocks[:-1]] = blocks[1:]
        self.memory.pool[blocks[-1]] = heads[power + 1]
        heads[power + 1] = blocks[0]

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
