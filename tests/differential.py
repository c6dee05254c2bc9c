"""Runs a random case on the oracle and on the engine, and makes a difference small."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from rules.errors import RulesError
from rules.load import load_texts
from rules.model import Pack
from rules.records import Command, Message, Transition
from streams.site import Site
from tests.oracle import Oracle
from tests.random_packs import Case, Op, Order, Tick

Key = tuple[int, bool, str, str, str, int, bool]
ENDLESS = 1e15  # ms: the time to a limit at a slope that is 0 but for rounding
LIFE = ("raised", "level", "returned", "cleared")


@lru_cache(maxsize=64)
def pack_of(text: str) -> Pack:
    """The pack of a YAML text, by the real front end. Raises ValueError where it is refused."""
    loaded = load_texts([("pack.yaml", text.encode())])
    if loaded.pack is None:
        errors = [str(problem) for problem in loaded.problems if problem.kind == "error"]
        raise ValueError("\n".join([*errors, text]))
    return loaded.pack


def key(t: Transition) -> Key:
    """What has to be the same."""
    return (t.t, t.group, t.asset, t.rule, t.kind, t.severity, t.announced)


def sorted_keys(found: list[Transition]) -> list[Key]:
    """All that has to be the same, in an order that does not depend on who found it."""
    return sorted(key(t) for t in found)


def lives(found: list[Transition]) -> dict[tuple[bool, str, str], list[Key]]:
    """The life of each alarm in its own order: raised, level, returned, cleared."""
    made: dict[tuple[bool, str, str], list[Key]] = {}
    for t in found:
        if t.kind in LIFE:
            made.setdefault((t.group, t.asset, t.rule), []).append(key(t))
    return made


def by_oracle(case: Case) -> list[Transition]:
    """What the oracle finds."""
    oracle = Oracle(pack_of(case.text()), case.zone, inventory=case.inventory, start=case.start)
    found: list[Transition] = []
    for op in case.ops:
        match op:
            case Message():
                found += oracle.messages([op])
            case Tick(now=now):
                found += oracle.tick(now)
            case Order(command=command, t=t):
                found += oracle.command(command, t)
    return found + oracle.run_until(case.until)


def evidence(found: list[Transition]) -> dict[Key, list[Transition]]:
    """Transitions by what they are, each with what was recorded with it."""
    made: dict[Key, list[Transition]] = {}
    for t in found:
        made.setdefault(key(t), []).append(t)
    return made


def same_value(a: float, b: float) -> bool:
    """Equal but for rounding; unknown is unknown, and a slope may round to nothing."""
    if min(a, b) > ENDLESS:
        return True
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def same_evidence(slow: list[Transition], fast: list[Transition]) -> str:
    """The first transition with another raise, level or evidence, as text; or nothing."""
    right = evidence(fast)
    for k, transitions in evidence(slow).items():
        for a, b in zip(transitions, right[k], strict=True):
            if a.group:
                continue
            values = b.values[: len(a.values)]
            alike = all(same_value(x, y) for x, y in zip(a.values, values, strict=True))
            level = a.kind not in ("raised", "level") or a.level == b.level
            if not (alike and level and a.raised == b.raised):
                return f"recorded: expected {a}, found {b}"
    return ""


Batches = Iterator[tuple[Op, ...]]


def one_by_one(case: Case) -> Batches:
    """Each message a batch."""
    return ((op,) for op in case.ops)


def in_batches(case: Case, random: Random) -> Batches:
    """Messages that follow each other in batches of any size."""
    batch: list[Op] = []
    for op in case.ops:
        if isinstance(op, Message):
            if batch and random.random() < 0.2:
                yield tuple(batch)
                batch = []
            batch.append(op)
        else:
            if batch:
                yield tuple(batch)
            batch = []
            yield (op,)
    if batch:
        yield tuple(batch)


def by_engine(case: Case, batches: Batches | None = None, saves: float = 0.0) -> list[Transition]:
    """What the engine finds; `saves` is how often it is saved and restored between batches."""
    pack = pack_of(case.text())
    site = Site(pack, case.zone, inventory=case.inventory, start=case.start)
    random = Random(case.seed)
    found: list[Transition] = []
    for batch in one_by_one(case) if batches is None else batches:
        if random.random() < saves:
            site = Site.restore(pack, site.snapshot(), case.zone)
        match batch[0]:
            case Message():
                found += site.messages([op for op in batch if isinstance(op, Message)])
            case Tick(now=now):
                found += site.tick(now)
            case Order(command=command, t=t):
                found += order(site, command, t)
    return found + site.run_until(case.until)


def order(site: Site, command: Command, t: int) -> list[Transition]:
    """Give an order; one to a group waits until the groups have come to its time."""
    if command.group:
        site.schedule(command, t, lambda _refusal: None)
        return []
    return site.command(command, t)[1]


def more_ticks(case: Case, random: Random) -> Case:
    """The case with more ticks, none of which makes a later message late."""
    classes = pack_of(case.text()).classes
    latest = case.until
    ops: list[Op] = []
    for op in reversed(case.ops):
        match op:
            case Message(cls=cls, t=t):
                latest = min(latest, t + classes[cls].lateness)
            case Order(t=t):
                latest = min(latest, t)
        ops.append(op)
        if random.random() < 0.3:
            ops.append(Tick(latest - random.randrange(0, 3_000, 250)))
    return replace(case, ops=tuple(reversed(ops)))


@dataclass(frozen=True)
class Difference:
    """Where two implementations part: the first transition that only one of them has."""

    case: Case
    expected: list[Key]
    found: list[Key]
    recorded: str = ""

    def report(self) -> str:
        """The case and what differs."""
        missing = [k for k in self.expected if k not in self.found]
        extra = [k for k in self.found if k not in self.expected]
        return "\n".join([
            self.case.shown(),
            f"only expected: {missing[:6]}", f"only found:    {extra[:6]}",
            f"all expected:  {self.expected[:40]}", self.recorded,
        ])  # fmt: skip


Compare = Callable[[Case], Difference | None]


def compare(case: Case) -> Difference | None:
    """The difference between the oracle and the engine, if any."""
    slow, fast = by_oracle(case), by_engine(case)
    expected, found = sorted_keys(slow), sorted_keys(fast)
    if expected != found or lives(slow) != lives(fast):
        return Difference(case, expected, found)
    recorded = same_evidence(slow, fast)
    return Difference(case, expected, found, recorded) if recorded else None


def simpler(rule: dict[str, object]) -> Iterator[dict[str, object]]:
    """Rules with a key, a level or one of a list of conditions left out."""
    found = rule.get("levels")
    levels = found if isinstance(found, dict) else {}
    for name in rule:
        if name not in ("rule", "class", "when", "levels", "severity"):
            yield {k: v for k, v in rule.items() if k != name}
    for severity, level in levels.items():
        rest = {k: v for k, v in levels.items() if k != severity}
        yield {**rule, "levels": rest}
        machines: list[dict[str, object]] = level if isinstance(level, list) else [level]
        for i, machine in enumerate(machines):
            others = machines[:i] + machines[i + 1 :]
            if others:
                yield {**rule, "levels": {**rest, severity: others}}
            for name in dict(machine):
                less = {k: v for k, v in machine.items() if k != name}
                yield {**rule, "levels": {**rest, severity: [*others, less]}}


def smaller(case: Case) -> Iterator[Case]:
    """Cases with something left out, large parts first."""
    for part in ("rules", "groups"):
        whole = case.document.get(part)
        for i in range(len(whole) if isinstance(whole, list) else 0):
            assert isinstance(whole, list)
            left = [one for j, one in enumerate(whole) if j != i]
            yield replace(case, document={**case.document, part: left})
    size = len(case.ops) // 2
    while size:
        for begin in range(0, len(case.ops), size):
            yield replace(case, ops=case.ops[:begin] + case.ops[begin + size :])
        size //= 2
    rules = case.document["rules"]
    assert isinstance(rules, list)
    for i, rule in enumerate(rules):
        for less in simpler(rule):
            yield replace(case, document={
                **case.document, "rules": [*rules[:i], less, *rules[i + 1 :]],
            })  # fmt: skip
    for i in range(len(case.inventory)):
        yield replace(case, inventory=case.inventory[:i] + case.inventory[i + 1 :])
    for i, op in enumerate(case.ops):
        if isinstance(op, Message) and len(op.values) > 1:
            for name in op.values:
                left_values = {k: v for k, v in op.values.items() if k != name}
                changed = replace(op, values=left_values)
                yield replace(case, ops=(*case.ops[:i], changed, *case.ops[i + 1 :]))


def shrink(difference: Difference, compare: Compare, tries: int = 1_500) -> Difference:
    """A smaller case that still differs."""
    best = difference
    while tries > 0:
        for case in smaller(best.case):
            tries -= 1
            try:
                found = compare(case)
            except (ValueError, RulesError):
                continue
            if found is not None:
                best = found
                break
            if tries <= 0:
                break
        else:
            return best
    return best
