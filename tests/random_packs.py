"""Random packs, inventories and streams, for checking one implementation against another.

A seed makes a Case: a pack as a document (written as YAML text and read by the real front end), an
inventory, and a script of messages, ticks and commands in order of arrival. Values and times come
from small grids, so that limits are met and instants coincide often; what windows yield is compared
with odd decimals, where rounding cannot decide.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from ruamel.yaml import YAML

from rules.model import Asset
from rules.records import Command, Message
from tests.random_rules import Author

BASE = 1_700_006_380_000  # 20 s before a full hour
ZONES = ("UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York")
LATENESS = (500, 1_000, 2_000, 3_000)


@dataclass(frozen=True)
class Tick:
    """The system's clock is looked at."""

    now: int


@dataclass(frozen=True)
class Order:
    """A command at a time."""

    command: Command
    t: int


Op = Message | Tick | Order


@dataclass(frozen=True)
class Case:
    """One random test: `until` is the time to which its instants run in the end."""

    seed: int
    document: dict[str, object]
    inventory: tuple[Asset, ...]
    start: int
    ops: tuple[Op, ...]
    until: int
    zone: str = "UTC"

    def text(self) -> str:
        """The pack as YAML."""
        out = io.StringIO()
        yaml = YAML(typ="safe")
        yaml.default_flow_style = None
        yaml.width = 200
        yaml.allow_unicode = True
        yaml.dump(self.document, out)
        return out.getvalue()

    def shown(self) -> str:
        """Everything, for a report."""
        lines = [f"seed {self.seed}, start {self.start}, until {self.until}", self.text()]
        lines += [f"  {asset}" for asset in self.inventory]
        lines += [f"  {op}" for op in self.ops]
        return "\n".join(lines)


def make(seed: int, *, strict: bool = False) -> Case:
    """The case of a seed. `strict`: every message arrives within lateness, none behind a command.

    Then the outcome is the same for any batches and any further ticks.
    """
    random = Random(seed)
    lateness = random.choice(LATENESS)
    document = make_document(random, lateness)
    inventory = make_inventory(random, document)
    length = random.choice([20_000, 60_000, 60_000, 200_000])
    names = [asset.id for asset in inventory] + ["N1", "N2"][: random.randint(0, 2)] or ["N1"]
    arrivals: list[tuple[int, int, Op]] = []
    classes = {asset.id: asset.cls for asset in inventory}
    orders = make_orders(random, document, names, length)
    if strict:  # orders to groups wait for their time, and no snapshot keeps them
        orders = [order for order in orders if not order.command.group]
    barriers = [order.t for order in orders]
    for name in names:
        cls = classes.get(name, "ca")
        arrivals += make_stream(random, name, cls, length, lateness, barriers, strict=strict)
    arrivals += [(order.t, 1, order) for order in orders]
    if random.random() < 0.8:
        every = random.choice([500, 1_000, 1_250, 5_000])
        ticks = range(BASE, BASE + length + 5_000, every)
        arrivals += [(t, 2, Tick(t)) for t in ticks if random.random() < 0.6]
    arrivals.sort(key=lambda a: a[:2])
    ops = tuple(op for _, _, op in arrivals)
    return Case(seed, document, inventory, BASE, ops, BASE + length + 40_000, random.choice(ZONES))


# --- packs


def make_document(random: Random, lateness: int) -> dict[str, object]:
    """Two classes, rules and groups."""
    author = Author(random)
    rules = [author.rule(i) for i in range(random.choice([1, 2, 3, 5, 8]))]
    document: dict[str, object] = {
        "classes": {"ca": make_class(random, lateness, author), "cb": make_small(random)},
        "rules": rules,
        "plans": {
            "pl": {
                "title": "Plan",
                "steps": [
                    {"step": "acknowledge", "role": "desk", "within": "5 s", "do": "Look"},
                    {"step": "release", "role": "desk", "do": "Free"},
                ],
            }
        },
    }
    if random.random() < 0.5:
        document["groups"] = [author.group(i) for i in range(random.randint(1, 3))]
    return document


