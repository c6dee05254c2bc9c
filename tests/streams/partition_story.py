"""Stories for fleets of partitions: random packs, and what comes in of messages and rules."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from random import Random
from typing import Any
from zlib import crc32

from rules.model import Asset
from rules.records import Message
from streams.duty import Edition
from streams.partition import Place
from tests.random_packs import BASE, Case, make_document, make_inventory, make_stream

CALM = 60_000     # ms that pass after the last message


@dataclass(frozen=True)
class Story:
    """What comes in: (stamp, asset, message in bytes) by stamp; editions each from a stamp on."""

    seed: int
    case: Case
    partitions: int
    sent: tuple[tuple[int, str, bytes], ...]
    editions: tuple[tuple[int, Edition], ...]
    orders: float     # how often somebody orders something, a step and partition
    end: int

    def of(self, key: str) -> int:
        return crc32(b"p" + key.encode()) % self.partitions

    def place(self, number: int) -> Place:
        return Place(number, self.partitions, self.of)

    def inventory(self, number: int) -> list[Asset]:
        return [asset for asset in self.case.inventory if self.of(asset.id) == number]

    def shown(self) -> str:
        lines = [f"seed {self.seed}, {self.partitions} partitions, until {self.end}"]
        lines += [self.case.text(), *map(str, self.case.inventory), *map(str, self.sent)]
        return "\n".join(lines)


def story(seed: int, *, strict: bool) -> Story:
    """The story of a seed. `strict`: all messages come within their lateness, and there are neither
    orders nor activations, so that the outcome is the same at any pace."""
    random = Random(seed)
    lateness = random.choice([500, 1_000, 3_000])
    document = make_document(random, lateness)
    _plans(random, document)
    inventory = make_inventory(random, document)
    names = [*(asset.id for asset in inventory), "N1", "N2"]
    classes = {asset.id: asset.cls for asset in inventory}
    length = random.choice([20_000, 60_000])
    sent = []
    case = Case(seed, document, inventory, BASE, (), BASE, random.choice(["UTC", "Asia/Kolkata"]))
    editions = [(BASE, Edition.of([("pack.yaml", case.text().encode())]))]
    declared = editions[0][1].pack.classes
    for name in names:
        cls = classes.get(name, "ca")
        late = declared[cls].lateness
        for stamp, _, op in make_stream(random, name, cls, length, late, [], strict=strict):
            assert isinstance(op, Message)
            sent.append((stamp, name, plain(op)))
            if random.random() < 0.05:
                sent.append((stamp, name, random.choice(GARBAGE)))
    sent.sort(key=lambda one: one[0])
    end = BASE + length + CALM
    if not strict and random.random() < 0.7:
        for text in edited(random, case):
            edition = Edition.of([("pack.yaml", text.encode())])
            editions.append((BASE + random.randrange(length), edition))
        editions.sort(key=lambda one: one[0])
    orders = 0.0 if strict else random.choice([0.0, 0.1, 0.4])
    return Story(seed, case, random.randint(1, 4), tuple(sent), tuple(editions), orders, end)


GARBAGE = (
    b"", b"{", b"\xff\xfe", b"[]", b"17", b'{"asset": "N1"}', b'{"asset": "N1", "t": 1e99, "v": 1}',
    b'{"asset": "Z9", "t": 1700006390000, "values": {"x": 1}}', b'{"a": 1, "a": 2}', b"[" * 50,
)  # fmt: skip


def plain(message: Message) -> bytes:
    """A message as bytes."""
    values = {k: v for k, v in message.values.items() if not _infinite(v)}
    said: dict[str, Any] = {"asset": message.asset, "t": message.t, "values": values}
    said["class"] = message.cls
    if message.historical:
        said["historical"] = True
    return json.dumps(said).encode()


def _infinite(value: object) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _plans(random: Random, document: dict[str, Any]) -> None:
    """Plans with clocks, at rules and groups."""
    document["plans"]["pl"]["overdue"] = {"raise_to": "red"}
    document["plans"]["loop"] = {"steps": [
        {"step": "acknowledge", "role": "desk", "within": "3 s"},
        {"step": "look", "role": "desk", "within": "8 s"},
        {"step": "close", "role": "desk", "within": "20 s", "needs": ["cause"]},
    ], "overdue": {"raise_to": "orange", "notify": ["desk"]}}  # fmt: skip
    for one in (*document["rules"], *document.get("groups", [])):
        if "group" in one:
            one |= {"parent": random.random() < 0.5, "first_out": random.random() < 0.5}
        if "plan" not in one and random.random() < 0.4:
            one["plan"] = random.choice(["pl", "loop"])


def edited(random: Random, case: Case) -> list[str]:
    """The pack with rules left out, another lateness, a class that goes, and as it was."""
    whole: dict[str, Any] = json.loads(json.dumps(case.document))
    made = []
    for _ in range(random.randint(1, 3)):
        doc = json.loads(json.dumps(whole))
        gone = random.choice(["rule", "lateness", "class", "group", "nothing"])
        if gone == "rule" and len(doc["rules"]) > 1:
            doc["rules"].pop()
        elif gone == "lateness":
            doc["classes"]["ca"]["lateness"] = random.choice(["250 ms", "2 s", "6 s"])
        elif gone == "class":
            doc["rules"] = [x for x in doc["rules"] if isinstance(x["class"], str)]
            doc["classes"].pop("cb")
        elif gone == "group" and "groups" in doc:
            doc["groups"].pop()
        made.append(Case(0, doc, (), 0, (), 0).text())
    good = []
    for text in made:
        try:
            Edition.of([("pack.yaml", text.encode())])
        except ValueError:
            continue
        good.append(text)
    return good