def make_class(random: Random, lateness: int, author: Author) -> dict[str, object]:
    """The class that most rules are on."""
    frozen: dict[str, object] = {"frozen_after": random.choice(["2 s", "5 s", "6 s"])}
    if random.random() < 0.5:
        frozen["frozen_while"] = random.choice(["p", "x > 5", "not q", "held(p for 2 s)"])
    mode: dict[str, object] = {"states": {0: "off", 1: "low", 2: "high"}}
    if random.random() < 0.5:
        mode["default"] = "low"
    gate: dict[str, object] = {"type": "bool"}
    if random.random() < 0.5:
        gate["default"] = random.random() < 0.5
    made: dict[str, object] = {
        "title": "Class",
        "lateness": f"{lateness} ms",
        "signals": {
            "x": {"range": [0, 100], "period": "1 s"},
            "y": {},
            "s": {"range": [-10, 10], "stale_after": random.choice(["3 s", "5 s", "10 s"])},
            "pr": {"unit": "bar", "range": [0, 20]},
            "f": frozen,
            "p": {"type": "bool"},
            "q": gate,
            "r": {"type": "bool", "stale_after": random.choice(["2 s", "4 s", "10 s"])},
            "m": mode,
            "code": {"events": {1: "ea", 2: "eb", 3: {"name": "ec", "zh": "三", "en": "third"}}},
            "maint": {
                "type": "bool", "default": False, "set_by": "operator",
                **({"expires": random.choice(["5 s", "10 s"])} if random.random() < 0.7 else {}),
            },
            "hand": {"set_by": "operator"},
        },
        "attributes": {
            "lim": {"default": 5},
            "none": {},
            "wait": {"unit": "s", "default": 3},
            "site": {"type": "text"},
            "kind": {"states": ["one", "two"], "default": "one"},
            "top": {"by": "kind", "table": {"one": 4, "two": 7}},
        },
        "derived": {"steep": "abs(x - y) > 3", "both": author.both},
    }
    if random.random() < 0.5:
        made["silent_after"] = random.choice(["4 s", "10 s", "30 s"])
    if random.random() < 0.3:
        made["unless"] = random.choice(["maint", "q", "m == off", "held(q for 3 s)"])
    return made


def make_small(random: Random) -> dict[str, object]:
    """A second class, for groups over two classes."""
    made: dict[str, object] = {
        "title": "Small",
        "lateness": f"{random.choice(LATENESS)} ms",
        "signals": {"x": {"range": [0, 100]}, "p": {"type": "bool"}},
        "attributes": {"site": {"type": "text", "default": "s1"}},
    }
    if random.random() < 0.3:
        made["silent_after"] = "8 s"
    return made


def make_inventory(random: Random, document: dict[str, object]) -> tuple[Asset, ...]:
    """None to four assets, with attributes and overrides."""
    rules = document["rules"]
    assert isinstance(rules, list)
    found = []
    for i in range(random.choice([0, 1, 2, 4])):
        attributes: dict[str, float | str] = {}
        for name, values in {"lim": [3.0, 8.0], "wait": [1.0, 5.0], "kind": [0.0, 1.0]}.items():
            if random.random() < 0.3:
                attributes[name] = random.choice(values)
        if random.random() < 0.7:
            attributes["site"] = random.choice(["s1", "s1", "s2"])
        overrides: dict[str, object] = {}
        for rule in rules:
            if random.random() < 0.15:
                overrides.update(make_override(random, rule))
        found.append(Asset(f"A{i}", "ca", attributes, overrides))
    if found and random.random() < 0.3:
        found.append(Asset("B0", "cb"))
    return tuple(found)


def make_override(random: Random, rule: dict[str, object]) -> dict[str, object]:
    """One override of a rule or of a level."""
    name = rule["rule"]
    levels = rule.get("levels")
    if isinstance(levels, dict) and random.random() < 0.5:
        level = random.choice(sorted(levels))
        if isinstance(levels[level], dict):
            return {f"{name}.{level}.clear_for": random.choice(["1 s", "4 s"])}
    key, values = random.choice([
        ("for", ["500 ms", "2 s", "6 s"]), ("clear_for", ["0 s", "1 s", "5 s"]),
        ("mode", ["shadow", "live"]), ("severity", ["blue", "red"]),
    ])  # fmt: skip
    if key == "severity" and levels is not None:
        return {}
    return {f"{name}.{key}": random.choice(values)}


# --- streams


def make_values(random: Random, cls: str) -> dict[str, object]:
    """The values of one message: one to three signals, seldom bad ones or none."""
    rare = random.random() < 0.1
    makers: dict[str, Callable[[], object]] = {
        "x": lambda: random.choice([*range(11), *range(11), 101]),
        "y": lambda: random.choice([*range(11), 2.5, *(["6", True, math.inf] if rare else [])]),
        "s": lambda: random.choice([*range(-3, 11), 11]),
        "pr": lambda: random.choice([3, 4, 5, 6, 7, 8.5, 21]),
        "f": lambda: random.choice([4, 4, 4, 6]),
        "p": lambda: random.random() < 0.6,
        "q": lambda: random.random() < 0.4,
        "r": lambda: random.random() < 0.6,
        "m": lambda: random.choice([0, 1, 2, "off", "low", "high", 7]),
        "code": lambda: random.choice([1, 2, 3, "ea", [1, 2], [2, "ec"], 77, [], [3, 77]]),
    }
    names = ["x", "p"] if cls == "cb" else list(makers)
    if random.random() < 0.02:
        return {}
    chosen = random.sample(names, min(len(names), random.choice([1, 1, 1, 2, 3])))
    return {n: None if random.random() < 0.05 else makers[n]() for n in chosen}


def make_stream(
    random: Random, name: str, cls: str, length: int, lateness: int, barriers: list[int], *,
    strict: bool,
) -> list[tuple[int, int, Op]]:
    """The messages of one asset with their arrivals."""
    grid = random.choice([250, 500, 1_000, 1_000])
    begin = random.choice([0, 0, 1_000, 5_000])
    count = random.choice([10, 30, 60])
    late = random.choice([0.0, 0.2, 0.5])
    found: list[tuple[int, int, Op]] = []
    for _ in range(count):
        t = BASE + random.randrange(begin, length, grid)
        arrival = t
        if random.random() < late:
            furthest = lateness if strict or random.random() < 0.7 else 3 * lateness
            arrival += random.randrange(0, furthest + 1, 250)
        arrival = min([arrival, *(b for b in barriers if t <= b)])
        message = Message(name, cls, t, make_values(random, cls))
        if not strict and random.random() < 0.02:
            message = replace(message, historical=True)
        if not strict and random.random() < 0.02:
            message = replace(message, t=t + 70_000, arrival=arrival)
        found.append((arrival, 0, message))
        if random.random() < 0.08:
            again = arrival + random.choice([0, 250, lateness])
            if not strict:
                found.append((min([again, *(b for b in barriers if t <= b)]), 0, message))
    return found


def make_orders(
    random: Random, document: dict[str, object], names: list[str], length: int
) -> list[Order]:
    """Commands: resets, acknowledgements, steps, entries."""
    rules, groups = document["rules"], document.get("groups", [])
    assert isinstance(rules, list)
    assert isinstance(groups, list)
    found = []
    for _ in range(random.choice([0, 0, 2, 8])):
        t = BASE + random.randrange(6_000, length, 500)
        asset, rule = random.choice(names), random.choice(rules)["rule"]
        kind = random.random()
        if groups and kind < 0.2:
            key = random.choice(["s1", "s2", *names])
            command = Command("reset", random.choice(groups)["group"], key, group=True)
        elif kind < 0.5:
            command = Command("reset", rule, asset)
        elif kind < 0.6:
            command = Command("acknowledge", rule, asset)
        elif kind < 0.7:
            command = Command("step", rule, asset, step=random.choice(["acknowledge", "release"]))
        elif kind < 0.9:
            command = Command("set", "maint", asset, value=random.random() < 0.7)
        else:
            command = Command("set", "hand", asset, value=random.choice([1.0, 4.0, 9.0]))
        found.append(Order(replace(command, by="ana"), t))
    return found
